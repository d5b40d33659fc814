"""How long `emojibench --help` takes, beside a bare interpreter and `import torch`.

    python benchmarks/startup.py [--repeats 11]

Prints the median wall-clock seconds of each; the first, cold call is thrown away.
"""

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "emojibench --help": [sys.executable, "-m", "emojibench", "--help"],
    "emojibench run --help": [sys.executable, "-m", "emojibench", "run", "--help"],
    "python -c 'import torch'": [sys.executable, "-c", "import torch"],
}


def seconds(command: list[str], repeats: int) -> float:
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=11)
    repeats = parser.parse_args().repeats
    for name, command in COMMANDS.items():
        print(f"{name:28s} {seconds(command, repeats):.3f} s")


if __name__ == "__main__":
    main()
