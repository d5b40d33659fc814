"""What `fye-faster` and the rivals of TIC share: the reference model, driven by the target landmarks."""

from collections.abc import Mapping
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

    from emojibench.fye.acceleration.trace import Trace

_VERSION = 3
"""Raised when the code changes what the same weights and options generate."""


class ReferenceModel:
    """Base class: subclasses have a name and say how the model's steps are made cheaper."""

    name: str
    extra: ClassVar[Mapping[str, Kind]] = {}
    """Options that a subclass adds."""
    steps: ClassVar[int | None] = None
    """Default number of steps; None: the preset's."""

    def __init__(self, options: Options) -> None:
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
            **self.extra,
            "weights": Path,
            "sampler": ("progressive", "overlap", "concatenate"),
            "alignment": bool,
        }
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
            self._steps: int = given.get("steps", self.steps or preset.steps)
            self._guidance: float = given.get("guidance", preset.guidance)
            self._pipeline.check(self._steps, self._guidance)
            self._accelerator = self.accelerator(given, self._steps) or Accelerator()
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
        self.revision = f"{_VERSION}-{preset.name}-{self._pipeline.digest}-{settings}"

    def accelerator(self, given: Mapping[str, Any], steps: int) -> "Accelerator | None":
        """What makes this method faster.

        Args:
            given: the options that were set, those of `extra` among them.
            steps: of the solver.

        Raises:
            ValueError: options that do not fit.
        """
        return None

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
