"""Misuse of the cache: each is an error that says what to do."""

from collections.abc import Iterator

import pytest
import torch
from diffusers import UNet2DConditionModel
from fye_faster.accel.tic import (
    Adaptive,
    LandmarkMasks,
    TaylorCache,
    TaylorCacheConfig,
    explicit,
)
from fye_faster.nets.animator import stills
from small_unets import BOTH, COMMON, call, config, forwards, run
from torch import nn


@pytest.fixture
def attached(motion_unet: nn.Module) -> Iterator[TaylorCache]:
    cache = TaylorCache(config("deep"))
    with cache.attached(motion_unet):
        cache.start(frames=3)
        yield cache


def test_a_second_cache_or_attachment_is_refused(attached: TaylorCache, motion_unet: nn.Module) -> None:
    before = forwards(motion_unet)
    with pytest.raises(RuntimeError, match="attached already"):
        attached.attach(motion_unet)
    with pytest.raises(RuntimeError, match="another Taylor cache"):
        TaylorCache(config("head")).attach(motion_unet)
    assert forwards(motion_unet) == before


def test_detaching_during_a_run_is_refused(attached: TaylorCache, motion_unet: nn.Module) -> None:
    run(attached, motion_unet, range(2))
    with pytest.raises(RuntimeError, match="in progress"):
        attached.detach()
    with attached.step(2, window=range(3), rows=BOTH):
        with pytest.raises(RuntimeError, match="in progress"):
            attached.detach()
        with pytest.raises(RuntimeError, match="during step 2"):
            attached.reset()
        call(motion_unet, 2)
    attached.reset()
    attached.detach()
    attached.attach(motion_unet)


def test_a_forward_that_was_replaced_meanwhile_is_reported(motion_unet: nn.Module) -> None:
    cache = TaylorCache(config("deep"))
    cache.attach(motion_unet)
    with stills(motion_unet):
        pass
    with pytest.raises(RuntimeError, match=r"forward of .*motion_modules.* was replaced"):
        cache.detach()
    assert not any(forwards(motion_unet).values())


def test_the_network_must_run_exactly_once_in_a_step(attached: TaylorCache, motion_unet: nn.Module) -> None:
    with pytest.raises(RuntimeError, match=r"inside `cache\.step"):
        call(motion_unet, 0)
    with pytest.raises(RuntimeError, match="0 of 1 cached modules"), attached.step(0, window=[0], rows=BOTH):
        pass
    with attached.step(0, window=range(3), rows=BOTH):
        call(motion_unet, 0)
        with pytest.raises(RuntimeError, match="ran twice"):
            call(motion_unet, 0)


def test_steps_come_in_order(attached: TaylorCache, motion_unet: nn.Module) -> None:
    with pytest.raises(ValueError, match="expected 0 next"):
        run(attached, motion_unet, [1])
    run(attached, motion_unet, [0])
    with pytest.raises(ValueError, match="expected 1 next"):
        run(attached, motion_unet, [2])
    run(attached, motion_unet, range(1, 6))
    with pytest.raises(ValueError, match="finished all 6"):
        run(attached, motion_unet, [0])


def test_a_failed_step_forgets_its_window(attached: TaylorCache, motion_unet: nn.Module) -> None:
    run(attached, motion_unet, [0])
    with pytest.raises(KeyError), attached.step(1, window=range(3), rows=BOTH):
        raise KeyError
    run(attached, motion_unet, [0])


@pytest.mark.parametrize("step", [1, 3])
def test_features_that_change_shape_are_refused(
    attached: TaylorCache, motion_unet: nn.Module, step: int
) -> None:
    run(attached, motion_unet, range(step))
    with (
        pytest.raises(ValueError, match=r"became .* within one run"),
        attached.step(step, window=range(3), rows=BOTH),
    ):
        call(motion_unet, step, side=16)


def test_windows_and_rows_must_fit(attached: TaylorCache, motion_unet: nn.Module) -> None:
    for window in ([], [3], [-1]):
        with pytest.raises(ValueError, match="window: expected frames from 0 to 2"):
            attached.step(0, window=window, rows=BOTH).__enter__()
    for rows in ((), ("a", "a")):
        with pytest.raises(ValueError, match="distinct"):
            attached.step(0, window=[0], rows=rows).__enter__()
    with (
        pytest.raises(ValueError, match="does not divide into 4"),
        attached.step(0, window=range(3), rows="abcd"),
    ):
        call(motion_unet, 0)
    adaptive = TaylorCache(TaylorCacheConfig(Adaptive(6, 0.1, 2), mask="none"))
    with pytest.raises(RuntimeError, match="start"):
        adaptive.step(0, window=[0], rows=BOTH).__enter__()
    adaptive.start(3)
    with pytest.raises(ValueError, match="signal"):
        adaptive.step(0, window=[0], rows=BOTH).__enter__()


def test_masks_must_be_of_all_frames_of_the_clip(motion_unet: nn.Module) -> None:
    cache, masks = TaylorCache(config("deep", mask="face")), LandmarkMasks(torch.ones(4, 8, 8), (8, 8))
    with pytest.raises(ValueError, match="expected those of 3 frames, got 4"):
        cache.start(3, masks)
    with pytest.raises(ValueError, match="needs the clip's landmark masks"):
        cache.start(3)
    with pytest.raises(ValueError, match="takes none"):
        TaylorCache(config("deep")).start(4, masks)
    with pytest.raises(ValueError, match="frames"):
        TaylorCache(config("deep")).start(0)
    with cache.attached(motion_unet):
        cache.start(4, masks)
        for step in range(4):
            with cache.step(step, window=range(3), rows=BOTH):
                call(motion_unet, step)
        # Noticed on the first step already, though it is a full one.
        with (
            pytest.raises(ValueError, match="3 frames meet masks of 2"),
            cache.step(0, window=range(2), rows=BOTH),
        ):
            call(motion_unet, 0)
        for step in range(4):
            with cache.step(step, window=(2, 3), rows=BOTH):
                call(motion_unet, step, frames=2)


def test_networks_without_the_modules_are_refused(image_unet: nn.Module) -> None:
    with pytest.raises(ValueError, match="Linear without conv_in, down_blocks"):
        TaylorCache(config("deep")).attach(nn.Linear(2, 2))
    bare = UNet2DConditionModel(
        **COMMON,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        mid_block_type=None,
    )
    for scope in ("attention", "transformer"):
        with pytest.raises(ValueError, match=r"looked for .* in `attentions` and `motion_modules`"):
            TaylorCache(config(scope)).attach(bare)
    odd = UNet2DConditionModel(
        **COMMON,
        down_block_types=("DownBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "UpBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        attention_head_dim=8,
    )
    with pytest.raises(ValueError, match=r"do not know how to skip .*looked for resnets"):
        TaylorCache(config("head")).attach(odd)
    assert not any(forwards(odd).values())
    with pytest.raises(ValueError, match="cut: expected a skip connection from 0 to 3, got 4"):
        TaylorCache(config("deep", cut=4)).attach(image_unet)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": -1}, "order"),
        ({"order": 5}, "order"),
        ({"order": 1.5}, "order: expected O from 0 to 4, got 1.5"),
        ({"boundary": 2.5}, "boundary: expected G from 0 to 6"),
        ({"boundary": -1}, "boundary"),
        ({"boundary": 7}, "boundary"),
        ({"mask": "nose"}, "mask"),
        ({"scope": "all"}, "scope"),
        ({"predictor": "spline"}, "predictor"),
        ({"scope": "deep", "quantity": "residual"}, "quantity"),
        ({"scope": "head", "cut": 1}, "cut"),
    ],
)
def test_configurations_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaylorCacheConfig(explicit(6, [0, 2]), **arguments)
