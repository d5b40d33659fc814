"""A look at the model while it trains: pictures and an L1 on identities it does not train on."""

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fye_faster.pipelines.mini import Animated, Frames, to_tensor
from fye_faster.train.critic import Perceptual
from fye_faster.train.data import TrainingSet
from fye_faster.train.training_log import Log


class Animates(Protocol):
    """`Pipeline`, `ReleasedPipeline`."""

    def animate(
        self,
        portrait: Frames,
        target_landmarks: NDArray[np.floating[Any]],
        *,
        portrait_landmarks: NDArray[np.floating[Any]] | None = None,
        guidance: float | None = None,
    ) -> Animated:
        """See `Pipeline.animate`."""
        ...


class Validation:
    """Animates a few held-out sequences with the averaged weights; give it to `Trainer.run`."""

    def __init__(
        self,
        pipeline: Animates,
        learnt: nn.Module,
        data: TrainingSet,
        out: Path,
        log: Log,
        frames: int = 4,
        *,
        perceptual: Perceptual | None = None,
        share: float = 0.0,
    ) -> None:
        """Use all of `data`'s sequences and `frames` frames of each; pictures go to `out`/validation.

        The portrait is the last of those that come before the other frames, or the first frame.

        Args:
            pipeline: not the one that is trained.
            learnt: the part of its model that takes the weights.
            data: held-out sequences.
            out: folder.
            log: takes the errors.
            frames: of each sequence.
            perceptual: tells how far frames are from the truth, such as LPIPS.
            share: of it in what the weights are judged by, as in `Recipe.perceptual`.
        """
        self.pipeline, self.learnt, self.data = pipeline, learnt, data
        self.out, self.log = out / "validation", log
        self.perceptual, self.share = perceptual, share
        self.portrait = data.portraits - 1
        self.chosen = np.unique(np.linspace(self.portrait + 1, data.frames.shape[1] - 1, frames).astype(int))

    def __call__(self, weights: dict[str, Tensor], label: str) -> float:
        """Log L1 on [0, 1] (with and without guidance, of repeating and of warping the portrait) and write a grid.

        Rows of the grid: portrait, warped portrait, truth, guided, unguided; one column for each generated frame.
        Returns what the weights are judged by: the guided L1, and of the perceptual distance the same share as in the
        decoder's loss, which is on [-1, 1], where L1 is twice as large.
        """
        self.learnt.load_state_dict(weights)
        errors: dict[str, list[float]] = {}
        distances: list[float] = []
        columns: list[Frames] = []
        for k, (frames, landmarks) in enumerate(zip(self.data.frames, self.data.landmarks, strict=True)):
            portrait, truth = frames[self.portrait], frames[self.chosen]
            results = {"copy": np.repeat(portrait[None], len(truth), 0)}
            results["warp"] = self.data.warped(k, self.portrait, self.chosen)
            rows = [*results.values(), truth]
            for name, guidance in (("guided", None), ("unguided", 1.0)):
                results[name] = self.pipeline.animate(
                    portrait,
                    landmarks[self.chosen],
                    portrait_landmarks=landmarks[self.portrait],
                    guidance=guidance,
                ).frames
                rows.append(results[name])
            for name, result in results.items():
                error = float(np.abs(result.astype(float) - truth).mean() / 255)
                errors.setdefault(name, []).append(error)
            if self.perceptual is not None:
                with torch.no_grad():
                    apart = self.perceptual.between(to_tensor(results["guided"]), to_tensor(truth))
                distances.append(float(apart.mean()))
            columns.append(np.concatenate([np.concatenate(list(row), 1) for row in rows], 0))
        self.out.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(self.out / f"{label}.png"), np.concatenate(columns, 1)[..., ::-1])
        means = {name: float(np.mean(found)) for name, found in errors.items()}
        perceptual = {"perceptual_guided": float(np.mean(distances))} if distances else {}
        self.log({"validation": label, **{f"l1_{name}": mean for name, mean in means.items()}, **perceptual})
        return means["guided"] + self.share / 2 * sum(perceptual.values())
