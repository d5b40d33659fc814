"""The cache on the tiny animator, step by step as the samplers call it."""

from collections import Counter

import pytest
import torch
from fye_faster.accel.accelerator import ClipInfo, TaylorCached
from fye_faster.accel.tic import TaylorCache
from fye_faster.diffusion import sampler
from fye_faster.diffusion.sampler import Guided, overlapping_windows, progressive, spans
from fye_faster.diffusion.schedule import ddim
from fye_faster.nets.animator import Animator, motion_modules
from fye_faster.presets import Preset
from small_unets import BOTH, SCOPES, config
from torch import Tensor, nn


@pytest.fixture(scope="module")
def animator(tiny: Preset) -> Animator:
    torch.manual_seed(2)
    model = Animator(tiny).eval().requires_grad_(False)
    for module in motion_modules(model.denoiser):  # a trained model's are not zero
        nn.init.normal_(module.proj_out.weight, std=0.1)
    return model


STEPS, CLIP = 6, 6


def sample(
    animator: Animator, tiny: Preset, strategy: str, cached: TaylorCached | None, guided: float
) -> Tensor:
    """Latents of a clip whose last steps run without the unconditional row."""
    generator = torch.Generator().manual_seed(3)
    side, channels = tiny.latent_size, tiny.latent_channels
    portrait = torch.randn(1, channels, side, side, generator=generator)
    maps = torch.rand(CLIP, 3, tiny.resolution, tiny.resolution, generator=generator)
    noise = torch.randn(1, channels, CLIP, side, side, generator=generator)
    animator.set_reference(animator.encode_reference(portrait, maps[:1]))
    scheduler = ddim(STEPS)

    def condition(frames: list[int], anchors: Tensor | None) -> sampler.Predict:
        still = portrait[:, :, None].expand(-1, -1, len(frames), -1, -1)
        condition = animator.encode_condition(maps[frames][None], portrait, still, anchors)
        predict = Guided(animator, condition, scheduler.timesteps, 3.5, guided, 0.0)
        return predict if cached is None else cached.around(predict, frames)

    def progress(_done: int, _total: int) -> None:
        pass

    if strategy == "progressive":
        return progressive(condition, noise, scheduler, length=4, progress=progress)
    return overlapping_windows(
        condition, noise, scheduler, windows=spans(noise.shape[2], 4, 2), progress=progress
    )


@pytest.mark.parametrize("strategy", ["progressive", "overlapping"])
@pytest.mark.parametrize(("scope", "quantity"), SCOPES)
def test_the_animator_samples_the_same_without_skips_and_less_work_with(
    animator: Animator, tiny: Preset, strategy: str, scope: str, quantity: str | None
) -> None:
    plain = sample(animator, tiny, strategy, None, 0.5)
    for interval in (1, 3):
        cached = TaylorCached(config(scope, quantity, steps=STEPS, interval=interval, mask="expression"))
        calls: Counter[bool] = Counter()
        middle = animator.denoiser.mid_block.resnets[0].conv1
        hook = middle.register_forward_hook(lambda *_, calls=calls: calls.update([True]))
        clip = ClipInfo(CLIP, (tiny.latent_size,) * 2, lambda frames: torch.ones(len(frames), 3, 64, 64))
        with cached.attached(animator.denoiser, clip):
            result = sample(animator, tiny, strategy, cached, 0.5)
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
    animator.clear_reference()

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
