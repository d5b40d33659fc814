"""A dataset as everyone else sees it: clips, and the truth that only scoring reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from emojibench.dataset import landmarks, sounds
from emojibench.dataset.clip import Clip
from emojibench.dataset.manifest import SPLITS, ClipEntry, Manifest
from emojibench.dataset.preparing import Files, prepare, sources
from emojibench.errors import DatasetError, UserError
from emojibench.face.driving import DrivingSequence
from emojibench.media import iterate_video, read_image, resize
from emojibench.parallel.executor import Executor, Root
from emojibench.parallel.local import LOCAL
from emojibench.registry import unknown
from emojibench.types import Frames, Image, Sound


@dataclass(frozen=True, repr=False)
class Dataset:
    """Clips by id. Everything is read when asked for; nothing is kept in memory."""

    manifest: Manifest
    entries: tuple[ClipEntry, ...]
    """The manifest's rows, in order."""
    files: Files
    size: int
    """Side in pixels of the frames that clips come in."""
    detector: str
    """Id of the detector behind all landmarks of this dataset."""

    @property
    def name(self) -> str:
        """Name as the manifest states it."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """Version as the manifest states it."""
        return self.manifest.version

    @property
    def digest(self) -> str:
        """sha256 hex; equal digests mean equal clips."""
        return self.manifest.digest

    @property
    def frames(self) -> int:
        """Frames of the longest clip."""
        return max(entry.frames for entry in self.entries)

    @property
    def licence(self) -> str:
        """Terms under which the portraits and videos may be used."""
        return self.manifest.licence

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have clips."""
        present = {entry.split for entry in self.entries}
        return tuple(split for split in SPLITS if split in present)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.clip_ids(split))} {split}" for split in self.splits)
        return (
            f"Dataset({self.name} {self.version}: {counts} clips at {self.size}x{self.size}\n"
            f"  landmarks of {self.detector}, digest {self.digest[:12]})"
        )

    def clip_ids(self, split: str) -> list[str]:
        """Ids of a split's clips, in manifest order.

        Raises:
            UserError: no such split here (the nearest is suggested).
        """
        if split not in self.splits:
            raise UserError(f"dataset {self.name}: {unknown('split', split, self.splits)}")
        return [entry.clip_id for entry in self.entries if entry.split == split]

    def chosen(
        self, split: str, wanted: int | Sequence[str] | None = None, *, given_by: str = "--clips"
    ) -> tuple[str, ...]:
        """Ids of some of a split's clips, in manifest order.

        Args:
            split: `self` or `cross`.
            wanted: the first so many clips, or clip ids; None means all.
            given_by: who asks for them; opens the messages.

        Raises:
            UserError: no such split or clip here, or none at all is wanted.
        """
        there = self.clip_ids(split)
        if wanted is None:
            return tuple(there)
        if isinstance(wanted, int):
            if not 1 <= wanted <= len(there):
                raise UserError(
                    f"{given_by}: expected a number from 1 to {len(there)} "
                    f"({self.name} has {len(there)} {split} clips), got {wanted}"
                )
            return tuple(there[:wanted])
        if not wanted:
            raise UserError(f"{given_by}: expected at least one clip")
        for clip_id in wanted:
            if clip_id not in there:
                raise UserError(f"{given_by}: {unknown('clip', clip_id, there)}")
        return tuple(clip for clip in there if clip in set(wanted))

    def checked_frames(self, wanted: int | None) -> int:
        """How many driving frames clips are cut to: `wanted`, or the length of the longest clip.

        Raises:
            UserError: below 2, or more than any clip has.
        """
        longest = self.frames
        if wanted is not None and not 2 <= wanted <= longest:
            raise UserError(
                f"--frames: expected 2 to {longest}, the length of the longest clip of {self.name}, got {wanted}"
            )
        return longest if wanted is None else wanted

    def entry(self, clip_id: str) -> ClipEntry:
        """The manifest row of a clip.

        Raises:
            UserError: no such clip here (the nearest is suggested).
        """
        for entry in self.entries:
            if entry.clip_id == clip_id:
                return entry
        ids = [entry.clip_id for entry in self.entries]
        shown = ids if len(ids) <= 20 else [*ids[:20], f"... {len(ids) - 20} more"]
        raise UserError(f"dataset {self.name}: {unknown('clip', clip_id, shown)}")

    def clip(self, clip_id: str) -> Clip:
        """Read a clip: portrait and driving landmarks; driving frames are decoded when asked for.

        Raises:
            DatasetError, MediaError: a file is missing, unreadable, or not what the manifest says.
        """
        entry = self.entry(clip_id)
        portrait = self._portrait(entry)
        face, _ = landmarks.read_portrait(self.files.path(entry.portrait_landmarks))
        driving = landmarks.read_driving(self.files.path(entry.driving), frames=entry.frames)
        if driving.detector != self.detector:
            raise DatasetError(
                f"{entry.driving}: landmarks of {driving.detector} in a dataset of {self.detector}; "
                "landmarks of two detectors cannot be compared, so build the dataset again with one"
            )
        video, sound = entry.driving_frames, entry.driving_sound
        return Clip(
            clip_id=entry.clip_id,
            split=entry.split,
            domain=entry.domain,
            subject=entry.subject,
            driving_subject=entry.driving_subject,
            portrait=portrait,
            portrait_landmarks=None if face is None else face.landmarks,
            driving=driving,
            load_driving_frames=None if video is None else partial(self._video, video, entry.frames),
            portrait_transform=None if face is None else face.transform,
            load_driving_sound=None if sound is None else partial(self._sound, sound, driving),
        )

    def ground_truth(self, clip_id: str) -> Frames | None:
        """(T, size, size, 3): what a perfect method returns, or None where nobody knows.

        Raises:
            DatasetError, MediaError: the video is missing, unreadable, or not what the manifest says.
        """
        entry = self.entry(clip_id)
        return None if entry.truth is None else self._video(entry.truth, entry.frames)

    def prepare(self, clip_ids: Iterable[str], *, executor: Executor = LOCAL, quiet: bool = False) -> None:
        """Make the files of these clips that are not there yet, with a progress bar on stderr unless `quiet`.

        Optional: clips make their own files when asked for. The processes of an executor can share the work
        (call it from a script guarded by `if __name__ == "__main__"`).
        """
        entries = [self.entry(clip_id) for clip_id in clip_ids]
        prepare(self.files, entries, executor=executor, quiet=quiet)

    @property
    def roots(self) -> tuple[Root, ...]:
        """Folders that clips are read from."""
        return self.files.roots

    def sources(self, clip_id: str) -> tuple[Path, ...]:
        """Files that a clip is read from."""
        return sources(self.files, self.entry(clip_id))

    def _portrait(self, entry: ClipEntry) -> Image:
        image = read_image(self.files.path(entry.portrait))
        stored = self.manifest.size
        if image.shape[:2] != (stored, stored):
            raise DatasetError(
                f"{entry.portrait}: {image.shape[1]}x{image.shape[0]} pixels; "
                f"the manifest promises {stored}x{stored}"
            )
        return resize(image, self.size)

    def _sound(self, relative: str, driving: DrivingSequence) -> Sound:
        return sounds.read(self.files.path(relative), driving)

    def _video(self, relative: str, frames: int) -> Frames:
        stored, video = self.manifest.size, []
        for frame in islice(iterate_video(self.files.path(relative)), frames + 1):
            height, width = frame.shape[:2]
            if (width, height) != (stored, stored):
                raise DatasetError(
                    f"{relative}: frames of {width}x{height}; the manifest promises {stored}x{stored}"
                )
            video.append(frame)
        if len(video) != frames:
            found = f"more than {frames}" if len(video) > frames else len(video)
            raise DatasetError(
                f"{relative}: {found} frames of {stored}x{stored}; the manifest promises {frames} of {stored}x{stored}"
            )
        return resize(np.stack(video), self.size)
