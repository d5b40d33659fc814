"""What lists and help texts say can be read and copied, however narrow the window."""

import sys
from collections.abc import Iterator

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
