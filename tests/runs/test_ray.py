"""Runs on a Ray cluster: the same rows as here, whatever becomes of its nodes. A real one, of two nodes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fakes
import pytest
from fake_bench import write_site
from ray_nodes import Nodes
from test_runs_end_to_end import calls, values
from test_runs_survive import HERE, alive, start, wait_for
from typer.testing import CliRunner

import emojibench
from emojibench import media, versions
from emojibench.cli.commands import app
from emojibench.dataset.building import build
from emojibench.dataset.stats import stats
from emojibench.errors import UserError
from emojibench.parallel.cluster import Ray
from emojibench.parallel.local import Local
from emojibench.runs.folder import RunFolder

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'emojibench[ray]'")
pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Two nodes of two cores."""
    site = write_site(tmp_path_factory.mktemp("site") / "site")
    with Nodes([HERE, site]) as cluster:
        cluster.start("one")
        cluster.start("two", env={"FAKE_REVISION_OF_TWO": "2"})
        yield cluster


@pytest.fixture
def on(nodes: Nodes) -> Any:
    return lambda jobs=2, **more: Ray(jobs, address=nodes.address, **more)


def folder(result: Any) -> RunFolder:
    return RunFolder(result.folder)


def hosts() -> list[int]:
    """Actors of ours that are alive."""
    lines = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
    return [int(line.split()[0]) for line in lines if "ray::Host" in line]


def test_rows_do_not_depend_on_the_executor_or_the_number_of_workers(bench: Any, on: Any) -> None:
    results = [bench.run("fake", jobs=jobs, name=f"local-{jobs}") for jobs in (1, 2, 4)]
    results += [bench.run("fake", executor=on(jobs), name=f"ray-{jobs}") for jobs in (1, 2, 4)]
    first, *others = [values(folder(result)) for result in results]
    assert all(other == first for other in others)
    records = [folder(results[-1]).animation(clip) for clip in fakes.IDS]
    assert {record.node for record in records if record} <= {
        "one",
        "two",
    }  # the first may be done with all of them
    assert {folder(results[0]).animation("a").device} == {record.device for record in records if record}
    assert not hosts()
    provenance = json.loads((results[-1].folder / "provenance.json").read_text())
    assert (provenance["platform"]["executor"], provenance["platform"]["jobs"]) == ("ray", 4)


def test_a_command_is_a_method_there_too(bench: Any, on: Any, tmp_path: Path) -> None:
    baseline = HERE.parent / "methods" / "fake_baseline.py"
    words = (
        "--portrait {portrait} --driving {driving} --out {out} --frames {frames} --fps {fps} --seed {seed}"
    )
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"name: mine\ncommand: python {baseline} {words}\ninput: landmarks.npz\noutput: {{kind: pictures}}\n"
    )
    here, there = (
        bench.run(str(file), clips=2, name=name, **how)
        for name, how in (("h", {}), ("t", {"executor": on()}))
    )
    assert not here.failed
    assert values(folder(here)) == values(folder(there))


def test_a_lost_worker_is_tried_elsewhere_once(bench: Any, on: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def open_gate() -> None:  # once all four workers are there, two on each node
        wait_for(lambda: len(hosts()) >= 4, 200)
        time.sleep(3)
        gate.touch()

    threading.Thread(target=open_gate, daemon=True).start()
    fates = {**dict.fromkeys("abc", f"wait:{gate}"), "d": "die"}
    result = bench.run("fake", options=fates, executor=on(4), metrics=["fake_l1"])
    assert set(result.failed) == {"d"}
    told = [part.partition(": ") for part in result.failed["d"].split("; before that, ")]
    assert sorted(node for node, _, _ in told) == ["one", "two"]
    assert {reason for _, _, reason in told} == {"the worker process died (exit code 9)"}


@pytest.mark.parametrize("who", ["driver", "actor"])
def test_what_is_killed_leaves_nothing_and_is_made_up_for(
    bench: Any, registered: Path, nodes: Nodes, on: Any, tmp_path: Path, who: str
) -> None:
    log, gate = tmp_path / "calls", tmp_path / "gate"
    settings = {"options": {"log": str(log), "c": f"wait:{gate}"}, "metrics": ["fake_l1", "fake_set"]}
    process = start(bench, registered, name="r", ray=nodes.address, **settings)
    wait_for(lambda: log.exists() and "c" in calls(log), 200)
    with pytest.raises(UserError, match="another emojibench process is working on this run"):
        bench.run("fake", executor=on(), **settings)
    if who == "driver":
        process.send_signal(signal.SIGKILL)
        process.communicate()
        wait_for(lambda: not hosts(), 60)
    else:
        os.kill(hosts()[0], signal.SIGKILL)
        gate.touch()
        process.communicate()
        assert process.returncode == 0
    workers = {int(line.split()[1]) for line in log.read_text().splitlines()}
    wait_for(lambda: not any(map(alive, workers)), 60)
    gate.touch()
    resumed = bench.run("fake", executor=on(), **settings)
    assert calls(log).count("a") == 1
    whole = bench.run("fake", name="whole", **settings)
    assert values(folder(resumed)) == values(folder(whole))


def test_a_node_killed_in_the_middle_changes_no_row(nodes: Nodes, on: Any, tmp_path: Path) -> None:
    nodes.start("three")
    how = {
        "dataset": "synth",
        "size": 64,
        "frames": 8,
        "clips": 12,
        "metrics": ["l1", "jitter"],
        "out": tmp_path,
    }
    local = emojibench.run("landmark-warp", name="local", jobs=2, quiet=True, **how)
    done = tmp_path / "ray" / "animations"

    def cut() -> None:
        while len(list(done.glob("*/animation.json"))) < 3:
            time.sleep(0.02)
        nodes.kill("three")

    killer = threading.Thread(target=cut, daemon=True)
    killer.start()
    result = emojibench.run("landmark-warp", name="ray", executor=on(6), quiet=True, **how)
    killer.join()
    assert not result.failed
    assert values(folder(result)) == values(folder(local))


def test_a_node_that_does_not_see_the_disks_is_sent_what_it_needs(tmp_path: Path) -> None:
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to make a mount namespace")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (tmp_path / "videos").mkdir()
    apart = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs none "{hidden}" && exec "$0" "$@"']
    cache = {"EMOJIBENCH_CACHE": str(hidden / "cache")}
    how = {"size": 64, "frames": 8, "clips": 2, "metrics": ["l1", "jitter"], "out": hidden, "quiet": True}
    with pytest.MonkeyPatch.context() as patch, Nodes([]) as nodes:
        patch.setenv("EMOJIBENCH_CACHE", cache["EMOJIBENCH_CACHE"])
        nodes.start("driver", cpus=0)
        nodes.start("apart", env=cache, before=apart)
        there = emojibench.run("landmark-warp", name="there", executor=Ray(1, address=nodes.address), **how)
        assert not any(hidden.glob("cache/**/*.tmp"))
        here = emojibench.run("landmark-warp", name="here", **how)
        assert values(folder(there)) == values(folder(here))
        assert folder(there).animation(there.rows().clip_id[0]).node == "apart"
        videos = {clip: f for clip in there.rows().clip_id.unique() if (f := folder(there).frames_file(clip))}
        finished = hidden / "videos"
        finished.mkdir()
        for clip, file in videos.items():
            (finished / f"{clip}.mkv").write_bytes(file.read_bytes())
        scored = emojibench.score(finished, executor=Ray(1, address=nodes.address), **how)
        l1 = {(clip, name): value for (clip, name), value in values(folder(here)).items() if name == "l1"}
        assert l1.items() <= values(folder(scored)).items()


def test_nodes_have_to_be_like_the_driver_and_one_another(
    bench: Any, on: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        ours = versions.build() | {"torch": "0.1"}
        patch.setattr(versions, "build", lambda: ours)
        with pytest.raises(
            UserError, match=r"(one|two) has torch \S+, this machine has 0\.1; install the same"
        ):
            bench.run("fake", executor=on())
    never = dict.fromkeys(fakes.IDS, "wait:/nowhere/at all")  # until the others are there
    with pytest.raises(UserError, match=r"revision is [12] on (one|two), [12] on (one|two)"):
        bench.run("fake", executor=on(4), options={"revision of": "node", **never}, name="other")


def test_what_cannot_work_is_said_before(bench: Any, on: Any) -> None:
    with pytest.raises(UserError, match=r"no node of the cluster has that .*choose --gpus-per-worker"):
        bench.run("fake", executor=on(gpus=2))
    with on() as cluster, pytest.raises(UserError, match="cannot be sent to a worker"):
        list(cluster.spread(lambda item: item, [1], what="Signs"))
    with on() as cluster:
        assert list(cluster.spread(abs, [-3, 2, -1], what="Signs")) == [3, 2, 1]
        with pytest.raises(UserError, match=r"Signs: .*TypeError"):
            list(cluster.spread(abs, [1, "one"], what="Signs"))
    started = time.monotonic()
    with pytest.raises(UserError, match=r"--address: 127\.0\.0\.1:9 cannot be reached"):
        bench.run("fake", executor=Ray(address="127.0.0.1:9"))
    assert time.monotonic() - started < 60


def test_the_command_says_on_stdout_what_it_says_here(nodes: Nodes, tmp_path: Path) -> None:
    words = "run --method copy-reference --frames 2 --clips 1 --size 64 --metrics l1 --json --jobs 1 --out"
    flags = {"here": [], "there": ["--executor", "ray", "--address", nodes.address]}
    said = {}
    for name, more in flags.items():
        command = [
            sys.executable,
            "-m",
            "emojibench",
            *words.split(),
            str(tmp_path),
            "--name",
            "r",
            "--overwrite",
            *more,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        said[name] = json.loads(done.stdout)["metrics"]["l1"]
    assert said["here"] == said["there"]


def test_a_dataset_is_built_there_as_here(on: Any, tmp_path: Path) -> None:
    mini = emojibench.load_dataset("mini", size=128)
    for kind in ("portraits", "driving"):
        (tmp_path / kind).mkdir()
    for number, clip_id in enumerate(mini.clip_ids("self")[:2]):
        clip = mini.clip(clip_id)
        assert clip.load_driving_frames is not None
        media.write_image(tmp_path / "portraits" / f"{number}.png", clip.portrait)
        media.write_lossless(tmp_path / "driving" / f"{number}.mkv", clip.load_driving_frames()[:6], 25.0)
    here, there = (
        build(
            tmp_path / "portraits",
            tmp_path / "driving",
            tmp_path / name,
            name="d",
            frames=4,
            size=96,
            executor=how,
        )
        for name, how in (("here", Local(2)), ("there", on()))
    )
    assert here == there
    assert here.clips == {"self": 2, "cross": 2}
    dataset = emojibench.load_dataset(str(tmp_path / "here"))
    assert stats(dataset, executor=on()) == stats(dataset)


MATRICES = {
    "accel": "base: {title: A, groups: [table3], method: copy-reference}\n"
    "warp: {title: B, groups: [table3], method: landmark-warp}\n",
    "ablate": "full: {title: A, weights: main, options: {steps: '2'}}\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", MATRICES)
def test_experiments_are_measured_there_as_here(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.yaml").write_text(MATRICES[command])
    words = [command, "--matrix", "rows.yaml", "--dataset", "mini", "--clips", "2", "--frames", "2"]
    words += ["--metrics", "l1,landmarks", *(["--traced", "0"] if command == "accel" else [])]
    for name, more in {"here": [], "there": ["--executor", "ray", "--address", nodes.address]}.items():
        done = CliRunner().invoke(app, [*words, "--out", name, *more])
        assert done.exit_code == 0, done.output
    rows = [path.name for path in Path("here/runs").iterdir()]
    assert len(rows) == MATRICES[command].count("title")
    for row in rows:
        here, there = (RunFolder(Path(where, "runs", row)) for where in ("here", "there"))
        assert values(here) == values(there)
        assert {there.animation(clip).node for clip in there.spec().clips} <= {"one", "two"}
    assert not hosts()
