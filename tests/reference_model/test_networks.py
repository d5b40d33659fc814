import copy

import pytest
import torch
from diffusers.models.attention_processor import Attention
from fye_faster.nets import reference_attention
from fye_faster.nets.animator import Animator, motion_modules, stills
from fye_faster.nets.autoencoder import Autoencoder
from fye_faster.nets.reference_attention import ImagePromptAttention, Memory, ReferenceSelfAttention
from fye_faster.presets import MINI, Preset


@pytest.fixture(scope="module")
def animator(tiny: Preset) -> Animator:
    torch.manual_seed(0)
    model = Animator(tiny).eval().requires_grad_(False)
    for module in motion_modules(model.denoiser):  # a trained model's are not zero
        torch.nn.init.normal_(module.proj_out.weight, std=0.1)
    return model


def inputs(tiny: Preset, samples: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    side = tiny.latent_size
    noisy = torch.randn(samples, tiny.latent_channels, frames, side, side, generator=generator)
    maps = torch.rand(samples, frames, 3, tiny.resolution, tiny.resolution, generator=generator)
    return noisy, maps


def still(portrait: torch.Tensor, frames: int) -> torch.Tensor:
    """A warped portrait that did not move."""
    return portrait[:, :, None].expand(-1, -1, frames, -1, -1)


def portraits(tiny: Preset, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(
        count, tiny.latent_channels, tiny.latent_size, tiny.latent_size, generator=generator
    )
    return latents, torch.rand(count, 3, tiny.resolution, tiny.resolution, generator=generator)


def test_reference_attention_is_attention_over_joined_tokens() -> None:
    torch.manual_seed(0)
    attn = Attention(12, heads=3, dim_head=4).eval()
    own, reference = torch.randn(4, 5, 12), torch.randn(2, 7, 12)  # two samples of two frames
    processor = ReferenceSelfAttention()
    heads = [p(reference).view(2, 7, 3, 4).transpose(1, 2) for p in (attn.to_k, attn.to_v)]
    processor.memory = Memory(*heads, unconditional=0)
    joined = torch.cat([own, reference[[0, 0, 1, 1]]], 1)
    naive = Attention.forward(attn, own, encoder_hidden_states=joined)
    torch.testing.assert_close(processor(attn, own), naive)


def test_image_prompt_attention_is_plain_cross_attention() -> None:
    torch.manual_seed(0)
    attn = Attention(12, cross_attention_dim=6, heads=3, dim_head=4).eval()
    own, tokens = torch.randn(6, 5, 12), torch.randn(2, 7, 6)  # sample 0 unconditional, two frames each
    processor = ImagePromptAttention()
    heads = [p(tokens).view(2, 7, 3, 4).transpose(1, 2) for p in (attn.to_k, attn.to_v)]
    processor.memory = Memory(*heads, unconditional=1)
    answer = processor(attn, own)
    naive = attn(own[2:], encoder_hidden_states=tokens[[0, 0, 1, 1]])
    torch.testing.assert_close(answer[2:], naive)
    torch.testing.assert_close(answer[:2], attn.to_out[0].bias.expand(2, 5, 12))


def test_guidance_rows_equal_separate_runs(animator: Animator, tiny: Preset) -> None:
    noisy, maps = inputs(tiny, 2, 3)
    latents, picture = portraits(tiny, 1)
    latents = latents.expand(2, -1, -1, -1)
    condition = animator.encode_condition(maps, latents, still(latents, 3))
    t = torch.tensor(499)
    animator.set_reference(animator.encode_reference(latents[:1], picture))
    animator.drop_reference(1)
    both = animator.denoise(noisy, t, condition)
    animator.drop_reference(0)
    conditional = animator.denoise(noisy[1:], t, condition[1:])
    animator.clear_reference()
    alone = animator.denoise(noisy[:1], t, condition[:1])
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[1:], conditional, atol=1e-5, rtol=1e-4)
    assert (both[1:] - animator.denoise(noisy[1:], t, condition[1:])).abs().max() > 1e-3


def test_several_targets_of_one_portrait_are_independent_rows(animator: Animator, tiny: Preset) -> None:
    noisy, maps = inputs(tiny, 4, 1)
    t = torch.tensor([10, 200, 500, 999])
    latents, pictures = portraits(tiny, 2)
    own = latents.repeat_interleave(2, 0)
    condition = animator.encode_condition(maps, own, still(own, 1))
    animator.set_reference(animator.encode_reference(latents, pictures))
    together = animator.denoise(noisy, t, condition)
    animator.set_reference(animator.encode_reference(latents[1:], pictures[1:]))
    second = animator.denoise(noisy[2:], t[2:], condition[2:])
    torch.testing.assert_close(together[2:], second, atol=1e-5, rtol=1e-4)


def test_motion_modules_mix_frames_unless_stilled(animator: Animator, tiny: Preset) -> None:
    noisy, maps = inputs(tiny, 1, 3)
    portrait = portraits(tiny, 1)[0]
    condition = animator.encode_condition(maps, portrait, still(portrait, 3))
    other = noisy.clone()
    other[:, :, 2] = 0
    animator.clear_reference()
    t = torch.tensor(300)
    with stills(animator.denoiser):
        assert torch.equal(
            animator.denoise(noisy, t, condition)[:, :, 0], animator.denoise(other, t, condition)[:, :, 0]
        )
    changed = animator.denoise(noisy, t, condition) - animator.denoise(other, t, condition)
    assert changed[:, :, 0].abs().max() > 1e-4


def test_new_motion_modules_change_nothing(tiny: Preset) -> None:
    model = Animator(tiny).eval().requires_grad_(False)
    noisy, maps = inputs(tiny, 1, 3)
    portrait = portraits(tiny, 1)[0]
    condition = model.encode_condition(maps, portrait, still(portrait, 3))
    plain = model.denoise(noisy, torch.tensor(5), condition)
    with stills(model.denoiser):
        torch.testing.assert_close(model.denoise(noisy, torch.tensor(5), condition), plain)


def test_new_anchors_change_nothing_and_trained_ones_their_frame_first(
    animator: Animator, tiny: Preset
) -> None:
    _noisy, maps = inputs(tiny, 1, 3)
    portrait = portraits(tiny, 1)[0]
    anchors = torch.cat([still(portrait, 3), torch.ones(1, 1, 3, *portrait.shape[2:])], 1)
    anchors[:, :, 1] = 0
    plain = animator.encode_condition(maps, portrait, still(portrait, 3))
    assert torch.equal(animator.encode_condition(maps, portrait, still(portrait, 3), anchors), plain)
    trained = copy.deepcopy(animator)
    torch.nn.init.normal_(trained.anchors.weight)
    changed = (
        (trained.encode_condition(maps, portrait, still(portrait, 3), anchors) - plain)
        .abs()
        .amax((0, 1, 3, 4))
    )
    assert changed[0] > 0.1
    assert changed[1] == 0
    assert changed[2] > 0.1


def test_the_guess_lies_between_what_is_made_and_what_is_copied(animator: Animator, tiny: Preset) -> None:
    """At the last timestep v is minus the guess; with gates wide open for one source, that source comes out."""
    noisy, maps = inputs(tiny, 1, 2)
    portrait = portraits(tiny, 1)[0]
    warped = torch.randn(1, tiny.latent_channels, 2, tiny.latent_size, tiny.latent_size)
    model = copy.deepcopy(animator)
    model.clear_reference()
    head = model.denoiser.conv_out[-1]
    for source, expected in ((1, warped), (2, still(portrait, 2))):
        head.weight[tiny.latent_channels :] = 0
        head.bias[tiny.latent_channels :] = torch.tensor([30.0 * (k == source) for k in range(3)])
        v = model.denoise(noisy, torch.tensor(999), model.encode_condition(maps, portrait, warped))
        torch.testing.assert_close(-v, expected, atol=1e-4, rtol=1e-4)


def test_there_is_one_reference_feature_for_each_spatial_block(animator: Animator, tiny: Preset) -> None:
    portrait = animator.encode_reference(*portraits(tiny, 2))
    blocks = list(reference_attention.spatial_blocks(animator.denoiser))
    assert len(portrait.features) == len(blocks) == 2 + 1 + 4
    for feature, block in zip(portrait.features, blocks, strict=True):
        assert feature.shape[0] == 2
        assert feature.shape[2] == block.attn1.to_q.in_features


def test_motion_modules_sit_in_every_block_and_the_middle(animator: Animator) -> None:
    assert len(motion_modules(animator.denoiser)) == 3 + 1 + 6


def test_mini_fits_its_size_limit() -> None:
    with torch.device("meta"):
        parameters = sum(p.numel() for m in (Animator(MINI), Autoencoder(MINI)) for p in m.parameters())
    assert 2 * parameters < 24e6
