"""What an animation costs: the columns that the harness fills from its own measurements.

Latency is wall-clock time after warm-up, synchronised with the device; it belongs to a machine and is never
compared across machines. FLOPs are executed ones (`emojibench_metrics.flops`, 1 MAC = 2 FLOPs): cached steps count what
they ran.
"""

from emojibench_metrics.interface import Traits

_ANY = (0.0, float("inf"))

LATENCY = Traits(
    "latency_s",
    "lower",
    "s",
    _ANY,
    "wall-clock seconds per clip, all stages, as measured by the harness",
    decimals=2,
)
FLOPS = Traits(
    "flops",
    "lower",
    "TFLOP",
    _ANY,
    "executed floating-point operations per clip, 1 MAC = 2 FLOPs, metrics/emojibench_metrics/flops.py",
)
PEAK_MEMORY = Traits(
    "peak_memory",
    "lower",
    "MiB",
    _ANY,
    "highest memory of the animating process or device during one clip",
    decimals=0,
)

TRAITS = (LATENCY, FLOPS, PEAK_MEMORY)


def is_cost(column: str) -> bool:
    """Whether a column is one of these, or the seconds of a stage."""
    return column.startswith("latency_") or any(column == traits.name for traits in TRAITS)


def depends_on_device(column: str) -> bool:
    """Whether a column holds seconds or bytes, which another device makes others of."""
    return is_cost(column) and column != FLOPS.name


def stage_latency(stage: str) -> Traits:
    """Traits of the seconds that one stage takes (`denoise` gives column `latency_denoise_s`).

    Raises:
        ValueError: a stage name that cannot be part of a column name.
    """
    if not stage.isidentifier():
        raise ValueError(f"stage name {stage!r}: expected letters, digits and underscores")
    return Traits(
        f"latency_{stage}_s",
        "lower",
        "s",
        _ANY,
        f"wall-clock seconds per clip in the stage {stage!r}",
        decimals=2,
    )
