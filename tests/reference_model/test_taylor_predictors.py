import itertools

import pytest
import torch
from fye_faster.accel.tic.predictors import PREDICTORS, History, Predictor, coefficients
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor


def forecast(
    function: object, steps: list[int], at: int, order: int, predictor: Predictor, start: int = 0
) -> float:
    """What is predicted for step `at` of a scalar function of the step that was seen at `steps`."""
    history = History(order)
    for step in steps:
        history.record(step, torch.tensor([float(function(step))], dtype=torch.float64))
    return history.predict(at, predictor, start).item()


@pytest.mark.parametrize("predictor", PREDICTORS)
@pytest.mark.parametrize("order", [0, 1, 3])
def test_constants_stay_exactly(predictor: Predictor, order: int) -> None:
    assert forecast(lambda _: 0.1, [0, 1, 3, 6], 8, order, predictor) == 0.1


@pytest.mark.parametrize("predictor", ["eq4", "newton"])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_affine_features_are_exact_after_two_refreshes(predictor: Predictor, order: int) -> None:
    assert forecast(lambda n: 2 * n + 1, [0, 3], 5, order, predictor) == 11
    assert forecast(lambda n: 2 * n + 1, [0, 1, 5], 8, order, predictor) == pytest.approx(17, abs=1e-12)


@pytest.mark.parametrize(("interval", "k"), [(2, 1), (3, 1), (3, 2), (5, 4)])
def test_eq4_misses_a_square_by_the_interval_times_the_distance(interval: int, k: int) -> None:
    steps = [0, interval, 2 * interval, 3 * interval]
    at = steps[-1] + k
    for order in (2, 3):
        assert forecast(lambda n: n**2, steps, at, order, "eq4") - at**2 == pytest.approx(-interval * k)
        assert forecast(lambda n: n**2, steps, at, order, "newton") == pytest.approx(at**2)


@pytest.mark.parametrize(
    ("predictor", "order", "error"),
    [("eq4", 2, -242), ("eq4", 3, -234), ("newton", 2, -80), ("newton", 3, 0)],
)
def test_errors_on_a_cube(predictor: Predictor, order: int, error: float) -> None:
    assert forecast(lambda n: n**3, [0, 3, 6, 9, 12], 14, order, predictor) - 14**3 == pytest.approx(error)


@pytest.mark.parametrize(("order", "weights"), [(2, (1.889, -1.111, 0.222)), (3, None)])
def test_eq4_weights_at_two_thirds(order: int, weights: tuple[float, ...] | None) -> None:
    """The weight of each refresh is the prediction for an indicator of it."""
    found = [forecast(lambda n, b=b: n == b, [0, 3, 6, 9], 11, order, "eq4") for b in (9, 6, 3, 0)]
    if weights:
        assert found[:3] == pytest.approx(weights, abs=1e-3)
    assert sum(map(abs, found)) == pytest.approx({2: 3.22, 3: 3.62}[order], abs=0.01)


def test_literal_readings_pile_increments_up() -> None:
    for predictor, moves in (("literal", [0, 1, 3, 6]), ("literal-updated", [1, 3, 6, 10])):
        assert [forecast(lambda n: n, [0, 5], 5 + k, 1, predictor) - 5 for k in (1, 2, 3, 4)] == moves


def test_the_literal_reading_never_predicts_at_interval_two() -> None:
    for order in (1, 2, 3):
        assert forecast(lambda n: n**2, [0, 2, 4, 6], 7, order, "literal") == 36


def test_literal_increments_start_at_the_boundary() -> None:
    # Refreshes at 0 and 5, slope 1, G = 7: of the increments 1, 2, 3 at steps 6, 7, 8 the last two act.
    assert forecast(lambda n: n, [0, 5], 8, 1, "literal-updated", start=7) == 5 + 2 + 3


def test_the_order_grows_with_the_refreshes() -> None:
    history, reached = History(2), []
    for step in (0, 3, 6, 9):
        history.record(step, torch.zeros(1))
        reached.append(history.order)
    assert reached == [0, 1, 2, 2]


def test_order_zero_and_steps_before_the_boundary_repeat_the_last_feature() -> None:
    for predictor in PREDICTORS:
        assert forecast(lambda n: n**2, [0, 3, 6], 8, 0, predictor) == 36
        assert forecast(lambda n: n**2, [0, 3, 6], 8, 2, predictor, start=9) == 36


def test_masked_elements_are_extrapolated_and_the_others_repeated_exactly() -> None:
    generator = torch.Generator().manual_seed(0)
    history = History(2)
    for step in (0, 3, 6):
        history.record(step, torch.randn(4, 5, 2, generator=generator))
    mask = torch.zeros(4, 5, 1, dtype=torch.bool)
    mask[1, 3] = True
    inside, outside = history.predict(8, "eq4", 0), history.predict(8, "eq4", 9)
    blended = history.predict(8, "eq4", 9, mask)
    assert torch.equal(blended, torch.where(mask, inside, outside))
    assert not torch.equal(blended, outside)
    assert torch.equal(history.predict(8, "eq4", 9, torch.ones_like(mask)), inside)
    assert torch.equal(history.predict(8, "eq4", 9, torch.zeros_like(mask)), outside)


def test_bfloat16_differences_are_kept_in_single_precision() -> None:
    values = [torch.tensor([v], dtype=torch.bfloat16) for v in (1.0, 1.0078125, 2.0)]
    history = History(2)
    for step, value in zip((0, 3, 7), values, strict=True):
        history.record(step, value)
    exact = History(2)
    for step, value in zip((0, 3, 7), values, strict=True):
        exact.record(step, value.double())
    predicted = history.predict(9, "newton", 0)
    assert predicted.dtype == torch.bfloat16
    assert torch.equal(predicted, exact.predict(9, "newton", 0).bfloat16())


schedules = st.lists(st.integers(1, 5), min_size=1, max_size=7).map(
    lambda gaps: [0, *itertools.accumulate(gaps)]
)


@given(schedules, st.integers(1, 5), st.integers(0, 4), st.data())
def test_newton_is_exact_for_polynomials_on_any_schedule(
    steps: list[int], ahead: int, order: int, data: st.DataObject
) -> None:
    degree = min(order, len(steps) - 1)
    factors = data.draw(st.lists(st.integers(-3, 3), min_size=degree + 1, max_size=degree + 1))

    def polynomial(n: int) -> int:
        return sum(c * n**i for i, c in enumerate(factors))

    at = steps[-1] + ahead
    scale = sum(abs(c) * at**i for i, c in enumerate(factors))
    assert abs(forecast(polynomial, steps, at, order, "newton") - polynomial(at)) <= 1e-9 * max(scale, 1)


@given(schedules, st.integers(1, 5), st.integers(0, 4), st.sampled_from(PREDICTORS), st.integers(0, 40))
def test_predictions_are_linear_in_the_history(
    steps: list[int], ahead: int, order: int, predictor: Predictor, start: int
) -> None:
    generator = torch.Generator().manual_seed(len(steps))
    a, b = torch.randn(2, len(steps), 3, generator=generator, dtype=torch.float64)

    def predict(features: Tensor) -> Tensor:
        history = History(order)
        for step, feature in zip(steps, features, strict=True):
            history.record(step, feature)
        return history.predict(steps[-1] + ahead, predictor, start)

    torch.testing.assert_close(predict(2 * a - 3 * b), 2 * predict(a) - 3 * predict(b))


@given(schedules, st.integers(1, 5))
def test_a_late_start_switches_every_term_off(steps: list[int], ahead: int) -> None:
    at = steps[-1] + ahead
    for predictor in PREDICTORS:
        assert not any(coefficients(predictor, at, steps[::-1], at + 1))
