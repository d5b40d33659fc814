import signal
import subprocess
import sys

import pytest

from emojibench.dataset.workplace import LOCK, workplace

KEPT = """
import sys, time
from pathlib import Path
from emojibench.dataset.workplace import workplace
with workplace(Path(sys.argv[1])) as folder:
    (folder / "dataset").mkdir()
    print(folder, flush=True)
    time.sleep(60)
"""


def test_folders_of_killed_builds_are_removed_and_no_others(tmp_path):
    out = tmp_path / "mine"
    builds = [
        subprocess.Popen([sys.executable, "-c", KEPT, out], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    killed, alive = (build.stdout.readline().strip() for build in builds)
    builds[0].send_signal(signal.SIGKILL)
    builds[0].communicate()
    theirs = tmp_path / ".mine.previews", tmp_path / ".mine.notes" / LOCK, tmp_path / ".mine.notes" / "text"
    theirs[0].mkdir()
    theirs[1].parent.mkdir()
    for file in theirs[1:]:
        file.touch()
    with workplace(out) as folder:
        names = {str(path) for path in tmp_path.iterdir()}
        assert killed not in names
        assert names == {alive, str(folder), *map(str, (theirs[0], theirs[1].parent))}
    assert not folder.exists()
    builds[1].kill()
    builds[1].communicate()


def test_the_folder_goes_when_the_block_raises(tmp_path):
    with pytest.raises(KeyError), workplace(tmp_path / "deep" / "mine") as folder:
        raise KeyError(folder.mkdir(exist_ok=True))
    assert list((tmp_path / "deep").iterdir()) == []
