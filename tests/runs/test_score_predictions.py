"""Finished videos, and runs that are scored again."""

import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
from PIL import Image as Pillow

from emojibench import media
from emojibench.errors import UserError


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """a: perfect video; b: perfect PNGs, twice as large; c: a frame short; d: missing."""
    folder = tmp_path / "theirs"
    dataset = fakes.FakeDataset(32, "fake-detector")
    media.write_lossless(folder / "a.mkv", dataset.ground_truth("a"), 25.0)
    for k, frame in enumerate(media.resize(dataset.ground_truth("b"), 64)):
        media.write_image(folder / "b" / f"{k}.png", frame)
    media.write_lossless(folder / "c.mkv", dataset.ground_truth("c")[1:], 25.0)
    return folder


def test_finished_videos_are_scored_and_what_is_wrong_with_them_is_said(bench: Any, videos: Path) -> None:
    result = bench.score(videos, metrics=["fake_l1", "fake_set"])
    assert result.exit_code == 3
    assert set(result.failed) == {"c", "d"}
    assert "c.mkv: expected 5 frames, one for each driving frame, got 4" in result.failed["c"]
    assert result.failed["d"].startswith(f"no video in {videos}: expected a file CLIP_ID.mkv")
    rows = result.rows().set_index(["clip_id", "metric"])
    assert rows.loc[("a", "fake_l1"), "value"] == 0
    assert rows.loc[("b", "fake_l1"), "note"] == "resized from 64x64 (area)"
    assert 0 < rows.loc[("b", "fake_l1"), "value"] < 40  # noise there and back; unrelated noise gives 85
    assert rows.loc[("a", "latency_s"), "status"] == "undefined"
    assert rows.loc[("a", "latency_s"), "reason"] == "the video was made elsewhere"

    truth = fakes.FakeDataset(32, "fake-detector").ground_truth("c")
    media.write_lossless(videos / "c.mkv", truth, 25.0)
    media.write_lossless(videos / "a.mkv", 255 - fakes.FakeDataset(32, "").ground_truth("a"), 25.0)
    again = bench.score(videos, metrics=["fake_l1", "fake_set"])
    assert set(again.failed) == {"d"}
    rows = again.rows().set_index(["clip_id", "metric"])
    assert rows.loc[("c", "fake_l1"), "value"] == 0
    assert rows.loc[("a", "fake_l1"), "value"] > 10  # a changed video is read and scored again
    assert again.summary.metrics["fake_set"].n_clips == 3


def test_the_wrong_folder_is_noticed_at_once(bench: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder with finished videos"):
        bench.score(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "holiday.mp4").touch()
    with pytest.raises(UserError, match=r"expected names such as a\.mkv, found holiday\.mp4"):
        bench.score(tmp_path / "other")


def test_squashed_and_ambiguous_videos_fail(bench: Any, videos: Path) -> None:
    wide = np.zeros((5, 32, 48, 3), np.uint8)
    media.write_lossless(videos / "d.mkv", wide, 25.0)
    shutil.copy(videos / "a.mkv", videos / "a.mp4")
    result = bench.score(videos, metrics=["fake_l1"])
    assert "expected one video, found" in result.failed["a"]
    assert "expected frames of 32x32 pixels or the same ratio of sides, got 48x32" in result.failed["d"]


def test_one_name_holds_both_splits(bench: Any, videos: Path) -> None:
    for split in ("self", "cross"):
        folder = bench.score(videos, metrics=["fake_l1"], split=split, name="theirs").folder
        assert folder.name.startswith(f"theirs-{split}-")


def test_a_cut_run_is_scored_again_as_it_is(bench: Any) -> None:
    first = bench.run("fake", metrics=["fake_l1"], clips=2, frames=3)
    second = bench.rescore(metrics=["fake_l1"])
    assert second.summary == first.summary


def test_a_run_can_be_scored_again_without_its_method(bench: Any, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    first = bench.run("fake", metrics=["fake_l1"], options={"log": str(log)}, clips=2)
    second = bench.rescore(metrics=["fake_l1", "fake_set", "fake_face"])
    assert len(log.read_text().splitlines()) == 2
    assert second.summary.metrics["fake_l1"] == first.summary.metrics["fake_l1"]
    assert second.summary.metrics["fake_set"].n_clips == 2
    swapped = second.folder / "animations"
    shutil.copy(swapped / "b" / "frames.mkv", swapped / "a" / "frames.mkv")
    third = bench.rescore(metrics=["fake_broken"])
    assert "not the frames that animation.json tells of" in third.failed["a"]
    with pytest.raises(UserError, match=r"is not a run folder: it has no spec\.json"):
        bench.rescore("nothing")


def test_names_are_taken_as_people_write_them(bench: Any, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    dataset = fakes.FakeDataset(32, "fake-detector")
    media.write_lossless(folder / "lower.mkv", dataset.ground_truth("a"), 25.0)
    (folder / "lower.mkv").rename(folder / "a.MKV")
    for k, frame in enumerate(dataset.ground_truth("b")):
        media.write_image(folder / "b" / "lower.png", frame)
        (folder / "b" / "lower.png").rename(folder / "b" / f"{k + 7}.PNG")
    for place in (folder / "._a.mkv", folder / "b" / "._0000.png"):  # what macOS leaves
        place.write_bytes(b"no media")
    result = bench.score(folder, metrics=["fake_l1"], clips=2)
    rows = result.rows().set_index(["clip_id", "metric"])
    assert result.failed == {}
    assert {rows.loc[(clip, "fake_l1"), "value"] for clip in "ab"} == {0}


@pytest.mark.parametrize("name", ["a.gif", "a.json", "b"])
def test_a_folder_without_a_video_of_a_clip_is_refused(bench: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / name).write_text("no video")
    with pytest.raises(UserError, match=rf"holds no video of this dataset and split: .*found {name}"):
        bench.score(tmp_path / "theirs", metrics=["fake_l1"])


def test_clips_fail_where_none_has_one_video(bench: Any, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    (folder / "b").mkdir(parents=True)
    for name in ("a.mkv", "a.mp4"):
        (folder / name).write_bytes(b"which one?")
    failed = bench.score(folder, metrics=["fake_l1"], clips=2).failed
    assert "expected one video, found" in failed["a"]
    assert set(failed) == {"a", "b"}


def test_bad_videos_fail_with_the_reason(bench: Any, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    dataset = fakes.FakeDataset(32, "fake-detector")
    media.write_lossless(folder / "a.mkv", dataset.ground_truth("a"), 25.0)
    data = bytearray((folder / "a.mkv").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "a.mkv").write_bytes(data)
    (folder / "b.mkv").write_text("ffconcat version 1.0\nfile a.mkv\n")
    os.mkfifo(folder / "c.mkv")
    for k, frame in enumerate(dataset.ground_truth("d")):
        media.write_image(folder / "d" / f"{0.04 * k:g}.png", frame)
    failed = bench.score(folder, metrics=["fake_l1"]).failed
    assert "a.mkv: truncated or damaged (slice" in failed["a"]
    assert "b.mkv: not a video" in failed["b"]
    assert "c.mkv: expected a file, got a pipe, socket or device" in failed["c"]
    assert "d: no certain order of" in failed["d"]


def test_what_was_done_to_a_video_is_noted(bench: Any, tmp_path: Path) -> None:
    """Transparency counts alike in a video and in pictures; squashed pixels become square, or the clip fails."""
    folder = tmp_path / "theirs"
    truth = fakes.FakeDataset(32, "fake-detector").ground_truth("a")
    rgba = np.concatenate([truth, np.full((*truth.shape[:3], 1), 128, np.uint8)], axis=3)
    for k, frame in enumerate(rgba):
        (folder / "a").mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(frame).save(folder / "a" / f"{k}.png")
    write_foreign(folder / "b.mov", rgba, "png", "rgba", given="rgba")
    truth = fakes.FakeDataset(32, "fake-detector").ground_truth("c")
    write_foreign(folder / "c.mkv", truth[:, :, ::2], "libx264rgb", "rgb24", ratio=2)
    write_foreign(folder / "d.mkv", truth, "libx264rgb", "rgb24", ratio=2)
    result = bench.score(folder, metrics=["fake_l1"])
    assert set(result.failed) == {"d"}
    assert "got 64x32" in result.failed["d"]
    rows = result.rows().set_index(["clip_id", "metric"])
    assert rows.loc[("b", "fake_l1"), "note"] == "transparency is laid on white"
    assert rows.loc[("c", "fake_l1"), "note"] == "pixels are not square: 16x32 scaled to 32x32"
    frames = [media.read_video(result.folder / "animations" / clip / "frames.mkv") for clip in "ab"]
    assert np.array_equal(frames[0], frames[1])


def write_foreign(
    path: Path, frames: Any, codec: str, pixels: str, *, given: str = "rgb24", ratio: int = 1
) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.codec_context.sample_aspect_ratio = Fraction(ratio)
        for frame in frames:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=given))
            )
        container.mux(stream.encode(None))
