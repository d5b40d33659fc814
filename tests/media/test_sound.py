from pathlib import Path

import av
import numpy as np
import pytest
from sounding import tone, write_video_with_sound

from emojibench.errors import MediaError
from emojibench.media import read_video, write_lossless, write_preview
from emojibench.media.sound import RATE, add_sound, read_sound, samples_of, write_wav

FPS = 10


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)


@pytest.fixture
def video(tmp_path: Path, frames: np.ndarray) -> Path:
    """One second of pictures."""
    write_preview(tmp_path / "out.mp4", frames[:10], FPS)
    return tmp_path / "out.mp4"


def loud(path: Path) -> tuple[float, float, float]:
    """When a video's sound begins and stops to be heard, and when it ends; in seconds."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.audio
        parts = [(f.time, f.to_ndarray().mean(0)) for f in container.decode(stream)]
    samples = np.zeros(round(parts[-1][0] * RATE) + len(parts[-1][1]))
    for time, part in parts:
        samples[max(0, round(time * RATE)) :][: len(part)] = part[-len(samples) :]
    (heard,) = np.nonzero(np.abs(samples) > 0.1)
    return heard[0] / RATE, heard[-1] / RATE, len(samples) / RATE


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac", "libopus", "flac"])
def test_what_is_heard_stays_with_what_is_seen(
    tmp_path: Path, video: Path, frames: np.ndarray, codec: str
) -> None:
    write_video_with_sound(tmp_path / "source.mkv", frames, FPS, tone(2, 0.8, 1.2), codec)
    before = read_video(video)
    assert add_sound(video, tmp_path / "source.mkv", start=0.5)
    assert np.array_equal(read_video(video), before)
    begins, stops, ends = loud(video)
    assert begins == pytest.approx(0.3, abs=0.03)
    assert stops == pytest.approx(0.7, abs=0.03)
    assert ends == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac", "flac"])
def test_the_sound_of_a_part_is_read_and_written(tmp_path: Path, frames: np.ndarray, codec: str) -> None:
    write_video_with_sound(tmp_path / "source.mkv", frames, FPS, tone(2, 0.8, 1.2), codec)
    sound = read_sound(tmp_path / "source.mkv", samples=samples_of(9, FPS), start=0.5)
    assert sound is not None
    assert len(sound) == 0.9 * RATE
    (heard,) = np.nonzero(np.abs(sound) > 3000)
    assert heard[[0, -1]] / RATE == pytest.approx([0.3, 0.7], abs=0.03)
    write_wav(tmp_path / "part.wav", sound)
    again = read_sound(tmp_path / "part.wav", samples=10 * RATE)
    assert again is not None
    assert np.array_equal(again, sound)
    write_lossless(tmp_path / "silent.mkv", frames, FPS)
    assert read_sound(tmp_path / "silent.mkv", samples=RATE) is None
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(
        MediaError, match=r"text\.wav: not a sound file, or truncated .*; expected WAV, MP3, "
    ):
        read_sound(tmp_path / "text.wav", samples=RATE)


def test_sound_that_is_over_earlier_or_not_there(tmp_path: Path, video: Path, frames: np.ndarray) -> None:
    write_video_with_sound(tmp_path / "short.mkv", frames, FPS, tone(0.6, 0, 2))
    assert add_sound(video, tmp_path / "short.mkv", start=0)
    assert loud(video)[1] == pytest.approx(0.6, abs=0.03)
    write_lossless(tmp_path / "silent.mkv", frames, FPS)
    before = video.read_bytes()
    assert not add_sound(video, tmp_path / "silent.mkv", start=0)
    assert video.read_bytes() == before


def test_damaged_sound_is_an_error_and_the_video_stays(
    tmp_path: Path, video: Path, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video_with_sound(tmp_path / "source.mkv", frames, FPS)

    def damaged(*_: object) -> None:
        raise av.error.InvalidDataError(1, "Invalid data")

    monkeypatch.setattr("emojibench.media.sound._decoded", damaged)
    before = video.read_bytes()
    with pytest.raises(MediaError, match=r"source\.mkv: its sound is damaged"):
        add_sound(video, tmp_path / "source.mkv", start=0)
    assert video.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".mp4"] == ["out.mp4"]


def test_sound_of_an_unknown_kind_is_an_error(tmp_path: Path, video: Path, frames: np.ndarray) -> None:
    write_video_with_sound(tmp_path / "source.mkv", frames, FPS)
    content = (tmp_path / "source.mkv").read_bytes()
    (tmp_path / "source.mkv").write_bytes(content.replace(b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT"))
    with pytest.raises(MediaError, match=r"source\.mkv: its sound is of a kind that FFmpeg does not know"):
        add_sound(video, tmp_path / "source.mkv", start=0)
