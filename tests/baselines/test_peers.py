"""Rivals beside the published packages, on a 2-D UNet: `pip install emojibench[peers]`."""

import copy
from types import SimpleNamespace

import pytest
import torch
from diffusers import PyramidAttentionBroadcastConfig, UNet2DConditionModel, apply_pyramid_attention_broadcast
from emojibench_baselines.fye.methods import DEEPCACHE
from emojibench_baselines.fye.reference_model import Given
from fye_faster.accel.accelerator import ClipInfo
from fye_faster.accel.rivals.broadcast import Broadcast
from fye_faster.accel.rivals.merging import TokenMerged
from fye_faster.accel.tic import TaylorCache
from fye_faster.diffusion.schedule import ddim
from torch import Tensor

STEPS = 9


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    """With three skip connections a level, which DeepCache takes for granted."""
    torch.manual_seed(0)
    return (
        UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(16, 32),
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=2,
            norm_num_groups=8,
            cross_attention_dim=12,
            attention_head_dim=2,
        )
        .eval()
        .requires_grad_(False)
    )


def evaluate(unet: UNet2DConditionModel, step: int) -> Tensor:
    """A batch of two that drifts with the step."""
    base, drift = torch.randn(2, 2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
    text = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(2))
    return unet(base + 0.1 * step * drift, ddim(STEPS).timesteps[step], text).sample


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_deepcache(unet: UNet2DConditionModel, cut: int) -> None:
    helper_class = pytest.importorskip("DeepCache", reason="DeepCache is not installed").DeepCacheSDHelper
    plain = [evaluate(unet, step) for step in range(STEPS)]
    helper = helper_class(SimpleNamespace(unet=unet, scheduler=ddim(STEPS)))
    helper.set_params(cache_interval=3, cache_branch_id=cut)
    helper.enable()
    theirs = [evaluate(unet, step) for step in range(STEPS)]
    helper.disable()
    ours = []
    cache = TaylorCache(DEEPCACHE.accelerator(Given({"cut": cut}, STEPS, unet)).config)
    with cache.attached(unet):
        cache.start(frames=1)
        for step in range(STEPS):
            with cache.step(step, window=[0], rows=("unconditional", "conditional")):
                ours.append(evaluate(unet, step))
    report("DeepCache", ours, theirs, plain)


@pytest.mark.parametrize("downsample", [1, 2])
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_tomesd(unet: UNet2DConditionModel, ratio: float, downsample: int) -> None:
    tomesd = pytest.importorskip("tomesd", reason="tomesd is not installed")
    plain = [evaluate(unet, step) for step in range(3)]
    torch.manual_seed(0)  # tomesd begins where the global generator stands, ours with this seed
    tomesd.apply_patch(unet, ratio=ratio, max_downsample=downsample)
    theirs = [evaluate(unet, step) for step in range(3)]
    tomesd.remove_patch(unet)
    with TokenMerged(ratio, downsample).attached(unet, ClipInfo(1, (16, 16), lambda frames: torch.empty(0))):
        ours = [evaluate(unet, step) for step in range(3)]
    report("tomesd", ours, theirs, plain)


class Evaluated:
    """Stands in for `Guided`: two rows at every step."""

    guided = STEPS

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self.unet = unet

    def __call__(self, _noisy: Tensor, step: int) -> Tensor:
        return evaluate(self.unet, step)


def test_attention_broadcast_of_diffusers(unet: UNet2DConditionModel) -> None:
    plain = [evaluate(unet, step) for step in range(STEPS)]
    timesteps, now = ddim(STEPS).timesteps.tolist(), [0]
    other = copy.deepcopy(unet)
    config = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        cross_attention_block_skip_range=3,
        current_timestep_callback=lambda: timesteps[now[0]],
    )
    apply_pyramid_attention_broadcast(other, config)
    theirs = []
    for step in range(STEPS):
        now[0] = step
        theirs.append(evaluate(other, step))
    broadcast = Broadcast({"spatial": 2, "cross": 3, "temporal": 1}, low=100, high=800)
    broadcast.scheduler(STEPS)
    with broadcast.attached(unet, ClipInfo(1, (16, 16), lambda frames: torch.empty(0))):
        predict = broadcast.around(Evaluated(unet), [0])
        ours = [predict(torch.empty(0), step) for step in range(STEPS)]
    report("diffusers", ours, theirs, plain)


def report(name: str, ours: list[Tensor], theirs: list[Tensor], plain: list[Tensor]) -> None:
    """Ours and theirs agree far more closely than either with the plain network."""
    apart = (torch.stack(ours) - torch.stack(theirs)).abs().max().item()
    effect = (torch.stack(theirs) - torch.stack(plain)).abs().max().item()
    print(f"{name}: at most {apart:.1e} apart; they change the output by up to {effect:.1e}")
    assert effect > 1e-3
    assert apart < 1e-3 * effect
