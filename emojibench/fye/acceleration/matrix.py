"""The rows of `emojibench accel`, read from a YAML file; `matrix.yaml` beside this file holds ours and the paper's."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from emojibench.errors import UserError
from emojibench.fye import matrix
from emojibench.fye.matrix import Variant

PAPER = Path(__file__).with_name("matrix.yaml")

Group = Literal["table3", "table5", "beyond", "rivals", "floor"]


class AccelerationVariant(Variant):
    """One way to denoise."""

    groups: tuple[Group, ...]
    """The tables it belongs to."""


def read(file: Path = PAPER) -> tuple[AccelerationVariant, ...]:
    """The rows of a file in its order; the first is what all others are compared with.

    Raises:
        UserError: no such file, not YAML, an unknown key, a bad value, a row that is compared with another one.
    """
    rows = matrix.read(file, AccelerationVariant)
    for row in rows:
        if row.against != rows[0].name:
            raise UserError(
                f"{file}: row {row.name!r}: against: all rows are compared with the first, {rows[0].name}, "
                f"got {row.against!r}; leave it out"
            )
    return rows


def choose(
    rows: tuple[AccelerationVariant, ...], names: Iterable[str] | None
) -> tuple[AccelerationVariant, ...]:
    """The named rows and the first one; all rows for None. Rows of renamed presets go by their old names too.

    Raises:
        UserError: no such row.
    """
    from fye_faster.accel.presets import current

    known = {row.name for row in rows}
    if names is not None:
        names = [name if name in known else current(name) for name in names]
    return matrix.choose(rows, names, {row.name: (rows[0].name,) for row in rows})
