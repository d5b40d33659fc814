import pytest
import torch
from fye_faster.accel.tic import LandmarkMasks, regions
from tiny_model import head

from emojibench.face.draw import draw

CPU = torch.device("cpu")


def one_hot(frames: int = 3, size: int = 32) -> torch.Tensor:
    """One pixel set in each frame, elsewhere in each."""
    masks = torch.zeros(frames, size, size, dtype=torch.bool)
    for k in range(frames):
        masks[k, 5 * k + 1, 7 * k + 2] = True
    return masks


@pytest.mark.parametrize("grid", [(16, 16), (8, 8), (4, 4), (2, 2)])
def test_one_pixel_reaches_exactly_its_cell_in_every_layout(grid: tuple[int, int]) -> None:
    height, width = grid
    window = LandmarkMasks(one_hot(), (16, 16)).window([2, 0])
    expected = torch.zeros(2, height, width, dtype=torch.bool)
    for k, frame in enumerate((2, 0)):
        expected[k, (5 * frame + 1) * height // 32, (7 * frame + 2) * width // 32] = True
    assert torch.equal(window.on("map", (2, height, width), CPU)[:, 0], expected)
    tokens = window.on("tokens", (2, height * width), CPU)
    assert torch.equal(tokens[..., 0], expected.flatten(1))
    assert torch.equal(window.on("motion", (height * width, 2), CPU)[..., 0], expected.flatten(1).T)


def test_grids_of_odd_sizes_halve_as_strided_convolutions_do() -> None:
    window = LandmarkMasks(one_hot(1, 32), (7, 5)).window([0])
    for height, width in ((7, 5), (4, 3), (2, 2), (1, 1)):
        assert window.on("tokens", (1, height * width), CPU).shape == (1, height * width, 1)
        assert window.on("tokens", (1, height * width), CPU).any()


def test_a_frame_without_a_face_is_masked_all_over() -> None:
    masks = one_hot()
    masks[1] = False
    pooled = LandmarkMasks(masks, (8, 8)).window([0, 1, 2]).on("map", (3, 8, 8), CPU)
    assert pooled.flatten(1).sum(1).tolist() == [1, 64, 1]


def test_regions_of_condition_maps() -> None:
    points = torch.tensor(head()) / torch.tensor([200.0, 240.0, 200.0])
    landmarks = torch.stack([points, torch.full_like(points, torch.nan)]).numpy()
    maps = torch.from_numpy(draw(landmarks, (64, 64))).permute(0, 3, 1, 2) / 255
    drawn = (maps > 0).any(1)
    expression, face = regions(maps, "expression"), regions(maps, "face")
    assert expression[0].sum() > drawn[0].sum() > 0
    assert (expression | ~drawn).all()
    assert (face | ~expression).all()
    assert face[0].sum() > expression[0].sum()
    assert not expression[1].any()
    assert not face[1].any()


def test_masks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(T, H, W\)"):
        LandmarkMasks(torch.ones(3, 1, 8, 8), (8, 8))
    with pytest.raises(ValueError, match="latent grid"):
        LandmarkMasks(torch.ones(3, 4, 8), (8, 8))
    window = LandmarkMasks(one_hot(), (8, 8)).window([0, 1])
    with pytest.raises(ValueError, match="3 frames meet masks of 2"):
        window.on("map", (3, 8, 8), CPU)
    with pytest.raises(ValueError, match="63 tokens"):
        window.on("tokens", (2, 63), CPU)
    with pytest.raises(ValueError, match="region"):
        regions(torch.zeros(1, 3, 8, 8), "nose")
    with pytest.raises(ValueError, match="maps"):
        regions(torch.zeros(1, 8, 8), "face")
