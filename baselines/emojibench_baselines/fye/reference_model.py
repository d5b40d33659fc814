"""What `fye-faster` and the rivals of TIC share: the reference model, driven by the target landmarks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from emojibench.dataset.clip import Clip
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import UserError
from emojibench.methods import Animation, Options, Progress
from emojibench_baselines.fye.options import Kind, parse

if TYPE_CHECKING:
    from fye_faster.accel.accelerator import Accelerator
    from fye_faster.pipelines.mini import Animated
    from torch import nn

    from emojibench.fye.acceleration.trace import Trace

_VERSION = 3
"""Raised when the code changes what the same weights and options generate."""


@dataclass(frozen=True)
class Given:
    """What decides how the model's steps are made cheaper."""

    options: Mapping[str, Any]
    """Those that were set."""
    steps: int
    """Of the solver."""
    unet: "nn.Module"
    """On its device."""


@dataclass(frozen=True)
class Spec:
    """One method; called with `--set` options, it makes one."""

    name: str
    what: str
    """Its docstring."""
    accelerator: "Callable[[Given], Accelerator]"
    """What makes it faster. Raises ValueError for options that do not fit."""
    options: Mapping[str, Kind] = field(default_factory=dict)
    """Beside those of `ReferenceModel`."""
    steps: int | None = None
    """Default number of steps; None: the preset's."""
    traceable: ClassVar[bool] = True
    """Its methods have `ReferenceModel.traced`, which `emojibench accel` compares latents by."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.what)  # which `emojibench methods` shows, as for classes

    def __call__(self, options: Options) -> "ReferenceModel":
        """The method. Raises `UserError` as `ReferenceModel` does."""
        return ReferenceModel(self, options)


class ReferenceModel:
    """The reference model as a spec says."""

    def __init__(self, spec: Spec, options: Options) -> None:
        """Take the options.

        `preset` (mini), `steps` (DDIM steps), `guidance` (classifier-free guidance scale), `dtype` (fp32), `device`
        (auto: CUDA where there is some, else the CPU); `weights`: a file made by `emojibench train` or `ablate`, in
        place of the packaged one; `sampler`: how clips longer than a window are made (progressive); `alignment` (true):
        false follows the driving face's own landmarks in `cross`.

        Raises:
            UserError: an unknown option or preset, a value out of range, missing weights.
        """
        kinds: dict[str, Kind] = {
            "preset": str,
            "steps": int,
            "guidance": float,
            "dtype": ("fp32", "bf16", "fp16"),
            "device": str,
            **spec.options,
            "weights": Path,
            "sampler": ("progressive", "overlap", "concatenate"),
            "alignment": bool,
        }
        self.name = spec.name
        given = parse(options, kinds, method=self.name)
        # Only now, so that a misspelt option is refused without loading a network library.
        from fye_faster.accel.accelerator import Accelerator
        from fye_faster.pipelines.mini import Pipeline

        try:
            dtype: str = given.get("dtype", "fp32")
            device: str = given.get("device", "auto")
            self._pipeline = Pipeline.from_preset(
                given.get("preset", "mini"), given.get("weights"), device=device, dtype=dtype
            )
            preset = self._pipeline.preset
            self._steps: int = given.get("steps", spec.steps or preset.steps)
            self._guidance: float = given.get("guidance", preset.guidance)
            self._pipeline.check(self._steps, self._guidance)
            unet = self._pipeline.model.animator.denoiser
            self._accelerator = spec.accelerator(Given(given, self._steps, unet))
        except ValueError as error:
            raise UserError(f"{self.name}: {error}") from error
        settings = f"{self._steps}-steps-guidance-{self._guidance:g}"
        if dtype != "fp32":
            settings += f"-{dtype}"
        self._sampler: str = given.get("sampler", "progressive")
        if self._sampler != "progressive":
            settings += f"-{self._sampler}"
        self._aligned: bool = given.get("alignment", True)
        if not self._aligned:
            settings += "-unaligned"
        if self._accelerator.label != Accelerator.label:
            settings += f"-{self._accelerator.label}"
        self.size, self.cost_by_shape = preset.resolution, not self._accelerator.adaptive
        self.weight_files = {preset.name: self._pipeline.digest}
        self.revision = f"{_VERSION}-{preset.name}-{self._pipeline.digest}-{settings}"

    def animate(self, clip: Clip, *, seed: int, progress: Progress) -> Animation:
        """Generate one frame for each target; frames without one hold the nearest.

        Raises:
            UserError: no driving frame has a face.
        """
        result = self._sample(clip, seed, progress, self._accelerator)
        return Animation(result.frames, clip.driving.fps, result.seconds)

    def traced(self, clip: Clip, *, seed: int, progress: Progress) -> "Trace":
        """Generate the same and keep what the denoising does step by step; its seconds include the watching.

        Raises:
            UserError: no driving frame has a face.
        """
        from emojibench.fye.acceleration.trace import Trace, Traced

        watched = Traced(self._accelerator)
        result = self._sample(clip, seed, progress, watched)
        return Trace(result.latents, watched.windows)

    def _sample(self, clip: Clip, seed: int, progress: Progress, accelerator: "Accelerator") -> "Animated":
        try:
            return self._pipeline.animate(
                clip.portrait,
                target_landmarks(clip) if self._aligned else clip.driving.landmarks,
                portrait_landmarks=clip.portrait_landmarks,
                steps=self._steps,
                guidance=self._guidance,
                sampler=self._sampler,
                seed=seed,
                accelerator=accelerator,
                progress=progress,
            )
        except ValueError as error:
            raise UserError(f"clip {clip.clip_id}: {error}") from error
