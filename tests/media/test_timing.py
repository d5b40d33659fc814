"""Time stamps decide at which rate frames come."""

import numpy as np
import pytest
from foreign import encode
from hypothesis import given
from hypothesis import strategies as st

from emojibench.errors import MediaError
from emojibench.media import read_video, video_info
from emojibench.media.timing import at_constant_rate, timing

THEN_SLOWER = [k / 30 for k in range(12)] + [12 / 30 + k / 10 for k in range(8)]


def counted(times):
    """Frames whose grey level is 8 times their number."""
    return [np.full((32, 32, 3), 8 * number, np.uint8) for number in range(len(times))]


def numbers(path):
    return np.rint(read_video(path).mean(axis=(1, 2, 3)) / 8).astype(int).tolist()


def test_a_variable_rate_is_resampled_by_time(tmp_path):
    path = encode(
        tmp_path / "vfr.mp4", counted(THEN_SLOWER), codec="libx264rgb", pixels="rgb24", times=THEN_SLOWER
    )
    info = video_info(path)
    assert info.fps == pytest.approx(30, rel=0.01)
    assert info.notes == (
        "variable frame rate (10 to 30 per second): at 30 per second, 14 of 34 frames repeat the one before and 0 are "
        "skipped",
    )
    expected = [*range(12), *np.repeat(np.arange(12, 20), 3)][: info.frames]
    assert (
        np.abs(np.subtract(numbers(path), expected)).max() <= 1
    )  # at the middle between two frames, either is right
    assert info.frames == len(numbers(path)) == 34


def test_jitter_and_rounded_stamps_are_a_constant_rate(tmp_path):
    jitter = [k / 30 + 0.012 * (-1) ** k for k in range(1, 25)]
    path = encode(tmp_path / "phone.mp4", counted(jitter), codec="libx264rgb", pixels="rgb24", times=jitter)
    assert numbers(path) == list(range(24))
    assert video_info(path).fps == pytest.approx(30, rel=0.05)
    assert video_info(path).notes == ()
    path = encode(tmp_path / "rounded.mkv", counted(jitter), codec="ffv1", pixels="bgr0", rate=30)
    assert video_info(path).fps == 30  # Matroska rounds to milliseconds


def test_frames_that_stand_too_long_are_refused(tmp_path):
    times = [*(k / 30 for k in range(10)), 60.0]
    path = encode(tmp_path / "still.mp4", counted(times), codec="libx264rgb", pixels="rgb24", times=times)
    with pytest.raises(MediaError, match=r"still.mp4: most of its frames are 0.0333 s apart, some 59.7 s"):
        read_video(path)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=40))
def test_at_every_tick_comes_the_nearest_frame(gaps):
    times = np.concatenate([[0], np.cumsum(gaps)]) / 30
    pace = timing(list(times), 0.0, 0)
    if pace.interval is None:
        assert pace.frames == len(times)
        return
    shown = list(at_constant_rate(((time, np.float64(time)) for time in times), pace.interval))
    assert len(shown) == pace.frames
    for tick, time in enumerate(shown):
        away = np.abs(times - tick * pace.interval)
        assert abs(time - tick * pace.interval) <= away.min() + 1e-9
