"""The rows of an ablation, read from a YAML file; `matrix.yaml` beside this file holds the paper's."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from emojibench.errors import UserError
from emojibench.registry import unknown
from emojibench.runs.spec import checked_name

PAPER = Path(__file__).with_name("matrix.yaml")
MAIN = "main"
"""Stands for the main weights (the package's, unless a user names others) where a row says whose it takes."""


def _group(name: object) -> object:
    from reference_model.landmarks import GROUPS

    if name not in GROUPS:
        raise ValueError(unknown("group of landmarks", str(name), GROUPS))
    return name


class Row(BaseModel):
    """One row. Rows with `weights` are sampled only, rows without are trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    landmarks: tuple[Annotated[str, BeforeValidator(_group)], ...] = ()
    """Groups that are drawn; empty: those of the preset."""
    ffg: tuple[Literal["expression", "face"], ...] = ("expression", "face")
    """Masks of the FFG loss."""
    weights: str = ""
    """A trained row whose weights this one takes, or `MAIN`."""
    against: str
    """The row that it is compared with, clip by clip; the reference itself names itself."""
    options: dict[str, str] = {}
    """Options of `fye-faster`."""
    missing: str = ""
    """Why the row cannot be run; empty if it can."""

    @property
    def trained(self) -> bool:
        """Whether the row has a training of its own."""
        return not (self.weights or self.missing)


def read(file: Path = PAPER) -> tuple[Row, ...]:
    """The rows of a file in its order.

    Raises:
        UserError: no such file, not YAML, an unknown key, a bad value, a row that refers to one that is not there.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: expected a YAML file of rows ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not content:
        raise UserError(f"{file}: expected a mapping of names to rows, got {type(content).__name__}")
    first = str(next(iter(content)))
    rows = tuple(_row(file, str(name), entry, first) for name, entry in content.items())
    _check_references(file, rows)
    return rows


def choose(rows: tuple[Row, ...], names: Iterable[str] | None) -> tuple[Row, ...]:
    """The named rows and all that they refer to, in the order of the file; all rows for None.

    Raises:
        UserError: no such row.
    """
    if names is None:
        return rows
    known = {row.name: row for row in rows}
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in known:
            raise UserError(f"--rows: {unknown('row', name, known)}")
        if name not in wanted:
            wanted.add(name)
            row = known[name]
            waiting += [row.against, *([row.weights] if row.weights not in ("", MAIN) else [])]
    return tuple(row for row in rows if row.name in wanted)


def _row(file: Path, name: str, entry: object, first: str) -> Row:
    where = f"{file}: row {name!r}"
    checked_name(name, where)
    if not isinstance(entry, dict):
        raise UserError(f"{where}: expected a mapping with at least a title, got {type(entry).__name__}")
    keys = sorted(set(Row.model_fields) - {"name"})
    for key in entry:
        if key not in keys:
            raise UserError(f"{where}: {unknown('key', str(key), keys)}")
    try:
        row = Row(**{"against": name if entry.get("missing") else first, **entry, "name": name})
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {key}: {message}; correct the file") from error
    if row.weights and {"landmarks", "ffg"} & set(entry):
        raise UserError(f"{where}: landmarks and ffg need a training, so the row cannot take weights as well")
    return row


def _check_references(file: Path, rows: tuple[Row, ...]) -> None:
    runnable = {row.name for row in rows if not row.missing}
    trained = {row.name for row in rows if row.trained}
    for row in rows:
        if row.weights and row.weights not in {*trained, MAIN}:
            raise UserError(
                f"{file}: row {row.name!r}: weights: {unknown('trained row', row.weights, {*trained, MAIN})}"
            )
        if not row.missing and row.against not in runnable:
            raise UserError(f"{file}: row {row.name!r}: against: {unknown('row', row.against, runnable)}")
