"""A run as community evals of the Hugging Face Hub: `.eval_results/*.yaml` of the model's repository.

The format is that of https://huggingface.co/docs/hub/eval-results. `task_id` has to be one of the dataset's eval.yaml.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

import yaml

from emojibench.notebooks import share_lost
from emojibench.reports.exporting.about import About, started
from emojibench.reports.load import FinishedRun
from emojibench.runs.summary import ColumnSummary


def written(
    run: FinishedRun, columns: Mapping[str, ColumnSummary], about: About
) -> tuple[str, PurePosixPath]:
    """The entries, one for each column, and their file in the model's repository."""
    spec = run.spec
    entries = [
        {
            "dataset": {"id": about.dataset, "task_id": f"{spec.split}_{name}"},
            "value": column.mean,
            "date": started(run).date().isoformat(),
            "notes": _notes(run, column),
        }
        for name, column in columns.items()
    ]
    file = PurePosixPath(".eval_results", f"emojibench_{spec.dataset}_{spec.split}.yaml")
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=1000), file


def _notes(run: FinishedRun, column: ColumnSummary) -> str:
    spec = run.spec
    parts = [f"{column.n_clips} of {column.expected} clips"]
    if column.lost:
        parts.append(share_lost(column.lost))
    if column.low is not None and column.high is not None:
        parts.append(f"95 % interval {column.interval}")
    parts += [
        f"{spec.protocol.shape}, protocol {spec.protocol.id}",
        f"dataset digest {spec.dataset_digest[:12]}",
    ]
    return ", ".join(part for part in (column.unit, *parts) if part)
