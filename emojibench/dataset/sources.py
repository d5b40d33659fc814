"""Finding what a user wants to build a dataset from: pictures, videos, hand-placed landmarks, subjects."""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emojibench.arrays import Layout, read_npz
from emojibench.dataset.clip import Landmarks
from emojibench.dataset.landmarks import checked_landmarks
from emojibench.errors import DatasetError, UserError
from emojibench.faces.topology import POINTS
from emojibench.media import PICTURES
from emojibench.reading import read_json

LANDMARK_FILES = (".npz", ".json")
LONGEST_ID = 90
"""So that a clip id, which names a portrait and a video, stays a file name on any system."""


@dataclass(frozen=True)
class Source:
    """One file that may become part of a dataset."""

    file: Path
    id: str
    subject: str
    domain: str
    problem: str = ""
    """Why the file cannot be used, as far as its name and place tell."""


Subjects = Mapping[str, tuple[str, str]]
"""File name to (subject, domain); the domain may be empty."""


def find_sources(folder: Path, suffixes: frozenset[str], subjects: Subjects) -> list[Source]:
    """All files below `folder`, sorted by path; those that are not of the wanted kind carry a `problem`.

    Id: the path below `folder` without its suffix. Subject and domain: from `subjects`, or else the id and
    the name of the first subfolder. Hidden files and landmark files beside a picture are passed over.

    Raises:
        UserError: no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected one with {', '.join(sorted(suffixes))} files")
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    pictured = {file.with_suffix("") for file in files if file.suffix.lower() in PICTURES}
    found: list[Source] = []
    takers: dict[str, Path] = {}
    for file in files:
        wanted = file.suffix.lower() in suffixes
        if not wanted and file.suffix in LANDMARK_FILES and file.with_suffix("") in pictured:
            continue
        relative = file.relative_to(folder)
        identity = re.sub(r"[^A-Za-z0-9._+-]+", "-", "-".join(relative.with_suffix("").parts)).lstrip("-._+")
        identity = identity or "unnamed"
        subject, domain = subjects.get(file.name, (identity, ""))
        problem = _problem(file, wanted, suffixes, identity, takers.get(identity))
        if not problem:
            takers[identity] = file
        default = relative.parts[0] if len(relative.parts) > 1 else "unspecified"
        found.append(Source(file, identity, subject, domain or default, problem))
    return found


def read_subjects(file: Path | None) -> Subjects:
    """Who is on which file, from a CSV with the columns `file`, `subject` and, optionally, `domain`.

    Raises:
        UserError: the table cannot be read, lacks a column, or names a file twice.
    """
    if file is None:
        return {}
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file}: cannot be read: {error}") from error
    subjects: dict[str, tuple[str, str]] = {}
    for number, row in enumerate(rows, start=2):
        name, subject = row.get("file"), row.get("subject")
        if not name or not subject:
            raise UserError(f"{file}, line {number}: expected the columns file and subject, both filled")
        if name in subjects:
            raise UserError(f"{file}, line {number}: {name!r} is named twice")
        subjects[name] = (subject, row.get("domain") or "")
    return subjects


def manual_landmarks(picture: Path) -> Landmarks | None:
    """Landmarks (478, 3) that somebody placed by hand, normalised to the whole picture; None without them.

    They lie beside the picture under its name, as .npz (array `landmarks`) or .json (list, or object with
    `landmarks`).

    Raises:
        DatasetError: the file is there but malformed.
    """
    for suffix in LANDMARK_FILES:
        if (file := picture.with_suffix(suffix)).is_file():
            return read_manual_landmarks(file)
    return None


def read_manual_landmarks(file: Path) -> Landmarks:
    """Landmarks (478, 3) that somebody placed by hand, from a file as `manual_landmarks` describes.

    Raises:
        DatasetError: no such file, neither .npz nor .json, or malformed.
    """
    if file.suffix not in LANDMARK_FILES:
        raise DatasetError(f"{file}: expected landmarks as {' or '.join(LANDMARK_FILES)}")
    try:
        if file.suffix == ".npz":
            points = read_npz(file, {"landmarks": Layout("f", (POINTS, 3))})["landmarks"]
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
    return landmarks


def _problem(file: Path, wanted: bool, suffixes: frozenset[str], identity: str, taker: Path | None) -> str:
    if file.suffix == ".npy":
        return "landmarks of another detector and no frames; two detectors' landmarks are never mixed"
    if not wanted:
        return f"expected {', '.join(sorted(suffixes))}"
    if len(identity) > LONGEST_ID:
        return f"its id (path without suffix) has {len(identity)} characters, expected at most {LONGEST_ID}; rename it"
    return f"its id is taken by {taker}; rename one of them" if taker else ""
