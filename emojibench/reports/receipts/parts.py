"""What a row of a leaderboard consists of, read as far as it can be, and what is found wrong with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from emojibench.dataset import locating
from emojibench.errors import UserError
from emojibench.files import reading
from emojibench.reports.receipts import receipt as receipts
from emojibench.reports.receipts.receipt import FILES, NONE, RECEIPT, Receipt
from emojibench.reports.rows import as_row, read_rows, rows_of
from emojibench.runs.provenance import Provenance
from emojibench.runs.records import Row
from emojibench.runs.spec import RunSpec
from emojibench.runs.summary import Summary

Verdict = Literal["agrees", "differs", "not checked"]
_Part = TypeVar("_Part")


@dataclass(frozen=True)
class Finding:
    """One thing that does not agree."""

    file: str
    """Of the row."""
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.file}, {self.what}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class Checked:
    """One check of one row."""

    what: str
    verdict: Verdict
    why: str = ""
    """Why it was not checked, or what was looked at."""
    findings: tuple[Finding, ...] = ()


class UncheckedError(Exception):
    """Something could not be checked; the message says why."""


class Parts:
    """A row's files; those that cannot be read are `broken`, and whatever needs them is left unchecked."""

    def __init__(self, path: Path, dataset: str | None = None) -> None:
        """Look at a folder.

        Args:
            path: of the row.
            dataset: where its dataset is, if that is not built in.

        Raises:
            UserError: there is no row.
        """
        if not path.is_dir() or not any((path / name).exists() for name in (*FILES, RECEIPT)):
            raise UserError(
                f"{path}: expected the folder of a row, such as leaderboards/accepted/TRACK/METHOD-SPLIT, with "
                f"{', '.join(FILES)}; found none of them"
            )
        self.path = path
        self.dataset = dataset
        self.broken: list[Finding] = []

    @cached_property
    def has_receipt(self) -> bool:
        """Whether there is one, readable or not."""
        return (self.path / RECEIPT).exists()

    @cached_property
    def is_run(self) -> bool:
        """Whether this is a run folder and not a row."""
        return not self.has_receipt and (self.path / "rows.jsonl").exists()

    @cached_property
    def _receipt(self) -> Receipt | None:
        return self._read(RECEIPT, lambda _: receipts.read(self.path))

    @cached_property
    def _spec(self) -> RunSpec | None:
        return self._read("spec.json", lambda file: reading.read_model(RunSpec, file))

    @cached_property
    def _provenance(self) -> Provenance | None:
        return self._read("provenance.json", lambda file: reading.read_model(Provenance, file))

    @cached_property
    def _summary(self) -> Summary | None:
        return self._read("summary.json", lambda file: reading.read_model(Summary, file))

    @cached_property
    def _rows(self) -> list[dict[str, Any]] | None:
        return self._read("rows.parquet", _checked_rows)

    def read_all(self) -> None:
        """Try to read every file, so that `broken` is complete."""
        for name in ("_receipt", "_spec", "_provenance", "_summary", "_rows"):
            getattr(self, name)

    def _read(self, name: str, read: Callable[[Path], _Part]) -> _Part | None:
        try:
            return read(self.path / name)
        except UserError as error:
            there = (self.path / name).exists()
            found = str(error).removeprefix(f"{self.path / name}").lstrip(": ") if there else "no such file"
            self.broken.append(Finding(name, "content", "a file that can be read", found))
            return None

    @property
    def receipt(self) -> Receipt:
        """receipt.json; raises `UncheckedError` without one, as the others do."""
        return self._there(self._receipt, RECEIPT if self.has_receipt else NONE)

    @property
    def spec(self) -> RunSpec:
        """spec.json."""
        return self._there(self._spec, "spec.json")

    @property
    def provenance(self) -> Provenance:
        """provenance.json."""
        return self._there(self._provenance, "provenance.json")

    @property
    def summary(self) -> Summary:
        """summary.json."""
        return self._there(self._summary, "summary.json")

    @property
    def contents(self) -> list[dict[str, Any]]:
        """rows.parquet, as the file has it."""
        return self._there(self._rows, "rows.parquet")

    @cached_property
    def rows(self) -> dict[str, dict[str, Row]]:
        """Column to clip to row."""
        found: dict[str, dict[str, Row]] = {}
        for content in self.contents:
            found.setdefault(content["metric"], {})[content["clip_id"]] = as_row(content)
        return found

    def _there(self, part: _Part | None, name: str) -> _Part:
        if part is None:
            raise UncheckedError(name if name == NONE else f"{name} cannot be read")
        return part


def checked(what: str, findings: Iterator[Finding]) -> Checked:
    """Run one check to its end."""
    found: list[Finding] = []
    try:
        found.extend(findings)
    except UserError as error:
        found.append(Finding("a file", "content", "one that can be read", str(error)))
    except UncheckedError as why:
        return Checked(what, "differs" if found else "not checked", str(why), tuple(found))
    return Checked(what, "differs" if found else "agrees", findings=tuple(found))


def _checked_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a file; raises `UserError` where statistics could not work with a value."""
    read_rows(file)
    rows = rows_of(file, frames=True)
    for number, content in enumerate(rows, 1):
        try:
            Row.model_validate(as_row(content).model_dump())
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise UserError(f"{file}: row {number}: {field}: {first['msg']}") from error
    return rows


def is_embedded(name: str) -> bool:
    """Whether a dataset is built in, so that it is at hand everywhere."""
    return name in locating.EMBEDDED
