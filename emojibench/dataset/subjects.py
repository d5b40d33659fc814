"""Who is on which file: a table that a user wrote, matched with the files that were found."""

import csv
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from emojibench.dataset.manifest import checked_label
from emojibench.dataset.sources import Source
from emojibench.errors import UserError
from emojibench.files.reading import read_text

COLUMNS = ("file", "subject")
_DELIMITERS = ",;\t"


class _Row(NamedTuple):
    line: int
    file: str
    subject: str
    domain: str


def name_subjects(sources: Sequence[Source], table: Path | None) -> list[Source]:
    """Sources with the subject and domain that a table gives them; those it does not name stay as they are.

    Args:
        sources: all that may be named, of both folders.
        table: CSV (comma, semicolon or tab; UTF-8) with the columns file, subject and, optionally, domain.
            `file` is a path below the folder that was given, or a bare name where only one file has it.

    Raises:
        UserError: the table cannot be read, lacks a column, names a file twice or one that is not there, or
            uses a bare name that several files have.
    """
    given: dict[Path, _Row] = {}
    for row in [] if table is None else _rows(table):
        for source in _named(sources, row, f"{table}, line {row.line}"):
            if other := given.get(source.file):
                raise UserError(
                    f"{table}, line {row.line}: {row.file!r} is named twice, first on line {other.line}"
                )
            given[source.file] = row
    return [_renamed(source, given.get(source.file)) for source in sources]


def _renamed(source: Source, row: _Row | None) -> Source:
    if row is None:
        return source
    return replace(source, subject=row.subject, domain=row.domain or source.domain)


def _rows(table: Path) -> list[_Row]:
    text = read_text(table, advice="save the table as CSV in UTF-8")
    if text.startswith("sep="):  # Excel's own line, which says what its columns are separated by
        text = text.partition("\n")[2]
    header = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=header.count)
    rows = []
    try:
        reader = csv.DictReader(StringIO(text, newline=""), delimiter=delimiter, restval="")
        names = {name.strip().lower(): name for name in reader.fieldnames or ()}
        if missing := [column for column in COLUMNS if column not in names]:
            raise UserError(
                f"{table}: expected the columns file, subject and, optionally, domain in the first line, got "
                f"{header!r}; add {' and '.join(missing)}"
            )
        for line in reader:
            file, subject, domain = (
                (line[names[key]] or "").strip() if key in names else "" for key in (*COLUMNS, "domain")
            )
            if not file or not subject:
                raise UserError(
                    f"{table}, line {reader.line_num}: expected the columns file and subject, both filled"
                )
            for value in (subject, domain):
                try:
                    checked_label(value)
                except ValueError as error:
                    raise UserError(f"{table}, line {reader.line_num}: {error}; correct the table") from error
            rows.append(_Row(reader.line_num, file, subject, domain))
    except csv.Error as error:
        raise UserError(f"{table}: not readable as CSV: {error}; save it again as CSV in UTF-8") from error
    return rows


def _named(sources: Sequence[Source], row: _Row, where: str) -> list[Source]:
    """The files that a row means: one, or one in each folder under the same path."""
    wanted = _plain(row.file.replace("\\", "/").removeprefix("./"))
    if exact := [source for source in sources if _plain(source.path) == wanted]:
        return exact
    alike = [source for source in sources if _plain(source.file.name) == wanted]
    if not alike:
        raise UserError(
            f"{where}: names {row.file!r}, which is in neither folder; expected a path below --portraits or "
            "--driving, or a bare file name"
        )
    if len(alike) > 1:
        raise UserError(
            f"{where}: {row.file!r} is the name of {len(alike)} files ({alike[0].path}, {alike[1].path}, ...); "
            "write the path below the folder"
        )
    return alike


def _plain(name: str) -> str:
    """One spelling for names that differ in how their accents are stored, as they do between systems."""
    return unicodedata.normalize("NFC", name)
