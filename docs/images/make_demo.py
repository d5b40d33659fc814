"""The moving picture at the top of the README, from the run that `make demo` leaves.

    python docs/images/make_demo.py runs/fye-faster-cross-mini --out docs/images/demo.webp

One block for each clip of the run: portrait, driving video, generated video, true video, in step.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emojibench import load_dataset
from emojibench.media import read_video
from emojibench.reports.load import load_run
from emojibench.types import Frames

TITLES = ("portrait", "driving", "generated", "truth")
GAP, HEAD = 8, 18
"""Pixels between blocks, and of the line of titles above each."""


def block(folder: Path, clip_id: str, dataset: str, side: int) -> Frames:
    """The four pictures of a clip side by side, (T, side + HEAD, 4 side, 3)."""
    data = load_dataset(dataset)
    clip, truth = data.clip(clip_id), data.ground_truth(clip_id)
    generated = read_video(folder / "animations" / clip_id / "frames.mkv")
    driving = clip.load_driving_frames and clip.load_driving_frames()
    if driving is None or truth is None:
        raise SystemExit(f"{folder}: expected clips with driving videos and true frames, as those of mini")
    still = np.broadcast_to(clip.portrait, generated.shape)
    rows = [np.concatenate(pictures, 1) for pictures in zip(still, driving, generated, truth, strict=True)]
    small = [cv2.resize(row, (4 * side, side), interpolation=cv2.INTER_AREA) for row in rows]
    title = np.asarray(titles(side))
    return np.stack([np.concatenate([title, row]) for row in small]).astype(np.uint8)


def titles(side: int) -> Image.Image:
    """What each picture is, (HEAD, 4 side)."""
    line = Image.new("RGB", (4 * side, HEAD), "white")
    draw, font = ImageDraw.Draw(line), ImageFont.load_default(13)
    for index, text in enumerate(TITLES):
        draw.text(((index + 0.5) * side, HEAD / 2), text, "black", font, anchor="mm")
    return line


def main() -> None:
    """Read the arguments, write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder of a built-in dataset")
    parser.add_argument("--out", type=Path, required=True, help="a .webp")
    parser.add_argument("--side", type=int, default=108, help="of each picture, pixels")
    parser.add_argument("--every", type=int, default=3, help="show every n-th frame")
    parser.add_argument("--quality", type=int, default=40, help="of the WebP, 0 to 100")
    options = parser.parse_args()
    spec = load_run(options.run).spec
    blocks = [block(options.run, clip, spec.dataset, options.side)[:: options.every] for clip in spec.clips]
    blank = np.full((len(blocks[0]), *blocks[0].shape[1:]), 255, np.uint8)
    gap = blank[:, :, :GAP]
    pairs = [
        np.concatenate([left, gap, right], 2)
        for left, right in zip(blocks[::2], [*blocks[1::2], blank][: len(blocks[::2])], strict=True)
    ]
    first, *rest = [Image.fromarray(picture) for picture in np.concatenate(pairs, 1)]
    duration = round(1000 * options.every / 25)
    first.save(
        options.out,
        save_all=True,
        append_images=rest,
        duration=duration,
        loop=0,
        quality=options.quality,
        method=4,
    )
    print(f"{options.out}: {options.out.stat().st_size // 1000} kB, {len(rest) + 1} pictures")


if __name__ == "__main__":
    main()
