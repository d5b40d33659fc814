"""The executor by itself: threads, workers that die idle, what a worker prints."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_runs_survive import alive, wait_for

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
