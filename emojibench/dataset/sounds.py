"""What is heard during a driving sequence: kept when a dataset is built, read back, as long as the sequence."""

from pathlib import Path

import numpy as np

from emojibench.errors import DatasetError
from emojibench.face.driving import DrivingSequence
from emojibench.media.sound import read_sound, samples_of, write_wav
from emojibench.types import Sound


def keep(source: Path, file: Path, driving: DrivingSequence, *, start: float) -> bool:
    """Write the sound of a part of a video, silence behind its end.

    Args:
        source: the video, or a folder of pictures, which has no sound.
        file: WAV to write.
        driving: the sequence whose sound it is.
        start: when its first frame is shown, in seconds after the video's.

    Returns:
        Whether the video has sound.

    Raises:
        MediaError: its sound is damaged, or of a kind that is not known.
    """
    samples = samples_of(len(driving), driving.fps)
    sound = None if source.is_dir() else read_sound(source, samples=samples, start=start)
    if sound is None:
        return False
    write_wav(file, np.pad(sound, (0, samples - len(sound))))
    return True


def read(file: Path, driving: DrivingSequence) -> Sound:
    """The sound of a driving sequence, as `keep` wrote it.

    Raises:
        DatasetError: another length than the sequence's.
        MediaError: no sound file.
    """
    samples = samples_of(len(driving), driving.fps)
    sound = read_sound(file, samples=samples + 1)
    if sound is None or len(sound) != samples:
        got = "no sound" if sound is None else f"{len(sound)}" if len(sound) < samples else f"over {samples}"
        raise DatasetError(
            f"{file.name}: expected {samples} samples, as long as {len(driving)} frames at {driving.fps:g} a second, "
            f"got {got}; restore the file, or build the dataset again"
        )
    return sound
