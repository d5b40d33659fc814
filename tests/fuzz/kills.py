"""Kill commands at random moments, continue them, and compare with what they give undisturbed.

    python tests/fuzz/kills.py --kills 100 --seed 0 [--only run,score,build,train,accept]

Prints one line for each sequence of kills and a count at the end; exits with 1 where anything was lost, a traceback
was printed or a process was left. Each sequence starts from an empty folder, is killed one to three times by SIGKILL,
SIGTERM or SIGINT and then runs to its end.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

DRIVER = Path(__file__).parent / "kill_driver.py"
TESTS = DRIVER.parents[1]
MARK = "EMOJIBENCH_KILLED"
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
METRICS = "fake_l1,fake_face,fake_set"


@dataclass
class Job:
    """One command and what is compared of its result."""

    name: str
    command: Callable[[Path], list[str]]
    """Arguments, from the folder to work in."""
    result: Callable[[Path], Any]
    kills: Counter[str] = field(default_factory=Counter)
    late: int = 0
    """Kills that came after the end."""
    seconds: float = 0.0
    """What it takes undisturbed: of all measured, the least."""


@dataclass
class Ended:
    """One process, after its end."""

    code: int
    said: str
    seconds: float
    orphans: list[str]


def start(arguments: list[str], site: Path, kill: tuple[float, int] | None = None) -> Ended:
    """Run a command; `kill` sends its process a signal after so many seconds."""
    mark = f"{os.getpid()}-{random.getrandbits(64):x}"
    places = (TESTS.parent, TESTS / "runs", TESTS / "reference_model", DRIVER.parent, site)
    path = os.pathsep.join(map(str, places))
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(DRIVER), *arguments], env=os.environ | {"PYTHONPATH": path, MARK: mark},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", cwd=site.parent,
    )  # fmt: skip
    try:
        said = process.communicate(timeout=kill[0] if kill else 600)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(kill[1] if kill else signal.SIGKILL)
        said = process.communicate()[1]
    seconds = time.monotonic() - started
    deadline = time.monotonic() + 10
    while (left := list(_marked(mark))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return Ended(process.returncode, said, seconds, left)


def _marked(mark: str) -> Iterator[str]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield f"{process.pid} {' '.join(process.cmdline())[:100]}"
        except psutil.Error:
            continue


def tree(folder: Path, *left_out: str) -> dict[str, str]:
    """Digest of every file below a folder; folders and files that begin with a dot included."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in left_out)
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def of_a_run(folder: Path) -> Any:
    """Files, frames, values and means; not the costs, which are never the same twice."""
    run = next((folder / "runs").iterdir())
    rows = {}
    for line in (run / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        rows[row["clip_id"], row["metric"]] = row["value"], row["status"]
    summary = json.loads((run / "summary.json").read_text())["metrics"]
    names = sorted(str(file.relative_to(run)) for file in run.rglob("*"))
    digests = [digest for file, digest in tree(run).items() if file.endswith((".mkv", ".mp4"))]
    wanted = METRICS.split(",")
    values = sorted((key, value) for key, value in rows.items() if key[1] in wanted)
    return names, digests, values, [summary[name] for name in wanted]


def of_a_training(folder: Path) -> Any:
    """Every tensor; the file also says how many minutes it took."""
    from safetensors.numpy import load_file

    weights = load_file(folder / "out" / "tiny.safetensors")
    return {name: hashlib.sha256(tensor.tobytes()).hexdigest() for name, tensor in sorted(weights.items())}


def jobs(root: Path, site: Path) -> dict[str, Job]:
    """The commands, with their inputs made below `root`."""
    common = ["--metrics", METRICS]

    def run(folder: Path) -> list[str]:
        return ["run", "--method", "slow", "--jobs", "2", "--out", str(folder / "runs"), *common]

    def score(folder: Path) -> list[str]:
        videos = root / "videos"
        return ["score", "--predictions", str(videos), "--jobs", "2", "--out", str(folder / "runs"), *common]

    def build(folder: Path) -> list[str]:
        inputs = ["--portraits", str(root / "portraits"), "--driving", str(root / "driving"), "--size", "96"]
        if (folder / "built").exists():  # the kill came after the end
            return ["data", "verify", str(folder / "built")]
        return ["data", "build", *inputs, "--frames", "6", "--jobs", "2", "--out", str(folder / "built")]

    def train(folder: Path) -> list[str]:
        sizes = ["--identities", "4", "--validation", "1", "--steps", "3,3,3,3"]
        return ["train", "--preset", "tiny", *sizes, "--out", str(folder / "out")]

    def accept(folder: Path) -> list[str]:
        out = ["--out", str(folder / "leaderboards")]
        accepted = list((folder / "leaderboards" / "accepted").glob("*/[!.]*"))
        return ["report", *(["--accepted"] if accepted else ["--accept", str(root / "run")]), *out]

    every = [
        Job("run", run, of_a_run),
        Job("score", score, of_a_run),
        Job("build", build, tree),
        Job("train", train, of_a_training),
        Job("accept", accept, tree),
    ]
    _register(site)
    _make_inputs(root, site, run)
    return {job.name: job for job in every}


def _register(site: Path) -> None:
    info = site / "killed-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[emojibench.methods]\nslow = kill_driver:SlowMethod\n"
        "[emojibench.metrics]\nfake_l1 = fakes:FakeL1\nfake_face = fakes:FakeFace\nfake_set = fakes:FakeSet\n"
    )


def _make_inputs(root: Path, site: Path, run: Callable[[Path], list[str]]) -> None:
    from emojibench.media import write_image, write_lossless
    from emojibench.synth.render import render
    from emojibench.synth.sequences import sequences

    done = start(run(root / "made"), site)
    assert done.code == 0, done.said
    made = next((root / "made" / "runs").iterdir())
    made.rename(root / "run")
    for clip in (root / "run" / "animations").iterdir():
        (root / "videos").mkdir(exist_ok=True)
        shutil.copy(clip / "frames.mkv", root / "videos" / f"{clip.name}.mkv")
    for number, sequence in enumerate(sequences("mini")[:2]):
        frames = [render(sequence.identity, sequence.motion.at(k), 160) for k in range(7)]
        write_image(root / "portraits" / f"p{number}.png", frames[0])
        write_lossless(root / "driving" / f"d{number}.mkv", frames, 25.0)


def disturbed(job: Job, folder: Path, site: Path, expected: Any, rng: random.Random) -> list[str]:
    """One sequence of kills and the run to the end; returns what went wrong."""
    problems = []
    for _ in range(rng.randint(1, 3)):
        how = rng.choice(SIGNALS)
        ended = start(job.command(folder), site, (rng.uniform(0.05, 1.0) * job.seconds, how))
        if ended.code == 0:
            job.late, job.seconds = job.late + 1, min(job.seconds, ended.seconds)
            shutil.rmtree(folder)  # else the next kill would find nothing to do
        else:
            job.kills[signal.Signals(how).name] += 1
        problems += _noise(ended)
        if ended.code not in (0, -how, 130):
            problems.append(f"exit code {ended.code} after {how}: {ended.said[-300:]}")
    ended = start(job.command(folder), site)
    problems += _noise(ended)
    if ended.code != 0:
        return [*problems, f"the last start ended with {ended.code}: {ended.said[-300:]}"]
    if job.result(folder) != expected:
        problems.append(f"another result than undisturbed, in {folder}")
    return problems


def _noise(ended: Ended) -> list[str]:
    found = [f"orphan {process}" for process in ended.orphans]
    if "Traceback" in ended.said or "Exception ignored" in ended.said:
        found.append(f"a traceback: {ended.said[-1500:]}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="for all commands together, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="run,score,build,train,accept")
    parser.add_argument("--keep", type=Path, help="folder to work in that is kept")
    chosen = parser.parse_args(arguments)
    names = chosen.only.split(",")
    root = (chosen.keep or Path(tempfile.mkdtemp(prefix="kills-"))).absolute()
    site = root / "site"
    every = jobs(root, site)
    bad = 0
    for position, name in enumerate(names):
        job = every[name]
        whole = root / name / "undisturbed"
        undisturbed = start(job.command(whole), site)
        if undisturbed.code != 0 or _noise(undisturbed):
            print(f"{name}: undisturbed: {undisturbed.code} {undisturbed.said[-1500:]}")
            return 1
        expected, job.seconds = job.result(whole), undisturbed.seconds
        share = chosen.kills // len(names) + (position < chosen.kills % len(names))
        number = 0
        while sum(job.kills.values()) < share:
            rng = random.Random(f"{chosen.seed} {name} {number}")
            folder = root / name / str(number)
            problems = disturbed(job, folder, site, expected, rng)
            bad += bool(problems)
            print(f"{name} {number}: {'; '.join(problems) or 'as undisturbed'}", flush=True)
            if not problems:
                shutil.rmtree(folder, ignore_errors=True)
            number += 1
        done, counts = sum(job.kills.values()), ", ".join(f"{n} {how}" for how, n in job.kills.items())
        print(
            f"{name}: seed {chosen.seed}, {number} sequences, {done} kills ({counts}); {job.late} more came too late",
            flush=True,
        )
    if not bad and chosen.keep is None:
        shutil.rmtree(root, ignore_errors=True)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
