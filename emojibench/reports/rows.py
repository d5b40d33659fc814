"""rows.parquet of a finished run, read with care: the file may come from anywhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emojibench.errors import UserError
from emojibench.runs.cost import WARM_UP
from emojibench.runs.records import Row

_NEEDED = ("clip_id", "subject", "metric", "value", "n", "status", "note")
_ROWS = 2_000_000
_BYTES = 256 << 20
"""Most rows, and most bytes that they may unfold to: a few kB of Parquet can stand for gigabytes."""
_LARGEST = 1e100
"""No value of any metric is further from zero; sums and differences of such are finite."""
_ADVICE = "score the run again"


@dataclass(frozen=True)
class Value:
    """One clip's value of one column."""

    value: float
    subject: str
    n: int = 0
    total: int | None = None
    """Frames that the value is of, and those that it would be of had none been lost; None in older rows."""


Values = dict[str, dict[str, Value]]
"""Column name to clip id to value."""


def read_rows(file: Path) -> tuple[Values, dict[str, frozenset[str]]]:
    """Values of all clips, and per column the clips left out because a worker was warming up.

    A warm-up counts only where there is nothing else, as in summaries.

    Raises:
        UserError: the file is missing, damaged, too large, or has other columns or values than rows have.
    """
    measured: Values = {}
    warm_ups: Values = {}
    for number, row in enumerate(rows_of(file), 1):
        if row["status"] != "ok" or row["value"] is None:  # no value, or only one of the whole set
            continue
        if not abs(row["value"]) < _LARGEST:
            where = f"row {number} (clip {row['clip_id']}, {row['metric']})"
            raise UserError(f"{file}: {where}: expected a finite number, got {row['value']}; {_ADVICE}")
        kept = warm_ups if row["note"] == WARM_UP else measured
        kept.setdefault(row["metric"], {})[row["clip_id"]] = Value(
            row["value"], row["subject"], row["n"] or 0, row.get("total")
        )
    left_out = {name: frozenset(clips) for name, clips in warm_ups.items() if name in measured}
    return warm_ups | measured, left_out


def copy_rows(source: Path, target: Path, clean: Callable[[Any], Any]) -> None:
    """Write the columns that rows have to another file, every value as `clean` returns it.

    Raises:
        UserError: as `read_rows`.
        OSError: `target` cannot be written.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    table = _table(source, frames=True)
    rows = [{name: clean(value) for name, value in row.items()} for row in table.to_pylist()]
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=table.schema), target, compression="zstd")


def rows_of(file: Path, *, frames: bool = False) -> list[dict[str, Any]]:
    """All rows, with the columns of `Row` that the file has. Raises as `read_rows`, but looks at no value.

    `frames` says whether with the values of single frames, which take most of the time.
    """
    rows: list[dict[str, Any]] = _table(file, frames=frames).to_pylist()
    return rows


def as_row(content: Mapping[str, Any]) -> Row:
    """One of `rows_of` as a `Row`; what files of older versions lack is empty."""
    filled: dict[str, Any] = {"total": None, **content, "n": content["n"] or 0}
    filled |= {name: filled.get(name) or "" for name in ("domain", "unit", "reason", "note", "inputs")}
    filled["frames"] = tuple(filled.get("frames") or ())
    return Row.model_construct(**filled)


def _table(file: Path, *, frames: bool = False) -> Any:
    """The columns that rows have, each of the type that it has in rows."""
    import pyarrow
    import pyarrow.parquet as parquet

    if not file.exists():
        raise UserError(f"{file.parent} is not finished: it has no {file.name}; {_ADVICE}")
    try:
        with parquet.ParquetFile(file) as source:
            _check_size(file, source.metadata)
            there = {*_NEEDED, *source.schema_arrow.names}  # older versions lack some that are not needed
            names = [name for name in Row.model_fields if name in there and (frames or name != "frames")]
            schema = pyarrow.schema({name: _type(name) for name in names})
            table = source.read(columns=names, use_threads=False).select(names).cast(schema)
            table.validate(full=True)  # text is UTF-8, offsets are inside their buffers
    except (pyarrow.ArrowException, OSError, KeyError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file} is damaged ({reason}); {_ADVICE}") from error
    for name in ("clip_id", "subject", "metric", "status"):
        if table[name].null_count:
            raise UserError(f"{file}: column {name}: expected text in every row, got none in some; {_ADVICE}")
    return table


def _type(name: str) -> Any:
    import pyarrow

    types = {
        "value": pyarrow.float64(), "n": pyarrow.int64(), "total": pyarrow.int64(),
        "frames": pyarrow.list_(pyarrow.float32()),
    }  # fmt: skip
    return types.get(name, pyarrow.string())


def _check_size(file: Path, about: Any) -> None:
    size = sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups))
    if about.num_rows > _ROWS or size > _BYTES:
        got = f"{about.num_rows:,} rows of {size:,} bytes"
        raise UserError(f"{file}: expected at most {_ROWS:,} rows and {_BYTES:,} bytes, got {got}; {_ADVICE}")


def domains(file: Path) -> frozenset[str]:
    """Domains of the clips; empty in files of older versions, which do not say.

    Raises:
        UserError: as `read_rows`.
    """
    table = _table(file)
    return (
        frozenset(table["domain"].unique().to_pylist()) - {None, ""}
        if "domain" in table.column_names
        else frozenset()
    )
