"""Kill commands at random moments, continue them, and compare with what they give undisturbed.

    python tests/fuzz/kills.py --kills 140 --seed 0 [--only run,score,clips,build,data,train,accept]

Each sequence starts from an empty folder, is killed one to three times by SIGKILL, SIGTERM or SIGINT and then runs to
its end. Prints one line for each sequence, and for each command its kills by signal and by what it had said last.
Exits with 1 where the result is another than undisturbed, where something that was finished was made again, where a
traceback was printed, or where a process or a temporary file was left.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from kill_jobs import Job, jobs

DRIVER = Path(__file__).parent / "kill_driver.py"
TESTS = DRIVER.parents[1]
MARK = "EMOJIBENCH_KILLED"
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
DRAWN = ((0.05, 1.0), (0.4, 1.0))
"""Parts of the undisturbed time in which kills come; libraries are loaded in the first third."""


@dataclass
class Ended:
    """One process, after its end."""

    code: int
    said: str
    seconds: float
    orphans: list[str]


def start(arguments: list[str], site: Path, folder: Path, kill: tuple[float, int] | None = None) -> Ended:
    """Run a command with cache and temporary files in `folder`; `kill` is a signal, and after how many seconds."""
    for name in ("cache", "temporary"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    mark = f"{os.getpid()}-{random.getrandbits(64):x}"
    places = (TESTS.parent, TESTS / "runs", TESTS / "reference_model", DRIVER.parent, site)
    environment = {
        "PYTHONPATH": os.pathsep.join([*map(str, places), os.environ.get("PYTHONPATH", "")]),
        "EMOJIBENCH_CACHE": str(folder / "cache"),
        "TMPDIR": str(folder / "temporary"),
        MARK: mark,
    }
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(DRIVER), *arguments], env=os.environ | environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", cwd=folder,
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


def disturbed(job: Job, folder: Path, site: Path, expected: Any, rng: random.Random) -> list[str]:
    """One sequence of kills and the run to the end; returns what went wrong."""
    problems: list[str] = []
    finished: dict[str, Any] = {}
    caught = True
    for _ in range(rng.randint(1, 3)):
        how, part = rng.choice(SIGNALS), rng.uniform(*rng.choice(DRAWN))
        ended = start(job.command(folder), site, folder, (part * job.seconds, how))
        if ended.code == 0:
            job.late, job.seconds = job.late + 1, min(job.seconds, ended.seconds)
            shutil.rmtree(folder)  # else the next kill would find nothing to do
            finished, caught = {}, True
        else:
            job.kills[signal.Signals(how).name] += 1
            job.moments[_moment(ended.said)] += 1
            caught = caught and how != signal.SIGKILL
            problems += _again(job, folder, finished)
        problems += _wrong(ended)
        if ended.code not in (0, -how, 130):
            problems.append(f"exit code {ended.code} after {how}: {ended.said[-300:]}")
    ended = start(job.command(folder), site, folder)
    problems += [*_wrong(ended), *_again(job, folder, finished)]
    if ended.code != 0:
        return [*problems, f"the last start ended with {ended.code}: {ended.said[-300:]}"]
    if job.result(folder) != expected:
        problems.append(f"another result than undisturbed, in {folder}")
    if caught and (left := _temporary(folder) - job.leaves):
        problems.append(f"temporary files left: {', '.join(sorted(left))}")
    return problems


def _temporary(folder: Path) -> set[str]:
    return {path.name for path in (folder / "temporary").iterdir()}


def _moment(said: str) -> str:
    """The last words of a command, without numbers and places."""
    silent = re.compile(
        r"interrupted|warnings\.warn|resource_tracker"
    )  # what multiprocessing tidies up after a kill
    lines = [line for line in re.split(r"[\r\n]+", said) if line.strip() and not silent.search(line)]
    words = re.sub(r"\S*[\d/]\S*", "", lines[-1] if lines else "nothing").split()
    return " ".join(words[:3])


def _again(job: Job, folder: Path, finished: dict[str, Any]) -> list[str]:
    """What of the finished is gone or was made again; adds what is finished now."""
    now = job.finished(folder)
    problems = [
        f"{what} was finished, and made again" for what, when in finished.items() if now.get(what) != when
    ]
    finished.update(now)
    return problems


def _wrong(ended: Ended) -> list[str]:
    found = [f"orphan {process}" for process in ended.orphans]
    if "Traceback" in ended.said or "Exception ignored" in ended.said:
        found.append(f"a traceback: {ended.said[-1500:]}")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=140, help="for all commands together, at least")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="run,score,clips,build,data,train,accept")
    parser.add_argument("--keep", type=Path, help="folder to work in that is kept")
    chosen = parser.parse_args(arguments)
    # A shell that starts this in the background makes it, and what it starts, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    names = chosen.only.split(",")
    root = (chosen.keep or Path(tempfile.mkdtemp(prefix="kills-"))).absolute()
    site = root / "site"
    every = jobs(root, site, start)
    bad = 0
    for position, name in enumerate(names):
        job = every[name]
        whole = root / name / "undisturbed"
        undisturbed = start(job.command(whole), site, whole)
        if undisturbed.code != 0 or _wrong(undisturbed):
            print(f"{name}: undisturbed: {undisturbed.code} {undisturbed.said[-1500:]}")
            return 1
        expected, job.seconds, job.leaves = job.result(whole), undisturbed.seconds, _temporary(whole)
        share = chosen.kills // len(names) + (position < chosen.kills % len(names))
        number = 0
        while job.kills.total() < share:
            rng = random.Random(f"{chosen.seed} {name} {number}")
            folder = root / name / str(number)
            problems = disturbed(job, folder, site, expected, rng)
            bad += bool(problems)
            print(f"{name} {number}: {'; '.join(problems) or 'as undisturbed'}", flush=True)
            if not problems:
                shutil.rmtree(folder, ignore_errors=True)
            number += 1
        print(
            f"{name}: seed {chosen.seed}, {number} sequences, {job.kills.total()} kills ({_told(job.kills)}); "
            f"{job.late} more came too late; {job.seconds:.1f} s undisturbed; last words: {_told(job.moments)}",
            flush=True,
        )
    if not bad and chosen.keep is None:
        shutil.rmtree(root, ignore_errors=True)
    return int(bool(bad))


def _told(counts: "Counter[str]") -> str:
    return ", ".join(f"{n} {what}" for what, n in counts.most_common())


if __name__ == "__main__":
    sys.exit(main())
