"""`fye-released`: Follow-Your-Emoji with its authors' public checkpoints, driven by the target landmarks."""

import hashlib

from emojibench import weights
from emojibench.dataset.clip import Clip
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import UserError
from emojibench.fye.animators import RELEASED_FILES, released_files
from emojibench.methods import Animation, Options, Progress
from emojibench_baselines.fye.options import parse

_VERSION = 1
"""Raised when the code changes what the same weights and options generate."""


class FyeReleased:
    """Follow-Your-Emoji as released by its authors (their weights, our code); needs their files and a GPU."""

    name = "fye-released"
    cost_by_shape = True

    def __init__(self, options: Options) -> None:
        """Options: `steps`, `guidance`, `overlap` (frames that windows share), `device` (cuda).

        Raises:
            UserError: an unknown option, a value out of range, files or a device missing or unfit.
        """
        kinds = {"steps": int, "guidance": float, "overlap": int, "device": str}
        given = parse(options, kinds, method=self.name)
        files = released_files(self.name)
        # Only now, so that a misspelt option or a missing file is told without loading a network library.
        from fye_faster.pipelines.released import ReleasedPipeline

        try:
            self._pipeline = ReleasedPipeline.from_files(files, given.get("device", "cuda"))
            preset = self._pipeline.preset
            self._steps: int = given.get("steps", preset.steps)
            self._guidance: float = given.get("guidance", preset.guidance)
            self._overlap: int = given.get("overlap", preset.overlap)
            self._pipeline.check(self._steps, self._guidance, self._overlap)
            self.size = preset.resolution
        except ValueError as error:
            raise UserError(f"{self.name}: {error}") from error
        used = weights.used()
        digest = hashlib.sha256("".join(used[name] for name in RELEASED_FILES.values()).encode()).hexdigest()[
            :12
        ]
        settings = f"{self._steps}-steps-guidance-{self._guidance:g}-overlap-{self._overlap}"
        self.revision = f"{_VERSION}-{digest}-{settings}"

    def animate(self, clip: Clip, *, seed: int, progress: Progress) -> Animation:
        """Generate one frame for each target; frames without one hold the nearest.

        Raises:
            UserError: no driving frame has a face.
        """
        try:
            result = self._pipeline.animate(
                clip.portrait,
                target_landmarks(clip),
                steps=self._steps,
                guidance=self._guidance,
                overlap=self._overlap,
                seed=seed,
                progress=progress,
            )
        except ValueError as error:
            raise UserError(f"clip {clip.clip_id}: {error}") from error
        return Animation(result.frames, clip.driving.fps, result.seconds)
