"""receipt.json of a leaderboard row: digests of its files, its values and all that they were made from.

A row is a folder of `FILES` and the receipt. Values have a digest for each clip and one for each column, so that a
value that was changed is found where two of them disagree.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from emojibench.dataset.manifest import Identifier
from emojibench.files import reading
from emojibench.runs.provenance import Code, Provenance
from emojibench.runs.spec import RunSpec
from emojibench.runs.summary import DatasetName

FILES = ("spec.json", "provenance.json", "summary.json", "rows.parquet")
"""What a row consists of beside its receipt."""
RECEIPT = "receipt.json"
NONE = "no receipt: made before 0.3"
"""What is said of a row without one."""
SHA256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_SHORT = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
_NAME = re.compile(r"[A-Za-z0-9._+-]{1,80}")
_LARGEST = 64 << 20
"""Bytes of a file of a row."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClipReceipt(_Part):
    """One clip."""

    frames: SHA256 | None
    """Of the raw frames that were scored (T*H*W*3 bytes), whatever the container; None where the method failed."""
    video: SHA256 | None
    """Of frames.mkv, the lossless container; None where it was gone when the receipt was made."""
    seed: int | None
    """That the method was given; None for finished videos and where the method failed."""
    source: str = ""
    """Digest of the finished video that was read; empty for methods."""
    values: _SHORT
    """Of the clip's rows."""


class SetReceipt(_Part):
    """One value of the whole set, which no row of a clip holds."""

    value: float | None
    clips: int
    inputs: str
    """Digest of the inputs of its clips."""


class Receipt(_Part):
    """The whole file."""

    schema_version: Literal[1] = 1
    track: Identifier
    row: Identifier
    """`row_name`: the folder's."""
    revision: Annotated[int, Field(ge=1)] = 1
    """Of the row in its leaderboard: 2 for the first one that replaced another."""
    method: str
    method_revision: str
    options: dict[str, str]
    seed: int
    dataset: DatasetName
    protocol: str
    """Its id."""
    code: dict[str, Code]
    """What the newest start of a stage (`animate`, `score`) ran."""
    weights: dict[str, str]
    """Files that methods and metrics read, each with its sha256, or how that begins."""
    decoder: dict[str, str]
    """What decoded videos in the newest start; empty where an older version did."""
    clips: dict[Identifier, ClipReceipt]
    columns: dict[str, _SHORT]
    """Of the rows of each column."""
    sets: dict[str, SetReceipt]
    files: dict[str, SHA256]


def origin(provenance: Provenance) -> dict[str, Any]:
    """Code, weights and decoder of a run, as its provenance has them."""
    weights: dict[str, str] = {}
    code: dict[str, Code] = {}
    for start in reversed(provenance.starts):
        weights |= start.weights
        code[start.stage or "run"] = start.code
    return {"code": code, "weights": dict(sorted(weights.items())), "decoder": provenance.decoder}


def row_name(spec: RunSpec) -> str:
    """Name of a row's folder: `<method>-<split>`, and the options that were chosen, if there are some."""
    name = f"{spec.method}-{spec.split}"
    if not spec.options:
        return name
    options = "-".join(f"{key}.{value}" for key, value in sorted(spec.options.items()))
    return f"{name}-{options if _NAME.fullmatch(options) else digest([spec.options])}"


def read(row: Path) -> Receipt | None:
    """The receipt of a row; None where it has none.

    Raises:
        UserError: it is damaged.
    """
    try:
        return reading.read_model(Receipt, row / RECEIPT, advice="take the row from where it was accepted")
    except reading.MissingFileError:
        return None


def text_of(receipt: Receipt) -> str:
    """As the file has it."""
    content = receipt.model_dump(mode="json")
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def file_digest(file: Path) -> str:
    """sha256 of a row's file. Raises `UserError` where it cannot be read."""
    return hashlib.sha256(reading.read_bytes(file, limit=_LARGEST, advice="it is no row's file")).hexdigest()


def row_digest(row: Path) -> str:
    """sha256 of a row: of the names and digests of its files, the receipt included where there is one.

    Raises:
        UserError: a file is missing or cannot be read.
    """
    names = (*FILES, *([RECEIPT] if (row / RECEIPT).exists() else ()))
    lines = "".join(f"{file_digest(row / name)}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()


def digests(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of the values of each clip, and of each column."""
    clips: dict[str, list[Any]] = {}
    columns: dict[str, list[Any]] = {}
    for row in rows:
        content = {name: value for name, value in row.items() if value not in (None, "", [])}
        clips.setdefault(row["clip_id"], []).append(content)
        columns.setdefault(row["metric"], []).append(content)
    return (
        {clip: digest(content) for clip, content in clips.items()},
        {name: digest(content) for name, content in sorted(columns.items())},
    )


def digest(rows: Iterable[Mapping[str, Any]]) -> str:
    """Digest of rows in any order."""
    lines = sorted(json.dumps(row, sort_keys=True) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
