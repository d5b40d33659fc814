"""The page of an ablation from hand-written runs."""

import json
from pathlib import Path

from run_folders import MakeRun

from emojibench.fye.ablation.page import AblationRow, ablation_data, write_ablation
from emojibench.reports.load import load_run


def rows(make_run: MakeRun) -> list[AblationRow]:
    values = {
        "full": {"landmark_accuracy": {"c0": 50, "c1": 60, "c2": 70, "c3": 80}, "latency_s": {"c0": 1}},
        "plain": {
            "landmark_accuracy": {"c0": 40, "c1": 49, "c2": 61, "c3": "no face"},
            "latency_s": {"c0": 2},
        },
    }
    runs = {
        name: load_run(make_run(name, v, split="cross", options={"weights": "/home/somebody/w"}))
        for name, v in values.items()
    }
    effort = {"frames": (1200, 22.5), "clips": (400, 7.5)}
    return [
        AblationRow("full", "Full method", "full", runs["full"], effort=effort, start="random weights"),
        AblationRow(
            "plain", "Plain 2-D landmarks", "full", runs["plain"], effort=effort, start="random weights"
        ),
        AblationRow("taylor", "Cache", "full", None, "not an option yet"),
    ]


def test_page_shows_means_differences_and_what_is_missing(make_run: MakeRun, tmp_path: Path) -> None:
    page = write_ablation(rows(make_run), tmp_path / "pages/ablation.md")
    assert (tmp_path / "pages/ablation.md").read_text() == page
    assert "1200 + 400 steps, 22.5 + 7.5 min" in page
    # -10, -11, -9 on the three clips that both rows have
    assert "**-10.0 [" in page
    assert "** (n = 3)" in page
    assert "50.0" in page  # mean of 40, 49, 61
    assert "- [2] not an option yet" in page
    assert page.count("Trained rows start from random weights.") == 1
    assert "/home/somebody" not in page
    assert "15.92" in page.partition("## Published")[2]
    assert "latency" not in page


def test_figures_hold_every_column_and_no_difference_of_costs(make_run: MakeRun) -> None:
    data = json.loads(json.dumps(ablation_data(rows(make_run)), allow_nan=False))
    full, plain, taylor = data["rows"]
    assert full["differences"] == {}
    assert plain["training"]["clips"] == {"steps": 400, "minutes": 7.5}
    assert plain["means"]["latency_s"]["mean"] == 2
    assert set(plain["differences"]) == {"landmark_accuracy"}
    gap = plain["differences"]["landmark_accuracy"]
    assert (gap["mean"], gap["clips"]) == (-10, 3)
    assert gap["low"] < -10 < gap["high"] < 0
    assert taylor == {"name": "taylor", "title": "Cache", "against": "full", "missing": "not an option yet"}
