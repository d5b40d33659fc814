"""Does a method keep the contract that runs rely on? `emojibench check-method`."""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np

from emojibench import media
from emojibench.dataset import load_dataset, locating
from emojibench.errors import MediaError, UserError, one_line
from emojibench.methods import Method, batch, finding, working_size
from emojibench.methods.hook import emojibench_writes
from emojibench.parallel.executor import Work
from emojibench.parallel.local import Local
from emojibench.parallel.worker import Task, Tell
from emojibench.parallel.workers import Workers
from emojibench.reaper import MARK, marked
from emojibench.runs.clips import Clips, resized
from emojibench.runs.generate import check as check_animation
from emojibench.runs.spec import clip_seed

_MOST_FILES = 20_000
"""Files of a folder that are looked at."""


@dataclass(frozen=True)
class Check:
    """One line of the verdict."""

    check: str
    verdict: Literal["pass", "fail", "skipped"]
    detail: str
    """What was seen, or why it was not looked at."""


@dataclass(frozen=True)
class _Asked:
    """What a worker is asked to start."""

    clips: tuple[str, ...]
    """The method gets all of them at once."""
    damaged: bool = False


@dataclass(frozen=True)
class _Seen:
    """What a start of the method led to."""

    digests: tuple[str, ...] = ()
    seconds: float = 0.0
    shape: tuple[int, ...] = ()
    failure: str = ""
    strays: tuple[str, ...] = ()
    """Files that it wrote elsewhere."""
    children: tuple[str, ...] = ()
    """Processes that it left running."""


@dataclass(frozen=True)
class _Setup:
    """Builds the handler that tries a method; picklable."""

    open_clips: Callable[[], Clips]
    open_method: Callable[[], Method]
    sandbox: Path

    def __call__(self, first: Any) -> "_Prober":
        temporary = self.sandbox / "tmp"
        temporary.mkdir(exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        emojibench_writes.watch([str(self.sandbox)], str(self.sandbox / f"outside-{os.getpid()}.txt"))
        return _Prober(self.open_method(), self.open_clips(), self.sandbox)


class _Prober:
    """Starts a method as a run does, and looks at what it leaves behind."""

    def __init__(self, method: Method, clips: Clips, sandbox: Path) -> None:
        self._method, self._clips = method, clips
        self._report = sandbox / f"outside-{os.getpid()}.txt"
        self._folders = [(Path.cwd(), False), *((folder, True) for folder in getattr(method, "folders", ()))]
        self.info = {"name": method.name, "revision": method.revision, "batch": batch(method)}

    def __call__(self, asked: _Asked, tell: Tell) -> _Seen:
        before, told = self._listing(), self._told()
        started = time.perf_counter()
        try:
            seen = self._damaged(asked.clips[0]) if asked.damaged else self._animated(asked.clips)
        except Exception as error:
            text = str(error) if isinstance(error, UserError) else one_line(error)
            seen = _Seen(failure=" ".join(text.split()) or type(error).__name__)
        seconds = time.perf_counter() - started
        after = self._listing()
        changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        strays = (*(line[1:] for line in self._told() if line not in told), *changed)
        return replace(seen, seconds=seconds, strays=tuple(dict.fromkeys(strays)), children=_children())

    def _animated(self, clip_ids: tuple[str, ...]) -> _Seen:
        clips = [self._clips.clip(clip_id) for clip_id in clip_ids]
        given = [resized(clip, working_size(self._method)) for clip in clips]
        seeds = [clip_seed(0, clip_id) for clip_id in clip_ids]
        if len(clips) == 1:
            animations = [self._method.animate(given[0], seed=seeds[0], progress=lambda done, total: None)]
        else:
            several: Any = self._method
            animations = several.animate_batch(given, seeds=seeds, progress=lambda done, total: None)
        digests: list[str] = []
        shape: tuple[int, ...] = ()
        for clip, small, animation in zip(clips, given, animations, strict=True):
            if isinstance(animation, UserError):
                raise animation
            check_animation(animation, (clip.frames, *small.portrait.shape))
            frames, _ = media.fit(animation.frames, (clip.portrait.shape[1], clip.portrait.shape[0]))
            digests.append(hashlib.sha256(np.ascontiguousarray(frames).data).hexdigest())
            shape = frames.shape
        return _Seen(tuple(digests), shape=shape)

    def _damaged(self, clip_id: str) -> _Seen:
        """A command gets files that nobody can read; a class gets no face, and a driving video that fails."""
        clip = resized(self._clips.clip(clip_id), working_size(self._method))
        seed = clip_seed(0, clip_id)
        if command := getattr(self._method, "animate_damaged", None):
            reason = command(clip, seed=seed)
            return _Seen(failure=reason or "it gave frames of a portrait that cannot be read")
        driving = replace(clip.driving, landmarks=np.full_like(clip.driving.landmarks, np.nan))
        broken = replace(
            clip,
            portrait_landmarks=None,
            portrait_transform=None,
            driving=driving,
            load_driving_frames=_unreadable,
        )
        animation = self._method.animate(broken, seed=seed, progress=lambda done, total: None)
        check_animation(animation, (clip.frames, *clip.portrait.shape))
        return _Seen(("",))

    def _told(self) -> list[str]:
        """What the audit hook has noted, as far as it is still so."""
        try:
            lines = self._report.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            return []
        return [line for line in lines if os.path.lexists(line[1:]) == (line[:1] == "+")]

    def _listing(self) -> dict[str, tuple[int, int]]:
        """Size and time of the files below the folders that are watched."""
        found: dict[str, tuple[int, int]] = {}
        for folder, deep in self._folders:
            for entry in _entries(folder, deep):
                if len(found) >= _MOST_FILES:
                    return found
                about = entry.stat(follow_symlinks=False)
                found[entry.path] = about.st_size, about.st_mtime_ns
        return found


def _entries(folder: Path, deep: bool) -> Iterator["os.DirEntry[str]"]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name == "__pycache__":
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield entry
        elif deep:
            yield from _entries(Path(entry.path), deep)


def _unreadable() -> NoReturn:
    raise MediaError("driving.mkv: damaged on purpose, to see what the method makes of it")


def _children() -> tuple[str, ...]:
    """Command lines of what the method has started and not ended, a moment later."""
    import psutil

    deadline = time.monotonic() + 2.0
    while True:
        names = []
        for pid in marked(os.environ[MARK]):
            try:
                line = psutil.Process(pid).cmdline()
            except psutil.Error:
                continue
            if line and not any("multiprocessing" in word for word in line):  # Python's own helper
                names.append(" ".join(line)[:80])
        if not names or time.monotonic() > deadline:
            return tuple(names)
        time.sleep(0.1)


def check_method(
    reference: str,
    *,
    options: Mapping[str, str] | None = None,
    dataset: str | Path = "mini",
    split: str = "cross",
    frames: int = 8,
    timeout: float = 600.0,
) -> list[Check]:
    """Try a method on two clips, in processes of its own.

    Args:
        reference: registered name, or the YAML file of a command.
        options: as in `run`.
        dataset, split: where the first two clips come from.
        frames: length that they are cut to.
        timeout: seconds that one clip may take.

    Raises:
        UserError: something else than the method is wrong: no such name, file, dataset or split.
    """
    name, reference = finding.checked(reference)
    data = load_dataset(dataset, detector="auto")
    length, ids = data.checked_frames(frames), data.chosen(split, 2)
    if len(ids) < 2:
        raise UserError(
            f"--split: expected a split of at least two clips, {data.name} has one; choose another dataset"
        )
    data.prepare(ids, quiet=True)
    with _sandbox() as sandbox:
        setup = _Setup(
            partial(_open_clips, load_dataset, locating.dataset(dataset) or dataset, length),
            partial(finding.open_method, reference, dict(options or {})),
            sandbox,
        )  # fmt: skip
        return _Suite(setup, name, ids, timeout).checks()


@contextmanager
def _sandbox() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="emojibench-check-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _open_clips(load: Any, ref: str | Path, frames: int) -> Clips:
    return Clips(load(ref, detector="auto"), frames)


class _Suite:
    """Makes all checks of one method."""

    def __init__(self, setup: _Setup, name: str, clips: tuple[str, ...], timeout: float) -> None:
        self._setup, self._name, (self._a, self._b), self._timeout = setup, name, clips, timeout
        self._seen: list[tuple[str, _Seen]] = []

    def checks(self) -> list[Check]:
        """The verdict, in the order in which things are tried."""
        try:
            info, (first, again, second, damaged, after) = self._tried(
                ("the first clip", _Asked((self._a,))),
                ("the same clip again", _Asked((self._a,))),
                ("a second clip", _Asked((self._b,))),
                ("a damaged clip", _Asked((self._a,), damaged=True)),
                ("a clip after the damaged one", _Asked((self._b,))),
            )
        except UserError as error:
            return [Check("opens", "fail", str(error))]
        found = [Check("opens", "pass", f"{info['name']}, revision {info['revision']}")]
        shape = "x".join(map(str, first.shape))
        found.append(self._ok("frames", first, f"{shape} (T, H, W, C) uint8, {first.seconds:.1f} s"))
        found.append(self._same("same seed, same frames", first, again))
        found.append(self._ok("second clip", second, f"{second.seconds:.1f} s"))
        found += self._in_another_order(first, second, info["batch"])
        found.append(_damage(damaged))
        found.append(self._same("goes on after it", second, after))
        found.append(self._nothing("writes only in its own folder", "strays"))
        found.append(self._nothing("leaves no process behind", "children"))
        return found

    def _tried(self, *asked: tuple[str, _Asked]) -> tuple[Any, list[_Seen]]:
        """One process, one start after the other."""
        log = self._setup.sandbox / "log.txt"
        seen = []
        work = Work(self._setup, f"method {self._name!r}")
        with Workers(Local(), work, timeout=self._timeout, log=log) as workers:
            info = workers.info
            for number, (what, task) in enumerate(asked):
                say(what)
                task_log = self._setup.sandbox / f"{number}.txt"
                outcome = next(
                    iter(workers.map([Task(what, task, task_log, share=len(task.clips))], lambda *_: None))
                )
                seen.append(outcome.result or _Seen(failure=outcome.failure))
                self._seen.append((what, seen[-1]))
        return info, seen

    def _in_another_order(self, first: _Seen, second: _Seen, most: int) -> list[Check]:
        asked = [("the second clip first", _Asked((self._b,))), ("the first clip second", _Asked((self._a,)))]
        if most > 1:
            asked.append(("both at once", _Asked((self._a, self._b))))
        _, seen = self._tried(*asked)
        found = [self._same("another order, another process", _both(first, second), _both(seen[1], seen[0]))]
        if most > 1:
            found.append(self._same("both clips at once", _both(first, second), seen[2]))
        return found

    def _ok(self, check: str, seen: _Seen, detail: str) -> Check:
        return Check(check, "fail", seen.failure) if seen.failure else Check(check, "pass", detail)

    def _same(self, check: str, one: _Seen, other: _Seen) -> Check:
        if one.failure:
            return Check(check, "skipped", "there are no frames to compare with")
        if other.failure:
            return Check(check, "fail", other.failure)
        if one.digests != other.digests:
            return Check(
                check,
                "fail",
                "other frames; seed all that is drawn at random, keep nothing of other clips",
            )
        return Check(check, "pass", "the same frames")

    def _nothing(self, check: str, what: Literal["strays", "children"]) -> Check:
        for when, seen in self._seen:
            if left := getattr(seen, what):
                more = f" and {len(left) - 1} more" if len(left) > 1 else ""
                return Check(check, "fail", f"{left[0]}{more} (at {when})")
        told = "outside its folder" if what == "strays" else "left a process"
        if said := [seen.failure for _, seen in self._seen if told in seen.failure]:
            return Check(check, "fail", said[0])
        return Check(check, "pass", "nothing was found")


def _both(one: _Seen, other: _Seen) -> _Seen:
    return _Seen((*one.digests, *other.digests), failure=one.failure or other.failure)


def _damage(seen: _Seen) -> Check:
    if seen.failure.startswith("it gave frames"):
        detail = f"{seen.failure}; end with another exit code than 0 where the input is wrong"
        return Check("reports a failure", "fail", detail)
    if seen.failure.startswith(("no result within", "the worker")):
        return Check("reports a failure", "fail", seen.failure)
    return Check("reports a failure", "pass", seen.failure or "frames without looking at what was damaged")


def say(what: str) -> None:
    """Print what is being checked on stderr."""
    if sys.stderr is not None:
        print(f"check: {what} ...", file=sys.stderr, flush=True)
