"""Commands that are driven by sound: what they hear, where it comes from, which of their frames count."""

import math
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_clips import FRAMES, make_clip

from emojibench import media
from emojibench.dataset.clip import Clip
from emojibench.errors import UserError
from emojibench.media.sound import RATE, samples_of, write_wav
from emojibench.methods.command import Command

QUIET = {"seed": 5, "progress": lambda *_: None}
HEAR = """
import sys
import numpy, wave
from PIL import Image
portrait, sound, out, rate = sys.argv[1:]
with wave.open(sound) as heard:
    kind = heard.getnchannels(), heard.getsampwidth(), heard.getframerate()
    samples = numpy.frombuffer(heard.readframes(heard.getnframes()), "<i2")
assert kind == (1, 2, 48000), kind
size = Image.open(portrait).size
for frame, start in enumerate(range(0, len(samples), 48000 // int(rate))):
    shade = int(samples[start]) >> 8, frame, len(samples) // 240
    Image.new("RGB", size, shade).save(f"{out}/{frame:04d}.png")
"""
"""Makes as many frames as the sound has at a rate: red is the sound's value, green the frame's number, blue 1/200 s."""


@pytest.fixture
def hearing(tmp_path: Path, description: Any) -> Any:
    (tmp_path / "hear.py").write_text(HEAR)

    def opened(rate: int = 25, clip: Clip | None = None, **options: str) -> np.ndarray:
        path = description(
            command=f"python {{here}}/hear.py {{portrait}} {{sound}} {{out}} {rate}",
            output={"kind": "pictures", "frames": "audio", "fps": rate},
        )
        frames = Command(path)(options).animate(clip or make_clip(), **QUIET).frames
        return np.asarray(frames[:, 0, 0])

    return opened


def ramp(seconds: float) -> np.ndarray:
    return (256 * (100 * np.arange(math.ceil(seconds * RATE)) // RATE)).astype(np.int16)


def sounding(clip: Clip) -> Clip:
    sound = ramp(clip.frames / clip.driving.fps)
    return replace(clip, load_driving_sound=lambda: sound)


def test_the_datasets_own_sound_is_heard(hearing: Any) -> None:
    clip = sounding(make_clip())
    assert hearing(clip=clip)[:, 0].tolist() == [0, 4, 8, 12, 16, 20]
    assert hearing(clip=clip.cut(3)).tolist() == [[0, 0, 24], [4, 1, 24], [8, 2, 24]]


def test_frames_of_another_rate_are_matched_by_time(hearing: Any) -> None:
    clip = make_clip()
    clip = sounding(replace(clip, driving=replace(clip.driving, fps=30.0)))
    assert hearing(25, clip=clip)[:, 1].tolist() == [0, 0, 1, 2, 3, 4]
    assert hearing(60, clip=clip)[:, 1].tolist() == [0, 2, 4, 6, 8, 10]


def test_recordings_of_the_user_come_first(hearing: Any, tmp_path: Path) -> None:
    folder = tmp_path / "recordings \u00fc"
    write_wav(folder / "clip-0.wav", ramp(1) + 256)
    write_wav(
        tmp_path / "one.wav", ramp(0.2) + 512
    )  # shorter than the clip, by less than a tenth of a second
    clip = sounding(make_clip())
    assert hearing(clip=clip, sound=str(folder))[:, 0].tolist() == [1, 5, 9, 13, 17, 21]
    assert hearing(clip=clip, sound=str(tmp_path / "one.wav"))[:, 0].tolist() == [2, 6, 10, 14, 18, 0]


def test_recordings_are_part_of_the_revision(description: Any, tmp_path: Path) -> None:
    path = description(command="run {sound} {out}")
    found = {Command(path)({}).revision}
    for value in (1, 2):
        write_wav(tmp_path / "speech.wav", np.full(RATE, value, np.int16))
        found.add(Command(path)({"sound": str(tmp_path / "speech.wav")}).revision)
    assert len(found) == 3


def broken(tmp_path: Path, what: str) -> Path:
    place = tmp_path / what.replace(" ", "-")
    if what == "a short one":
        write_wav(place, ramp(0.1))
    elif what == "a video without sound":
        place = place.with_suffix(".mkv")
        media.write_lossless(place, np.zeros((30, 32, 32, 3), np.uint8), 25)
    elif what == "an empty file":
        place.touch()
    elif what == "a text":
        place.write_text("speech")
    elif what != "nothing":
        place.mkdir()
        for name in {"another clip": ["clip-1.wav"], "two of one clip": ["clip-0.wav", "clip-0.mp3"]}.get(
            what, []
        ):
            write_wav(place / name, ramp(1))
    return place


@pytest.mark.parametrize(
    ("what", "reason"),
    {
        "nothing": "fake: --set sound: expected a sound file, or a folder .*, got {place}: no such file; correct",
        "an empty folder": "--set sound: .*, got {place}: holds none",
        "another clip": "needs the sound of clip clip-0: expected one file clip-0.wav .* in {place}, got none",
        "two of one clip": "expected one file clip-0.wav .*, got clip-0.mp3, clip-0.wav",
        "a short one": "{place}: expected at least 0.24 s of sound, as long as clip clip-0, got 0.10 s; give a longer",
        "a video without sound": "{place}: expected at least 0.24 s of sound, .* got a video without sound",
        "an empty file": "{place}: not a sound file, .*; give another recording of clip clip-0 with --set sound",
        "a text": "{place}: not a sound file, .*; give another recording",
    }.items(),
)
def test_recordings_that_will_not_do(hearing: Any, tmp_path: Path, what: str, reason: str) -> None:
    place = broken(tmp_path, what)
    with pytest.raises(UserError, match=reason.format(place=place)):
        hearing(sound=str(place))


def test_a_folder_of_nobodys(hearing: Any) -> None:
    with pytest.raises(UserError, match=r"--set sound: .*, got .*~nobody-at-all/speech\.wav: no such file"):
        hearing(sound="~nobody-at-all/speech.wav")


def test_who_takes_no_sound_and_who_gets_none(hearing: Any, method: Any, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="fake needs the sound of clip clip-0, which the dataset does not have; give"
    ):
        hearing()
    with pytest.raises(
        UserError, match=r"fake: --set sound: its command takes no sound \(no {sound}\); leave"
    ):
        method(options={"sound": str(tmp_path)})


def test_a_command_of_many_clips_hears_them(description: Any) -> None:
    said = (
        "import json, sys; [print(json.loads(l)['sound'] or 'none') for l in open(sys.argv[1])]; sys.exit(1)"
    )
    path = description(command=["python", "-c", said, "{clips}"])
    for clip, name in ((sounding(make_clip()), "in/sound.wav"), (make_clip(), "none")):
        with pytest.raises(UserError, match=name):
            Command(path)({}).animate(clip, **QUIET)


def test_it_ends_with_a_whole_frame_of_the_methods_own(tmp_path: Path) -> None:
    from emojibench.methods import sounds
    from emojibench.methods.description import CommandDescription

    described = CommandDescription(name="a", command="run {sound}", output={"fps": 25})
    clip = make_clip()
    clip = sounding(replace(clip, driving=replace(clip.driving, fps=30.0)))
    sounds.write(described, clip, None, tmp_path / "s.wav")
    with wave.open(str(tmp_path / "s.wav")) as heard:
        assert heard.getnframes() == samples_of(5, 25)
    assert samples_of(FRAMES, 30.0) == 9600
