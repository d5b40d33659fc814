"""The released networks against numbers that the official code made, and against the lists of its tensors.

`pytest -rP` prints how far they are apart.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fye_faster.diffusion.schedule import ddim
from fye_faster.models.released import RELEASED, ReleasedAnimator, ReleasedModel
from fye_faster.models.released_weights import MODULES, fill, public_names
from fye_faster.nets import reference_attention
from released_golden import GOLDEN, made_input, public_state
from tiny_model import SHARED

FACTS = SHARED / "facts"
COUNTS = {  # tensors of the public file, parameters
    "unet": (1276, 1_313_517_444),
    "referencenet": (666, 857_956_480),
    "lmk_guider": (16, 1_086_480),
    "vae": (248, 83_653_863),
    "image_encoder": (392, 303_966_208),
}

needs_golden = pytest.mark.skipif(
    not (FACTS / "fye_golden").is_dir(), reason="the golden outputs are not beside the repository"
)
needs_manifests = pytest.mark.skipif(
    not (FACTS / "fye_state_dicts").is_dir(), reason="the tensor lists are not beside the repository"
)


@pytest.fixture(scope="module")
def full_size() -> ReleasedModel:
    with torch.device("meta"):
        return ReleasedModel(RELEASED)


@pytest.mark.parametrize("key", MODULES)
def test_full_size_counts_are_the_released_ones(full_size: ReleasedModel, key: str) -> None:
    module = full_size.get_submodule(MODULES[key])
    names = [public for name in module.state_dict() for public in public_names(name)]
    assert (len(set(names)), sum(p.numel() for p in module.parameters())) == COUNTS[key]


@needs_manifests
@pytest.mark.parametrize("key", MODULES)
def test_full_size_names_and_shapes_are_the_released_ones(full_size: ReleasedModel, key: str) -> None:
    module = full_size.get_submodule(MODULES[key])
    (manifest,) = json.loads((FACTS / "fye_state_dicts" / f"{key}.json").read_text()).values()
    ours = {p: list(v.shape) for name, v in module.state_dict().items() for p in public_names(name)}
    assert ours == manifest


@pytest.fixture(scope="module")
def animator(tmp_path_factory: pytest.TempPathFactory) -> ReleasedAnimator:
    """Filled from three torch files with the public names."""
    model = ReleasedAnimator(GOLDEN).eval().requires_grad_(False)
    folder = tmp_path_factory.mktemp("golden")
    for key in ("unet", "referencenet", "lmk_guider"):
        module = model.get_submodule(MODULES[key].removeprefix("animator."))
        path: Path = folder / f"{key}.pth"
        torch.save(public_state(module, key), path)
        fill(module, key, path)
    return model


@pytest.fixture(scope="module")
def golden() -> Iterator[np.lib.npyio.NpzFile]:
    with np.load(FACTS / "fye_golden/golden_tiny_net.npz", allow_pickle=False) as arrays:
        yield arrays


def close(ours: torch.Tensor, official: np.ndarray) -> None:
    print(f"at most {np.abs(ours.numpy() - official).max():.1e} of {np.abs(official).max():.2g}")
    torch.testing.assert_close(ours, torch.from_numpy(official), atol=1e-4, rtol=1e-4)


def maps() -> torch.Tensor:
    return made_input("lmk", 1, 3, 5, 128, 128).sigmoid().transpose(1, 2)


@needs_golden
def test_landmark_features_are_the_official_ones(
    animator: ReleasedAnimator, golden: np.lib.npyio.NpzFile
) -> None:
    condition = animator.encode_condition(maps())
    close(condition[0, :, 0], golden["guider_out_f0"])
    close(condition.mean((3, 4)), golden["guider_out_mean"])


@needs_golden
def test_reference_features_are_the_official_ones(
    animator: ReleasedAnimator, golden: np.lib.npyio.NpzFile
) -> None:
    clip = made_input("clip", 1, 257, 1024)  # row 0 was made without
    portrait = animator.encode_reference(
        made_input("ref", 1, 4, 16, 16).expand(2, -1, -1, -1), torch.cat([torch.zeros_like(clip), clip])
    )
    down, middle, up = portrait.features[:6], portrait.features[6], portrait.features[7:]
    assert len(up) == 9
    for name, feature in (("down_0", down[0]), ("mid", middle), ("up_last", up[-1])):
        close(feature, golden[f"ref_{name}"])
    for side, features in (("down", down), ("up", up)):
        for i, feature in enumerate(features):
            close(feature.mean(1), golden[f"ref_{side}_{i}_mean"])


@needs_golden
def test_both_guidance_rows_are_the_official_ones(
    animator: ReleasedAnimator, golden: np.lib.npyio.NpzFile
) -> None:
    animator.set_reference(
        animator.encode_reference(made_input("ref", 1, 4, 16, 16), made_input("clip", 1, 257, 1024))
    )
    noisy, condition = made_input("latents", 1, 4, 5, 16, 16), animator.encode_condition(maps())
    t = torch.tensor(499)
    animator.drop_reference(1)
    close(
        animator.denoise(noisy.expand(2, -1, -1, -1, -1), t, condition.expand(2, -1, -1, -1, -1)),
        golden["cfg_pred"],
    )
    animator.drop_reference(0)
    close(animator.denoise(noisy, t, condition), golden["cfg_pred"][1:])
    reference_attention.clear_reference(animator.denoiser)
    close(animator.denoise(noisy, t, condition), golden["cfg_pred"][:1])


@needs_golden
def test_the_table_of_ddim_steps_is_the_official_one() -> None:
    official = json.loads((FACTS / "fye_golden/ddim_zero_snr_30.json").read_text())
    scheduler = ddim(30)
    assert scheduler.timesteps.tolist() == official["timesteps"]
    alphas = scheduler.alphas_cumprod[scheduler.timesteps]
    assert alphas[0] == 0
    wanted = torch.tensor(official["alphas_cumprod_at"])
    print(f"alphas: at most {(alphas - wanted).abs().max():.1e}")
    torch.testing.assert_close(alphas, wanted, atol=1e-7, rtol=1e-5)
    assert float(scheduler.final_alpha_cumprod) == official["final_alpha_cumprod"]
