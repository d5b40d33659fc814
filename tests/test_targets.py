"""Which alignment a clip's targets come from, and that the protocol tells the two apart."""

from dataclasses import replace

import numpy as np
import pytest

from emojibench import protocol
from emojibench.dataset.clip import Clip
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import DatasetError
from emojibench.face.align import align, align_with_transforms
from emojibench.face.driving import DrivingSequence
from emojibench.face.geometry import BASIS, CENTRE, VERTICES, WEIGHTS, project

SIZE = (200, 200)


@pytest.fixture
def clip() -> Clip:
    """A cross clip with transforms on both sides."""
    rng = np.random.default_rng(0)
    faces = rng.normal(0, (4, 5, 2), (3, VERTICES, 3))
    faces += CENTRE - np.einsum("n,tnc->tc", WEIGHTS, faces[:, BASIS])[:, None]
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, :3, 3] = [(0, 0, -40), (1, 0, -42), (0, 2, -38)]
    points = rng.uniform(0.4, 0.6, (3, 478, 3)).astype(np.float32)
    points[:, :VERTICES] = project(faces + poses[:, None, :3, 3], SIZE)
    driving = DrivingSequence(points[1:], 25.0, SIZE, "test", poses[1:], np.full((2, 52), 0.1, np.float32))
    return Clip(
        clip_id="cross-0000",
        split="cross",
        domain="cartoon",
        subject="a",
        driving_subject="b",
        portrait=np.zeros((200, 200, 3), np.uint8),
        portrait_landmarks=points[0],
        driving=driving,
        portrait_transform=poses[0],
    )


def test_transforms_on_both_sides_give_the_released_alignment(clip: Clip) -> None:
    driving = clip.driving
    assert clip.portrait_landmarks is not None
    expected = align_with_transforms(
        clip.portrait_landmarks,
        driving.landmarks,
        portrait_transform=clip.portrait_transform,
        driving_transforms=driving.transforms,
        driving_blendshapes=driving.blendshapes,
        portrait_size=SIZE,
        driving_size=SIZE,
    )
    np.testing.assert_array_equal(target_landmarks(clip), expected)


@pytest.mark.parametrize("lacking", ["portrait_transform", "transforms", "blendshapes"])
def test_otherwise_landmarks_alone_decide(clip: Clip, lacking: str) -> None:
    with_transforms = target_landmarks(clip)
    if lacking == "portrait_transform":
        clip = replace(clip, portrait_transform=None)
    else:
        clip = replace(clip, driving=replace(clip.driving, **{lacking: None}))
    expected = align(clip.portrait_landmarks, clip.driving.landmarks, portrait_size=SIZE, driving_size=SIZE)
    np.testing.assert_array_equal(target_landmarks(clip), expected)
    assert not np.allclose(expected, with_transforms, atol=1e-3)


def test_a_transform_of_another_picture_names_the_clip(clip: Clip) -> None:
    assert clip.portrait_transform is not None
    clip.portrait_transform[:3, 3] = (20, 0, -40)
    with pytest.raises(DatasetError, match=r"clip cross-0000: portrait_transform: .*does not belong"):
        target_landmarks(clip)


def test_the_protocol_tells_the_alignments_apart() -> None:
    plain, rich = (
        protocol.default(f"mediapipe-{name}-0.10.21-00000000") for name in ("facemesh", "facelandmarker")
    )
    assert plain.targets == protocol.Protocol.model_fields["targets"].default
    assert any(line.startswith("targets: ") for line in plain.differences(rich))
