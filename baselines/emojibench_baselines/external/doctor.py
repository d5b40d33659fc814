"""`emojibench baselines doctor`: is a set-up whole, and does the method animate a few frames?"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from emojibench.errors import UserError, one_line
from emojibench.media.sound import RATE, samples_of
from emojibench.methods.description import Strict
from emojibench.types import Sound
from emojibench_baselines.external import checkpoints, records
from emojibench_baselines.external.description import Description, Parser, load
from emojibench_baselines.external.records import VERSIONS, Record
from emojibench_baselines.external.setting_up import commit_of, other_commit

FRAMES = 4
_SECONDS = 600
"""Long enough to import anything on a slow disk."""


class Check(Strict):
    """One thing that was looked at."""

    what: str
    state: Literal["ok", "warning", "wrong", "not tried"]
    found: str


def doctor(name: str, tell: Callable[[str], None]) -> list[Check]:
    """Look at every part of a set-up, then animate a few frames of the embedded dataset.

    Raises:
        UserError: no such baseline, or it cannot run at all.
    """
    description = load(name)
    if not description.state.runnable:
        raise UserError(f"{name}: cannot run: {description.state.reason}")
    record = records.read(name)
    checks = []
    for check in _checks(description, record):
        tell(f"{check.state}: {check.what}: {check.found}")
        checks.append(check)
    return checks


def _checks(description: Description, record: Record) -> Iterator[Check]:
    found: list[Check] = []
    for look in (_repository, _environment, _system, _checkpoints, _device):
        for check in look(description, record):
            found.append(check)
            yield check
    if wrong := [check.what for check in found if check.state == "wrong"]:
        yield Check(what="smoke run", state="not tried", found=f"mend {', '.join(wrong)} first")
        return
    try:
        yield _smoke_run(description)
    except UserError as error:
        yield Check(what="smoke run", state="wrong", found=str(error))


def _advice(description: Description) -> str:
    return f"run `emojibench baselines setup {description.name}`"


def _repository(description: Description, record: Record) -> Iterator[Check]:
    if record.repo is None or not record.repo.is_dir():
        where = f"{record.repo} is gone" if record.repo else "not set up"
        yield Check(what="repository", state="wrong", found=f"{where}; {_advice(description)}")
        return
    assert description.repository is not None
    commit = commit_of(record.repo)
    warning = other_commit(description.repository, commit)
    yield Check(
        what="repository",
        state="warning" if warning else "ok",
        found=f"{record.repo}: {warning or f'at the pinned commit {commit[:12]}'}",
    )


def _environment(description: Description, record: Record) -> Iterator[Check]:
    place = records.environment(description.name)
    if not (place / VERSIONS).is_file():
        yield Check(what="environment", state="wrong", found=f"not set up; {_advice(description)}")
        return
    python = place / "bin" / "python"
    version = _said([str(python), "--version"], place)
    packages = (place / VERSIONS).read_text().splitlines()[1:]
    torch = [line for line in packages if line.startswith("torch==")]
    sound = version.startswith("Python")
    yield Check(
        what="environment",
        state="ok" if sound else "wrong",
        found=", ".join([f"{place}: {version}", f"{len(packages)} packages", *torch])
        + ("" if sound else f"; remove it and {_advice(description)}"),
    )
    if sound and record.repo and record.repo.is_dir():
        for parser in description.parsers:
            yield _imports(description, parser, python, record.repo)


def _imports(description: Description, parser: Parser, python: Path, repo: Path) -> Check:
    """Ask the entry script for its options: everything that it imports at its top is imported on the way."""
    step = description.steps[parser.step]
    module = parser.file.removesuffix(".py").replace("/", ".")
    scripts = [word for word in step if word.endswith(".py") or word == module]
    by_name = ["-m"] if scripts and scripts[0] == module else []
    script = scripts[0].replace("{repo}", str(repo))
    started = time.monotonic()
    said = _said([str(python), *by_name, script, "--help"], repo)
    seconds = time.monotonic() - started
    if said.startswith("!"):
        return Check(
            what="imports", state="wrong", found=f"{script} --help: {said[1:]}; {_advice(description)}"
        )
    return Check(what="imports", state="ok", found=f"{script} --help, {seconds:.1f} s")


def _said(words: list[str], folder: Path) -> str:
    """What a program prints; its last lines behind `!` where it fails."""
    try:
        ended = subprocess.run(
            words, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        return f"!{words[0]}: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"!no answer within {_SECONDS} s"
    if ended.returncode == 0:
        return (ended.stdout or ended.stderr).strip()
    return f"!exit code {ended.returncode}: {' '.join((ended.stderr or ended.stdout).split())[-600:]}"


def _system(description: Description, record: Record) -> Iterator[Check]:
    environment = description.environment
    assert environment is not None
    for name in environment.system:
        if name == "python3-tk":
            python = records.environment(description.name) / "bin" / "python"
            there = not _said([str(python), "-c", "import tkinter"], Path.cwd()).startswith("!")
        else:
            there = shutil.which(name) is not None
        yield Check(
            what=name,
            state="ok" if there else "wrong",
            found="there" if there else f"not found; install {name} with the system's package manager",
        )


def _checkpoints(description: Description, record: Record) -> Iterator[Check]:
    place = records.weights(description.name, record)
    for checkpoint in description.checkpoints:
        what = f"checkpoint {checkpoint.file}"
        if checkpoints.missing(checkpoint, place):
            yield Check(
                what=what,
                state="wrong",
                found=f"missing: {checkpoints.told(checkpoint)}; put it at {place / checkpoint.file}, or "
                + _advice(description),
            )
            continue
        try:
            facts = checkpoints.examine(checkpoint, place, record.files)
            keys = f", {checkpoints.check_keys(checkpoint, place)}" if checkpoint.keys else ""
        except UserError as error:
            yield Check(what=what, state="wrong", found=str(error))
            continue
        size = sum(fact.bytes for fact in facts.values())
        digest = (
            f"sha256 {next(iter(facts.values())).sha256[:12]}" if len(facts) == 1 else f"{len(facts)} files"
        )
        random = ", random weights" if record.random_weights else ""
        yield Check(what=what, state="ok", found=f"{size:,} bytes, {digest}{keys}{random}")


def _device(description: Description, record: Record) -> Iterator[Check]:
    gpu = records.has_gpu()
    if gpu or "cpu" in description.device:
        yield Check(what="device", state="ok", found="GPU" if gpu else "CPU; no GPU here")
    else:
        yield Check(
            what="device",
            state="wrong",
            found="needs CUDA, and there is no NVIDIA GPU here; use a machine with one",
        )


def _hum(frames: int, fps: float) -> Sound:
    """Something to hear; no embedded dataset has sound."""
    time = np.arange(samples_of(frames, fps)) / RATE
    hum: Sound = (9000 * np.sin(2 * np.pi * 220 * time)).astype(np.int16)
    return hum


def _smoke_run(description: Description) -> Check:
    from emojibench.dataset import load_dataset
    from emojibench_baselines.external import rows

    dataset = load_dataset("mini")
    clip = dataset.clip(dataset.chosen("cross", 1)[0]).cut(max(FRAMES, description.least_frames))
    if "sound" in description.uses:
        clip = replace(clip, load_driving_sound=lambda: _hum(clip.frames, clip.driving.fps))
    started = time.monotonic()
    try:
        animation = rows.factory(description.name)({}).animate(
            clip, seed=0, progress=lambda done, total: None
        )
    except UserError:
        raise
    except Exception as error:  # a fault of ours must not hide the other findings
        raise UserError(one_line(error)) from error
    seconds = time.monotonic() - started
    note = f"; {animation.note}" if animation.note else ""
    memory = f", {animation.peak_memory / 2**20:,.0f} MiB" if animation.peak_memory else ""
    return Check(
        what="smoke run",
        state="ok",
        found=f"{len(animation.frames)} frames of {animation.frames.shape[2]}x{animation.frames.shape[1]}, "
        f"{seconds:.1f} s{memory}{note}",
    )
