"""Finished videos that were made elsewhere: one video file or one folder of numbered pictures for each clip."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emojibench import media
from emojibench.errors import MediaError, UserError
from emojibench.files.reading import open_file
from emojibench.types import Frames

_EXAMPLE = ".mkv"
_SUFFIXES = ", ".join(sorted(media.VIDEOS - {_EXAMPLE}))


@dataclass(frozen=True)
class Prediction:
    """A clip's finished video, at the size that is scored."""

    frames: Frames
    fps: float | None
    """Frames per second; None for pictures."""
    note: str
    """What was done to the frames while they were read; empty if nothing was."""


@dataclass(frozen=True)
class Predictions:
    """A folder with `<clip_id>.mkv` (or another of `media.VIDEOS`) or `<clip_id>/*.png` for each clip.

    Suffixes may be of any case; hidden files are passed over.
    """

    folder: Path

    def find(self, clip_id: str) -> Path:
        """The clip's video file or folder of pictures.

        Raises:
            MediaError: there is none, or more than one.
        """
        found = [path for path in self._visible() if _belongs(path, clip_id)]
        if not found:
            raise MediaError(
                f"no video in {self.folder}: expected a file CLIP_ID{_EXAMPLE} (or {_SUFFIXES}) "
                "or a folder CLIP_ID with numbered pictures"
            )
        if len(found) > 1:
            raise MediaError(f"expected one video, found {' and '.join(map(str, found))}; remove all but one")
        return found[0]

    def sources(self, clip_id: str) -> tuple[Path, ...]:
        """Files of the clip's video, none where `find` finds none."""
        try:
            path = self.find(clip_id)
        except MediaError:
            return ()
        return tuple(sorted(path.iterdir())) if path.is_dir() else (path,)

    def witness(self, clips: tuple[str, ...]) -> str:
        """Some file below the folder that is read; empty where none is."""
        found = next((path for clip in clips for path in self.sources(clip)), None)
        return str(found.relative_to(self.folder)) if found else ""

    def digest(self, clip_id: str) -> str:
        """sha256 of the file, or of the names and contents of the pictures in order.

        Raises:
            MediaError: as `find` and `media.numbered_pictures`; a file cannot be read.
        """
        digest = hashlib.sha256()
        path = self.find(clip_id)
        for file in media.numbered_pictures(path) if path.is_dir() else [path]:
            digest.update(f"{file.name}\0".encode(errors="surrogateescape"))
            try:
                with open_file(file) as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
            except OSError as error:
                raise MediaError(f"{file}: cannot be read: {error.strerror or error}") from error
            except UserError as error:
                raise MediaError(str(error)) from error
        return digest.hexdigest()

    def read(self, clip_id: str, *, expected: int, size: tuple[int, int]) -> Prediction:
        """The clip's frames, resized to `size` (width, height) one by one as `media.resizing` allows.

        Raises:
            MediaError: missing, damaged, of a kind that is not read, of another shape, or not `expected` frames.
        """
        path = self.find(clip_id)
        info = media.video_info(path)
        resized = media.resizing((info.width, info.height), size)
        frames = np.empty((expected, size[1], size[0], 3), np.uint8)
        count = 0
        for picture in media.iterate_video(path):
            if count < expected:
                frames[count] = media.resize(picture, size)
            count += 1
        if count != expected:
            raise MediaError(f"{path}: expected {expected} frames, one for each driving frame, got {count}")
        return Prediction(frames, info.fps or None, "; ".join(filter(None, [*info.notes, resized])))

    def check_any(self, clips: tuple[str, ...]) -> None:
        """Refuse a folder that holds none of the clips, most likely the wrong one.

        Raises:
            UserError: it holds nothing for any of `clips`.
        """
        there = self._visible()
        if not any(_belongs(path, clip) for path in there for clip in clips):
            example = ", ".join(path.name for path in there[:3]) or "nothing"
            raise UserError(
                f"--predictions: {self.folder} holds no video of this dataset and split: expected names such "
                f"as {clips[0]}{_EXAMPLE}, found {example}; check --split and --dataset"
            )

    def _visible(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            raise MediaError(f"{self.folder}: cannot be read: {error.strerror}") from error


def _belongs(path: Path, clip_id: str) -> bool:
    if path.name == clip_id and path.is_dir():
        return True
    suffix = path.name.removeprefix(clip_id)
    return path.name.startswith(clip_id) and suffix.lower() in media.VIDEOS and not path.is_dir()
