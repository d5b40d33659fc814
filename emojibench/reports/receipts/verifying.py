"""`emojibench verify`: does a row say what its files and digests say? No GPU is needed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emojibench.errors import UserError
from emojibench.reports.blocks import Block, Bullets, Cell, Column, Heading, Table
from emojibench.reports.receipts import ledger
from emojibench.reports.receipts.checks import CHECKS
from emojibench.reports.receipts.deep import rescored
from emojibench.reports.receipts.ledger import LEDGER
from emojibench.reports.receipts.parts import Checked, Finding, Parts, checked
from emojibench.reports.receipts.receipt import NONE

NO_RECEIPT = "a run folder has no receipt: it gets one with `emojibench submit` or `report --accept`"


@dataclass(frozen=True)
class Verification:
    """All checks of a row, or of a whole leaderboard."""

    path: Path
    checks: tuple[Checked, ...]
    gaps: tuple[str, ...] = ()
    """What should have been checked and could not be."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that does not agree."""
        return tuple(finding for check in self.checks for finding in check.findings)

    @property
    def verdict(self) -> str:
        """In words."""
        if self.findings:
            return "does not agree"
        return "; ".join(("agrees as far as it can be checked", *self.gaps)) if self.gaps else "agrees"

    @property
    def exit_code(self) -> int:
        """0 agrees, 1 does not agree, 3 could not be checked as a whole."""
        return 1 if self.findings else 3 if self.gaps else 0

    def blocks(self) -> list[Block]:
        """For a terminal or a pull request: what does not agree first."""
        blocks: list[Block] = [Heading(f"{self.path}: {self.verdict}", 1)]
        if self.findings:
            columns = tuple(map(Column, ("File", "What", "Expected", "Found")))
            rows = tuple(
                tuple(map(Cell, (finding.file, finding.what, finding.expected, finding.found)))
                for finding in self.findings
            )
            blocks += [Table(columns, rows)]
        lines = (
            f"{check.verdict}: {check.what}" + f" ({check.why})" * bool(check.why) for check in self.checks
        )
        return [*blocks, Bullets(tuple(lines))]

    def data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "row": str(self.path),
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "gaps": self.gaps,
            "checks": [asdict(check) for check in self.checks],
        }


def verify(
    row: Path, *, dataset: str | None = None, deep: int | Sequence[str] | None = None, run: Path | None = None
) -> Verification:
    """Check a row against its receipt, its rows, and the ledger of its leaderboard.

    Args:
        row: folder of the row.
        dataset: where its dataset is, if that is not built in.
        deep: score so many of its clips again, drawn anew each time, or clips of these ids.
        run: folder of the run that the row is of, whose animations `deep` scores; without it they are made again.

    Raises:
        UserError: there is no row.
    """
    parts = Parts(row, dataset)
    checks = [checked(what, check(parts)) for what, check in CHECKS.items()]
    if (row.resolve().parent.parent / LEDGER).exists():
        checks.append(checked("the row is the one that the ledger tells of", ledger.row_findings(row)))
    gaps = [] if parts.has_receipt else [NO_RECEIPT if parts.is_run else NONE]
    if deep is not None:
        checks += (again := rescored(parts, deep, run))
        gaps += [check.why for check in again if check.verdict == "not checked"]
    return Verification(row, tuple(checks), tuple(gaps))


def verify_all(accepted: Path) -> list[Verification]:
    """Check the rows of a leaderboard, and its ledger.

    Args:
        accepted: the folder `accepted` of a leaderboard.

    Raises:
        UserError: there are no rows.
    """
    rows = ledger.rows_below(accepted)
    if not rows:
        raise UserError(f"{accepted}: expected rows of a leaderboard below it, or a row; found neither")
    found = ledger.history(accepted)
    past: Sequence[Finding] = found[1] if found else ()
    checks = [
        checked("revisions have numbers, reasons and folders", ledger.findings(accepted)),
        checked("no two methods show the same frames", ledger.duplicates(accepted, rows)),
        Checked(
            "nothing was taken out of the ledger",
            ("differs" if past else "agrees") if found else "not checked",
            f"{found[0]} steps of its history" if found else "it has no history here",
            tuple(past),
        ),
    ]
    whole = Verification(accepted / LEDGER, tuple(checks))
    return [*(verify(row) for row in rows), whole]
