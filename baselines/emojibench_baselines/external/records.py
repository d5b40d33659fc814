"""What `setup` has made of a baseline, where it is, and what is still missing."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from emojibench.errors import UserError
from emojibench.files.reading import MissingFileError, read_model
from emojibench.files.writing import write_text
from emojibench.methods.description import Strict
from emojibench.weights.store import cache_folder
from emojibench_baselines.external import checkpoints
from emojibench_baselines.external.checkpoints import FileFacts
from emojibench_baselines.external.description import Description

HOME = "EMOJIBENCH_BASELINES"
VERSIONS = "emojibench-versions.txt"
"""In an environment: what is installed there; written last."""


CUDA = "needs CUDA"


class Record(Strict):
    """setup.json."""

    licence: str = ""
    """Name of the licence that the user accepted; empty: none yet."""
    repo: Path | None = None
    commit: str = ""
    """Of the checkout when it was set up; `changed` behind it where files differ, empty where nobody can tell."""
    weights: Path | None = None
    random_weights: bool = False
    files: Mapping[str, FileFacts] = Field(default_factory=dict)
    """Checkpoints as they were when they were first used."""


def home() -> Path:
    """Where set-ups are kept: EMOJIBENCH_BASELINES, or `baselines` in the cache folder."""
    given = os.environ.get(HOME)
    return (Path(given).expanduser() if given else cache_folder().parent / "baselines").absolute()


def folder(name: str) -> Path:
    """Of one baseline: setup.json, environment, weights."""
    return home() / name


def environment(name: str) -> Path:
    """The virtual environment of a baseline; there is none before `setup`."""
    return folder(name) / "environment"


def read(name: str) -> Record:
    """The record of a baseline; an empty one before `setup`.

    Raises:
        UserError: the record is damaged.
    """
    try:
        return read_model(
            Record, folder(name) / "setup.json", advice="remove it and set the baseline up again"
        )
    except MissingFileError:
        return Record()


def write(name: str, record: Record) -> None:
    """Keep a record. Raises `WriteError` where it cannot be written."""
    write_text(folder(name) / "setup.json", record.model_dump_json(indent=2) + "\n")


def weights(name: str, record: Record) -> Path:
    """Where the checkpoints of a baseline are, or go."""
    return record.weights or folder(name) / "weights"


def lacking(description: Description, record: Record) -> list[str]:
    """What keeps a baseline from running on this machine, in the words of `baselines list`."""
    if not description.state.runnable:
        return [f"cannot run: {description.state.reason}"]
    where = weights(description.name, record)
    absent = [each for each in description.checkpoints if checkpoints.missing(each, where)]
    strange = [
        each
        for each in description.checkpoints
        if each not in absent and not checkpoints.examined(each, record.files)
    ]
    return [
        *([] if record.repo and record.repo.is_dir() else ["no repository"]),
        *([] if (environment(description.name) / VERSIONS).is_file() else ["no environment"]),
        *(f"no checkpoint: {checkpoints.told(each)}" for each in absent),
        *(f"{where / each.file} was put there after `setup`, which has to examine it" for each in strange),
        *([] if "cpu" in description.device or has_gpu() else [CUDA]),
    ]


def check(description: Description, record: Record) -> None:
    """See that a baseline is set up, and that its checkpoints are still what they were then.

    Raises:
        UserError: it is not set up, with the command to type; a checkpoint was changed.
    """
    missing = [what for what in lacking(description, record) if what != CUDA]
    if missing:
        raise UserError(
            f"{description.name}: {missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''}; "
            f"run `emojibench baselines setup {description.name}`"
        )
    for checkpoint in description.checkpoints:
        checkpoints.examine(checkpoint, weights(description.name, record), record.files)


def has_gpu() -> bool:
    """Whether a run would find a GPU."""
    import torch

    return bool(torch.cuda.is_available())
