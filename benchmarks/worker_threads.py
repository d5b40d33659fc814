"""How workers should wait: seconds of a network's step for each number of workers and threads, and OMP_WAIT_POLICY.

    python benchmarks/worker_threads.py [--workers 1,2,4] [--threads 0] [--seconds 5]

Threads that wait actively spin, which is fast while every thread has a core of its own and slow where workers, or
other programs, share the cores. Policies are measured in turns, several times, so that a load that comes and goes
falls on all of them. Threads 0: the cores divided by the workers, as `emojibench run --jobs` does. Prints a table.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from emojibench.parallel import available_cores

POLICIES = ("active", "passive", "")
STEP = """
import json, sys, time, torch
torch.manual_seed(0)
layers = [torch.nn.Conv2d(32, 32, 3, padding=1), torch.nn.GroupNorm(8, 32), torch.nn.SiLU()] * 6
network, given = torch.nn.Sequential(*layers), torch.randn(4, 32, 32, 32)
with torch.inference_mode():
    network(given)
    print("ready", flush=True); sys.stdin.readline()
    times, end = [], time.perf_counter() + float(sys.argv[1])
    while time.perf_counter() < end:
        start = time.perf_counter(); network(given); times.append(time.perf_counter() - start)
print(json.dumps(times))
"""


def measure(workers: int, threads: int, policy: str, seconds: float) -> list[float]:
    """Seconds of every step of all workers, which run at the same time."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", STEP, str(seconds)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(workers)
    ]  # fmt: skip
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [time for process in processes for time in json.loads(process.communicate()[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    cores = available_cores()
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f} before\n")
    print("| workers | threads | " + " | ".join(f"{p or 'default'}, ms a step" for p in POLICIES) + " |")
    print("| --- " * (2 + len(POLICIES)) + "|")
    for workers in map(int, chosen.workers.split(",")):
        threads = chosen.threads or max(1, cores // workers)
        times: dict[str, list[float]] = {policy: [] for policy in POLICIES}
        for _ in range(chosen.rounds):
            for policy in POLICIES:
                times[policy] += measure(workers, threads, policy, chosen.seconds)
        cells = [f"{1000 * statistics.median(times[policy]):.1f}" for policy in POLICIES]
        print(f"| {workers} | {threads} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f} after")


if __name__ == "__main__":
    main()
