"""Frames of what a command has written: found, counted, cut, brought to size; from before the encoder if possible."""

import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emojibench import media
from emojibench.errors import MediaError
from emojibench.methods.description import Output, Tile
from emojibench.methods.templates import fill
from emojibench.types import Frames, Image

BEFORE = "frames taken before the encoder"
"""Note on clips whose file has lost what its frames had not."""
_EXACT = frozenset(
    {"ffv1", "png", "rawvideo", "huffyuv", "ffvhuff", "utvideo", "qtrle", "bmp", "tif", "tiff"}
)
"""Codecs and kinds of pictures that keep every RGB value, given RGB."""
_RGB = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "gray")
_SAME_FILE, _ANY_FILE = 48.0, 16.0
"""Mean difference, of 255, up to which taken frames count as those of the written file: one of the path that the writer
was given, and another one (the program has moved it, or added sound). Noise is what encoders change most."""


Chosen = NDArray[np.intp]
"""For each driving frame the number of the written frame that answers to it, ascending."""


@dataclass(frozen=True)
class Collected:
    """A clip's frames, (T, H, W, 3) uint8 RGB, and what was done to them."""

    frames: Frames
    note: str


def collect(
    output: Output,
    filled: Mapping[str, str],
    folder: Path,
    *,
    expected: int,
    fps: float,
    size: tuple[int, int],
    capture: Path,
) -> Collected:
    """The frames of one clip.

    Args:
        output: what the description says of it.
        filled: values of placeholders.
        folder: the clip's own, with `in` and `out`.
        expected: number of driving frames.
        fps: of the driving frames.
        size: width and height of the portrait.
        capture: folder of frames that were taken before they were encoded.

    Raises:
        MediaError: nothing there, more than one, or not such frames as were asked for; the message says which.
    """
    path = _found(output, filled, folder)
    info = media.video_info(path)
    tile = output.tile or Tile(x=0, y=0, width=info.width, height=info.height)
    if tile.x + tile.width > info.width or tile.y + tile.height > info.height:
        raise MediaError(
            f"{path.name}: expected frames that hold {tile.width}x{tile.height} pixels at {tile.x},{tile.y} "
            f"(output.tile), got {info.width}x{info.height}"
        )
    if output.size is not None and output.size != (tile.width, tile.height):
        wanted = "x".join(map(str, output.size))
        raise MediaError(
            f"{path.name}: expected frames of {wanted} (output.size), got {tile.width}x{tile.height}"
        )
    resized = media.resizing((tile.width, tile.height), size)
    by_time = output.frames == "audio"
    chosen = _at_times(expected, fps, info.fps or output.fps) if by_time else np.arange(expected)
    frames, count = _read(path, tile, chosen, size)
    notes = [*info.notes, _count_note(output, path, chosen, count)]
    exact = not output.lossy or (info.codec in _EXACT and info.pixels.startswith(_RGB))
    if not exact:
        taken = _taken(capture, path, frames, (count, info.height, info.width, 3), tile, chosen)
        if taken is not None:
            frames = taken
        notes.append(
            BEFORE if taken is not None else f"decoded from {info.codec}, whose loss is in the frames"
        )
    return Collected(frames, "; ".join(filter(None, [*notes, resized])))


def _found(output: Output, filled: Mapping[str, str], folder: Path) -> Path:
    """The one file or folder that the pattern names."""
    pattern = fill(output.pattern, {name: glob.escape(value) for name, value in filled.items()})
    found = sorted(map(Path, glob.glob(str(folder.absolute() / pattern))))  # noqa: PTH207 - it may be absolute
    wanted = "file" if output.kind == "video" else "folder of pictures"
    shown = fill(output.pattern, filled)
    if not found:
        there = sorted(
            str(p.relative_to(folder)) for p in _files(folder, skip=(folder / "in", folder / "tmp"))
        )
        listing = ", ".join(there[:5]) + (", ..." if there[5:] else "") if there else "nothing"
        raise MediaError(f"no output: expected a {wanted} {shown} (output.pattern), found {listing}")
    if len(found) > 1:
        names = ", ".join(path.name for path in found[:3])
        raise MediaError(f"expected one {wanted} {shown} (output.pattern), found {len(found)}: {names}")
    if found[0].is_dir() != (output.kind == "pictures"):
        got = "a folder" if found[0].is_dir() else "a file"
        raise MediaError(f"{found[0].name}: expected a {wanted} (output.kind is {output.kind}), got {got}")
    return found[0]


def _files(folder: Path, skip: tuple[Path, ...]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():  # the command may have removed it
        if path in skip:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _files(path, skip)
        else:
            yield path


def _at_times(expected: int, fps: float, rate: float | str | None) -> Chosen:
    """Which frame of a file at `rate` is shown when each driving frame is; those of sound run by time alone."""
    own = rate if isinstance(rate, float) else fps
    chosen: Chosen = np.floor(np.arange(expected) * own / fps + 1e-3).astype(np.intp)
    return chosen


def _read(path: Path, tile: Tile, chosen: Chosen, size: tuple[int, int]) -> tuple[Frames, int]:
    """The chosen frames, cut and resized one by one, and how many frames there are."""
    frames: Frames = np.zeros((len(chosen), size[1], size[0], 3), np.uint8)
    count = 0
    for picture in media.iterate_video(path):
        if len(places := np.flatnonzero(chosen == count)):
            frames[places] = media.resize(_cut(picture, tile), size)
        count += 1
    return frames, count


def _cut(picture: Image, tile: Tile) -> Image:
    return np.ascontiguousarray(picture[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width])


def _count_note(output: Output, path: Path, chosen: Chosen, count: int) -> str:
    expected, needed = len(chosen), int(chosen[-1]) + 1
    by_time = not np.array_equal(chosen, np.arange(expected))
    if count == expected and not by_time:
        return ""
    if count < needed or output.frames == "driving":
        each = "as long as the sound" if by_time else "one for each driving frame"
        raise MediaError(f"{path.name}: expected {needed} frames, {each}, got {count}")
    if by_time:
        return f"{expected} of {count} frames at another rate, those shown at the driving frames' times"
    return f"the first {expected} of {count} frames"


def _taken(
    capture: Path, path: Path, written: Frames, shape: tuple[int, ...], tile: Tile, chosen: Chosen
) -> Frames | None:
    """Frames that were taken before they were encoded, cut and resized; None where none are those of the file.

    Args:
        capture: folder of the taken frames.
        path: the written file.
        written: its frames, cut and resized.
        shape: of its frames as they are.
        tile: what is cut.
        chosen: numbers of the frames that count.
    """
    size = written.shape[2], written.shape[1]
    best, least = None, np.inf
    for file in capture.glob("*.npy"):
        taken = np.load(file, mmap_mode="r", allow_pickle=False)
        if taken.shape != shape:
            continue
        frames = np.stack([media.resize(_cut(taken[number], tile), size) for number in chosen])
        same = Path(file.with_suffix(".txt").read_text(encoding="utf-8", errors="surrogateescape")) == path
        apart = [np.abs(a.astype(np.int16) - b).mean() for a, b in zip(frames, written, strict=True)]
        difference = float(np.mean(apart))
        if difference <= (_SAME_FILE if same else _ANY_FILE) and difference < least:
            best, least = frames, difference
    return best
