import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import SHARED, head

from emojibench.face import points as table
from emojibench.face.align import align, fit_pose, neutral_frame
from emojibench.face.points import LEFT_IRIS, RIGHT_IRIS

SIZE = (200, 240)
UNIT = np.array([200, 240, 200])
STABLE = np.array(table.STABLE)
RIGID = np.setdiff1d(np.arange(478), np.concatenate([LEFT_IRIS, RIGHT_IRIS]))


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    return (
        np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    )


def run(portrait: np.ndarray, driving: np.ndarray) -> np.ndarray:
    """Align in pixels."""
    return align(portrait / UNIT, driving / UNIT, portrait_size=SIZE, driving_size=SIZE) * UNIT


angles = st.floats(-0.6, 0.6)


def test_a_sequence_aligned_to_its_own_neutral_first_frame_is_itself() -> None:
    neutral = head()
    driving = np.stack([neutral] * 4)
    for k in range(1, 4):
        driving[k, 14] += (0, 6 * k, 0)
        driving[k] = (driving[k] - 100) @ turn(0.1 * k, -0.05 * k, 0.02 * k).T + 100 + (2 * k, k, 0)
    np.testing.assert_allclose(run(neutral, driving), driving, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(angles, angles, angles, st.floats(0.5, 2.0))
def test_rotation_is_the_drivings_own_and_size_is_the_portraits(
    yaw: float, pitch: float, roll: float, scale: float
) -> None:
    portrait = head()
    poses = [turn(0, 0, 0), turn(yaw, pitch, roll)]
    driving = np.stack([scale * portrait @ pose.T for pose in poses])
    result = run(portrait @ turn(0.2, 0.1, -0.1).T, driving)
    for frame, pose in zip(result, poses, strict=True):
        found = fit_pose(portrait[RIGID], frame[None, RIGID])
        np.testing.assert_allclose(found.rotation[0], pose, atol=1e-4)
        np.testing.assert_allclose(found.scale, 1, atol=1e-4)


def test_facial_proportions_are_the_portraits_when_another_head_only_turns() -> None:
    portrait, other = head(1), head(2)
    driving = np.stack([other @ turn(a, 0, 0).T for a in (0.0, 0.2, 0.4)])
    result = run(portrait, driving)
    for frame in result:
        moved = fit_pose(portrait[RIGID], frame[None, RIGID]).apply(portrait)[0]
        np.testing.assert_allclose(frame[RIGID], moved[RIGID], atol=1e-3)


def test_an_expression_is_scaled_to_the_portraits_face_and_turned_with_it() -> None:
    driving = np.stack([head(), head()])
    driving[1, 14] += (0, 8, 0)
    portrait = 0.5 * head()
    result = run(portrait, driving)
    np.testing.assert_allclose(result[1, 14] - result[0, 14], (0, 4, 0), atol=1e-3)


def test_translation_is_relative_to_the_first_frame_and_in_units_of_the_face() -> None:
    driving = np.stack([head() + np.array((x, 10, 0)) for x in (30, 40)])
    result = run(2 * head(), driving)
    np.testing.assert_allclose(result[0, STABLE], 2 * head()[STABLE], atol=1e-3)
    np.testing.assert_allclose((result[1] - result[0])[STABLE], [[20, 0, 0]] * len(STABLE), atol=1e-3)


def test_canvas_shapes_do_not_matter() -> None:
    portrait, driving = head(1), np.stack([head(2), head(2) @ turn(0.3, 0.1, 0).T])
    wide = np.array([400, 100, 400])
    other = align(portrait / UNIT, driving / wide, portrait_size=SIZE, driving_size=(400, 100)) * UNIT
    np.testing.assert_allclose(other, run(portrait, driving), atol=1e-3)


def test_irises_keep_their_place_in_the_eyelid_box() -> None:
    from emojibench.face.align import EYES

    driving = np.stack([head(), head()])
    driving[1, RIGHT_IRIS] += (3, 2, 0)
    result = run(1.5 * head(), driving)
    for lids, iris in EYES:
        for frame, source in zip(result, driving, strict=True):
            places = [
                (points[iris] - points[lids].min(0)) / np.ptp(points[lids], axis=0)
                for points in (frame, source)
            ]
            np.testing.assert_allclose(*places, atol=1e-3)


def test_the_neutral_frame_has_a_closed_mouth_and_open_eyes() -> None:
    shapes = np.stack([head()] * 5)
    shapes[[0, 1, 3, 4], 14] += (0, 9, 0)
    assert neutral_frame(shapes) == 2


def test_frames_without_a_face_stay_so() -> None:
    driving = np.stack([head()] * 3)
    driving[0] = np.nan
    result = run(head(), driving)
    assert np.isnan(result[0]).all()
    assert np.isfinite(result[1:]).all()


@pytest.mark.parametrize(
    ("portrait", "driving", "size", "message"),
    [
        (np.full((478, 3), np.nan), np.zeros((2, 478, 3)), SIZE, "portrait_landmarks.*NaN"),
        (head(), np.full((2, 478, 3), np.nan), SIZE, "none of the 2 frames has a face"),
        (head()[:468], np.zeros((2, 478, 3)), SIZE, r"portrait_landmarks.*\(468, 3\)"),
        (head(), np.zeros((0, 478, 3)), SIZE, r"driving_landmarks.*\(0, 478, 3\)"),
        (head(), np.zeros((2, 478, 3)), (0, 5), "portrait_size"),
    ],
)
def test_bad_input_is_named(
    portrait: np.ndarray, driving: np.ndarray, size: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        align(portrait, driving, portrait_size=size, driving_size=SIZE)


@pytest.mark.skipif(
    not (SHARED / "samples/fye").is_dir(), reason="no shared sample data beside the repository"
)
def test_near_the_released_alignment_although_that_one_knows_transforms() -> None:
    golden = np.load(SHARED / "samples/fye/golden_align_123.npz")
    motion = np.load(SHARED / "samples/fye/temple_motion.npz")
    w, h = (int(v) for v in motion["size"])
    result = align(golden["ref_lmks"], motion["lmks"], portrait_size=(512, 512), driving_size=(w, h))
    pixels, wanted = result[..., :2] * 512, golden["aligned_xy"]
    eyes = np.linalg.norm(wanted[:, 33] - wanted[:, 263], axis=1).mean()
    difference = pixels - wanted
    shape = difference - difference[:, STABLE].mean(1, keepdims=True)
    assert np.linalg.norm(shape, axis=2).mean() / eyes < 0.04
    opening = [p[:, 14, 1] - p[:, 13, 1] for p in (pixels, wanted)]
    assert np.corrcoef(*opening)[0, 1] > 0.95
