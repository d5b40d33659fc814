"""Several runs side by side as one picture: portrait, driving, each run, ground truth.

    python benchmarks/contact_sheet.py runs/landmark-warp-cross-synth runs/fye-faster-cross-synth --out sheet.jpg

One row for each of the first --clips clips of the runs' dataset; of each clip, frames spread evenly. From left to
right: the portrait, then for each frame the driving head, one column for each run in the order given, and the ground
truth where it is known.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emojibench import load_dataset
from emojibench.media import read_video
from emojibench.reports.load import load_run

Image = NDArray[np.uint8]
GAP = 6
"""Pixels of white between groups."""


def rows(folders: list[Path], clips: int, shown: int, side: int) -> Iterator[Image]:
    """One strip (side, width, 3) for each clip."""
    spec = load_run(folders[0]).spec
    dataset = load_dataset(spec.dataset)
    for clip_id in dataset.clip_ids(spec.split)[:clips]:
        clip, truth = dataset.clip(clip_id), dataset.ground_truth(clip_id)
        videos = [read_video(folder / "animations" / clip_id / "frames.mkv") for folder in folders]
        driving = clip.load_driving_frames and clip.load_driving_frames()
        columns = [video for video in (driving, *videos, truth) if video is not None]
        last = min(map(len, columns)) - 1  # a run may have been cut with --frames
        chosen = np.linspace(0, last, shown + 1).round().astype(int)[1:]
        yield strip([[clip.portrait], *([column[k] for column in columns] for k in chosen)], side)


def strip(groups: list[list[Image]], side: int) -> Image:
    """Groups of pictures from left to right."""
    gap = np.full((side, GAP, 3), 255, np.uint8)
    parts = []
    for group in groups:
        parts += [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA) for picture in group]
        parts.append(gap)
    return np.concatenate(parts[:-1], 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a .jpg or .png")
    parser.add_argument(
        "--clips", type=int, default=8, help="of the built-in datasets, 8 are two of each domain"
    )
    parser.add_argument("--frames", type=int, default=3, help="of each clip")
    parser.add_argument("--side", type=int, default=128, help="of each picture, pixels")
    options = parser.parse_args()
    strips = list(rows(options.runs, options.clips, options.frames, options.side))
    cv2.imwrite(str(options.out), np.concatenate(strips, 0)[..., ::-1])
    print(options.out)


if __name__ == "__main__":
    main()
