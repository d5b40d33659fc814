"""What a clip costs more on Ray than with the local executor, with the same number of workers.

    python benchmarks/ray_overhead.py [--clips 60] [--jobs 2]

Both sides animate the same clips with `landmark-warp`, one after the other and once more in the other order. Starting
workers is timed apart: it is paid once a run. A clip's overhead is (wall clock of all clips) x workers / clips, Ray's
less the local executor's.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from emojibench.dataset import load_dataset
from emojibench.methods import finding
from emojibench.parallel.cluster import Ray
from emojibench.parallel.executor import Executor, Needs, Root, Work
from emojibench.parallel.local import Local
from emojibench.parallel.worker import Task
from emojibench.parallel.workers import Workers
from emojibench.runs.clips import Clips
from emojibench.runs.generate import AnimateJob, AnimateSetup


def measure(executor: Executor, clips: Clips, ids: list[str], folder: Path) -> tuple[float, float]:
    """Seconds until the workers are there, and seconds of one worker for a clip."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    setup = AnimateSetup(clips, partial(finding.open_method, "landmark-warp", {}), 0)
    roots = (Root(folder, private=True), *clips.dataset.roots)
    work = Work(setup, "landmark-warp", quiet=True, needs=partial(Needs, gpus=0), roots=roots)
    tasks = [
        Task(f"{clip}-{i}", [AnimateJob(clip, folder / f"{clip}-{i}")], folder / f"{clip}-{i}.txt")
        for i, clip in enumerate(ids)
    ]
    jobs = executor.open(work).jobs
    with Workers(executor, work, timeout=600, log=folder / "setup.txt") as workers:
        began = time.perf_counter()
        for outcome in workers.map(tasks[:jobs] * 3, lambda task, done: None):  # until all of them are warm
            assert not outcome.failure, outcome.failure
        started = time.perf_counter()
        for outcome in workers.map(tasks, lambda task, done: None):
            assert not outcome.failure, outcome.failure
        ended = time.perf_counter()
    return started - began, (ended - started) * jobs / len(ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    dataset = load_dataset("mini", size=64)
    ids = dataset.clip_ids("self")
    dataset.prepare(ids)
    ids = [ids[i % len(ids)] for i in range(given.clips)]
    clips = Clips(dataset, 8)
    ray, local = Ray(given.jobs), Local(given.jobs)
    seconds: dict[str, list[tuple[float, float]]] = {"local": [], "ray": []}
    with tempfile.TemporaryDirectory() as folder, ray:
        for executor in (local, ray, ray, local):
            seconds[executor.name].append(measure(executor, clips, ids, Path(folder) / "out"))
            print(f"{executor.name}: {seconds[executor.name][-1][1] * 1000:.0f} ms a clip", file=sys.stderr)
    print("| executor | workers ready after, s | a clip, ms |\n| --- | --- | --- |")
    means = {
        name: [statistics.mean(part) for part in zip(*told, strict=True)] for name, told in seconds.items()
    }
    for name, (ready, each) in means.items():
        print(f"| {name} | {ready:.1f} | {each * 1000:.0f} |")
    print(f"\noverhead of Ray: {(means['ray'][1] - means['local'][1]) * 1000:.0f} ms a clip")


if __name__ == "__main__":  # worker processes import this file
    main()
