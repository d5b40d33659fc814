"""`emojibench animate --preset`: the public checkpoints and the paper's model, in sizes that run in seconds."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "reference_model"))

import paper_start
from fye_faster.models import checkpoint
from fye_faster.models.paper import PaperModel
from fye_faster.models.released import ReleasedModel
from fye_faster.pipelines.mini import Pipeline
from fye_faster.pipelines.paper import PaperPipeline
from fye_faster.pipelines.released import ReleasedPipeline
from released_golden import GOLDEN

from emojibench.cli import main
from emojibench.dataset.landmarks import write_driving
from emojibench.face import open_detector
from emojibench.fye import animators
from emojibench.media import video_info, write_image
from emojibench.synth.render import render
from emojibench.synth.sequences import portrait_state, sequences
from emojibench.weights import store

Animate = Callable[..., int]
PAPER = replace(paper_start.SMALL, overlap=0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait, driving of six frames, and what the paper's model needs."""
    folder = tmp_path_factory.mktemp("files")
    one, two = sequences("mini")[:2]
    write_image(folder / "portrait.png", render(one.identity, portrait_state(one), 256))
    with open_detector() as detector:
        still = detector.detect_video(render(two.identity, two.motion.at(0), 256)[None], fps=20)
    write_driving(folder / "driving.npz", replace(still, landmarks=np.repeat(still.landmarks, 6, 0)))
    paper_start.write(folder)
    torch.manual_seed(0)
    animator = PaperModel(PAPER).animator
    checkpoint.save(folder / "paper.safetensors", animator.state_dict(), PAPER)
    return folder


@pytest.fixture
def animate(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Animate:
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EMOJIBENCH_OFFLINE", "1")
    monkeypatch.delenv("EMOJIBENCH_WEIGHTS", raising=False)
    monkeypatch.setattr(store, "_index", store._Index())
    monkeypatch.setattr(PaperPipeline, "from_weights", partial(PaperPipeline.from_weights, preset=PAPER))

    def run(*words: object) -> int:
        given = ["--portrait", files / "portrait.png", "--driving", files / "driving.npz"]
        given += ["--out", tmp_path / "out.mp4", "--device", "cpu", "--overwrite", *words]
        monkeypatch.setattr(sys, "argv", ["emojibench", "animate", *map(str, given)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


def test_the_public_checkpoints_animate(
    animate: Animate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    pipeline = ReleasedPipeline(ReleasedModel(replace(GOLDEN, resolution=64)))
    monkeypatch.setattr(animators, "released_files", lambda _user: {})
    monkeypatch.setattr(ReleasedPipeline, "from_files", lambda _files, _device: pipeline)
    assert animate("--preset", "released") == 0
    assert "4/4" in capfd.readouterr().err  # two windows of four frames, two steps
    info = video_info(tmp_path / "out.mp4")
    assert (info.frames, info.width, info.height) == (6, 64, 64)
    assert animate("--preset", "released", "--steps", 1, "--guidance", 1) == 0
    assert "2/2" in capfd.readouterr().err


def test_without_the_public_checkpoints_it_says_where_to_get_them(
    animate: Animate, capfd: pytest.CaptureFixture[str]
) -> None:
    assert animate("--preset", "released") == 2
    printed = capfd.readouterr().err
    assert "animate: expected 5 files of trained weights, 5 of them missing" in printed
    assert "unet.pth  from  https://" in printed


def test_the_papers_model_animates_once_trained(
    animate: Animate, files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["--preset", "paper", "--weights", files / "paper.safetensors"]
    given += ["--from", f"sd15-vae={files / 'sd15-vae.pth'}", "--from", f"clip={files / 'clip.pth'}"]
    assert animate(*given, "--steps", 1) == 0
    assert "3/3" in capfd.readouterr().err  # keyframes 0, 2 or 3, and 5, then two windows between
    assert video_info(tmp_path / "out.mp4").frames == 6


def test_weights_of_ones_own_reach_the_small_model(
    animate: Animate, files: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert animate("--weights", files / "paper.safetensors") == 2
    assert "paper.safetensors: weights of preset 'golden', expected 'mini'" in capfd.readouterr().err
    seen = {}

    def note(name: str, weights: Path, **more: str) -> Pipeline:
        seen.update(more, name=name, weights=weights)
        raise ValueError("seen")

    monkeypatch.setattr(Pipeline, "from_preset", note)
    assert animate("--weights", files / "paper.safetensors", "--dtype", "bf16") == 2
    wanted = {"name": "mini", "weights": files / "paper.safetensors", "device": "cpu", "dtype": "bf16"}
    assert seen == wanted


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "papper"), "--preset: unknown preset 'papper'. Did you mean 'paper'?"),
        (("--from", "clip=x"), "--from: preset mini is whole without; leave it out"),
        (("--preset", "released", "--cache", "fast"), "--cache: preset released computes every step"),
        (("--preset", "released", "--sampler", "overlap"), "--sampler: preset released has its own way"),
        (("--preset", "paper", "--dtype", "bf16"), "--dtype: preset paper takes fp16 on a GPU"),
        (("--preset", "released", "--from", "clip=x"), "--from: preset released finds its files in"),
        (("--preset", "paper"), "--weights: expected the file that `emojibench train --preset paper` wrote"),
        (
            ("--preset", "paper", "--weights", "@paper.safetensors", "--from", "clip=x"),
            "--from: preset paper needs sd15-vae=PATH and clip=PATH, those that it was trained with; got clip",
        ),
        (
            (
                "--preset",
                "paper",
                "--weights",
                "@sd15-vae.pth",
                "--from",
                f"clip={__file__}",
                "--from",
                f"sd15-vae={__file__}",
            ),
            "sd15-vae.pth: not a whole safetensors file",
        ),
        (("--preset", "paper", "--from", "clip"), "--from: expected NAME=PATH, got 'clip'"),
    ],
)
def test_options_of_another_preset_are_told(
    animate: Animate, files: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert animate(*(str(files / word[1:]) if word.startswith("@") else word for word in words)) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    (complaint,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert message in complaint
