"""What is special about training the paper's model: it starts from public checkpoints and learns the animator alone.

Autoencoder and CLIP stay frozen; the portraits' tokens are made anew for each batch, which costs little beside the
denoiser. Any frame of a sequence serves as the portrait of the others. Shapes: as in `batches`.
"""

import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fye_faster.models.paper import PaperModel, PaperPreset
from fye_faster.nets.animator import temporal
from fye_faster.pipelines.mini import to_tensor
from fye_faster.pipelines.paper import PaperPipeline
from fye_faster.pipelines.released import condition_maps
from fye_faster.train.batches import Batches, ClipBatch, to_device
from fye_faster.train.data import Indices, TrainingSet
from fye_faster.train.latents import Latents
from fye_faster.train.objectives import Objectives
from fye_faster.train.recipe import PHASES, Recipe
from fye_faster.train.trainer import Trainer
from fye_faster.train.training_log import Log

RECIPE = Recipe(minutes=60, shares=(0, 0.75, 0.25, 0), learning_rate=1e-5, targets=1, clips=1)
"""Peak of the learning rate and the phases' shares as in the paper (30,000 and 10,000 steps at a constant rate,
batches of 32 on 32 A800 GPUs); batches as large as one such GPU should hold."""


@dataclass(frozen=True, kw_only=True)
class PaperClipBatch(ClipBatch):
    """With what CLIP is shown."""

    pictures: Tensor
    """(P, 3, H, W) in [-1, 1], the portraits that are seen."""


class PaperBatches(Batches):
    """Batches of phases 1 and 2."""

    preset: PaperPreset

    def __init__(self, data: TrainingSet, preset: PaperPreset, recipe: Recipe, seed: int) -> None:
        """As `Batches`; all frames serve as portraits."""
        super().__init__(replace(data, portraits=data.frames.shape[1]), preset, recipe, seed)

    def maps(self, points: NDArray[np.floating[Any]]) -> Tensor:
        """See `Batches`."""
        return condition_maps(points, self.preset.resolution)

    def _clip_batch(
        self, sequences: Indices, references: Indices, frames: Indices, **chosen: Any
    ) -> PaperClipBatch:
        scenes = super()._clip_batch(sequences, references, frames, **chosen)
        shown = slice(scenes.hidden, None)
        looked = (sequences[chosen["seen"]][shown], references[chosen["seen"]][shown])
        return PaperClipBatch(**vars(scenes), pictures=to_tensor(self.data.frames[looked]))


class PaperObjectives(Objectives):
    """Losses of phases 1 and 2."""

    model: PaperModel

    def _denoise(self, scenes: PaperClipBatch, noisy: Tensor) -> Tensor:
        """See `Objectives`."""
        animator = self.model.animator
        if len(scenes.seen):
            with torch.no_grad():
                tokens = self.model.tokens(scenes.pictures)
            animator.set_reference(animator.encode_reference(scenes.seen, tokens))
            animator.drop_reference(scenes.hidden)
        else:
            animator.clear_reference()
        return animator.denoise(noisy, scenes.t, animator.encode_condition(scenes.maps, scenes.anchors))


class PaperTrainer(Trainer):
    """Runs phases 1 and 2."""

    phases = PHASES[1:3]
    model: PaperModel

    def __init__(
        self,
        model: PaperModel,
        data: TrainingSet,
        recipe: Recipe,
        out: Path | None,
        log: Log,
        start: str | None = None,
    ) -> None:
        """Train the animator of a model that `paper.start` has filled; as `Trainer`."""
        self.chosen = {phase: set(names) for phase, names in phases(model).items()}
        batches = partial(PaperBatches, data, model.preset, recipe)
        super().__init__(model, model.animator, batches, recipe, out, log, start)

    def _objectives(self) -> Objectives:
        return PaperObjectives(self.model, self.recipe.ffg)

    def _trained_in(self, name: str, parameter: nn.Parameter) -> set[str]:
        return {phase for phase, names in self.chosen.items() if name in names}

    def _encode(self, pictures: Tensor) -> Tensor:
        """See `Trainer`."""
        return self.model.encode(pictures)

    def _encoder(self) -> dict[str, Tensor]:
        """See `Trainer`."""
        return dict(self.model.autoencoder.state_dict())

    def _begin(self, phase: str) -> None:
        super()._begin(phase)
        checkpoint_activations(self.model, phase)


def phases(model: PaperModel) -> dict[str, list[str]]:
    """Names of the animator's parameters that each phase trains."""
    animator, later = model.animator, temporal(model.animator)
    # The reference net's last projection comes after its last feature: it would never get a gradient.
    useless = {id(p) for p in animator.reference_net.up_blocks[-1].attentions[-1].proj_out.parameters()}
    chosen: dict[str, list[str]] = {"frames": [], "clips": []}
    for name, parameter in animator.named_parameters():
        if id(parameter) not in useless:
            chosen["clips" if id(parameter) in later else "frames"].append(name)
    return chosen


def checkpoint_activations(model: PaperModel, phase: str) -> None:
    """Recompute the denoiser's activations of clips instead of keeping them, which saves most of the memory.

    Not those of single frames: motion modules are off there in the forward pass only.
    """
    denoiser = model.animator.denoiser
    if phase == "clips":
        denoiser.enable_gradient_checkpointing()
    else:
        denoiser.disable_gradient_checkpointing()


def validation_pipeline(model: PaperModel) -> PaperPipeline:
    """A pipeline with an animator of its own, in half precision on a GPU; the frozen rest is shared."""
    with torch.device("meta"):
        twin = PaperModel(model.preset)
    twin.animator = copy.deepcopy(model.animator)
    if next(model.parameters()).is_cuda:
        twin.animator.half()
    twin.autoencoder, twin.image_encoder = model.autoencoder, model.image_encoder
    return PaperPipeline(twin)


def dry_run(preset: PaperPreset, data: TrainingSet, recipe: Recipe) -> dict[str, Any]:
    """Two batches of the data through networks without memory, forward and backward: do all shapes fit?

    Args:
        preset: the sizes.
        data: of the preset's resolution.
        recipe: sizes of the batches.

    Returns:
        Parameters in all and `trained` in each phase, and the GiB that training keeps in single precision: weights,
        their average, and of what the larger phase trains gradients and two moments. Activations come on top.

    Raises:
        ValueError: frames of another size.
    """
    side = preset.resolution
    if data.frames.shape[2:4] != (side, side):
        raise ValueError(f"frames: expected {side}x{side} pixels, got {data.frames.shape[2:4]}")
    with torch.device("meta"):
        model = PaperModel(preset)
        objectives = PaperObjectives(model, recipe.ffg)
    objectives.to("meta")  # the noise schedule comes from NumPy, whatever the device
    batches = PaperBatches(data, preset, recipe, recipe.seed)
    latents = np.zeros((*data.frames.shape[:2], 4, *(preset.latent_size,) * 2), np.float16)
    batches.latents = Latents(latents, None)
    model.requires_grad_(False)
    parameters = dict(model.animator.named_parameters())
    trained = {}
    for phase, names in phases(model).items():
        trained[phase] = sum(parameters[name].numel() for name in names)
        for name in names:
            parameters[name].requires_grad_(True)
        checkpoint_activations(model, phase)
        (scenes,) = batches.draw(phase, 1)
        loss, _ = objectives(phase, to_device(scenes, torch.device("meta")))
        loss.backward()
        model.requires_grad_(False)
    kept = sum(p.numel() for p in model.parameters()) + sum(p.numel() for p in model.animator.parameters())
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained": trained,
        "training_state_gib": round(4 * (kept + 3 * max(trained.values())) / 2**30, 1),
    }
