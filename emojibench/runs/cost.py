"""What an animation cost: seconds, counted operations and memory, read off its record, not its frames."""

from collections.abc import Iterable

from emojibench.runs.records import AnimationRecord
from emojibench.runs.score_clip import Measured
from metrics.cost import FLOPS, LATENCY, PEAK_MEMORY, TRAITS, stage_latency
from metrics.interface import Traits

WARM_UP = "warm-up"
"""Note on the latencies of a clip that was the first of its shape in its process."""

_ELSEWHERE = "the video was made elsewhere"
_UNSEEN = "no torch operations were seen in the method's process"


def columns(records: Iterable[AnimationRecord]) -> tuple[Traits, ...]:
    """The cost columns of a run: fixed ones, and one for each stage that its method named."""
    stages = dict.fromkeys(stage for record in records for stage in record.seconds)
    return (*TRAITS, *(stage_latency(stage) for stage in stages))


def measured(record: AnimationRecord, wanted: Iterable[Traits]) -> list[tuple[Measured, str]]:
    """The cost columns of one finished clip, each with its note."""
    values: dict[str, float | None] = {
        LATENCY.name: record.latency,
        FLOPS.name: record.flops / 1e12 if record.flops else None,
        PEAK_MEMORY.name: record.peak_memory / 2**20 if record.peak_memory else None,
    }
    values |= {stage_latency(stage).name: seconds for stage, seconds in record.seconds.items()}
    notes = {PEAK_MEMORY.name: record.memory_kind, FLOPS.name: ""}
    warm_up = WARM_UP if record.warm_up else ""
    return [
        (_measured(traits, values.get(traits.name), record), notes.get(traits.name, warm_up))
        for traits in wanted
    ]


def _measured(traits: Traits, value: float | None, record: AnimationRecord) -> Measured:
    if value is not None:
        return Measured(traits, "ok", value, record.frames, total=record.frames)
    if record.latency is None:
        return Measured(traits, "undefined", reason=_ELSEWHERE)
    return Measured(
        traits, "undefined", reason=_UNSEEN if traits == FLOPS else "the method did not report it"
    )
