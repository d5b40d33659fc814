"""Finished videos that were made elsewhere: one video file or one folder of PNGs for each clip."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emojibench import media
from emojibench.dataset.clip import Frames
from emojibench.errors import MediaError, UserError

VIDEOS = (".mkv", ".mp4", ".avi", ".mov", ".webm")


@dataclass(frozen=True)
class Predictions:
    """A folder with `<clip_id>.mkv` (or another of `VIDEOS`) or `<clip_id>/*.png` for each clip."""

    folder: Path

    def find(self, clip_id: str) -> Path:
        """The clip's video file or folder of PNGs.

        Raises:
            MediaError: there is none, or more than one.
        """
        candidates = [self.folder / f"{clip_id}{suffix}" for suffix in VIDEOS]
        found = [path for path in candidates if path.is_file()]
        if (self.folder / clip_id).is_dir():
            found.append(self.folder / clip_id)
        if not found:
            raise MediaError(
                f"no video in {self.folder}: expected a file CLIP_ID{VIDEOS[0]} (or {', '.join(VIDEOS[1:])}) "
                "or a folder CLIP_ID with *.png"
            )
        if len(found) > 1:
            raise MediaError(f"expected one video, found {' and '.join(map(str, found))}; remove all but one")
        return found[0]

    def digest(self, clip_id: str) -> str:
        """sha256 of the file, or of the names and contents of the PNGs in order."""
        digest = hashlib.sha256()
        path = self.find(clip_id)
        for file in _pictures(path) if path.is_dir() else [path]:
            digest.update(f"{file.name}\0".encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    def read(self, clip_id: str, *, expected: int) -> tuple[Frames, float | None]:
        """Frames (T, H, W, 3) and frames per second (None for PNGs).

        Raises:
            MediaError: missing, damaged, not `expected` frames, or PNGs of different sizes.
        """
        path = self.find(clip_id)
        if not path.is_dir():
            fps = media.video_info(path).fps
            frames = media.read_video(path)
        else:
            fps = 0.0
            frames = _read_pictures(path)
        if len(frames) != expected:
            raise MediaError(
                f"{path}: expected {expected} frames, one for each driving frame, got {len(frames)}"
            )
        return frames, fps or None

    def check_any(self, clips: tuple[str, ...]) -> None:
        """Is this the right folder at all?

        Raises:
            UserError: it holds nothing for any of `clips`.
        """
        there = sorted(path.name for path in self.folder.iterdir())
        if not {Path(name).stem for name in there} & set(clips) and not set(there) & set(clips):
            example = ", ".join(there[:3]) or "nothing"
            raise UserError(
                f"--predictions: {self.folder} holds no video of this dataset and split: expected names such "
                f"as {clips[0]}{VIDEOS[0]}, found {example}; check --split and --dataset"
            )


def _pictures(folder: Path) -> list[Path]:
    """PNGs in the order of their names; equal lengths are not required of numbers (2.png before 10.png)."""
    return sorted(folder.glob("*.png"), key=lambda path: (len(path.stem), path.stem))


def _read_pictures(folder: Path) -> Frames:
    files = _pictures(folder)
    if not files:
        raise MediaError(f"{folder}: holds no PNG files")
    pictures = [media.read_image(file) for file in files]
    for file, picture in zip(files, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            (height, width), (h, w) = pictures[0].shape[:2], picture.shape[:2]
            raise MediaError(f"{file}: expected {width}x{height} pixels like the first picture, got {w}x{h}")
    return np.stack(pictures)
