"""`emojibench baselines`: states, set-up and examination of a small baseline that these tests make."""

import errno
import hashlib
import json
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from emojibench_baselines.external import description, doctor, overview, records, rows, setting_up
from emojibench_baselines.external.description import Checkpoint, load
from typer.testing import CliRunner

from emojibench.cli.commands import app
from emojibench.errors import UserError, WriteError
from emojibench.weights import download

UV = """#!/bin/sh
echo "uv $*" >> {log}
case "$1 $2" in
"venv "*) for last; do :; done; mkdir -p "$last/bin"; ln -sf "$(command -v python)" "$last/bin/python" ;;
"pip install") if grep -q impossible "$6" "$8"; then echo "no version of impossible"; exit 1; fi ;;
"pip freeze") echo torch==1.0 ;;
esac
"""
DEMO = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--config')\nparser.parse_args()\n"


class Bench:
    """A home for set-ups, a repository, a server with checkpoints, and what happened."""

    def __init__(self, root: Path) -> None:
        self.root, self.origin, self.served = root, root / "origin", root / "served"
        self.told: list[str] = []
        self.requests: list[str] = []
        self.url = ""
        self.values = yaml.safe_load((description.FOLDER / "tps.yaml").read_text())

    def describe(self, **changes) -> None:
        """Write tps.yaml with some fields changed."""
        folder = self.root / "descriptions"
        folder.mkdir(exist_ok=True)
        self.values |= changes
        (folder / "tps.yaml").write_text(yaml.safe_dump(self.values))

    def setup(self, **given):
        return {
            part.part: part
            for part in setting_up.setup("tps", tell=self.told.append, accept_licence=True, **given)
        }

    def checkpoint(self, name="vox.pth.tar", keys=("generator",)) -> Path:
        path = self.served / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({key: {"weight": torch.zeros(3)} for key in keys}, path)
        return path


def git(*words, cwd):
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    return subprocess.run(
        ["git", *who, *words], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    bench.origin.mkdir()
    (bench.origin / "demo.py").write_text(DEMO)
    (bench.origin / "requirements.txt").write_text("numpy\n")
    git("init", "--quiet", cwd=bench.origin)
    git("add", ".", cwd=bench.origin)
    git("commit", "--quiet", "-m", "first", cwd=bench.origin)
    commit = git("rev-parse", "HEAD", cwd=bench.origin)
    (tmp_path / "gitconfig").write_text(
        f'[url "{bench.origin}"]\ninsteadOf = https://github.com/somebody/theirs\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("EMOJIBENCH_BASELINES", str(tmp_path / "home"))
    monkeypatch.delenv("EMOJIBENCH_OFFLINE")
    monkeypatch.setattr(download, "_unreachable", {})
    monkeypatch.setattr(description, "FOLDER", tmp_path / "descriptions")
    monkeypatch.setattr(rows, "FOLDER", tmp_path / "descriptions")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uv").write_text(UV.format(log=tmp_path / "uv.log"))
    (tools / "uv").chmod(0o755)
    monkeypatch.setattr(setting_up.sys, "executable", str(tools / "python"))

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            bench.requests.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    bench.served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=bench.served))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    bench.url = f"http://127.0.0.1:{server.server_port}"
    bench.checkpoint()
    bench.describe(
        repository={"url": "https://github.com/somebody/theirs", "commit": commit, "date": "2024-01-01"},
        checkpoints=[{"file": "vox.pth.tar", "url": f"{bench.url}/vox.pth.tar", "keys": ["generator"]}],
        environment={"python": "3.11", "requirements": "requirements.txt", "pins": ["torch==1.0"]},
    )
    yield bench
    server.shutdown()
    server.server_close()
    thread.join()


def state() -> list[str]:
    return records.lacking(load("tps"), records.read("tps"))


def test_every_state_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOJIBENCH_BASELINES", str(tmp_path))
    found = {row.name: row for row in overview.External().rows()}
    assert found["tps"].lacking == (
        "no repository", "no environment",
        "no checkpoint: vox.pth.tar, size not published, "
        "https://drive.google.com/drive/folders/1pNDo1ODQIb5HVObRtCmubqJikmR7VVLT",
    )  # fmt: skip
    assert found["mvportrait"].lacking == ("cannot run: no public code or weights are known to us",)
    if not torch.cuda.is_available():
        assert "needs CUDA" in found["magicdance"].lacking
    assert [name for name, row in found.items() if row.sound] == ["hallo", "sadtalker", "v-express"]
    assert {1, 7, 8} <= {table for row in found.values() for table in row.tables}


def test_a_set_up_ends_ready_and_does_nothing_twice(bench):
    parts = bench.setup()
    assert {name: part.state for name, part in parts.items()} == {
        "repository": "done", "environment": "done", "checkpoint": "done"
    }  # fmt: skip
    assert state() == []
    made = (bench.root / "uv.log").read_text()
    assert "--exclude-newer 2024-01-01T23:59:59Z" in made
    assert "requirements.txt" in made
    parts = bench.setup()
    assert {part.state for part in parts.values()} == {"there"}
    assert bench.requests == ["/vox.pth.tar"]
    assert (bench.root / "uv.log").read_text() == made
    bench.setup(extra=["torch==2.0"])
    assert (records.environment("tps") / "emojibench-pins.txt").read_text() == "torch==2.0\n"


def test_requirements_come_from_one_index_and_what_needs_the_others_comes_last(bench):
    theirs = "--find-links https://example.org/whl\n -i https://example.org\n-r more/base.txt\n-c /abs.txt\nnumpy\n"
    (bench.root / "theirs").mkdir()
    (bench.root / "theirs" / "requirements.txt").write_text(theirs)
    described = load("tps")
    wanted, place = described.environment, bench.root / "made"
    files, _ = setting_up.requirements(wanted, described.repository, bench.root / "theirs", place)
    assert files[0].read_text() == f"-r {bench.root}/theirs/more/base.txt\n-c /abs.txt\nnumpy\n"
    bench.describe(environment=wanted.model_dump() | {"afterwards": ["chumpy==0.70"]})
    bench.setup()
    first, last = [line for line in (bench.root / "uv.log").read_text().splitlines() if "pip install" in line]
    assert "chumpy" not in first
    assert " chumpy==0.70 --no-build-isolation --overrides " in last
    assert "--exclude-newer 2024-01-01T23:59:59Z" in last


def test_a_pointer_is_no_checkpoint(bench):
    weights = bench.root / "weights"
    weights.mkdir()
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    (weights / "vox.pth.tar").write_text(pointer)
    with pytest.raises(
        UserError, match=r"vox\.pth\.tar: expected the checkpoint, got Git LFS's pointer to it; run `git"
    ):
        bench.setup(weights=weights)


def test_the_licence_comes_before_anything_is_fetched(bench):
    with pytest.raises(
        UserError, match=r"licence \(MIT; commercial use allowed\) is not accepted.*--accept-licence"
    ):
        setting_up.setup("tps", tell=bench.told.append)
    assert bench.told == ["licence of tps: MIT; commercial use: allowed"]
    assert bench.requests == []
    assert not (records.home() / "checkouts").exists()
    bench.setup()
    setting_up.setup("tps", tell=bench.told.append)  # accepted once


def test_a_set_up_that_broke_off_goes_on(bench):
    (bench.served / "vox.pth.tar").rename(bench.served / "kept")
    assert bench.setup()["checkpoint"].state == "missing"
    assert state() == [f"no checkpoint: vox.pth.tar, size not published, {bench.url}/vox.pth.tar"]
    (bench.served / "kept").rename(bench.served / "vox.pth.tar")
    parts = bench.setup()
    assert {name: part.state for name, part in parts.items()} == {
        "repository": "there", "environment": "there", "checkpoint": "done"
    }  # fmt: skip


def test_an_address_for_people_is_told_with_the_place(bench):
    bench.describe(
        checkpoints=[{"file": "vox.pth.tar", "url": "https://drive.google.com/drive/folders/1pNDo1"}]
    )
    place = records.folder("tps") / "weights" / "vox.pth.tar"
    assert bench.setup()["checkpoint"].what.endswith(
        f"a page for people, not a file; fetch it and put it at {place}"
    )
    bench.checkpoint("page.pth").write_text("<!DOCTYPE html><p>Sign in")
    bench.describe(checkpoints=[{"file": "vox.pth.tar", "url": f"{bench.url}/page.pth"}])
    assert "sent a web page, not the file" in bench.setup()["checkpoint"].what
    assert not place.exists()


def test_a_hubs_folder_is_fetched_whole_and_verified(bench, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", bench.url)
    content = bench.checkpoint("who/model/resolve/main/unet/weights.bin").read_bytes()
    (bench.served / "who/model/resolve/main/unet/config.json").write_text("{}")
    digest = hashlib.sha256(content).hexdigest()
    tree = [
        {"type": "directory", "path": "unet"},
        {"type": "file", "path": "unet/config.json", "size": 2},
        {"type": "file", "path": "unet/weights.bin", "size": len(content), "lfs": {"oid": digest}},
        {"type": "file", "path": "unet/other.bin", "size": 9},
    ]
    listing = bench.served / "api/models/who/model/tree/main"
    listing.parent.mkdir(parents=True)
    listing.write_text(json.dumps(tree))
    hub = {
        "file": "sd/unet",
        "url": "https://huggingface.co/who/model/tree/main/unet",
        "only": ["*.json", "weights.*"],
    }
    bench.describe(checkpoints=[hub])
    assert bench.setup()["checkpoint"].state == "done"
    folder = records.folder("tps") / "weights" / "sd/unet"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "weights.bin"]
    tree[2]["lfs"]["oid"] = "0" * 64
    listing.write_text(json.dumps(tree))
    bench.describe(checkpoints=[hub | {"file": "sd2"}])
    assert "sent another file (expected sha256 000" in bench.setup()["checkpoint"].what


def test_a_file_of_a_hub_has_the_digest_that_the_hub_publishes(bench, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", bench.url)
    content = bench.checkpoint("who/model/resolve/main/ckpts/unet.pth").read_bytes()
    listing = bench.served / "api/models/who/model/tree/main"
    listing.parent.mkdir(parents=True)
    one = {"file": "net/unet.pth", "url": "https://huggingface.co/who/model/resolve/main/ckpts/unet.pth"}

    def setup(path, digest):
        entry = {"type": "file", "path": path, "size": len(content), "lfs": {"oid": digest}}
        listing.write_text(json.dumps([entry]))
        bench.describe(checkpoints=[one])
        return bench.setup()["checkpoint"]

    assert "huggingface.co lists no such file" in setup("ckpts/other.pth", "0" * 64).what
    assert "sent another file (expected sha256 000" in setup("ckpts/unet.pth", "0" * 64).what
    assert setup("ckpts/unet.pth", hashlib.sha256(content).hexdigest()).state == "done"
    assert (records.folder("tps") / "weights/net/unet.pth").read_bytes() == content


def test_a_hubs_list_cannot_name_a_place_outside(bench, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", bench.url)
    listing = bench.served / "api/models/who/model/tree/main"
    listing.parent.mkdir(parents=True)
    outside = bench.root / "outside.pth"
    bench.checkpoint(f"who/model/resolve/main/{outside}")
    paths = [str(outside), f"net/{outside}", "net/../../outside.pth"]
    listing.write_text(json.dumps([{"type": "file", "path": path, "size": 1} for path in paths]))
    for url in ("https://huggingface.co/who/model", "https://huggingface.co/who/model/tree/main/net"):
        bench.describe(checkpoints=[{"file": "net", "url": url}])
        assert bench.setup()["checkpoint"].state == "missing"
    assert not outside.exists()


def test_a_full_disk_names_the_file(bench, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "_receive", full)
    with pytest.raises(
        WriteError, match=r"cannot write .*vox\.pth\.tar\.part: No space left on device; free some space"
    ):
        bench.setup()


def test_checkpoints_are_examined_before_every_run(bench):
    bench.setup()
    description = load("tps")
    assert rows.places(description, {}).random_weights is False
    path = records.folder("tps") / "weights" / "vox.pth.tar"
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    with pytest.raises(UserError, match=r"expected sha256 .*, recorded at its first use, got"):
        rows.places(description, {})
    path.write_bytes(content)
    rows.places(description, {})
    records.write("tps", records.read("tps").model_copy(update={"files": {}}))
    assert state() == [f"{path} was put there after `setup`, which has to examine it"]
    with pytest.raises(UserError, match=r"has to examine it; run `emojibench baselines setup tps`"):
        rows.places(description, {})


def test_a_wrong_checkpoint_is_known_by_its_keys(bench):
    bench.checkpoint(keys=("generator_ema", "kp"))
    with pytest.raises(
        UserError, match=r"expected the keys generator; generator missing, got generator_ema, kp; .*"
    ):
        bench.setup()


def test_a_checkpoint_that_changes_is_refused(bench):
    bench.setup()
    path = records.folder("tps") / "weights" / "vox.pth.tar"
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(
        UserError, match=r"expected sha256 .*, recorded at its first use, got .*; put the old file"
    ):
        bench.setup()
    checks = {check.what: check for check in doctor.doctor("tps", bench.told.append)}
    assert checks["checkpoint vox.pth.tar"].state == "wrong"
    published = Checkpoint(file="vox.pth.tar", url=f"{bench.url}/vox.pth.tar", sha256="0" * 64)
    bench.describe(checkpoints=[published.model_dump(mode="json")])
    with pytest.raises(UserError, match="expected the published sha256 000"):
        bench.setup()


def test_another_commit_is_a_warning_and_recorded(bench):
    (bench.origin / "demo.py").write_text(DEMO + "# later\n")
    git("commit", "--quiet", "-am", "second", cwd=bench.origin)
    bench.setup(repo=bench.origin)
    assert [line for line in bench.told if "warning" in line and "expected commit" in line]
    assert records.read("tps").commit == git("rev-parse", "HEAD", cwd=bench.origin)
    assert records.read("tps").repo == bench.origin


def test_what_cannot_be_set_up_says_why(bench, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"got a folder without demo\.py; correct --repo"):
        bench.setup(repo=bench.served)
    with pytest.raises(UserError, match=r"--weights .*: expected a folder that is there"):
        bench.setup(weights=tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"--with 'torch \?=': expected a requirement"):
        bench.setup(extra=["torch ?="])
    bench.describe(environment=bench.values["environment"] | {"pins": ["impossible==1"]})
    with pytest.raises(
        UserError, match=r"environment does not resolve \(exit code 1\): no version of impossible"
    ):
        bench.setup()
    assert "no environment" in state()
    bench.describe(
        repository=bench.values["repository"]
        | {"commit": "0" * 40, "url": "https://github.com/somebody/theirs"}
    )
    records.write("tps", records.Record(licence="MIT"))
    with pytest.raises(
        UserError, match=r"cannot be fetched \(exit code 128\).*give a checkout of commit 0000"
    ):
        bench.setup()
    monkeypatch.setenv("EMOJIBENCH_OFFLINE", "1")
    with pytest.raises(UserError, match="is not fetched, since EMOJIBENCH_OFFLINE is set"):
        bench.setup()


def test_a_run_without_a_set_up_says_what_to_type(bench):
    with pytest.raises(
        UserError, match="tps: no repository and 2 more; run `emojibench baselines setup tps`"
    ):
        rows.tps({})
    bench.setup()
    before = rows.tps({}).revision
    versions = records.environment("tps") / records.VERSIONS
    versions.write_text(versions.read_text() + "numpy==1\n")
    assert rows.tps({}).revision != before


def test_doctor_names_each_part_that_is_wrong(bench):
    def found():
        return {check.what: check for check in doctor.doctor("tps", bench.told.append)}

    checks = found()
    assert {checks[what].state for what in ("repository", "environment", "checkpoint vox.pth.tar")} == {
        "wrong"
    }
    assert checks["smoke run"].state == "not tried"
    (bench.origin / "demo.py").write_text("import nobody_has_this\n")
    git("commit", "--quiet", "-am", "second", cwd=bench.origin)
    bench.setup(repo=bench.origin)
    checks = found()
    assert checks["repository"].state == "warning"
    assert "No module named 'nobody_has_this'" in checks["imports"].found
    assert checks["smoke run"].found == "mend imports first"


TALKER = """
import shutil, sys, wave
if "--help" in sys.argv:
    sys.exit()
portrait, sound, out, frames = sys.argv[1:]
with wave.open(sound) as heard:
    assert heard.getnframes() == 24 * 1920 and any(heard.readframes(1920))
for number in range(int(frames)):
    shutil.copy(portrait, f"{out}/{number}.png")
"""


def test_doctor_lets_a_talking_head_hear_something(bench):
    step = ["python", "demo.py", "{portrait}", "{sound}", "{out}", "{frames}"]
    output = {"pattern": "{out}", "kind": "pictures", "frames": "audio", "fps": 25}
    bench.describe(steps=[step], motion={"mode": "audio"}, output=output, least_frames=24, cpu_arguments=[])
    (bench.origin / "demo.py").write_text(TALKER)
    git("commit", "--quiet", "-am", "second", cwd=bench.origin)
    bench.setup(repo=bench.origin)
    (smoke,) = (check for check in doctor.doctor("tps", bench.told.append) if check.what == "smoke run")
    assert smoke.found.startswith("24 frames of 256x256, ")


def test_the_command_prints_lines_and_ends_with_3_where_something_is_missing(bench, monkeypatch):
    from emojibench import registry

    monkeypatch.setattr(registry, "load", lambda group, name: overview.External)
    (bench.served / "vox.pth.tar").unlink()
    outcome = CliRunner().invoke(app, ["baselines", "setup", "tps", "--accept-licence"])
    assert outcome.exit_code == 3
    assert [line.split("\t")[:2] for line in outcome.stdout.splitlines()] == [
        ["repository", "done"], ["environment", "done"], ["checkpoint", "missing"]
    ]  # fmt: skip
    assert "licence of tps: MIT" in outcome.stderr
    listed = CliRunner().invoke(app, ["baselines", "list", "--json"])
    assert json.loads(listed.stdout)[0]["lacking"][0].startswith("no checkpoint: vox.pth.tar")
    assert "no checkpoint: vox.pth.tar" in CliRunner().invoke(app, ["baselines", "list"]).stdout
