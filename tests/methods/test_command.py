"""Commands that end well: what they are given, what becomes of their frames, which version they count as."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_clips import FRAMES, SIZE, make_clip
from fake_baseline import animated

from emojibench import media
from emojibench.errors import UserError
from emojibench.methods import Animation, process
from emojibench.methods.collecting import BEFORE
from emojibench.methods.command import Command

QUIET = {"seed": 5, "progress": lambda *_: None}


def expected(tmp_path: Path, seed: int = 5) -> np.ndarray:
    path = tmp_path / "p.png"
    media.write_image(path, make_clip().portrait)
    return animated(str(path), FRAMES, seed)


def test_pictures_arrive_as_they_are(method: Any, tmp_path: Path) -> None:
    opened = method()
    animation: Animation = opened.animate(make_clip(), **QUIET)
    assert np.array_equal(animation.frames, expected(tmp_path))
    assert animation.fps == 25
    assert animation.note == ""
    assert set(animation.seconds) == {"inputs", "command", "outputs"}


def test_a_relative_pattern_is_below_the_private_folder(
    method: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "out").mkdir(parents=True)  # of the same name, where the user is
    monkeypatch.chdir(tmp_path / "here")
    opened = method(output={"pattern": "out", "kind": "pictures"})
    assert np.array_equal(opened.animate(make_clip(), **QUIET).frames, expected(tmp_path))


def test_its_memory_is_measured_while_it_runs(tmp_path: Path) -> None:
    limits = process.Limits(seconds=30, memory=None, output=2**20)
    holds = "import time; held = b'x' * (50 << 20); time.sleep(0.5)"
    ended = process.run([sys.executable, "-c", holds], cwd=tmp_path, env=os.environ, limits=limits)
    assert ended.peak_memory is not None
    assert ended.peak_memory > 50 << 20


def test_memory_that_was_never_seen_is_missing_and_not_zero(
    method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process._Tree, "memory", lambda _: 0)
    assert method().animate(make_clip(), **QUIET).peak_memory is None


@pytest.mark.parametrize("how", ["cv2", "av", "moved", "imageio_ffmpeg"])
def test_frames_are_taken_before_the_encoder(method: Any, tmp_path: Path, how: str) -> None:
    if how == "imageio_ffmpeg" and importlib.util.find_spec(how) is None:
        pytest.skip("imageio-ffmpeg is not installed")
    animation = method(how=how).animate(make_clip(), **QUIET)
    assert np.array_equal(animation.frames, expected(tmp_path))
    assert animation.note == BEFORE


def test_where_frames_cannot_be_taken_the_loss_is_told(method: Any, tmp_path: Path, description: Any) -> None:
    isolated = description(how="cv2").read_text().replace("python ", "python -I ")
    (tmp_path / "fake.yaml").write_text(isolated)
    animation = Command(tmp_path / "fake.yaml")({}).animate(make_clip(), **QUIET)
    assert not np.array_equal(animation.frames, expected(tmp_path))
    assert animation.note == "decoded from mpeg4, whose loss is in the frames"


def test_a_startup_file_of_the_commands_own_runs_too(tmp_path: Path, description: Any) -> None:
    (tmp_path / "compat").mkdir()
    (tmp_path / "compat" / "sitecustomize.py").write_text("import builtins\nbuiltins.restored = 'restored'\n")
    path = description(
        command='python -c "raise SystemExit(restored)"', variables={"PYTHONPATH": "{here}/compat"}
    )
    with pytest.raises(UserError, match="ended with exit code 1: restored"):
        Command(path)({}).animate(make_clip(), **QUIET)


def test_a_tile_is_cut_and_another_size_resized_as_score_does(method: Any, tmp_path: Path) -> None:
    tile = {"x": SIZE, "y": 0, "width": SIZE, "height": SIZE}
    for how, kind in (("png", "pictures"), ("av", "video")):
        animation = method("tiles", how, output={"kind": kind, "tile": tile}).animate(make_clip(), **QUIET)
        assert np.array_equal(animation.frames, expected(tmp_path))
    half = {"x": SIZE, "y": 0, "width": SIZE // 2, "height": SIZE // 2}
    animation = method("tiles", output={"kind": "pictures", "tile": half}).animate(make_clip(), **QUIET)
    assert animation.frames.shape == (FRAMES, SIZE, SIZE, 3)
    assert animation.note == "resized from 32x32 (bicubic)"


SHOW = """
import json, os, random, sys
from pathlib import Path
import numpy
named = dict(word.partition("=")[::2] for word in sys.argv[1:])
named |= {"cwd": os.getcwd(), "greeting": os.environ["GREETING"], "in": sorted(os.listdir("in"))}
named |= {"tmp": os.environ["TMPDIR"], "pictures": len(os.listdir("in/frames"))}
named |= {"case": Path("case.yaml").read_text(), "derived": Path("configs/infer.yaml").read_text()}
named |= {"drawn": [random.random(), numpy.random.rand()]}
Path(named["here"], "said.json").write_text(json.dumps(named))
"""


def test_a_command_is_given_what_its_file_says(tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(SHOW)
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "infer.yaml").write_text("length: 16\nscale: 3.5\n")
    names = (
        "portrait",
        "driving",
        "landmarks",
        "out",
        "frames",
        "fps",
        "seed",
        "clip",
        "here",
        "repo",
        "scratch",
    )
    content = {
        "name": "show", "command": "python {here}/show.py " + " ".join(f"{name}={{{name}}}" for name in names),
        "input": "frames", "first_frame_twice": True, "revision": {"checkout": "checkout"},
        "variables": {"GREETING": "hello {seed}"}, "writes": {"case.yaml": '"{portrait}": ["{{{driving}}}"]'},
        "derives": {"configs/infer.yaml": {"source": "infer.yaml", "values": {"length": "{frames}"}}},
    }  # fmt: skip
    path = tmp_path / "show.yaml"
    path.write_text(yaml.safe_dump(content))
    said = []
    for _ in range(2):
        with pytest.raises(
            UserError, match=r"wrote outside its folder: .*/said\.json"
        ):  # which tells us what it got
            Command(path)({}).animate(make_clip(), **QUIET)
        said.append(json.loads((tmp_path / "said.json").read_text()))
    given, scratch = said[0], said[0]["scratch"]
    assert given == {
        "portrait": f"{scratch}/in/portrait.png", "driving": f"{scratch}/in/frames", "frames": "6", "fps": "25",
        "landmarks": f"{scratch}/in/target_landmarks.npz", "out": f"{scratch}/out/result.mp4", "seed": "5",
        "clip": "clip-0", "here": str(tmp_path), "repo": str(tmp_path / "checkout"), "scratch": scratch,
        "cwd": scratch, "greeting": "hello 5", "in": ["frames", "portrait.png", "target_landmarks.npz"],
        "pictures": 7, "tmp": f"{scratch}/tmp", "case": f'"{scratch}/in/portrait.png": ["{{{scratch}/in/frames}}"]',
        "derived": "length: 6\nscale: 3.5\n", "drawn": said[1]["drawn"],
    }  # fmt: skip
    words = Command(path)({}).commands(make_clip(), seed=5, folder=Path("/private"))[0]
    assert words[2] == "portrait=/private/scratch/in/portrait.png"


def test_a_motion_mode_is_chosen_by_its_arguments(tmp_path: Path, method: Any) -> None:
    motion = {
        "mode": "relative",
        "switch": {"relative": ["--mode", "relative"], "absolute": ["--mode", "standard"]},
    }
    fields = {"command": "python demo.py --mode relative --out {out}", "motion": motion}
    opened = [
        method(options=options, **fields) for options in ({}, {"motion": "absolute"}, {"motion": "relative"})
    ]
    words = [each.commands(make_clip(), seed=1, folder=tmp_path)[0][2:4] for each in opened]
    assert words == [["--mode", "relative"], ["--mode", "standard"], ["--mode", "relative"]]
    assert [each.about["motion"] for each in opened] == ["relative", "absolute", "relative"]
    assert opened[0].revision == opened[2].revision != opened[1].revision
    with pytest.raises(UserError, match="--set motion: expected absolute or relative, got 'sideways'"):
        method(options={"motion": "sideways"}, **fields)


def test_the_revision_follows_code_files_and_description(tmp_path: Path, method: Any) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(tmp_path / "checkout")]
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "model.py").write_text("1")
    (tmp_path / "weights.bin").write_bytes(b"1")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    fields: dict[str, Any] = {"revision": {"checkout": "checkout", "files": ["weights.bin"]}}
    seen = [method(**fields).revision]
    assert method(title="Another", time_limit=7, **fields).revision == seen[0]
    (tmp_path / "checkout" / "model.py").write_text("2")
    seen.append(method(**fields).revision)
    assert seen[1].startswith(f"{head[:12]}+changes ")
    (tmp_path / "weights.bin").write_bytes(b"2")
    seen.append(method(**fields).revision)
    seen.append(method(variables={"A": "1"}, **fields).revision)
    assert len(set(seen)) == len(seen)
    assert method(**fields).about["commit"] == f"{head}+changes"


def test_another_commit_is_a_warning_and_recorded(tmp_path: Path, method: Any, capsys: Any) -> None:
    (tmp_path / "checkout").mkdir()
    opened = method(revision={"checkout": "checkout", "commit": "c616878"})
    told = "is at no commit, expected c616878"
    assert told in capsys.readouterr().err
    assert told in opened.about["warning"]


def test_what_readers_must_know_comes_along(method: Any) -> None:
    licence = {"name": "CC BY-NC 4.0", "commercial": False}
    about = method(label="zero-shot, public checkpoint", licence=licence, motion={"mode": "absolute"}).about
    assert about == {
        "label": "zero-shot, public checkpoint", "motion": "absolute", "licence": "CC BY-NC 4.0",
        "commercial use": "not allowed",
    }  # fmt: skip


def test_options_are_checked(method: Any) -> None:
    for options, reason in {
        ("motoin", "relative"): "unknown option 'motoin'. Did you mean 'motion'?",
        ("motion", "relative"): "--set motion: expected nothing, since its description has no motion.switch",
        ("batch", "4"): "--set batch: its command takes one clip at a time",
        ("batch", "many"): "--set batch: expected a number of clips",
        ("device", "tpu"): "--set device: expected cpu or cuda, got 'tpu'",
    }.items():
        with pytest.raises(UserError) as caught:
            method(options=dict([options]))
        assert reason in str(caught.value)


def test_the_worked_example_of_the_docs_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "add_a_method.md").read_text()
    section = page.partition("\n## A command\n")[2].partition("\n## ")[0]
    blocks = dict(reversed(re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)))
    (tmp_path / "animate.py").write_text(blocks["python"])
    (tmp_path / "mine.yaml").write_text(blocks["yaml"])
    animation = Command(tmp_path / "mine.yaml")({}).animate(make_clip(), **QUIET)
    assert np.array_equal(animation.frames[1], np.roll(make_clip().portrait, 2, axis=1))
