"""The commands that `kills.py` kills: small enough for seconds, with workers wherever they have any."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

METRICS = "fake_l1,fake_face,fake_set"
SIZES = ("--identities", "3", "--validation", "1", "--steps", "2,2,2,2")


@dataclass
class Job:
    """One command, what is compared of its result, and how often it was killed."""

    name: str
    command: Callable[[Path], list[str]]
    """Arguments, from the folder to work in."""
    result: Callable[[Path], Any]
    finished: Callable[[Path], dict[str, Any]]
    """What a killed command has finished, each with a value that changes where it is made again."""
    kills: "Counter[str]" = field(default_factory=Counter)
    moments: "Counter[str]" = field(default_factory=Counter)
    """Kills by what the command had said last."""
    late: int = 0
    """Kills that came after the end."""
    leaves: set[str] = field(default_factory=set)
    """Temporary files that it leaves undisturbed: caches of libraries."""
    seconds: float = 0.0
    """What it takes undisturbed: of all measured, the least."""


def jobs(root: Path, site: Path, start: Callable[[list[str], Path, Path], Any]) -> dict[str, Job]:
    """The commands, with their inputs made below `root`."""
    common = ["--metrics", METRICS]

    def run(folder: Path) -> list[str]:
        return ["run", "--method", "slow", "--jobs", "2", "--out", str(folder / "runs"), *common]

    def score(folder: Path) -> list[str]:
        videos = root / "videos"
        return ["score", "--predictions", str(videos), "--jobs", "2", "--out", str(folder / "runs"), *common]

    def clips(folder: Path) -> list[str]:
        drawn = ["--dataset", "mini", "--split", "cross", "--clips", "2", "--size", "32", "--jobs", "2"]
        return ["run", "--method", "copy-reference", *drawn, "--out", str(folder / "runs"), "--metrics", "l1"]

    def build(folder: Path) -> list[str]:
        inputs = ["--portraits", str(root / "portraits"), "--driving", str(root / "driving"), "--size", "96"]
        if (folder / "built").exists():  # the kill came after the end
            return ["data", "verify", str(folder / "built")]
        return ["data", "build", *inputs, "--frames", "6", "--jobs", "2", "--out", str(folder / "built")]

    def data(folder: Path) -> list[str]:
        return ["train", "--data-only", "--preset", "tiny", *SIZES, "--out", str(folder / "out")]

    def train(folder: Path) -> list[str]:
        return ["train", "--preset", "tiny", *SIZES, "--out", str(folder / "out")]

    def accept(folder: Path) -> list[str]:
        out = ["--out", str(folder / "leaderboards")]
        accepted = list((folder / "leaderboards" / "accepted").glob("*/[!.]*"))
        return ["report", *(["--accepted"] if accepted else ["--accept", str(root / "run")]), *out]

    every = [
        Job("run", run, of_a_run, _files("runs/*/animations/[!.]*/*")),
        Job("score", score, of_a_run, _rows),
        Job("clips", clips, of_clips, _files("cache/datasets/mini-*/*/[!.]*")),
        Job("build", build, lambda folder: tree(folder / "built"), _files("built/**/*")),
        Job("data", data, lambda folder: tree(folder / "out", ".lock"), _files("out/data/done.json")),
        Job("train", train, of_a_training, _steps),
        Job("accept", accept, lambda folder: tree(folder / "leaderboards"), _files("leaderboards/accepted/*/[!.]*/*")),
    ]  # fmt: skip
    _register(site)
    _make_inputs(root, site, run, start)
    return {job.name: job for job in every}


def tree(folder: Path, *left_out: str) -> dict[str, str]:
    """Digest of every file below a folder; folders and files that begin with a dot included."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in left_out)
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def of_a_run(folder: Path) -> Any:
    """Files, frames, values and means; not the costs, which are never the same twice."""
    run = _run(folder)
    rows = {}
    for line in (run / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows[row["clip_id"], row["metric"]] = row["value"], row["status"]
    summary = json.loads((run / "summary.json").read_text())["metrics"]
    names = sorted(str(file.relative_to(run)) for file in run.rglob("*"))
    digests = [digest for file, digest in tree(run).items() if file.endswith((".mkv", ".mp4"))]
    wanted = [name for name in summary if name in (*METRICS.split(","), "l1")]
    values = sorted((key, value) for key, value in rows.items() if key[1] in wanted)
    return names, digests, values, [summary[name] for name in wanted]


def of_clips(folder: Path) -> Any:
    """The run, and the clips that were made for it."""
    (cached,) = (folder / "cache" / "datasets").iterdir()
    return of_a_run(folder), tree(cached)


def of_a_training(folder: Path) -> Any:
    """Names of the files, and every tensor; the file of the weights also says how many minutes it took."""
    from safetensors.numpy import load_file

    out = folder / "out"
    weights = load_file(out / "tiny.safetensors")
    names = sorted(str(file.relative_to(out)) for file in out.rglob("*") if "tensorboard" not in file.parts)
    tensors = {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in sorted(weights.items())}
    return names, tensors


def _run(folder: Path) -> Path:
    return next(path for path in (folder / "runs").iterdir() if not path.name.startswith("."))


def _files(pattern: str) -> Callable[[Path], dict[str, Any]]:
    """When each file that is there was written."""
    return lambda folder: {
        str(file): (file.stat().st_ino, file.stat().st_mtime_ns)
        for file in folder.glob(pattern)
        if file.is_file()
    }


def _rows(folder: Path) -> dict[str, Any]:
    """How often each clip was scored, by metric; a last line may be half written."""
    files = list(folder.glob("runs/[!.]*/rows.jsonl"))
    lines = [line for file in files for line in file.read_bytes().split(b"\n")[:-1]]
    rows = [json.loads(line) for line in lines]
    return dict(Counter(f"{row['clip_id']} {row['metric']}" for row in rows if row["clip_id"] != "*"))


def _steps(folder: Path) -> dict[str, Any]:
    """Where the training stands, as one number for each step that is done."""
    file = folder / "out" / "state.json"
    state = json.loads(file.read_text()) if file.exists() else {"phase": 0, "step": 0}
    done = [(phase, step) for phase in range(state["phase"]) for step in (1, 2)]
    done += [(state["phase"], step + 1) for step in range(state["step"])]
    return {f"step {step} of phase {phase}": True for phase, step in done}


def _register(site: Path) -> None:
    info = site / "killed-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[emojibench.methods]\nslow = kill_driver:SlowMethod\n"
        "[emojibench.metrics]\nfake_l1 = fakes:FakeL1\nfake_face = fakes:FakeFace\nfake_set = fakes:FakeSet\n"
    )


def _make_inputs(
    root: Path, site: Path, run: Callable[[Path], list[str]], start: Callable[[list[str], Path, Path], Any]
) -> None:
    from emojibench.media import write_image, write_lossless
    from emojibench.synth.render import render
    from emojibench.synth.sequences import sequences

    done = start(run(root / "made"), site, root / "made")
    assert done.code == 0, done.said
    _run(root / "made").rename(root / "run")
    for clip in (root / "run" / "animations").iterdir():
        (root / "videos").mkdir(exist_ok=True)
        shutil.copy(clip / "frames.mkv", root / "videos" / f"{clip.name}.mkv")
    for number, sequence in enumerate(sequences("mini")[:2]):
        frames = [render(sequence.identity, sequence.motion.at(k), 160) for k in range(7)]
        write_image(root / "portraits" / f"p{number}.png", frames[0])
        write_lossless(root / "driving" / f"d{number}.mkv", frames, 25.0)
