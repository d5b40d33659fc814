"""Thousands of damaged files for every reader, each reader in a process of its own with limits.

    python tests/fuzz/campaign.py --seed 1 --inputs 12000 [--parsers 'PNG;spec.json'] [--keep DIR]

Prints a table: for every reader how many files were read or refused with a message that names them, and all that
must not happen: another exception, a message that names no file, more than 1 GiB of memory beyond the input, more than
`--seconds`, a crash. Exit code 1 if anything of these happened. The same seed makes the same files; `--only N` with
`--parsers NAME` repeats one.
"""

import argparse
import collections
import faulthandler
import multiprocessing
import random
import re
import resource
import signal
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from attempts import Damage, attempt, damaged, drawn
from parsers import parsers
from reader import Parser

BEYOND = 1 << 30
"""Bytes that reading may take beyond what the process has with its libraries loaded, and beyond the input."""
_GRACE = 30.0
"""Seconds that a process has to load its libraries and to end itself before it is killed."""


class SlowError(BaseException):
    """A reader took too long; not an `Exception`, so that no reader takes it for damage."""


def main() -> int:
    """Run the campaign and print the table."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        chosen = [
            p for p in parsers(Path(folder, "seeds")) if not options.parsers or p.name in options.parsers
        ]
        each = -(-options.inputs // len(chosen))
        total: collections.Counter[str] = collections.Counter()
        print(f"seed {options.seed}, {each} inputs for each of {len(chosen)} readers")
        for number, parser in enumerate(chosen):
            began = time.monotonic()
            wanted = range(each) if options.only is None else [options.only]
            outcomes = _try(parser, list(wanted), options, Path(folder, "work", str(number)))
            counts = collections.Counter(outcome.partition(":")[0] for _, outcome in outcomes)
            total += counts
            print(f"{parser.name:32} {_told(counts)}  ({time.monotonic() - began:.0f} s)", flush=True)
            for at, outcome in _different(outcomes):
                print(f"    input {at}: {outcome}", flush=True)
                if options.keep:
                    _keep(parser, options.seed, at, options.keep)
    print(f"{'all':32} {_told(total)}")
    return int(bool(set(total) - {"read", "refused"}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=10_000, help="over all readers")
    parser.add_argument("--seconds", type=int, default=30, help="the longest that one file may take")
    parser.add_argument("--parsers", type=lambda text: text.split(";"), help="names, separated by semicolons")
    parser.add_argument("--only", type=int, help="number of the one input to try")
    parser.add_argument("--keep", type=Path, help="folder for the inputs that broke a reader")
    return parser.parse_args()


def _try(
    parser: Parser, wanted: list[int], options: argparse.Namespace, folder: Path
) -> list[tuple[int, str]]:
    """Outcomes by number; a process that dies costs its input alone, another one goes on behind it."""
    context = multiprocessing.get_context("fork")
    outcomes: list[tuple[int, str]] = []
    while len(outcomes) < len(wanted):
        left = wanted[len(outcomes) :]
        ours, theirs = context.Pipe()
        folder.mkdir(parents=True, exist_ok=True)
        child = context.Process(target=_work, args=(parser, left, options, folder, theirs))
        child.start()
        theirs.close()
        try:
            for at in left:
                if not ours.poll(options.seconds + _GRACE):
                    outcomes.append((at, "slow: not even ended by its alarm"))
                    break
                outcomes.append((at, ours.recv()))
        except EOFError:
            child.join()
            outcomes.append(
                (left[len(outcomes) - len(wanted) + len(left)], f"crash: exit code {child.exitcode}")
            )
        child.kill()
        child.join()
    return outcomes


def _work(
    parser: Parser, wanted: list[int], options: argparse.Namespace, folder: Path, results: Connection
) -> None:
    faulthandler.enable()
    signal.signal(signal.SIGALRM, _too_slow)
    for seed in parser.seeds:
        parser.read(seed)  # loads the libraries, so that they do not count
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for at in wanted:
        damage = drawn(random.Random(f"{options.seed}/{parser.name}/{at}"))
        size = len(damaged(parser, damage)[1])
        resource.setrlimit(resource.RLIMIT_AS, (own + BEYOND + size, resource.RLIM_INFINITY))
        signal.alarm(options.seconds)
        outcome = attempt(parser, damage, folder)
        if outcome.startswith("memory"):
            outcome = _measured(parser, damage, folder, own + BEYOND + size) or outcome
        signal.alarm(0)
        results.send(outcome if "SlowError" not in outcome else f"slow: {outcome}")


def _measured(parser: Parser, damage: Damage, folder: Path, most: int) -> str:
    """What comes of it without a limit, if no more memory is really used: FFmpeg has a limit of its own, above ours."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    outcome = attempt(parser, damage, folder)
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return outcome.replace("memory", "refused", 1).partition(":")[0] if 1024 * int(peak) < most else ""


def _too_slow(*_: object) -> None:
    raise SlowError


def _told(counts: collections.Counter[str]) -> str:
    return ", ".join(
        f"{counts[name]} {name}" for name in sorted(counts, key=lambda n: (n != "read", n != "refused", n))
    )


def _different(outcomes: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first of each kind of what must not happen."""
    kinds: dict[str, tuple[int, str]] = {}
    for at, outcome in outcomes:
        if outcome not in ("read", "refused"):
            places = re.findall(r'File "([^"]+)", line (\d+)', outcome)
            kinds.setdefault(str(places[-1:] or outcome[:60]), (at, outcome))
    return list(kinds.values())


def _keep(parser: Parser, seed: int, at: int, folder: Path) -> None:
    source, content = damaged(parser, drawn(random.Random(f"{seed}/{parser.name}/{at}")))
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", parser.name)
    (folder / f"{name}-{seed}-{at}{source.suffix}").write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
