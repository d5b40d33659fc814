"""Which columns a page shows, and in which order."""

from collections.abc import Collection, Sequence

from emojibench_metrics.cost import is_cost

from emojibench.reports.blocks import Column
from emojibench.reports.load import FinishedRun

PAPER: dict[str, tuple[dict[str, str], ...]] = {
    "self": (
        {"l1": "L1"},
        {"ssim": "SSIM"},
        {"lpips_alex": "LPIPS (alex)", "lpips_vgg": "LPIPS (vgg)", "lpips_squeeze": "LPIPS (squeeze)"},
        {"fvd": "FVD"},
    ),
    "cross": (
        {"id_sim": "ID similarity", "id_sim_mobilefacenet": "ID similarity (MobileFaceNet)"},
        {"hyperiqa": "Image quality"},
        {"landmark_accuracy": "Landmark accuracy"},
    ),
}
"""Table 1 of the paper without its user study: split to its columns, each as our names for it and their titles.
The paper does not name its backbones, so some columns have several of ours; the usual one comes first."""


def paper_names(split: str, measured: Collection[str]) -> dict[str, str]:
    """Our names and titles of Table 1's half for a split, in the paper's order.

    Of several that stand for one of the paper's, those that are measured; where none is, the usual one, so that
    the gap and its reason are seen.
    """
    shown: dict[str, str] = {}
    for titles in PAPER[split]:
        names = [name for name in titles if name in measured] or list(titles)[:1]
        shown |= {name: titles[name] for name in names}
    return shown


def paper_columns(split: str, runs: Sequence[FinishedRun]) -> list[Column]:
    """Table 1's half for a split; of several columns for one of the paper's, those that some run has a value for."""
    measured = {name for run in runs for name, summary in run.summaries.items() if summary.mean is not None}
    return [_column(name, title, split, runs) for name, title in paper_names(split, measured).items()]


def other_columns(split: str, runs: Sequence[FinishedRun]) -> list[Column]:
    """All measured columns that Table 1 does not show for this split; costs come last."""
    names = {name for run in runs for name in run.summaries} - {c.name for c in paper_columns(split, runs)}
    ordered = sorted(names, key=lambda name: (is_cost(name), name))
    return [_column(name, name, split, runs) for name in ordered]


def _column(name: str, title: str, split: str, runs: Sequence[FinishedRun]) -> Column:
    for run in runs:
        if (summary := run.summaries.get(name)) is not None:
            return Column(title, name, split, summary.unit, summary.better)
    return Column(title, name, split)
