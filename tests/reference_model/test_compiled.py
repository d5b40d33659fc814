"""The compiled denoiser; the backend named eager traces as a compiler does and compiles nothing."""

import numpy as np
import pytest
import torch
from emojibench_baselines.fye.methods import FASTER
from emojibench_metrics.flops import count_flops
from fye_faster.accel import compiled
from fye_faster.accel.accelerator import AcceleratorConfig, Composed
from fye_faster.accel.compiled import Compiled, CompiledDenoiser
from fye_faster.accel.tic import TaylorCacheConfig, uniform
from fye_faster.models.checkpoint import Model
from fye_faster.pipelines.mini import Pipeline
from tiny_model import TINY

from emojibench.errors import UserError


@pytest.mark.slow  # traces the network
@pytest.mark.parametrize("cache", [None, TaylorCacheConfig(uniform(3, 2), scope="head")], ids=["none", "tic"])
def test_the_compiled_way_is_the_eager_one_counted_or_not(
    cache: TaylorCacheConfig | None, moving_landmarks: np.ndarray
) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    pipeline, recipe = Pipeline(Model(TINY)), AcceleratorConfig(3, cache=cache)
    fast = Compiled(recipe, CompiledDenoiser(pipeline.model.animator.denoiser, "eager"))
    assert fast.label == f"{recipe.label}-compiled"

    def frames(accelerator) -> tuple[np.ndarray, int]:
        with count_flops() as counter:
            made = pipeline.animate(picture, moving_landmarks, steps=3, accelerator=accelerator)
        return made.frames, counter.total

    (ours, counted), (eager, wanted) = frames(fast), frames(Composed(recipe))
    assert counted == wanted
    assert np.array_equal(ours, eager)
    assert np.array_equal(
        pipeline.animate(picture, moving_landmarks, steps=3, accelerator=fast).frames, eager
    )


def test_a_machine_that_cannot_compile_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(
        ValueError, match=r"compile: torch\.compile does not work here .*install g\+\+ or clang"
    ):
        compiled.check(torch.device("cpu"))
    with pytest.raises(UserError, match=r"fye-faster: compile: .*or leave compile out"):
        FASTER({"compile": "true"})
