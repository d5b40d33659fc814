"""Sound of driving videos: kept on request, cut as the frames are, verified, exported."""

import sys
import wave
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "media"))

from sounding import write_video_with_sound

from emojibench.dataset import load_dataset
from emojibench.dataset.building import build
from emojibench.dataset.export import export
from emojibench.dataset.verifying import verify
from emojibench.media import write_image, write_lossless
from emojibench.media.sound import RATE

FPS, FRAMES, BLANK = 25, 6, 3


@pytest.fixture(scope="module")
def folders(tmp_path_factory, faces):
    """A video that is heard from its sixth frame on, and shows a face from its fourth; one without sound."""
    root = tmp_path_factory.mktemp("sounds")
    write_image(root / "portraits" / "carl.png", faces[2, 0])
    (root / "driving").mkdir()
    late = np.concatenate([np.zeros_like(faces[0, :BLANK]), faces[0]])
    sound = np.zeros(24000, np.float32)
    sound[round(24000 * 5 / FPS) :] = 0.5
    write_video_with_sound(root / "driving" / "anna.mkv", late, FPS, sound, "flac")
    write_lossless(root / "driving" / "ben.mkv", faces[1], FPS)
    given = {"frames": FRAMES, "size": 96, "pairs_per_portrait": 2}
    for name, kept in (("with", True), ("without", False)):
        build(root / "portraits", root / "driving", root / name, name="mine", sound=kept, **given)
    return root


def test_sound_is_cut_as_the_frames_are(folders):
    dataset = load_dataset(folders / "with")
    for clip_id in ("self-anna", "cross-carl-by-anna"):
        clip = dataset.clip(clip_id)
        sound = clip.load_driving_sound()
        assert len(sound) == FRAMES * RATE / FPS
        loud = np.flatnonzero(np.abs(sound) > 8000)
        assert loud[0] / RATE * FPS == pytest.approx(2, abs=0.1)
        assert loud[-1] == len(sound) - 1
        assert np.array_equal(clip.cut(4).load_driving_sound(), sound[: round(4 * RATE / FPS)])
    assert dataset.clip("self-ben").load_driving_sound is None


def test_nothing_of_it_is_kept_unasked(folders):
    assert not list((folders / "without").rglob("*.wav"))
    assert "sound" not in (folders / "without" / "clips.jsonl").read_text()
    assert load_dataset(folders / "without").clip("self-anna").load_driving_sound is None


def test_it_is_verified_and_exported(folders, tmp_path):
    assert verify(folders / "with").problems == []
    report = export(load_dataset(folders / "with"), tmp_path, split="self", forms=["sound"], quiet=True)
    assert [clip.left_out for clip in report.clips] == [
        {}, {"sound.wav": "the dataset has no sound of this driving sequence"}
    ]  # fmt: skip
    with wave.open(str(tmp_path / "self-anna" / "sound.wav")) as heard:
        assert heard.getparams()[:4] == (1, 2, RATE, FRAMES * RATE // FPS)
    (folders / "with" / "driving" / "anna.wav").write_bytes(b"RIFF")
    (problem,) = {problem.what for problem in verify(folders / "with").problems}
    assert "driving/anna.wav: sha256 " in problem
