import operator
import os
import signal
import subprocess
import sys
import time

import pytest

from emojibench.errors import UserError
from emojibench.parallel import spread

SCRIPT = """
import os, time
from pathlib import Path
from emojibench.parallel import spread

def beat(_):
    while True:
        with Path(f"{os.getpid()}.beat").open("a") as file:
            file.write(".")
        time.sleep(0.02)

if __name__ == "__main__":
    list(spread(beat, [1, 2], jobs=2, what="Beating"))
"""


@pytest.fixture
def parent(tmp_path):
    """A process with two busy workers, which show in `tmp_path` that they live."""
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until(lambda: len(list(tmp_path.glob("*.beat"))) == 2)
    yield process
    process.kill()
    process.communicate()


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def still(folder):
    def sizes():
        return [file.stat().st_size for file in folder.glob("*.beat")]

    before = sizes()
    time.sleep(0.3)
    return sizes() == before


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(parent, tmp_path, how):
    parent.send_signal(how)
    parent.wait(20)
    until(lambda: still(tmp_path))


@pytest.mark.parametrize("which", [0, 1])
def test_a_killed_worker_ends_the_work_and_the_others(parent, tmp_path, which):
    os.kill(sorted(int(file.stem) for file in tmp_path.glob("*.beat"))[which], signal.SIGKILL)
    _, said = parent.communicate(timeout=20)
    assert "Beating: one of 2 worker processes was killed after 0 of 2" in said
    assert "choose fewer --jobs and run again" in said
    until(lambda: still(tmp_path))


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_and_errors_as_they_are(jobs):
    assert list(spread(abs, [-3, 2, -1], jobs=jobs, what="Signs")) == [3, 2, 1]
    results = spread(operator.neg, [4, "four"], jobs=jobs, what="Signs")
    assert next(results) == -4
    with pytest.raises(TypeError):
        next(results)
    with pytest.raises(UserError, match="--jobs: expected a number of processes of at least 1, got 0"):
        list(spread(abs, [1], jobs=0, what="Signs"))
