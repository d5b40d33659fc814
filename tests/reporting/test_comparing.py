"""Two runs, clip by clip."""

import csv
import io
from pathlib import Path

import pytest
from run_folders import MakeRun
from typer.testing import CliRunner

from emojibench.cli.commands import app
from emojibench.errors import UserError
from emojibench.reports import rendered
from emojibench.reports.comparing import compare


def of(values: str) -> dict[str, float]:
    return {f"c{i}": float(value) for i, value in enumerate(values.split())}


@pytest.fixture
def pair(make_run: MakeRun) -> tuple[Path, Path]:
    first = {
        "l1": of("0.10 0.20 0.30 0.40"),
        "ssim": of("0.9 0.8 0.7 0.6"),
        "fvd": 9.0,
        "jitter": of("1 1 1 1"),
    }
    second = {"l1": of("0.20 0.31 0.40 0.39"), "ssim": of("0.8 0.8 0.8 0.7"), "fvd": 8.0}
    return make_run("first", first), make_run("second", second, method="tps")


def test_differences_wins_and_what_cannot_be_compared(pair: tuple[Path, Path]) -> None:
    text = rendered(compare(*pair), "csv")
    found = {(c["row"], c["column"]): c for c in csv.DictReader(io.StringIO(text))}
    assert float(found["l1", "difference"]["value"]) == pytest.approx(-0.075)
    assert [found["l1", name]["value"] for name in ("wins", "losses", "ties", "n")] == ["3", "1", "0", "4"]
    assert [found["ssim", name]["value"] for name in ("wins", "losses", "ties")] == ["1", "2", "1"]
    assert float(found["l1", "detectable"]["value"]) > 0
    assert "whole set" in found["fvd", "difference"]["reason"]
    assert "did not measure" in found["jitter", "difference"]["reason"]
    assert float(found["l1 | c3", "difference"]["value"]) == pytest.approx(0.01)
    assert ("l1 | c0", "difference") not in found
    assert float(found["l1", "ssim"]["value"]) == pytest.approx(2 / 3)
    assert found["l1", "ssim"]["n"] == "3"


def test_seconds_of_other_numbers_of_workers_are_not_compared(make_run: MakeRun) -> None:
    seconds = {"latency_s": of("1 1 2 2"), "l1": of("0.1 0.1 0.2 0.2")}
    one, four = (make_run(f"r{jobs}", seconds, jobs=jobs) for jobs in (1, 4))
    text = rendered(compare(one, four), "csv")
    found = {(c["row"], c["column"]): c for c in csv.DictReader(io.StringIO(text))}
    assert found["latency_s", "difference"]["reason"] == "made by 1 and by 4 workers at a time"
    assert float(found["l1", "difference"]["value"]) == 0


def test_runs_of_other_tracks_are_refused(pair: tuple[Path, Path], make_run: MakeRun) -> None:
    cross = make_run("cross", {"l1": of("1 1 1 1")}, split="cross")
    with pytest.raises(UserError, match="expected two runs of one track and split"):
        compare(pair[0], cross)


def test_the_command_prints_the_page(pair: tuple[Path, Path]) -> None:
    result = CliRunner().invoke(app, ["compare", *map(str, pair), "--worst", "1"])
    assert result.exit_code == 0, result.output
    assert result.stdout == rendered(compare(*pair, worst=1), "markdown")
