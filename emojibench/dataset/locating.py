"""Where the paths lead that a user gives. Light: a typing mistake is told before anything heavy is imported."""

import difflib
from pathlib import Path

from emojibench.errors import DatasetError, UserError
from emojibench.registry import unknown

EMBEDDED = ("mini", "synth")
"""Names of the datasets that are made on the spot."""
DATASET_FILE, CLIPS_FILE = "dataset.json", "clips.jsonl"
"""What a dataset folder has."""


def dataset(ref: str | Path) -> Path | None:
    """Absolute path of a dataset folder, None for an embedded one. Raises `UserError` where there is neither."""
    if str(ref) in EMBEDDED:
        return None
    folder = Path(ref)
    if not folder.is_dir():
        beside = [str(file.parent) for file in folder.parent.glob(f"*/{DATASET_FILE}")]
        known = unknown("dataset", str(folder), [*EMBEDDED, *beside])
        raise UserError(f"{known} Or give the path of a dataset folder.")
    if not all((folder / name).exists() for name in (DATASET_FILE, CLIPS_FILE)):
        raise DatasetError(
            f"{folder}: lacks {DATASET_FILE} or {CLIPS_FILE}; expected a dataset folder as `emojibench data build` "
            "writes it"
        )
    return folder.absolute()


def existing(path: Path, flag: str, what: str = "file") -> None:
    """Raise `UserError` where nothing is at the path that a flag gives, with the name nearest to it beside it."""
    if path.exists():
        return
    beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, beside, n=1)
    raise UserError(f"{path}: no such {what}; " + (f"did you mean {near[0]}?" if near else f"correct {flag}"))


def predictions(path: str | Path) -> Path:
    """Absolute path of a folder of finished videos. Raises `UserError` where it is no folder."""
    if not Path(path).is_dir():
        raise UserError(f"--predictions: expected a folder with finished videos, {path} is not one")
    return Path(path).absolute()


def run(path: str | Path) -> Path:
    """Absolute path of a run folder. Raises `UserError` where it is none."""
    if not (Path(path) / "spec.json").exists():
        raise UserError(f"{path} is not a run folder: it has no spec.json")
    return Path(path).absolute()
