"""Writing videos: lossless FFV1 for scoring, watermarked H.264 for looking at."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from emojibench.files.writing import atomic
from emojibench.types import Image

WATERMARK = "AI-generated"
"""Drawn on every preview, never on frames that are scored."""
MUXER = {"fflags": "+bitexact", "movflags": "+faststart"}
"""Of an MP4. Bit-exact: no dates, no random ids. Fast start: it opens with its index, as browsers like it."""


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
    """Write an H.264 (yuv420p, BT.601) MP4 that any player shows, `WATERMARK` drawn on a copy of each frame.

    Without `watermark` the frames stay as they are. Odd sides grow by one repeated row or column, because yuv420p
    needs even ones.

    Raises:
        UserError: the file cannot be written.
    """
    options = {"crf": "18", "preset": "veryfast"}
    shown = map(marked if watermark else _even, frames)
    _write(path, shown, fps, codec="libx264", pixels="yuv420p", options=options)


def _write(
    path: Path, frames: Iterable[Image], fps: float, *, codec: str, pixels: str, options: dict[str, str]
) -> None:
    import av

    muxer = MUXER if codec == "libx264" else {"fflags": "+bitexact"}
    convert = _converter(pixels)
    with atomic(path) as temporary, av.open(str(temporary), "w", options=muxer) as container:
        stream: Any = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.pix_fmt = pixels
        for index, frame in enumerate(frames):
            if index == 0:
                stream.height, stream.width = frame.shape[:2]
            container.mux(stream.encode(convert(frame)))
        container.mux(stream.encode(None))


def _converter(pixels: str) -> Callable[[Image], Any]:
    """From uint8 RGB to FFmpeg frames of a pixel format, with the filters that reading uses."""
    import av
    from av.video.reformatter import VideoReformatter

    from emojibench.media.frames import precise

    reformatter = VideoReformatter()

    def convert(frame: Image) -> Any:
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        return reformatter.reformat(picture, format=pixels, interpolation=precise(), threads=1)

    return convert


def _even(frame: Image) -> Image:
    """A copy of `frame` with even sides."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def marked(frame: Image) -> Image:
    """A copy of `frame` (H, W, 3) with even sides and the watermark in its lower left corner."""
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
