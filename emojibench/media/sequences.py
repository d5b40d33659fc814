"""Folders of numbered pictures, which stand for videos."""

import re
from collections.abc import Iterator
from pathlib import Path

from emojibench.errors import MediaError
from emojibench.media.combing import COMBED, Combing
from emojibench.media.decoding import VIDEOS
from emojibench.media.images import PICTURES, read_image
from emojibench.types import Image


def is_picture_sequence(folder: Path) -> bool:
    """Whether a folder can stand for a video: it holds pictures, and neither videos nor folders (hidden ones aside)."""
    if not folder.is_dir():
        return False
    there = [path for path in folder.iterdir() if not path.name.startswith(".")]
    kinds = {path.suffix.lower() for path in there}
    return bool(kinds & PICTURES) and not kinds & VIDEOS and not any(path.is_dir() for path in there)


def numbered_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names: 2.png before 10.png.

    Suffixes may be of any case; hidden files and files of other kinds are passed over.

    Raises:
        MediaError: no pictures, or names that say no certain order: several patterns, no numbers, a number given
            twice, or several numbers (also 1.5, which may be one) that are not padded with zeros.
    """
    try:
        there = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise MediaError(f"{folder}: cannot be read: {error.strerror}") from error
    files = sorted(path for path in there if path.suffix.lower() in PICTURES)
    if not files:
        raise MediaError(f"{folder}: holds no pictures ({', '.join(sorted(PICTURES))})")
    numbers = {path: re.findall("[0-9]+", path.stem) for path in files}
    _check_order(folder, files, numbers)
    return sorted(files, key=lambda path: [int(number) for number in numbers[path]])


def iterate_pictures(folder: Path) -> Iterator[Image]:
    """Yield the pictures of `numbered_pictures`, uint8 RGB (H, W, 3), all of one size.

    Raises:
        MediaError: as `numbered_pictures`; one cannot be read, or has another size than the first; they are combed.
    """
    expected, combing = None, Combing()
    for file in numbered_pictures(folder):
        picture = read_image(file)
        expected = expected or picture.shape
        if picture.shape != expected:
            (height, width), (h, w) = expected[:2], picture.shape[:2]
            raise MediaError(f"{file}: expected {width}x{height} pixels like the first picture, got {w}x{h}")
        if combing.look(picture[..., 1]):
            raise MediaError(f"{folder}: {COMBED}")
        yield picture
    if combing.end():
        raise MediaError(f"{folder}: {COMBED}")


def _check_order(folder: Path, files: list[Path], numbers: dict[Path, list[str]]) -> None:
    advice = "name them by one pattern with numbers of equal length, as frame_0001.png"
    patterns = {re.sub("[0-9]+", "#", path.stem): path for path in files}
    if len(patterns) > 1:
        one, other = list(patterns.values())[:2]
        raise MediaError(f"{folder}: no certain order of {one.name} and {other.name}; {advice}")
    pattern = next(iter(patterns))
    values = {tuple(map(int, found)): path for path, found in numbers.items()}
    if len(values) < len(files):
        twin = next(path for path, found in numbers.items() if values[tuple(map(int, found))] != path)
        other = values[tuple(map(int, numbers[twin]))]
        raise MediaError(f"{folder}: {twin.name} and {other.name} have the same number; {advice}")
    if len(files) == 1:
        return
    columns = list(zip(*numbers.values(), strict=True))
    several = sum(len(set(column)) > 1 for column in columns) > 1 or re.search("#[.,]#", pattern)
    padded = all(len({len(number) for number in column}) == 1 for column in columns)
    if several and not padded:
        raise MediaError(
            f"{folder}: no certain order of names with several numbers, such as {files[0].name}; {advice}"
        )
