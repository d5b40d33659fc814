"""What `emojibench animate` animates with: presets of the reference model and registered methods, behind one call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from emojibench import registry, weights
from emojibench.dataset.clip import Clip
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import UserError, one_line
from emojibench.methods import Progress, finding, working_size
from emojibench.runs.generate import check, seed_everything
from emojibench.types import Frames

if TYPE_CHECKING:
    from fye_faster.pipelines.mini import Animated
    from fye_faster.pipelines.released import ReleasedPipeline


SIDE = 256
"""Of the frames of methods that take any size, pixels."""
_DRAWN = (
    "preset {preset} was trained on drawn (procedural) heads alone. It is not meant for photographs: expect the pose "
    "and expression, not a likeness"
)


@dataclass(frozen=True)
class ModelOptions:
    """The user's options; None leaves a choice to the preset."""

    preset: str = "mini"
    weights: Path | None = None
    """What `emojibench train` wrote."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Of `paper`: those of `fye_faster.presets.FILES` that it was trained with and still needs."""
    steps: int | None = None
    guidance: float | None = None
    cache: str | None = None
    """A choice of `fye_faster.accel.presets`."""
    sampler: str | None = None
    """One of `fye_faster.diffusion.long_clips.SAMPLERS`."""
    dtype: str | None = None
    device: str = "auto"


@dataclass(frozen=True)
class Animator:
    """A loaded model or method with its settings."""

    resolution: int
    """Side of the frames that it makes, pixels."""
    animate: Callable[[Clip, int, Progress], Frames]
    """Frames of a clip; takes a seed, and who is told of the progress."""
    memory_advice: str
    """Flags that make it need less memory."""
    limits: str = ""
    """Warning about photographs of real heads; empty: none."""
    takes_frames: bool = False
    """Whether it gets clips as datasets have them: driving cut to the head, with its frames."""


def open_method_animator(reference: str, options: Mapping[str, str]) -> Animator:
    """A registered method or a command's YAML file, at its own resolution or `SIDE`.

    Raises:
        UserError: no such method, or an option that it does not take.
    """
    method = finding.open_method(reference, options)

    def animate(clip: Clip, seed: int, progress: Progress) -> Frames:
        seed_everything(seed)
        try:
            animation = method.animate(clip, seed=seed, progress=progress)
            check(animation, (clip.frames, *clip.portrait.shape))
        except (UserError, MemoryError):
            raise
        except Exception as error:  # whatever somebody's method raises
            raise UserError(
                f"method {reference!r}: {one_line(error)}; `emojibench check-method` looks closer"
            ) from error
        return animation.frames

    return Animator(working_size(method) or SIDE, animate, "fewer --frames", takes_frames=True)


def open_animator(options: ModelOptions) -> Animator:
    """Load what the options name.

    Raises:
        UserError: no such preset, an option that it does not have or out of range, files missing or unfit, no such
            device.
    """
    from fye_faster.presets import PRESETS

    makers = {**dict.fromkeys(PRESETS, _small), "released": _released, "paper": _paper}
    if options.preset not in makers:
        raise UserError(f"--preset: {registry.unknown('preset', options.preset, makers)}")
    try:
        return makers[options.preset](options)
    except ValueError as error:
        raise UserError(f"animate: {error}") from error


def _small(options: ModelOptions) -> Animator:
    from fye_faster.accel.presets import preset
    from fye_faster.diffusion.long_clips import check_sampler
    from fye_faster.pipelines.mini import Pipeline

    _refuse(options, "--from", options.files, "is whole without")
    pipeline = Pipeline.from_preset(
        options.preset, options.weights, device=options.device, dtype=options.dtype or "fp32"
    )
    steps = pipeline.preset.steps if options.steps is None else options.steps
    guidance = pipeline.preset.guidance if options.guidance is None else options.guidance
    pipeline.check(steps, guidance)
    sampler = options.sampler or "progressive"
    check_sampler(sampler)
    call = partial(
        pipeline.animate,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        accelerator=preset(options.cache, steps),
    )
    limits = "" if options.weights else _DRAWN.format(preset=options.preset)
    return Animator(
        pipeline.preset.resolution, _of_clip(call), "--dtype bf16, --device cpu or fewer --frames", limits
    )


def _released(options: ModelOptions) -> Animator:
    from fye_faster.pipelines.released import ReleasedPipeline

    _refuse(options, "--from", options.files, "finds its files in EMOJIBENCH_WEIGHTS")
    _refuse(options, "--weights", options.weights, "finds its files in EMOJIBENCH_WEIGHTS")
    _refuse_small_ones(options)
    return _full_size(ReleasedPipeline.from_files(released_files("animate"), options.device), options)


def _paper(options: ModelOptions) -> Animator:
    from fye_faster.pipelines.paper import PaperPipeline

    _refuse_small_ones(options)
    if options.weights is None:
        raise UserError(
            "--weights: expected the file that `emojibench train --preset paper` wrote; none come with this package"
        )
    if set(options.files) != {"sd15-vae", "clip"}:
        raise UserError(
            "--from: preset paper needs sd15-vae=PATH and clip=PATH, those that it was trained with; got "
            f"{', '.join(options.files) or 'none'}"
        )
    pipeline = PaperPipeline.from_weights(
        options.weights, vae=options.files["sd15-vae"], clip=options.files["clip"], device=options.device
    )
    return _full_size(pipeline, options)


def _full_size(pipeline: "ReleasedPipeline", options: ModelOptions) -> Animator:
    steps = pipeline.preset.steps if options.steps is None else options.steps
    guidance = pipeline.preset.guidance if options.guidance is None else options.guidance
    pipeline.check(steps, guidance, 0)
    call = partial(pipeline.animate, steps=steps, guidance=guidance)
    return Animator(pipeline.preset.resolution, _of_clip(call), "--device cpu or fewer --frames")


def _of_clip(call: "Callable[..., Animated]") -> Callable[[Clip, int, Progress], Frames]:
    """`fye_faster.pipelines.mini.Pipeline.animate`, or its like with all settings, for clips."""

    def animate(clip: Clip, seed: int, progress: Progress) -> Frames:
        targets = target_landmarks(clip)
        try:
            return call(
                clip.portrait,
                targets,
                portrait_landmarks=clip.portrait_landmarks,
                seed=seed,
                progress=progress,
            ).frames
        except ValueError as error:
            raise UserError(f"animate: {error}") from error

    return animate


def _refuse_small_ones(options: ModelOptions) -> None:
    _refuse(options, "--cache", options.cache, "computes every step")
    _refuse(options, "--sampler", options.sampler, "has its own way to make long clips")
    _refuse(options, "--dtype", options.dtype, "takes fp16 on a GPU and fp32 on a CPU")


def _refuse(options: ModelOptions, flag: str, value: object, why: str) -> None:
    if value:
        raise UserError(f"{flag}: preset {options.preset} {why}; leave it out")


RELEASED_FILES = {
    "unet": "fye-unet",
    "referencenet": "fye-referencenet",
    "lmk_guider": "fye-lmk-guider",
    "vae": "sd-vae-ft-mse",
    "image_encoder": "sd-image-variations-encoder",
}
"""Keys of `released_weights.MODULES` to names in the weights registry."""


def released_files(user: str) -> dict[str, Path]:
    """The five files of the released checkpoints by key.

    Args:
        user: who needs them, for the error.

    Raises:
        UserError: some are missing; lists them all.
    """
    missing = [weights.TABLE[name] for name in RELEASED_FILES.values() if weights.locate(name) is None]
    if missing:
        wanted = "\n".join(f"  {entry.file}  from  {entry.url}" for entry in missing)
        raise UserError(
            f"{user}: expected {len(RELEASED_FILES)} files of trained weights, {len(missing)} of them missing. Get\n"
            f"{wanted}\n"
            "put them under these names into a folder, and set EMOJIBENCH_WEIGHTS to the folder"
        )
    return {key: weights.find(name) for key, name in RELEASED_FILES.items()}
