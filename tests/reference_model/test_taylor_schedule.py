import pytest
from fye_faster.accel.tic import Adaptive, explicit, uniform, warm_up
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("steps", "interval", "count"), [(30, 1, 30), (30, 2, 15), (30, 3, 10), (30, 5, 6), (7, 3, 3), (1, 1, 1)]
)
def test_uniform_schedules_are_every_nth_step(steps: int, interval: int, count: int) -> None:
    schedule = uniform(steps, interval)
    full = [n for n in range(steps) if schedule.is_full(n, 0, 0.0)]
    assert full == [n for n in range(steps) if n % interval == 0]
    assert len(full) == count


@given(st.data())
def test_warm_up_runs_the_first_steps_then_every_nth(data: st.DataObject) -> None:
    steps = data.draw(st.integers(1, 40))
    interval, first = data.draw(st.integers(1, steps)), data.draw(st.integers(1, steps))
    full = warm_up(steps, interval, first).full
    assert full[:first] == tuple(range(first))
    assert all(b - a == interval for a, b in zip(full[first - 1 :], full[first:], strict=False))
    assert steps - full[-1] <= interval


def test_adaptive_schedules_refresh_on_drift_or_at_the_cap() -> None:
    schedule = Adaptive(steps=10, threshold=0.5, cap=3)
    assert schedule.is_full(0, 0, 0.0)
    assert not schedule.is_full(4, 2, 0.5)
    assert schedule.is_full(4, 2, 0.51)
    assert schedule.is_full(4, 3, 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: uniform(30, 0), "interval"),
        (lambda: uniform(30, 31), "interval"),
        (lambda: uniform(0, 1), "steps"),
        (lambda: warm_up(30, 3, 0), "first"),
        (lambda: warm_up(30, 3, 31), "first"),
        (lambda: explicit(10, [1, 4]), "step 0"),
        (lambda: explicit(10, []), "step 0"),
        (lambda: explicit(10, [0, 10]), "below 10"),
        (lambda: explicit(10, [0, 4, 4]), "ascending"),
        (lambda: explicit(10, [0, 4.5]), "ascending whole numbers"),
        (lambda: explicit(10, [0, 5, 4]), "ascending"),
        (lambda: Adaptive(10, 0.0, 3), "threshold"),
        (lambda: Adaptive(10, float("nan"), 3), "threshold"),
        (lambda: Adaptive(10, 0.1, 0), "cap"),
        (lambda: Adaptive(10, 0.1, 10), "cap"),
    ],
)
def test_schedules_out_of_range_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
