"""One run against others on the same clips: what the reference model gains, and where.

    python benchmarks/held_out.py runs/fye-faster-self runs/copy-reference-self runs/landmark-warp-self [--turns 15]

For each column that all runs measured: means with 95 % intervals, and the paired difference of the first run to each
other, over all clips and over those of the built-in datasets whose head turns far: yaw beyond --turns degrees in at
least a quarter of their frames. Intervals resample portraits. A difference whose interval excludes zero is marked
+ (better) or - (worse). Means over surviving frames say how many were lost. Prints Markdown.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emojibench.notebooks import share_lost
from emojibench.protocol.statistics import clustered_bootstrap, paired_difference
from emojibench.reports.columns import is_cost
from emojibench.reports.load import FinishedRun, load_run
from emojibench.synth.sequences import pairing, sequences


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--turns", type=float, default=15.0)
    arguments = parser.parse_args()
    runs = [load_run(path) for path in arguments.runs]
    tracks = {(run.track, run.spec.split) for run in runs}
    if len(tracks) != 1:
        parser.error(f"these runs are not comparable: {sorted(tracks)}")
    # Costs, which are not compared here, leave out the clip that warmed its process up.
    measured = [v for run in runs for column, v in run.values.items() if not is_cost(column)]
    everything = sorted(set.intersection(*map(set, measured)))
    turned = turning(runs[0], everything, arguments.turns)
    print(table(runs, everything, f"all {len(everything)} clips"))
    if len(turned) > 1:
        print(
            table(
                runs,
                turned,
                f"{len(turned)} clips with yaw beyond {arguments.turns:g} degrees in a quarter of their frames",
            )
        )


def turning(run: FinishedRun, clips: Sequence[str], degrees: float) -> list[str]:
    """Those of a built-in dataset's clips whose driving head turns far."""
    known = sequences(run.spec.dataset)
    drivers = pairing(known) if run.spec.split == "cross" else range(len(known))
    far = []
    for clip in clips:
        motion = known[drivers[int(clip.rpartition("-")[2])]].motion
        yaws = np.array([motion.at(k).yaw for k in range(len(motion))])
        if np.mean(np.abs(yaws) > degrees) >= 0.25:
            far.append(clip)
    return far


def table(runs: Sequence[FinishedRun], clips: Sequence[str], title: str) -> str:
    first = runs[0]
    names = [run.spec.method for run in runs]
    header = ["column", *names, *(f"{names[0]} - {name}" for name in names[1:])]
    lines = [f"\n**{title}, split {first.spec.split}**\n", "| " + " | ".join(header) + " |"]
    lines.append("|" + " --- |" * len(header))
    for column, summary in first.summaries.items():
        values = [run.values.get(column, {}) for run in runs]
        if is_cost(column) or summary.better == "none" or not all(set(clips) <= set(v) for v in values):
            continue
        subjects = [values[0][clip].subject for clip in clips]
        numbers = [np.array([v[clip].value for clip in clips]) for v in values]
        cells = [f"{column} {'↑' if summary.better == 'higher' else '↓'}"]
        for run, n in zip(runs, numbers, strict=True):
            interval = clustered_bootstrap(n, subjects)
            cell = f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]"
            lost = run.lost(column, clips)
            cells.append(f"{cell} ({share_lost(lost)})" if lost else cell)
        for other in numbers[1:]:
            difference = paired_difference(numbers[0], other, subjects)
            better = (difference.mean > 0) == (summary.better == "higher")
            sign = ("+" if better else "-") if difference.excludes_zero else " "
            cells.append(f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] {sign}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
