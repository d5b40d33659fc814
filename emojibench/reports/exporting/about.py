"""What an exported run says beside its numbers."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from emojibench.errors import UserError
from emojibench.reports.load import FinishedRun

Relationship = Literal["first_party", "third_party", "collaborative", "other"]


@dataclass(frozen=True)
class About:
    """What no run says of itself."""

    model: str = ""
    """`OWNER/NAME` of the model; empty: `emojibench/<method>`."""
    organization: str = "unknown"
    """Who ran it."""
    relationship: Relationship = "other"
    """Of those who ran it to those who made the model."""
    dataset: str = ""
    """`OWNER/NAME` of the dataset on the Hugging Face Hub; empty: `emojibench/<dataset>`."""

    def of(self, run: FinishedRun) -> "About":
        """With the defaults for a run."""
        model = self.model or f"emojibench/{run.spec.method}"
        return replace(self, model=model, dataset=self.dataset or f"emojibench/{run.spec.dataset}")


def started(run: FinishedRun) -> datetime:
    """When the newest start of the run's command was.

    Raises:
        UserError: its provenance does not say.
    """
    said = (run.provenance.model_extra or {}).get("started")
    try:
        return datetime.fromisoformat(said if isinstance(said, str) else "").astimezone(UTC)
    except ValueError as error:
        file = run.path / "provenance.json"
        raise UserError(
            f"{file}: started: expected a date and time, got {said!r}; score the run again"
        ) from error
