"""What an animation cost: seconds, counted operations and memory, read off its record, not its frames."""

from collections.abc import Iterable

from emojibench_metrics.cost import FLOPS, LATENCY, PEAK_MEMORY, TRAITS, stage_latency
from emojibench_metrics.interface import Traits

from emojibench.runs.records import AnimationRecord
from emojibench.runs.score_clip import Measured

WARM_UP = "warm-up"
"""Note on the latencies of a clip that was the first of its shape in its process."""
COUNTED = "operations were counted meanwhile"
"""Note on the latencies of other clips that were counted, since the method does not say that shapes decide its cost."""
AMORTISED = "amortised"
"""Begins the note on latencies of clips of which one command made several."""
COPIED = "as counted on the first clip of this shape"
"""Note on the operations of clips that were not counted themselves."""

MIXED = "made on different devices"
"""Begins the note on seconds and bytes of a run that was begun on one device and continued on another."""

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
    copied = record.flops and not (record.counted or record.warm_up)
    notes = {PEAK_MEMORY.name: record.memory_kind, FLOPS.name: COPIED if copied else ""}
    latency = WARM_UP if record.warm_up else COUNTED if record.counted and record.flops else ""
    if record.shared > 1:
        latency = f"{AMORTISED}: {record.shared} clips were made together"
    return [
        (_measured(traits, values.get(traits.name), record), notes.get(traits.name, latency))
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
