"""Frames per second and peak memory of the `mini` preset on a CPU.

    python benchmarks/model_speed.py [--caches none balanced fast] [--lengths 64 256 1000] [--steps 2] [--compile]

Each row is a fresh process that animates one clip of the built-in dataset; longer clips play its motion to and fro.
The first table: 64 frames in the preset's 30 steps, with each cache; with --compile each of them a second time on a
compiled denoiser, compiled by a clip of the same length before. The second: what the length of a clip does to
memory, uncached in --steps steps and with the fastest cache. `loaded` is the peak before the first frame (libraries,
weights), `returned` the frames and latents that the caller gets, which grow as they must; what is left of the peak is
the work.
"""

import argparse
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

MIB = 2**20


@dataclass(frozen=True)
class Scene:
    """A portrait (H, W, 3), its landmarks (478, 3) and those to move it to (64, 478, 3)."""

    portrait: NDArray[np.uint8]
    own: NDArray[np.float32]
    targets: NDArray[np.float32]


@dataclass(frozen=True)
class Cost:
    """Wall-clock seconds of each stage, and bytes."""

    seconds: dict[str, float]
    loading: float
    """Seconds from the file to a pipeline, libraries imported."""
    loaded: int
    peak: int
    returned: int


def scene() -> Scene:
    """The first clip of `mini`."""
    from emojibench import load_dataset
    from emojibench.dataset.targets import target_landmarks

    dataset = load_dataset("mini")
    clip = dataset.clip(dataset.clip_ids("cross")[0])
    return Scene(clip.portrait, clip.portrait_landmarks, target_landmarks(clip))


def animate(scene: Scene, frames: int, cache: str, steps: int, compiled: bool = False) -> Cost:
    """What a clip costs in this process; a small one goes before it, so that nothing is timed cold."""
    from fye_faster.accel import presets
    from fye_faster.pipelines.mini import Pipeline

    start = time.perf_counter()
    pipeline = Pipeline.from_preset("mini")
    loading = time.perf_counter() - start
    loaded = peak()
    there = len(scene.targets)
    turn = np.abs((np.arange(frames) + there - 1) % (2 * there - 2) - (there - 1))  # 0, 1, .. 63, 62, .. 0, 1
    pipeline.animate(scene.portrait, scene.targets[:2], portrait_landmarks=scene.own, steps=1)
    if compiled:
        accelerator = presets.compiled(cache, steps, pipeline.model.animator.denoiser)
    else:
        accelerator = presets.preset(cache, steps)
    for _ in range(1 + compiled):
        made = pipeline.animate(
            scene.portrait,
            scene.targets[turn],
            portrait_landmarks=scene.own,
            steps=steps,
            accelerator=accelerator,
        )
    return Cost(made.seconds, loading, loaded, peak(), made.frames.nbytes + made.latents.nbytes)


def peak() -> int:
    """Bytes of this process's resident memory at its largest; Linux counts KiB, macOS bytes."""
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--caches", nargs="+", default=["none", "near-lossless", "balanced", "fast"])
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 256, 1000], help="in frames")
    parser.add_argument("--steps", type=int, default=2, help="of the uncached rows of the second table")
    parser.add_argument("--compile", action="store_true", help="measure each cache compiled, too")
    parser.add_argument("--frames", type=int, default=64, help="of the first table")
    options = parser.parse_args()
    ways = (False, True) if options.compile else (False,)
    rows = [(options.frames, cache, 30, compiled) for cache in options.caches for compiled in ways]
    grown = [(frames, *how) for how in (("none", options.steps), ("fast", 30)) for frames in options.lengths]
    # This process stays small: on Linux a child's peak starts at its parent's.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        shown = pool.submit(scene).result()
        print(f"{'cache':9s} compiled steps frames    loading  condition   denoise    decode  frames/s")
        for row in rows:
            cost = pool.submit(animate, shown, *row).result()
            stages = [cost.seconds[name] for name in ("condition", "denoise", "decode")]
            told = " ".join(f"{seconds:8.2f} s" for seconds in stages)
            began = (
                f"{row[1]:9s} {'yes' if row[3] else 'no':8s} {row[2]:5d} {row[0]:6d} {cost.loading:8.2f} s"
            )
            print(f"{began} {told} {row[0] / sum(stages):9.2f}", flush=True)
        print(f"\n{'cache':9s} steps frames     loaded       peak   returned       work  (MiB)")
        for row in grown:
            cost = pool.submit(animate, shown, *row).result()
            sizes = (cost.loaded, cost.peak, cost.returned, cost.peak - cost.loaded - cost.returned)
            told = " ".join(f"{size / MIB:10.0f}" for size in sizes)
            print(f"{row[1]:9s} {row[2]:5d} {row[0]:6d} {told}", flush=True)


if __name__ == "__main__":
    main()
