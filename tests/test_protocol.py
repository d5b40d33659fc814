"""What makes numbers comparable, and that runs of older versions still say so."""

import json

import pytest

from emojibench import load_dataset, protocol
from emojibench.protocol import Protocol
from emojibench.runs.spec import _FORMER, RunSpec

OLD = {
    "version": 1,
    "size": 256,
    "frames": 64,
    "detector": "mediapipe-facemesh-0.10.21-d5128568",
    "first_scored": {"self": 1, "cross": 0},
    "targets": "self: driving landmarks; cross: motion alignment 1",
    "aggregation": "mean over frames, mean over clips",
    "metrics": {"l1": 1, "ssim": 3},
}
"""A protocol as it was written when its id covered all columns."""


def test_columns_and_aggregation_are_no_part_of_the_id() -> None:
    today = protocol.default(OLD["detector"])
    old = Protocol.model_validate(OLD)
    assert old.id == today.id
    assert not old.differences(today)
    assert old.metrics == {"l1": 1, "ssim": 3}
    assert not {"metrics", "aggregation"} & json.loads(old.model_dump_json()).keys()


@pytest.mark.parametrize("change", [{"size": 512}, {"frames": 100}, {"detector": "d"}, {"targets": "other"}])
def test_whatever_presents_clips_otherwise_is_another_id(change: dict[str, object]) -> None:
    one, other = Protocol.model_validate(OLD), Protocol.model_validate(OLD | change)
    assert one.id != other.id
    assert [line.partition(":")[0] for line in one.differences(other)] == list(change)


@pytest.mark.parametrize("former", _FORMER)
def test_digests_that_named_libraries_are_read_as_todays(former: str) -> None:
    spec = RunSpec(
        name="r", source="method", method="m", revision="1", dataset_ref="mini", dataset="mini",
        dataset_version="1", dataset_digest=former, split="self", clips=("a",), seed=0, metrics=("l1",),
        protocol=Protocol.model_validate(OLD),
    )  # fmt: skip
    assert spec.dataset_digest in {load_dataset(name).digest for name in ("mini", "synth")}
