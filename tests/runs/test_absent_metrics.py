"""Columns whose plug-in is gone stay as they were measured, and say so."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest

from emojibench import media
from emojibench.runs.columns import ABSENT, KEPT

GONE = ("fake_face", "fake_set")


@pytest.fixture
def uninstall(registered: Path) -> Callable[[], Callable[[], None]]:
    """Unregister two metrics; returns what registers them again."""

    def leave() -> Callable[[], None]:
        file = registered / "fakes-1.0.dist-info" / "entry_points.txt"
        text = file.read_text()
        file.write_text(re.sub(r"fake_(face|set) = .*\n", "", text))
        return lambda: (file.write_text(text), None)[1]

    return leave


def test_columns_are_kept_with_a_note_until_their_metric_is_back(bench: Any, uninstall: Any) -> None:
    before = bench.run("fake", clips=2).summary.metrics
    install = uninstall()
    after = bench.rescore(metrics=["fake_l1"])
    for name in GONE:
        assert after.summary.metrics[name] == before[name].model_copy(update={"note": KEPT})
    assert after.summary.metrics["fake_l1"] == before["fake_l1"]
    assert set(after.rows().metric) >= {"fake_face", "fake_l1"}
    assert bench.run("fake", clips=2, metrics=["fake_l1"]).summary == after.summary
    install()
    assert bench.rescore(metrics=["fake_l1"]).summary.metrics == before


def test_runs_of_older_versions_tell_by_their_summary(bench: Any, uninstall: Any) -> None:
    result = bench.run("fake", clips=2)
    file = result.folder / "spec.json"
    old = json.loads(file.read_text())
    del old["columns"]
    file.write_text(json.dumps(old))
    uninstall()
    after = bench.rescore(metrics=["fake_l1"]).summary.metrics
    assert {name: after[name].mean for name in GONE} == {
        name: result.summary.metrics[name].mean for name in GONE
    }


def test_a_clip_that_changed_since_has_no_value(bench: Any, uninstall: Any, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    for clip in ("a", "b"):
        media.write_lossless(videos / f"{clip}.mkv", np.full((5, 32, 32, 3), 90, np.uint8), 25.0)
    given = {"name": "r", "clips": ["a", "b"]}
    bench.score(videos, **given)
    uninstall()
    media.write_lossless(videos / "a.mkv", np.full((fakes.FRAMES, 32, 32, 3), 91, np.uint8), 25.0)
    after = bench.score(videos, **given, metrics=["fake_l1"]).summary.metrics
    assert (after["fake_face"].n_clips, after["fake_face"].reason) == (1, f"1 of 2: {ABSENT}")
    assert (after["fake_set"].mean, after["fake_set"].reason) == (None, ABSENT)
