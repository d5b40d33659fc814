"""A Ray cluster of several nodes on the loopback, of processes that can be killed, for tests."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

# A token of our own, since the machine's is somebody else's; Ray reads it when it is imported.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
ray = pytest.importorskip("ray", reason="needs Ray: pip install 'emojibench[ray]'")
STORE = 80 * 2**20
"""Bytes of shared memory of a node, the least that Ray takes."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Nodes:
    """Nodes that `ray start` has started. All of them are gone when the block ends."""

    def __init__(self, path: Sequence[Path]) -> None:
        self._path, self._nodes = path, dict[str, subprocess.Popen[bytes]]()
        self._folder = Path(
            tempfile.mkdtemp(prefix="er-", dir="/tmp")
        )  # the paths of its sockets have to be short
        self.address = f"{ray.util.get_node_ip_address()}:{free_port()}"

    def __enter__(self) -> "Nodes":
        return self

    def start(
        self, name: str, cpus: int = 2, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> None:
        """Start a node, the first as head; return once the cluster has it."""
        first = not self._nodes
        port = self.address.rpartition(":")[2]
        where = (
            ["--head", f"--port={port}", "--include-dashboard=false"]
            if first
            else [f"--address={self.address}"]
        )
        path = os.pathsep.join([*map(str, self._path), os.environ.get("PYTHONPATH", "")])
        command = [
            *before, sys.executable, "-m", "ray.scripts.scripts", "start", *where, f"--node-name={name}", "--block",
            f"--num-cpus={cpus}", "--num-gpus=0", f"--object-store-memory={STORE}",
            "--disable-usage-stats", *([f"--temp-dir={self._folder}"] if first else []),
        ]  # fmt: skip
        settings = {"PYTHONPATH": path, "RAY_worker_niceness": "0", **(env or {})}
        with self._log(name).open("wb") as log:
            self._nodes[name] = subprocess.Popen(
                command, env=os.environ | settings, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._wait_for(name)

    def _wait_for(self, name: str) -> None:
        script = (
            f"import ray; ray.init('{self.address}', log_to_driver=False); "
            f"raise SystemExit('{name}' not in [n['NodeName'] for n in ray.nodes() if n['Alive']])"
        )
        deadline = time.monotonic() + 120
        while (
            tried := subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        ).returncode:
            said = f"{self._log(name).read_text()}\n{tried.stderr}"
            assert time.monotonic() < deadline, f"node {name} did not start:\n{said}"
            assert self._nodes[name].poll() is None, f"node {name} ended:\n{said}"
            time.sleep(1)

    def _log(self, name: str) -> Path:
        return self._folder.with_name(f"{self._folder.name}-{name}.log")

    def kill(self, name: str) -> None:
        """Kill a node as a power cut would: all of it at once."""
        for process in self._tree(name):
            with suppress(psutil.Error):
                process.kill()

    def _tree(self, name: str) -> list[Any]:
        with suppress(psutil.Error):
            top = psutil.Process(self._nodes[name].pid)
            return [top, *top.children(recursive=True)]
        return []

    def __exit__(self, *error: object) -> None:
        for name in reversed(self._nodes):
            tree = self._tree(name)
            with suppress(ProcessLookupError):
                os.killpg(self._nodes[name].pid, signal.SIGTERM)
            _, left = psutil.wait_procs(tree, timeout=15)
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            self._nodes[name].wait()
            self._log(name).unlink()
        shutil.rmtree(self._folder, ignore_errors=True)
