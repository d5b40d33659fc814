"""Videos: streamed decoding, lossless FFV1 for scoring, watermarked H.264 for looking at."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from emojibench.dataset.clip import Frames, Image
from emojibench.errors import MediaError
from emojibench.media.files import atomic

WATERMARK = "AI-generated"
"""Drawn on every preview, never on frames that are scored."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header claims."""

    width: int
    height: int
    """Pixels, after the rotation that the file asks for."""
    fps: float
    frames: int
    """Frames that the header promises; 0 when it does not say."""
    codec: str
    audio: bool


def video_info(path: str | Path) -> VideoInfo:
    """Read a video's header and first frame. Raises `MediaError` as `iterate_video` does."""
    path = Path(path)
    with _open(path) as (container, stream):
        height, width, _ = next(_decode(container, stream, path)).shape
        return VideoInfo(
            width=width,
            height=height,
            fps=float(stream.average_rate or 0),
            frames=_promised(stream),
            codec=stream.codec_context.name,
            audio=bool(container.streams.audio),
        )


def iterate_video(path: str | Path) -> Iterator[Image]:
    """Yield a video's frames one by one, uint8 RGB (H, W, 3), upright; nothing is held in memory.

    Raises:
        MediaError: not a video; or, after the frames that could be decoded, truncated or damaged.
    """
    path = Path(path)
    with _open(path) as (container, stream):
        yield from _decode(container, stream, path)


def read_video(path: str | Path) -> Frames:
    """Read a whole video, uint8 RGB (T, H, W, 3). Raises `MediaError` as `iterate_video` does."""
    return np.stack(list(iterate_video(path)))


def write_lossless(path: Path, frames: Iterable[Image], fps: float) -> None:
    """Write uint8 RGB frames (T, H, W, 3) as FFV1 in Matroska, atomically; they read back bit for bit.

    Same frames, same bytes: no time stamps or random identifiers, and a fixed number of slices.

    Raises:
        UserError: the file cannot be written.
    """
    # FFV1 codes bgr0 with a reversible colour transform; slices let cores share a frame, CRCs show bit rot.
    options = {"level": "3", "slices": "4", "slicecrc": "1"}
    _write(path, frames, fps, codec="ffv1", pixels="bgr0", options=options)


def write_preview(path: Path, frames: Iterable[Image], fps: float, *, watermark: bool = True) -> None:
    """Write an H.264 (yuv420p) MP4 that any player shows, with `WATERMARK` drawn on a copy of each frame.

    Without `watermark` the frames stay as they are. Odd sides grow by one repeated row or column, because yuv420p
    needs even ones.

    Raises:
        UserError: the file cannot be written.
    """
    options = {"crf": "18", "preset": "veryfast"}
    shown = map(_marked if watermark else _even, frames)
    _write(path, shown, fps, codec="libx264", pixels="yuv420p", options=options)


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    import av

    try:
        container = av.open(str(path))
    except FileNotFoundError:
        raise MediaError(f"{path}: no such video") from None
    except av.FFmpegError as error:
        raise MediaError(
            f"{path}: not a video, or truncated before its index: 0 frames could be decoded ({_why(error)})"
        ) from error
    with container:
        if not container.streams.video:
            raise MediaError(f"{path}: holds no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _decode(container: Any, stream: Any, path: Path) -> Iterator[Image]:
    import av

    count = 0
    damage = ""
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                damage = "a packet is incomplete"
                break
            for frame in packet.decode():
                count += 1
                yield _rgb(frame)
    except av.FFmpegError as error:
        damage = _why(error)
    promised = _promised(stream)
    if not damage and count < max(1, promised - _tolerance(stream, promised)):
        damage = "the file ends early"
    if damage:
        of = f" of {promised}" if promised else ""
        raise MediaError(f"{path}: truncated or damaged ({damage}): {count}{of} frames could be decoded")


def _why(error: Any) -> str:
    return str(error.strerror or "invalid data").lower()


def _rgb(frame: Any) -> Image:
    image = frame.to_ndarray(format="rgb24")
    # Phones store frames as the sensor sees them and the rotation beside; degrees are counter-clockwise.
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))


def _promised(stream: Any) -> int:
    """Frames that the header promises, 0 if it does not say.

    Counted by duration: the number of stored frames includes those that an edit list hides.
    """
    if not stream.average_rate:
        return 0
    if stream.duration is not None:
        frames: int = round(stream.duration * stream.time_base * stream.average_rate)
        return frames
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    if not seconds:
        return 0
    return round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * float(stream.average_rate))


def _tolerance(stream: Any, promised: int) -> float:
    """Frames by which a sound file may miss its header: none for our own, a few for variable frame rates."""
    return 0 if stream.codec_context.name == "ffv1" else max(2, 0.02 * promised)


def _write(
    path: Path, frames: Iterable[Image], fps: float, *, codec: str, pixels: str, options: dict[str, str]
) -> None:
    import av

    # Bit-exact: no dates, no random ids. Fast start: an MP4 opens with its index, as browsers like it.
    muxer = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if codec == "libx264" else {})
    with atomic(path) as temporary, av.open(str(temporary), "w", options=muxer) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.pix_fmt = pixels
        for index, frame in enumerate(frames):
            if index == 0:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _even(frame: Image) -> Image:
    """A copy of `frame` with even sides."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _marked(frame: Image) -> Image:
    """A copy of `frame` with even sides and the watermark in its lower left corner."""
    import cv2

    height, width = frame.shape[:2]
    marked = _even(frame)
    scale = min(height, width) / 560
    (text_width, text_height), below = cv2.getTextSize(WATERMARK, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    margin = max(2, text_height // 2)
    strip = marked[-(text_height + below + margin) :, : text_width + 2 * margin]
    strip //= 3
    where = (margin, marked.shape[0] - below)
    cv2.putText(marked, WATERMARK, where, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return marked
