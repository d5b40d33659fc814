from dataclasses import replace

import numpy as np
import pytest
from emojibench_baselines.fye.methods import FASTER
from fye_faster.accel.presets import CHOICES, DEFAULT

from emojibench.dataset.clip import Clip
from emojibench.errors import UserError
from emojibench.face.driving import DrivingSequence
from emojibench.methods import Method


def clip(frames: int = 2, *, face: bool = True) -> Clip:
    rng = np.random.default_rng(0)
    points = rng.uniform(0.3, 0.7, (frames, 478, 3)).astype(np.float32)
    if not face:
        points[:] = np.nan
    return Clip(
        clip_id="self-0000",
        split="self",
        domain="cartoon",
        subject="somebody",
        driving_subject="somebody",
        portrait=rng.integers(0, 256, (256, 256, 3), np.uint8),
        portrait_landmarks=points[0],
        driving=DrivingSequence(landmarks=points, fps=25.0, size=(256, 256), detector="made-up"),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": "4"}, "Did you mean 'steps'"),
        ({"steps": "many"}, "expected a whole number, got 'many'"),
        ({"preset": "minni"}, "Did you mean 'mini'"),
        ({"weights": "nowhere.safetensors"}, "nowhere.safetensors: no such weights file"),
        ({"sampler": "overlapping"}, "expected one of progressive, overlap, concatenate, got 'overlapping'"),
        ({"cache": "quick"}, "cache: expected one of none, near-lossless, balanced, fast, got 'quick'"),
        ({"dtype": "fp8"}, "expected one of fp32, bf16, fp16, got 'fp8'"),
    ],
)
def test_bad_options_are_user_errors(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        FASTER(options)


def test_options_out_of_range_are_user_errors() -> None:
    with pytest.raises(UserError, match="steps: expected 1 to 1000, got 0"):
        FASTER({"steps": "0"})
    with pytest.raises(UserError, match="guidance"):
        FASTER({"guidance": "0.1"})


def test_it_is_a_method_whose_revision_names_weights_and_options() -> None:
    chosen = ({"steps": "2"}, {"steps": "3"}, {"steps": "2", "dtype": "bf16"})
    method, *others = map(FASTER, chosen)
    assert isinstance(method, Method)
    assert len({method.revision, *(other.revision for other in others)}) == 3
    assert FASTER({"steps": "2", "dtype": "fp32"}).revision == method.revision


def test_the_cache_is_balanced_unless_told_otherwise_or_made_for_other_steps() -> None:
    plain, *presets = [FASTER({"cache": name}).revision for name in CHOICES]
    assert len({plain, *presets}) == len(CHOICES)
    assert FASTER({}).revision == FASTER({"cache": DEFAULT}).revision != plain
    assert FASTER({"steps": "2"}).revision == FASTER({"steps": "2", "cache": "none"}).revision
    with pytest.raises(UserError, match="cache: fast is made for 30 steps, got 2; expected none"):
        FASTER({"steps": "2", "cache": "fast"})


@pytest.mark.slow
def test_samplers_and_unaligned_landmarks_are_options() -> None:
    chosen = ({}, {"sampler": "overlap"}, {"sampler": "concatenate"}, {"alignment": "false"})
    methods = [FASTER({"steps": "1", **options}) for options in chosen]
    assert len({method.revision for method in methods}) == len(methods)
    crossed = replace(clip(frames=17), split="cross")
    progressive, *others = (m.animate(crossed, seed=1, progress=lambda *_: None).frames for m in methods)
    for frames in others:
        assert frames.shape == progressive.shape
        assert not np.array_equal(frames, progressive)


def test_it_animates_a_clip_repeatably() -> None:
    method = FASTER({"steps": "1"})
    seen: list[tuple[int, int]] = []
    first = method.animate(clip(), seed=1, progress=lambda done, total: seen.append((done, total)))
    assert first.frames.shape == (2, 256, 256, 3)
    assert first.frames.dtype == np.uint8
    assert first.fps == 25.0
    assert set(first.seconds) == {"condition", "denoise", "decode"}
    assert seen[-1] == (1, 1)
    second = method.animate(clip(), seed=1, progress=lambda done, total: None)
    assert np.array_equal(first.frames, second.frames)


def test_a_clip_without_any_face_is_a_user_error() -> None:
    with pytest.raises(UserError, match=r"clip self-0000: .*none of the 2 frames has a face"):
        FASTER({"steps": "1"}).animate(clip(face=False), seed=0, progress=lambda done, total: None)
