"""What the cache computes, and what it spares, on small UNets."""

import copy
import itertools
import math
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from diffusers import UNetMotionModel
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from fye_faster.accel.tic import (
    Adaptive,
    LandmarkMasks,
    TaylorCache,
    TaylorCacheConfig,
    explicit,
    uniform,
)
from fye_faster.accel.tic.predictors import PREDICTORS, History
from fye_faster.nets.animator import motion_modules
from hypothesis import given, settings
from hypothesis import strategies as st
from small_unets import BOTH, SCOPES, call, config, forwards, latents, run
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@pytest.fixture(params=["motion", "image"])
def unet(request: pytest.FixtureRequest, motion_unet: nn.Module, image_unet: nn.Module) -> nn.Module:
    return motion_unet if request.param == "motion" else image_unet


@pytest.mark.parametrize(("scope", "quantity"), SCOPES)
def test_without_skips_nothing_changes_and_detaching_restores(
    unet: nn.Module, scope: str, quantity: str | None
) -> None:
    plain, before = [call(unet, step) for step in range(3)], forwards(unet)
    cache = TaylorCache(config(scope, quantity, steps=3, interval=1))
    with cache.attached(unet):
        assert forwards(unet) != before
        cache.start(frames=3)
        for cached, expected in zip(run(cache, unet, range(3)), plain, strict=True):
            assert torch.equal(cached, expected)
    assert forwards(unet) == before
    assert torch.equal(call(unet, 1), plain[1])
    cache.detach()  # once more is harmless
    assert forwards(unet) == before


@pytest.mark.parametrize(("scope", "quantity"), SCOPES)
def test_full_steps_are_exact_and_skipped_ones_close(
    unet: nn.Module, scope: str, quantity: str | None
) -> None:
    cache = TaylorCache(config(scope, quantity))
    with cache.attached(unet):
        cache.start(frames=3)
        outputs = run(cache, unet, range(6))
        assert cache.full_steps(range(3)) == (0, 3)
    for step, output in enumerate(outputs):
        exact = call(unet, step)
        assert torch.equal(output, exact) == (step % 3 == 0)
        assert (output - exact).abs().max() < 0.3 * exact.abs().max()


@pytest.mark.parametrize("cut", range(4))
def test_every_cut_of_the_deep_scope_runs_what_lies_above(unet: nn.Module, cut: int) -> None:
    """Skip connections: conv_in, resnet 0, downsampler, resnet 1. With an input that rests, reuse is exact."""
    cache = TaylorCache(config("deep", cut=cut, order=0))
    ran: Counter[str] = Counter()
    resnets = {n: m for n, m in unet.named_modules() if isinstance(m, ResnetBlock2D)}
    with cache.attached(unet):
        cache.start(frames=3)
        expected = run(cache, unet, [0])[0]
        hooks = [m.conv1.register_forward_hook(lambda *_, n=n: ran.update([n])) for n, m in resnets.items()]
        with cache.step(1, window=range(3), rows=BOTH):
            again = call(unet, 0)
        for hook in hooks:
            hook.remove()
    torch.testing.assert_close(again, expected)
    above = [
        "up_blocks.1.resnets.1",
        "up_blocks.1.resnets.0",
        "up_blocks.0.resnets.1",
        "up_blocks.0.resnets.0",
    ]
    above = (
        above[: cut + 1] + ["down_blocks.0.resnets.0"] * (cut >= 1) + ["down_blocks.1.resnets.0"] * (cut >= 3)
    )
    assert ran == Counter(above)


def counted(work: Callable[[], object]) -> tuple[int, dict[str, int]]:
    """FLOPs in total and by module."""
    with FlopCounterMode(display=False, depth=99) as counter:
        work()
    by_module = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    return counter.get_total_flops(), by_module


def skipped_flops(unet: nn.Module, kinds: tuple[type, ...]) -> int:
    """What the modules of some classes on the way down and up cost, by an uncached evaluation."""
    _total, by_module = counted(lambda: call(unet, 0))
    names = [n for n, m in unet.named_modules() if isinstance(m, kinds) and not n.startswith("mid_block")]
    return sum(by_module.get(f"{type(unet).__name__}.{name}", 0) for name in names)


def test_skipped_steps_cost_what_the_scope_leaves_with_a_mask_and_without(motion_unet: nn.Module) -> None:
    unet = motion_unet
    full, by_module = counted(lambda: call(unet, 0))
    temporal = type(motion_modules(unet)[0])
    expected = {
        "attention": full - skipped_flops(unet, (Attention,)),
        "transformer": full - skipped_flops(unet, (Transformer2DModel, temporal)),
        "head": sum(by_module[f"UNetMotionModel.{name}"] for name in ("conv_out", "time_embedding")),
    }
    expected["deep"] = expected["head"] + sum(
        by_module[f"UNetMotionModel.{name}"]
        for name in (
            "conv_in",
            *(f"up_blocks.1.{kind}.1" for kind in ("resnets", "attentions", "motion_modules")),
        )
    )
    costs: dict[str, set[float]] = {}
    for mask, scope in itertools.product(("none", "expression"), expected):
        cache = TaylorCache(config(scope, mask=mask, boundary=6))
        with cache.attached(unet):
            cache.start(3, None if mask == "none" else LandmarkMasks(torch.ones(3, 8, 8), (8, 8)))
            total, _ = counted(lambda cache=cache: run(cache, unet, range(6)))
        costs.setdefault(scope, set()).add((total - 2 * full) / 4)
    assert costs == {scope: {cost} for scope, cost in expected.items()}
    assert expected["head"] < 0.03 * full


def test_quantities_that_are_affine_in_the_step_are_predicted_exactly(image_unet: nn.Module) -> None:
    """The output of the last convolution is linear in the head's features, so both routes agree."""
    outputs = []
    for quantity in ("features", "output"):
        cache = TaylorCache(config("head", quantity, order=1))
        with cache.attached(image_unet):
            cache.start(frames=3)
            outputs.append(run(cache, image_unet, range(6)))
    exact = [call(image_unet, step) for step in (0, 3)]
    for ahead in (1, 2):
        expected = exact[1] + ahead / 3 * (exact[1] - exact[0])
        torch.testing.assert_close(outputs[1][3 + ahead], expected)
        assert (outputs[0][3 + ahead] - expected).abs().max() > 0  # group norm and SiLU lie in between


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 4), max_size=3), st.integers(0, 3), st.integers(0, 3), st.data())
def test_on_any_schedule_the_output_is_the_predictor_of_uncached_ones(
    image_unet: nn.Module, gaps: list[int], tail: int, order: int, data: st.DataObject
) -> None:
    full = [0, *itertools.accumulate(gaps)]
    steps = full[-1] + 1 + tail
    boundary = data.draw(st.integers(0, steps))
    predictor = data.draw(st.sampled_from(PREDICTORS))
    schedule = explicit(steps, full)
    cache = TaylorCache(
        TaylorCacheConfig(schedule, order, boundary, "none", "head", predictor=predictor, quantity="output")
    )
    with cache.attached(image_unet):
        cache.start(frames=3)
        outputs = run(cache, image_unet, range(steps))
        assert cache.full_steps(range(3)) == tuple(full)
    history = History(order)
    for step, output in enumerate(outputs):
        if step in full:
            history.record(step, call(image_unet, step))
            assert torch.equal(output, call(image_unet, step))
        else:
            assert torch.equal(output, history.predict(step, predictor, boundary))


@pytest.mark.parametrize(("scope", "quantity"), SCOPES)
def test_no_step_reads_values_back(motion_unet: nn.Module, scope: str, quantity: str | None) -> None:
    """Meta tensors have none: `.item()`, boolean indexing or a branch on a value would raise."""
    unet = copy.deepcopy(motion_unet).to("meta")
    cache = TaylorCache(config(scope, quantity, mask="expression", boundary=5))
    with cache.attached(unet), torch.device("meta"):
        cache.start(3, LandmarkMasks(torch.ones(3, 8, 8, device="cpu"), (8, 8)))
        for step in range(6):
            with cache.step(step, window=range(3), rows=BOTH):
                unet(torch.empty(2, 4, 3, 8, 8), torch.empty(2), torch.empty(6, 5, 12))


def test_masks_choose_where_features_are_extrapolated(unet: nn.Module) -> None:
    """Head output: every cell of the result is either the repeated or the extrapolated one, by its mask."""

    def outputs(mask: Tensor | None, boundary: int) -> Tensor:
        kind = "none" if mask is None else "expression"
        cache = TaylorCache(config("head", "output", boundary=boundary, mask=kind))
        with cache.attached(unet):
            cache.start(3, None if mask is None else LandmarkMasks(mask, (8, 8)))
            return run(cache, unet, range(6))[5]

    mask = torch.zeros(3, 16, 16)
    mask[0, 4:9, 3] = mask[1, 15, 15] = mask[2, 0, :] = 1
    repeated, extrapolated = outputs(None, 6), outputs(None, 0)
    cells = nn.functional.max_pool2d(mask, 2).bool()[:, None]  # (3, 1, 8, 8)
    where = cells.transpose(0, 1)[None] if isinstance(unet, UNetMotionModel) else cells.repeat(2, 1, 1, 1)
    assert torch.equal(outputs(mask, 6), torch.where(where, extrapolated, repeated))
    assert not torch.equal(repeated, extrapolated)
    assert torch.equal(outputs(mask, 0), extrapolated)
    assert torch.equal(outputs(torch.ones_like(mask), 6), extrapolated)


@pytest.mark.parametrize(
    ("scope", "quantity", "kinds"),
    [
        ("attention", None, (Attention,)),
        ("transformer", "features", (Transformer2DModel, AnimateDiffTransformer3D)),
    ],
)
def test_masks_choose_token_by_token_what_each_module_returns(
    motion_unet: nn.Module, scope: str, quantity: str | None, kinds: tuple[type, ...]
) -> None:
    """At both levels, in every layout, for both guidance rows; masks are pooled here by other means."""
    pixels = torch.zeros(3, 16, 16)
    pixels[0, 5, 3] = pixels[1, 15, 15] = pixels[2, 0, 8] = 1
    watched = {
        n: m for n, m in motion_unet.named_modules() if isinstance(m, kinds) and not n.startswith("mid_block")
    }

    def returned(mask: Tensor | None, boundary: int) -> dict[str, Tensor]:
        kind = "none" if mask is None else "expression"
        cache = TaylorCache(config(scope, quantity, boundary=boundary, mask=kind))
        found: dict[str, Tensor] = {}

        def note(name: str, output: object) -> None:
            found[name] = output if isinstance(output, Tensor) else output[0]  # type: ignore[index]

        with cache.attached(motion_unet):
            cache.start(3, None if mask is None else LandmarkMasks(mask, (8, 8)))
            run(cache, motion_unet, range(5))
            hooks = [m.register_forward_hook(lambda *a, n=n: note(n, a[2])) for n, m in watched.items()]
            with cache.step(5, window=range(3), rows=BOTH, signal=latents(5)):
                call(motion_unet, 5)
            for hook in hooks:
                hook.remove()
        return found

    repeated, extrapolated, mixed = returned(None, 6), returned(None, 0), returned(pixels, 6)
    assert set(mixed) == set(watched)
    sides = set()
    for name, output in mixed.items():
        if output.ndim == 4:  # (rows frames, C, h, w)
            side = output.shape[-1]
            where = cells(pixels, side)[:, None].repeat(2, 1, 1, 1)
        elif output.shape[1] == 3:  # (rows tokens, frames, C)
            side = math.isqrt(output.shape[0] // 2)
            where = cells(pixels, side).flatten(1).T[..., None].repeat(2, 1, 1)
        else:  # (rows frames, tokens, C)
            side = math.isqrt(output.shape[1])
            where = cells(pixels, side).flatten(1)[..., None].repeat(2, 1, 1)
        assert not torch.equal(repeated[name], extrapolated[name])
        assert torch.equal(output, torch.where(where, extrapolated[name], repeated[name])), name
        sides.add(side)
    assert sides == {8, 4}


def cells(pixels: Tensor, side: int) -> Tensor:
    """(T, H, W) to bool (T, side, side): whether any pixel of a cell is set."""
    return pixels.reshape(len(pixels), side, -1, side, pixels.shape[2] // side).amax((2, 4)) > 0


@pytest.mark.parametrize(("cut", "reader"), [(0, "up_blocks.1.resnets.1"), (2, "up_blocks.0.resnets.1")])
def test_masks_choose_cell_by_cell_what_the_deep_scope_hands_up(
    motion_unet: nn.Module, cut: int, reader: str
) -> None:
    pixels = torch.zeros(3, 16, 16)
    pixels[0, 5, 3] = pixels[1, 15, 15] = pixels[2, 0, 8] = 1

    def handed(mask: Tensor | None, boundary: int) -> Tensor:
        kind = "none" if mask is None else "expression"
        cache = TaylorCache(config("deep", cut=cut, boundary=boundary, mask=kind))
        found: list[Tensor] = []
        with cache.attached(motion_unet):
            cache.start(3, None if mask is None else LandmarkMasks(mask, (8, 8)))
            run(cache, motion_unet, range(5))
            module = motion_unet.get_submodule(f"{reader}.norm1")
            hook = module.register_forward_pre_hook(lambda _, args: found.append(args[0]))
            with cache.step(5, window=range(3), rows=BOTH, signal=latents(5)):
                call(motion_unet, 5)
            hook.remove()
        return found[0][:, :-16]  # the others are the skip connection's

    repeated, extrapolated, mixed = handed(None, 6), handed(None, 0), handed(pixels, 6)
    where = cells(pixels, mixed.shape[-1])[:, None].repeat(2, 1, 1, 1)
    assert not torch.equal(repeated, extrapolated)
    assert torch.equal(mixed, torch.where(where, extrapolated, repeated))


def test_every_scope_takes_masks_in_its_layouts(motion_unet: nn.Module) -> None:
    for scope, quantity in SCOPES:
        results = []
        for filled in (1.0, None):  # a full mask before G is as G = 0
            cache = TaylorCache(
                config(scope, quantity, mask="face" if filled else "none", boundary=6 if filled else 0)
            )
            with cache.attached(motion_unet):
                cache.start(3, LandmarkMasks(torch.ones(3, 8, 8), (8, 8)) if filled else None)
                results.append(run(cache, motion_unet, range(6))[5])
        assert torch.equal(*results)


@pytest.mark.parametrize("scope", ["attention", "deep", "head"])
def test_interleaved_windows_equal_separate_runs(motion_unet: nn.Module, scope: str) -> None:
    windows, unet = ((0, 1, 2), (2, 3, 4)), motion_unet
    masks = LandmarkMasks(torch.eye(8).expand(5, 8, 8) * torch.arange(5)[:, None, None], (8, 8))
    cache = TaylorCache(config(scope, mask="expression", boundary=5))

    def step(step: int, k: int) -> Tensor:
        with cache.step(step, window=windows[k], rows=BOTH):
            return call(unet, step, seed=k)

    with cache.attached(unet):
        cache.start(5, masks)
        together = [[step(n, k) for k in (0, 1)] for n in range(6)]
        for k in (0, 1):
            cache.reset()
            for n in range(6):
                assert torch.equal(step(n, k), together[n][k])


def test_a_clip_leaves_nothing_to_the_next(motion_unet: nn.Module) -> None:
    cache = TaylorCache(config("deep", order=2))
    with cache.attached(motion_unet):
        cache.start(frames=3)
        first = run(cache, motion_unet, range(6))
        cache.start(frames=3)
        run(cache, motion_unet, range(4), seed=5)
        cache.start(frames=3)
        for a, b in zip(first, run(cache, motion_unet, range(6)), strict=True):
            assert torch.equal(a, b)
        cache.start(frames=2)
        assert run(cache, motion_unet, range(2), frames=2)[1].shape[2] == 2


def test_instances_on_different_networks_do_not_meet(motion_unet: nn.Module, image_unet: nn.Module) -> None:
    caches = [TaylorCache(config(scope)) for scope in ("deep", "attention")]
    pairs = list(zip(caches, (motion_unet, image_unet), strict=True))
    alone = []
    for cache, unet in pairs:
        with cache.attached(unet):
            cache.start(frames=3)
            alone.append(run(cache, unet, range(6)))
    with caches[0].attached(motion_unet), caches[1].attached(image_unet):
        for cache in caches:
            cache.start(frames=3)
        for step in range(6):
            for k, (cache, unet) in enumerate(pairs):
                assert torch.equal(run(cache, unet, [step])[0], alone[k][step])


def test_adaptive_schedules_follow_the_signal(motion_unet: nn.Module) -> None:
    def full(threshold: float, cap: int) -> tuple[int, ...]:
        schedule = Adaptive(6, threshold, cap)
        cache = TaylorCache(TaylorCacheConfig(schedule, mask="none"))
        with cache.attached(motion_unet):
            cache.start(frames=3)
            run(cache, motion_unet, range(6))
            return cache.full_steps(range(3))

    change = ((latents(1) - latents(0)).abs().mean() / latents(0).abs().mean()).item()
    assert full(0.5 * change, 5) == (0, 1, 2, 3, 4, 5)
    assert full(100 * change, 5) == (0,)
    assert full(100 * change, 2) == (0, 3)
    assert full(1.5 * change, 5) == (0, 2, 4)


def test_the_default_boundary_is_slightly_above_seventy_per_cent(motion_unet: nn.Module) -> None:
    """T = 6, so G = 5: step 4 repeats step 3, step 5 does not."""
    cache = TaylorCache(TaylorCacheConfig(uniform(6, 3), scope="head", mask="none"))
    with cache.attached(motion_unet):
        cache.start(frames=3)
        outputs = run(cache, motion_unet, range(6))
    assert torch.equal(outputs[4], outputs[3])
    assert not torch.equal(outputs[5], outputs[3])
