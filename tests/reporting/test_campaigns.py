"""Tables from what `emojibench ablate` and `emojibench accel` wrote beside their pages."""

import copy
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from emojibench.cli.commands import app
from emojibench.reports.campaigns import campaign_page, load_campaign
from emojibench.reports.markdown import render

SHARED = {
    "dataset": {"name": "synth", "version": "1", "digest": "d" * 64},
    "protocol": {"id": "75d079d14c", "size": 256, "frames": 24},
}


def acceleration(**cached: Any) -> dict[str, Any]:
    """An old file, whose metrics are bare numbers; `cached` replaces fields of its second row."""
    base = {
        "name": "base", "title": "Uncached, 30 steps", "groups": ["table3", "table5"], "clips": 4,
        "revision": "2-mini-30-steps", "seconds": {"mean": 8.0, "low": 7.0, "high": 9.0}, "seconds_speedup": 1.0,
        "flops": 4e12, "flops_speedup": 1.0,
        "metrics": {"l1": 0.0262, "ssim": 0.8, "id_sim": 0.7, "latency_denoise_s": 8.0},
    }  # fmt: skip
    fast = base | {
        "name": "tic", "title": "Cached", "groups": ["table3"], "seconds_speedup": 2.5, "flops_speedup": 2.0,
        "metrics": {"l1": 0.0263, "ssim": 0.9, "latency_denoise_s": 3.2},
    }  # fmt: skip
    waiting = {"name": "half", "title": "Half", "groups": ["table3"], "missing": "not run yet"}
    return SHARED | {"split": "self", "rows": [base, fast | cached, waiting]}


def ablation() -> dict[str, Any]:
    rows = [
        {
            "name": name, "title": title, "against": "full", "clips": 4, "revision": "1",
            "means": {"l1": {"mean": mean, "low": mean / 2, "high": mean * 2, "clips": 4, "lost": lost, "unit": ""}},
            "differences": {"l1": {"mean": mean - 0.03, "low": mean - 0.035, "high": mean - 0.02}},
        }
        for name, title, mean, lost in (("full", "Full", 0.03, 0.0), ("plain-2d", "Plain", 0.06, 0.1))
    ]  # fmt: skip
    return SHARED | {"split": "cross", "rows": rows}


def report(tmp_path: Path, content: Any, *flags: str) -> Any:
    file = tmp_path / "campaign.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return CliRunner().invoke(app, ["report", "--campaign", str(file), *flags])


def cells(text: str) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (line["row"], line["column"]): line for line in csv.DictReader(io.StringIO(text)) if line["column"]
    }


def test_rows_stand_above_the_papers_and_are_ranked_as_printed(tmp_path: Path) -> None:
    found = cells(report(tmp_path, acceleration(), "--table", "3", "--format", "csv").output)
    assert found["Uncached, 30 steps", "steps"]["value"] == "30.0"
    assert found["Uncached, 30 steps", "l1"]["value"] == "0.0262"
    assert {found[row, "l1"]["mark"] for row in ("Uncached, 30 steps", "Cached")} == {""}, "both print 0.026"
    assert [found[row, "ssim"]["mark"] for row in ("Cached", "Uncached, 30 steps")] == ["best", "second"]
    assert found["Cached", "speed"]["value"] == "2.5"
    assert found["Cached", "identity"]["reason"] == "this row did not measure it"
    assert ("Half", "l1") not in found
    only = cells(report(tmp_path, acceleration(), "--table", "5", "--format", "csv").output)
    assert ("Uncached, 30 steps", "l1") in only
    assert ("Cached", "l1") not in only
    assert only["Uncached, 30 steps", "flops"]["value"] == "4.0", "of denoising alone, as the paper's"


def test_means_that_lack_clips_are_told_and_never_ranked(tmp_path: Path) -> None:
    lacking = {"mean": 0.0100, "clips": 3, "expected": 4, "reason": "1 of 4: no face"}
    means = {"l1": lacking, "fvd": {"mean": 90.0, "clips": 4, "expected": 4, "kind": "set"}}
    text = report(tmp_path, acceleration(metrics=means), "--table", "3").stdout
    assert "0.010 (3 of 4)" in text
    assert "**0.010" not in text
    page = render(campaign_page(load_campaign(tmp_path / "campaign.json")))
    assert "90.0 (N = 4)" in page
    assert "1 of 4: no face" in page


def test_an_ablation_is_in_the_papers_order_and_says_of_which_clips_it_is(tmp_path: Path) -> None:
    text = report(tmp_path, ablation(), "--table", "4").output
    assert text.index("| Plain ") < text.index("| Full ")
    assert "of clips of cross reenactment, all that this file has" in text
    assert "0.060 [0.030, 0.120] (10.0 % lost)" in text
    page = render(campaign_page(load_campaign(tmp_path / "campaign.json")))
    assert "| Plain | Full  | **+0.030 [+0.025, +0.040]** |" in page
    assert "| Full  | Full  | +0.000 [-0.005, +0.010]     |" in page


def changed(change: Any) -> dict[str, Any]:
    content = copy.deepcopy(acceleration())
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (
            acceleration(),
            ["--table", "4"],
            "no row of `emojibench accel` belongs in Table 4; expected --table 3",
        ),
        (ablation(), ["--table", "3"], "no row of `emojibench ablate` belongs in Table 3"),
        (acceleration(), [], "--campaign: expected together with --table or --html"),
        (acceleration(), ["--table", "3", "--accepted"], "--campaign: does not go with --accepted"),
        ("{", ["--table", "3"], "campaign.json: "),
        ({"rows": []}, ["--table", "3"], "expected what `emojibench ablate` or `emojibench accel` wrote"),
        (changed(lambda c: c["rows"].clear()), ["--table", "3"], "rows: "),
        (acceleration(metrics={"l1": 7.0}), ["--table", "3"], "row 'tic': l1: "),
        (acceleration(metrics={"l1": "much"}), ["--table", "3"], "rows.1.metrics.l1"),
        (acceleration(seconds_speedup=float("inf")), ["--table", "3"], "campaign.json: "),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, content: Any, flags: list[str], message: str) -> None:
    done = report(tmp_path, content, *flags)
    assert done.exit_code != 0
    assert message in f"{done.output} {done.exception}"
