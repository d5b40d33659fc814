"""Intervals: axioms, agreement with closed forms, and coverage by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from emojibench.protocol.statistics import (
    clustered_bootstrap,
    holm,
    paired_difference,
    paired_p_value,
    paired_ratio,
)

FINITE = st.floats(-1e3, 1e3, allow_nan=False)
ROWS = st.lists(st.tuples(FINITE, st.integers(0, 4)), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_row_order_changes_no_bit(rows: list[tuple[float, int]], shuffle) -> None:
    mixed = list(rows)
    shuffle.shuffle(mixed)
    results = [clustered_bootstrap(*zip(*data, strict=True), resamples=100) for data in (rows, mixed)]
    np.testing.assert_array_equal(*[(r.mean, r.low, r.high) for r in results])


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_the_interval_holds_the_mean(rows: list[tuple[float, int]]) -> None:
    values, clusters = zip(*rows, strict=True)
    result = clustered_bootstrap(values, clusters, resamples=200)
    assert result.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert result.defined == (len(set(clusters)) > 1)
    if result.defined:
        assert result.low <= result.high


@settings(max_examples=40, deadline=None)
@given(ROWS, FINITE, st.floats(0.1, 10))
def test_units_do_not_matter(rows: list[tuple[float, int]], shift: float, scale: float) -> None:
    values, clusters = zip(*rows, strict=True)
    plain = clustered_bootstrap(values, clusters, resamples=100)
    moved = clustered_bootstrap(scale * np.array(values) + shift, clusters, resamples=100)
    expected = [scale * v + shift for v in (plain.mean, plain.low, plain.high)]
    np.testing.assert_allclose([moved.mean, moved.low, moved.high], expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(FINITE, FINITE, st.integers(0, 4)), min_size=1, max_size=20))
def test_swapping_the_runs_turns_the_sign(rows: list[tuple[float, float, int]]) -> None:
    a, b, clusters = zip(*rows, strict=True)
    forth, back = (paired_difference(*pair, clusters, resamples=100) for pair in ((a, b), (b, a)))
    assert forth.mean == pytest.approx(-back.mean, abs=1e-9)
    np.testing.assert_allclose([forth.low, forth.high], [-back.high, -back.low], atol=1e-6)
    np.testing.assert_allclose(forth.minimum_detectable_effect, back.minimum_detectable_effect, atol=1e-6)


def test_ratio_of_sums_not_mean_of_means() -> None:
    assert clustered_bootstrap([0.0, 0.0, 0.0, 1.0], ["a", "a", "a", "b"]).mean == 0.25


def test_one_cluster_leaves_the_spread_unknown() -> None:
    result = clustered_bootstrap([1.0, 2.0, 3.0], ["a"] * 3)
    assert result.mean == 2
    assert math.isnan(result.low)
    assert math.isnan(result.high)
    pair = paired_difference([1.0, 2.0], [0.0, 0.0], ["a", "a"])
    assert not pair.excludes_zero
    assert math.isnan(pair.minimum_detectable_effect)


def test_copies_inside_a_cluster_do_not_narrow_the_interval() -> None:
    values = [1.0, 2.0, 4.0, 8.0]
    single = clustered_bootstrap(values, range(4))
    copied = clustered_bootstrap(np.repeat(values, 50), np.repeat(range(4), 50))
    assert copied.high - copied.low == pytest.approx(single.high - single.low)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="1 of 2 values are not finite"):
        clustered_bootstrap([1.0, bad], ["a", "b"])


@pytest.mark.parametrize(
    ("values", "clusters", "settings", "message"),
    [
        ([], [], {}, "non-empty"),
        ([1.0], ["a", "b"], {}, "1 values but 2 cluster labels"),
        ([1.0], ["a"], {"level": 1.0}, "level in"),
        ([1.0], ["a"], {"resamples": 5}, "at least 100"),
    ],
)
def test_bad_arguments(values, clusters, settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        clustered_bootstrap(values, clusters, **settings)


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        paired_difference([1.0], [1.0, 2.0], ["a"])


@pytest.mark.parametrize("groups", [4, 12])
def test_coverage_is_what_it_says(groups: int) -> None:
    """95 % intervals hold the true mean in 92 to 98 % of 500 simulated experiments with correlated clips."""
    rng = np.random.default_rng(7)
    clusters = np.repeat(np.arange(groups), 3)
    hits = 0
    for i in range(500):
        values = rng.normal(size=groups)[clusters] + 0.5 * rng.normal(size=3 * groups)
        result = clustered_bootstrap(values, clusters, seed=i, resamples=250)
        hits += result.low <= 0 <= result.high
    assert 0.92 <= hits / 500 <= 0.98


def test_the_minimum_detectable_effect_is_detected_four_times_out_of_five() -> None:
    rng = np.random.default_rng(3)
    groups, found = 16, 0
    effect = (2.1314 + 0.8662) / math.sqrt(groups)  # t quantiles for 15 degrees of freedom, unit variance
    effects = []
    for i in range(300):
        noise = rng.normal(size=groups)
        result = paired_difference(noise + effect, np.zeros(groups), range(groups), seed=i, resamples=250)
        effects.append(result.minimum_detectable_effect)
        found += result.excludes_zero
    assert found / 300 == pytest.approx(0.8, abs=0.06)
    assert np.mean(effects) == pytest.approx(effect, rel=0.05)


def test_p_with_one_clip_a_portrait_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=12), rng.normal(0.4, size=12)
    assert paired_p_value(a, b, range(12)) == pytest.approx(ttest_rel(a, b).pvalue)


def test_clips_of_one_portrait_count_once() -> None:
    a, b = [1.0, 2.0, 4.0], [0.5, 1.9, 3.1]
    alone = paired_p_value(a, b, "xyz")
    assert paired_p_value(a * 5, b * 5, "xyz" * 5) == pytest.approx(alone)
    assert math.isnan(paired_p_value(a, b, "xxx"))
    assert paired_p_value(a, a, "xyz") == 1


def test_holm_steps_down_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, math.nan, 0.02])[::2] == pytest.approx([0.9, 0.04])
    assert holm([0.7, 0.6]) == [1.0, 1.0]


def test_ratios_have_intervals_on_either_side_of_one_that_mirror_each_other() -> None:
    a, b = [8.0, 9.0, 7.0, 8.0], [2.0, 2.0, 2.5, 1.5]
    found, turned = paired_ratio(a, b, "wxyz"), paired_ratio(b, a, "wxyz")
    assert found.mean == 4
    assert (turned.low, turned.high) == pytest.approx((1 / found.high, 1 / found.low))
    assert found.low < 4 < found.high
    assert paired_ratio([4.0, 8.0], [1.0, 2.0], "xy").low == pytest.approx(4)
    with pytest.raises(ValueError, match="positive"):
        paired_ratio([0.0], [1.0], "x")
