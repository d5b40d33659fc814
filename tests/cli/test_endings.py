"""However a command ends: one line, the right exit code, no traceback, whatever its streams are."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = """
import os, sys, time
from pathlib import Path
from emojibench.cli import app, main
from emojibench.runs.folder import RunFolder

def raised(error):
    raise error

def bug_in_a_run():
    with RunFolder(Path("run")) as folder:
        (folder.path / "spec.json").touch()
        {}["row"]

ENDS = {
    "bug in a run": bug_in_a_run,
    "bug": lambda: {}["column"],
    "surrogate": lambda: raised(RuntimeError("\\udcff\\ud800")),
    "exit": lambda: sys.exit("no licence"),
    "end of file": lambda: raised(EOFError()),
    "worker": lambda: raised(BrokenPipeError(32, "Broken pipe")),
    "folder": lambda: open("/nowhere/file"),
    "nowhere": lambda: Path.cwd(),
    "interrupt": lambda: raised(KeyboardInterrupt()),
    "wait": lambda: (print("waiting", flush=True), time.sleep(30)),
    "verdict": lambda: print("± 3 ↑ \\u5f20 \\xe9 |\\udcff|", "x" * 100000),
}

@app.command("end")
def end(how: str) -> None:
    import typer
    from rich.console import Console
    ENDS[how]()
    print("progress –", file=sys.stderr)
    Console(width=20).print("rich ↑")
    typer.echo("echo ±")
    raise typer.Exit(1)

sys.argv[0] = "emojibench"
main()
"""


@pytest.fixture
def end(tmp_path: Path):
    """Run a command that ends in some way; `shell` redirects its streams."""

    def call(how: str, shell: str = "", **environment: str) -> "subprocess.CompletedProcess[bytes]":
        script = tmp_path / "driver.py"
        script.write_text(DRIVER, encoding="utf-8")
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONUTF8", "PYTHONIOENCODING")}
        return subprocess.run(
            ["bash", "-c", f'"$0" "$1" end "$2" {shell}', sys.executable, str(script), how],
            env={**kept, "EMOJIBENCH_CACHE": str(tmp_path / "cache"), **environment},
            capture_output=True,
            cwd=tmp_path,
        )

    return call


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("bug", 70, "unexpected KeyError: 'column'"),
        ("surrogate", 70, "unexpected RuntimeError"),
        ("exit", 70, "unexpected SystemExit: no licence"),
        ("end of file", 70, "unexpected EOFError"),
        ("worker", 2, "Broken pipe"),
        ("folder", 2, "/nowhere/file: No such file or directory"),
    ],
)
def test_what_nobody_expected_is_one_line_and_a_log(end, tmp_path: Path, how, code, message) -> None:
    done = end(how)
    assert done.returncode == code
    (line,) = done.stderr.decode().splitlines()
    assert message in line
    (log,) = (tmp_path / "cache" / "logs").iterdir()
    assert str(log) in line
    assert "Traceback" in log.read_text()


def test_a_log_that_cannot_be_kept_is_said_so(end, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder would be")
    done = end("bug")
    assert (done.returncode, len(done.stderr.splitlines())) == (70, 1)
    assert b"no file" in done.stderr


def test_a_run_keeps_its_traceback_itself(end, tmp_path: Path) -> None:
    done = end("bug in a run")
    (log,) = (tmp_path / "run" / "logs").iterdir()
    assert done.returncode == 70
    assert f"run/logs/{log.name}" in done.stderr.decode()


def test_ctrl_c_is_one_line(end, tmp_path: Path) -> None:
    done = end("interrupt")
    assert (done.returncode, done.stderr) == (130, b"interrupted\n")
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py"), "end", "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == b"interrupted\n"
    assert process.returncode == 130


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_signs_that_cannot_be_encoded_are_written_another_way(end, encoding: str) -> None:
    done = end("verdict", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    text = done.stdout.decode(encoding)
    expected = {
        "ascii": "+/- 3 ^ \\u5f20 \\u00e9 |\\udcff|",
        "latin-1": "± 3 ^ \\u5f20 é |\\udcff|",
        "utf-8": "± 3 ↑ 张 é |\\udcff|",
    }
    assert text.startswith(expected[encoding])
    assert "rich" in text
    assert "echo" in text


@pytest.mark.parametrize("shell", ["| head -c 5; exit ${PIPESTATUS[0]}", ">&- 2>&- <&-", "2> /dev/full"])
def test_streams_that_nobody_reads_change_no_verdict(end, shell: str) -> None:
    done = end("verdict", shell)
    assert done.returncode == 1
    assert done.stderr in (b"", "progress –\n".encode())


def test_a_full_disk_behind_stdout_is_an_error(end) -> None:
    done = end("verdict", "> /dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        b"error: cannot write to standard output: No space left on device"
    ]


def test_a_current_directory_that_was_removed_is_said_so(end, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = end("nowhere", '2>&1; cd gone; rmdir "$PWD"; "$0" "$1" end nowhere')
    assert done.returncode == 2
    assert done.stderr == b"error: the current directory was removed; change to another one and run again\n"
