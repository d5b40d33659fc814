"""One long clip by each sampler: the paper's progressive strategy and its two competitors of Fig. 11.

    python benchmarks/long_clips.py --out long [--frames 256] [--sequence 0] [--cache balanced]

Renders an identity of `synth`, which no training saw, under a motion of that many frames, and animates its first frame
with the landmarks of the others. Writes one watermarked MP4 for each sampler and a sheet (truth and each sampler, from
top to bottom) and prints a Markdown table. Beside the metrics of the benchmark, on this one clip:

- `at joins`: how far the change from one frame to the next is off where a window begins, |dg - dt| with dg and dt the
  generated and the true difference, mean over pixels in [0, 1]; `elsewhere`: the same at all other frames.
"""

import argparse
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
from emojibench.synth.motion import sample_motion
from emojibench.synth.sequences import frames as rendered
from emojibench.synth.sequences import sequences
from emojibench.weights import find

FPS = 25.0
COLUMNS = ("l1", "landmark_accuracy", "jitter", "acceleration_error")
Frames = NDArray[np.uint8]


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--sequence", type=int, default=0, help="of synth: whose identity and motion seed")
    parser.add_argument("--cache", choices=CHOICES, default=DEFAULT)
    options = parser.parse_args()
    if options.frames <= MINI.window:
        parser.error(f"argument --frames: expected more than a window of {MINI.window}, got {options.frames}")
    options.out.mkdir(parents=True, exist_ok=True)
    known = sequences("synth")[options.sequence]
    motion = sample_motion(known.motion.seed, options.frames + 1)
    portrait, *others = rendered(known.identity, motion)
    truth = np.stack(others)
    pipeline = Pipeline.from_preset("mini")
    with open_detector() as detector:
        own = detector.detect(portrait)
        if own is None:
            raise SystemExit(f"no face on the first frame of {known.sequence_id}; try another --sequence")
        targets = detector.detect_video(iter(truth), fps=FPS).landmarks
        columns = " | ".join((*COLUMNS, "at joins", "elsewhere", "frames/s"))
        print(f"{known.sequence_id}, {options.frames} frames, cache {options.cache}, n = 1 clip\n")
        print(f"| sampler | {columns} |\n|{' --- |' * (len(COLUMNS) + 4)}")
        made = [truth]
        for name in SAMPLERS:
            clip = pipeline.animate(
                portrait,
                targets,
                portrait_landmarks=own,
                sampler=name,
                accelerator=preset(options.cache, pipeline.preset.steps),
            )
            found = detector.detect_video(iter(clip.frames), fps=FPS).landmarks
            arrays = ClipArrays(clip.frames, truth, portrait, targets, found)
            figures = {
                k: v
                for metric in (L1, LandmarkAccuracy, Jitter)
                for k, v in metric(find).measure(arrays).items()
            }
            values = [figures[column].value for column in COLUMNS]
            off = jumps(clip.frames, truth)
            at = np.array(starts(name, options.frames, pipeline.preset.window)) - 1
            values += [off[at].mean(), np.delete(off, at).mean(), options.frames / sum(clip.seconds.values())]
            print(f"| {name} | {' | '.join(f'{value:.4f}' for value in values)} |", flush=True)
            media.write_preview(options.out / f"{name}.mp4", clip.frames, FPS)
            made.append(clip.frames)
    cv2.imwrite(str(options.out / "sheet.png"), sheet(made)[..., ::-1])


if __name__ == "__main__":
    main()
