"""The table that `run` and `score` print."""

from pathlib import Path
from typing import Any

import pytest

from emojibench.cli.results import show
from emojibench.runs.result import RunResult
from emojibench.runs.summary import ColumnSummary, Summary

NO_WEIGHTS = (
    "x.pth: not in the cache, and {host} cannot be reached; `emojibench weights list` has its address"
)


def entry(mean: float | None, reason: str = "", **more: Any) -> ColumnSummary:
    about = {"unit": "", "better": "higher", "decimals": 3, "kind": "clip", "version": 1, "lost": 0.0}
    status = "ok" if mean is not None else "unavailable"
    bounds = {"low": None, "high": None} if mean is None else {"low": mean - 0.01, "high": mean + 0.02}
    counts = {"n_clips": 0 if mean is None else 4, "expected": 4}
    return ColumnSummary(
        **{"mean": mean, "status": status, "reason": reason, **bounds, **counts, **about, **more}
    )


SUMMARY = Summary(
    name="r", method="[m]", revision="1", split="cross", dataset={"name": "mini", "version": "1", "digest": "d1"},
    protocol="0123456789", size=256, frames=64, clips={"expected": 4, "animated": 4, "failed": {}},
    metrics={
        "latency_s": entry(1.0),
        "hyperiqa": entry(None, NO_WEIGHTS.format(host="a.org")),
        "id_sim": entry(None, NO_WEIGHTS.format(host="b.org")),
        "id_sim_mobilefacenet": entry(0.5, lost=0.984),
        "id_sim_mobilefacenet_zero": entry(0.008),
        "fvd": entry(None, NO_WEIGHTS.format(host="c.org")),
        "homemade": entry(None, "install sharpness first"),
        "landmark_accuracy": entry(0.25, "1 of 4: no face", n_clips=3),
    },
)  # fmt: skip


@pytest.fixture
def table(capsys: pytest.CaptureFixture[str]):
    """Print the table and return its lines and what stderr says."""

    def call(**settings: Any) -> tuple[list[str], str]:
        show(RunResult(Path("runs/r"), SUMMARY, {}, {}), as_json=False, **settings)
        printed = capsys.readouterr()
        return [line.strip() for line in printed.out.splitlines()], printed.err

    return call


def test_the_papers_columns_are_shown(table) -> None:
    (title, _, *rows), err = table()
    assert title == "[m] · cross · mini · up to 64 frames at 256x256 · 0123456789"
    assert [row.split()[0] for row in rows] == [
        "hyperiqa", "id_sim_mobilefacenet", "landmark_accuracy", "[1]", "[2]",
    ]  # fmt: skip
    assert "0.500 (98.4 % lost)  [0.490, 0.520]" in rows[1]
    assert "0.250 (3 of 4) [2]" in rows[2]
    assert rows[3] == "[1] weights are missing: emojibench weights fetch hyperiqa-koniq10k"
    assert "5 more columns: --all shows them" in err


def test_what_was_asked_for_is_shown_too(table) -> None:
    (_, _, *rows), err = table(asked=["latency_s", "fvd"])
    assert [row.split()[0] for row in rows[:3]] == ["latency_s", "hyperiqa", "id_sim_mobilefacenet"]
    assert "weights fetch i3d-kinetics400 hyperiqa-koniq10k" in rows[-2]
    assert "3 more columns" in err


def test_all_shows_every_column_and_one_line_for_weights(table) -> None:
    lines, err = table(every=True)
    assert sum("weights" in line for line in lines) == 1
    assert "scrfd-10g arcface-w600k-r50" in next(line for line in lines if "weights" in line)
    assert "mobilefacenet-arcface128" not in "".join(lines)
    assert "[2] install sharpness first" in lines
    assert not any("http" in line or ".org" in line for line in lines)
    assert "more columns" not in err
