"""The released alignment: on made-up faces that work alone, and against the released code's own results."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import SHARED

from emojibench.face import draw as landmarks
from emojibench.face.align import EYES, align_with_transforms
from emojibench.face.geometry import BASIS, CENTRE, VERTICES, WEIGHTS, canonical_faces, project

SIZE = (320, 240)
needs_samples = pytest.mark.skipif(
    not (SHARED / "samples/fye").is_dir(), reason="no shared sample data beside the repository"
)


def face(seed: int = 0) -> np.ndarray:
    """(468, 3) made-up canonical face in cm whose weighted mean is where MediaPipe's fit puts it."""
    points = np.random.default_rng(seed).normal(0, (4, 5, 2), (VERTICES, 3))
    return points + CENTRE - WEIGHTS @ points[BASIS]


def pose(
    yaw: float, pitch: float, roll: float, shift: tuple[float, float, float] = (0, 0, -40)
) -> np.ndarray:
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (yaw, pitch, roll))
    matrix = np.eye(4)
    matrix[:3, :3] = (
        np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    )
    matrix[:3, 3] = shift
    return matrix


def seen(faces: np.ndarray, poses: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(T, 478, 3) landmarks of (T, 468, 3) faces; irises a third of the way into the eyelid boxes."""
    points = np.zeros((len(faces), 478, 3))
    points[:, :VERTICES] = project(faces @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3], size)
    for lids, iris in EYES:
        low, high = points[:, lids].min(1), points[:, lids].max(1)
        points[:, iris] = (low + (high - low) / 3)[:, None]
    return points


class Recording:
    """A face under three poses and expressions; the first frame is the neutral one."""

    def __init__(self, seed: int = 0, size: tuple[int, int] = SIZE) -> None:
        rng = np.random.default_rng(seed)
        self.size = size
        self.faces = np.stack([face(seed)] * 3)
        self.faces[1:, 200] += rng.normal(0, 0.5, (2, 3))  # no point of the basis: the fit does not move
        self.poses = np.stack(
            [pose(0.1, 0, 0), pose(0.4, -0.2, 0.1, (1, 2, -38)), pose(-0.3, 0.1, -0.2, (-2, 1, -45))]
        )
        self.landmarks = seen(self.faces, self.poses, size)
        self.blendshapes = np.full((3, 52), 0.2)
        self.blendshapes[0, 1:] = 0.1
        self.blendshapes[0, 0] = 1.0  # `_neutral` is no expression

    def on(self, portrait: np.ndarray, transform: np.ndarray, size: tuple[int, int] = SIZE) -> np.ndarray:
        return align_with_transforms(
            portrait,
            self.landmarks,
            portrait_transform=transform,
            driving_transforms=self.poses,
            driving_blendshapes=self.blendshapes,
            portrait_size=size,
            driving_size=self.size,
        )


def test_a_sequence_aligned_to_its_own_neutral_first_frame_is_itself() -> None:
    driving = Recording()
    result = driving.on(driving.landmarks[0], driving.poses[0])
    np.testing.assert_allclose(result, driving.landmarks, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.7, 0.7), st.floats(-0.7, 0.7), st.floats(-3, 3))
def test_the_portraits_own_head_pose_does_not_matter(yaw: float, pitch: float, roll: float) -> None:
    driving, own = Recording(1), face(2)[None]
    poses = np.stack([pose(0, 0, 0), pose(yaw, pitch, roll)])
    results = [driving.on(seen(own, p[None])[0], p) for p in poses]
    # The depth of the portrait's face as seen is kept on average, so it alone follows the portrait's pose.
    np.testing.assert_allclose(results[0][..., :2], results[1][..., :2], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.7, 0.7), st.floats(-0.7, 0.7), st.floats(-3, 3), st.floats(-60, -30))
def test_the_canonical_face_knows_no_pose(yaw: float, pitch: float, roll: float, depth: float) -> None:
    faces, poses = face()[None], pose(yaw, pitch, roll, (2, -1, depth))[None]
    np.testing.assert_allclose(canonical_faces(seen(faces, poses), poses, SIZE), faces, atol=1e-6)


def test_shape_is_the_portraits_expression_and_pose_are_the_drivings() -> None:
    driving, own, transform = Recording(3), face(4), pose(0.2, 0.3, -0.1, (3, 0, -50))
    result = driving.on(seen(own[None], transform[None])[0], transform)
    faces = own + driving.faces - driving.faces[0]
    poses = driving.poses.copy()
    poses[:, :3, 3] += transform[:3, 3] - driving.poses[0, :3, 3]
    np.testing.assert_allclose(result[..., :2], seen(faces, poses)[..., :2], atol=1e-5)


def test_the_canvas_of_the_driving_does_not_matter() -> None:
    transform = pose(0, 0, 0)
    portrait = seen(face(5)[None], transform[None])[0]
    wide, square = Recording(6, (640, 200)), Recording(6, (100, 100))
    np.testing.assert_allclose(wide.on(portrait, transform), square.on(portrait, transform), atol=1e-5)


def test_frames_without_a_face_stay_so_and_the_first_face_is_where_movement_starts() -> None:
    driving = Recording()
    whole = driving.on(driving.landmarks[0], driving.poses[0])
    for array in (driving.landmarks, driving.poses, driving.blendshapes):
        array[1] = np.nan
    result = driving.on(driving.landmarks[0], driving.poses[0])
    assert np.isnan(result[1]).all()
    np.testing.assert_array_equal(result[[0, 2]], whole[[0, 2]])


def _someone_elses_pose(driving: Recording) -> None:
    driving.poses[1] = pose(0.4, -0.2, 0.1, (15, 2, -38))


def _no_expression(driving: Recording) -> None:
    driving.blendshapes[2] = np.nan


def _too_few(driving: Recording) -> None:
    driving.poses = driving.poses[:2]


def _no_pose(driving: Recording) -> None:
    driving.poses[2] = np.nan


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_someone_elses_pose, "driving_transforms: transform 1 does not belong to its landmarks"),
        (_no_pose, "driving_transforms: transform 2 does not belong"),
        (_no_expression, "driving_blendshapes: expected finite"),
        (_too_few, r"driving_transforms: expected shape \(3, 4, 4\), got \(2, 4, 4\)"),
    ],
)
def test_bad_transforms_and_blendshapes_are_named(harm: Callable[[Recording], None], message: str) -> None:
    driving = Recording()
    portrait, transform = driving.landmarks[0], driving.poses[0].copy()
    harm(driving)
    with pytest.raises(ValueError, match=message):
        driving.on(portrait, transform)


@pytest.fixture(scope="module")
def released() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Our (97, 478, 3) alignment of the sample, and the released code's results."""
    golden = dict(np.load(SHARED / "samples/fye/golden_align_123.npz"))
    motion = np.load(SHARED / "samples/fye/temple_motion.npz")
    width, height = (int(side) for side in motion["size"])
    result = align_with_transforms(
        golden["ref_lmks"],
        motion["lmks"],
        portrait_transform=golden["ref_trans_mat"],
        driving_transforms=motion["trans_mat"],
        driving_blendshapes=np.pad(motion["bs"], ((0, 0), (1, 0))),
        portrait_size=(512, 512),
        driving_size=(width, height),
    )
    return result, golden


@needs_samples
def test_faces_in_centimetres_are_those_of_the_released_files() -> None:
    motion = np.load(SHARED / "samples/fye/temple_motion.npz")
    found = canonical_faces(motion["lmks"].astype(float), motion["trans_mat"], (512, 512))
    np.testing.assert_allclose(found, motion["lmks3d"], atol=2e-5)


@needs_samples
def test_points_are_the_released_ones(released: tuple[np.ndarray, dict[str, np.ndarray]]) -> None:
    result, golden = released
    apart = np.linalg.norm(result[..., :2] * 512 - golden["aligned_xy"], axis=2)
    print(f"{apart.size} points: at most {apart.max():.4f} px, {apart.mean():.5f} on average")
    assert apart.max() < 0.05


@needs_samples
def test_maps_of_aligned_points_are_the_released_ones(
    released: tuple[np.ndarray, dict[str, np.ndarray]],
) -> None:
    result, golden = released
    # Map i of the released code shows driving frame i + 1.
    maps = landmarks.draw(result[golden["drawn_index"] + 1], (512, 512))
    for index, drawn in zip(golden["drawn_index"], maps, strict=True):
        picture = cv2.imread(str(SHARED / f"samples/fye/align_123_{index:03d}.png"))[..., ::-1]
        same = (drawn == picture).all(-1).mean()
        print(f"map {index}: {same:.6f} of the pixels are the same")
        assert same > 0.999
