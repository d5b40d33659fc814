import json
import pickle

import numpy as np
import pytest

from emojibench import load_dataset
from emojibench.dataset.landmarks import read_driving, write_driving
from emojibench.dataset.loading import sha256
from emojibench.dataset.locating import CLIPS_FILE, DATASET_FILE
from emojibench.dataset.manifest import digest_of_clips, read_manifest
from emojibench.errors import DatasetError, UserError
from emojibench.media import write_image


def edit(folder, change, *, reseal=True):
    """Apply `change` to every row of clips.jsonl; with `reseal` the dataset's digest is made to fit."""
    lines = [json.loads(line) for line in (folder / CLIPS_FILE).read_text().splitlines()]
    for line in lines:
        change(line)
    (folder / CLIPS_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    if reseal:
        seal(folder)


def seal(folder):
    """Make sha256 and digest fit the files, as somebody would who builds a manifest by other means."""
    description = json.loads((folder / DATASET_FILE).read_text())
    (folder / DATASET_FILE).write_text(json.dumps({**description, "recipe": {}}))
    manifest, entries = read_manifest(folder)
    entries = tuple(
        entry.model_copy(update={"sha256": {path: sha256(folder / path) for path in entry.files}})
        for entry in entries
    )
    (folder / CLIPS_FILE).write_text("".join(entry.model_dump_json() + "\n" for entry in entries))
    manifest = manifest.model_copy(update={"digest": digest_of_clips(entries), "recipe": None})
    (folder / DATASET_FILE).write_text(manifest.model_dump_json())


def test_a_folder_is_a_dataset(built):
    dataset = load_dataset(built[0], size=96)
    assert (dataset.name, dataset.licence, dataset.splits) == ("mine", "tests only", ("self", "cross"))
    assert dataset.digest == built[1].digest
    clip = dataset.clip("self-anna")
    assert clip.portrait.shape == (96, 96, 3)
    assert clip.driving.landmarks.shape == (6, 478, 3)
    assert clip.driving.detector == dataset.detector
    assert (clip.subject, clip.driving_subject, clip.domain, clip.frames) == ("anna", "anna", "realistic", 6)


def test_frames_come_at_the_size_asked_for(built):
    dataset = load_dataset(built[0], size=48)
    assert dataset.clip("self-anna").portrait.shape == (48, 48, 3)
    assert dataset.ground_truth("self-anna").shape == (6, 48, 48, 3)
    assert load_dataset(built[0]).clip("self-anna").portrait.shape == (96, 96, 3)
    assert load_dataset(built[0]).frames == 6
    with pytest.raises(DatasetError, match="stored at 96 pixels, 256 are asked for"):
        load_dataset(built[0], size=256)


def test_clips_and_datasets_travel_between_processes(built):
    clip = pickle.loads(pickle.dumps(load_dataset(built[0], size=96))).clip("self-anna")
    assert pickle.loads(pickle.dumps(clip)).load_driving_frames().shape == (6, 96, 96, 3)


def test_misspelt_names_are_suggested(built):
    with pytest.raises(UserError, match=r"unknown dataset 'minni'. Did you mean 'mini'\?"):
        load_dataset("minni")
    dataset = load_dataset(built[0], size=96)
    with pytest.raises(UserError, match=r"unknown split 'croos'. Did you mean 'cross'\?"):
        dataset.clip_ids("croos")
    with pytest.raises(UserError, match=r"unknown clip 'self-ana'. Did you mean 'self-anna'\?"):
        dataset.clip("self-ana")
    with pytest.raises(UserError, match="unknown detector"):
        load_dataset(built[0], size=96, detector="dlib")


def test_a_folder_without_manifest_is_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match=r"lacks dataset.json or clips.jsonl; expected a dataset folder"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    "path", ["../secret.png", "/etc/passwd", "portraits/../../x.png", "C:/x.png", "a\\b.png", ""]
)
def test_paths_that_leave_the_folder_are_refused(copy, path):
    edit(copy, lambda line: line.update(portrait=path), reseal=False)
    with pytest.raises(DatasetError, match=r"clips.jsonl, line 1: portrait: .*leaves the dataset folder"):
        load_dataset(copy, size=96)


def test_links_that_leave_the_folder_are_refused(copy, tmp_path):
    outside = tmp_path / "outside.png"
    picture = copy / "portraits" / "anna.frame0.png"
    picture.rename(outside)
    picture.symlink_to(outside)
    with pytest.raises(DatasetError, match=r"anna.frame0.png: leads out of the dataset"):
        load_dataset(copy, size=96).clip("self-anna")


@pytest.mark.parametrize(
    "file", ["portraits/anna.frame0.png", "portraits/anna.frame0.npz", "driving/anna.npz"]
)
def test_changed_files_are_refused(copy, file):
    data = bytearray((copy / file).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / file).write_bytes(data)
    with pytest.raises(DatasetError, match=f"{file}: sha256 .* as in the manifest; the file was changed"):
        load_dataset(copy, size=96).clip("self-anna")


def test_changed_videos_are_refused(copy):
    (copy / "driving" / "anna.mkv").write_bytes((copy / "driving" / "ben.mkv").read_bytes())
    dataset = load_dataset(copy, size=96)
    clip = dataset.clip("self-anna")
    with pytest.raises(DatasetError, match=r"anna.mkv: sha256"):
        dataset.ground_truth("self-anna")
    with pytest.raises(DatasetError, match=r"anna.mkv: sha256"):
        clip.load_driving_frames()


def test_missing_files_are_named(copy):
    (copy / "driving" / "anna.npz").unlink()
    with pytest.raises(DatasetError, match=r"driving/anna.npz: missing; the manifest names it"):
        load_dataset(copy, size=96).clip("self-anna")


def test_an_edited_manifest_is_refused(copy):
    edit(copy, lambda line: line.update(subject="x", driving_subject="y", split="cross"), reseal=False)
    with pytest.raises(DatasetError, match=r"clips.jsonl: digest .* was changed after the dataset was built"):
        load_dataset(copy, size=96)


MALFORMED = {
    "an unknown field": (lambda line: line.update(extra=1), "extra: Extra inputs"),
    "a misspelt split": (lambda line: line.update(split="sefl"), "split: Input should be 'self' or 'cross'"),
    "no frames": (lambda line: line.update(frames=0), "frames: Input should be greater"),
    "an id that is no file name": (lambda line: line.update(clip_id="a/b"), "clip_id: String should match"),
    "no digest": (lambda line: line.update(sha256={}), "no sha256 for driving/"),
    "self with two subjects": (lambda line: line.update(split="self", subject="x"), "self means one subject"),
    "ids used twice": (lambda line: line.update(clip_id="same"), "clip id 'same' is used twice"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_rows_are_named(copy, case):
    change, message = MALFORMED[case]
    edit(copy, change, reseal=False)
    with pytest.raises(DatasetError, match=rf"clips.jsonl.*{message}"):
        load_dataset(copy, size=96)


def test_lines_must_be_json_and_as_many_as_promised(copy):
    lines = (copy / CLIPS_FILE).read_text().splitlines()
    (copy / CLIPS_FILE).write_text("\n".join(lines[:-1]))
    with pytest.raises(DatasetError, match=f"{len(lines) - 1} clips; dataset.json promises {len(lines)}"):
        load_dataset(copy, size=96)
    (copy / CLIPS_FILE).write_text("\n".join([*lines[:-1], "{"]))
    with pytest.raises(DatasetError, match=rf"clips.jsonl, line {len(lines)}: not usable JSON"):
        load_dataset(copy, size=96)


def test_files_must_be_what_the_manifest_promises(copy):
    write_image(copy / "portraits" / "anna.frame0.png", np.zeros((50, 60, 3), np.uint8))
    edit(copy, lambda line: line.update(frames=7))
    dataset = load_dataset(copy, size=96)
    with pytest.raises(DatasetError, match=r"anna.frame0.png: 60x50 pixels; the manifest promises 96x96"):
        dataset.clip("self-anna")
    with pytest.raises(DatasetError, match=r"got float32 \(6, 478, 3\); the manifest promises 7"):
        dataset.clip("self-ben")
    with pytest.raises(DatasetError, match=r"ben.mkv: 6 frames of 96x96; the manifest promises 7"):
        dataset.ground_truth("self-ben")


def from_another_detector(folder, identity="another-detector"):
    """Let all landmarks of a dataset say that another detector made them, and be off by a little."""
    for file in (folder / "driving").glob("*.npz"):
        sequence = read_driving(file)
        fields = {**vars(sequence), "detector": identity, "landmarks": sequence.landmarks + np.float32(0.01)}
        write_driving(file, type(sequence)(**fields))
    for file in (folder / "portraits").glob("*.npz"):
        with np.load(file) as arrays:
            kept = dict(arrays)
        if str(kept["detector"]) != "manual":
            np.savez(file, **{**kept, "detector": np.str_(identity)})
    description = json.loads((folder / DATASET_FILE).read_text())
    (folder / DATASET_FILE).write_text(json.dumps({**description, "detector": identity}))
    seal(folder)


def test_landmarks_of_another_detector_are_made_again(copy, built, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path / "cache"))
    from_another_detector(copy)
    ours = load_dataset(built[0], size=96)
    again = load_dataset(copy, size=96)
    assert "mine: landmarks come from another-detector; detecting them again" in capsys.readouterr().err
    assert again.detector == ours.detector
    for clip_id in ("self-anna", again.clip_ids("cross")[0]):
        assert np.array_equal(again.clip(clip_id).driving.landmarks, ours.clip(clip_id).driving.landmarks)
        assert np.array_equal(again.clip(clip_id).portrait_landmarks, ours.clip(clip_id).portrait_landmarks)
    by_hand = next(clip_id for clip_id in again.clip_ids("cross") if "by_hand" in clip_id)
    assert again.clip(by_hand).driving.detector == ours.detector
    assert np.array_equal(again.clip(by_hand).portrait_landmarks, ours.clip(by_hand).portrait_landmarks)


def test_without_video_landmarks_of_another_detector_are_refused(copy):
    edit(copy, lambda line: [line.pop(key, None) for key in ("driving_frames", "truth")])
    from_another_detector(copy)
    with pytest.raises(
        DatasetError, match=r"landmarks are another-detector's, this run uses .* has no frames"
    ):
        load_dataset(copy, size=96)


def test_detectors_within_a_dataset_are_never_mixed(copy):
    sequence = read_driving(copy / "driving" / "anna.npz")
    write_driving(copy / "driving" / "anna.npz", type(sequence)(**{**vars(sequence), "detector": "other"}))
    seal(copy)
    with pytest.raises(DatasetError, match=r"anna.npz: landmarks of other in a dataset of mediapipe"):
        load_dataset(copy, size=96).clip("self-anna")
