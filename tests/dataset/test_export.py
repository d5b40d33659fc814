"""`emojibench data export`: clips as plain files, kept as long as they are current."""

import io
import json
import pickletools
import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from emojibench.cli import app
from emojibench.dataset import load_dataset
from emojibench.dataset.dataset import Dataset
from emojibench.dataset.export import FORMS, export
from emojibench.dataset.fye_motion import read_fye_motion, write_fye_motion
from emojibench.dataset.landmarks import read_driving, read_portrait
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import DatasetError, UserError, WriteError
from emojibench.face import peer_maps as drawing
from emojibench.face.driving import DrivingSequence
from emojibench.media import numbered_pictures, read_image, read_video, video_info
from emojibench.runs.api import score

FRAMES, SIZE = 6, 96


@pytest.fixture(scope="module")
def opened(built):
    return load_dataset(built[0], size=SIZE)


@pytest.fixture(scope="module")
def exported(tmp_path_factory, opened):
    """(folder of one cross clip with everything, the clip)."""
    out = tmp_path_factory.mktemp("exported")
    clip_id = next(
        name for name in opened.clip_ids("cross") if opened.clip(name).portrait_landmarks is not None
    )
    report = export(opened, out, split="cross", clips=[clip_id], forms=FORMS, quiet=True)
    assert [clip.state for clip in report.clips] == ["written"]
    return out / clip_id, opened.clip(clip_id)


def test_pictures_and_videos_hold_the_clip(exported):
    folder, clip = exported
    assert np.array_equal(read_image(folder / "portrait.png"), clip.portrait)
    driving = clip.load_driving_frames()
    assert np.array_equal(read_video(folder / "driving.mkv"), driving)
    assert np.array_equal(read_video(folder / "frames"), driving)
    assert [path.name for path in numbered_pictures(folder / "frames")][:2] == ["000000.png", "000001.png"]
    lossy = video_info(folder / "driving.mp4")
    assert (lossy.codec, lossy.frames, lossy.fps) == ("h264", FRAMES, clip.driving.fps)
    corner = read_video(folder / "driving.mp4")[:, -20:, :40].astype(int) - driving[:, -20:, :40]
    assert np.abs(corner).mean() < 6  # no watermark


def test_landmarks_read_back(exported):
    folder, clip = exported
    assert np.array_equal(read_driving(folder / "landmarks.npz").landmarks, clip.driving.landmarks)
    face, detector = read_portrait(folder / "portrait_landmarks.npz")
    assert np.array_equal(face.landmarks, clip.portrait_landmarks)
    assert detector == clip.driving.detector
    targets = read_driving(folder / "target_landmarks.npz")
    assert np.array_equal(targets.landmarks, target_landmarks(clip))
    assert targets.size == (SIZE, SIZE)


@pytest.mark.parametrize("name", ["maps.mkv", "mesh.mkv", "openpose"])
def test_maps_are_drawn_at_the_target_landmarks(exported, name):
    folder, clip = exported
    maps = read_video(folder / name)
    assert maps.shape == (FRAMES, 512, 512, 3)
    targets = target_landmarks(clip)
    for drawn, points in zip(maps, targets, strict=True):
        if np.isnan(points).any():
            assert not drawn.any()
            continue
        rows, columns = np.nonzero(drawn.any(axis=2))
        eyes = points[[33, 263], :2] * 512
        assert columns.min() - 20 < eyes[:, 0].min() < columns.max()
        assert drawn[rows.min() : rows.max(), columns.min() : columns.max()].any(axis=2).mean() < 0.3
        x, y = np.floor(points[14, :2] * 512).astype(int)  # the lower lip, in all of them
        assert drawn[y - 4 : y + 5, x - 4 : x + 5].any()


def test_record_says_what_each_file_is(exported):
    folder, clip = exported
    record = json.loads((folder / "clip.json").read_text())
    assert {*record["files"], "clip.json"} == {path.name for path in folder.iterdir()}
    assert record["files"]["driving.mkv"]["what"] == "driving frames, lossless RGB (FFV1)"
    assert (record["split"], record["frames"], record["size"]) == ("cross", FRAMES, [SIZE, SIZE])
    assert record["dataset"]["licence"] == "tests only"
    assert "come without head poses" in record["left_out"]["motion.npy"]
    assert clip.driving.detector in record["left_out"]["motion.npy"]


def with_poses(frames=5, seed=0):
    """A driving sequence as the `.task` detector gives it: a rigid head, seen by MediaPipe's camera."""
    from emojibench.face.geometry import BASIS, CENTRE, WEIGHTS, project

    rng = np.random.default_rng(seed)
    face = rng.normal(0, 4, (468, 3))
    face += CENTRE - np.einsum("n,nc->c", WEIGHTS, face[BASIS])
    transforms = np.tile(np.eye(4), (frames, 1, 1))
    transforms[:, :3, 3] = (0, 0, -60)
    transforms[:, 0, 3] = np.arange(frames)
    faces = face + rng.normal(0, 0.01, (frames, 1, 3))
    faces += CENTRE - np.einsum("n,tnc->tc", WEIGHTS, faces[:, BASIS])[:, None]
    seen = project(faces + transforms[:, None, :3, 3], (640, 360))
    points = np.concatenate([seen, seen[:, :10]], axis=1).astype(np.float32)
    shapes = rng.uniform(0, 1, (frames, 52)).astype(np.float32)
    return DrivingSequence(points, 25.0, (640, 360), "a task detector", transforms, shapes), faces


def test_motion_is_what_the_official_code_loads(tmp_path):
    driving, faces = with_poses()
    path = tmp_path / "motion.npy"
    write_fye_motion(path, driving)
    back = read_fye_motion(path, fps=25)
    assert np.array_equal(back.landmarks, driving.landmarks)
    assert np.array_equal(back.transforms, driving.transforms)
    assert np.array_equal(back.blendshapes[:, 1:], driving.blendshapes[:, 1:])
    assert back.size == driving.size
    frame = np.load(path, allow_pickle=True)[2]  # as the official code does; the file is this test's own
    assert frame["lmks"].shape == (478, 3)
    assert frame["lmks3d"] == pytest.approx(faces[2], abs=1e-3)
    assert (len(frame["bs"]), frame["width"], frame["height"]) == (51, 640, 360)


def test_motion_names_nothing_that_numpy_1_lacks(tmp_path):
    write_fye_motion(tmp_path / "motion.npy", with_poses()[0])
    stream = io.BytesIO((tmp_path / "motion.npy").read_bytes())
    np.lib.format.read_magic(stream)
    np.lib.format.read_array_header_1_0(stream)
    called = {argument for opcode, argument, _ in pickletools.genops(stream) if opcode.name == "GLOBAL"}
    assert called == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}


def test_motion_of_frames_without_a_face_is_refused(tmp_path):
    driving, _ = with_poses()
    driving.landmarks[1] = np.nan
    with pytest.raises(DatasetError, match="1 of 5 frames have no face"):
        write_fye_motion(tmp_path / "motion.npy", driving)
    with pytest.raises(DatasetError, match="use --detector task"):
        write_fye_motion(tmp_path / "motion.npy", replace(driving, transforms=None))


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def states(report):
    return [clip.state for clip in report.clips]


def test_current_clips_are_kept_and_others_made_again(tmp_path, copy):
    out = tmp_path / "out"

    def again(**options):
        return states(
            export(load_dataset(copy, size=SIZE), out, split="self", clips=2, quiet=True, **options)
        )

    assert again() == ["written", "written"]
    before = stamps(out)
    assert again() == ["kept", "kept"]
    assert stamps(out) == before
    first, second = sorted(path for path in out.iterdir())
    (first / "driving.mkv").unlink()
    (second / "portrait.png").write_bytes(b"damaged")
    assert again() == ["written", "written"]
    assert again(forms=["mp4"]) == ["written", "written"]
    assert again() == ["kept", "kept"]  # and still has its mp4
    assert (first / "driving.mp4").is_file()
    assert again(frames=3) == ["written", "written"]
    assert len(read_video(first / "driving.mp4")) == 3
    assert {path.name for path in out.iterdir()} == {first.name, second.name}


def test_what_others_put_there_is_never_removed(tmp_path, opened):
    clip_id = opened.clip_ids("self")[0]
    mine = tmp_path / clip_id / "000.png"
    mine.parent.mkdir()
    mine.write_bytes(b"mine")
    with pytest.raises(WriteError, match=rf"{clip_id}: there already, and no exported clip"):
        export(opened, tmp_path, split="self", clips=1, quiet=True)
    out = tmp_path / "out"
    export(opened, out, split="self", clips=1, quiet=True)
    shutil.copy(mine, out / clip_id / "result.png")
    with pytest.raises(WriteError, match=r"result\.png: not written by an export"):
        export(opened, out, split="self", clips=1, frames=3, quiet=True)
    (out / clip_id / "clip.json").write_text("{")
    with pytest.raises(WriteError, match=r"clip\.json: not usable JSON"):
        export(opened, out, split="self", clips=1, quiet=True)
    assert mine.read_bytes() == (out / clip_id / "result.png").read_bytes() == b"mine"


def test_a_killed_export_leaves_no_half_clip(tmp_path, opened, monkeypatch):
    from emojibench.dataset import export as module

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_replace", killed)
    with pytest.raises(KeyboardInterrupt):
        export(opened, tmp_path / "out", split="self", clips=1, quiet=True)
    assert not list((tmp_path / "out").iterdir())


def test_a_broken_clip_does_not_stop_the_others(tmp_path, copy):
    dataset = load_dataset(copy, size=SIZE)
    broken, *others = dataset.clip_ids("self")
    (copy / dataset.entry(broken).driving_frames).write_bytes(b"damaged")
    report = export(dataset, tmp_path / "out", split="self", quiet=True)
    assert states(report) == ["failed", *("written" for _ in others)]
    assert "the file was changed or damaged" in report.clips[0].reason
    assert not (tmp_path / "out" / broken).exists()


def test_landmarks_alone_leave_out_what_shows_frames(tmp_path, opened):
    rows = tuple(entry.model_copy(update={"driving_frames": None, "truth": None}) for entry in opened.entries)
    bare = Dataset(opened.manifest, rows, opened.files, opened.size, opened.detector)
    report = export(bare, tmp_path, split="self", clips=1, forms=["mp4", "frames", "mesh"], quiet=True)
    left = report.clips[0].left_out
    assert set(left) == {"driving.mkv", "driving.mp4", "frames"}
    assert "landmarks of this driving sequence, and no frames" in left["driving.mkv"]
    clip = tmp_path / report.clips[0].clip_id
    assert {path.name for path in clip.iterdir()} == {"portrait.png", "mesh.mkv", "clip.json"}
    again = export(bare, tmp_path, split="self", clips=1, forms=["mp4"], quiet=True)
    assert (states(again), set(again.clips[0].left_out)) == (["kept"], {"driving.mkv", "driving.mp4"})


def test_a_portrait_without_a_face_has_no_targets(tmp_path, opened):
    clip = opened.clip(opened.clip_ids("cross")[0])
    faceless = replace(clip, portrait_landmarks=None)

    class Faceless(Dataset):
        def clip(self, clip_id):
            return faceless

    dataset = Faceless(opened.manifest, opened.entries, opened.files, opened.size, opened.detector)
    report = export(dataset, tmp_path, split="cross", clips=1, forms=["maps", "landmarks"], quiet=True)
    assert set(report.clips[0].left_out) == {"maps.mkv", "target_landmarks.npz"}
    assert "no face was found on the portrait" in report.clips[0].left_out["maps.mkv"]


def test_exported_frames_come_back_as_predictions(tmp_path, built):
    out, predictions = tmp_path / "out", tmp_path / "predictions"
    export(load_dataset(built[0]), out, split="self", clips=2, forms=["frames"], quiet=True)
    predictions.mkdir()
    video, pictures = sorted(out.iterdir())
    shutil.copy(video / "driving.mkv", predictions / f"{video.name}.mkv")
    shutil.copytree(pictures / "frames", predictions / pictures.name)
    result = score(predictions, dataset=built[0], clips=2, metrics=["l1"], out=tmp_path / "runs", quiet=True)
    assert (result.exit_code, result.summary.metrics["l1"].n_clips) == (0, 2)
    assert result.summary.metrics["l1"].mean == 0  # the driving frames are the truth


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--with", "mesch"], "--with: unknown form 'mesch'. Did you mean 'mesh'?"),
        (["--split", "crss"], "unknown split 'crss'"),
        (["--clips", "99"], "--clips: expected a number from 1 to"),
        (["--frames", "1"], "--frames: expected 2 to"),
        (["--jobs", "0"], "--jobs: expected a number of processes of at least 1"),
    ],
)
def test_bad_input_is_named(tmp_path, built, arguments, message):
    result = CliRunner().invoke(
        app,
        [
            "data",
            "export",
            "--dataset",
            str(built[0]),
            "--size",
            str(SIZE),
            "--out",
            str(tmp_path),
            *arguments,
        ],
    )
    assert isinstance(result.exception, UserError)
    assert message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_out_that_is_a_file_is_named(tmp_path, opened):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="file"):
        export(opened, tmp_path / "file", split="self", quiet=True)


def test_drawings_skip_what_is_outside_and_what_is_missing():
    nowhere = np.full((478, 3), np.nan, np.float32)
    assert not drawing.draw_mesh(nowhere).any()
    assert not drawing.draw_openpose(nowhere).any()
    outside = np.full((478, 3), 1.5, np.float32)
    assert not drawing.draw_mesh(outside).any()
    assert not drawing.draw_openpose(outside).any()
    corner = np.zeros((478, 3), np.float32)
    assert not drawing.draw_openpose(corner).any()
