"""Tolerances from unchanged runs: false alarms as stated, power, and a spread that grew told from a mean that moved."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from emojibench.cli import app
from emojibench.errors import UserError
from emojibench.protocol.statistics import mean_p_value, spread_p_value, unchanged_tolerance
from emojibench.reports.calibrating import calibrate, write_file
from emojibench.reports.gating import gate

CLIPS = tuple(f"c{i}" for i in range(4))
SPREAD = 0.0004


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def unchanged(make_run):
    """Runs of one method whose clips all move together by chance, as another seed makes them."""
    rng, count = np.random.default_rng(5), iter(range(10_000))

    def runs(n: int, *, moved: float = 0.0, spread: float = SPREAD, **more) -> list[Path]:
        made = []
        for _ in range(n):
            number = next(count)
            values = {}
            for column in ("l1", "lpips_alex"):
                shift = moved + spread * rng.standard_normal()
                values[column] = {clip: 0.02 + 0.005 * i + shift for i, clip in enumerate(CLIPS)}
            made.append(make_run(f"r{number}", values, seed=number, **more))
        return made

    return runs


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("false_alarms", [0.01, 0.05])
def test_unchanged_runs_exceed_the_tolerance_as_often_as_stated(n: int, false_alarms: float) -> None:
    rng = np.random.default_rng(n)
    trials = 20_000
    beyond = sum(
        abs(a - b) > unchanged_tolerance(known, false_alarms)
        for known, a, b in zip(
            rng.normal(3, 0.2, (trials, n)),
            rng.normal(3, 0.2, trials),
            rng.normal(3, 0.2, trials),
            strict=True,
        )
    )
    assert beyond / trials == pytest.approx(false_alarms, abs=4 * (false_alarms / trials) ** 0.5)


def test_a_spread_that_grew_is_told_from_a_mean_that_moved() -> None:
    rng = np.random.default_rng(0)
    trials, n = 4000, 8

    def share(spread: float, shift: float) -> tuple[float, float]:
        before, now = rng.normal(0, 1, (trials, n)), rng.normal(shift, spread, (trials, n))
        sides = [(data.mean(1), data.std(1, ddof=1)) for data in (now, before)]
        grew = [spread_p_value((s, n), (t, n)) < 0.05 for s, t in zip(sides[0][1], sides[1][1], strict=True)]
        moved = [
            mean_p_value((m, s, n), (k, t, n)) < 0.05 for m, s, k, t in zip(*sides[0], *sides[1], strict=True)
        ]
        return float(np.mean(grew)), float(np.mean(moved))

    assert share(1, 0) == pytest.approx((0.05, 0.05), abs=0.012)
    grew, moved = share(4, 0)  # only the spread
    assert grew > 0.9
    assert moved < 0.065
    grew, moved = share(1, 3)  # only the mean
    assert grew == pytest.approx(0.05, abs=0.012)
    assert moved > 0.99


def test_the_gate_calls_unchanged_runs_the_same_and_finds_a_moved_mean(unchanged, tmp_path: Path) -> None:
    """Chance moves all clips alike, so that the interval over clips never includes zero: the defaults would alarm."""
    file = tmp_path / "tolerances.yaml"
    known = unchanged(8)
    found = calibrate(known).calibration
    assert (found.varying, found.of.seeds) == (2, tuple(range(8)))
    assert found.columns["l1"].spread == pytest.approx(SPREAD, rel=0.6)
    write_file(found, file)
    again = unchanged(30)
    codes = [gate(known[0], run, calibration=file).exit_code for run in again]
    assert codes.count(0) >= 27
    tight = {"l1": "0.00001", "lpips_alex": "0.00001"}
    assert [gate(known[0], run, tolerances=tight).exit_code for run in again].count(0) <= 1
    moved = [gate(known[0], run, calibration=file).exit_code for run in unchanged(10, moved=12 * SPREAD)]
    assert moved.count(1) >= 9


def test_the_command_writes_what_the_gate_reads_and_tells_what_changed(unchanged, tmp_path: Path) -> None:
    first, file = tmp_path / "first.yaml", tmp_path / "second.yaml"
    known = unchanged(6)
    assert call("gate", "calibrate", *known, "--out", first).exit_code == 0
    assert "t(n - 1) * sqrt(2)" in yaml.safe_load(first.read_text())["method"]
    judged = call("gate", "--baseline", known[0], "--run", unchanged(1)[0], "--tolerances", first, "--json")
    assert (
        json.loads(judged.stdout)["columns"][0]["reason"]
        == "calibrated by 6 unchanged runs: by tolerance alone"
    )

    def changes(runs: list[Path]) -> tuple[int, set[str]]:
        result = call("gate", "calibrate", *runs, "--out", file, "--against", first, "--json")
        return result.exit_code, {
            change["verdict"] for change in json.loads(result.stdout)["changes"].values()
        }

    assert changes(unchanged(6)) == (0, {"same"})
    code, verdicts = changes(unchanged(6, spread=12 * SPREAD))
    assert (code, all(verdict.startswith("spread grew") for verdict in verdicts)) == (1, True)
    assert changes(unchanged(6, moved=10 * SPREAD)) == (1, {"the reference moved"})
    (far,) = unchanged(1, moved=20 * SPREAD)
    text = call("gate", "--baseline", far, "--run", known[0], "--tolerances", first).stdout
    assert "the reference moved since: the baseline's mean is" in text


def test_columns_that_do_not_vary_keep_the_gates_own_tolerance(make_run, tmp_path: Path) -> None:
    values = {"l1": dict.fromkeys(CLIPS, 0.02)}
    runs = [make_run(f"r{i}", values, seed=i) for i in range(3)]
    found = calibrate(runs)
    assert found.calibration.columns["l1"].tolerance is None
    assert "does not vary" in str(found.blocks())
    write_file(found.calibration, tmp_path / "t.yaml")
    (column,) = gate(runs[0], runs[1], calibration=tmp_path / "t.yaml").comparisons
    assert (column.tolerance, column.reason) == (0.001, "")


def test_neither_costs_nor_what_nobody_sees_make_an_alarm(make_run, tmp_path: Path) -> None:
    def runs(name: str, l1: tuple[float, ...], seconds: float) -> list[Path]:
        made = []
        for seed, value in enumerate(l1):
            cost = {"latency_s": dict.fromkeys(CLIPS, seconds + seed / 100)}
            values = {"l1": dict.fromkeys(CLIPS, value)} | cost
            made.append(make_run(f"{name}-{seed}", values, seed=seed))
        return made

    file = tmp_path / "first.yaml"
    write_file(calibrate(runs("before", (0.0200, 0.0204, 0.0209), 1.0)).calibration, file)
    now = calibrate(runs("now", (0.0200, 0.0204, 0.0211), 9.0), against=file)
    assert now.changes["l1"].verdict == "same"
    assert set(now.changes) == {"l1"}
    assert now.exit_code == 0
    assert "costs belong to a machine" in str(now.blocks())


def test_what_is_no_repetition_is_refused(unchanged, make_run, tmp_path: Path) -> None:
    runs = unchanged(3)
    file = tmp_path / "t.yaml"
    write_file(calibrate(runs).calibration, file)
    others = {
        "revision: '1', '2'": unchanged(1, revision="2"),
        "method: 'copy-reference', 'other'": unchanged(1, method="other"),
        "split: 'self', 'cross'": unchanged(1, split="cross"),
        "dataset_digest:": unchanged(1, digest="e1" * 32),
        "detector": unchanged(1, detector="mesh 2"),
        "clips:": [
            make_run("more", {"l1": dict.fromkeys((*CLIPS, "c9"), 0.1)}, clips=(*CLIPS, "c9"), seed=99)
        ],
    }
    for message, more in others.items():
        with pytest.raises(UserError, match=message):
            calibrate([*runs, *more])
    (crossed,) = others["split: 'self', 'cross'"]
    for wrong, message in (
        (lambda: calibrate(runs[:2]), "expected 3 unchanged runs or more, got 2"),
        (lambda: calibrate([*runs, runs[0]]), "a folder twice"),
        (lambda: calibrate(runs, false_alarms=1.5), "--false-alarms: expected a share"),
        (lambda: gate(runs[0], runs[1], calibration=file, clips=2), "expected a calibration of the baseline's clips"),
        (lambda: gate(crossed, crossed, calibration=file), "expected a calibration of the baseline's split, cross"),
        (lambda: calibrate(runs, against=tmp_path / "gone.yaml"), r"gone\.yaml: no such file"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=message):
            wrong()
    file.write_text(file.read_text().replace("false_alarms: 0.05", "false_alarms: nan"))
    with pytest.raises(UserError, match=r"t\.yaml: not usable YAML|t\.yaml: false_alarms"):
        gate(runs[0], runs[1], calibration=file)
