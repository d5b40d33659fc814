"""Methods that do what no method should: importable by name, because workers are spawned."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from fakes import FakeMethod

from emojibench.methods import Animation


class NoException(BaseException):
    """What `except Exception` lets through."""


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def _sleep(pids: str, **session: Any) -> None:
    with Path(pids).open("a") as file:
        file.write(f"{subprocess.Popen(['sleep', '300'], **session).pid}\n")


def _leave_child(pids: str) -> None:
    if child := os.fork():
        with Path(pids).open("a") as file:
            file.write(f"{child}\n")
        os._exit(3)
    time.sleep(300)


def _shout() -> None:
    print("first words")
    for _ in range(40):
        sys.stdout.write("x" * 2**20)
        time.sleep(0.03)
    print("last words")
    raise RuntimeError("hoarse")


def _blind() -> None:
    sys.stdout = sys.stderr = None  # type: ignore[assignment]
    os.close(1)
    raise RuntimeError("no streams")


def _awkward(frames: Any) -> Any:
    """The same frames, read-only, in other strides, of negative ones too."""
    turned = np.asfortranarray(frames[::-1, ::-1])[::-1, ::-1]
    turned.flags.writeable = False
    return turned


def _raise(error: BaseException) -> None:
    raise error


class HostileMethod(FakeMethod):
    """Options: `<clip>=<fate>` and `pids=FILE`, where processes that were started are written."""

    def animate(self, clip: Any, *, seed: int, progress: Any) -> Any:
        made = super().animate(clip, seed=seed, progress=progress)
        pids = self.options.get("pids", "")
        fates = {
            "chdir": lambda: os.chdir("/tmp"),
            "base": lambda: _raise(NoException("worse")),
            "interrupt": lambda: _raise(KeyboardInterrupt()),
            "surrogate": lambda: _raise(RuntimeError("half \ud800 a pair")),
            "speechless": lambda: _raise(SpeechlessError()),
            "blind": _blind,
            "shout": _shout,
            "child": lambda: _leave_child(pids),
            "session": lambda: _sleep(pids, start_new_session=True),
            "session and hang": lambda: (_sleep(pids, start_new_session=True), _sleep(pids), time.sleep(300)),
            "list": lambda: [made.frames],
            "inf": lambda: Animation(made.frames, 25.0, {"a": float("inf")}),
            "nan": lambda: Animation(made.frames, 25.0, {"a": float("nan")}),
            "text": lambda: Animation(made.frames, 25.0, {"a": "soon"}),  # type: ignore[dict-item]
            "number": lambda: Animation(made.frames, 25.0, {3: 1.0}),  # type: ignore[dict-item]
            "pairs": lambda: Animation(made.frames, 25.0, [("a", 1.0)]),  # type: ignore[arg-type]
            "fps": lambda: Animation(made.frames, float("nan")),
            "fast": lambda: Animation(made.frames, 1e300),
            "no fps": lambda: Animation(made.frames, "25"),  # type: ignore[arg-type]
            "half note": lambda: replace(made, note="half \ud800 a pair"),
            "vast": lambda: replace(made, shared=2**70),
            "many": lambda: replace(made, seconds={f"stage_{k}": 0.0 for k in range(100_000)}),
            "odd progress": lambda: (
                [progress(done, 1) for done in (float("nan"), -5, Fraction(1, 3), 10**300)] and made
            ),
            "masked": lambda: os.umask(0o777),
            "views": lambda: replace(made, frames=_awkward(made.frames)),
            "closed": lambda: os.closerange(3, 100),
            "reshape": lambda: setattr(clip.portrait, "shape", (16, 64, 3)),
        }
        fate = fates.get(self.options.get(clip.clip_id, ""))
        result = fate() if fate else None
        return result if isinstance(result, Animation | list) else made


class NumberedMethod(FakeMethod):
    """Its revision is no text."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.revision = 3  # type: ignore[assignment]


class SurrogateMethod(FakeMethod):
    """Cannot be opened, and says so in half a surrogate pair."""

    def __init__(self, options: Any) -> None:
        raise NoException("half \udfff a pair")


class BatchMethod(FakeMethod):
    """Takes all clips at once. Options: `spoilt=CLIP`; `short=yes` leaves the last one out."""

    batch = 4

    def animate_batch(self, clips: Any, *, seeds: Any, progress: Any) -> Any:
        made = [
            self.animate(clip, seed=seed, progress=progress) for clip, seed in zip(clips, seeds, strict=True)
        ]
        spoilt = [replace(a, note=b"bytes") if c.clip_id == self.options.get("spoilt") else a
                  for c, a in zip(clips, made, strict=True)]  # fmt: skip
        return spoilt[:-1] if "short" in self.options else spoilt
