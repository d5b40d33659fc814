"""Temporal jitter and acceleration error: known motions, asymmetry, undefined cases."""

import numpy as np
import pytest
from emojibench_metrics.interface import ClipArrays
from emojibench_metrics.jitter import Jitter, jitter
from metric_recipes import face_motion

EYES = (0, 1)
REST = np.array([[10.0, 10], [30, 10], [20, 25]])  # eye distance 20


def test_shaking_of_known_size():
    still = np.repeat(REST[None], 9, axis=0)
    shaken = still.copy()
    shaken[::2, :, 0] += 1  # one pixel to and fro: acceleration of 2 pixels at every frame
    assert jitter(still, shaken, eyes=EYES) == pytest.approx((2 / 20, 2 / 20, 7))


def test_a_target_may_move_abruptly_but_a_generated_face_may_not():
    still = np.repeat(REST[None], 9, axis=0)
    shaken = still.copy()
    shaken[::2, :, 0] += 1
    assert jitter(shaken, still, eyes=EYES)[0] == 0
    assert jitter(still, shaken, eyes=EYES)[0] > 0
    assert jitter(shaken, still, eyes=EYES)[1] == jitter(still, shaken, eyes=EYES)[1]


def test_the_unit_is_the_targets_eye_distance():
    target = np.repeat(REST[None], 5, axis=0)
    shaken = target.copy()
    shaken[2] += 1
    small, large = (
        jitter(target, shaken, eyes=EYES),
        jitter(shaken * 4, target * 4 + (target - shaken), eyes=EYES),
    )
    assert small[1] > 0
    assert jitter(target * 3, shaken * 3, eyes=EYES) == pytest.approx(small)
    assert large[1] < small[1] * 1.5


def test_constant_velocity_and_constant_offset_are_no_jitter():
    target = REST[None] + 2.0 * np.arange(6)[:, None, None]
    assert jitter(target, target + 5, eyes=EYES) == pytest.approx((0, 0, 4), abs=1e-12)
    assert jitter(target, np.repeat(REST[None], 6, axis=0), eyes=EYES) == pytest.approx((0, 0, 4), abs=1e-12)


def test_only_frames_with_both_neighbours_count():
    target = np.repeat(REST[None], 9, axis=0)
    generated = target.copy()
    generated[3] = np.nan
    target[8] = np.nan
    assert jitter(target, generated, eyes=EYES)[2] == 3  # centres 1, 5, 6
    generated[1::2] = np.nan
    assert jitter(target, generated, eyes=EYES) is None


def test_frames_lost_to_missing_faces_are_told_from_frames_without_target():
    target = face_motion(10)
    generated = target.copy()
    target[9], generated[:4] = np.nan, np.nan
    figure = measure(generated, target)["jitter"]
    assert (figure.n, figure.total) == (3, 7)  # centres 5 to 7 of 1 to 7
    lost = measure(np.full_like(target, np.nan), target)["acceleration_error"]
    assert (lost.value, lost.n, lost.total) == (None, 0, 7)


def measure(generated, target):
    frames = np.zeros((len(generated), 64, 64, 3), np.uint8)
    clip = ClipArrays(frames, target_landmarks=target, generated_landmarks=generated)
    return Jitter(lambda name: None).measure(clip)


def test_monotone_in_noise():
    target = face_motion(24)
    noise = np.random.default_rng(0).normal(0, 1, target.shape).astype(np.float32)
    for column in ("jitter", "acceleration_error"):
        values = [measure(target + s * noise, target)[column].value for s in (0, 0.001, 0.004, 0.016)]
        assert values == sorted(values)
        assert values[0] == 0


def test_undefined_cases_say_why():
    target = face_motion(5)
    nothing = np.full_like(target, np.nan)
    for given, reason in [
        ((nothing, target), "no three consecutive frames"),
        ((target[:2], target[:2]), "no three consecutive frames"),
        ((target, nothing), "no three consecutive frames"),
    ]:
        figures = measure(*given)
        assert set(figures) == {"jitter", "acceleration_error"}
        assert all(f.value is None and f.reason.startswith(reason) for f in figures.values())
    with pytest.raises(ValueError, match="expected two"):
        jitter(target[..., :2], target[:3, :, :2])
