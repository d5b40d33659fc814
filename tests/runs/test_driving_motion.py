"""What each clip's driving does, in the rows of a run: how it moves, turns and looks."""

import json
from typing import Any

import fakes
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emojibench.dataset.clip import Clip
from emojibench.dataset.motion import motion_of
from emojibench.errors import DatasetError
from emojibench.face.driving import DrivingSequence
from emojibench.face.template import template
from emojibench.protocol import Protocol
from emojibench.reports.gating import gate
from emojibench.reports.load import load_run
from emojibench.reports.verdicts import Verdict
from emojibench.runs.columns import DRIVING, MOTION
from emojibench.runs.driving import driven


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
    for column in DRIVING:
        del summary["metrics"][column.name]
    (old.folder / "summary.json").write_text(json.dumps(summary))
    assert not {column.name for column in DRIVING} & set(load_run(old.folder).summaries)
    for pair in ((old.folder, new.folder), (new.folder, old.folder), (new.folder, new.folder)):
        result = gate(*pair)
        told = {c.column: c.verdict for c in result.comparisons}
        assert {told[column.name] for column in DRIVING} == {Verdict.INFO}
        assert result.verdict == gate(old.folder, old.folder).verdict
    assert "accept a run that has it" not in gate(old.folder, new.folder).markdown()


def _clip(yaws: list[float], *, portrait: float | None, split: str = "cross") -> Any:
    """A template head that turns, and a portrait that looks elsewhere or has no face; None in `yaws` is no face."""

    def turned(yaw: float | None) -> Any:
        if yaw is None:
            return np.full((478, 3), np.nan, np.float32)
        points = Rotation.from_euler("y", -yaw, degrees=True).apply(template()) * 90 + (128, 128, 0)
        return np.float32(points / 256)

    driving = DrivingSequence(np.stack([turned(yaw) for yaw in yaws]), 25.0, (256, 256), "fake")
    picture = np.zeros((128, 128, 3), np.uint8)
    face = None if portrait is None else turned(portrait)
    return Clip("c", split, "cartoon", "a", "b", picture, face, driving)


class _Clips:
    def __init__(self, clip: Any) -> None:
        self.clip = lambda clip_id: clip


def test_turns_are_against_the_portrait_and_frame_by_frame_of_scored_frames() -> None:
    protocol = Protocol(detector="fake")

    def turn(clip: Any) -> Any:
        return {m.traits.name: m for m in driven(_Clips(clip), "c", protocol)}["driving_turn"]  # type: ignore[arg-type]

    found = turn(_clip([0, 10, 30, None], portrait=-10))  # type: ignore[list-item]
    assert found.frames[:3] == pytest.approx((10, 20, 40), abs=0.5)
    assert found.frames[3] is None
    assert found.value == pytest.approx(np.percentile([10, 20, 40], 95), abs=0.5)
    assert (found.n, found.total) == (3, 4)
    assert len(turn(_clip([0, 10, 30], portrait=0, split="self")).frames) == 2
    none = turn(_clip([0, 10], portrait=None))
    assert (none.status, none.reason) == ("undefined", "no face was found on the portrait")
