"""One start of a command: its private folder, the files it is given, its words, and what it may not do."""

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from emojibench.dataset.clip import Clip
from emojibench.dataset.clip_files import FILES, ClipContent, LeftOutError
from emojibench.dataset.workplace import workplace
from emojibench.errors import UserError, WriteError
from emojibench.files.reading import read_yaml
from emojibench.files.writing import write_text
from emojibench.methods import environments, sounds
from emojibench.methods.description import CommandDescription
from emojibench.methods.places import Places, working_directory
from emojibench.methods.process import CommandError
from emojibench.methods.templates import fill


@dataclass(frozen=True)
class ClipJob:
    """One clip of a command."""

    clip: Clip
    seed: int
    folder: Path
    """Private to the clip: `in`, `out`."""
    values: Mapping[str, str]
    """Of the placeholders that belong to a clip, and of {scratch}."""


class Job:
    """A command that is going to be started for one clip, or for several."""

    def __init__(
        self,
        description: CommandDescription,
        places: Places,
        folder: Path,
        clips: Sequence[Clip],
        seeds: Sequence[int],
    ) -> None:
        self._description, self._places = description, places
        self.scratch, self.capture = folder / "scratch", folder / "frames"
        self._folder, self._seed = folder, 0 if description.takes_several else seeds[0]
        self.clips = [self._clip(clip, seed) for clip, seed in zip(clips, seeds, strict=True)]
        self._shared = {
            "here": str(places.here),
            "repo": str(places.repo or ""),
            "weights": str(places.weights or ""),
            "scratch": str(self.scratch),
            "clips": str(self.scratch / "clips.jsonl"),
        }
        self.values = self._shared | ({} if description.takes_several else dict(self.clips[0].values))
        self.cwd = working_directory(description, places, self.scratch)

    def _clip(self, clip: Clip, seed: int) -> ClipJob:
        described, several = self._description, self._description.takes_several
        folder = self.scratch / "clips" / clip.clip_id if several else self.scratch
        file = described.output.pattern == "{out}" and described.output.kind == "video"
        values = {
            "portrait": str(folder / "in" / "portrait.png"),
            "driving": str(folder / "in" / (described.input or "")),
            "sound": str(folder / "in" / "sound.wav"),
            "landmarks": str(folder / "in" / "target_landmarks.npz"),
            "out": str(folder / "out" / "result.mp4" if file else folder / "out"),
            "frames": str(clip.frames),
            "fps": f"{clip.driving.fps:g}",
            "seed": str(seed),
            "clip": clip.clip_id,
            "scratch": str(self.scratch),
        }
        return ClipJob(clip, seed, folder, values)

    def prepare(self) -> None:
        """Make the folders and write everything that the command is given.

        Raises:
            UserError: a clip lacks what the method needs, or the repository lacks a file.
        """
        for folder in (self.scratch, self.capture, self.scratch / "tmp"):
            folder.mkdir()
        for job in self.clips:
            for name in ("in", "out"):
                (job.folder / name).mkdir(parents=True)
            self._write_inputs(job)
        for name, derived in self._description.derives.items():
            assert self._places.repo is not None
            content = read_yaml(self._places.repo / derived.source)
            for key, value in derived.values.items():
                filled = fill(value, self.values)
                content[key] = int(filled) if filled.lstrip("-").isdecimal() else filled
            self._write(name, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        for name, text in self._description.writes.items():
            self._write(name, fill(text, self.values))
        if self._description.takes_several:
            lines = [self._line(job) for job in self.clips]
            self._write("clips.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))

    def damage(self) -> None:
        """Make every input file unreadable, to see whether the command says so."""
        for job in self.clips:
            for path in (job.folder / "in").rglob("*"):
                if path.is_file():
                    path.write_bytes(b"damaged")

    def _write(self, name: str, text: str) -> None:
        path = self.scratch / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)

    def _write_inputs(self, job: ClipJob) -> None:
        described, content = self._description, ClipContent(job.clip)
        wanted = ["portrait.png"]
        if "landmarks" in described.uses or described.takes_several:
            wanted.append("target_landmarks.npz")
        for name in wanted:
            self._write_input(job, content, name, optional=described.takes_several)
        if "sound" in described.uses or (
            described.takes_several and sounds.there(job.clip, self._places.sound)
        ):
            sounds.write(described, job.clip, self._places.sound, job.folder / "in" / "sound.wav")
        if described.input is not None and ("driving" in described.uses or described.takes_several):
            twice = ClipContent(_first_frame_twice(job.clip)) if described.first_frame_twice else content
            self._write_input(job, twice, described.input)

    def _write_input(self, job: ClipJob, content: ClipContent, name: str, *, optional: bool = False) -> None:
        try:
            FILES[name].write(content, job.folder / "in" / name)
        except LeftOutError as error:
            if not optional:
                raise UserError(
                    f"{self._description.name} needs {name} of clip {job.clip.clip_id}, which cannot be had: {error}; "
                    "leave the clip out with --clips, or use a dataset that has it"
                ) from error

    def _line(self, job: ClipJob) -> dict[str, object]:
        line: dict[str, object] = {
            key: job.values[key] for key in ("clip", "portrait", "driving", "sound", "landmarks", "out")
        }
        line |= {key: None for key in ("sound", "landmarks") if not Path(job.values[key]).exists()}
        return line | {"frames": job.clip.frames, "fps": job.clip.driving.fps, "seed": job.seed}

    def commands(self, *, cpu: bool) -> list[list[str]]:
        """The words of every step, placeholders filled in."""
        steps = [[fill(word, self.values) for word in step] for step in self._description.steps]
        if cpu:
            steps[-1] += [fill(word, self.values) for word in self._description.cpu_arguments]
        return steps

    def variables(self) -> dict[str, str]:
        """The environment of every step."""
        own = [self._folder]
        if self._description.working_directory != "scratch":
            own.append(self.cwd)
        return environments.variables(
            self._description, self._places, filled=self.values, scratch=self.scratch, capture=self.capture, own=own,
            seed=self._seed,
        )  # fmt: skip

    def check_outside(self, started: float) -> None:
        """Has it left files alone that are not its own? Told by its Pythons, and by what lies beside its folder.

        Raises:
            CommandError: it has not; the message names the first.
        """
        strangers = [path for path in self._folder.iterdir() if path not in (self.scratch, self.capture)]
        report = self.capture / "outside.txt"
        if report.exists():
            for line in report.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
                sign, path = line[:1], Path(line[1:])
                if (sign == "+" and _newer(path, started)) or (sign == "-" and not os.path.lexists(path)):
                    strangers.append(path)
        if strangers:
            raise CommandError(
                f"wrote outside its folder: {strangers[0]}; it may write below its working directory and {{out}}"
            )


def _newer(path: Path, started: float) -> bool:
    try:
        return path.lstat().st_ctime >= started - 0.01
    except OSError:
        return False


def _first_frame_twice(clip: Clip) -> Clip:
    index = np.array([0, *range(clip.frames)])
    driving, load = clip.driving, clip.load_driving_frames
    twice = replace(
        driving,
        landmarks=driving.landmarks[index],
        transforms=None if driving.transforms is None else driving.transforms[index],
        blendshapes=None if driving.blendshapes is None else driving.blendshapes[index],
    )
    return replace(clip, driving=twice, load_driving_frames=None if load is None else lambda: load()[index])


def reopen(folder: Path) -> None:
    """Give ourselves back the folders that a command has closed, so that they can be read and removed."""
    folders = [folder]
    while folders:
        each = folders.pop()
        with suppress(OSError):
            if not os.access(each, os.R_OK | os.W_OK | os.X_OK):
                each.chmod(0o700)
            with os.scandir(each) as entries:
                folders += [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]


@contextmanager
def private_folder() -> Iterator[Path]:
    """An empty folder below the system's temporary one, gone when the block ends, or when the next one is made.

    Raises:
        UserError: none can be made.
    """
    place = Path(tempfile.gettempdir()) / f"emojibench-command-{os.getuid()}"
    try:
        with workplace(place, "command") as folder:
            (folder / "command").mkdir()
            try:
                yield folder / "command"
            finally:
                reopen(folder / "command")
    except WriteError as error:
        reason = error.__cause__ or error
        raise UserError(f"cannot write to {place.parent} ({reason}); set TMPDIR to another folder") from error


def now() -> float:
    """The clock of files' change times, rounded down as file systems may."""
    return int(time.time() * 100) / 100
