"""Fetches one official file over HTTP: resumable, verified, and quick to say that there is no network."""

import http.client
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from emojibench.errors import UnavailableError
from emojibench.weights import store
from emojibench.weights.table import UNPUBLISHED, Archive, WeightFile

OFFLINE = "EMOJIBENCH_OFFLINE"
_CONNECT_SECONDS = 3.0
_READ_SECONDS = 30.0
_FRUITLESS_ATTEMPTS = 3
_BLOCK = 1 << 18

_unreachable: dict[str, str] = {}
"""Host to reason, for the rest of the process: twelve metrics do not wait twelve times."""


def download(wanted: WeightFile | Archive) -> store.Found:
    """Download a file of the table into the cache (which must exist) and verify it before it gets its name.

    An interrupted download leaves `<file>.part`, from which the next call continues.

    Raises:
        UnavailableError: no network, the server refuses, the transfer breaks, what came is not the official file,
            or nobody could tell, because its digest is not published.
    """
    if wanted.digest == UNPUBLISHED:
        raise _missing(wanted, "nobody publishes its digest, so that a download could not be verified")
    host = urlsplit(wanted.url).netloc
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise _missing(wanted, f"{OFFLINE} is set")
    if host in _unreachable:
        raise _missing(wanted, f"{host} cannot be reached ({_unreachable[host]})")
    target = store.cache_folder() / wanted.file
    part = target.with_name(f"{target.name}.part")
    resumed = part.exists()
    _transfer(wanted, part)
    digests = store.digests_of(part)
    if resumed and not digests.match(
        wanted.digest
    ):  # the old part may have been of something else: once more
        part.unlink()
        _transfer(wanted, part)
        digests = store.digests_of(part)
    if not digests.match(wanted.digest):
        part.unlink()
        raise UnavailableError(
            f"{wanted.file}: {wanted.url} sent another file "
            f"(expected {wanted.digest}, got sha256:{digests.sha256}); discarded"
        )
    part.replace(target)
    return store.Found(target, digests)


def _missing(wanted: WeightFile | Archive, why: str) -> UnavailableError:
    return UnavailableError(
        f"{wanted.file}: not in {store.FOLDERS} or the cache, and {why}; "
        "`emojibench weights list` has its address"
    )


def _transfer(wanted: WeightFile | Archive, part: Path) -> None:
    """Bring `part` to its full length, continuing after breaks for as long as bytes keep coming."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(wanted.file, total=wanted.bytes)
        fruitless = 0
        while fruitless < _FRUITLESS_ATTEMPTS:
            before = _size(part)
            if _receive(wanted, part, lambda done: progress.update(task, completed=done)):
                return
            fruitless = 0 if _size(part) > before else fruitless + 1
    raise UnavailableError(
        f"{wanted.file}: the transfer from {wanted.url} broke off at {_size(part)} of {wanted.bytes} bytes; "
        "the same command continues it"
    )


def _receive(wanted: WeightFile | Archive, part: Path, report: Callable[[int], None]) -> bool:
    """One request; True when the body came to its end."""
    offset = _size(part)
    host = urlsplit(wanted.url).netloc
    try:
        response = _opener.open(_request(wanted.url, offset), timeout=_CONNECT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            part.unlink()  # at least as long as the file, yet not finished: not a part of it
            return False
        raise _missing(wanted, f"{host} answers {error.code} {error.reason}".rstrip()) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        _unreachable[host] = getattr(reason, "strerror", None) or str(reason)
        raise _missing(wanted, f"{host} cannot be reached ({_unreachable[host]})") from error
    with response:
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            offset = 0  # the server sends the whole file
        length = response.length  # None where the server does not say
        with part.open("r+b" if offset else "wb") as stream:
            done = stream.seek(offset)
            while True:
                try:
                    block = response.read(_BLOCK)
                except (OSError, http.client.HTTPException):
                    return False
                if not block:
                    break
                if done + len(block) > 1.25 * wanted.bytes:  # another file, perhaps without an end
                    return True
                done += stream.write(block)
                report(done)
    return length is None or done == offset + length


def _request(url: str, offset: int) -> urllib.request.Request:
    headers = {"User-Agent": "emojibench", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    return urllib.request.Request(url, headers=headers)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _resolve(host: str, port: int) -> None:
    """Look a name up within the connect timeout; the resolver itself may take far longer to give up."""
    outcome: list[OSError | None] = []

    def look_up() -> None:
        try:
            socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS)
    error = outcome[0] if outcome else TimeoutError("no answer to the name lookup")
    if error is not None:
        raise error


class _HTTPConnection(http.client.HTTPConnection):
    """Connects within seconds, then waits longer for data."""

    def connect(self) -> None:
        _resolve(self.host, self.port)
        super().connect()
        self.sock.settimeout(_READ_SECONDS)


class _HTTPSConnection(http.client.HTTPSConnection):
    """Connects within seconds, then waits longer for data."""

    def connect(self) -> None:
        _resolve(self.host, self.port)
        super().connect()
        self.sock.settimeout(_READ_SECONDS)


class _HTTPHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HTTPConnection, req)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_HTTPSConnection, req)


_opener = urllib.request.build_opener(_HTTPHandler, _HTTPSHandler)
