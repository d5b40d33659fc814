"""A look at the model while it trains: pictures and an L1 on identities it does not train on."""

from pathlib import Path

import cv2
import numpy as np
from torch import Tensor

from reference_model.checkpoint import Model
from reference_model.pipeline import Frames, Pipeline
from reference_model.presets import Preset
from reference_model.training import Log
from reference_model.training_data import TrainingSet


class Validation:
    """Animates a few held-out sequences with the averaged weights; give it to `Trainer.run`."""

    def __init__(self, preset: Preset, data: TrainingSet, out: Path, log: Log, frames: int = 4) -> None:
        """Use all of `data`'s sequences and `frames` frames of each; pictures go to `out`/validation.

        The portrait is the last of those that `data` offers.
        """
        self.pipeline = Pipeline(Model(preset))
        self.data, self.out, self.log = data, out / "validation", log
        self.chosen = np.unique(
            np.linspace(data.moved.shape[1], data.frames.shape[1] - 1, frames).astype(int)
        )

    def __call__(self, weights: dict[str, Tensor], label: str) -> None:
        """Log L1 on [0, 1] (with and without guidance, of repeating and of warping the portrait) and write a grid.

        Rows of the grid: portrait, warped portrait, truth, guided, unguided; one column for each generated frame.
        """
        self.pipeline.model.load_state_dict(weights)
        errors: dict[str, list[float]] = {"copy": [], "warp": [], "guided": [], "unguided": []}
        columns: list[Frames] = []
        first = self.data.moved.shape[1] - 1
        for frames, landmarks, moved in zip(
            self.data.frames, self.data.landmarks, self.data.moved, strict=True
        ):
            portrait, truth = frames[first], frames[self.chosen]
            results = {"copy": np.repeat(portrait[None], len(truth), 0), "warp": moved[first, self.chosen]}
            for name, guidance in (("guided", None), ("unguided", 1.0)):
                results[name] = self.pipeline.animate(
                    portrait, landmarks[self.chosen], portrait_landmarks=landmarks[first], guidance=guidance
                ).frames
            for name, result in results.items():
                errors[name].append(float(np.abs(result.astype(float) - truth).mean() / 255))
            rows = (results["copy"], results["warp"], truth, results["guided"], results["unguided"])
            columns.append(np.concatenate([np.concatenate(list(row), 1) for row in rows], 0))
        self.out.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(self.out / f"{label}.png"), np.concatenate(columns, 1)[..., ::-1])
        self.log({"validation": label, **{f"l1_{name}": float(np.mean(e)) for name, e in errors.items()}})
