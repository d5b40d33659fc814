"""EmojiBench++: the benchmark of landmark-driven portrait animation.

What the commands do is here as functions:

    >>> import emojibench
    >>> result = emojibench.run("copy-reference", split="self", dataset="mini")
    >>> emojibench.report("runs")

`load_dataset`, `run`, `score`, `report` and `gate` are imported when first used, so that importing the
package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emojibench.dataset import load_dataset
    from emojibench.reports import report
    from emojibench.reports.gating import gate
    from emojibench.runs.api import run, score

__all__ = ["gate", "load_dataset", "report", "run", "score"]

_HOME = {
    "load_dataset": "emojibench.dataset",
    "run": "emojibench.runs.api",
    "score": "emojibench.runs.api",
    "report": "emojibench.reports",
    "gate": "emojibench.reports.gating",
}


def __dir__() -> list[str]:
    return [*__all__, *(name for name in globals() if name.startswith("__"))]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'emojibench' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
