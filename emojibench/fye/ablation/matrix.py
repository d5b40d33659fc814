"""The rows of an ablation, read from a YAML file; `matrix.yaml` beside this file holds the paper's."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from emojibench.errors import UserError
from emojibench.fye import matrix
from emojibench.fye.matrix import Variant
from emojibench.registry import unknown

PAPER = Path(__file__).with_name("matrix.yaml")
MAIN = "main"
"""Stands for the main weights (the package's, unless a user names others) where a row says whose it takes."""


def _group(name: object) -> object:
    from emojibench.face.draw import GROUPS

    if name not in GROUPS:
        raise ValueError(unknown("group of landmarks", str(name), GROUPS))
    return name


class AblationVariant(Variant):
    """One row. Rows with `weights` are sampled only, rows without are trained."""

    landmarks: tuple[Annotated[str, BeforeValidator(_group)], ...] = ()
    """Groups that are drawn; empty: those of the preset."""
    ffg: tuple[Literal["expression", "face"], ...] = ("expression", "face")
    """Masks of the FFG loss."""
    warp: bool = True
    """Whether the model is shown the portrait warped to each frame's landmarks."""
    weights: str = ""
    """A trained row whose weights this one takes, or `MAIN`."""
    missing: str = ""
    """Why the row cannot be run; empty if it can."""

    @property
    def trained(self) -> bool:
        """Whether the row has a training of its own."""
        return not (self.weights or self.missing)


def read(file: Path = PAPER) -> tuple[AblationVariant, ...]:
    """The rows of a file in its order.

    Raises:
        UserError: no such file, not YAML, an unknown key, a bad value, a row that refers to one that is not there.
    """
    rows = matrix.read(file, AblationVariant)
    runnable = {row.name for row in rows if not row.missing}
    trained = {row.name for row in rows if row.trained}
    for row in rows:
        where = f"{file}: row {row.name!r}"
        if row.weights and {"landmarks", "ffg", "warp"} & row.model_fields_set:
            raise UserError(
                f"{where}: landmarks, ffg and warp need a training, so the row cannot take weights as well"
            )
        if row.weights and row.weights not in {*trained, MAIN}:
            raise UserError(f"{where}: weights: {unknown('trained row', row.weights, {*trained, MAIN})}")
        if not row.missing:
            matrix.check_reference(file, row, runnable)
    return rows


def choose(rows: tuple[AblationVariant, ...], names: Iterable[str] | None) -> tuple[AblationVariant, ...]:
    """The named rows and all that they refer to, in the order of the file; all rows for None.

    Raises:
        UserError: no such row.
    """
    needs = {row.name: {row.against, *({row.weights} - {"", MAIN})} for row in rows}
    return matrix.choose(rows, names, needs)
