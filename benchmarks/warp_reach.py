"""How far around the face `landmark-warp` should carry the surroundings, measured on training sequences only.

    python benchmarks/warp_reach.py [--sequences 16]

Prints L1 of each reach (in face heights) for self reenactment of embedded training
sequences, which no split contains. `emojibench.face.warp._REACH` is the largest
within 0.0002 of the best, so that hair moves with the head.
"""

import argparse

import numpy as np

from emojibench.face import open_detector
from emojibench.face import warp as warping
from emojibench.synth.render import render
from emojibench.synth.sequences import training_sequences

REACHES = (0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.7, 0.9)
EVERY = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sequences", type=int, default=16)
    count = parser.parse_args().sequences
    errors: dict[float, list[float]] = {reach: [] for reach in REACHES}
    with open_detector("auto") as detector:
        for sequence in training_sequences(count):
            frames = np.stack(
                [
                    render(sequence.identity, sequence.motion.at(k))
                    for k in range(0, len(sequence.motion), EVERY)
                ]
            )
            landmarks = detector.detect_video(frames, fps=25).landmarks
            if np.isnan(landmarks[0]).any():
                continue
            for reach in REACHES:
                warping._REACH = reach
                warp = warping.Warp(frames[0], landmarks[0])
                for frame, target in zip(frames[1:], landmarks[1:], strict=True):
                    if not np.isnan(target).any():
                        errors[reach].append(float(np.abs(warp(target).astype(float) - frame).mean() / 255))
    for reach, values in errors.items():
        print(f"reach {reach:4.2f}  L1 {np.mean(values):.4f}  n {len(values)}")


if __name__ == "__main__":
    main()
