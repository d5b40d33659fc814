"""Experiments as rows of a YAML file: what `emojibench ablate` and `emojibench accel` share."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from emojibench.errors import UserError
from emojibench.files.reading import read_yaml
from emojibench.parallel.executor import Executor
from emojibench.registry import unknown
from emojibench.runs.spec import checked_name

if TYPE_CHECKING:
    from emojibench.runs.result import RunResult


class Variant(BaseModel):
    """What every row has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    against: str
    """The row that it is compared with, clip by clip; the reference itself names itself."""
    method: str = "fye-faster"
    options: dict[str, str] = {}
    """Options of the method."""


AnyVariant = TypeVar("AnyVariant", bound=Variant)


def read(file: Path, kind: type[AnyVariant]) -> tuple[AnyVariant, ...]:
    """The rows of a file in its order; `against` is the first row by default, the row itself where it is `missing`.

    Raises:
        UserError: no such file, not YAML, an unknown key, a bad value.
    """
    content = read_yaml(file)
    if not content:
        raise UserError(f"{file}: expected a mapping of names to rows, got an empty one; correct the file")
    first = str(next(iter(content)))
    return tuple(_row(file, str(name), entry, first, kind) for name, entry in content.items())


def check_reference(file: Path, row: Variant, known: Iterable[str]) -> None:
    """Raise UserError unless the row is compared with one that is there."""
    if row.against not in known:
        raise UserError(f"{file}: row {row.name!r}: against: {unknown('row', row.against, known)}")


def choose(
    rows: Sequence[AnyVariant], names: Iterable[str] | None, needs: Mapping[str, Iterable[str]]
) -> tuple[AnyVariant, ...]:
    """The named rows and all that they need, in the order of the file; all rows for None.

    Args:
        rows: all there are.
        names: what a user asked for.
        needs: name of a row to those that it cannot do without.

    Raises:
        UserError: no such row.
    """
    if names is None:
        return tuple(rows)
    known = {row.name for row in rows}
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in known:
            raise UserError(f"--rows: {unknown('row', name, known)}")
        if name not in wanted:
            wanted.add(name)
            waiting += needs[name]
    return tuple(row for row in rows if row.name in wanted)


@dataclass(frozen=True)
class Measuring:
    """How every row is measured; names as in `emojibench.run`."""

    split: str
    dataset: str
    clips: int | Sequence[str] | None
    frames: int | None
    metrics: Sequence[str] | None
    executor: Executor
    timeout: float
    seed: int
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of the method for all rows; those of a row come on top."""

    def check(self, methods: Iterable[tuple[str, Mapping[str, str]]]) -> None:
        """Find out before hours of work whether methods with their options could be measured.

        Raises:
            UserError: a dataset, clip, metric, method or option that is not there, or a value out of range.
        """
        from emojibench import registry
        from emojibench.runs import api

        api.check(
            split=self.split, dataset=self.dataset, clips=self.clips, metrics=self.metrics, executor=self.executor,
            timeout=self.timeout, frames=self.frames,
        )  # fmt: skip
        for name, given in dict.fromkeys((name, tuple(sorted(options.items()))) for name, options in methods):
            registry.load(registry.METHODS, name)(dict(given))

    def run(
        self, name: str, method: str, options: Mapping[str, str], out: Path, *, overwrite: bool
    ) -> "RunResult":
        """Animate and score all clips into the run folder OUT/NAME; continues as `emojibench.run`.

        Raises:
            UserError: as `emojibench.run`.
        """
        from emojibench.runs.api import run

        return run(
            method, split=self.split, dataset=self.dataset, clips=self.clips, frames=self.frames,
            metrics=self.metrics, options=options, executor=self.executor, timeout=self.timeout, seed=self.seed,
            name=name, out=out, overwrite=overwrite,
        )  # fmt: skip


def _row(file: Path, name: str, entry: object, first: str, kind: type[AnyVariant]) -> AnyVariant:
    where = f"{file}: row {name!r}"
    checked_name(name, where)
    if not isinstance(entry, dict):
        raise UserError(f"{where}: expected a mapping with at least a title, got {type(entry).__name__}")
    keys = sorted(set(kind.model_fields) - {"name"})
    for key in entry:
        if key not in keys:
            raise UserError(f"{where}: {unknown('key', str(key), keys)}")
    try:
        return kind(**{"against": name if entry.get("missing") else first, **entry, "name": name})
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {key}: {message}; correct the file") from error
