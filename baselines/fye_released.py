"""`fye-released`: Follow-Your-Emoji with its authors' public checkpoints, driven by the target landmarks."""

import hashlib
from pathlib import Path

from baselines._options import parse
from emojibench import weights
from emojibench.dataset.clip import Clip
from emojibench.errors import UserError
from emojibench.methods import Animation, Options, Progress
from emojibench.targets import target_landmarks

_VERSION = 1
"""Raised when the code changes what the same weights and options generate."""

FILES = {
    "unet": "fye-unet",
    "referencenet": "fye-referencenet",
    "lmk_guider": "fye-lmk-guider",
    "vae": "sd-vae-ft-mse",
    "image_encoder": "sd-image-variations-encoder",
}
"""Keys of `released_weights.MODULES` to names in the weights registry."""


class FyeReleased:
    """Follow-Your-Emoji as released by its authors (their weights, our code); needs their files and a GPU."""

    name = "fye-released"

    def __init__(self, options: Options) -> None:
        """Options: `steps`, `guidance`, `overlap` (frames that windows share), `device` (cuda).

        Raises:
            UserError: an unknown option, a value out of range, files or a device missing or unfit.
        """
        kinds = {"steps": int, "guidance": float, "overlap": int, "device": str}
        given = parse(options, kinds, method=self.name)
        files = _find_files()
        # Only now, so that a misspelt option or a missing file is told without loading a network library.
        from reference_model.released_pipeline import ReleasedPipeline

        try:
            self._pipeline = ReleasedPipeline.from_files(files, given.get("device", "cuda"))
            preset = self._pipeline.preset
            self._steps: int = given.get("steps", preset.steps)
            self._guidance: float = given.get("guidance", preset.guidance)
            self._overlap: int = given.get("overlap", preset.overlap)
            self._pipeline.check(self._steps, self._guidance, self._overlap)
        except ValueError as error:
            raise UserError(f"{self.name}: {error}") from error
        used = weights.used()
        digest = hashlib.sha256("".join(used[name] for name in FILES.values()).encode()).hexdigest()[:12]
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


def _find_files() -> dict[str, Path]:
    """The five files by key, or one error that lists all that are missing."""
    missing = [weights.TABLE[name] for name in FILES.values() if weights.locate(name) is None]
    if missing:
        wanted = "\n".join(f"  {entry.file}  from  {entry.url}" for entry in missing)
        raise UserError(
            f"fye-released: expected {len(FILES)} files of trained weights, {len(missing)} of them missing. Get\n"
            f"{wanted}\n"
            "put them under these names into a folder, and set EMOJIBENCH_WEIGHTS to the folder"
        )
    return {key: weights.find(name) for key, name in FILES.items()}
