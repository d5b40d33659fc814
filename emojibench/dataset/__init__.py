"""Clips, driving sequences, and the datasets that hold them.

Importing this package costs next to nothing; the modules below it are loaded when a dataset is asked for.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emojibench.dataset.dataset import Dataset

__all__ = ["load_dataset"]


def load_dataset(ref: str | Path = "mini", *, size: int | None = None, detector: str = "auto") -> "Dataset":
    """Open a dataset. Nothing is rendered or decoded before a clip is asked for.

    Args:
        ref: `mini`, `synth`, or a dataset folder (built by `emojibench data build` or downloaded).
        size: side in pixels of the square frames that the clips come in; None means that of the stored frames, and
            256 for `mini` and `synth`, which are drawn at any size.
        detector: `auto`, `bundled`, `task` or a full detector id. For a folder, `auto` means the detector
            that made its landmarks, if this machine has it. Where the detectors differ, the landmarks are
            made again from the stored frames, into the cache.

    Raises:
        UserError: unknown name or detector.
        DatasetError: the folder does not hold together, stores smaller frames than `size`, or its landmarks
            come from another detector and it has no frames to make them again from.
    """
    from emojibench.dataset.loading import load

    return load(ref, size=size, detector=detector)
