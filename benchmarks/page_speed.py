"""How long the page for browsers takes to make and to open, with 500 clips and 9 methods.

    python benchmarks/page_speed.py [--clips 500] [--methods 9] [--no-pictures]

Rows are synthetic: every run is finished, with the columns of all registered metrics, 100 portraits and four domains.
The page is made twice: from rows alone, which gives its size without videos; then with an animation of every clip (a
few small frames each, so that all thumbnails are there). Where Playwright and a Chromium are installed, the second page
is opened from disk: first paint, the times between frames while all clips scroll by, and the processor time that the
browser takes for each of them, which other work on the machine hardly changes.
"""

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow
import pyarrow.parquet as parquet
from emojibench_metrics.cost import TRAITS

from emojibench import media, registry
from emojibench.protocol import Protocol
from emojibench.reports import write_html
from emojibench.runs.columns import declared
from emojibench.runs.generate import write
from emojibench.runs.records import AnimationRecord, Row
from emojibench.runs.spec import RunSpec
from emojibench.runs.summarise import of_clips
from emojibench.runs.summary import ClipCounts, ColumnSummary, DatasetName, Summary

DOMAINS = ("animal", "cartoon", "realistic", "sculpture")
FRAMES, SIDE = 4, 64
SCROLL = """
async () => {
  const gaps = [];
  let last = await new Promise(requestAnimationFrame);
  const height = document.documentElement.scrollHeight;
  for (let y = 0; y < height; y += 60) {
    scrollTo(0, y);
    const now = await new Promise(requestAnimationFrame);
    gaps.push(now - last);
    last = now;
  }
  return gaps;
}
"""


def make_run(root: Path, method: str, clips: list[str], rng: np.random.Generator) -> Path:
    """A finished run folder without animations."""
    factories = registry.usable(registry.METRICS)
    columns = [(traits, factory.kind) for factory in factories.values() for traits in factory.traits]
    columns += [(traits, "clip") for traits in TRAITS]
    rows: list[Row] = []
    views: dict[str, ColumnSummary] = {}
    for traits, kind in columns:
        if kind == "set":
            continue
        low, high = traits.valid_range
        low, high = max(low, 0.0), min(high, 60.0)
        values = rng.uniform(low + 0.2 * (high - low), high - 0.2 * (high - low), len(clips))
        own = [
            Row(
                clip_id=clip, subject=f"subject-{number % 100}", domain=DOMAINS[number % 4], metric=traits.name,
                value=float(value), unit=traits.unit, n=64, total=64, status="ok",
            )
            for number, (clip, value) in enumerate(zip(clips, values, strict=True))
        ]  # fmt: skip
        rows += own
        views[traits.name] = of_clips(traits, own, len(clips))
    name = f"{method}-self-benchmark"
    folder = root / name
    folder.mkdir(parents=True)
    spec = RunSpec(
        name=name, source="method", method=method, revision="1", dataset_ref="benchmark", dataset="benchmark",
        dataset_version="1", dataset_digest="b" * 64, split="self", clips=tuple(clips), seed=0,
        metrics=tuple(factories), columns=declared(factories.values()), protocol=Protocol(detector="mesh 1"),
    )  # fmt: skip
    summary = Summary(
        name=name, method=method, revision="1", split="self", protocol=spec.protocol.id, metrics=views,
        dataset=DatasetName(name="benchmark", version="1", digest="b" * 64),
        clips=ClipCounts(expected=len(clips), animated=len(clips), failed={}),
    )  # fmt: skip
    provenance = {"stage": "animate", "device": "cpu", "code": {"commit": None, "dirty": None}}
    (folder / "spec.json").write_text(spec.model_dump_json())
    (folder / "provenance.json").write_text(json.dumps(provenance))
    table = pyarrow.Table.from_pylist([row.model_dump() for row in rows])
    parquet.write_table(table, folder / "rows.parquet", compression="zstd")
    (folder / "summary.json").write_text(summary.model_dump_json())
    return folder


def animate(folder: Path, clips: list[str], rng: np.random.Generator) -> None:
    """Give a run small animations."""
    for clip in clips:
        frames = rng.integers(0, 256, (FRAMES, 8, 8, 3), np.uint8)
        made = folder / "animations" / clip
        made.parent.mkdir(exist_ok=True)
        record = write(made, AnimationRecord(clip_id=clip, status="ok"), media.resize(frames, SIDE), 25.0)
        (made / "animation.json").write_text(record.model_dump_json())


def timed(runs: Path, out: Path) -> str:
    """Seconds by the clock and of the processor that making the page takes."""
    start, busy = time.perf_counter(), time.process_time()
    write_html(runs, out, quiet=True)
    return f"{time.perf_counter() - start:.1f} s ({time.process_time() - busy:.1f} s of CPU)"


def size(folder: Path) -> float:
    """MB of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def processor_time() -> float:
    """Seconds of all processes that this one has started: the browser."""
    return sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children(recursive=True))


def browse(index: Path) -> None:
    """Open the page and print what a reader waits for."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("not opened: needs Playwright (pip install '.[browser]') and a Chromium")
        return
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        for what, address in (
            ("leaderboard", "#"),
            ("500 clips of a cell", "#view=clips&run=method-0-self-benchmark"),
        ):
            tab.goto("about:blank")
            tab.goto(index.as_uri() + address)
            tab.wait_for_selector(".board, .card")
            paint: Any = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            full: Any = tab.evaluate(
                "new Promise(done => requestAnimationFrame(() => done(performance.now())))"
            )
            print(f"{what}: first paint after {paint / 1000:.2f} s, complete by {full / 1000:.2f} s")
        tab.wait_for_timeout(1000)  # thumbnails of the first screens
        before = processor_time()
        gaps = np.array(tab.evaluate(SCROLL))
        each = 1000 * (processor_time() - before) / len(gaps)
        median, most = np.quantile(gaps, [0.5, 0.95])
        print(
            f"scrolling by all clips, ms between {len(gaps)} frames: median {median:.0f}, 95 % {most:.0f}, ",
            end="",
        )
        print(f"longest {gaps.max():.0f}; processor time {each:.1f} ms a frame")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--methods", type=int, default=9)
    parser.add_argument(
        "--no-pictures", action="store_true", help="leave out the animations and their thumbnails"
    )
    options = parser.parse_args()
    clips = [f"clip-{number:04d}" for number in range(options.clips)]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as temporary:
        runs, out = Path(temporary) / "runs", Path(temporary) / "boards"
        folders = [make_run(runs, f"method-{number}", clips, rng) for number in range(options.methods)]
        index = out / "local" / "html" / "index.html"
        print(
            f"{options.clips} clips x {options.methods} methods, rows alone: {timed(runs, out)}, ",
            end="",
        )
        print(f"{size(index.parent):.1f} MB")
        if not options.no_pictures:
            for folder in folders:
                animate(folder, clips, rng)
            print(f"with {FRAMES} frames of {SIDE} pixels of each: {timed(runs, out)}, ", end="")
            print(f"{size(index.parent):.1f} MB")
            print(f"made again, nothing changed: {timed(runs, out)}")
        browse(index)


if __name__ == "__main__":
    main()
