"""What the README's first command does, in small, and that the baselines it is held against are of today."""

import json
from pathlib import Path

import pytest

import emojibench
from emojibench import protocol
from emojibench.reports import build_pages
from emojibench.runs.summary import Summary

LEADERBOARDS = Path(__file__).parents[1] / "leaderboards"
ACCEPTED = sorted((LEADERBOARDS / "accepted").glob("*/*/spec.json"))


def test_the_demo_in_two_frames(tmp_path: Path) -> None:
    result = emojibench.run(
        "fye-faster", split="cross", clips=1, frames=2, options={"steps": "2"}, metrics=["l1", "landmarks"],
        out=tmp_path, quiet=True,
    )  # fmt: skip
    assert result.exit_code == 0, result.failed
    measured = result.summary.metrics
    assert (
        0 < measured["l1"].mean < 0.15
    )  # against the true frames that cross clips of `mini` have; noise is at .3
    assert measured["landmark_accuracy"].n_clips == 1
    assert measured["latency_s"].mean > 0
    (page,) = emojibench.report(tmp_path, tmp_path / "boards")
    assert "fye-faster" in page.read_text()


@pytest.mark.parametrize("file", ACCEPTED, ids=lambda file: file.parent.name)
def test_accepted_baselines_are_of_this_dataset_and_protocol(file: Path) -> None:
    """Or `emojibench gate` refuses every new run: accept new ones where a dataset or a metric changes."""
    spec = json.loads(file.read_text())
    dataset = emojibench.load_dataset(spec["dataset"], detector=spec["protocol"]["detector"])
    assert dataset.digest == spec["dataset_digest"]
    assert protocol.default(dataset.detector).model_dump(mode="json") == spec["protocol"]


def test_the_committed_pages_are_those_of_the_accepted_runs() -> None:
    """If not: `emojibench report --accepted`."""
    pages, unfinished = build_pages(Path("runs"), LEADERBOARDS, accepted=True)
    assert not unfinished
    for page in pages:
        assert page.path.read_text(encoding="utf-8") == page.text, page.path


@pytest.mark.parametrize("file", ACCEPTED, ids=lambda file: file.parent.name)
def test_accepted_summaries_are_written_as_they_were_read(file: Path) -> None:
    text = file.with_name("summary.json").read_text()
    whole = Summary.model_validate_json(text).model_dump(mode="json")
    assert json.dumps(whole, indent=2, ensure_ascii=False) + "\n" == text
