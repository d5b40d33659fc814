"""The command line in this process, as a user types it."""

import sys
from collections.abc import Callable

import pytest

from emojibench.cli import main


@pytest.fixture
def emojibench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs a command; returns its exit code."""

    def call(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["emojibench", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    return call


@pytest.fixture
def refused(emojibench: Callable[..., int], capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that the user has to correct; returns the one line that says how."""

    def call(*arguments: object) -> str:
        capfd.readouterr()
        assert emojibench(*arguments) == 2
        printed = capfd.readouterr()
        assert printed.out == ""
        assert "Traceback" not in printed.err
        (complaint,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        return complaint

    return call
