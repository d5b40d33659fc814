"""Actors of a Ray cluster as workers: placed, given tasks, heard, and ended, from the driver's side."""

import os
import pickle
import secrets
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from emojibench import versions
from emojibench.errors import UserError, one_line
from emojibench.parallel import parcels
from emojibench.parallel.executor import Root, Work, Worker
from emojibench.parallel.host import LAST, Folder, Handed, Heard, Host, Order, Placed
from emojibench.parallel.local import THREADS, thread_settings
from emojibench.parallel.worker import Reply, Task
from emojibench.progress import say

PATIENCE = 1.0
"""Seconds after which an actor answers, whether there is news or not."""
WAITING = 30.0
"""Seconds between two lines that say that no worker has found a place yet."""
WHOLE = ("done", "failed")
"""Replies that end a task as its handler wanted it."""


class RayWorker:
    """One actor; what it was asked last is under way in `asked`."""

    def __init__(self, crew: "RayCrew", actor: Any, part: str) -> None:
        self.node = ""
        self.sees: tuple[bool, ...] = ()
        self.asked: Any = None
        self.busy = False
        self._crew, self.actor, self.part = crew, actor, part

    def give(self, task: Task) -> None:
        """See `Worker.give`."""
        self.busy = True
        self.ask(self._crew.handed(task, self.sees))

    def ask(self, handed: Handed | None = None) -> None:
        """Let the actor hand a task on, if there is one, and say what has happened."""
        self.asked = self.actor.go.remote(handed, PATIENCE)

    def end(self) -> None:
        """See `Worker.end`."""
        self._crew.end(self)


class RayCrew:
    """Actors of a cluster."""

    def __init__(self, work: Work, jobs: int | None, gpus: float | None) -> None:
        """Take the work, and what a user says of the number of workers and of their GPUs.

        Raises:
            UserError: the work cannot be sent to workers, or no node has room for one.
        """
        self._work = work
        self._roots = [root.folder for root in work.roots]
        try:
            self._setup = parcels.pack(work.setup, self._roots)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(f"{work.what} cannot be sent to a worker: {error}") from error
        self._asks = self._resources(gpus)
        room = self._room()
        self.jobs = jobs or room
        cores = sum(int(node["Resources"].get("CPU", 0)) for node in _nodes())
        self._settings = thread_settings(max(1, min(self.jobs, cores)), cores)
        # Ray sets some of them itself.
        self._settings |= {
            name: os.environ[name] for name in (*THREADS, "OMP_WAIT_POLICY") if name in os.environ
        }
        if not self._asks["num_gpus"]:
            self._settings["CUDA_VISIBLE_DEVICES"] = ""
        self._folders = [self._folder(root) for root in work.roots]
        self._workers: list[RayWorker] = []
        self._names: dict[str, str] = {}
        self._waited = 0.0

    def _resources(self, gpus: float | None) -> dict[str, float]:
        """What one worker asks of its node. Where no GPU is, the work's own wish for one is none."""
        needs = self._work.needs()
        if gpus is None:
            there = any(node["Resources"].get("GPU", 0) for node in _nodes())
            gpus = (1.0 if needs.gpus is None else needs.gpus) if there else 0.0
        return {"num_cpus": 1, "num_gpus": gpus} | ({"memory": needs.memory} if needs.memory else {})

    def _room(self) -> int:
        """How many workers there is room for, were nobody else there.

        Raises:
            UserError: for none.
        """
        asked = {"CPU": 1.0, "GPU": self._asks["num_gpus"], "memory": self._asks.get("memory", 0)}
        room = 0
        for node in _nodes():
            there = node["Resources"]
            room += min(int(there.get(name, 0) / least + 1e-6) for name, least in asked.items() if least)
        if not room:
            wish = ", ".join(f"{least:g} {name}" for name, least in asked.items() if least)
            most = ", ".join(
                f"{max((node['Resources'].get(name, 0) for node in _nodes()), default=0):g} {name}"
                for name in asked
            )
            raise UserError(
                f"{self._work.what}: a worker needs {wish}, and no node of the cluster has that (the most on one: "
                f"{most}); choose --gpus-per-worker, or start such a node"
            )
        return room

    def _folder(self, root: Root) -> Folder:
        root.folder.mkdir(parents=True, exist_ok=True)
        witness = (
            root.folder / root.witness if root.witness else root.folder / f".seen-{secrets.token_hex(8)}"
        )
        if not root.witness:
            witness.write_bytes(secrets.token_bytes(8))
        part = "" if root.private else None
        return Folder(root.folder, parcels.Witness.of(witness), part)

    def start(self, info: bytes) -> RayWorker:
        """See `Crew.start`."""
        import ray

        part = f".part-{secrets.token_hex(8)}"
        folders = tuple(
            folder if folder.part is None else Folder(folder.path, folder.witness, part)
            for folder in self._folders
        )
        work = self._work
        order = Order(
            versions.build(),
            self._setup,
            info,
            work.what,
            work.quiet,
            folders,
            self._settings,
            _directory(),
        )
        actor = (
            ray.remote(Host)
            .options(
                **self._asks,
                max_restarts=0,
                scheduling_strategy="SPREAD",
                # Ray would kill the worker process's guardian with it, and leave what that had to end.
                runtime_env={"env_vars": {"RAY_kill_child_processes_on_worker_exit": "0"}},
            )
            .remote()
        )
        worker = RayWorker(self, actor, part)
        worker.asked = actor.enter.remote(order)
        self._workers.append(worker)
        return worker

    def hear(self, busy: Sequence[Any], seconds: float) -> list[tuple[Worker, Reply]]:
        """See `Crew.hear`."""
        import ray

        asked = {worker.asked: worker for worker in busy}
        answered, others = ray.wait(list(asked), num_returns=1, timeout=seconds)
        if answered and others:
            more, _ = ray.wait(others, num_returns=len(others), timeout=0)
            answered += more
        if not answered:
            self._wait(busy, seconds)
        return [
            (asked[answer], reply) for answer in answered for reply in self._replies(asked[answer], answer)
        ]

    def _replies(self, worker: RayWorker, answer: Any) -> list[Reply]:
        import ray

        try:
            content = ray.get(answer)
        except ray.exceptions.RayActorError as error:
            begun: list[Reply] = [("begun", None)] if worker.busy else []
            return [*begun, ("gone", _loss(error))]
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            where = worker.node or "a node of the cluster"
            raise UserError(
                f"{where}: {one_line(cause or error)}; correct that, and the same command goes on from there"
            ) from error
        if isinstance(content, Placed):
            worker.node, worker.sees = self._name(content.node), content.sees
            self._check(worker.node, content.build)
            worker.ask()
            return [("placed", None)]
        assert isinstance(content, Heard)
        finished = bool(content.replies) and content.replies[-1][0] in LAST
        if finished:
            worker.busy = False
            self._collect(worker, content)
        else:
            worker.ask()
        return list(content.replies)

    def _check(self, node: str, theirs: Any) -> None:
        """Values depend on versions: those of a node have to be those of the driver."""
        ours = versions.build()
        for name in sorted({*ours, *theirs}):
            here, there = ours.get(name, "none"), theirs.get(name, "none")
            if here != there:
                raise UserError(
                    f"{node} has {name} {there}, this machine has {here}; install the same version on every node"
                )

    def _collect(self, worker: RayWorker, heard: Heard) -> None:
        """Bring what a worker has written to where it belongs; of a task that it did not end, its log alone."""
        whole = heard.replies[-1][0] in WHOLE
        parcels.put((p for p in heard.parcels if whole or "/" not in p.relative), self._roots)
        for root, relative in heard.there:
            if whole or "/" not in relative:
                parcels.move(self._roots[root] / worker.part, relative, self._roots[root])

    def handed(self, task: Task, sees: Sequence[bool]) -> Handed:
        """A task on its way to a worker, with the files that it cannot see."""
        log = parcels.address(task.log, self._roots)
        assert log is not None, "a task's log has to be below a root of its work"
        files = []
        for path in task.reads:
            found = parcels.address(path, self._roots)
            if found and not sees[found[0]] and path.is_file():
                files.append(parcels.Parcel(*found, path.read_bytes()))
        return Handed(parcels.pack(task, self._roots), log, tuple(files))

    def _wait(self, busy: Sequence[RayWorker], seconds: float) -> None:
        """Say from time to time that nobody has a place yet; give up where there is none any more."""
        if any(worker.node for worker in self._workers):
            self._waited = 0.0
            return
        before, self._waited = self._waited, self._waited + seconds
        if self._waited // WAITING > before // WAITING:
            self._room()
            say(f"{self._work.what}: waiting for a place on the cluster ...", quiet=self._work.quiet)

    def _name(self, node: str) -> str:
        """A node's name, its address with the port where others have the same."""
        if node not in self._names:
            known = {each["NodeID"]: each for each in _nodes(dead=True)}
            names = {
                key: each["NodeName"]
                if each["NodeName"] != each["NodeManagerAddress"]
                else each["NodeManagerHostname"]
                for key, each in known.items()
            }
            several = Counter(names.values())
            for key, name in names.items():
                port = known[key]["NodeManagerPort"]
                self._names.setdefault(key, name if several[name] == 1 else f"{name}:{port}")
        return self._names[node]

    def end(self, worker: RayWorker) -> None:
        """End one of the workers."""
        import ray

        with suppress(Exception):  # it is gone already
            ray.kill(worker.actor)
        for folder in self._folders:
            if folder.part is not None:
                part = folder.path / worker.part
                for log in part.glob("*.txt"):  # of a task that was stopped
                    with suppress(OSError):
                        parcels.move(part, log.name, folder.path)
                shutil.rmtree(part, ignore_errors=True)
        worker.sees = ()
        if worker in self._workers:
            self._workers.remove(worker)

    def close(self) -> None:
        """See `Crew.close`."""
        import ray

        closing = [worker.actor.close.remote() for worker in self._workers if worker.node and not worker.busy]
        with suppress(Exception):  # some are gone; what they started, they end by themselves
            ray.wait(closing, num_returns=len(closing), timeout=10)
        for worker in list(self._workers):
            self.end(worker)
        for folder, root in zip(self._folders, self._work.roots, strict=True):
            if not root.witness:
                folder.witness.path.unlink(missing_ok=True)


def _nodes(*, dead: bool = False) -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if dead or node["Alive"]]


def _directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return "/"


def _loss(error: Exception) -> str:
    """Why an actor is gone, in a line of ours."""
    text = str(error)
    if "node" in text and "died" in text and "worker process has died" not in text:
        return "the node was lost"
    if "OOM" in text and "memory" in text and "killed due to" in text:
        return "Ray ended the worker, since the node was short of memory"
    detail = text.partition("Worker exit type: ")[2].partition(" ")[0]
    return f"the worker was lost ({detail})" if detail else f"the worker was lost ({one_line(error)})"
