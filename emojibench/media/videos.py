"""Videos, and folders of numbered pictures that stand for them, as streams of frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from emojibench.errors import MediaError
from emojibench.media.decoding import VideoStream, opened, promised, reason
from emojibench.media.frames import FrameReader
from emojibench.media.images import read_image
from emojibench.media.sequences import iterate_pictures, numbered_pictures
from emojibench.media.timing import Timing, at_constant_rate, timing
from emojibench.types import Frames, Image


@dataclass(frozen=True)
class VideoInfo:
    """What comes out of a video, by its header, time stamps and first frame."""

    width: int
    height: int
    """Pixels, square ones, after the turn that the file asks for."""
    fps: float
    """Frames per second, constant; 0 when the file does not say, as pictures never do."""
    frames: int
    """Frames that come out; 0 when the file does not say. A damaged file may end earlier."""
    codec: str
    audio: bool
    pixels: str = "rgb"
    """FFmpeg's name of the stored pixels' format; pictures count as `rgb`."""
    notes: tuple[str, ...] = ()
    """What happens to the stored frames on the way: resampled by time, deinterlaced, tone-mapped, ..."""


def video_info(path: str | Path) -> VideoInfo:
    """What `iterate_video` makes of a file or folder. Raises `MediaError` as `iterate_video` does."""
    path = Path(path)
    if path.is_dir():
        files = numbered_pictures(path)
        height, width, _ = read_image(files[0]).shape
        return VideoInfo(width, height, 0.0, len(files), files[0].suffix.lower()[1:], audio=False)
    pace = _timing(path)
    with opened(path) as video:
        first = next(video.frames())
        reader = _reader(video, first)
        width, height = reader.size
        return VideoInfo(
            width=width,
            height=height,
            fps=pace.fps,
            frames=pace.frames,
            codec=video.stream.codec_context.name,
            audio=bool(video.container.streams.audio),
            pixels=str(video.stream.codec_context.pix_fmt),
            notes=tuple(filter(None, [*video.notes, pace.note, *reader.notes])),
        )


def iterate_video(path: str | Path) -> Iterator[Image]:
    """Yield the frames of a video, or of a folder of numbered pictures, one by one; nothing is held in memory.

    Frames are uint8 RGB (H, W, 3), in sRGB, upright, of square pixels, progressive, at the constant rate that
    `video_info` tells; the rules are in docs/datasets.md.

    Raises:
        MediaError: not a video, or of a kind that is not read; or, after the frames that could be decoded, damaged
            or truncated. Of a folder: as `iterate_pictures`.
    """
    path = Path(path)
    if path.is_dir():
        yield from iterate_pictures(path)
        return
    pace = _timing(path)
    with opened(path) as video:
        timed = _pictures(video)
        if pace.interval is None:
            yield from (picture for _, picture in timed)
        else:
            yield from at_constant_rate(timed, pace.interval)


def read_video(path: str | Path) -> Frames:
    """Read a whole video or folder of numbered pictures, uint8 RGB (T, H, W, 3).

    Raises:
        MediaError: as `iterate_video`.
    """
    return np.stack(list(iterate_video(path)))


def _timing(path: Path) -> Timing:
    with opened(path) as video:
        stated, said = float(video.stream.average_rate or 0), promised(video.stream)
        times = video.times()
        if times is not None and video.ends_early(len(times)):
            return Timing(stated, len(times))  # decoding will say that it is truncated
        try:
            return timing(times, stated, said, tick=float(video.stream.time_base or 0))
        except ValueError as error:
            raise MediaError(f"{path}: {error}") from error


def _reader(video: VideoStream, first: Any) -> FrameReader:
    try:
        return FrameReader(video.stream, first)
    except ValueError as error:
        raise MediaError(f"{video.path}: {error}") from error


def _pictures(video: VideoStream) -> Iterator[tuple[float, Image]]:
    import av

    frames = video.frames()
    first = next(frames)  # or the reason why there is none
    reader = _reader(video, first)
    try:
        yield from reader.pictures(chain([first], frames))
    except av.FFmpegError as error:
        raise MediaError(f"{video.path}: its frames cannot be converted to RGB ({reason(error)})") from error
    except ValueError as error:
        raise MediaError(f"{video.path}: {error}") from error
