"""Searches solvers, caches and schedules for the presets of the reference model (`emojibench.fye.search.searching`).

    python benchmarks/search_cache.py [--clips 4] [--frames 16] [--refine 10] [--out leaderboards/acceleration/search]

Writes OUT.jsonl, a line for each run as soon as it is done (a second call continues), and OUT.md.
"""

import argparse
from functools import partial
from pathlib import Path

from fye_faster.pipelines.mini import Pipeline

from emojibench.files.writing import write_text
from emojibench.fye.search.searching import page, search
from emojibench.reports.markdown import render


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=4, help="training sequences")
    parser.add_argument("--frames", type=int, default=16, help="of each; at most the preset's window")
    parser.add_argument("--refine", type=float, default=10, help="minutes of refinement for each budget")
    parser.add_argument("--cache", type=Path, default=Path("runs/search-cache"), help="for what can be kept")
    parser.add_argument("--out", type=Path, default=Path("leaderboards/acceleration/search"))
    options = parser.parse_args()
    try:
        found = search(
            Pipeline.from_preset("mini"), clips=options.clips, frames=options.frames, minutes=options.refine,
            kept=options.cache, log=options.out.with_suffix(".jsonl"), say=partial(print, flush=True),
        )  # fmt: skip
    except ValueError as error:
        parser.error(str(error))
    command = (
        f"python benchmarks/search_cache.py --clips {options.clips} --frames {options.frames} "
        f"--refine {options.refine:g}"
    )
    text = render(page(found, command))
    write_text(options.out.with_suffix(".md"), text)
    print(text)


if __name__ == "__main__":
    main()
