"""A method that is a command: a YAML file says how it is called (`description.py`), this calls it."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from emojibench.dataset.clip import Clip
from emojibench.errors import MediaError, UserError
from emojibench.methods import Animation, Options, Progress, sounds
from emojibench.methods.collecting import collect
from emojibench.methods.description import BATCH, CommandDescription, read_description
from emojibench.methods.environments import resolve
from emojibench.methods.jobs import ClipJob, Job, now, private_folder, reopen
from emojibench.methods.places import Places, checked_places, own_places, working_directory
from emojibench.methods.process import CommandError, Ended, Limits, run
from emojibench.methods.revision import version, warn
from emojibench.registry import unknown

OPTIONS = ("motion", "device", "batch", "sound")
"""`--set` keys that every command takes."""
MIB = 2**20
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Files that drivers make: NVIDIA's, that of Windows' Linux, and AMD's."""
_UNPRINTABLE = re.compile(r"[\x00-\x1f|`]")

FindPlaces = Callable[[Any, Options], Places]
"""Finds a description's parts on this machine, from options of its own."""


class Command:
    """Opens the method that a YAML file describes; what an entry point may name.

    Args:
        file: the YAML file.
        model: what its content is checked against.
        places: finds its parts, where the file itself does not say it.
        options: `--set` keys that `places` takes.
    """

    def __init__(
        self,
        file: str | Path,
        *,
        model: type[CommandDescription] = CommandDescription,
        places: FindPlaces | None = None,
        options: Iterable[str] = (),
    ) -> None:
        self.file = Path(file).absolute()
        self._model, self._places, self._options = model, places, tuple(options)
        self.__name__ = self.file.stem

    @cached_property
    def description(self) -> CommandDescription:
        """The file's content. Raises `UserError` where something is wrong with it."""
        return read_description(self.file, self._model)

    @property
    def summary(self) -> str:
        """One line that `emojibench methods` shows."""
        described = self.description
        return ", ".join(filter(None, [described.title or f"command of {self.file.name}", described.label]))

    @property
    def gpus(self) -> float | None:
        """GPUs of one start, or a share of one; None: not said."""
        return self.description.gpus

    def __call__(self, options: Options) -> "CommandMethod":
        """The method with options.

        Raises:
            UserError: a wrong file or option; a part of the method that is not on this machine.
        """
        described, known = self.description, (*OPTIONS, *self._options)
        if not described.can_run:
            raise UserError(f"{described.name} cannot be run; its description says why under state")
        for key in options:
            if key not in known:
                raise UserError(f"{described.name}: --set: {unknown('option', key, known)}")
        theirs = {key: value for key, value in options.items() if key in self._options}
        described = with_motion(described, options.get("motion"))
        if self._places is None:
            places = own_places(described, self.file.parent)
        else:
            places = checked_places(described, self._places(described, theirs))
        places = sounds.given(described, places, options.get("sound"))
        return CommandMethod(described, places, options)


class CommandMethod:
    """A command under test: started once for each clip, or for several clips at once where it takes {clips}."""

    outside = True

    def __init__(self, description: CommandDescription, places: Places, options: Options) -> None:
        self.name, self._description, self._places = description.name, description, places
        self._cpu = _on_cpu(description, options.get("device"))
        self.batch = _batch(description, options.get("batch"))
        repository = getattr(description, "repository", None)
        pinned = description.revision.commit or (repository.commit if repository else None)
        choices = {"device": "cpu" if self._cpu else "any"} if description.cpu_arguments else {}
        found = version(description, places, choices, pinned)
        warn(found)
        self.revision = found.text
        self.about = _about(description, places, repository, found.commit, found.warning)

    def animate(self, clip: Clip, *, seed: int, progress: Progress) -> Animation:
        """As `Method.animate`.

        Raises:
            UserError: the reason why there are no frames.
        """
        animation = self.animate_batch([clip], seeds=[seed], progress=progress)[0]
        if isinstance(animation, UserError):
            raise animation
        return animation

    def animate_batch(
        self, clips: Sequence[Clip], *, seeds: Sequence[int], progress: Progress
    ) -> list[Animation | UserError]:
        """One start of the command; one animation, or the reason why there is none, for each clip.

        Raises:
            UserError: the command itself failed, so that no clip has frames.
        """
        return self._made(clips, seeds, progress)

    def animate_damaged(self, clip: Clip, *, seed: int) -> str:
        """The reason that the command gives where its input files cannot be read; empty: it gives frames."""
        try:
            animation = self._made([clip], [seed], lambda done, total: None, damaged=True)[0]
        except UserError as error:
            return str(error)
        return str(animation) if isinstance(animation, UserError) else ""

    def _made(
        self, clips: Sequence[Clip], seeds: Sequence[int], progress: Progress, *, damaged: bool = False
    ) -> list[Animation | UserError]:
        with private_folder() as folder:
            job = Job(self._description, self._places, folder, clips, seeds)
            started = time.perf_counter()
            job.prepare()
            if damaged:
                job.damage()
            written = time.perf_counter()
            ended = self._run(job)
            progress(len(clips), len(clips) + 1)
            share = len(clips)
            seconds = {
                "inputs": (written - started) / share,
                "command": sum(each.seconds for each in ended) / share,
            }
            peak = max((each.peak_memory or 0 for each in ended), default=0) or None
            return [self._collected(job, each, seconds, peak, share) for each in job.clips]

    def commands(self, clip: Clip, *, seed: int, folder: Path) -> list[list[str]]:
        """The words of every step for one clip, as they would be run in a private `folder`; nothing is started."""
        return Job(self._description, self._places, folder, [clip], [seed]).commands(cpu=self._cpu)

    @property
    def folders(self) -> list[Path]:
        """Where it might write and must not: nothing of that is its working directory."""
        own = working_directory(self._description, self._places, Path())
        return [
            folder
            for folder in (self._places.here, self._places.repo)
            if folder is not None and folder != own
        ]

    def _run(self, job: Job) -> list[Ended]:
        described, env = self._description, job.variables()
        memory = described.memory_limit
        left, began = described.time_limit * len(job.clips), now()
        ended: list[Ended] = []
        try:
            for words in job.commands(cpu=self._cpu):
                words[0] = resolve(words[0], self._places, env, job.cwd)
                limits = Limits(left, memory and memory * MIB, described.output_limit * MIB * len(job.clips))
                ended.append(run(words, cwd=job.cwd, env=env, limits=limits, folders=[job.scratch]))
                left = max(0.0, left - ended[-1].seconds)
            reopen(job.scratch)
            job.check_outside(began)
        except UserError as error:
            raise CommandError(self._said(error, job)) from error
        return ended

    def _said(self, error: UserError, job: Job) -> str:
        """A reason, with paths as the command's own folder has them: the folder is gone when somebody reads it."""
        subject = " the command" if isinstance(error, CommandError) else ""
        return f"{self.name}:{subject} {str(error).replace(f'{job.scratch}/', '')}"

    def _collected(
        self, job: Job, each: ClipJob, seconds: Mapping[str, float], peak: int | None, share: int
    ) -> Animation | UserError:
        height, width = each.clip.portrait.shape[:2]
        began = time.perf_counter()
        try:
            collected = collect(
                self._description.output, {**job.values, **each.values}, each.folder, expected=each.clip.frames,
                fps=each.clip.driving.fps, size=(width, height), capture=job.capture,
            )  # fmt: skip
        except MediaError as error:
            return UserError(self._said(error, job))
        return Animation(
            collected.frames,
            each.clip.driving.fps,
            {**seconds, "outputs": time.perf_counter() - began},
            note=collected.note,
            peak_memory=peak,
            shared=share,
        )


def with_motion(description: CommandDescription, mode: str | None) -> CommandDescription:
    """The description with the arguments of another motion mode in the place of its own.

    Raises:
        UserError: it has no such mode.
    """
    motion = description.motion
    if mode is None or (motion and mode == motion.mode):
        return description
    switch = {str(name): words for name, words in motion.switch.items()} if motion else {}
    if motion is None or mode not in switch or motion.mode not in switch:
        modes = sorted({*switch, *([motion.mode] if motion else [])})
        wanted = " or ".join(modes) or "nothing, since its description has no motion.switch"
        raise UserError(f"{description.name}: --set motion: expected {wanted}, got {mode!r}")
    steps = [list(step) for step in description.steps]
    before, after = switch[motion.mode], switch[mode]
    for step in steps:
        for start in range(len(step)):
            if before and step[start : start + len(before)] == before:
                step[start : start + len(before)] = after
                break
        else:
            continue
        break
    else:
        if before:
            raise UserError(
                f"{description.name}: motion.switch: {' '.join(before)} is not in the command in one piece"
            )
        steps[-1] += after
    return description.model_copy(update={"steps": steps, "motion": motion.model_copy(update={"mode": mode})})


def _on_cpu(description: CommandDescription, asked: str | None) -> bool:
    """Whether it is to run without a GPU."""
    able = description.device or ["cpu", "cuda"]
    if asked is not None and asked not in able:
        raise UserError(f"{description.name}: --set device: expected {' or '.join(able)}, got {asked!r}")
    if asked == "cpu":
        return True
    if _has_gpu():
        return able == ["cpu"]
    if "cpu" not in able or asked == "cuda":
        raise UserError(
            f"{description.name} needs a CUDA GPU, and there is none here; run it on a machine that has one"
        )
    return True


def _has_gpu() -> bool:
    """Torch, once loaded, lets the run say which device this was; it takes seconds, so only where there may be one."""
    if not any(Path(device).exists() for device in _GPU_DEVICES):
        return False
    import torch

    return bool(torch.cuda.is_available())


def _batch(description: CommandDescription, asked: str | None) -> int:
    most = (description.batch or BATCH) if description.takes_several else 1
    if asked is None:
        return most
    if not (asked.isdecimal() and 1 <= int(asked) <= 10_000):
        raise UserError(
            f"{description.name}: --set batch: expected a number of clips of at least 1, got {asked!r}"
        )
    if int(asked) > 1 and not description.takes_several:
        raise UserError(
            f"{description.name}: --set batch: its command takes one clip at a time (no {{clips}}), got {asked}"
        )
    return int(asked)


def _about(
    description: CommandDescription, places: Places, repository: Any, commit: str, warning: str
) -> dict[str, str]:
    """What readers of its numbers must know; empty values are left out."""
    licence, motion = description.licence, description.motion
    label = "random weights" if places.random_weights else description.label
    allowed = {True: "allowed", False: "not allowed", None: "not stated"}
    facts = {
        "title": description.title,
        "label": label,
        "motion": motion.mode if motion else "",
        "licence": licence.name if licence else "",
        "commercial use": allowed[licence.commercial] if licence else "",
        "repository": repository.url if repository else "",
        "commit": commit,
        "warning": warning,
        "environment": str(places.environment or ""),
        "geometry": description.output.geometry,
    }
    return {key: _UNPRINTABLE.sub(" ", value)[:500] for key, value in facts.items() if value}
