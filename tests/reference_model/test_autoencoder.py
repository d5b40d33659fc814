import pytest
import torch
from fye_faster.nets.autoencoder import FLOW_UNIT, Autoencoder, shift
from fye_faster.presets import Preset


def test_the_patch_start_reconstructs_pictures_it_was_fitted_to(tiny: Preset) -> None:
    torch.manual_seed(0)
    # Pictures of four free numbers a patch: exactly as many as there are channels.
    side, grid = tiny.downscale, tiny.latent_size
    basis = torch.randn(4, 3 * side * side)
    patches = (torch.randn(32 * grid * grid, 4) @ basis).view(32, grid, grid, 3, side, side)
    pictures = patches.permute(0, 3, 1, 4, 2, 5).reshape(32, 3, 64, 64)
    model = Autoencoder(tiny).requires_grad_(False)
    model.start_from_patches(pictures)
    raw = model.raw(pictures)
    assert raw.square().mean().sqrt() == pytest.approx(1, abs=0.05)
    # Nothing to copy from, and gates that say so.
    model.decoder.compose[0].bias.view(6, 16)[3] = 30
    nothing = torch.zeros_like(pictures)
    error = (model.picture(raw, nothing, nothing, nothing) - pictures).abs().mean() / pictures.abs().mean()
    assert error < 0.1
    model.normalise(raw)
    torch.testing.assert_close(
        model.encode(pictures).square().mean(), torch.tensor(1.0), atol=1e-3, rtol=1e-3
    )
    decoded = model.decode(model.encode(pictures), nothing, nothing, nothing)
    torch.testing.assert_close(decoded, model.picture(raw, nothing, nothing, nothing), atol=1e-3, rtol=1e-3)
    model.decoder.compose[0].bias.view(6, 16)[:] = torch.tensor([0, 0, 0, 0, 30, 0])[:, None]
    torch.testing.assert_close(model.picture(raw, pictures, nothing, nothing), pictures, atol=1e-3, rtol=1e-3)


def test_a_flow_says_where_each_pixel_comes_from() -> None:
    picture = torch.rand(1, 3, 16, 24)
    still = torch.zeros(1, 2, 4, 6)
    torch.testing.assert_close(shift(picture, still), picture, atol=1e-5, rtol=1e-5)
    right, down = 5, 2
    flow = still.clone()
    flow[:, 0], flow[:, 1] = right, down
    shifted = shift(picture, flow)
    torch.testing.assert_close(
        shifted[..., :-down, :-right], picture[..., down:, right:], atol=1e-4, rtol=1e-4
    )
    # Beyond the edge, the edge's colours.
    torch.testing.assert_close(shifted[..., -1, -1], picture[..., -1, -1], atol=1e-4, rtol=1e-4)


def test_the_decoder_copies_the_moved_portrait_along_its_flow(tiny: Preset) -> None:
    torch.manual_seed(0)
    model = Autoencoder(tiny).requires_grad_(False)
    warped, other = torch.rand(2, 3, 64, 64), torch.zeros(2, 3, 64, 64)
    raw = torch.randn(2, tiny.latent_channels, tiny.latent_size, tiny.latent_size)
    model.decoder.compose[0].bias.view(6, 16)[4] = 30
    torch.testing.assert_close(model.picture(raw, warped, other, other), warped, atol=1e-4, rtol=1e-4)
    model.decoder.flow.bias[0] = 3 / FLOW_UNIT
    shifted = model.picture(raw, warped, other, other)
    torch.testing.assert_close(shifted[..., :-3], warped[..., 3:], atol=1e-4, rtol=1e-4)
