"""From what a decoder gives to pictures: progressive, square pixels, upright, sRGB on white."""

import struct
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from emojibench.media import colour
from emojibench.media.combing import COMBED, Combing
from emojibench.types import Image

_SDR = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15})
"""Transfer functions, by H.273, whose code values are shown as if they were sRGB's."""
_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
"""Colour matrices, by H.273, that swscale knows; unspecified is read as BT.601."""
_SQUARE = 0.01
"""Pixels whose sides differ by less count as square; encoders round."""


class FrameReader:
    """Turns one stream's frames into pictures; the first frame decides how."""

    def __init__(self, stream: Any, first: Any) -> None:
        """Look at the first frame.

        Raises:
            ValueError: frames of this kind are not read; says why.
        """
        from av.video.reformatter import VideoReformatter

        context = stream.codec_context
        self._reformatter, self._to_grey = VideoReformatter(), VideoReformatter()
        self._stored = (first.width, first.height)
        self._square = _square_size(stream, self._stored)
        self._turn, turned = _upright(first)
        self._transfer = _known(first.color_trc, context.color_trc)
        self._primaries = _known(first.color_primaries, context.color_primaries)
        self._curve = self._transfer in (colour.PQ, colour.HLG) or self._primaries in colour.WIDE
        self._alpha = first.format.has_palette or any(part.is_alpha for part in first.format.components)
        self._field_order = context.field_order
        self._interlaced = bool(first.interlaced_frame or self._field_order > 1)
        # What we wrote ourselves is scored as it is, whatever a method made.
        self._may_be_combed = not self._interlaced and not (context.name == "ffv1" and first.format.is_rgb)
        _check_colour(self._transfer, _known(first.colorspace, context.colorspace), first)
        self.notes = list(filter(None, [*self._said(), turned]))
        """What happens to the frames, other than a change of pixel format."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        width, height = self._square
        shape = self._turn(np.empty((height, width, 0))).shape
        return shape[1], shape[0]

    def pictures(self, frames: Iterator[Any]) -> Iterator[tuple[float, Image]]:
        """Yield seconds and pixels, uint8 RGB (H, W, 3), of each frame, the first one included.

        Raises:
            ValueError: a frame is of another kind than the first; says which. Or the frames are combed: at the latest
                after the last one.
        """
        combing = Combing()
        for number, (time, frame) in enumerate(self._progressive(frames)):
            if (frame.width, frame.height) != self._stored:
                (width, height), was = (frame.width, frame.height), "x".join(map(str, self._stored))
                raise ValueError(f"frame {number} has {width}x{height} pixels, those before {was}")
            if self._may_be_combed and combing.look(self._grey(frame)):
                raise ValueError(COMBED)
            yield time, self._picture(frame)
        if combing.end():
            raise ValueError(COMBED)

    def _said(self) -> Iterator[str]:
        if self._interlaced:
            yield "interlaced: deinterlaced by bwdif"
        if self._transfer in (colour.PQ, colour.HLG):
            name = "PQ" if self._transfer == colour.PQ else "HLG"
            yield f"high dynamic range ({name}): tone-mapped to sRGB by BT.2390"
        elif self._primaries in colour.WIDE:
            yield f"wide gamut ({colour.WIDE[self._primaries]}): brought to sRGB"
        if self._square != self._stored:
            before, after = ("x".join(map(str, size)) for size in (self._stored, self._square))
            yield f"pixels are not square: {before} scaled to {after}"
        if self._alpha:
            yield "transparency is laid on white"

    def _picture(self, frame: Any) -> Image:
        width, height = self._square
        layout = (
            ("rgba64le" if self._alpha else "rgb48le") if self._curve else "rgba" if self._alpha else "rgb24"
        )
        pixels: NDArray[Any] = self._reformatter.reformat(
            frame, width=width, height=height, format=layout, interpolation=precise(), threads=1
        ).to_ndarray()
        if self._curve:
            image = colour.to_srgb(pixels[..., :3], self._transfer, self._primaries)
            alpha = (pixels[..., 3:] // 257).astype(np.uint8)
            pixels = np.concatenate([image, alpha], axis=2) if self._alpha else image
        if self._alpha:
            pixels = colour.on_white(Pillow.fromarray(pixels))
        return np.ascontiguousarray(self._turn(pixels))

    def _grey(self, frame: Any) -> NDArray[np.uint8]:
        grey: NDArray[Any] = self._to_grey.reformat(frame, format="gray", threads=1).to_ndarray()
        return grey

    def _progressive(self, frames: Iterator[Any]) -> Iterator[tuple[float, Any]]:
        if self._interlaced:
            yield from _deinterlaced(frames, self._field_order)
            return
        for number, frame in enumerate(frames):
            if frame.interlaced_frame:
                raise ValueError(f"interlaced from frame {number} on, not before; deinterlace it first")
            yield seconds(frame), frame


def precise() -> int:
    """Flags of swscale's. Without them chroma is enlarged in steps and values are rounded down, a level too dark."""
    from av.video.reformatter import Interpolation as Flag

    return int(Flag.BICUBIC | Flag.FULL_CHR_H_INT | Flag.FULL_CHR_H_INP | Flag.ACCURATE_RND | Flag.BITEXACT)


def seconds(frame: Any) -> float:
    """When a frame is shown; 0 if the file does not say."""
    return 0.0 if frame.time is None else float(frame.time)


def _known(of_frame: int, of_stream: int) -> int:
    """The frame's own property, or the container's where the frame does not say (2)."""
    return int(of_stream if of_frame == 2 else of_frame)


def _check_colour(transfer: int, matrix: int, first: Any) -> None:
    if transfer not in _SDR and transfer not in (colour.PQ, colour.HLG):
        raise ValueError(f"its transfer function (H.273 number {transfer}) is not read; convert it to BT.709")
    if matrix not in _MATRICES:
        raise ValueError(f"its colour matrix (H.273 number {matrix}) is not read; convert it to BT.709")
    from av.sidedata.sidedata import Type

    if transfer == 2 and any(data.type == Type.DOVI_RPU_BUFFER for data in first.side_data):
        raise ValueError("Dolby Vision without a base that other players can show; convert it to BT.709")


def _square_size(stream: Any, size: tuple[int, int]) -> tuple[int, int]:
    """The size with square pixels: the side that is stored too short grows."""
    ratio = float(stream.sample_aspect_ratio or 1) or 1.0
    width, height = size
    if abs(ratio - 1) < _SQUARE:
        return size
    if not 0.1 <= ratio <= 10:
        raise ValueError(f"its pixels are {ratio:g} times as wide as high; expected about square ones")
    return (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))


def _upright(frame: Any) -> tuple[Callable[[NDArray[Any]], NDArray[Any]], str]:
    """How to turn and mirror pixels so that they are as the file's display matrix says, and a word about it."""
    from av.sidedata.sidedata import Type

    stored = next((bytes(data) for data in frame.side_data if data.type == Type.DISPLAYMATRIX), None)
    if stored is None:
        return lambda pixels: pixels, ""
    a, b, _, c, d, *_ = struct.unpack(
        "=9i", stored
    )  # (x, y) is shown at (ax + cy, bx + dy), up to scale and shift
    across, down = (
        max(abs(a), abs(c)) or 1,
        max(abs(b), abs(d)) or 1,
    )  # a scale is in the sample aspect ratio, too
    exact = (a / across, b / down, c / across, d / down)
    a, b, c, d = map(round, exact)
    error = max(abs(value - near) for value, near in zip(exact, (a, b, c, d), strict=True))
    if error > 0.02 or (bool(a), bool(b)) != (bool(d), bool(c)) or bool(a) == bool(b):
        raise ValueError(
            "its display matrix asks for more than quarter turns and mirroring; convert it first"
        )

    def turn(pixels: NDArray[Any]) -> NDArray[Any]:
        if b:
            pixels = pixels.swapaxes(0, 1)
        return pixels[:: b or d, :: c or a]

    return turn, "mirrored, as the file asks" if a * d - b * c < 0 else ""


def _deinterlaced(frames: Iterator[Any], field_order: int) -> Iterator[tuple[float, Any]]:
    """One progressive frame for each frame, by FFmpeg's bwdif."""
    import av

    first = next(frames)
    parity = {2: "tff", 5: "tff", 3: "bff", 4: "bff"}.get(field_order, "auto")
    which = "interlaced" if first.interlaced_frame else "all"
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=first.time_base
    )
    bwdif = graph.add("bwdif", f"mode=send_frame:parity={parity}:deint={which}")
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    times: deque[float] = deque()
    for frame in chain([first], frames, [None]):
        if frame is not None:
            if (frame.width, frame.height) != (first.width, first.height):
                raise ValueError(f"frames change to {frame.width}x{frame.height} pixels on the way")
            times.append(seconds(frame))
        source.push(frame)
        while times:
            try:
                shown = sink.pull()
            except (av.BlockingIOError, av.EOFError):
                break
            yield times.popleft(), shown
