"""Finding what a user wants to build a dataset from: pictures, videos, folders of frames, hand-placed landmarks."""

import hashlib
import os
import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emojibench.dataset.landmarks import checked_landmarks
from emojibench.dataset.manifest import as_label
from emojibench.errors import DatasetError, UserError
from emojibench.face.points import POINTS
from emojibench.face.template import flaw_of
from emojibench.files.arrays import ArraySpec, read_npz
from emojibench.files.reading import read_json
from emojibench.media import PICTURES, is_picture_sequence
from emojibench.types import Landmarks

LANDMARK_FILES = (".npz", ".json")
OVERLAY = ".landmarks.png"
"""End of the name of a picture that shows landmarks placed by hand."""
LONGEST_ID = 90
"""So that a clip id, which names a portrait and a video, stays a file name on any system."""
_DIGITS = 8
_OURS = re.compile(r"\.(frame0|w\d+)$", re.IGNORECASE)
"""Ends that ids of first frames and windows have."""
_NO_FILE_NAME = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*\.", re.IGNORECASE)
"""Names that Windows has for devices, or would shorten."""


@dataclass(frozen=True)
class Source:
    """One file, or folder of frames, that may become part of a dataset."""

    file: Path
    path: str
    """Below the folder that was given, with `/`."""
    id: str
    """ASCII, usable as a file name on any system; no other source of the folder has it, in any case of letters."""
    subject: str
    domain: str
    problem: str = ""
    """Why the file cannot be used, as far as its name and place tell."""


def shown(path: Path) -> str:
    """A path as text, whatever its bytes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def find_sources(folder: Path, suffixes: frozenset[str], *, frames: bool = False) -> list[Source]:
    """All files below `folder`, sorted by path; those that are not of the wanted kind carry a `problem`.

    Links to folders are followed, each folder once. Hidden files and landmark files beside a picture are
    passed over. Subject and domain: the id, and the name of the first subfolder.

    Args:
        folder: where to look.
        suffixes: of the wanted kind.
        frames: whether a folder of pictures alone counts as one file: a video in frames.

    Raises:
        UserError: no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one with {', '.join(sorted(suffixes))} files")
    found = dict(_walk(folder))
    if frames:
        found = _with_frames(found)
    pictured = {file.with_suffix("") for file in found if file.suffix.lower() in PICTURES}
    sources: list[Source] = []
    taken: set[str] = set()
    for file, problem in sorted(found.items()):
        beside = file.suffix in LANDMARK_FILES and file.suffix.lower() not in suffixes
        if beside and not problem and file.with_suffix("") in pictured:
            continue
        relative = file.relative_to(folder) if file != folder else Path(file.resolve().name)
        identity = _identity(relative, is_folder=file.is_dir(), taken=taken)
        problem = problem or _problem(file, suffixes)
        if not problem:
            taken.add(identity.lower())
        domain = as_label(shown(Path(relative.parts[0]))) if len(relative.parts) > 1 else "unspecified"
        path = shown(relative).replace(os.sep, "/")
        sources.append(Source(file, path, identity, identity, domain, problem))
    return sources


def files_of(source: Source) -> tuple[Path, ...]:
    """Files that a picture or video is read from: its own, or all of a folder's, and landmarks placed by hand."""
    if source.file.is_dir():
        return tuple(sorted(source.file.iterdir()))
    beside = (source.file.with_suffix(suffix) for suffix in LANDMARK_FILES)
    return (source.file, *(file for file in beside if file.is_file()))


def manual_landmarks(picture: Path) -> Landmarks | None:
    """Landmarks (478, 3) that somebody placed by hand, normalised to the whole picture; None without them.

    They lie beside the picture under its name, as .npz (array `landmarks`) or .json (list, or object with
    `landmarks`).

    Raises:
        DatasetError: the file is there but malformed, or its landmarks are those of no face.
    """
    for suffix in LANDMARK_FILES:
        if (file := picture.with_suffix(suffix)).is_file():
            return read_manual_landmarks(file)
    return None


def read_manual_landmarks(file: Path) -> Landmarks:
    """Landmarks (478, 3) that somebody placed by hand, from a file as `manual_landmarks` describes.

    Raises:
        DatasetError: no such file, neither .npz nor .json, malformed, or no face: flipped, folded, outside.
    """
    if file.suffix not in LANDMARK_FILES:
        raise DatasetError(f"{file}: expected landmarks as {' or '.join(LANDMARK_FILES)}")
    try:
        if file.suffix == ".npz":
            points = read_npz(file, {"landmarks": ArraySpec("f", (POINTS, 3))})["landmarks"]
        else:
            content = read_json(file, object)
            points = np.array(content["landmarks"] if isinstance(content, dict) else content, np.float64)
    except KeyError:
        raise DatasetError(f"{file}: holds no `landmarks`") from None
    except UserError as error:
        raise DatasetError(str(error)) from error
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{file}: not readable as landmarks: {error}") from error
    landmarks = checked_landmarks(points, str(file), dimensions=2)
    if np.isnan(landmarks).any():
        raise DatasetError(f"{file}: landmarks placed by hand must not be NaN")
    if flaw := flaw_of(landmarks):
        raise DatasetError(f"{file}: no face: {flaw}; place them again with `emojibench data landmarks`")
    return landmarks


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Every file below `root` with what is wrong with it: folders first, then the folders that links lead to."""
    seen: dict[Path, Path] = {}
    folders, links = deque([root]), deque[Path]()
    while folders or links:
        folder = folders.popleft() if folders else links.popleft()
        if first := seen.get(folder.resolve()):
            yield folder, f"a link to {shown(first)}, which is looked through already"
            continue
        seen[folder.resolve()] = folder
        try:
            entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
            kinds = [(entry, entry.is_dir(), entry.is_file()) for entry in entries]
        except OSError as error:
            yield folder, f"cannot be looked through: {error.strerror}"
            continue
        for entry, is_dir, is_file in kinds:
            if is_dir:
                (links if entry.is_symlink() else folders).append(entry)
            elif is_file:
                yield entry, ""
            elif entry.is_symlink():
                yield entry, f"a link to {shown(entry.readlink())}, which is not there"
            else:
                yield entry, "neither a file nor a folder"


def _with_frames(found: dict[Path, str]) -> dict[Path, str]:
    """`found`, with the folder in place of the pictures where these stand for a video."""
    for folder in {file.parent for file, problem in found.items() if not problem}:
        if is_picture_sequence(folder):
            pictures = [file for file in found if file.parent == folder and file.suffix.lower() in PICTURES]
            found = {file: problem for file, problem in found.items() if file not in pictures} | {folder: ""}
    return found


def _identity(relative: Path, *, is_folder: bool, taken: set[str]) -> str:
    """An id of the file's own: the path in ASCII; where that loses something or is taken, with a digest of the path."""
    path = relative if is_folder else relative.with_suffix("")
    text = "-".join(path.parts)
    ascii_ = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", ascii_).lstrip("-._+")
    if (
        text.isascii()
        and 0 < len(plain) <= LONGEST_ID
        and not _OURS.search(plain)
        and not _NO_FILE_NAME.fullmatch(plain)
        and plain.lower() not in taken
    ):
        return plain
    digest = hashlib.sha256(os.fsencode(path.as_posix())).hexdigest()
    stem = plain[: LONGEST_ID - _DIGITS - 1].rstrip("-.") or "unnamed"
    return next(one for n in range(_DIGITS, 64) if (one := f"{stem}-{digest[:n]}").lower() not in taken)


def _problem(file: Path, suffixes: frozenset[str]) -> str:
    suffix = file.suffix.lower()
    if shown(file) != str(file):
        return "its name is not UTF-8; rename it"
    if suffix == ".npy":
        return "landmarks of another detector and no frames; two detectors' landmarks are never mixed"
    if file.name.endswith(OVERLAY) and suffix in suffixes:
        return "drawn by `emojibench data landmarks`, to look at"
    return "" if suffix in suffixes or file.is_dir() else f"expected {', '.join(sorted(suffixes))}"
