"""What there is to see of runs: the clips of their dataset, and the frames that they keep; or why there is none."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from emojibench import media
from emojibench.dataset import load_dataset
from emojibench.dataset.clip import Clip
from emojibench.dataset.targets import target_landmarks
from emojibench.errors import MediaError, UnavailableError, UserError
from emojibench.reports.accepting import without_folders
from emojibench.reports.load import FinishedRun
from emojibench.runs.clips import Clips
from emojibench.runs.folder import RunFolder
from emojibench.runs.records import AnimationRecord
from emojibench.runs.spec import RunSpec
from emojibench.types import Frames, Landmarks


class ClipInputs:
    """What the dataset says of one clip, read once for all methods."""

    def __init__(self, clips: Clips | str, clip_id: str) -> None:
        """Read portrait, driving video, truth and target landmarks of a clip; `clips` may be why there are none."""
        self.failed = False
        """Whether something could not be read that may be mended."""
        self.clip: Clip | None = None
        self.targets: Landmarks | str = ""
        """(T, 478, 3) on the portrait's canvas, or why there are none."""
        self.pictures: dict[str, Any] = {}
        """`portrait`, `driving` and `truth` to frames (T, H, W, 3), or to the reason why there are none."""
        clip = clips if isinstance(clips, str) else self._tried(partial(clips.clip, clip_id), "")
        if isinstance(clips, str) or isinstance(clip, str):
            self.pictures = dict.fromkeys(("portrait", "driving", "truth"), clip)
            self.targets = str(clip)
            return
        self.clip = clip
        self.pictures["portrait"] = clip.portrait[None]
        self.pictures["truth"] = self._tried(partial(clips.truth, clip_id), "no ground truth is known")
        if clip.split == "self":
            self.pictures["driving"] = "the driving video of a self clip is its ground truth"
        else:
            load = clip.load_driving_frames
            self.pictures["driving"] = self._tried(load, "the dataset has landmarks only, no video")
        self.targets = self._tried(partial(target_landmarks, clip), "")

    def _tried(self, load: Callable[[], Any] | None, nothing: str) -> Any:
        """What `load` returns, or why it returns nothing."""
        try:
            found = None if load is None else load()
        except UserError as error:
            self.failed = True
            return told(error)
        return nothing if found is None else found


def clips_of(spec: RunSpec) -> Clips | str:
    """The clips that a run animated, or why they cannot be had."""
    try:
        dataset = load_dataset(spec.dataset_ref, size=spec.protocol.size, detector=spec.protocol.detector)
    except (UserError, UnavailableError) as error:
        return f"the dataset cannot be read: {told(error)}"
    if dataset.digest != spec.dataset_digest:
        return f"the dataset {spec.dataset!r} that is here has other contents than the one of the runs"
    return Clips(dataset, spec.protocol.frames)


def record_of(run: FinishedRun, clip_id: str) -> AnimationRecord | str:
    """What tells of a clip's frames, or why it cannot be shown."""
    if clip_id in run.failed:
        return f"the method failed: {without_folders(run.failed[clip_id])}"
    folder = RunFolder(run.path)
    file = folder.frames_file(clip_id)
    try:
        record = folder.animation(clip_id) if file.is_file() else None
    except UserError as error:
        return told(error)
    lacking = file.with_name("animation.json") if file.is_file() else file
    return record or f"{lacking.relative_to(run.path)} is not in the run folder"


def frames_of(run: FinishedRun, record: AnimationRecord) -> Frames:
    """The frames (T, H, W, 3) of one clip.

    Raises:
        MediaError: they cannot be read, or are not those that the record tells of.
    """
    file = RunFolder(run.path).frames_file(record.clip_id)
    frames = media.read_video(file)
    if hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest() != record.digest:
        raise MediaError(
            f"{file}: not the frames that animation.json tells of; delete the clip's folder and run again"
        )
    return frames


def told(error: Exception) -> str:
    """An error's message on one line, without the folders of this machine."""
    return str(without_folders(" ".join(str(error).split())))
