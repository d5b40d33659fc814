"""The sound that a command is given: the dataset's own, or the user's recordings (`--set sound=FILE_OR_FOLDER`)."""

import hashlib
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from emojibench.dataset.clip import Clip
from emojibench.errors import MediaError, UserError
from emojibench.files.reading import is_folder
from emojibench.media import VIDEOS
from emojibench.media.sound import RATE, SOUNDS, read_sound, samples_of, write_wav
from emojibench.methods.description import CommandDescription
from emojibench.methods.places import Places
from emojibench.types import Sound
from emojibench.weights.store import digests_of

_SHORTER = 0.1
"""Seconds by which a recording may be shorter than the clip: coders end where their frames end. Silence follows."""


def given(description: CommandDescription, places: Places, option: str | None) -> Places:
    """`places` with the recordings that the user names; their content becomes part of the method's revision.

    Raises:
        UserError: the command takes no sound, or nothing usable is there.
    """
    if option is None:
        return places
    if not (description.takes_several or "sound" in description.uses):
        raise UserError(
            f"{description.name}: --set sound: its command takes no sound (no {{sound}}); leave the option out"
        )
    path = Path(os.path.expanduser(option)).absolute()  # noqa: PTH111 - which leaves unknown users' folders as they are
    several = is_folder(path)
    wanted = "expected a sound file, or a folder with one for each clip (CLIP_ID.wav, .mp3, .flac, ...)"
    digest = hashlib.sha256(places.fingerprint.encode())
    try:
        if not (files := _recordings(path) if several else [path]):
            raise UserError(f"{path}: holds none")
        for file in files:
            name = file.name if several else ""
            digest.update(f"{name}\0{digests_of(file).sha256}".encode(errors="surrogateescape"))
    except UserError as error:
        raise UserError(f"{description.name}: --set sound: {wanted}, got {error}") from error
    return replace(places, sound=path, fingerprint=digest.hexdigest())


def there(clip: Clip, recordings: Path | None) -> bool:
    """Whether there is anything to look for."""
    return recordings is not None or clip.load_driving_sound is not None


def write(description: CommandDescription, clip: Clip, recordings: Path | None, file: Path) -> None:
    """Write a clip's sound as WAV, from its first frame on, as long as the clip.

    Where the method makes frames at a rate of its own, the sound ends with a whole one of these, in silence.

    Raises:
        UserError: there is none, or it is too short.
    """
    sound = _recorded(description, clip, recordings) if recordings is not None else _kept(description, clip)
    rate, seconds = description.output.fps, clip.frames / clip.driving.fps
    whole = math.ceil(seconds * rate - 1e-6) / rate if isinstance(rate, float) else seconds
    write_wav(file, np.pad(sound, (0, max(0, math.ceil(whole * RATE - 1e-6) - len(sound)))))


def _kept(description: CommandDescription, clip: Clip) -> Sound:
    if clip.load_driving_sound is None:
        raise UserError(
            f"{description.name} needs the sound of clip {clip.clip_id}, which the dataset does not have; give "
            "recordings with --set sound=FILE_OR_FOLDER, or build it from videos with sound by `data build --sound`"
        )
    return clip.load_driving_sound()


def _recorded(description: CommandDescription, clip: Clip, recordings: Path) -> Sound:
    """The beginning of the user's recording of a clip."""
    file = recordings
    if is_folder(recordings):
        found = [path for path in _recordings(recordings) if path.stem == clip.clip_id]
        if len(found) != 1:
            got = ", ".join(path.name for path in found) if found else "none"
            raise UserError(
                f"{description.name} needs the sound of clip {clip.clip_id}: expected one file {clip.clip_id}.wav (or "
                f".mp3, .flac, ...) in {recordings}, got {got}; put it there, or leave the clip out with --clips"
            )
        file = found[0]
    samples = samples_of(clip.frames, clip.driving.fps)
    try:
        sound = read_sound(file, samples=samples)
    except MediaError as error:
        raise UserError(f"{error}; give another recording of clip {clip.clip_id} with --set sound") from error
    if sound is None or len(sound) < samples - _SHORTER * RATE:
        got = "a video without sound" if sound is None else f"{len(sound) / RATE:.2f} s"
        raise UserError(
            f"{file}: expected at least {samples / RATE:.2f} s of sound, as long as clip {clip.clip_id}, got {got}; "
            "give a longer recording, or cut the clips with --frames"
        )
    return np.pad(sound, (0, samples - len(sound)))


def _recordings(folder: Path) -> list[Path]:
    suffixes = SOUNDS | VIDEOS
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())
    except OSError as error:
        raise UserError(f"{folder}: cannot be read: {error.strerror}; open it to yourself") from error
