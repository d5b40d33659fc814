"""A file server on this machine that can misbehave, and a registry with one entry that points at it."""

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from weights_site import CONTENT, Site

from emojibench import weights
from emojibench.weights import download, store
from emojibench.weights.table import WeightFile


@pytest.fixture
def site() -> Iterator[Site]:
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.requests.append((self.path, wanted))
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and state.ranges else 0
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            stop = len(content)
            if state.breaks_after:
                stop = min(stop, start + state.breaks_after.pop(0))
            with contextlib.suppress(ConnectionError):  # who asked may hang up
                self.wfile.write(content[start:stop])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, nothing remembered; returns the cache's weights folder."""
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EMOJIBENCH_WEIGHTS", raising=False)
    monkeypatch.delenv("EMOJIBENCH_OFFLINE", raising=False)
    monkeypatch.setattr(download, "_unreachable", {})
    monkeypatch.setattr(store, "_index", store._Index())
    monkeypatch.setattr(weights, "_used", {})
    return tmp_path / "cache" / "weights"


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch, site: Site) -> WeightFile:
    """`demo`: a file of CONTENT that the site holds."""
    made = WeightFile(
        file="demo.pth",
        url=f"{site.url}/demo.pth",
        bytes=len(CONTENT),
        digest=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        licence="CC0",
        used_by=("tests",),
    )
    site.files["/demo.pth"] = CONTENT
    monkeypatch.setitem(weights.TABLE, "demo", made)
    return made
