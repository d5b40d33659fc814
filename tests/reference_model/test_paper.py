"""The paper's architecture: sizes, and which tensor of which starting checkpoint goes where."""

import json
from pathlib import Path

import pytest
import torch
from fye_faster.models.paper import PAPER, PaperModel, start
from fye_faster.models.released import RELEASED, ReleasedModel
from paper_start import SMALL, meta, shapes, write
from released_golden import made_input
from tiny_model import SHARED

MANIFESTS = SHARED / "facts/fye_state_dicts"


@pytest.fixture(scope="module")
def full_size() -> PaperModel:
    return meta(PAPER)


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_full_size_is_the_released_one_with_a_qformer_and_anchors(full_size: PaperModel) -> None:
    with torch.device("meta"):
        released = ReleasedModel(RELEASED)
    linear = 1024 * 768 + 768
    assert count(full_size.animator.denoiser) == count(released.animator.denoiser) - linear
    assert count(full_size.animator.reference_net) == count(released.animator.reference_net) - linear
    assert len(full_size.animator.image_prompt.layers) == 4
    assert count(full_size.animator.anchors) == 5 * 9 * 320 + 320


def test_full_size_takes_the_public_starting_checkpoints(full_size: PaperModel) -> None:
    """Sizes of Stable Diffusion 1.5, AnimateDiff v2 and CLIP ViT-L/14, tensors and parameters."""
    found = shapes(full_size)
    assert {key: len(names) for key, names in found.items()} == {
        "sd15-unet": 686,
        "motion": 588,
        "sd15-vae": 248,
        "clip": 392,
    }
    assert sum(shape.numel() for shape in found["sd15-unet"].values()) == 859_520_964
    reference = full_size.animator.reference_net.state_dict()
    assert {name: v.shape for name, v in reference.items()}.items() <= found["sd15-unet"].items()
    assert len(reference) == 686 - 22


@pytest.mark.skipif(not MANIFESTS.is_dir(), reason="the tensor lists are not beside the repository")
@pytest.mark.parametrize(
    ("key", "manifest"),
    [("sd15-unet", "sd_base_unet2d"), ("motion", "animatediff_mm_sd_v15_v2"), ("sd15-vae", "vae")],
)
def test_full_size_names_and_shapes_are_the_public_ones(
    full_size: PaperModel, key: str, manifest: str
) -> None:
    (public,) = json.loads((MANIFESTS / f"{manifest}.json").read_text()).values()
    assert {name: list(shape) for name, shape in shapes(full_size)[key].items()} == public


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Starting checkpoints of the small size."""
    return write(tmp_path_factory.mktemp("start"))


def test_each_checkpoint_fills_its_part_and_the_rest_starts_neutral(files: dict[str, Path]) -> None:
    torch.manual_seed(0)
    model = PaperModel(SMALL).eval().requires_grad_(False)
    queries = model.animator.image_prompt.queries.clone()
    start(model, files)
    animator = model.animator
    unet, motion = (torch.load(files[key], weights_only=True) for key in ("sd15-unet", "motion"))
    assert torch.equal(animator.denoiser.conv_in.conv.weight, unet["conv_in.weight"])
    assert torch.equal(animator.reference_net.conv_in.weight, unet["conv_in.weight"])
    name = "mid_block.motion_modules.0.temporal_transformer.proj_in.weight"
    assert torch.equal(animator.denoiser.mid_block.motion_modules[0].proj_in.weight, motion[name])
    assert torch.equal(animator.image_prompt.queries, queries)

    maps = torch.rand(1, 2, 3, 128, 128)
    anchors = torch.ones(1, 5, 2, 16, 16)
    condition = animator.encode_condition(maps, anchors)
    assert torch.equal(
        condition, animator.encode_condition(maps)
    )  # known frames change nothing until they are trained
    portrait = animator.encode_reference(made_input("ref", 1, 4, 16, 16), made_input("clip", 1, 257, 1024))
    assert portrait.tokens.shape == (1, 3, 768)
    animator.set_reference(portrait)
    animator.drop_reference(1)
    noisy = made_input("latents", 1, 4, 2, 16, 16).expand(2, -1, -1, -1, -1)
    v = animator.denoise(noisy, torch.tensor(499), condition.expand(2, -1, -1, -1, -1))
    assert v.isfinite().all()
    assert not torch.equal(v[0], v[1])
    animator.anchors.weight.fill_(0.1)
    assert not torch.equal(animator.encode_condition(maps, anchors), condition)


def test_wrong_checkpoints_are_refused_by_name(files: dict[str, Path], tmp_path: Path) -> None:
    model = meta(SMALL)
    with pytest.raises(ValueError, match="files: expected sd15-unet, sd15-vae, clip, motion, got clip"):
        start(model, {"clip": files["clip"]})
    with pytest.raises(ValueError, match=r"public sd15-unet file.*lacks conv_in\.weight"):
        start(model, files | {"sd15-unet": files["motion"]})
    with pytest.raises(ValueError, match=r"public motion file.*lacks down_blocks\.0\.motion_modules\.0"):
        start(model, files | {"motion": files["sd15-unet"]})
    first = torch.load(files["motion"], weights_only=True)
    first["mid_block.extra"] = torch.zeros(1)
    torch.save(first, tmp_path / "motion.ckpt")
    with pytest.raises(ValueError, match=r"has mid_block\.extra 1 besides"):
        start(model, files | {"motion": tmp_path / "motion.ckpt"})
