"""The main job through the real command line, in processes of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emojibench.media import write_lossless
from emojibench.synth.render import render
from emojibench.synth.sequences import portrait_state, sequences

FRAMES = 10
SIZE = 256

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def emojibench(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("home")

    def call(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "emojibench", *map(str, arguments)],
            capture_output=True, text=True, cwd=home, env={**os.environ, "COLUMNS": "200"}, check=False,
        )  # fmt: skip

    return call


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One readable portrait in every mode that people save pictures in, and one without a face."""
    folder = tmp_path_factory.mktemp("portraits")
    one, two, three, four = sequences("mini")
    picture = Image.fromarray(render(one.identity, portrait_state(one), 256))
    picture.convert("L").save(folder / "grey.png")
    picture.convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.png")
    rgba = Image.fromarray(render(two.identity, portrait_state(two), 256)).convert("RGBA")
    rgba.putalpha(200)
    rgba.save(folder / "rgba.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    turned = Image.fromarray(render(three.identity, portrait_state(three), 256)).rotate(90, expand=True)
    turned.save(folder / "exif.jpg", exif=exif, quality=95)
    grey = np.asarray(Image.fromarray(render(four.identity, portrait_state(four), 256)).convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "sixteen.png")
    Image.new("RGB", (256, 256), (90, 120, 90)).save(folder / "nobody.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return folder


@pytest.fixture(scope="module")
def driving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good video, one whose face goes missing, one that breaks off."""
    folder = tmp_path_factory.mktemp("driving")
    for sequence, name in zip(sequences("mini")[:2], ("good", "patchy"), strict=True):
        frames = np.stack([render(sequence.identity, sequence.motion.at(3 * k), 256) for k in range(12)])
        if name == "patchy":
            frames[3:9] = 0
        write_lossless(folder / f"{name}.mkv", frames, 25)
    whole = (folder / "good.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def dataset(
    tmp_path_factory: pytest.TempPathFactory, emojibench: Run, portraits: Path, driving: Path
) -> Path:
    out = tmp_path_factory.mktemp("built") / "mine"
    flags = ("--portraits", portraits, "--driving", driving, "--out", out, "--frames", FRAMES, "--size", SIZE)
    done = emojibench("data", "build", *flags, "--json")
    assert done.returncode == 0, done.stderr
    return out


def test_every_picture_mode_is_a_portrait_and_every_loss_has_a_reason(dataset: Path) -> None:
    report = json.loads((dataset / "build-report.json").read_text())
    items = {Path(item["file"]).name: item for item in report["items"]}
    kept = {name for name, item in items.items() if item["kept"]}
    assert kept == {"grey.png", "palette.png", "rgba.png", "exif.jpg", "sixteen.png", "good.mkv"}
    assert "no face" in items["nobody.png"]["reason"]
    assert "broken.png" in items["broken.png"]["reason"]
    assert "face in" in items["patchy.mkv"]["reason"] or "found" in items["patchy.mkv"]["reason"]
    assert "frames" in items["cut.mkv"]["reason"]


def test_the_main_job(emojibench: Run, dataset: Path, tmp_path: Path) -> None:
    """Two methods over one split, a leaderboard, a gate; then the same command finds nothing left to do."""
    runs, boards = tmp_path / "runs", tmp_path / "boards"
    flags = ("--dataset", dataset, "--split", "cross", "--metrics", "l1,landmarks,lpips-vgg", "--out", runs)
    for method in ("copy-reference", "landmark-warp"):
        done = emojibench("run", "--method", method, *flags, "--name", method, "--json")
        assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)["metrics"]
    assert metrics["l1"]["status"] == "undefined"  # a user's cross clips have no ground truth
    assert metrics["landmark_accuracy"]["n_clips"] == 5
    assert metrics["lpips_vgg"]["status"] in ("unavailable", "undefined")

    page = emojibench("report", "--runs", runs, "--out", boards)
    assert page.returncode == 0, page.stderr
    (written,) = (boards / "local").glob("*.md")
    text = written.read_text()
    assert text.strip() in page.stdout
    assert "landmark-warp" in text
    assert "published" in text.lower()

    same = emojibench("gate", "--baseline", runs / "landmark-warp", "--run", runs / "landmark-warp")
    assert same.returncode == 0, same.stdout + same.stderr
    worse = emojibench("gate", "--baseline", runs / "landmark-warp", "--run", runs / "copy-reference")
    assert worse.returncode == 1, worse.stdout + worse.stderr
    better = emojibench("gate", "--baseline", runs / "copy-reference", "--run", runs / "landmark-warp")
    assert better.returncode == 4, better.stdout + better.stderr

    stamp = {path: path.stat().st_mtime_ns for path in (runs / "landmark-warp").rglob("frames.mkv")}
    again = emojibench("run", "--method", "landmark-warp", *flags, "--name", "landmark-warp", "--json")
    assert again.returncode == 0, again.stderr
    assert stamp == {path: path.stat().st_mtime_ns for path in stamp}
    assert json.loads(again.stdout)["metrics"] == metrics


@pytest.mark.parametrize("command", [[], ["animate"]])
def test_help_starts_nothing_heavy(command: list[str]) -> None:
    """No module that takes long to import is loaded before a command runs."""
    heavy = (
        "torch",
        "numpy",
        "pandas",
        "cv2",
        "mediapipe",
        "scipy",
        "matplotlib",
        "pyarrow",
        "av",
        "diffusers",
    )
    program = (
        f"import sys; sys.argv = {['emojibench', *command, '--help']}\n"
        "from emojibench.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
