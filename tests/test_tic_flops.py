"""`benchmarks/tic_flops.py`: the full-size network costs what adding up its layers on paper gives."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import tic_flops


@pytest.mark.parametrize(
    ("size", "wanted", "share"),
    [(256, 279.6, 0.067), pytest.param(512, 1272.6, 0.083, marks=pytest.mark.slow)],
)
def test_full_and_skipped_steps_of_the_full_size_network(size: int, wanted: float, share: float) -> None:
    unet, inputs = tic_flops.full_size(), tic_flops.full_size_inputs(size)
    full = tic_flops.gigaflops(unet, inputs)
    assert full == pytest.approx(wanted, rel=0.01)
    deep = {"scope": "deep", "cut": 0}
    assert tic_flops.skipped(unet, inputs, deep) / full == pytest.approx(share, abs=0.002)
    masked = deep | {"mask": "expression", "boundary": None}
    assert tic_flops.skipped(unet, inputs, masked) == tic_flops.skipped(unet, inputs, deep)
