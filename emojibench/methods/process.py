"""One command of somebody else's: own session, closed standard input, limits, and nothing left when it has ended."""

import contextlib
import os
import re
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from emojibench.errors import UserError
from emojibench.reaper import MARK, Guardian, end_marked, marked

TICK = 0.1
"""Seconds between looks at memory and files."""
GRACE = 1.0
"""Seconds that what a command has started may outlive it."""
LOG_HEAD = 2**20
LOG_TAIL = 2**14
"""Bytes of its log that are passed on while it runs, and once it has ended; what is between them is left out."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class CommandError(UserError):
    """A command that did not end well; the message says how, and what it said last."""


@dataclass(frozen=True)
class Limits:
    """What a command may take."""

    seconds: float
    memory: float | None
    """Bytes, all its processes together; None: what the machine has."""
    output: float
    """Bytes below its folders."""


@dataclass(frozen=True)
class Ended:
    """How a command ended that went well."""

    seconds: float
    peak_memory: int | None
    """Most resident bytes of all its processes together, as seen every `TICK` seconds; None: it ended before that."""
    tail: str
    """The end of its log."""


def run(
    words: Sequence[str], *, cwd: Path, env: Mapping[str, str], limits: Limits, folders: Sequence[Path] = ()
) -> Ended:
    """Run a command to its end. Its log goes to standard error, at most `LOG_HEAD` and `LOG_TAIL` bytes of it.

    Args:
        words: the program, as `environments.resolve` found it, and its arguments.
        cwd: working directory.
        env: its whole environment.
        limits: what it may take.
        folders: where its files count.

    Raises:
        CommandError: it cannot be started, goes beyond a limit, ends with another exit code than 0, or leaves
            processes behind.
    """
    mark = f"{os.environ.get(MARK, '')}{secrets.token_hex(4)}-"
    with _guarded(mark):
        try:
            process = subprocess.Popen(
                list(words), cwd=cwd, env={**env, MARK: mark}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise CommandError(f"{words[0]}: cannot be started ({reason}); correct the command") from error
        tree = _Tree(process, mark)
        log = _Log(process.stdout)
        try:
            return _watched(process, tree, log, limits, folders)
        finally:
            tree.end()
            log.close()
            log.let_go()


def _watched(
    process: "subprocess.Popen[bytes]", tree: "_Tree", log: "_Log", limits: Limits, folders: Sequence[Path]
) -> Ended:
    started, peak = time.perf_counter(), 0
    code: int | None = None
    while code is None:
        peak = max(peak, tree.memory())
        if limits.memory is not None and peak > limits.memory:
            raise CommandError(
                f"used more memory than {_mebibytes(limits.memory)} (memory_limit){log.last()}"
            )
        _check_output(limits, folders, log)
        if time.perf_counter() - started > limits.seconds:
            raise CommandError(f"did not end within {limits.seconds:g} s (time_limit){log.last()}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=TICK)
    seconds = time.perf_counter() - started
    left = tree.left()
    log.close()
    _check_output(limits, folders, log)
    if code:
        raise CommandError(f"ended with {_death(code)}{log.last()}")
    if left:
        raise CommandError(f"left a process running when it ended: {left}; let it wait for what it starts")
    return Ended(seconds, peak or None, log.tail())


def _check_output(limits: Limits, folders: Sequence[Path], log: "_Log") -> None:
    if sum(map(_bytes_below, folders)) > limits.output:
        raise CommandError(f"wrote more than {_mebibytes(limits.output)} (output_limit){log.last()}")


class _Tree:
    """A process and what descends from it, by its mark, its session, and as seen while it ran."""

    def __init__(self, process: "subprocess.Popen[bytes]", mark: str) -> None:
        import psutil

        self._psutil, self._process, self._mark = psutil, process, mark
        self._seen: dict[int, Any] = {}

    def memory(self) -> int:
        """Resident bytes now."""
        total = 0
        with contextlib.suppress(self._psutil.Error):
            main = self._psutil.Process(self._process.pid)
            total += self._resident(main)
            for each in main.children(recursive=True):
                total += self._resident(each)
        return total

    def _resident(self, process: Any) -> int:
        with contextlib.suppress(self._psutil.Error):
            resident = int(process.memory_info().rss)
            self._seen[process.pid] = process
            return resident
        return 0

    def left(self) -> str:
        """What still runs a while after the process itself has ended; empty: nothing."""
        deadline = time.monotonic() + GRACE
        while found := self._running():
            if time.monotonic() > deadline:
                return ", ".join(sorted({_name(each) for each in found})[:3])
            time.sleep(TICK)
        return ""

    def end(self) -> None:
        """Kill all of it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        end_marked(self._mark)
        for each in self._running():
            with contextlib.suppress(self._psutil.Error):
                each.kill()
        self._process.wait()

    def _running(self) -> list[Any]:
        found = {pid: each for pid, each in self._seen.items() if pid != self._process.pid}
        for pid in marked(self._mark) - {self._process.pid}:
            with contextlib.suppress(self._psutil.Error):
                found[pid] = self._psutil.Process(pid)
        return [each for each in found.values() if _runs(each, self._psutil)]


def _runs(process: Any, psutil: Any) -> bool:
    """`is_running` tells a process from a later one of the same number."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _name(process: Any) -> str:
    try:
        return f"{' '.join(process.cmdline())[:80] or process.name()} (process {process.pid})"
    except Exception:  # it is gone by now
        return f"process {process.pid}"


class _Log:
    """Reads what a command says, for as long as anybody may write to its output, and keeps little of it."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe is not None
        self._pipe, self._passed, self._held, self._bytes = pipe, 0, b"", 0
        self._closed = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self._pipe.fileno(), 1 << 16):
                head = data[: LOG_HEAD - self._passed]
                _say(head)
                self._passed += len(head)
                self._bytes += len(data)
                self._held = (self._held + data)[-LOG_TAIL:]

    def close(self) -> None:
        """Wait for the rest, but not for a process that holds the pipe and will not end."""
        if self._closed:
            return
        self._closed = True
        self._thread.join(timeout=1.0)
        rest = self._bytes - self._passed
        if rest > len(self._held):
            _say(f"\n... {rest - len(self._held):,} bytes left out ...\n".encode())
        if rest:
            _say(self._held[-rest:])

    def let_go(self) -> None:
        """Close the pipe, unless something that could not be ended holds it."""
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self._pipe.close()

    def tail(self) -> str:
        """The last lines, without colours; of progress bars the last state."""
        return "\n".join(self._lines()[-20:])

    def last(self) -> str:
        """`: ` and the line that says most: the error at the end of Python's last traceback, else the last line."""
        lines = self._lines()
        starts = [
            number
            for number, line in enumerate(lines)
            if line.startswith("Traceback (most recent call last)")
        ]
        errors = [line for line in lines[starts[-1] + 1 :] if not line.startswith(" ")] if starts else []
        said = errors[0] if errors else lines[-1].strip() if lines else ""
        return f": {said[:300]}" if said else ""

    def _lines(self) -> list[str]:
        text = _ESCAPES.sub("", self._held.decode("utf-8", "replace"))
        printable = (
            "".join(c if c.isprintable() else " " for c in line).rstrip() for line in text.splitlines()
        )
        return [line for line in printable if line]


def _say(data: bytes) -> None:
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(2, data) :]


@contextlib.contextmanager
def _guarded(mark: str) -> Iterator[None]:
    """In a worker, which has a guardian of its own, nothing; elsewhere one that ends the command if we are killed."""
    guardian = None if MARK in os.environ else Guardian(mark)
    try:
        yield
    finally:
        if guardian:
            guardian.close()


def _bytes_below(folder: Path) -> int:
    """Bytes on disk of a folder's files."""
    total, folders = 0, [str(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def _death(code: int) -> str:
    if code > 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "SIGKILL, out of memory?"
    return next((known.name for known in signal.Signals if known == -code), f"signal {-code}")


def _mebibytes(count: float) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count:,.0f} bytes"
