"""How much each clip's driving moves, in the rows of a run."""

import json
from typing import Any

import fakes
import numpy as np
import pytest

from emojibench.dataset.motion import motion_of
from emojibench.errors import DatasetError
from emojibench.reports.gating import gate
from emojibench.reports.load import load_run
from emojibench.reports.verdicts import Verdict
from emojibench.runs.columns import MOTION


def _figures(result: Any) -> dict[str, float]:
    rows = result.rows()
    of_motion = rows[rows.metric == MOTION.name]
    return dict(zip(of_motion.clip_id, of_motion.value, strict=True))


def test_rows_say_how_much_each_clip_moves_whatever_animates_it(bench: Any) -> None:
    options = {"b": "raise"}
    result = bench.run("fake", metrics=["fake_l1"], options=options, frames=3)
    dataset = fakes.FakeDataset(32, "fake-detector")
    known = {clip: motion_of(dataset.clip(clip).cut(3).driving) for clip in fakes.IDS}
    assert _figures(result) == pytest.approx(known)
    view = result.summary.metrics[MOTION.name]
    assert (view.better, view.unit, view.n_clips) == ("none", "eye distances", 4)
    before = (result.folder / "rows.jsonl").read_bytes()
    bench.run("fake", metrics=["fake_l1"], options=options, frames=3)
    assert (result.folder / "rows.jsonl").read_bytes().count(b"driving_motion") == before.count(
        b"driving_motion"
    )


def test_a_driving_without_faces_or_a_broken_one_says_why(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fakes.FakeDataset.clip

    def clip(self: Any, clip_id: str) -> Any:
        if clip_id == "c":
            raise DatasetError("c.npz: damaged")
        made = whole(self, clip_id)
        if clip_id == "a":
            made.driving.landmarks[1:] = np.nan
        return made

    result = bench.run("fake", metrics=["fake_l1"])
    (result.folder / "rows.jsonl").write_text("")
    monkeypatch.setattr(fakes.FakeDataset, "clip", clip)
    again = bench.run("fake", metrics=["fake_l1"])
    rows = again.rows()
    rows = rows[rows.metric == MOTION.name].set_index("clip_id")
    assert rows.status.to_dict() == {"a": "undefined", "b": "ok", "c": "failed", "d": "ok"}
    assert rows.reason["a"] == "a face in 1 of 5 driving frames, at least 2 are needed"
    assert rows.reason["c"] == "c.npz: damaged"


def test_runs_of_older_versions_lack_it_and_it_is_never_judged(bench: Any) -> None:
    new = bench.run("fake", metrics=["fake_l1"])
    old = bench.run("fake", metrics=["fake_l1"], name="old")
    summary = json.loads((old.folder / "summary.json").read_text())
    del summary["metrics"][MOTION.name]
    (old.folder / "summary.json").write_text(json.dumps(summary))
    assert MOTION.name not in load_run(old.folder).summaries
    for pair in ((old.folder, new.folder), (new.folder, old.folder), (new.folder, new.folder)):
        result = gate(*pair)
        (motion,) = (c for c in result.comparisons if c.column == MOTION.name)
        assert motion.verdict == Verdict.INFO
        assert result.verdict == gate(old.folder, old.folder).verdict
    assert "accept a run that has it" not in gate(old.folder, new.folder).markdown()
