"""The cache on small UNets and on the tiny animator, step by step as the samplers call it."""

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from diffusers import UNet2DConditionModel, UNetMotionModel
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reference_model import sampler
from reference_model.networks import Animator, motion_modules, stills
from reference_model.presets import Preset
from reference_model.sampler import Guided, overlapping_windows, progressive
from reference_model.schedule import ddim
from reference_model.taylor_cache import (
    Adaptive,
    LandmarkMasks,
    TaylorCache,
    TaylorCacheConfig,
    explicit,
    uniform,
)
from reference_model.taylor_cache.predictors import PREDICTORS, History

BOTH = ("unconditional", "conditional")
SCOPES = [
    ("attention", None),
    ("transformer", "residual"),
    ("transformer", "features"),
    ("deep", None),
    ("head", "features"),
    ("head", "output"),
]
COMMON = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (16, 32),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "cross_attention_dim": 12,
}


@pytest.fixture(scope="module")
def motion_unet() -> nn.Module:
    torch.manual_seed(0)
    unet = UNetMotionModel(
        **COMMON,
        down_block_types=("CrossAttnDownBlockMotion", "DownBlockMotion"),
        up_block_types=("UpBlockMotion", "CrossAttnUpBlockMotion"),
        num_attention_heads=2,
        motion_num_attention_heads=2,
        motion_max_seq_length=8,
        use_motion_mid_block=True,
    )
    return unet.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def image_unet() -> nn.Module:
    torch.manual_seed(1)
    unet = UNet2DConditionModel(
        **COMMON,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
    )
    return unet.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def animator(tiny: Preset) -> Animator:
    torch.manual_seed(2)
    model = Animator(tiny).eval().requires_grad_(False)
    for module in motion_modules(model.denoiser):  # a trained model's are not zero
        nn.init.normal_(module.proj_out.weight, std=0.1)
    return model


def latents(step: int, frames: int = 3, rows: int = 2, side: int = 8) -> Tensor:
    """A batch that drifts with the step: (rows, 4, frames, side, side)."""
    generator = torch.Generator().manual_seed(7)
    base, drift = torch.randn(2, rows, 4, frames, side, side, generator=generator)
    return base + 0.1 * step * drift


def call(unet: nn.Module, step: int, frames: int = 3, rows: int = 2, seed: int = 0, side: int = 8) -> Tensor:
    """One evaluation: (rows frames, 4, side, side), or (rows, 4, frames, side, side) with motion modules."""
    noisy, t = latents(step, frames, rows, side) + seed, torch.tensor(900 - 50 * step)
    text = torch.randn(rows, 5, 12, generator=torch.Generator().manual_seed(8))
    # UNetMotionModel repeats the timestep for each frame but wants the text for each.
    text = text.repeat_interleave(frames, 0)
    if isinstance(unet, UNet2DConditionModel):
        return unet(noisy.transpose(1, 2).flatten(0, 1), t, text).sample
    return unet(noisy, t, text).sample


def run(cache: TaylorCache, unet: nn.Module, steps: Sequence[int], **arguments: int) -> list[Tensor]:
    frames = arguments.get("frames", 3)
    outputs = []
    for step in steps:
        with cache.step(step, window=range(frames), rows=BOTH, signal=latents(step)):
            outputs.append(call(unet, step, **arguments))
    return outputs


def config(scope: str, quantity: str | None = None, *, steps: int = 6, interval: int = 3, **more: object):
    more = {"mask": "none", "boundary": 0} | more
    return TaylorCacheConfig(uniform(steps, interval), scope=scope, quantity=quantity, **more)


def forwards(unet: nn.Module) -> dict[str, object]:
    return {name: module.__dict__.get("forward") for name, module in unet.named_modules()}


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
        assert (output - exact).abs().max() < exact.abs().max()


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


@pytest.mark.parametrize("mask", ["none", "expression"])
def test_skipped_steps_cost_what_the_scope_leaves(motion_unet: nn.Module, mask: str) -> None:
    unet = motion_unet
    full, _ = counted(lambda: call(unet, 0))
    temporal = type(motion_modules(unet)[0])
    expected = {
        "attention": full - skipped_flops(unet, (Attention,)),
        "transformer": full - skipped_flops(unet, (Transformer2DModel, temporal)),
    }
    costs = {}
    for scope in ("attention", "transformer", "deep", "head"):
        cache = TaylorCache(config(scope, mask=mask, boundary=6))
        with cache.attached(unet):
            cache.start(3, None if mask == "none" else LandmarkMasks(torch.ones(3, 8, 8), (8, 8)))
            total, _ = counted(lambda cache=cache: run(cache, unet, range(6)))
        costs[scope] = (total - 2 * full) / 4
    for scope, cost in expected.items():
        assert costs[scope] == cost
    assert full > costs["attention"] > costs["transformer"] > costs["deep"] > costs["head"] > 0
    assert costs["head"] < 0.03 * full  # the last convolution and the embedding of the step


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


class Cached:
    """The hook point: around `Guided.__call__`, which calls the denoiser once for a step of a window."""

    def __init__(self, guided: Guided, cache: TaylorCache, frames: list[int]) -> None:
        self.guided, self.cache, self.frames = guided, cache, frames

    def __call__(self, noisy: Tensor, step: int) -> Tensor:
        rows = BOTH if step < self.guided.guided else BOTH[1:]
        with self.cache.step(step, window=self.frames, rows=rows, signal=noisy):
            return self.guided(noisy, step)


STEPS, CLIP = 6, 6


def sample(
    animator: Animator, tiny: Preset, strategy: str, cache: TaylorCache | None, guided: float
) -> Tensor:
    """Latents of a clip whose last steps run without the unconditional row."""
    generator = torch.Generator().manual_seed(3)
    side, channels = tiny.latent_size, tiny.latent_channels
    portrait = torch.randn(1, channels, side, side, generator=generator)
    maps = torch.rand(CLIP, 3, tiny.resolution, tiny.resolution, generator=generator)
    noise = torch.randn(1, channels, CLIP, side, side, generator=generator)
    animator.remember(animator.look(portrait, maps[:1]))
    scheduler = ddim(STEPS)

    def condition(frames: list[int], anchors: Tensor | None) -> sampler.Predict:
        still = portrait[:, :, None].expand(-1, -1, len(frames), -1, -1)
        places = animator.place(maps[frames][None], portrait, still, anchors)
        predict = Guided(animator, places, scheduler.timesteps, 3.5, guided, 0.0)
        return predict if cache is None else Cached(predict, cache, frames)

    def progress(_done: int, _total: int) -> None:
        pass

    if strategy == "progressive":
        return progressive(condition, noise, scheduler, length=4, progress=progress)
    return overlapping_windows(condition, noise, scheduler, length=4, overlap=2, progress=progress)


@pytest.mark.parametrize("strategy", ["progressive", "overlapping"])
@pytest.mark.parametrize(("scope", "quantity"), SCOPES)
def test_the_animator_samples_the_same_without_skips_and_less_work_with(
    animator: Animator, tiny: Preset, strategy: str, scope: str, quantity: str | None
) -> None:
    plain = sample(animator, tiny, strategy, None, 0.5)
    for interval in (1, 3):
        cache = TaylorCache(config(scope, quantity, steps=STEPS, interval=interval, mask="expression"))
        calls: Counter[bool] = Counter()
        middle = animator.denoiser.mid_block.resnets[0].conv1
        hook = middle.register_forward_hook(lambda *_, calls=calls: calls.update([True]))
        with cache.attached(animator.denoiser):
            cache.start(CLIP, LandmarkMasks(torch.ones(CLIP, 64, 64), (tiny.latent_size,) * 2))
            result = sample(animator, tiny, strategy, cache, 0.5)
        hook.remove()
        assert torch.equal(result, plain) == (interval == 1)
        assert result.isfinite().all()
        windows = calls.total() / (STEPS if interval == 1 or scope in ("attention", "transformer") else 2)
        assert windows == (3 if strategy == "progressive" else 2)


def test_conditional_rows_go_on_with_their_own_history(animator: Animator, tiny: Preset) -> None:
    """When the unconditional row stops between two full steps, the conditional row is as if it had been alone."""
    cache = TaylorCache(config("head", steps=STEPS, order=1))
    unet = animator.denoiser
    noisy = torch.randn(2, tiny.latent_channels + tiny.widths[0], 3, tiny.latent_size, tiny.latent_size)
    animator.forget()

    def evaluate(step: int, rows: tuple[str, ...]) -> Tensor:
        batch = noisy[-len(rows) :] * (1 + 0.1 * step)
        with cache.step(step, window=range(3), rows=rows):
            return unet(batch, torch.tensor(100 * step), None).sample

    with cache.attached(unet):
        cache.start(frames=3)
        mixed = [evaluate(n, BOTH if n < 4 else BOTH[1:])[-1:] for n in range(STEPS)]
        cache.reset()
        for n in range(STEPS):
            torch.testing.assert_close(mixed[n], evaluate(n, BOTH[1:]), atol=1e-5, rtol=1e-4)
        cache.reset()
        for n in range(4):
            evaluate(n, BOTH[1:])
        with pytest.raises(ValueError, match=r"'unconditional' was absent at the last full step \(3\)"):
            evaluate(4, BOTH)


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


def test_the_default_boundary_is_slightly_above_seventy_per_cent(motion_unet: nn.Module) -> None:
    """T = 6, so G = 5: step 4 repeats step 3, step 5 does not."""
    cache = TaylorCache(TaylorCacheConfig(uniform(6, 3), scope="head", mask="none"))
    with cache.attached(motion_unet):
        cache.start(frames=3)
        outputs = run(cache, motion_unet, range(6))
    assert torch.equal(outputs[4], outputs[3])
    assert not torch.equal(outputs[5], outputs[3])
