"""The command line on a tiny benchmark and a tiny model, to be killed: `python kill_driver.py COMMAND ...`."""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # what this script imports is no part of the command

import dataclasses  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import fakes  # noqa: E402


class SlowMethod(fakes.FakeMethod):
    """Takes long enough to be killed, and for the last clip so long that the other worker has nothing to do."""

    def animate(self, clip: Any, *, seed: int, progress: Any) -> Any:
        time.sleep(1.0 if clip.clip_id == fakes.IDS[-1] else 0.15)
        return super().animate(clip, seed=seed, progress=progress)


def _tiny_benchmark() -> None:
    from emojibench.runs import api

    api.load_dataset, api.open_detector = fakes.load_dataset, fakes.open_detector  # type: ignore[assignment]


def _tiny_model(*, rendered: bool) -> None:
    import numpy as np
    from fye_faster import presets
    from fye_faster.train import recipe
    from fye_faster.train.data import TrainingSet
    from tiny_model import TINY

    from emojibench.fye import training_data as training

    def made_up(_folder: Path, count: int, size: int, *, fresh: bool) -> TrainingSet:
        rng = np.random.default_rng(0)
        frames = rng.integers(0, 256, (count, 5, size, size, 3), np.uint8)
        landmarks = rng.uniform(0.3, 0.7, (count, 5, 478, 3)).astype(np.float32)
        return TrainingSet(frames, landmarks, 1, ((1, 2, 3),), ((0, 4),))

    presets.PRESETS[TINY.name] = TINY
    if not rendered:
        training.synthetic = made_up
    names = [f.name for f in dataclasses.fields(recipe.Recipe) if f.default is not dataclasses.MISSING]
    start: Any = recipe.Recipe.__init__
    start.__defaults__ = tuple(
        0.0 if name == "checkpoint_minutes" else value
        for name, value in zip(names, start.__defaults__, strict=True)
    )


def main() -> None:
    if sys.argv[1] in ("run", "score") and "mini" not in sys.argv:
        _tiny_benchmark()
    if sys.argv[1] == "train":
        _tiny_model(rendered="--data-only" in sys.argv)
    from emojibench.cli import main as command_line

    signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
