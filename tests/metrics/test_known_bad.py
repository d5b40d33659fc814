"""Animations that are wrong in a known way: the metrics that should notice do, in the right direction."""

import numpy as np
import pytest
from emojibench_metrics.interface import ClipArrays
from emojibench_metrics.jitter import Jitter
from emojibench_metrics.l1 import L1
from emojibench_metrics.landmarks import LandmarkAccuracy
from emojibench_metrics.psnr import Psnr
from emojibench_metrics.ssim import Ssim
from metric_recipes import face_motion

SIDE = 96
TARGET = face_motion(24)


def render(landmarks):
    """(T, SIDE, SIDE, 3): soft dots where the points are, on a shaded background."""
    import cv2

    shade = np.linspace(40, 160, SIDE)[None, :, None] + np.zeros((SIDE, SIDE, 3))
    frames = []
    for points in landmarks:
        frame = shade.astype(np.uint8)
        for x, y in points[::6, :2] * SIDE:
            cv2.circle(frame, (round(float(x)), round(float(y))), 2, (230, 200, 60), -1)
        frames.append(frame)
    return np.stack(frames)


TRUTH = render(TARGET)


def measure(landmarks, frames=None):
    clip = ClipArrays(
        generated=render(landmarks) if frames is None else frames,
        truth=TRUTH,
        target_landmarks=TARGET,
        generated_landmarks=landmarks,
    )
    figures = {}
    for metric in (L1, Psnr, Ssim, LandmarkAccuracy, Jitter):
        figures |= metric(lambda name: None).measure(clip)
    return {name: figure.value for name, figure in figures.items()}


GOOD = measure(TARGET + np.random.default_rng(1).normal(0, 5e-4, TARGET.shape).astype(np.float32))
FROZEN = np.repeat(TARGET[:1], len(TARGET), axis=0)
LAG = np.concatenate([TARGET[:1], TARGET[:-1]])
MIRRORED = TARGET * np.float32([-1, 1, 1]) + np.float32([1, 0, 0])
SHAKEN = TARGET + np.random.default_rng(2).normal(0, 0.01, (len(TARGET), 1, 3)).astype(np.float32)


@pytest.mark.parametrize("name", ["frozen", "lag", "mirrored", "shaken"])
def test_every_fault_costs_accuracy_and_pixels(name):
    bad = measure({"frozen": FROZEN, "lag": LAG, "mirrored": MIRRORED, "shaken": SHAKEN}[name])
    assert bad["landmark_accuracy"] < GOOD["landmark_accuracy"] - 5
    assert bad["nme"] > GOOD["nme"]
    assert bad["l1"] > GOOD["l1"]
    assert bad["psnr"] < GOOD["psnr"]
    assert bad["ssim"] < GOOD["ssim"]
    assert bad["landmark_detection"] == 1


def test_a_frozen_face_does_not_shake_but_fails_the_motion():
    bad = measure(FROZEN)
    assert bad["jitter"] == 0
    assert bad["acceleration_error"] > 3 * GOOD["acceleration_error"]


def test_one_frame_of_lag_is_an_error_of_acceleration():
    assert measure(LAG)["acceleration_error"] > 2 * GOOD["acceleration_error"]
    assert measure(LAG)["landmark_accuracy"] > measure(FROZEN)["landmark_accuracy"]


def test_shaking_is_jitter():
    assert measure(SHAKEN)["jitter"] > 10 * GOOD["jitter"]


def test_black_frames_have_no_face():
    nothing = np.full_like(TARGET, np.nan)
    bad = measure(nothing, np.zeros_like(TRUTH))
    assert bad["landmark_accuracy"] == bad["landmark_detection"] == bad["la_pck"] == bad["la_oks_ap"] == 0
    assert bad["landmark_failure"] == 1
    assert bad["nme"] is bad["jitter"] is None
    assert bad["l1"] > 0.3
    assert bad["ssim"] < 0.2
