"""Fetches one official file over HTTP: resumable, verified, and quick to say that there is no network."""

import os
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError

from emojibench.errors import UnavailableError
from emojibench.progress import Stages, bytes_of
from emojibench.weights import store
from emojibench.weights.table import UNPUBLISHED, Archive, WeightFile

OFFLINE = "EMOJIBENCH_OFFLINE"
_CONNECT_SECONDS = 3.0
_READ_SECONDS = 30.0
_FRUITLESS_ATTEMPTS = 3
_BLOCK = 1 << 18

_unreachable: dict[str, str] = {}
"""Host to reason, for the rest of the process: twelve metrics do not wait twelve times."""


class Downloadable(Protocol):
    """What can be fetched."""

    @property
    def file(self) -> str:
        """Its name, for messages."""
        ...

    @property
    def url(self) -> str:
        """Where it is."""
        ...

    @property
    def bytes(self) -> int | None:
        """Its length, or None where nobody states it."""
        ...


class TransferError(Exception):
    """Nothing, or not all, could be fetched; the message says why."""


class _BrokenOffError(TransferError):
    """The next attempt goes on from there."""


def offline() -> bool:
    """Whether the user wants nothing to be fetched."""
    return os.environ.get(OFFLINE, "0") not in ("", "0")


def download(wanted: WeightFile | Archive) -> store.Found:
    """Download a file of the table into the cache (which must exist) and verify it before it gets its name.

    An interrupted download leaves `<file>.part`, from which the next call continues.

    Raises:
        UnavailableError: no network, the server refuses, the transfer breaks, what came is not the official file,
            or nobody could tell, because its digest is not published.
    """
    if wanted.digest == UNPUBLISHED:
        raise missing(wanted, "nobody publishes its digest, so that a download could not be verified")
    target = store.cache_folder() / wanted.file
    part = target.with_name(f"{target.name}.part")
    try:
        digests = transfer(wanted, part, lambda found: found.match(wanted.digest))
    except _BrokenOffError as error:
        raise UnavailableError(f"{wanted.file}: {error}") from error
    except TransferError as error:
        raise missing(wanted, str(error)) from error
    if not digests.match(wanted.digest):
        part.unlink()
        raise UnavailableError(
            f"{wanted.file}: {wanted.url} sent another file "
            f"(expected {wanted.digest}, got sha256:{digests.sha256}); discarded"
        )
    part.replace(target)
    return store.Found(target, digests)


def missing(wanted: WeightFile | Archive, why: str) -> UnavailableError:
    """The error of a file that is not here and cannot be fetched, with the reason."""
    return UnavailableError(
        f"{wanted.file}: not in {store.FOLDERS} or the cache, and {why}; "
        "`emojibench weights list` has its address"
    )


def transfer(wanted: Downloadable, part: Path, right: Callable[[store.Digests], bool]) -> store.Digests:
    """Bring `part` to its full length, continuing what an earlier call left and after breaks.

    Args:
        wanted: what to fetch.
        part: where to.
        right: whether digests are the wanted file's. Where those of a continued part are not, it may have been of
            something else, and all is fetched anew.

    Returns:
        Digests of what came; whoever calls refuses what is not right.

    Raises:
        TransferError: no network, the server refuses, or the transfer breaks; `part` keeps what came.
    """
    continued = part.exists()
    _complete(wanted, part)
    digests = store.digests_of(part)
    if continued and not right(digests):
        part.unlink()
        _complete(wanted, part)
        digests = store.digests_of(part)
    return digests


def _complete(wanted: Downloadable, part: Path) -> None:
    """Requests, one after the other for as long as bytes keep coming."""
    with Stages(count=bytes_of) as progress:
        fruitless = 0
        while fruitless < _FRUITLESS_ATTEMPTS:
            before = _size(part)
            if _receive(wanted, part, lambda done: progress(wanted.file, done, wanted.bytes or 0)):
                return
            fruitless = 0 if _size(part) > before else fruitless + 1
    raise _BrokenOffError(
        f"the transfer from {wanted.url} broke off at {_size(part)} of {wanted.bytes or 'unknown'} bytes; "
        "the same command continues it"
    )


def _receive(wanted: Downloadable, part: Path, report: Callable[[int], None]) -> bool:
    """One request; True when the body came to its end."""
    offset = _size(part)
    response = ask(wanted.url, {"Range": f"bytes={offset}-"} if offset else {})
    with response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
            if response.headers.get("Content-Range") == f"bytes */{offset}":
                return True  # complete; an earlier call ended before it was verified
            part.unlink()  # longer than the file: not a part of it
            return False
        if not response.ok:
            raise _refused(response)
        if response.status_code != HTTPStatus.PARTIAL_CONTENT:
            offset = 0  # the server sends the whole file
        with part.open("r+b" if offset else "wb") as stream:
            done = stream.seek(offset)
            try:
                # `iter_content` would lose what came of a block before a break.
                while block := response.raw.read(_BLOCK, decode_content=False):
                    if (
                        wanted.bytes and done + len(block) > 1.25 * wanted.bytes
                    ):  # another file, perhaps without an end
                        return True
                    done += stream.write(block)
                    report(done)
            except HTTPError:
                return False
    return True


def page(url: str, limit: int) -> tuple[bytes, str]:
    """A short answer, and the address of its next page; empty: this was the last.

    Raises:
        TransferError: as `transfer`; more than `limit` bytes.
    """
    with ask(url, {}) as response:
        if not response.ok:
            raise _refused(response)
        try:
            content = response.raw.read(limit + 1, decode_content=False)
        except HTTPError as error:
            raise TransferError(f"the transfer from {url} broke off") from error
        if len(content) > limit:
            raise TransferError(f"{url} sent more than {limit:,} bytes")
        return content, response.links.get("next", {}).get("url", "")


def ask(url: str, headers: dict[str, str]) -> requests.Response:
    """The head of an answer; the body is read by the caller.

    Raises:
        TransferError: nothing is to be fetched, or the host cannot be reached.
    """
    host = urlsplit(url).netloc
    if offline():
        raise TransferError(f"{OFFLINE} is set")
    if host in _unreachable:
        raise TransferError(f"{host} cannot be reached ({_unreachable[host]})")
    headers = {"User-Agent": "emojibench", "Accept-Encoding": "identity"} | headers
    try:
        _look_up(url)
        return requests.get(url, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
    except OSError as error:  # RequestException is one
        _unreachable[host] = _reason(error)
        raise TransferError(f"{host} cannot be reached ({_unreachable[host]})") from error


def _refused(response: requests.Response) -> TransferError:
    host = urlsplit(response.url).netloc
    return TransferError(f"{host} answers {response.status_code} {response.reason}".rstrip())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _look_up(url: str) -> None:
    """Look the name up within the connect timeout; the resolver itself may take far longer to give up.

    Raises:
        OSError: no such name, or no answer in time.
    """
    proxy = select_proxy(url, get_environ_proxies(url))
    place = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else url)
    outcome: list[OSError | None] = []

    def ask() -> None:
        try:
            socket.getaddrinfo(place.hostname, place.port, type=socket.SOCK_STREAM)
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_CONNECT_SECONDS)
    error = outcome[0] if outcome else TimeoutError("no answer to the name lookup")
    if error is not None:
        raise error


def _reason(error: BaseException) -> str:
    """The words of the operating system behind an error of requests, which wraps them several times."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror
        inner = inner.__cause__ or inner.__context__
    return " ".join(str(error).split())
