"""The built-in datasets `mini` and `synth`: made on the spot from their seeds, file by file, into the cache.

Sequence i is identity i under motion i (`emojibench.synth`).
Clip `self-i`: the portrait is frame 0 of sequence i, which also drives and is the truth.
Clip `cross-i`: the portrait is identity i, neutral, in a mild seeded pose; the sequence of another subject
drives (`pairing`); the truth is identity i rendered under that motion.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from emojibench import media
from emojibench.dataset import landmarks
from emojibench.dataset.cache import cache_folder, shared_detector
from emojibench.dataset.dataset import Dataset
from emojibench.dataset.locating import DATASET_FILE
from emojibench.dataset.manifest import ClipEntry, Manifest, digest_of_recipe, write_manifest
from emojibench.errors import UserError
from emojibench.face import detector_id
from emojibench.files import writing
from emojibench.parallel.executor import Root
from emojibench.synth import reference
from emojibench.synth import sequences as synth
from emojibench.synth.render import render
from emojibench.synth.sequences import Sequence
from emojibench.types import Image

VERSION = "1"
"""For people: raised when a release changes clips."""
FPS = 25.0
SIZE = 256
"""Side of the pictures where no other is asked for, pixels."""
SIZES = (32, 2048)
"""Sides of the pictures that the renderer can draw, pixels."""
LICENCE = "Apache-2.0 (procedural; shows no person)"


def embedded(name: str, *, size: int | None, detector: str) -> Dataset:
    """Open `mini` or `synth`. Writes its manifest into the cache; renders nothing.

    Raises:
        UserError: a size that cannot be drawn, an unknown detector, or a cache folder that cannot be written.
    """
    size = SIZE if size is None else size
    if not SIZES[0] <= size <= SIZES[1]:
        raise UserError(f"dataset {name}: expected a size from {SIZES[0]} to {SIZES[1]} pixels, got {size}")
    identity = detector_id(detector)
    recipe = _recipe(name, size)
    entries = _entries(name)
    manifest = Manifest(
        name=name,
        version=VERSION,
        licence=LICENCE,
        size=size,
        detector=identity,
        clips=len(entries),
        digest=digest_of_recipe(recipe),
        recipe=recipe,
    )
    root = cache_folder() / f"{name}-{manifest.digest[:12]}-{identity}"
    writing.sweep(root)
    if not (root / DATASET_FILE).is_file():
        write_manifest(root, manifest, entries)
    files = EmbeddedFiles(root, name, size, identity)
    return Dataset(manifest=manifest, entries=entries, files=files, size=size, detector=identity)


class EmbeddedFiles:
    """Files of a built-in dataset; each is rendered (and its landmarks are read off) when first asked for.

    Any number of processes may do so at once: every file appears whole, and all make the same bytes.
    """

    def __init__(self, root: Path, name: str, size: int, detector: str) -> None:
        self.root = root
        self._name = name
        self._size = size
        self._detector = detector

    def path(self, relative: str) -> Path:
        """The file, made if it is not there yet. Raises `DatasetError` where it cannot be made as it should."""
        file = self.root / relative
        if not file.is_file():
            self._make(file)
        return file

    def ready(self, relative: str) -> bool:
        """Whether the file has been made."""
        return (self.root / relative).is_file()

    @property
    def roots(self) -> tuple[Root, ...]:
        """See `Files.roots`."""
        return (Root(self.root, DATASET_FILE),)

    def sources(self, relative: str) -> tuple[Path, ...]:
        """See `Files.sources`."""
        return (self.root / relative,)

    def _make(self, file: Path) -> None:
        role = file.parent.name
        sequence_id, _, pose = file.stem.partition(".")
        index, sequence = _by_id(self._name)[sequence_id]
        reference.check(index)
        if role == "portraits":
            state = sequence.motion.at(0) if pose == "frame0" else synth.portrait_state(sequence)
            self._portrait(file, render(sequence.identity, state, self._size))
        elif role == "driving":
            states = (sequence.motion.at(k) for k in range(len(sequence.motion)))
            self._driving(file, self._render(sequence, states))
        else:
            driving = _sequences(self._name)[_pairing(self._name)[index]].motion
            start = synth.portrait_state(sequence)
            states = (synth.cross_state(start, driving, k) for k in range(len(driving)))
            media.write_lossless(file, self._render(sequence, states), FPS)

    def _render(self, sequence: Sequence, states: Iterable[Any]) -> Iterable[Image]:
        return (render(sequence.identity, state, self._size) for state in states)

    def _portrait(self, file: Path, image: Image) -> None:
        media.write_image(file.with_suffix(".png"), image)
        found = shared_detector(self._detector).read(image)
        landmarks.write_portrait(file.with_suffix(".npz"), found, self._detector)

    def _driving(self, file: Path, frames: Iterable[Image]) -> None:
        video = np.stack(list(frames))
        media.write_lossless(file.with_suffix(".mkv"), video, FPS)
        found = shared_detector(self._detector).detect_video(video, fps=FPS)
        landmarks.write_driving(file.with_suffix(".npz"), found)


@lru_cache(maxsize=2)
def _sequences(name: str) -> tuple[Sequence, ...]:
    return tuple(synth.sequences(name))


@lru_cache(maxsize=2)
def _by_id(name: str) -> dict[str, tuple[int, Sequence]]:
    return {sequence.sequence_id: (index, sequence) for index, sequence in enumerate(_sequences(name))}


@lru_cache(maxsize=2)
def _pairing(name: str) -> tuple[int, ...]:
    return tuple(synth.pairing(list(_sequences(name))))


def _entries(name: str) -> tuple[ClipEntry, ...]:
    sequences = _sequences(name)
    own = (_entry("self", portrait=sequence, driving=sequence) for sequence in sequences)
    pairs = zip(sequences, _pairing(name), strict=True)
    crossed = (_entry("cross", portrait=sequence, driving=sequences[by]) for sequence, by in pairs)
    return (*own, *crossed)


def _entry(split: str, *, portrait: Sequence, driving: Sequence) -> ClipEntry:
    face = f"portraits/{portrait.sequence_id}.{'frame0' if split == 'self' else 'neutral'}"
    video = f"driving/{driving.sequence_id}.mkv"
    return ClipEntry(
        clip_id=f"{split}-{portrait.sequence_id}",
        split="self" if split == "self" else "cross",
        domain=portrait.domain,
        subject=portrait.subject,
        driving_subject=driving.subject,
        frames=len(driving.motion),
        portrait=f"{face}.png",
        portrait_landmarks=f"{face}.npz",
        driving=f"driving/{driving.sequence_id}.npz",
        driving_frames=video,
        truth=video if split == "self" else f"truth/{portrait.sequence_id}.mkv",
    )


def _recipe(name: str, size: int) -> dict[str, Any]:
    """Everything that decides the pixels and the pairing, so that equal digests mean equal frames.

    Versions of libraries do not count: what they draw does (`reference.check`). The detector is the protocol's.
    """
    return {
        "name": name,
        "version": VERSION,
        "size": size,
        "fps": FPS,
        "seeds": [
            [sequence.identity.seed, sequence.motion.seed, len(sequence.motion)]
            for sequence in _sequences(name)
        ],
        "pairing": list(_pairing(name)),
        "pixels": reference.digest(len(_sequences(name))),
    }
