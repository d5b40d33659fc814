"""Combed frames that nothing marks are found; clean ones never are, whatever they show."""

import numpy as np
import pytest
from foreign import encode
from numpy.typing import NDArray

from emojibench.errors import MediaError
from emojibench.media import read_video, write_image
from emojibench.media.combing import Combing

SIDE = 128
Y, X = np.mgrid[:SIDE, :SIDE].astype(float)
RNG = np.random.default_rng(0)
WALL = RNG.normal(0, 15, (SIDE, SIDE))


def scene(time: float) -> NDArray[np.float64]:
    """A head with hair before a rough wall, swaying."""
    across = X - 64 - 20 * np.sin(time / 5)
    head = 1 / (1 + np.exp((np.hypot(across / 0.8, Y - 64 - 4 * np.sin(time / 4)) - 35) / 1.2))
    return (110 + WALL) * (1 - head) + (130 + 50 * np.sin(across / 3)) * head


def grey(pictures) -> NDArray[np.uint8]:
    return np.stack([np.clip(np.rint(picture), 0, 255).astype(np.uint8) for picture in pictures])


def woven(first, second) -> NDArray[np.float64]:
    """Even lines of the first picture, odd ones of the second."""
    return np.where(Y % 2 == 0, first, second)


def rough(picture, sigma: float) -> NDArray[np.float64]:
    return picture + RNG.normal(0, sigma, picture.shape)


def is_combed(pictures) -> bool:
    combing = Combing()
    found = [combing.look(picture) for picture in grey(pictures)]
    return any(found) or combing.end()


TIMES = range(30)
CLEAN = {
    "a head that sways": lambda: [scene(t) for t in TIMES],
    "a fast one": lambda: [scene(4 * t) for t in TIMES],
    "noise of a camera": lambda: [rough(scene(t), 12) for t in TIMES],
    "a still picture with noise": lambda: [rough(scene(0), 12) for _ in TIMES],
    "a still picture": lambda: [scene(0) for _ in TIMES],
    "frames that stand twice": lambda: [scene(t // 2) for t in TIMES],
    "lines in turn": lambda: [np.where(Y % 2, 220, 30) for _ in TIMES],
    "scan lines": lambda: [woven(scene(t), 0.6 * scene(t)) for t in TIMES],
    "upright stripes that run": lambda: [np.where((X + 3 * t) // 4 % 2, 220, 30) for t in TIMES],
    "stripes that roll": lambda: [np.where((Y + 6 * t) // 16 % 2, 220, 30) for t in TIMES],
    "rough stripes that roll": lambda: [rough(np.where((Y + 6 * t) // 16 % 2, 190, 60), 12) for t in TIMES],
    "lines that roll": lambda: [np.where((Y + t) % 2, 220, 30) for t in TIMES],
    "cuts": lambda: [scene(t + 50 * (t // 3)) for t in TIMES],
    "a fade": lambda: [scene(0) * t / 30 for t in TIMES],
}
COMBED = {
    "upper field first": lambda: [woven(scene(t), scene(t + 0.5)) for t in TIMES],
    "lower field first": lambda: [woven(scene(t + 0.5), scene(t)) for t in TIMES],
    "with noise": lambda: [rough(woven(scene(t), scene(t + 0.5)), 6) for t in TIMES],
    "slowly": lambda: [woven(scene(t / 3), scene(t / 3 + 1 / 6)) for t in TIMES],
    "late by a field": lambda: [woven(scene(t + 1), scene(t)) for t in TIMES],
    "telecined": lambda: [
        woven(scene(t // 5 * 4 + (0, 1, 1, 2, 3)[t % 5]), scene(t // 5 * 4 + (0, 1, 2, 3, 3)[t % 5]))
        for t in TIMES
    ],
    "from the middle on": lambda: [
        woven(scene(t), scene(t + 0.5 * (t >= 25))) for t in range(50)
    ],
    "ten frames": lambda: [woven(scene(t), scene(t + 0.5)) for t in range(10)],
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_clean_pictures_are_never_taken_for_combed_ones(name):
    assert not is_combed(CLEAN[name]())


@pytest.mark.parametrize("name", COMBED)
def test_fields_of_different_times_are_noticed(name):
    assert is_combed(COMBED[name]())


def test_combed_videos_and_folders_are_refused_with_what_to_do(tmp_path):
    frames = np.repeat(grey(COMBED["upper field first"]())[..., None], 3, axis=3)
    encode(tmp_path / "tv.mp4", frames, options={"crf": "18"})
    (tmp_path / "tv").mkdir()
    for number, frame in enumerate(frames[:12]):
        write_image(tmp_path / "tv" / f"{number:02}.png", frame)
    for name in ("tv.mp4", "tv"):
        with pytest.raises(MediaError, match=rf"{name}: combed: .*deinterlace it first \(ffmpeg"):
            read_video(tmp_path / name)
    own = encode(tmp_path / "own.mkv", frames, codec="ffv1", pixels="bgr0")
    assert len(read_video(own)) == 30  # what a method made is scored as it is
