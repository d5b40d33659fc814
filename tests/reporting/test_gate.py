"""The gate: direction, chance, tolerance, and what could not be measured."""

from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from emojibench.errors import UserError
from emojibench.reports.gating import Comparison, GateResult, gate
from emojibench.reports.verdicts import Tolerance, Verdict
from emojibench.runs.cost import WARM_UP

BASE = {"c0": 0.010, "c1": 0.020, "c2": 0.030, "c3": 0.040}


def moved(amount: float, values: dict[str, float] = BASE, noise: float = 0.0) -> dict[str, float]:
    """Every clip moved by `amount`, with alternating noise around it."""
    return {clip: value + amount + noise * (-1) ** i for i, (clip, value) in enumerate(values.items())}


@pytest.fixture
def verdicts(make_run):
    """Compare two sets of columns and return verdicts by column, both ways round."""
    count = iter(range(1000))

    def compare(baseline, run, baseline_options=None, run_options=None, **settings) -> dict[str, Comparison]:
        number = next(count)
        first = make_run(f"base-{number}", baseline, **(baseline_options or {}))
        second = make_run(f"run-{number}", run, **(run_options or {}))
        return {c.column: c for c in gate(first, second, **settings).comparisons}

    return compare


@pytest.mark.parametrize(
    ("column", "bad"), [("l1", +0.01), ("ssim", -0.01), ("id_sim", -0.02), ("jitter", +0.01)]
)
def test_swapping_the_runs_turns_a_regression_into_an_improvement(verdicts, column: str, bad: float) -> None:
    forth = verdicts({column: BASE}, {column: moved(bad)})[column]
    back = verdicts({column: moved(bad)}, {column: BASE})[column]
    assert forth.verdict == Verdict.REGRESSED
    assert back.verdict == Verdict.IMPROVED
    assert forth.effect == pytest.approx(bad)
    assert back.effect == pytest.approx(-bad)


def test_a_difference_within_tolerance_is_the_same(verdicts) -> None:
    result = verdicts({"l1": BASE}, {"l1": moved(0.0009)})["l1"]
    assert result.verdict == Verdict.SAME
    assert result.low is not None
    assert result.low > 0  # real, but too small to matter


@pytest.mark.parametrize(
    ("amount", "noise", "verdict"),
    [
        (0.01, 0.02, "undecided"),  # large, but the interval includes zero
        (0.0, 0.02, "undecided"),  # no change on average, but nobody knows
        (0.0, 0.0001, "same"),  # the whole interval is within the tolerance
        (0.0008, 0.0004, "undecided"),  # real and small, but perhaps not small enough
        (0.01, 0.001, "regressed"),
        (-0.01, 0.001, "improved"),
    ],
)
def test_the_same_is_what_the_interval_shows_to_be_within_tolerance(
    verdicts, amount: float, noise: float, verdict: str
) -> None:
    result = verdicts({"l1": BASE}, {"l1": moved(amount, noise=noise)})["l1"]
    assert result.verdict == verdict
    assert result.effect == pytest.approx(amount)


def test_what_is_undecided_passes_only_where_that_is_said(make_run) -> None:
    first, second = make_run("a", {"l1": BASE}), make_run("b", {"l1": moved(0.01, noise=0.02)})
    assert (gate(first, second).verdict, gate(first, second).exit_code) == (Verdict.UNDECIDED, 3)
    allowed = gate(first, second, allow_undecided=True)
    assert (allowed.verdict, allowed.exit_code) == (Verdict.SAME, 0)
    assert allowed.comparisons[0].verdict == Verdict.UNDECIDED  # and is still shown


def test_no_percentage_of_zero_is_a_tolerance(verdicts) -> None:
    zero = dict.fromkeys(BASE, 0.0)
    for change, verdict in ((0.0009, "same"), (0.002, "regressed")):  # three digits are printed
        result = verdicts({"jitter": zero}, {"jitter": moved(change, zero)})["jitter"]
        assert (result.verdict, result.tolerance) == (verdict, 0.001)


def test_tolerances_override_the_defaults(verdicts) -> None:
    for given_, verdict in (({"l1": "0.02"}, "same"), ({"l*": "10%"}, "regressed"), ({"l1": "50%"}, "same")):
        assert verdicts({"l1": BASE}, {"l1": moved(0.01)}, tolerances=given_)["l1"].verdict == verdict


def test_pairs_are_compared_not_means(verdicts) -> None:
    """Clips differ far more from each other than the runs do; unpaired intervals would hide the change."""
    result = verdicts({"l1": BASE}, {"l1": moved(0.002)})["l1"]
    assert result.verdict == Verdict.REGRESSED


def test_a_column_that_only_one_run_has_could_not_be_measured(verdicts) -> None:
    reason = "weights are not here"
    assert verdicts({"l1": BASE}, {"l1": reason})["l1"].verdict == Verdict.UNMEASURED
    assert verdicts({"l1": reason}, {"l1": BASE})["l1"].verdict == Verdict.UNMEASURED
    assert verdicts({"l1": BASE, "ssim": BASE}, {"l1": BASE})["ssim"].reason == "not in the run"
    assert verdicts({"l1": BASE}, {"l1": BASE, "new": BASE})["new"].verdict == Verdict.INFO  # one more metric


def test_a_column_that_neither_run_has_does_not_count(verdicts) -> None:
    result = verdicts({"l1": BASE, "ssim": "no weights"}, {"l1": BASE, "ssim": "no weights"})
    assert result["ssim"].verdict == Verdict.INFO
    assert result["l1"].verdict == Verdict.SAME


def test_lost_clips_are_not_averaged_away(verdicts) -> None:
    lost = {**BASE, "c3": "no face found"}
    result = verdicts({"l1": BASE}, {"l1": lost})["l1"]
    assert result.verdict == Verdict.UNMEASURED
    assert "1 clips lost their value (c3" in result.reason
    assert verdicts({"l1": lost}, {"l1": BASE})["l1"].verdict == Verdict.SAME  # gained, on the common clips


def test_clips_that_warmed_a_worker_up_are_not_lost(verdicts, make_run) -> None:
    seconds = dict.fromkeys(BASE, 2.0)
    base, run = (make_run(name, {"latency_s": seconds}) for name in ("first", "second"))
    table = parquet.read_table(run / "rows.parquet")
    notes = [WARM_UP if clip == "c0" else "" for clip in table["clip_id"].to_pylist()]
    table = table.set_column(table.schema.get_field_index("note"), "note", pyarrow.array(notes))
    parquet.write_table(table, run / "rows.parquet")
    (result,) = gate(base, run, gate_costs=True).comparisons
    assert (result.verdict, result.clips) == (Verdict.SAME, 3)


def test_versions_of_a_metric_are_not_compared(verdicts) -> None:
    old, new = {"versions": {"l1": 1}}, {"versions": {"l1": 2}}
    result = verdicts({"l1": BASE}, {"l1": moved(0.01)}, old, new)["l1"]
    assert result.verdict == Verdict.UNMEASURED
    assert result.reason == "version 1 of the metric in the baseline, 2 in the run"
    unsaid = verdicts({"ssim": BASE}, {"ssim": moved(-0.01)}, None, {"versions": {"ssim": 2}})["ssim"]
    assert unsaid.verdict == Verdict.REGRESSED


SOME = {clip: BASE[clip] for clip in ("c0", "c1", "c2")}
FEW = {"clips": tuple(SOME)}


def test_clips_that_the_run_lacks_could_not_be_measured(verdicts) -> None:
    result = verdicts({"l1": BASE}, {"l1": SOME}, run_options=FEW)["l1"]
    assert (result.verdict, result.clips) == (Verdict.UNMEASURED, 3)
    assert "1 of the baseline's 4 clips are not in the run (c3 is the first)" in result.reason
    worse = verdicts({"l1": BASE}, {"l1": moved(0.01, SOME)}, run_options=FEW)["l1"]
    assert worse.verdict == Verdict.REGRESSED  # what is there is bad enough
    better = verdicts({"l1": BASE}, {"l1": moved(-0.01, SOME)}, run_options=FEW)["l1"]
    assert better.verdict == Verdict.UNMEASURED
    assert verdicts({"l1": SOME}, {"l1": BASE}, FEW)["l1"].verdict == Verdict.SAME  # more than the baseline


def test_fewer_clips_are_compared_where_they_were_chosen(make_run) -> None:
    base, run = (
        make_run("a", {"l1": BASE, "fvd": 100.0}),
        make_run("b", {"l1": SOME, "fvd": 90.0}, clips=tuple(SOME)),
    )
    for clips in (3, ["c1", "c0"]):
        result = gate(base, run, clips=clips)
        assert result.verdict == Verdict.SAME
        assert f"on {3 if clips == 3 else 2} of the baseline's 4 clips, as chosen" in result.markdown()
    assert gate(base, run, clips=4).verdict == Verdict.UNMEASURED
    for clips in (0, 5, [], ["c9"]):
        with pytest.raises(UserError, match="--clips"):
            gate(base, run, clips=clips)


def test_means_of_fewer_frames_are_no_improvement(verdicts) -> None:
    for share, verdict in ((0.98, "could not measure"), (0.005, "improved")):
        result = verdicts({"id_sim": BASE}, {"id_sim": moved(0.9)}, None, {"lost": {"id_sim": share}})[
            "id_sim"
        ]
        assert result.verdict == verdict
    text = GateResult(Path("a"), Path("b"), (result,)).markdown()
    assert "0.9250 (0.5 % lost)" in text


def test_one_portrait_or_no_common_clip_could_not_be_measured(verdicts) -> None:
    alone = {"subjects": dict.fromkeys(BASE, "one")}
    assert verdicts({"l1": BASE}, {"l1": BASE}, alone, alone)["l1"].verdict == Verdict.UNMEASURED
    others = {"clips": ("c8", "c9")}
    assert (
        verdicts({"l1": BASE}, {"l1": {"c8": 1.0, "c9": 1.0}}, None, others)["l1"].verdict
        == Verdict.UNMEASURED
    )


def test_values_of_a_set_need_the_same_clips(verdicts) -> None:
    same = verdicts({"fvd": 100.0}, {"fvd": 104.0})["fvd"]
    assert (same.verdict, same.low) == (Verdict.SAME, None)
    assert "N = 4" in same.reason
    assert verdicts({"fvd": 100.0}, {"fvd": 106.0})["fvd"].verdict == Verdict.REGRESSED
    assert verdicts({"fvd": 106.0}, {"fvd": 100.0})["fvd"].verdict == Verdict.IMPROVED
    fewer = verdicts({"fvd": 100.0}, {"fvd": 100.0}, run_options={"clips": ("c0", "c1")})["fvd"]
    assert fewer.verdict == Verdict.UNMEASURED
    lacking = [{"lacking": {"fvd": {clip: "the method failed"}}} for clip in ("c0", "c1")]
    assert verdicts({"fvd": 100.0}, {"fvd": 100.0}, *lacking)["fvd"].verdict == Verdict.UNMEASURED
    assert verdicts({"fvd": 100.0}, {"fvd": 100.0}, lacking[0], lacking[0])["fvd"].verdict == Verdict.SAME


def test_costs_are_shown_and_judged_only_on_request(verdicts) -> None:
    slow = ({"l1": BASE, "latency_s": BASE}, {"l1": BASE, "latency_s": moved(1.0)})
    assert verdicts(*slow)["latency_s"].verdict == Verdict.INFO
    assert verdicts(*slow)["latency_s"].effect == pytest.approx(1.0)
    assert verdicts(*slow, gate_costs=True)["latency_s"].verdict == Verdict.REGRESSED
    for options, reason in (
        ({"jobs": 4}, "made by 1 and by 4 workers at a time"),
        ({"device": "cuda: big"}, "made on different machines"),
    ):
        found = verdicts(*slow, gate_costs=True, run_options=options)["latency_s"]
        assert (found.verdict, found.reason) == (Verdict.UNMEASURED, reason)
    gone = ({"l1": BASE, "latency_s": BASE}, {"l1": BASE})
    assert verdicts(*gone)["latency_s"].verdict == Verdict.INFO


def test_columns_without_direction_are_never_judged(verdicts) -> None:
    assert verdicts({"homemade": BASE}, {"homemade": moved(5.0)})["homemade"].verdict == Verdict.INFO


@pytest.mark.parametrize(
    ("found", "verdict", "code"),
    [
        ("same same", "same", 0),
        ("regressed improved", "regressed", 1),
        ("regressed could_not_measure", "regressed", 1),
        ("improved could_not_measure", "could not measure", 3),
        ("improved same not_gated", "improved", 4),
        ("undecided improved same", "undecided", 3),
        ("undecided could_not_measure", "could not measure", 3),
        ("not_gated", "could not measure", 3),
        ("", "could not measure", 3),
    ],
)
def test_the_worst_column_decides(found: str, verdict: str, code: int) -> None:
    columns = [Comparison(str(i), "lower", Verdict(v.replace("_", " "))) for i, v in enumerate(found.split())]
    result = GateResult(Path("a"), Path("b"), tuple(columns))
    assert (result.verdict, result.exit_code) == (verdict, code)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"digest": "e2" * 32}, "dataset: mini 1"),
        ({"split": "cross"}, "split: self / cross"),
        ({"detector": "mesh 2"}, "protocol detector: mesh 1 / mesh 2"),
    ],
)
def test_runs_that_do_not_compare_are_refused(make_run, other, message: str) -> None:
    first, second = make_run("a", {"l1": BASE}), make_run("b", {"l1": BASE}, **other)
    with pytest.raises(UserError, match=message):
        gate(first, second)


def test_missing_and_unfinished_folders_are_errors(make_run, tmp_path: Path) -> None:
    done = make_run("done", {"l1": BASE})
    with pytest.raises(UserError, match="no such run folder"):
        gate(tmp_path / "nowhere", done)
    with pytest.raises(UserError, match="not finished"):
        gate(done, make_run("waiting", {"l1": BASE}, finished=False))


@pytest.mark.parametrize("text", ["", "%", "-1", "nan", "two", "1%%"])
def test_tolerances_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UserError, match="expected a number such as"):
        Tolerance.parse(text, "--tolerance l1")


def test_a_tolerance_for_an_unknown_column(make_run) -> None:
    run = make_run("a", {"l1": BASE})
    with pytest.raises(UserError, match="no such column; there are l1"):
        gate(run, run, tolerances={"l2": "1"})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_run_against_itself_is_the_same(verdicts, values: list[float]) -> None:
    columns = {"l1": dict(zip(BASE, values, strict=True)), "fvd": values[0], "ssim": BASE}
    result = verdicts(columns, columns)
    assert {c.verdict for c in result.values()} == {Verdict.SAME}


def test_functions_survive_the_import_of_their_modules(make_run) -> None:
    import emojibench.reports.load

    run = make_run("a", {"l1": BASE})
    assert emojibench.gate(run, run).exit_code == 0
    with pytest.raises(UserError, match="no finished run"):
        emojibench.report("/nonexistent")
