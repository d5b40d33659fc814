"""The manifest of a dataset: dataset.json (one object) and clips.jsonl (one clip a line)."""

import hashlib
import json
import re
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from emojibench.dataset.locating import CLIPS_FILE, DATASET_FILE
from emojibench.errors import DatasetError, UserError
from emojibench.files.reading import MissingFileError, parse_model, read_model, read_text
from emojibench.media import write_text

SPLITS = ("self", "cross")

Split = Literal["self", "cross"]
_ADVICE = "restore the file, or build the dataset again"
_LONGEST_LABEL = 200
_LIMIT = 64 << 20
"""Bytes of clips.jsonl: some 60,000 clips."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if len(path) > 1000 or any(len(part.encode()) > 255 for part in parts):
        raise ValueError("a path that no file system takes")
    if not parts or "\\" in path or path.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", path):
        raise ValueError(f"{path!r} leaves the dataset folder; expected a relative path without '..'")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]
"""POSIX path relative to the dataset folder."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=200)]
"""Usable as a file name on any system."""


def _is_break(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp")


def checked_label(text: str) -> str:
    """`text` if it can stand on one line of a table.

    Raises:
        ValueError: it is longer than 200 characters, or has control characters or line breaks.
    """
    if len(text) > _LONGEST_LABEL:
        raise ValueError(f"expected at most {_LONGEST_LABEL} characters, got {len(text)}")
    if any(map(_is_break, text)):
        raise ValueError(f"expected one line without control characters, got {text!r}")
    return text


def as_label(text: str) -> str:
    """`text` made fit for `checked_label`."""
    return "".join(" " if _is_break(character) else character for character in text)[:_LONGEST_LABEL]


Label = Annotated[str, AfterValidator(checked_label)]
"""Text on one line, for tables."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipEntry(_Strict):
    """One line of clips.jsonl."""

    clip_id: Identifier
    split: Split
    domain: Label
    subject: Label
    driving_subject: Label
    frames: Annotated[int, Field(ge=1)]
    """Length of the driving sequence, and of the truth where there is one."""
    portrait: RelativePath
    """PNG, square."""
    portrait_landmarks: RelativePath
    """NPZ: `landmarks` (478, 3), NaN without a face, and `detector`."""
    driving: RelativePath
    """NPZ: see `emojibench.dataset.landmarks`."""
    driving_frames: RelativePath | None = None
    """Video whose frames the driving landmarks were read off."""
    truth: RelativePath | None = None
    """Video of what a perfect method would return; for `self` the driving video."""
    driving_sound: Annotated[RelativePath | None, Field(exclude_if=lambda path: path is None)] = None
    """WAV of what was heard meanwhile; not written where there is none, so that digests without sound stay."""
    sha256: dict[RelativePath, Digest] = {}
    """Digest of every file named above; empty in built-in datasets, whose files are made when asked for."""

    @model_validator(mode="after")
    def _subjects_fit_the_split(self) -> Self:
        same = self.subject == self.driving_subject
        if same != (self.split == "self"):
            raise ValueError(
                f"split {self.split!r} with subject {self.subject!r} driven by {self.driving_subject!r}; "
                "self means one subject, cross means two"
            )
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """Every file of the clip, once."""
        named = (
            self.portrait, self.portrait_landmarks, self.driving, self.driving_frames, self.truth, self.driving_sound
        )  # fmt: skip
        return tuple(dict.fromkeys(path for path in named if path is not None))


class Manifest(_Strict):
    """dataset.json."""

    format: Literal[1] = 1
    name: Identifier
    version: Label
    licence: str
    size: Annotated[int, Field(ge=16, le=8192)]
    """Side of the stored square frames, in pixels."""
    detector: Label
    """Id of the detector that made the landmarks."""
    clips: Annotated[int, Field(ge=1)]
    """Number of lines in clips.jsonl."""
    digest: Digest
    """sha256 over the recipe, or over clips.jsonl, which holds the sha256 of every file."""
    recipe: dict[str, Any] | None = None
    """Everything that decides the bytes of a built-in dataset; None for folders of files."""
    notes: dict[str, Any] = {}
    """How a built dataset was made: settings of the builder, rules."""


def digest_of_recipe(recipe: dict[str, Any]) -> str:
    """sha256 of a recipe's canonical JSON."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()


def digest_of_clips(entries: tuple[ClipEntry, ...]) -> str:
    """sha256 over the clips, sorted by id, with the sha256 of all their files."""
    lines = sorted(json.dumps(entry.model_dump(mode="json"), sort_keys=True) for entry in entries)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def write_manifest(folder: Path, manifest: Manifest, entries: tuple[ClipEntry, ...]) -> None:
    """Write clips.jsonl, then dataset.json: a folder without the latter is not a dataset yet."""
    lines = (json.dumps(entry.model_dump(mode="json", exclude_defaults=True)) for entry in entries)
    write_text(folder / CLIPS_FILE, "".join(f"{line}\n" for line in lines))
    write_text(folder / DATASET_FILE, manifest.model_dump_json(indent=2) + "\n")


def read_manifest(folder: Path) -> tuple[Manifest, tuple[ClipEntry, ...]]:
    """Read and check the two manifest files; the clips' own files are not touched.

    Raises:
        DatasetError: missing or malformed, paths that leave the folder, ids used twice, wrong digest.
    """
    file = folder / CLIPS_FILE
    try:
        manifest = read_model(Manifest, folder / DATASET_FILE, advice=_ADVICE)
        lines = read_text(file, limit=_LIMIT, advice=_ADVICE).split("\n")
        entries = tuple(
            parse_model(ClipEntry, line, f"{file}, line {number}", advice=_ADVICE)
            for number, line in enumerate(lines, start=1)
            if line.strip()
        )
    except MissingFileError as error:
        raise DatasetError(
            f"{folder}: lacks {DATASET_FILE} or {CLIPS_FILE}; expected a dataset folder as `emojibench data build` "
            "writes it"
        ) from error
    except UserError as error:
        raise DatasetError(str(error)) from error
    if len(entries) != manifest.clips:
        raise DatasetError(f"{file}: {len(entries)} clips; {DATASET_FILE} promises {manifest.clips}")
    seen: set[str] = set()
    for entry in entries:
        if entry.clip_id in seen:
            raise DatasetError(f"{file}: clip id {entry.clip_id!r} is used twice; ids must be unique")
        seen.add(entry.clip_id)
    if manifest.recipe is None:
        _check_digests(file, manifest, entries)
    return manifest, entries


def _check_digests(file: Path, manifest: Manifest, entries: tuple[ClipEntry, ...]) -> None:
    digests: dict[str, str] = {}
    for entry in entries:
        for path, digest in entry.sha256.items():
            if digests.setdefault(path, digest) != digest:
                raise DatasetError(f"{file}: {path} has two sha256 in two clips; build the dataset again")
        if missing := set(entry.files) - set(entry.sha256):
            raise DatasetError(f"{file}: clip {entry.clip_id}: no sha256 for {', '.join(sorted(missing))}")
    found = digest_of_clips(entries)
    if found != manifest.digest:
        raise DatasetError(
            f"{file}: digest {found[:12]} of the clips is not {manifest.digest[:12]} as in {DATASET_FILE}; "
            "one of the two was changed after the dataset was built"
        )
