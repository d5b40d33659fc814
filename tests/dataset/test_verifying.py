import json
import shutil

import numpy as np
import pytest
from test_loading import from_another_detector, seal

from emojibench.dataset.landmarks import read_driving, write_driving, write_portrait
from emojibench.dataset.verifying import verify
from emojibench.errors import UserError
from emojibench.media import read_video, write_lossless


def errors(report):
    return {problem.where: problem.what for problem in report.problems if problem.severity == "error"}


def warnings(report):
    return {problem.where: problem.what for problem in report.problems if problem.severity == "warning"}


def test_a_built_dataset_is_sound(built):
    report = verify(built[0])
    assert report.ok
    assert report.problems == []
    assert report.digest == built[1].digest
    assert report.clips == sum(built[1].clips.values())


def test_every_damaged_file_is_found_at_once(copy):
    names = ["driving/anna.mkv", "driving/ben.npz", "portraits/grey.png", "portraits/wide.npz"]
    for name in names[:2]:
        (copy / name).write_bytes(b"damaged")
    for name in names[2:]:
        (copy / name).unlink()
    report = verify(copy)
    assert not report.ok
    assert sorted(errors(report)) == names
    assert "sha256" in errors(report)["driving/anna.mkv"]
    assert "missing" in errors(report)["portraits/grey.png"]


def test_content_is_checked_beneath_the_digests(copy):
    anna, ben = copy / "driving" / "anna", copy / "driving" / "ben"
    write_lossless(anna.with_suffix(".mkv"), read_video(anna.with_suffix(".mkv"))[:5], 25)
    sequence = read_driving(ben.with_suffix(".npz"))
    sequence.landmarks[:] = np.nan
    write_driving(ben.with_suffix(".npz"), sequence)
    late = read_driving(copy / "driving" / "late.npz")
    late.landmarks[2] = np.nan
    write_driving(copy / "driving" / "late.npz", late)
    write_portrait(copy / "portraits" / "grey.npz", None, late.detector)
    seal(copy)
    report = verify(copy)
    assert errors(report) == {
        "driving/anna.mkv": "5 frames; expected 6",
        "driving/ben.npz": "no face in any of 6 frames",
    }
    assert warnings(report) == {
        "driving/late.npz": "no face in 1 of 6 frames",
        "portraits/grey.npz": "no face: motion cannot be aligned to this portrait",
    }


def test_duplicates_and_strangers_are_found(copy):
    shutil.copy(copy / "portraits" / "wide.png", copy / "portraits" / "grey.png")
    shutil.copy(copy / "driving" / "anna.mkv", copy / "driving" / "stranger.mkv")
    seal(copy)
    report = verify(copy)
    assert list(errors(report).values()) in (
        ["the same bytes as portraits/wide.png"],
        ["the same bytes as portraits/grey.png"],
    )
    assert warnings(report) == {"driving/stranger.mkv": "in the folder, but no clip names it"}


def test_one_person_may_start_two_videos_alike(copy):
    shutil.copy(copy / "portraits" / "ben.frame0.png", copy / "portraits" / "late.frame0.png")
    rows = [json.loads(line) for line in (copy / "clips.jsonl").read_text().splitlines()]
    for row in rows:
        for key in ("subject", "driving_subject"):
            row[key] = "ben" if row[key] == "late" else row[key]
    (copy / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seal(copy)
    assert errors(verify(copy)) == {}


def test_detectors_must_agree(copy):
    from_another_detector(copy, "other")
    description = json.loads((copy / "dataset.json").read_text())
    (copy / "dataset.json").write_text(json.dumps({**description, "detector": "ours"}))
    assert errors(verify(copy))["driving/anna.npz"] == "landmarks of other; expected ours"
    assert errors(verify(copy))["portraits/wide.npz"] == "landmarks of other; expected ours"


def test_a_broken_manifest_is_reported(copy, tmp_path):
    (copy / "dataset.json").write_text("{}")
    report = verify(copy)
    assert not report.ok
    assert "Field required" in errors(report)["dataset.json"]
    with pytest.raises(UserError, match="no such folder"):
        verify(tmp_path / "absent")
