"""Guards leaderboards/: every row agrees with itself and its receipt, and changes only by a new revision."""

from pathlib import Path

import pytest

from emojibench.reports.receipts import ledger
from emojibench.reports.receipts.verifying import verify, verify_all

ACCEPTED = Path(__file__).parents[2] / "leaderboards/accepted"
ROWS = ledger.rows_below(ACCEPTED)
ABLATED = sorted(path.parent for path in ACCEPTED.with_name("ablation").glob("runs/*/receipt.json"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.parent.name}/{row.name}")
def test_rows_agree(row: Path) -> None:
    """What a row says: schema, clips, means from its values, its receipt, its entry in the ledger."""
    found = verify(row)
    assert not found.findings
    assert any("ledger" in check.what and check.verdict == "agrees" for check in found.checks)


@pytest.mark.parametrize("row", ABLATED, ids=lambda row: row.name)
def test_rows_of_the_ablation_agree(row: Path) -> None:
    found = verify(row)
    assert not found.findings
    assert any("receipt" in check.what and check.verdict == "agrees" for check in found.checks)


def test_the_ledger_was_only_ever_appended_to() -> None:
    """A changed row has another digest; a changed or removed line is missing from the history's next step."""
    assert not verify_all(ACCEPTED)[-1].findings
