"""Landmarks made again, where a dataset's own come from a detector that this run does not use.

Landmarks of two detectors are never mixed: either all of a dataset's are made again from its stored frames,
or the dataset is refused. Landmarks that somebody placed by hand are no detector's, and are kept.
"""

import sys
from pathlib import Path

from emojibench.dataset import landmarks
from emojibench.dataset.cache import cache_folder, shared_detector
from emojibench.dataset.finding import size_of
from emojibench.dataset.manifest import ClipEntry, Manifest
from emojibench.dataset.preparing import Files
from emojibench.dataset.windows import follow
from emojibench.errors import DatasetError
from emojibench.face.detect import sequence_of
from emojibench.media import read_image, read_video
from emojibench.parallel.executor import Root


def redetected(files: Files, manifest: Manifest, entries: tuple[ClipEntry, ...], detector: str) -> Files:
    """`files` with every landmark file made by `detector` when asked for; says so on stderr.

    Raises:
        DatasetError: a driving sequence has no stored frames.
    """
    without = [entry.driving for entry in entries if entry.driving_frames is None]
    if without:
        raise DatasetError(
            f"dataset {manifest.name}: its landmarks are {manifest.detector}'s, this run uses {detector}, "
            f"and {without[0]} has no frames to detect them again on; run with the dataset's own detector"
        )
    print(
        f"{manifest.name}: landmarks come from {manifest.detector}; detecting them again with {detector}",
        file=sys.stderr,
    )
    root = cache_folder() / f"{manifest.name}-{manifest.digest[:12]}-{detector}"
    return RedetectedFiles(files, entries, root, detector)


class RedetectedFiles:
    """Files of another dataset; landmark files are made by one detector and kept in the cache."""

    def __init__(self, files: Files, entries: tuple[ClipEntry, ...], root: Path, detector: str) -> None:
        self._files = files
        self._root = root
        self._detector = detector
        self._portraits = {entry.portrait_landmarks: entry.portrait for entry in entries}
        self._videos = {entry.driving: entry.driving_frames for entry in entries if entry.driving_frames}

    def path(self, relative: str) -> Path:
        """The file; landmarks are made if they are not in the cache yet."""
        if relative not in self._portraits and relative not in self._videos:
            return self._files.path(relative)
        made = self._root / relative
        if made.is_file():
            return made
        if relative in self._portraits:
            return self._portrait(relative, made)
        before = landmarks.read_driving(self._files.path(relative))
        video = read_video(self._files.path(self._videos[relative]))
        if len(video) != len(before):
            raise DatasetError(
                f"{self._videos[relative]}: {len(video)} frames, and landmarks of {len(before)} in {relative}; "
                "build the dataset again"
            )
        guides = (
            points if seen else None for points, seen in zip(before.landmarks, before.detected, strict=True)
        )
        faces, _ = follow(shared_detector(self._detector), video, guides)
        sequence = sequence_of(faces, fps=before.fps, size=size_of(video[0]), detector=self._detector)
        landmarks.write_driving(made, sequence)
        return made

    def ready(self, relative: str) -> bool:
        """Whether `path` would return without detecting anything."""
        landmark_file = relative in self._portraits or relative in self._videos
        return (self._root / relative).is_file() if landmark_file else self._files.ready(relative)

    @property
    def roots(self) -> tuple[Root, ...]:
        """See `Files.roots`."""
        return (Root(self._root), *self._files.roots)

    def sources(self, relative: str) -> tuple[Path, ...]:
        """See `Files.sources`."""
        stored = self._portraits.get(relative) or self._videos.get(relative)
        return (self._root / relative, *map(self._stored, filter(None, (relative, stored))))

    def _stored(self, relative: str) -> Path:
        return self._files.sources(relative)[0]

    def _portrait(self, relative: str, made: Path) -> Path:
        source = self._files.path(relative)
        before, detector = landmarks.read_portrait(source)
        if detector == landmarks.MANUAL:
            return source
        image = read_image(self._files.path(self._portraits[relative]))
        guide = None if before is None else before.landmarks
        (face,), _ = follow(shared_detector(self._detector), [image], [guide])
        landmarks.write_portrait(made, face, self._detector)
        return made
