"""Videos as other people's tools write them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from emojibench.media.frames import precise


def head(frames: int = 24, side: int = 64) -> NDArray[np.uint8]:
    """Something smooth and coloured that moves, (T, side, side, 3)."""
    t, y, x = np.meshgrid(*[np.arange(n, dtype=float) for n in (frames, side, side)], indexing="ij")
    waves = [np.sin(x / 9 + t / 5), np.cos(y / 7 - t / 6), np.sin((x + y) / 11 + t / 4)]
    return np.stack([120 + 60 * wave for wave in waves], axis=-1).astype(np.uint8)


def encode(
    path: Path,
    frames: Sequence[Any] | NDArray[Any],
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    given: str = "rgb24",
    rate: int = 25,
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
    matrix: Sequence[int] | None = None,
    **context: Any,
) -> Path:
    """Write frames of pixel format `given`; `times` in seconds; `context` sets fields of the codec context."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 12000)
        stream.pix_fmt = pixels
        if matrix is not None:
            stream.set_display_matrix(matrix)
        for index, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format=given)
            if index == 0:
                stream.width, stream.height = frame.width, frame.height
                for name, value in context.items():
                    setattr(stream.codec_context, name, value)
            frame = frame.reformat(format=pixels, interpolation=precise())
            if times is not None:
                frame.pts, frame.time_base = round(times[index] * 12000), Fraction(1, 12000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
