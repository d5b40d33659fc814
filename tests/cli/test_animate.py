"""`emojibench animate` as users type it, with a tiny untrained model in place of the packaged weights."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "reference_model"))

sys.path.insert(0, str(Path(__file__).parents[1] / "media"))

from fye_faster.models.checkpoint import Model
from fye_faster.pipelines.mini import Pipeline
from fye_faster.presets import MINI
from sounding import write_video_with_sound
from tiny_model import SHARED, TINY

from emojibench.cli import main
from emojibench.dataset.clip import Clip
from emojibench.dataset.landmarks import read_driving, write_driving
from emojibench.face import open_detector
from emojibench.media import read_video, video_info, write_image, write_lossless
from emojibench.methods import Animation, finding
from emojibench.synth.render import render
from emojibench.synth.sequences import portrait_state, sequences

SIDE = 128
FRAMES = 5

Animate = Callable[..., int]


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    return Model(replace(TINY, resolution=SIDE))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait, a blank picture, and driving in every form."""
    folder = tmp_path_factory.mktemp("files")
    one, two = sequences("mini")[:2]
    picture = render(one.identity, portrait_state(one), 256)
    write_image(folder / "portrait.png", picture)
    write_image(folder / "blank.png", np.full((90, 120, 3), 128, np.uint8))
    video = np.stack([render(two.identity, two.motion.at(4 * k), 256) for k in range(FRAMES)])
    write_lossless(folder / "driving.mkv", video, 20)
    write_lossless(folder / "one.mkv", video[:1], 20)
    write_lossless(folder / "blank.mkv", np.full_like(video, 128), 20)
    (folder / "empty.mp4").touch()
    (folder / "notes.txt").write_text("no video")
    with open_detector() as detector:
        sequence = detector.detect_video(video, fps=20)
        points = detector.detect(picture)
    assert points is not None
    write_driving(folder / "driving.npz", sequence)
    (folder / "points.json").write_text(json.dumps(points.tolist()))
    official = [
        {"lmks": frame, "trans_mat": np.eye(4), "bs": [0.1] * 51, "width": 256, "height": 256}
        for frame in sequence.landmarks.astype(float)
    ]
    np.save(folder / "official.npy", official)
    return folder


@pytest.fixture
def animate(model: Model, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Animate:
    """Run the command with good arguments unless told otherwise; returns its exit code."""

    def tiny(name: str, weights: Path | None, *, device: str, dtype: str) -> Pipeline:
        return Pipeline(model, device="cpu" if device == "auto" else device, dtype=dtype)

    monkeypatch.setattr(Pipeline, "from_preset", tiny)
    monkeypatch.chdir(tmp_path)

    def run(*flags: object, **arguments: object) -> int:
        given = {"portrait": files / "portrait.png", "driving": files / "driving.npz", "out": "out.mp4"}
        pairs = [(f"--{name.replace('_', '-')}", value) for name, value in (given | arguments).items()]
        words = [str(word) for pair in pairs for word in pair]
        monkeypatch.setattr(sys, "argv", ["emojibench", "animate", *words, *map(str, flags)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return run


def test_the_video_is_where_stdout_says(animate: Animate, capfd: pytest.CaptureFixture[str]) -> None:
    assert animate(out="new/folder/out.mp4") == 0
    printed = capfd.readouterr()
    assert printed.out == "new/folder/out.mp4\n"
    assert "animate" in printed.err
    info = video_info("new/folder/out.mp4")
    assert (info.frames, info.fps, info.width, info.height, info.codec) == (FRAMES, 20, SIDE, SIDE, "h264")


@pytest.mark.parametrize(("driving", "fps"), [("driving.mkv", 20), ("driving.npz", 20), ("official.npy", 25)])
def test_every_kind_of_driving(animate: Animate, files: Path, driving: str, fps: float) -> None:
    assert animate(driving=files / driving, frames=3, start=1) == 0
    assert (video_info("out.mp4").frames, video_info("out.mp4").fps) == (3, fps)
    assert animate("--overwrite", driving=files / driving, frames=1, fps=10) == 0
    assert (video_info("out.mp4").frames, video_info("out.mp4").fps) == (1, 10)


def test_real_pictures_are_told_of_and_drawn_ones_are_not(
    animate: Animate, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    assert animate(frames=1) == 0
    told = capfd.readouterr().err
    assert told.startswith("loading preset mini")
    assert told.count("note: preset mini was trained on drawn (procedural) heads alone") == 1
    assert animate("--overwrite", frames=1, weights=files / "portrait.png") == 0  # whose weights know what?
    assert "note: " not in capfd.readouterr().err
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path))
    drawn = tmp_path / "datasets/mini-0123/portraits/synth-0000.neutral.png"
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes((files / "portrait.png").read_bytes())
    assert animate("--overwrite", portrait=drawn, frames=1) == 0
    assert "note: " not in capfd.readouterr().err


def test_sound_is_kept_unless_it_is_not_wanted(
    animate: Animate, files: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spoken = tmp_path / "spoken.mkv"
    write_video_with_sound(spoken, read_video(files / "driving.mkv"), fps=20)
    assert animate(driving=spoken, start=1, frames=3) == 0
    assert video_info("out.mp4").audio
    assert read_video("out.mp4").shape[0] == 3
    assert animate("--overwrite", "--no-audio", driving=spoken, frames=1) == 0
    assert not video_info("out.mp4").audio
    capfd.readouterr()
    assert animate("--overwrite", driving=spoken, frames=2, fps=10) == 0
    assert not video_info("out.mp4").audio
    assert "the sound is left out, since --fps 10 plays 20 frames per second" in capfd.readouterr().err


def test_one_frame_drives_one_frame(animate: Animate, files: Path) -> None:
    assert animate(driving=files / "one.mkv") == 0
    assert read_video("out.mp4").shape == (1, SIDE, SIDE, 3)


def test_seed_steps_and_watermark_do_what_they_say(animate: Animate) -> None:
    for name, flags in {
        "base": (),
        "same": (),
        "seed": ("--seed", 1),
        "steps": ("--steps", 3),
        "guidance": ("--guidance", 1),
        "cache": ("--steps", 30, "--cache", "fast"),
        "uncached": ("--steps", 30, "--cache", "none"),
        "bare": ("--no-watermark",),
    }.items():
        assert animate(*flags, out=f"{name}.mp4") == 0
    base, same, *others = (
        read_video(f"{n}.mp4").astype(int) for n in ("base", "same", "seed", "steps", "guidance")
    )
    assert np.array_equal(base, same)
    assert all(not np.array_equal(base, other) for other in others)
    assert not np.array_equal(read_video("cache.mp4"), read_video("uncached.mp4"))
    changed = np.abs(read_video("bare.mp4") - base).max(axis=(0, 3)) > 40
    assert changed[-SIDE // 8 :].any()  # the mark is at the bottom
    assert not changed[: SIDE // 2].any()


@pytest.mark.parametrize(("sampler", "windows"), [("progressive", 4), ("overlap", 3), ("concatenate", 2)])
def test_samplers_split_long_clips_their_own_way(
    animate: Animate,
    model: Model,
    files: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    sampler: str,
    windows: int,
) -> None:
    sequence = read_driving(files / "driving.npz")
    longer = np.resize(sequence.landmarks, (2 * model.preset.window, *sequence.landmarks.shape[1:]))
    write_driving(tmp_path / "longer.npz", replace(sequence, landmarks=longer))
    assert animate(driving=tmp_path / "longer.npz", sampler=sampler, steps=2) == 0
    assert f"{2 * windows}/{2 * windows}" in capfd.readouterr().err
    assert video_info("out.mp4").frames == len(longer)


def _odd(picture: Image.Image) -> Image.Image:
    return picture.crop((3, 2, 256, 255)).resize((203, 211))


def _sixteen_bit(picture: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)


def _rgba(picture: Image.Image) -> Image.Image:
    picture = picture.convert("RGBA")
    picture.putalpha(220)
    return picture


@pytest.mark.parametrize("change", [lambda p: p.convert("L"), _rgba, _sixteen_bit, _odd])
def test_portraits_of_every_mode_and_size(
    animate: Animate, files: Path, tmp_path: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    with Image.open(files / "portrait.png") as picture:
        change(picture).save(tmp_path / "changed.png")
    assert animate(portrait=tmp_path / "changed.png", frames=2) == 0
    assert read_video("out.mp4").shape == (2, SIDE, SIDE, 3)


def test_landmarks_by_hand_replace_the_detector(animate: Animate, files: Path, tmp_path: Path) -> None:
    assert animate(portrait=files / "blank.png", portrait_landmarks=files / "points.json") == 0
    (tmp_path / "beside.png").write_bytes((files / "blank.png").read_bytes())
    (tmp_path / "beside.json").write_bytes((files / "points.json").read_bytes())
    assert animate(portrait="beside.png", out="beside.mp4") == 0
    assert np.array_equal(read_video("out.mp4"), read_video("beside.mp4"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"portrait": "@blank.png"},
            "blank.png: no face found, neither in the whole picture nor on enlarged parts of it; crop closer",
        ),
        ({"portrait": "@blank.png"}, "and name them with --portrait-landmarks"),
        ({"portrait": "@absent.png"}, "absent.png: no such picture"),
        ({"portrait": "@notes.txt"}, "notes.txt: not a picture"),
        ({"portrait_landmarks": "@absent.json"}, "absent.json: no such file"),
        ({"driving": "@blank.mkv"}, "blank.mkv: no face in any of 5 frames"),
        ({"driving": "@empty.mp4"}, "empty.mp4: not a video, or truncated"),
        ({"driving": "@absent.mp4"}, "absent.mp4: no such video"),
        ({"driving": "@absent.npz"}, "absent.npz: no such file"),
        ({"driving": "@notes.txt"}, "notes.txt: unknown kind of driving; expected one of .avi"),
        ({"start": 5}, "driving.npz: no driving frames from frame 5 on; the file is shorter, lower --start"),
        ({"driving": "@driving.mkv", "start": 9}, "driving.mkv: no driving frames from frame 9 on"),
        ({"out": "out.gif"}, "--out out.gif: expected a name that ends in .mp4"),
        ({"out": "there.mp4"}, "--out there.mp4: is there already; add --overwrite"),
        ({"out": "folder.mp4"}, "--out folder.mp4: is a folder"),
        ({"out": "there.mp4/out.mp4"}, "--out there.mp4/out.mp4: cannot be written"),
        ({"steps": 0}, "animate: steps: expected 1 to 1000, got 0"),
        ({"guidance": 0.5}, "animate: guidance: expected 1 (off) to 50, got 0.5"),
        (
            {"cache": "lossy"},
            "animate: cache: expected one of none, near-lossless, balanced, fast, got 'lossy'",
        ),
        ({"cache": "fast", "steps": 3}, "animate: cache: fast is made for 30 steps, got 3"),
        (
            {"sampler": "overlapp"},
            "animate: sampler: expected one of progressive, overlap, concatenate, got 'overlapp'",
        ),
        ({"dtype": "fp8"}, "animate: dtype: expected one of fp32, bf16, fp16, got 'fp8'"),
        ({"device": "tpu"}, "animate: device: expected one of auto, cpu, cuda, cuda:1, ..., got 'tpu'"),
        ({"detector": "bundeld"}, "unknown detector 'bundeld'. Did you mean 'bundled'?"),
        ({"method": "landmark-wrap"}, "unknown method 'landmark-wrap'. Did you mean 'landmark-warp'?"),
        (
            {"method": "landmark-warp", "steps": 3, "device": "cpu"},
            "--steps, --device: for the reference model, not for --method landmark-warp; give the method's own",
        ),
        ({"method": "landmark-warp", "set": "colour=red"}, "unknown option of landmark-warp 'colour'"),
        ({"set": "cache=none"}, "--set: expected together with --method"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(
    animate: Animate,
    files: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: dict[str, Any],
    message: str,
) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "folder.mp4").mkdir()
    given = {
        name: files / value[1:] if isinstance(value, str) and value.startswith("@") else value
        for name, value in arguments.items()
    }
    assert animate(**given) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    (complaint,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert message in complaint
    assert "Traceback" not in printed.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.mp4", "there.mp4"]
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("driving", ["driving.mkv", "driving.npz"])
def test_any_method_animates_and_a_video_shows_what_drove_it(
    animate: Animate, files: Path, driving: str
) -> None:
    arguments = {"method": "copy-reference", "driving": files / driving}
    assert animate("--side-by-side", "--no-watermark", **arguments) == 0
    frames = read_video("out.mp4")
    panels = [frames[:, -256:, left : left + 256].astype(float) for left in (0, 258, 516)]
    portrait, head, result = panels
    assert np.abs(portrait - result).mean() < 2, "the method copies the portrait"
    assert np.abs(head - portrait).mean() > 20
    assert np.abs(head[1:] - head[:-1]).mean() > 0.2, "the driving head moves"
    assert (head.mean() < 20) == (driving == "driving.npz"), "landmarks alone are drawn on black"


def test_methods_get_the_head_as_datasets_cut_it(
    animate: Animate, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Clip] = []

    class Method:
        size = 96

        def animate(self, clip: Clip, *, seed: int, progress: object) -> Animation:
            seen.append(clip)
            return Animation(np.stack([clip.portrait] * clip.frames), clip.driving.fps)

    monkeypatch.setattr(finding, "open_method", lambda reference, options: Method())
    wide = np.pad(read_video(files / "driving.mkv"), ((0, 0), (0, 0), (200, 100), (0, 0)), mode="edge")
    write_lossless(tmp_path / "wide.mkv", wide, 20)
    assert animate(method="copy-reference", driving=tmp_path / "wide.mkv") == 0
    (clip,) = seen
    assert clip.load_driving_frames is not None
    assert clip.load_driving_frames().shape == (FRAMES, 96, 96, 3)
    assert clip.driving.size == (96, 96)
    x = clip.driving.landmarks[..., 0]
    assert 0.1 < x.min() < 0.4 < 0.6 < x.max() < 0.9, "the face fills the middle of the cut"


def test_a_methods_own_failure_is_one_line(
    animate: Animate, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Method:
        def animate(self, clip: Clip, *, seed: int, progress: object) -> Animation:
            raise IndexError("list index out of range")

    monkeypatch.setattr(finding, "open_method", lambda reference, options: Method())
    assert animate(method="copy-reference") == 2
    printed = capfd.readouterr().err
    assert (
        "error: method 'copy-reference': IndexError: list index out of range; `emojibench check-m" in printed
    )
    assert "Traceback" not in printed


def test_cuda_asked_for_and_absent_is_an_error(
    animate: Animate, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert animate(device="cuda") == 2
    assert "device: cuda was asked for, but PyTorch finds no CUDA device" in capfd.readouterr().err


def test_out_of_memory_names_the_options_that_need_less(
    animate: Animate, model: Model, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.animator, "encode_reference", full)
    assert animate() == 2
    assert "--dtype bf16, --device cpu or fewer --frames need less" in capfd.readouterr().err
    assert not Path("out.mp4").exists()


@pytest.mark.skipif(
    not (SHARED / "samples/fye").is_dir(), reason="no shared sample data beside the repository"
)
def test_a_real_motion_file_drives(animate: Animate) -> None:
    assert animate(driving=SHARED / "samples/fye/temple_motion.npz", frames=3) == 0
    assert video_info("out.mp4").frames == 3


@pytest.mark.slow
def test_the_packaged_model_animates(files: Path, tmp_path: Path) -> None:
    arguments = ["--portrait", files / "portrait.png", "--driving", files / "driving.npz", "--steps", 2]
    arguments += ["--out", tmp_path / "out.mp4"]
    command = [sys.executable, "-m", "emojibench", "animate", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_video(tmp_path / "out.mp4").shape == (FRAMES, MINI.resolution, MINI.resolution, 3)
