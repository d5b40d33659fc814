"""The compiled loops of metrics."""

import numba
import pytest
from emojibench_metrics import compiled
from numba.core.dispatcher import Dispatcher


def test_without_a_folder_to_keep_it_in_a_function_is_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    njit = numba.njit

    def nowhere(*function: object, cache: bool = False, **others: object) -> object:
        if cache:
            raise RuntimeError("no locator available")
        return njit(*function, **others)

    monkeypatch.setattr(numba, "njit", nowhere)

    def twice(x: float) -> float:
        return 2 * x

    fast = compiled._compiled("contract")(twice)
    assert isinstance(fast, Dispatcher)
    assert fast(3.0) == 6.0
