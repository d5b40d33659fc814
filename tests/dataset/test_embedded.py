import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from emojibench import load_dataset
from emojibench.dataset import embedded
from emojibench.dataset.cache import cache_folder
from emojibench.dataset.loading import sha256
from emojibench.errors import DatasetError, UserError
from emojibench.files.writing import atomic
from emojibench.synth import reference
from emojibench.synth import sequences as synth
from emojibench.synth.render import render

SIZE = 64


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EMOJIBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield load_dataset("mini", size=SIZE)


def made(dataset):
    return sorted(
        str(file.relative_to(dataset.files.root)) for file in dataset.files.root.glob("*/*") if file.is_file()
    )


def test_only_what_is_asked_for_is_made(cache, capsys):
    dataset = load_dataset("synth", size=SIZE)
    assert len(dataset.clip_ids("self")) == len(dataset.clip_ids("cross")) == 500
    assert made(dataset) == []
    dataset.prepare(["self-synth-0004"])
    assert capsys.readouterr().out == ""  # the progress bar is talk
    assert made(dataset) == [
        "driving/synth-0004.mkv",
        "driving/synth-0004.npz",
        "portraits/synth-0004.frame0.npz",
        "portraits/synth-0004.frame0.png",
    ]


def test_self_clips_are_a_sequence_and_its_first_frame(mini):
    sequence = synth.sequences("mini")[1]
    clip = mini.clip("self-synth-0001")
    truth = mini.ground_truth("self-synth-0001")
    assert np.array_equal(clip.portrait, render(sequence.identity, sequence.motion.at(0), SIZE))
    assert np.array_equal(truth[0], clip.portrait)
    assert np.array_equal(truth[40], render(sequence.identity, sequence.motion.at(40), SIZE))
    assert np.array_equal(clip.load_driving_frames(), truth)
    assert truth.shape == (64, SIZE, SIZE, 3)
    assert clip.subject == clip.driving_subject
    assert clip.domain == sequence.domain


def test_cross_clips_show_the_portrait_under_the_others_motion(mini):
    sequences = synth.sequences("mini")
    driver = sequences[1]
    sequence = sequences[synth.pairing(sequences).index(1)]
    clip_id = f"cross-{sequence.sequence_id}"
    clip = mini.clip(clip_id)
    start = synth.portrait_state(sequence)
    assert np.array_equal(clip.portrait, render(sequence.identity, start, SIZE))
    assert clip.driving_subject == driver.subject != clip.subject
    wanted = render(sequence.identity, synth.cross_state(start, driver.motion, 30), SIZE)
    assert np.array_equal(mini.ground_truth(clip_id)[30], wanted)
    assert np.array_equal(clip.load_driving_frames()[30], render(driver.identity, driver.motion.at(30), SIZE))


def test_identity_of_a_dataset(cache, monkeypatch):
    one = load_dataset("mini", size=SIZE)
    assert load_dataset("mini", size=SIZE).digest == one.digest
    others = [load_dataset("mini", size=72), load_dataset("synth", size=SIZE)]
    monkeypatch.setattr(embedded, "VERSION", "other")
    others.append(load_dataset("mini", size=SIZE))
    monkeypatch.undo()
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(cache))
    assert len({one.digest, *(other.digest for other in others)}) == 4
    monkeypatch.setattr(embedded, "detector_id", lambda name: "another-detector")
    others.append(load_dataset("mini", size=SIZE))
    assert others[-1].digest == one.digest  # same pictures and pairs; the detector is the protocol's
    assert len({one.files.root, *(other.files.root for other in others)}) == 5


def test_versions_of_libraries_are_no_part_of_the_digest(cache, monkeypatch):
    one = load_dataset("mini", size=SIZE)
    monkeypatch.setattr("numpy.__version__", "9.9")
    monkeypatch.setattr("cv2.__version__", "9.9")
    monkeypatch.setattr("numba.__version__", "9.9")
    assert load_dataset("mini", size=SIZE).digest == one.digest


def test_a_reference_of_other_pictures_is_another_dataset(cache, monkeypatch):
    one = load_dataset("mini", size=SIZE)
    monkeypatch.setattr(reference, "known", lambda: np.zeros((500, 2, 4, 4, 3), np.uint16))
    other = load_dataset("mini", size=SIZE)
    assert other.digest != one.digest
    assert other.files.root != one.files.root


def test_what_is_drawn_otherwise_is_refused(cache, monkeypatch):
    """A library that draws a little brighter: the digest does not know, so the clip must not be made."""
    reference._deviation.cache_clear()
    monkeypatch.setattr(reference, "render", lambda *given: np.clip(render(*given), 0, 254) + np.uint8(1))
    dataset = load_dataset("mini", size=SIZE)
    with pytest.raises(
        DatasetError, match=r"sequence 2 .* up to 1\.0 of 255 levels off.*numpy .*constraints\.txt"
    ):
        dataset.clip("self-synth-0002")
    assert made(dataset) == []
    reference._deviation.cache_clear()


def _digests(root, name):
    files = embedded.EmbeddedFiles(root, name, SIZE, embedded.detector_id("auto"))
    paths = ["portraits/synth-0002.frame0.npz", "driving/synth-0002.npz", "driving/synth-0002.mkv"]
    return [sha256(files.path(path)) for path in paths]


def test_two_processes_may_make_the_same_files_at_once(tmp_path):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        one, other = pool.map(_digests, [tmp_path] * 2, ["mini"] * 2)
    assert one == other
    assert sorted(file.name for file in tmp_path.glob("*/*")) == [
        "synth-0002.frame0.npz",
        "synth-0002.frame0.png",
        "synth-0002.mkv",
        "synth-0002.npz",
    ]


def test_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "datasets"
    monkeypatch.delenv("EMOJIBENCH_CACHE")
    assert cache_folder().parent.name == "emojibench"


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write .*file/datasets/mini"):
        load_dataset("mini", size=SIZE)
    with pytest.raises(UserError, match="--size: expected at least 16"):
        load_dataset("mini", size=0)


@pytest.mark.parametrize("size", [31, 2049])
def test_sizes_that_cannot_be_drawn_are_refused(size):
    with pytest.raises(UserError, match=f"dataset mini: expected a size from 32 to 2048 pixels, got {size}"):
        load_dataset("mini", size=size)


def test_what_a_killed_process_left_half_written_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path))
    script = (
        "import os, sys; from pathlib import Path; from emojibench.files.writing import atomic\n"
        "with atomic(Path(sys.argv[1])) as temporary: temporary.touch(); os.kill(os.getpid(), 9)"
    )
    folder = load_dataset("mini").files.root / "truth"  # type: ignore[attr-defined]
    subprocess.run([sys.executable, "-c", script, str(folder / "synth-0001.mkv")], check=False)
    (left,) = folder.iterdir()
    with atomic(folder / "synth-0002.mkv") as own:
        own.touch()
        load_dataset("mini")
        assert own.exists()
    assert not left.exists()
