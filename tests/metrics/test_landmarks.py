"""Landmark accuracy: golden values, asymmetry, the profile rule, undefined cases."""

import dataclasses

import numpy as np
import pytest
from emojibench_metrics.interface import ClipArrays
from emojibench_metrics.landmarks import LandmarkAccuracy, landmark_scores
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_recipes import face_motion, golden, landmark_case

from emojibench.face.points import EXPRESSION

EYES = (0, 1)

# seed, T, K, sigma, drop -> accuracy, nme, failure, detection, pck, akd_px, oks_ap
CASES = [
    ((1, 64, 68, 1, 0.0), (79.8150269, 0.0161479785, 0.0, 1.0, 88.8304228, 1.22724636, 98.75)),
    ((2, 64, 68, 4, 0.0), (23.1456921, 0.0660969885, 0.328125, 1.0, 45.4848346, 5.02337113, 51.09375)),
    ((3, 64, 105, 8, 0.1), (5.66834548, 0.138835431, 0.8125, 0.90625, 18.2306548, 10.5514928, 13.28125)),
    ((4, 10, 20, 20, 0.5), (0.0, 0.398198839, 1.0, 0.7, 2.3, 30.2631118, 0.0)),
    ((5, 6, 5, 0, 0.0), (100.0, 0.0, 0.0, 1.0, 100.0, 0.0, 100.0)),
]


def values(scores):
    return [
        *(scores.accuracy, scores.nme, scores.failure, scores.detection),
        *(scores.pck, scores.akd_px, scores.oks_ap),
    ]


@pytest.mark.parametrize(("case", "expected"), CASES)
def test_golden_values(case, expected):
    scores = landmark_scores(*landmark_case(*case), eyes=EYES)
    assert values(scores) == pytest.approx(expected, rel=1e-6)


def test_golden_file():
    names = ["LA_auc", "NME_detected", "FR", "detection_rate", "LA_pck", "AKD_px_detected", "LA_oks_ap"]
    for case in golden("landmarks")["cases"]:
        target, generated = landmark_case(*(case[k] for k in ("seed", "T", "K", "sigma_px", "drop")))
        assert target[0, 0] == pytest.approx(case["G00"])
        scores = landmark_scores(target, generated, eyes=EYES)
        assert values(scores) == pytest.approx([case[name] for name in names], rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 4), st.floats(-50, 50))
def test_perfect_is_perfect_and_scale_and_place_do_not_matter(seed, scale, shift):
    target, generated = landmark_case(seed, 8, 20, 3, 0.2)
    perfect = landmark_scores(target, target, eyes=EYES)
    assert values(perfect) == [100, 0, 0, 1, 100, 0, 100]
    here = landmark_scores(target, generated, eyes=EYES)
    there = landmark_scores(scale * target + shift, scale * generated + shift, eyes=EYES)
    if here.akd_px is not None:
        assert there.akd_px == pytest.approx(scale * here.akd_px, rel=1e-9)
    assert there.accuracy == pytest.approx(here.accuracy, rel=1e-9, abs=1e-9)
    assert there.oks_ap == pytest.approx(here.oks_ap)


def test_monotone_in_error():
    cases = [landmark_scores(*landmark_case(7, 64, 68, s, 0), eyes=EYES) for s in (0, 1, 2, 4, 8, 16)]
    assert [s.accuracy for s in cases] == sorted((s.accuracy for s in cases), reverse=True)
    assert [s.nme for s in cases] == sorted(s.nme for s in cases)
    assert [s.oks_ap for s in cases] == sorted((s.oks_ap for s in cases), reverse=True)


def test_target_and_generated_are_not_interchangeable():
    target, generated = landmark_case(3, 64, 68, 4, 0)
    wide = target[:, :1] + 2 * (generated - target[:, :1])  # twice as large a face
    there, back = landmark_scores(target, wide, eyes=EYES), landmark_scores(wide, target, eyes=EYES)
    assert there.akd_px == pytest.approx(back.akd_px)
    assert there.nme > 1.5 * back.nme  # the unit of length is the target's
    target[5], generated[9] = np.nan, np.nan
    forth, back = landmark_scores(target, generated, eyes=EYES), landmark_scores(generated, target, eyes=EYES)
    assert (forth.frames, forth.detected) == (63, 62)
    assert forth.accuracy != back.accuracy


def test_missing_frames_score_nothing_and_errors_ignore_them():
    target, generated = landmark_case(1, 10, 20, 1, 0)
    full = landmark_scores(target, generated, eyes=EYES)
    generated[5:] = np.nan
    half = landmark_scores(target, generated, eyes=EYES)
    first = landmark_scores(target[:5], generated[:5], eyes=EYES)
    assert half.accuracy == pytest.approx(first.accuracy / 2)
    assert half.nme == pytest.approx(first.nme)
    assert half.detection == 0.5
    assert half.failure == pytest.approx(0.5 + first.failure / 2)
    assert full.detection == 1


def test_profile_uses_the_box_instead_of_the_eyes():
    target, generated = landmark_case(1, 4, 30, 1, 0)
    target[:, 1] = target[:, 0] + [1, 0]  # eyes one pixel apart
    scores = landmark_scores(target, generated, eyes=EYES)
    diagonal = np.linalg.norm(np.ptp(target, axis=1), axis=-1)
    expected = np.mean(np.linalg.norm(generated - target, axis=-1).mean(axis=1) / (0.15 * diagonal))
    assert scores.profile == 1
    assert scores.nme == pytest.approx(expected)


def test_bad_arrays():
    target, generated = landmark_case(1, 4, 30, 1, 0)
    with pytest.raises(ValueError, match=r"expected two \(T, K, 2\) arrays"):
        landmark_scores(target, generated[:2])
    with pytest.raises(ValueError, match="no unit of length"):
        landmark_scores(np.ones((2, 5, 2)), np.ones((2, 5, 2)), eyes=EYES)
    assert landmark_scores(np.full((2, 5, 2), np.nan), np.ones((2, 5, 2)), eyes=EYES) is None


def clip(generated, target, size=(64, 64)):
    width, height = size
    frames = np.zeros((len(generated), height, width, 3), np.uint8)
    return ClipArrays(frames, target_landmarks=target, generated_landmarks=generated)


def measure(generated, target, size=(64, 64)):
    return LandmarkAccuracy(lambda name: None).measure(clip(generated, target, size))


def test_pixels_are_those_of_the_generated_frames():
    target = face_motion(6)
    shifted = target + np.float32([0.01, 0, 0])
    assert measure(shifted, target, (200, 100))["akd_px"].value == pytest.approx(2, rel=1e-3)
    assert measure(shifted, target, (100, 200))["akd_px"].value == pytest.approx(1, rel=1e-3)


def test_depth_does_not_count():
    target = face_motion(6)
    assert measure(target + np.float32([0, 0, 1]), target)["nme"].value == pytest.approx(0, abs=1e-6)


def test_the_contour_counts_only_in_the_column_of_all_points():
    target = face_motion(6)
    generated = target.copy()
    others = np.setdiff1d(np.arange(478), EXPRESSION)
    generated[:, others] += 0.01
    figures = measure(generated, target)
    assert figures["landmark_accuracy"].value == 100
    assert figures["landmark_accuracy_478"].value < 100
    assert len(EXPRESSION) == len(set(EXPRESSION)) == 126


def test_undefined_cases_say_why():
    target = face_motion(6)
    names = {traits.name for traits in LandmarkAccuracy.traits}
    nothing = np.full_like(target, np.nan)
    without = dataclasses.replace(clip(target, target), target_landmarks=None)
    for figures, reason in [
        (measure(target, nothing), "no frame has target landmarks"),
        (LandmarkAccuracy(lambda name: None).measure(without), "no target or generated landmarks"),
    ]:
        assert set(figures) == names
        assert all(f.value is None and f.reason == reason for f in figures.values())
    blind = measure(nothing, target)
    assert blind["nme"].value is None
    assert blind["nme"].reason == "no face detected in any generated frame"
    assert (blind["landmark_accuracy"].value, blind["landmark_failure"].value) == (0, 1)
    assert (blind["landmark_detection"].value, blind["landmark_detection"].n) == (0, 6)
    assert (blind["nme"].n, blind["akd_px"].total) == (0, 6)
    with pytest.raises(ValueError, match=r"target landmarks: expected shape \(6, 478, 3\)"):
        measure(target, target[:5])
