import numpy as np
import pytest
from fye_faster.presets import MINI
from tiny_model import SHARED, head

from emojibench.face import draw as landmarks
from emojibench.fye.ablation import matrix


def normalised() -> np.ndarray:
    return (head() / (200, 240, 200))[None]


def test_maps_show_what_was_asked_for() -> None:
    points = normalised()
    eyes = landmarks.draw(points, (128, 128), groups=("eyes",))
    colours = {tuple(c) for c in eyes.reshape(-1, 3)}
    assert colours == {(0, 0, 0), (10, 200, 180), (180, 200, 10)}
    pupils = landmarks.draw(points, (512, 512), groups=("pupils",))
    assert (pupils == landmarks.PUPIL_COLOUR).all(-1).sum() == 72


def colours(maps: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in maps.reshape(-1, 3).tolist()} - {(0, 0, 0)}


def test_variants_of_the_ablation_differ_by_just_what_they_are_named_for() -> None:
    points = normalised()
    rows = {row.name: row.landmarks for row in matrix.read(matrix.PAPER) if row.landmarks}
    maps = {name: landmarks.draw(points, (256, 256), groups=groups) for name, groups in rows.items()}
    whole = landmarks.draw(points, (256, 256), groups=MINI.landmark_groups)

    contour = landmarks.draw(points, (256, 256), groups=("contour",))
    changed = (maps["with-contour"] != whole).any(-1)
    assert changed.any()
    assert not (changed & ~contour.any(-1)).any()  # it lies below everything else

    changed = (maps["without-pupils"] != whole).any(-1)
    assert (whole[changed] == landmarks.PUPIL_COLOUR).all()
    assert landmarks.PUPIL_COLOUR not in colours(maps["without-pupils"])

    every_stroke = {stroke.colour for group in landmarks.GROUPS.values() for stroke in group}
    assert colours(maps["plain-2d"]) == every_stroke


def test_the_contour_leaves_out_the_forehead_and_ignores_other_points() -> None:
    turns = np.linspace(-np.pi / 4, 5 * np.pi / 4, len(landmarks.CONTOUR))
    points = np.full((1, 478, 3), 0.5)
    points[0, list(landmarks.CONTOUR), 0] = 0.5 - 0.25 * np.cos(turns)
    points[0, list(landmarks.CONTOUR), 1] = 0.5 + 0.25 * np.sin(turns)
    rows, columns = np.nonzero(landmarks.draw(points, (200, 200), groups=("contour",))[0].any(-1))
    assert np.hypot(rows - 100, columns - 100) == pytest.approx(50, abs=1.5)
    assert rows.min() > 100 - 50 * np.sin(np.pi / 4) - 3


def test_the_contour_is_not_drawn_unless_asked_for() -> None:
    points = np.full((1, 478, 3), 2.0)
    points[0, list(landmarks.CONTOUR), :2] = np.random.default_rng(0).random((len(landmarks.CONTOUR), 2))
    assert not landmarks.draw(points, (64, 64)).any()


def test_a_frame_without_a_face_is_black_and_its_masks_are_empty() -> None:
    points = np.concatenate([normalised(), np.full((1, 478, 3), np.nan)])
    assert landmarks.draw(points, (64, 64), smooth=True)[0].any()
    assert not landmarks.draw(points, (64, 64), smooth=True)[1].any()
    for mask in (landmarks.expression_mask, landmarks.face_mask):
        assert mask(points, (64, 64))[0].any()
        assert not mask(points, (64, 64))[1].any()


def test_smooth_lines_move_by_less_than_a_pixel() -> None:
    points = normalised()
    shifted = points + np.array((0.3 / 64, 0, 0))

    def change(*, smooth: bool) -> float:
        """Largest change of a pixel by a shift of .3, of the brightest."""
        a, b = (
            landmarks.draw(p, (64, 64), groups=("brows",), smooth=smooth).astype(int)
            for p in (points, shifted)
        )
        return float(np.abs(a - b).max() / a.max())

    assert 0.1 < change(smooth=True) < 0.6
    assert change(smooth=False) == 1


def test_masks_are_filled_where_they_should_be() -> None:
    square = np.full((1, 478, 3), 0.5)
    turns = np.linspace(0, 2 * np.pi, len(landmarks.CONTOUR), endpoint=False)
    square[0, list(landmarks.CONTOUR), 0] = 0.5 + 0.25 * np.cos(turns)
    square[0, list(landmarks.CONTOUR), 1] = 0.5 + 0.25 * np.sin(turns)
    face = landmarks.face_mask(square, (100, 100))[0]
    assert face.sum() == pytest.approx(np.pi * 25**2, rel=0.08)
    expression = landmarks.expression_mask(square, (100, 100))[0]
    assert expression[50, 50] == 1
    assert expression.sum() < 60


def test_missing_frames_hold_the_nearest_one() -> None:
    points = np.stack([np.full((478, 3), float(k)) for k in range(6)])
    points[[0, 2, 3, 5]] = np.nan
    assert landmarks.hold_nearest(points)[:, 0, 0].tolist() == [1, 1, 1, 4, 4, 4]


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(T, 478, 3\)"):
        landmarks.draw(np.zeros((1, 68, 3)), (8, 8))
    with pytest.raises(ValueError, match="none of the 2 frames"):
        landmarks.hold_nearest(np.full((2, 478, 3), np.nan))
    with pytest.raises(ValueError, match=r"unknown landmark groups.*ears"):
        landmarks.draw(normalised(), (8, 8), groups=("ears",))


@pytest.mark.skipif(
    not (SHARED / "samples/fye").is_dir(), reason="no shared sample data beside the repository"
)
def test_maps_are_those_of_the_released_code() -> None:
    golden = np.load(SHARED / "samples/fye/golden_align_123.npz")
    points = np.pad(golden["aligned_xy"] / 512, ((0, 0), (0, 0), (0, 1)))
    # Map i of the released code shows driving frame i + 1.
    maps = landmarks.draw(points[golden["drawn_index"] + 1], (512, 512))
    assert (maps == golden["drawn_frames"]).all(-1).mean() > 0.9999
