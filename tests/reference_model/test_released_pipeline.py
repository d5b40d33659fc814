from dataclasses import replace

import numpy as np
import pytest
import torch
from fye_faster.models.released import ReleasedModel
from fye_faster.pipelines.released import Letterbox, ReleasedPipeline
from released_golden import GOLDEN


@pytest.fixture(scope="module")
def pipeline() -> ReleasedPipeline:
    torch.manual_seed(0)
    model = ReleasedModel(replace(GOLDEN, resolution=64))  # seconds depend on it, tensors do not
    for parameter in model.parameters():  # nothing may stay zero, or it would not be tested
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return ReleasedPipeline(model)


def picture(height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_clip_longer_than_a_window_comes_back_whole_and_repeatably(
    pipeline: ReleasedPipeline, moving_landmarks: np.ndarray
) -> None:
    seen: list[tuple[int, int]] = []
    portrait = picture(50, 80)
    result = pipeline.animate(
        portrait, moving_landmarks, progress=lambda done, total: seen.append((done, total))
    )
    assert result.frames.shape == (6, 50, 80, 3)
    assert result.frames.dtype == np.uint8
    assert set(result.seconds) == {"condition", "denoise", "decode"}
    assert seen[-1] == (4, 4)  # two windows, two steps
    pipeline.animate(255 - portrait, moving_landmarks[:1], guidance=1.0, steps=1)
    assert np.array_equal(pipeline.animate(portrait, moving_landmarks).frames, result.frames)


def test_everything_given_has_an_effect(pipeline: ReleasedPipeline, moving_landmarks: np.ndarray) -> None:
    base = pipeline.animate(picture(), moving_landmarks).frames
    others = {
        "portrait": pipeline.animate(255 - picture(), moving_landmarks),
        "target": pipeline.animate(picture(), moving_landmarks[::-1].copy()),
        "steps": pipeline.animate(picture(), moving_landmarks, steps=1),
        "guidance": pipeline.animate(picture(), moving_landmarks, guidance=1.0),
        "overlap": pipeline.animate(picture(), moving_landmarks, overlap=3),
        "seed": pipeline.animate(picture(), moving_landmarks, seed=1),
    }
    for name, other in others.items():
        assert not np.array_equal(base, other.frames), name


def test_bad_input_is_named(pipeline: ReleasedPipeline, moving_landmarks: np.ndarray) -> None:
    for portrait, points, options, message in [
        (picture()[..., 0], moving_landmarks, {}, "portrait: expected uint8"),
        (picture(), moving_landmarks * np.nan, {}, "none of the 6 frames has a face"),
        (picture(), moving_landmarks, {"steps": 0}, "steps: expected 1 to 1000, got 0"),
        (picture(), moving_landmarks, {"overlap": 4}, "overlap: expected 0 to 3, got 4"),
    ]:
        with pytest.raises(ValueError, match=message):
            pipeline.animate(portrait, points, **options)  # type: ignore[arg-type]


def test_a_letterbox_keeps_shape_and_landmarks_and_can_be_undone() -> None:
    wide = np.full((50, 100, 3), 200, np.uint8)
    box = Letterbox(100, 50, 64)
    canvas = box.fit(wide)
    assert canvas.shape == (1, 3, 64, 64)
    inside = (canvas[0, 0] > -1).nonzero()
    assert inside.min(0).values.tolist() == [16, 0]
    assert inside.max(0).values.tolist() == [47, 63]
    corners = np.zeros((2, 478, 3))
    corners[1] = 1
    assert box.move(corners)[:, 0, :2].tolist() == [[0, 0.25], [1, 0.75]]
    assert box.undo(canvas).shape == (1, 3, 50, 100)
    torch.testing.assert_close(
        box.undo(canvas), torch.full((1, 3, 50, 100), 200 / 127.5 - 1), atol=0.01, rtol=0
    )
