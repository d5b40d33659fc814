"""Sound: read from a part of a video or sound file, written as WAV, or put beside the pictures of another video."""

import math
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.errors import MediaError
from emojibench.files.writing import atomic
from emojibench.media.decoding import opened_sound, reason
from emojibench.media.writing import MUXER
from emojibench.types import Sound

RATE = 48000
"""Samples a second of what is read and written."""
SOUNDS = frozenset({".wav", ".mp3", ".flac", ".ogg", ".opus", ".aac", ".m4a", ".aiff", ".aif"})
"""Suffixes of files that hold sound alone, in lower case."""
_LOOSE = RATE // 50
"""Samples by which time stamps may miss their place before a gap is believed."""


def samples_of(frames: int, fps: float) -> int:
    """Samples that so many frames last, rounded up."""
    return math.ceil(frames * RATE / fps - 1e-6)


def read_sound(source: Path, *, samples: int, start: float = 0.0) -> Sound | None:
    """The sound of a part of a file, mono at `RATE`; silence fills gaps.

    Args:
        source: a video, or a sound file.
        samples: how many at most; there are fewer where the sound ends earlier.
        start: where the part begins, in seconds after the first frame, or after the beginning of a sound file.

    Returns:
        (n,), or None where the file has no sound.

    Raises:
        MediaError: not such a file; its sound is of a kind that is not known, or damaged.
    """
    import av

    with opened_sound(source) as (container, stream, first):
        if stream is None:
            return None
        try:
            parts = [part[0] for part, _ in _cut(_decoded(container, stream, "mono"), first + start, samples)]
        except av.FFmpegError as error:
            raise MediaError(f"{source}: its sound is damaged ({reason(error)})") from error
    heard = np.concatenate([np.zeros(0, np.float32), *parts])
    sound: Sound = np.clip(np.rint(heard * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    return sound


def write_wav(path: Path, sound: Sound) -> None:
    """Write (n,) samples as WAV, mono, 16 bits at `RATE`, atomically. Raises `UserError` where it cannot be written."""
    with atomic(path) as temporary, wave.open(str(temporary), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(sound.astype("<i2").tobytes())


def add_sound(video: Path, source: Path, *, start: float) -> bool:
    """Give a video the sound of another one, cut to its length, as AAC; its pictures are copied as they are.

    Args:
        video: MP4 without sound, replaced.
        source: a video; without sound `video` stays as it is.
        start: where in `source` the sound begins, in seconds after its first frame.

    Returns:
        Whether there is sound.

    Raises:
        MediaError: the sound is of a kind that is not known, or cannot be decoded; `video` stays as it is.
    """
    import av

    with opened_sound(source) as (container, sound, first):
        if sound is None:
            return False
        with (
            atomic(video) as temporary,
            av.open(str(video)) as silent,
            av.open(str(temporary), "w", options=MUXER) as out,
        ):
            kept: Any = silent.streams.video[0]
            shown: Any = out.add_stream_from_template(kept)
            layout = "mono" if sound.codec_context.channels == 1 else "stereo"
            heard: Any = out.add_stream("aac", rate=RATE, layout=layout)
            heard.codec_context.flags |= av.codec.context.Flags.bitexact
            packets: list[Any] = []
            try:
                total = round(float(kept.duration * kept.time_base) * RATE)
                for samples, position in _cut(_decoded(container, sound, layout), first + start, total):
                    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
                    frame.sample_rate, frame.pts = RATE, position
                    packets += heard.encode(frame)
                packets += heard.encode(None)
            except av.FFmpegError as error:
                raise MediaError(f"{source}: its sound is damaged ({reason(error)})") from error
            for packet in silent.demux(kept):
                if packet.dts is not None:
                    packet.stream = shown
                    packets.append(packet)
            out.mux(sorted(packets, key=_time))
    return True


def _time(packet: Any) -> Any:
    return packet.dts * packet.time_base


def _decoded(container: Any, stream: Any, layout: str) -> Iterator[Any]:
    """Frames of sound at `RATE`, as floats."""
    import av

    resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
    for frame in container.decode(stream):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _cut(frames: Iterator[Any], begin: float, total: int) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Samples (channels, n) from a time in seconds on, `total` at most, and their places; silence fills gaps."""
    written = 0
    for frame in frames:
        samples = frame.to_ndarray()
        position = written if frame.time is None else round((frame.time - begin) * RATE)
        if position > written + _LOOSE:
            silence = np.zeros((len(samples), min(position, total) - written), np.float32)
            samples = np.concatenate([silence, samples], 1)
        elif position < written - _LOOSE or not written:
            samples = samples[:, max(0, written - position) :]
        samples = np.ascontiguousarray(samples[:, : total - written])
        if samples.shape[1]:
            yield samples, written
            written += samples.shape[1]
        if written >= total:
            return
