"""What lists and help texts say can be read and copied, however narrow the window."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from rich.text import Text

from emojibench import registry, weights
from emojibench.cli import app, main


def printed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["emojibench", *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    return capfd.readouterr().out


@pytest.mark.parametrize("command", [("methods",), ("metrics",), ("weights", "list")])
def test_names_stay_whole(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted = {
        "methods": registry.names(registry.METHODS),
        "metrics": [
            traits.name
            for name in registry.names(registry.METRICS)
            for traits in registry.load(registry.METRICS, name).traits
        ],
        "weights": [word for name, entry in weights.TABLE.items() for word in (name, entry.file)],
    }
    words = printed(monkeypatch, capfd, *command).split()
    assert set(wanted[command[0]]) <= set(words)
    assert not [word for word in words if word.endswith("…")]


@pytest.mark.parametrize("command", ["run", "score"])
def test_help_says_what_is_the_default(
    command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(printed(monkeypatch, capfd, command, "--help").replace("│", " ").split())
    assert "or clip ids separated by commas; all by default." in text
    assert "repeat or separate by commas; all by default." in text
    folder = {
        "run": "<method>-<split>-<dataset> by default.",
        "score": "run folder is <name>-<split>-<dataset>.",
    }
    assert folder[command] in text


def test_no_help_text_loses_what_rich_would_take_for_markup() -> None:
    def texts(command: click.Command) -> Iterator[str]:
        yield command.help or ""
        for parameter in command.params:
            yield getattr(parameter, "help", None) or ""
        for inner in getattr(command, "commands", {}).values():
            yield from texts(inner)

    found = list(texts(typer.main.get_command(app)))
    assert len(found) > 100
    for text in found:
        assert Text.from_markup(text).plain == text


def test_shells_complete_without_loading_anything(tmp_path: Path) -> None:
    program = (
        "import sys; sys.argv = ['emojibench']\n"
        "from emojibench.cli import main\n"
        "try: main()\n"
        "finally: print([n for n in ('torch', 'numpy', 'pandas', 'cv2') if n in sys.modules], file=sys.stderr)"
    )
    asked = {"_EMOJIBENCH_COMPLETE": "complete_bash", "COMP_WORDS": "emojibench we", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["weights"]
    assert done.stderr.strip() == "[]"
    script = f"{sys.executable} -c \"import sys; sys.argv[0] = 'emojibench'; from emojibench.cli import main; main()\""
    for flag in ("--show-completion", "--install-completion"):
        # The shell that asks is found among the parents; `true` keeps it from making room for the command.
        told = subprocess.run(
            ["bash", "-c", f"{script} {flag}; true"], env=os.environ | {"HOME": str(tmp_path)}, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert "bash" in told.stdout or "_EMOJIBENCH_COMPLETE" in told.stdout, told.stderr
    assert "emojibench" in (tmp_path / ".bashrc").read_text()
