"""Can a face-mesh detector read the built-in dataset? Detection rate, correlations with the truth, and speed.

    python benchmarks/synth_readability.py [--frames 2000] [--split synth|training] [--processes 2]

Frames are drawn at random (seeded) over sequences and time. Readings from MediaPipe's 478 points: mouth = gap between
the inner lips over the distance of the outer eye corners; blink = minus the lids' gap over the eye's width, mean of
both eyes; gaze = the iris' place between the eye corners, both eyes weighted by their width in
the picture, where both eyes are at least half open; yaw = angle between the cheeks in the
horizontal plane. Truth: the lip gap and (minus) the lid gap as rendered, gaze_x and yaw.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections import defaultdict

import cv2
import numpy as np

from emojibench.face.points import (
    EARS,
    INNER_LIP_MIDDLES,
    LEFT_EYE_CORNERS,
    LEFT_EYELIDS,
    LEFT_PUPIL,
    OUTER_EYE_CORNERS,
    RIGHT_EYE_CORNERS,
    RIGHT_EYELIDS,
    RIGHT_PUPIL,
)  # fmt: skip
from emojibench.synth.eyes import lid_gap
from emojibench.synth.identity import DOMAINS, Identity
from emojibench.synth.motion import State
from emojibench.synth.mouth import lip_gap
from emojibench.synth.render import render
from emojibench.synth.sequences import Sequence, sequences, training_sequences

READINGS = ("mouth", "blink", "gaze", "yaw")
# Outer corner, inner corner, upper lid, lower lid, iris: the subject's right eye, then the left.
EYES = ((*RIGHT_EYE_CORNERS, *RIGHT_EYELIDS, RIGHT_PUPIL), (*LEFT_EYE_CORNERS, *LEFT_EYELIDS, LEFT_PUPIL))


def read(points: np.ndarray) -> tuple[float, float, float, float]:
    """Mouth, blink, gaze and yaw from (478, 3) points in pixels."""
    lids, irises, widths = [], [], []
    for outer, inner, upper, lower, iris in EYES:
        left, right = sorted((points[outer, :2], points[inner, :2]), key=lambda p: p[0])
        axis = right - left
        width = float(np.hypot(*axis))
        widths.append(width)
        lids.append(
            float(np.linalg.norm(points[upper] - points[lower]))
            / float(np.linalg.norm(points[outer] - points[inner]))
        )
        irises.append(float((points[iris, :2] - (left + right) / 2) @ axis) / width)
    cheeks = points[EARS[1]] - points[EARS[0]]
    opening, eyes = (points[a] - points[b] for a, b in (INNER_LIP_MIDDLES, OUTER_EYE_CORNERS))
    mouth = float(np.linalg.norm(opening) / np.linalg.norm(eyes))
    return (
        mouth,
        -float(np.mean(lids)),
        sum(irises) / sum(widths),
        float(np.degrees(np.arctan2(cheeks[2], cheeks[0]))),
    )


def truth(identity: Identity, state: State) -> tuple[float, float, float, float]:
    """What the renderer was told, in the same order."""
    blink = -(lid_gap(identity, state.blink_left) + lid_gap(identity, state.blink_right)) / 2
    gaze = state.gaze_x if max(state.blink_left, state.blink_right) < 0.5 else float("nan")
    return lip_gap(state), blink, gaze, state.yaw


def measure(chosen: list[tuple[Sequence, int]], size: int) -> None:
    from mediapipe.python.solutions.face_mesh import FaceMesh

    found: dict[str, list[bool]] = defaultdict(list)
    pairs: dict[str, list[tuple[tuple[float, ...], tuple[float, ...]]]] = defaultdict(list)
    missed: dict[str, int] = defaultdict(int)
    with FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        for sequence, k in chosen:
            state = sequence.motion.at(k)
            frame = render(sequence.identity, state, size)
            faces = mesh.process(frame).multi_face_landmarks
            found[sequence.domain].append(bool(faces))
            if not faces:
                missed[f"{sequence.domain} {sequence.identity.kind} {sequence.sequence_id}"] += 1
                continue
            points = np.array([(p.x, p.y, p.z) for p in faces[0].landmark]) * size
            pairs[sequence.domain].append((read(points), truth(sequence.identity, state)))
    everything = [hit for hits in found.values() for hit in hits]
    print(f"{'domain':<10} {'frames':>6} {'found':>8}" + "".join(f"{name:>8}" for name in READINGS))
    for domain in (*DOMAINS, "all"):
        hits = everything if domain == "all" else found[domain]
        rows = [p for d in DOMAINS for p in pairs[d]] if domain == "all" else pairs[domain]
        seen, told = (np.array([row[i] for row in rows]) for i in (0, 1))
        ok = [np.isfinite(told[:, i]) for i in range(4)]
        r = [np.corrcoef(seen[ok[i], i], told[ok[i], i])[0, 1] for i in range(4)]
        print(f"{domain:<10} {len(hits):>6} {np.mean(hits):>8.2%}" + "".join(f"{value:>8.3f}" for value in r))
    for name, count in sorted(missed.items(), key=lambda item: -item[1])[:10]:
        print(f"  missed {count:>3} x {name}")


def seconds(sequence: Sequence, size: int) -> float:
    """Wall-clock seconds of a frame, the identity being prepared."""
    cv2.setNumThreads(1)
    states = [sequence.motion.at(k) for k in range(len(sequence.motion))]
    render(sequence.identity, states[0], size)
    start = time.perf_counter()
    for state in states:
        render(sequence.identity, state, size)
    return (time.perf_counter() - start) / len(states)


def speed(chosen: list[Sequence], size: int, processes: int) -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"  # the new processes read it when they load numpy
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        taken = pool.starmap(seconds, [(sequence, size) for sequence in chosen], chunksize=1)
    for sequence, each in zip(chosen, taken, strict=True):
        print(f"{sequence.domain:<10} {1 / each:>6.1f} frames/s in one of {processes} processes")
    print(f"{'all':<10} {processes / float(np.mean(taken)):>6.1f} frames/s in {processes} processes\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--split", choices=("synth", "training"), default="synth")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--processes", type=int, default=2, help="of the rendering whose speed is measured")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pool = sequences("synth") if options.split == "synth" else training_sequences(500)
    speed(pool[:8], options.size, options.processes)
    rng = np.random.Generator(np.random.PCG64(0))
    # At most 250 sequences, several moments of each: preparing an identity costs as much as many of its frames.
    which = rng.choice(len(pool), min(250, len(pool), options.frames), replace=False)
    picks = [
        (pool[int(which[n * len(which) // options.frames])], int(rng.integers(64)))
        for n in range(options.frames)
    ]
    measure(picks, options.size)


if __name__ == "__main__":
    main()
