import numpy as np
import pytest
from emojibench_baselines.landmark_warp import LandmarkWarp
from hypothesis import given, settings
from hypothesis import strategies as st
from portraits_with_faces import FPS, Portrait, make_clip

from emojibench.errors import UserError
from emojibench.face import open_detector
from emojibench.face.draw import hold_nearest
from emojibench.face.points import INNER_LIPS, OVAL
from emojibench.face.warp import Warp
from emojibench.methods import Method
from emojibench.types import Image, Landmarks

QUIET = {"seed": 0, "progress": lambda *_: None}


def error(a: Image, b: Image) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def turned(landmarks: Landmarks, yaw: float) -> Landmarks:
    angle = np.radians(yaw)
    rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    middle = landmarks[list(OVAL)].mean(0)
    return ((landmarks - middle) @ rotation.T + middle).astype(np.float32)


def test_a_face_that_stays_put_gives_the_portrait_to_the_bit(portraits: list[Portrait]) -> None:
    for portrait in portraits:
        warp = Warp(portrait.image, portrait.landmarks)
        assert (warp(portrait.landmarks) == portrait.image).all(), portrait.domain


@settings(max_examples=15, deadline=None)
@given(dx=st.integers(-12, 12), dy=st.integers(-12, 12))
def test_a_face_that_shifts_by_whole_pixels_takes_its_pixels_along(
    portraits: list[Portrait], dx: int, dy: int
) -> None:
    portrait = portraits[0]
    height, width = portrait.image.shape[:2]
    frame = Warp(portrait.image, portrait.landmarks)(
        portrait.landmarks + np.array([dx / width, dy / height, 0], np.float32)
    )
    face = portrait.landmarks[list(OVAL), :2] * (width, height)
    (left, top), (right, bottom) = np.ceil(face.min(0)).astype(int), face.max(0).astype(int)
    middle = slice(top + 25, bottom - 25), slice(left + 25, right - 25)
    moved = slice(top + 25 + dy, bottom - 25 + dy), slice(left + 25 + dx, right - 25 + dx)
    difference = np.abs(frame[moved].astype(int) - portrait.image[middle])
    assert difference.max() <= 2
    corner = frame[:8, :8]
    assert (corner == portrait.image[:8, :8]).all(), "the background far from the face stays"


@settings(max_examples=10, deadline=None)
@given(yaw=st.floats(-60, 60), scale=st.floats(0.7, 1.3), which=st.integers(0, 3))
def test_no_pose_leaves_holes_or_invents_colours(
    portraits: list[Portrait], yaw: float, scale: float, which: int
) -> None:
    portrait = portraits[which]
    image = np.clip(portrait.image, 40, 255)  # darker than 40: a hole, or the inside of a mouth
    target = turned(portrait.landmarks, yaw)
    target = (target - target.mean(0)) * np.float32(scale) + target.mean(0)
    assert Warp(image, portrait.landmarks)(target.astype(np.float32)).min() >= 40


def test_the_detector_reads_the_targets_off_the_result(portraits: list[Portrait]) -> None:
    with open_detector() as detector:
        for portrait in portraits[:2]:
            warp = Warp(portrait.image, portrait.landmarks)
            for yaw in (-15.0, 15.0):
                target = turned(portrait.landmarks, yaw)
                seen = detector.detect(warp(target))
                assert seen is not None
                distance = np.linalg.norm(seen - target, axis=1).mean()
                stayed = np.linalg.norm(portrait.landmarks - target, axis=1).mean()
                assert distance < 0.5 * stayed


def test_a_mouth_that_opens_is_dark_inside(portraits: list[Portrait]) -> None:
    portrait = portraits[0]
    height, width = portrait.image.shape[:2]
    target = portrait.landmarks.copy()
    target[list(INNER_LIPS[1:10]), 1] += 0.06
    frame = Warp(portrait.image, portrait.landmarks)(target)
    x, y = (target[list(INNER_LIPS), :2].mean(0) * (width, height)).astype(int)
    lips = portrait.image[y - 10 : y + 10, x - 20 : x + 20].mean()
    assert frame[y, x].mean() < 0.6 * lips


def test_frames_without_a_target_repeat_the_nearest_one(portraits: list[Portrait]) -> None:
    portrait = portraits[0]
    driving = np.stack([turned(portrait.landmarks, yaw) for yaw in (0.0, 5.0, 10.0, 15.0, 20.0)])
    driving[[0, 2, 3]] = np.nan
    frames = LandmarkWarp({}).animate(make_clip(portrait, driving), **QUIET).frames
    assert (frames[0] == frames[1]).all()
    assert (frames[2] == frames[1]).all()
    assert (frames[3] == frames[4]).all()
    assert error(frames[1], frames[4]) > 0.1


def test_hold_nearest_leaves_complete_sequences_alone() -> None:
    landmarks = np.random.default_rng(0).random((4, 478, 3), np.float32)
    np.testing.assert_array_equal(hold_nearest(landmarks), landmarks)


def test_animation_follows_the_contract(portraits: list[Portrait]) -> None:
    portrait = portraits[1]
    driving = np.stack([turned(portrait.landmarks, yaw) for yaw in (0.0, 10.0)])
    method = LandmarkWarp({})
    assert isinstance(method, Method)
    calls = []
    clip = make_clip(portrait, driving)
    animation = method.animate(clip, seed=1, progress=lambda *at: calls.append(at))
    assert animation.frames.shape == (2, *portrait.image.shape)
    assert animation.frames.dtype == np.uint8
    assert animation.fps == FPS
    assert calls == [(1, 2), (2, 2)]
    assert (method.animate(clip, seed=2, progress=lambda *_: None).frames == animation.frames).all()


def test_a_portrait_that_is_not_square_is_warped_in_its_own_pixels(portraits: list[Portrait]) -> None:
    portrait = portraits[0]
    wide = np.pad(portrait.image, ((0, 0), (32, 32), (0, 0)), mode="edge")
    landmarks = portrait.landmarks.copy()
    landmarks[:, 0] = (landmarks[:, 0] * 256 + 32) / 320
    landmarks[:, 2] *= 256 / 320
    assert (Warp(wide, landmarks)(landmarks) == wide).all()


def test_a_portrait_without_a_face_fails_clearly(portraits: list[Portrait]) -> None:
    clip = make_clip(portraits[0], portraits[0].landmarks[None], face_on_portrait=False)
    with pytest.raises(UserError, match="clip self-0000: no face on portrait; supply landmarks"):
        LandmarkWarp({}).animate(clip, **QUIET)


def test_a_driving_sequence_without_any_face_fails_clearly(portraits: list[Portrait]) -> None:
    clip = make_clip(portraits[0], np.full((3, 478, 3), np.nan))
    with pytest.raises(UserError, match="no driving frame has a face"):
        LandmarkWarp({}).animate(clip, **QUIET)


def test_options_are_refused() -> None:
    with pytest.raises(UserError, match="unknown option of landmark-warp 'mode'"):
        LandmarkWarp({"mode": "relative"})
