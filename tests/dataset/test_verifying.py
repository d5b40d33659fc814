import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from test_loading import from_another_detector, seal

from emojibench.dataset.landmarks import read_driving, read_portrait, write_driving, write_portrait
from emojibench.dataset.locating import CLIPS_FILE, DATASET_FILE
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


def test_landmarks_of_no_face_are_refused(copy):
    file = copy / "portraits" / "by_hand.npz"
    face, detector = read_portrait(file)
    face.landmarks[:, 0] = 1 - face.landmarks[:, 0]
    write_portrait(file, face, detector)
    driving = read_driving(copy / "driving" / "ben.npz")
    driving.landmarks[2, :, 1] = np.abs(driving.landmarks[2, :, 1] - 0.5) + 0.5
    write_driving(copy / "driving" / "ben.npz", driving)
    seal(copy)
    assert errors(verify(copy))["portraits/by_hand.npz"].startswith("no face: flipped: right and left")
    assert warnings(verify(copy))["driving/ben.npz"].startswith("frame 2: no face: folded")


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


def rewrite(file, old, new):
    file.write_bytes(file.read_bytes().replace(old, new, 1))


def first_line(change):
    """Breaks the first row of clips.jsonl; the digest in dataset.json stays."""

    def break_it(folder):
        file = folder / CLIPS_FILE
        first, rest = file.read_text().split("\n", 1)
        row = json.loads(first)
        change(row)
        file.write_text(json.dumps(row) + "\n" + rest)

    return break_it


def replaced(name, content):
    def break_it(folder):
        (folder / name).write_bytes(content)
        seal(folder)

    return break_it


def instead(name, make):
    def break_it(folder):
        (folder / name).unlink()
        make(folder / name)

    return break_it


BROKEN = {
    "no UTF-8 in the manifest": lambda folder: rewrite(folder / DATASET_FILE, b"tests only", b"\xff"),
    "no UTF-8 in the clips": lambda folder: rewrite(folder / CLIPS_FILE, b"realistic", b"\xe9"),
    "a deep manifest": lambda folder: (folder / DATASET_FILE).write_text("[" * 10**5),
    "deep notes": lambda folder: rewrite(
        folder / DATASET_FILE, b'"notes":', b'"notes": {"a": ' + b"[" * 500 + b"]" * 500 + b'}, "more":'
    ),
    "half a surrogate pair": lambda folder: rewrite(folder / DATASET_FILE, b"tests only", b"\\ud800"),
    "a list as manifest": lambda folder: (folder / DATASET_FILE).write_text("[]"),
    "a pipe as manifest": instead(DATASET_FILE, os.mkfifo),
    "a folder as clips": instead(CLIPS_FILE, Path.mkdir),
    "a recipe": lambda folder: rewrite(folder / DATASET_FILE, b'"recipe": null', b'"recipe": {}'),
    "a null in a path": first_line(lambda row: row.update(portrait="portraits/\0.png")),
    "an endless path": first_line(lambda row: row.update(portrait="x" * 5000)),
    "a subject of two lines": first_line(lambda row: row.update(subject="a\nb", driving_subject="a\nb")),
    "a number as path": first_line(lambda row: row.update(driving=5)),
    "more frames than there are numbers": first_line(lambda row: row.update(frames=10**30)),
    "two digests of one file": first_line(lambda row: row["sha256"].update({row["driving"]: "0" * 64})),
    "links in a circle": instead("portraits/wide.png", lambda file: file.symlink_to(file.name)),
    "a folder as portrait": instead("portraits/wide.png", Path.mkdir),
    "a pipe as video": instead("driving/ben.mkv", os.mkfifo),
    "a video as landmarks": lambda folder: replaced(
        "driving/ben.npz", (folder / "driving" / "ben.mkv").read_bytes()
    )(folder),
    "nothing as landmarks": replaced("driving/ben.npz", b""),
    "nothing as video": replaced("driving/ben.mkv", b""),
    "text as portrait": replaced("portraits/wide.png", b"text"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_datasets_are_reported(copy, case):
    BROKEN[case](copy)
    report = verify(copy)
    assert not report.ok
    assert report.model_dump_json()


def test_names_of_any_bytes_are_reported(copy):
    file = copy / "portraits" / os.fsdecode(b"na\xefve.png")
    file.write_bytes(b"")
    report = verify(copy)
    assert report.ok
    assert warnings(report) == {"portraits/na\\udcefve.png": "in the folder, but no clip names it"}
    assert "udcef" in report.model_dump_json()
