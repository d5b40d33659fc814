"""Values frame by frame: from metrics into the rows of a run, and out of accepted copies of them."""

from typing import Any

import numpy as np
import pytest
from emojibench_metrics.interface import ClipArrays, Figure, Traits
from emojibench_metrics.jitter import Jitter
from emojibench_metrics.l1 import L1
from emojibench_metrics.landmarks import LandmarkAccuracy
from emojibench_metrics.psnr import Psnr
from emojibench_metrics.ssim import Ssim

from emojibench.face.template import template
from emojibench.reports.rows import copy_rows, rows_of
from emojibench.runs.score_clip import _judge


def _arrays() -> ClipArrays:
    rng = np.random.default_rng(0)
    truth, generated = rng.integers(0, 256, (2, 6, 16, 16, 3), np.uint8)
    face = np.float32(template() / 4 + 0.5)
    targets = np.repeat(face[None], 6, axis=0)
    found = targets + rng.normal(0, 0.002, targets.shape).astype(np.float32)
    found[4] = np.nan
    targets[0] = np.nan
    return ClipArrays(generated, truth, truth[0], targets, found)


@pytest.mark.parametrize("metric", [L1, Psnr, Ssim, LandmarkAccuracy, Jitter])
def test_a_value_is_the_mean_of_its_frames(metric: Any) -> None:
    figures = metric(lambda name: None).measure(_arrays())
    known = {name: f for name, f in figures.items() if f.frames is not None}
    assert known
    for figure in known.values():
        assert figure.frames.shape == (6,)
        assert np.nanmean(figure.frames) == pytest.approx(figure.value)
        assert np.isfinite(figure.frames).sum() == figure.n


def test_frames_of_another_number_are_a_broken_metric() -> None:
    traits = Traits("x", "lower", "", (0.0, 1.0), "")
    good = _judge(traits, Figure(0.5, 2, frames=np.array([0.25, np.nan, 0.75])), 3)
    assert (good.status, good.frames) == ("ok", (0.25, None, 0.75))
    bad = _judge(traits, Figure(0.5, 2, frames=np.array([0.25, 0.75])), 3)
    assert bad.status == "failed"
    assert "shape (2,); expected (3,)" in bad.reason


def test_rows_carry_them_and_are_read_without_them_unless_asked(bench: Any, tmp_path: Any) -> None:
    run = bench.run("fake", metrics=["fake_l1"]).folder
    copy_rows(run / "rows.parquet", tmp_path / "copy.parquet", lambda content: content)
    (first, *_) = (
        r for r in rows_of(tmp_path / "copy.parquet", frames=True) if r["metric"] == "driving_smile"
    )
    assert len(first["frames"]) == 4  # of five; the first one of a self clip is not scored
    assert not any("frames" in row for row in rows_of(run / "rows.parquet"))
