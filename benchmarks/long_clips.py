"""Long clips by each sampler: the paper's progressive strategy and its two competitors of Fig. 11.

    python benchmarks/long_clips.py --out long [--clips 1] [--frames 256] [--cache balanced]

Renders the first identities of `synth`, which no training saw, under motions of that many frames, and animates each
first frame with the landmarks of the others. Writes a line to OUT/clips.jsonl for each finished clip (a second call
continues), a watermarked MP4 for each sampler, and a sheet (truth and each sampler, from top to bottom). Prints a
Markdown table of means with 95 % intervals over clips. Beside the metrics of the benchmark:

- `at joins`: how far the change from one frame to the next is off where a window begins, |dg - dt| with dg and dt the
  generated and the true difference, mean over pixels in [0, 1]; `elsewhere`: the same at all other frames;
  `joins - elsewhere`: the difference, clip by clip. Its interval includes zero where joins are no worse.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from emojibench_metrics.interface import ClipArrays
from emojibench_metrics.jitter import Jitter
from emojibench_metrics.l1 import L1
from emojibench_metrics.landmarks import LandmarkAccuracy
from fye_faster.accel.presets import CHOICES, DEFAULT, preset
from fye_faster.diffusion.long_clips import SAMPLERS
from fye_faster.diffusion.sampler import pieces, plan, spans
from fye_faster.pipelines.mini import Pipeline
from fye_faster.presets import MINI
from numpy.typing import NDArray

from emojibench import media
from emojibench.face import open_detector
from emojibench.protocol.statistics import clustered_bootstrap
from emojibench.synth.motion import sample_motion
from emojibench.synth.sequences import frames as rendered
from emojibench.synth.sequences import sequences
from emojibench.weights import find

FPS = 25.0
MEASURED = ("l1", "landmark_accuracy", "jitter", "acceleration_error")
JOINS = ("at joins", "elsewhere", "joins - elsewhere")
Frames = NDArray[np.uint8]
Figures = Mapping[str, Mapping[str, float]]
"""Of one clip: sampler to column to value."""


def starts(sampler: str, frames: int, length: int) -> list[int]:
    """Where windows of neighbouring frames begin, the first one's frame 0 left out."""
    if sampler == "progressive":
        windows = [window.frames for window in plan(frames, length)]
        first = {w[0] for w in windows if w == list(range(w[0], w[-1] + 1))}
    else:
        side_by_side = sampler == "concatenate"
        windows = pieces(frames, length) if side_by_side else spans(frames, length, length // 4)
        first = {span.start for span in windows}
    return sorted(first - {0})


def jumps(generated: Frames, truth: Frames) -> NDArray[np.float64]:
    """(T - 1,), entry k - 1 from frame k - 1 to frame k; see the module's text."""
    changes = [np.diff(frames.astype(np.float32) / 255, axis=0) for frames in (generated, truth)]
    return np.abs(changes[0] - changes[1]).mean((1, 2, 3), dtype=np.float64)


def sheet(rows: list[Frames], shown: int = 12, side: int = 112) -> NDArray[np.uint8]:
    """Frames spread evenly, from left to right; one row for each clip."""
    chosen = np.linspace(0, len(rows[0]) - 1, shown).round().astype(int)
    small = [
        [cv2.resize(clip[k], (side, side), interpolation=cv2.INTER_AREA) for k in chosen] for clip in rows
    ]
    return np.concatenate([np.concatenate(row, 1) for row in small], 0)


def measure(pipeline: Pipeline, sequence: int, frames: int, cache: str, out: Path) -> Figures:
    """Animate one sequence by each sampler; writes its MP4s and its sheet.

    Raises:
        ValueError: no face on the first frame, or a column could not be computed.
    """
    known = sequences("synth")[sequence]
    motion = sample_motion(known.motion.seed, frames + 1)
    portrait, *others = rendered(known.identity, motion)
    truth = np.stack(others)
    made, figures = [truth], {}
    with open_detector() as detector:
        own = detector.detect(portrait)
        if own is None:
            raise ValueError(f"no face on the first frame of {known.sequence_id}")
        targets = detector.detect_video(iter(truth), fps=FPS).landmarks
        for name in SAMPLERS:
            clip = pipeline.animate(
                portrait,
                targets,
                portrait_landmarks=own,
                sampler=name,
                accelerator=preset(cache, pipeline.preset.steps),
            )
            found = detector.detect_video(iter(clip.frames), fps=FPS).landmarks
            arrays = ClipArrays(clip.frames, truth, portrait, targets, found)
            values = {}
            for metric in (L1, LandmarkAccuracy, Jitter):
                for column, figure in metric(find).measure(arrays).items():
                    if column in MEASURED and figure.value is None:
                        raise ValueError(f"{known.sequence_id}, {name}: no {column}, {figure.reason}")
                    if column in MEASURED:
                        values[column] = figure.value
            off = jumps(clip.frames, truth)
            at = np.array(starts(name, frames, pipeline.preset.window)) - 1
            joins, elsewhere = float(off[at].mean()), float(np.delete(off, at).mean())
            values |= dict(zip(JOINS, (joins, elsewhere, joins - elsewhere), strict=True))
            values["frames/s"] = frames / sum(clip.seconds.values())
            figures[name] = values
            media.write_preview(out / f"{known.sequence_id}-{name}.mp4", clip.frames, FPS)
            made.append(clip.frames)
    cv2.imwrite(str(out / f"{known.sequence_id}.png"), sheet(made)[..., ::-1])
    return figures


def table(clips: list[Figures]) -> str:
    """Markdown; intervals from two clips on, which all have their own portrait."""
    columns = (*MEASURED, *JOINS, "frames/s")
    lines = [f"| sampler | {' | '.join(columns)} |", f"|{' --- |' * (len(columns) + 1)}"]
    for name in SAMPLERS:
        cells = []
        for column in columns:
            values = [clip[name][column] for clip in clips]
            if len(values) == 1:
                cells.append(f"{values[0]:.4f}")
            else:
                interval = clustered_bootstrap(values, range(len(values)))
                cells.append(f"{interval.mean:.4f} [{interval.low:.4f}, {interval.high:.4f}]")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=1, help="the first sequences of synth")
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--cache", choices=CHOICES, default=DEFAULT)
    options = parser.parse_args()
    if options.frames <= MINI.window:
        parser.error(f"argument --frames: expected more than a window of {MINI.window}, got {options.frames}")
    if not 1 <= options.clips <= len(sequences("synth")):
        parser.error(
            f"argument --clips: expected 1 to {len(sequences('synth'))} sequences, got {options.clips}"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    pipeline = Pipeline.from_preset("mini")
    log = options.out / "clips.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    done = {tuple(entry["key"]): entry["figures"] for entry in map(json.loads, lines)}
    clips = []
    for sequence in range(options.clips):
        key = (sequence, options.frames, options.cache, pipeline.digest)
        if key not in done:
            try:
                done[key] = measure(pipeline, sequence, options.frames, options.cache, options.out)
            except ValueError as error:
                parser.error(str(error))
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "figures": done[key]}) + "\n")
        clips.append(done[key])
        print(f"{len(clips)} of {options.clips} clips", file=sys.stderr, flush=True)
    print(f"{options.frames} frames, cache {options.cache}, n = {len(clips)}\n\n{table(clips)}")


if __name__ == "__main__":
    main()
