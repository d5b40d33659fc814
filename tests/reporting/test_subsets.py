"""Runs cut down to some of their clips."""

from pathlib import Path

from run_folders import CLIPS, MakeRun

from emojibench.reports.figures.view import View
from emojibench.reports.load import load_run
from emojibench.reports.subsets import clip_rows, part
from emojibench.reports.tables import build_track


def test_values_of_an_older_version_do_not_come_back(make_run: MakeRun, tmp_path: Path) -> None:
    values = {"l1": dict.fromkeys(CLIPS, 0.2), "ssim": dict.fromkeys(CLIPS, 0.9)}
    frames = {"l1": {clip: [0.1, 0.3] for clip in CLIPS}}
    paths = [
        make_run(f"v{version}", values, method=f"m{version}", versions={"l1": version}, frames=frames)
        for version in (1, 2)
    ]
    track = build_track("t", [load_run(path) for path in paths])
    old = next(run for run in track.runs if run.spec.name == "v1")
    cut = part(old, CLIPS[:2], clip_rows(old))
    assert cut.summaries["l1"].mean is None
    assert cut.summaries["l1"].reason == "version 1 of the metric, others have 2; score again"
    assert cut.summaries["l1"].expected == cut.summaries["ssim"].n_clips == 2
    assert list(View(track, "self").frames("l1")) == ["m2"]
