import numpy as np
import pytest
from emojibench_baselines.copy_reference import CopyReference
from portraits_with_faces import FPS, Portrait, make_clip

from emojibench.errors import UserError
from emojibench.methods import Method


def test_every_frame_is_the_portrait(portraits: list[Portrait]) -> None:
    portrait = portraits[0]
    calls = []
    method = CopyReference({})
    assert isinstance(method, Method)
    driving = np.repeat(portrait.landmarks[None], 5, axis=0)
    animation = method.animate(make_clip(portrait, driving), seed=0, progress=lambda *at: calls.append(at))
    assert animation.frames.shape == (5, *portrait.image.shape)
    assert (animation.frames == portrait.image).all()
    assert animation.fps == FPS
    assert calls[-1] == (5, 5)


def test_a_portrait_without_a_face_is_copied_as_well(portraits: list[Portrait]) -> None:
    driving = np.full((3, 478, 3), np.nan, np.float32)
    clip = make_clip(portraits[0], driving, face_on_portrait=False)
    assert CopyReference({}).animate(clip, seed=0, progress=lambda *_: None).frames.shape[0] == 3


def test_options_are_refused() -> None:
    with pytest.raises(UserError, match="unknown option of copy-reference 'steps'"):
        CopyReference({"steps": "3"})
