"""The executor by itself: threads, workers that die idle, what a worker prints."""

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_runs_survive import alive, wait_for

from emojibench.errors import UnavailableError, UserError
from emojibench.extras import require
from emojibench.parallel import parcels
from emojibench.parallel.choosing import named
from emojibench.parallel.executor import Work
from emojibench.parallel.local import Local
from emojibench.parallel.worker import Task
from emojibench.parallel.workers import Outcome, Workers

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")


class Echo:
    """Returns its payload."""

    info = "echo"

    def __init__(self, first: Any) -> None:
        print("set up")

    def __call__(self, payload: Any, tell: Any) -> Any:
        return payload


class Surroundings(Echo):
    """Returns what a worker sees of the environment."""

    def __call__(self, payload: Any, tell: Any) -> Any:
        return {name: os.environ.get(name) for name in (*VARIABLES, "OMP_WAIT_POLICY")}


class Unsendable(Echo):
    """Its result cannot travel."""

    def __call__(self, payload: Any, tell: Any) -> Any:
        return lambda: payload


def workers(setup: Any, tmp_path: Path, jobs: int = 1, **more: Any) -> Workers:
    return Workers(Local(jobs), Work(setup, "test", **more), timeout=60, log=tmp_path / "logs" / "setup.txt")


def do(pool: Workers, tmp_path: Path, *payloads: str) -> list[Outcome]:
    tasks = [Task(payload, payload, tmp_path / f"{payload}.txt") for payload in payloads]
    return list(pool.map(tasks, lambda task, done: None))


def test_a_worker_that_dies_idle_fails_no_task(tmp_path: Path) -> None:
    with workers(Echo, tmp_path) as pool:
        assert [outcome.result for outcome in do(pool, tmp_path, "a")] == ["a"]
        os.kill(pool._members[0].worker.process.pid, signal.SIGKILL)
        pool._members[0].worker.process.join()
        assert [outcome.result for outcome in do(pool, tmp_path, "b", "c")] == ["b", "c"]


def test_a_task_that_was_sent_but_not_begun_goes_to_another_worker(tmp_path: Path) -> None:
    with workers(Echo, tmp_path) as pool:
        do(pool, tmp_path, "a")
        process = pool._members[0].worker.process
        os.kill(process.pid, signal.SIGSTOP)
        outcomes = pool.map([Task("b", "b", tmp_path / "b.txt")], lambda task, done: None)
        pool._give = _then_kill(pool._give, process.pid)  # type: ignore[method-assign]
        assert next(outcomes).result == "b"


def _then_kill(give: Any, pid: int) -> Any:
    def given(member: Any, task: Any) -> None:
        give(member, task)
        if alive(pid):
            os.kill(pid, signal.SIGKILL)

    return given


def test_a_result_that_cannot_be_sent_fails_its_task(tmp_path: Path) -> None:
    with workers(Unsendable, tmp_path) as pool:
        assert [o.failure[:26] for o in do(pool, tmp_path, "a", "b")] == ["the result cannot be sent:"] * 2


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({}, dict.fromkeys(VARIABLES, "1")),
        ({"OMP_NUM_THREADS": "3,2"}, dict.fromkeys(VARIABLES[1:], "3") | {"OMP_NUM_THREADS": "3,2"}),
        (
            {"MKL_NUM_THREADS": "5", "OMP_WAIT_POLICY": "active"},
            {"MKL_NUM_THREADS": "5", "OMP_NUM_THREADS": "1"},
        ),
    ],
)
def test_threads_are_the_users_or_a_share_of_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], seen: dict[str, str]
) -> None:
    for name in (*VARIABLES, "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("emojibench.parallel.pool.available_cores", lambda: 2)
    before = dict(os.environ)
    with workers(Surroundings, tmp_path, jobs=2) as pool:
        (outcome,) = do(pool, tmp_path, "a")
    assert seen.items() <= outcome.result.items()
    assert outcome.result["OMP_WAIT_POLICY"] == given.get("OMP_WAIT_POLICY", "passive")
    assert dict(os.environ) == before


def test_threads_are_set_before_the_users_script_is_imported_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\nfrom pathlib import Path\n"
        "print('stdout is data')\n"
        "with Path('seen').open('a') as seen: print(os.environ.get('MKL_NUM_THREADS'), file=seen)\n"
        "from emojibench.parallel.executor import Work\n"
        "from emojibench.parallel.local import LOCAL\n"
        "from emojibench.parallel.workers import Workers\n"
        "from test_workers import Echo\n"
        "if __name__ == '__main__':\n"
        "    with Workers(LOCAL, Work(Echo, 'test'), timeout=9, log=Path('log')) as pool: pool.info\n"
    )
    dropped = (*VARIABLES, "PYTHONUNBUFFERED")
    environment = {k: v for k, v in os.environ.items() if k not in dropped} | {"OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(Path(__file__).parent), environment.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment | {"PYTHONPATH": path}, capture_output=True,
        check=True,
    )  # fmt: skip
    assert (tmp_path / "seen").read_text().split() == ["None", "1"]
    assert done.stdout == b"stdout is data\n"


def test_quiet_workers_print_nothing_while_they_are_set_up(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for quiet in (True, False):
        with workers(Echo, tmp_path, quiet=quiet) as pool:
            assert pool.info == "echo"
        assert ("set up" in capfd.readouterr().err) != quiet


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_the_guardian_is_not_needed_for_the_end_of_what_a_worker_leaves(tmp_path: Path) -> None:
    with workers(Echo, tmp_path) as pool:
        assert pool.info == "echo"
        worker = pool._members[0].worker.process.pid
        guardian = pool._crew._guardian
        assert guardian is not None
        guardian._process.kill()
    wait_for(lambda: not alive(worker), 5)


class Scripted:
    """An executor whose workers, one on each node, say what a script wants: `behave(node, payload)` is a reply."""

    name = "scripted"

    def __init__(self, nodes: str, behave: Any, info: Any = "same") -> None:
        self.nodes, self.behave, self.info, self.jobs = list(nodes), behave, info, len(nodes)
        self.said: list[tuple[Any, Any]] = []
        self.given: list[str] = []

    def open(self, work: Work) -> "Scripted":
        return self

    def start(self, info: bytes) -> "ScriptedWorker":
        worker = ScriptedWorker(self, self.nodes.pop(0) if self.nodes else "z")
        info = self.info.get(worker.node, "same") if isinstance(self.info, dict) else self.info
        self.said += [(worker, ("placed", None)), (worker, ("ready", pickle.dumps({"revision": info})))]
        return worker

    def hear(self, busy: Any, seconds: float) -> Any:
        said, self.said = self.said, []
        return said

    def close(self) -> None:
        pass


class ScriptedWorker:
    def __init__(self, crew: Scripted, node: str) -> None:
        self.crew, self.node = crew, node

    def give(self, task: Task) -> None:
        self.crew.given.append(self.node + task.payload)
        self.crew.said += [(self, ("begun", None)), (self, self.crew.behave(self.node, task.payload))]

    def end(self) -> None:
        pass


DONE = ("done", pickle.dumps("done"))


def outcomes(executor: Any, tmp_path: Path, payloads: str) -> list[Outcome]:
    with Workers(executor, Work(Echo, "test"), timeout=9, log=tmp_path / "log") as pool:
        return do(pool, tmp_path, *payloads)


def test_a_task_that_a_node_loses_is_done_on_another_one(tmp_path: Path) -> None:
    executor = Scripted(
        "ab", lambda node, payload: ("gone", "lost") if (node, payload) == ("a", "1") else DONE
    )
    found = {outcome.task.key: outcome for outcome in outcomes(executor, tmp_path, "123")}
    assert {key: (o.result, o.failure) for key, o in found.items()} == dict.fromkeys("123", ("done", ""))
    assert executor.given.count("a1") == 1
    assert found["1"].node != "a"


def test_a_task_that_is_lost_twice_fails_and_names_both_nodes(tmp_path: Path) -> None:
    executor = Scripted("ab", lambda node, payload: ("lost", "it died") if payload == "1" else DONE)
    failures = {o.task.key: o.failure for o in outcomes(executor, tmp_path, "12") if o.failure}
    assert failures == {"1": "b: it died; before that, a: it died"}


def test_workers_that_differ_are_refused_and_both_named(tmp_path: Path) -> None:
    executor = Scripted("ab", lambda node, payload: DONE, {"b": "other"})
    with pytest.raises(
        UserError, match="test is not the same everywhere: revision is other on b, same on a; install"
    ):
        outcomes(executor, tmp_path, "1234")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"name": "rai"}, r"--executor: .*Did you mean 'ray'"),
        ({"name": "local", "address": "auto"}, "--address: expected with --executor ray only, got auto"),
        ({"name": "local", "gpus": 1.0}, "--gpus-per-worker: expected with --executor ray only, got 1.0"),
        ({"name": "ray", "gpus": 1.5}, "--gpus-per-worker: expected a share from 0 to 1, or a whole number"),
        ({"name": "ray", "jobs": 0}, "--jobs: expected a number of workers of at least 1, got 0"),
        (
            {"name": "ray", "address": "ray://head:1"},
            "--address: expected auto or HOST:PORT, got ray://head:1",
        ),
    ],
)
def test_executors_are_chosen_by_flags(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        named(**flags)


def test_ray_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emojibench.extras.find_spec", lambda name: None)
    with pytest.raises(
        UnavailableError, match=r"--executor ray needs ray, .*: pip install 'emojibench\[ray\]'"
    ):
        named("ray").__enter__()


def test_a_folder_of_the_same_name_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_a_folder").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UnavailableError, match="only_a_folder, which is not installed"):
        require("only_a_folder")


def test_files_travel_to_where_their_root_is(tmp_path: Path) -> None:
    inner, outer = tmp_path / "run" / "scratch", tmp_path / "run"
    packed = parcels.pack([inner / "a", outer / "b", Path("/elsewhere")], [inner, outer])
    parcels.settle([Path("/one"), Path("/two")])
    assert pickle.loads(packed) == [Path("/one/a"), Path("/two/b"), Path("/elsewhere")]
    (tmp_path / "seen").write_text("1")
    witness = parcels.Witness.of(tmp_path / "seen")
    assert witness.seen()
    (tmp_path / "seen").write_text("22")
    assert not witness.seen()
