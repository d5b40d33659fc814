"""A short version of `kills.py`: a few kills of each command."""

from pathlib import Path

import kills
import pytest


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", ["run", "score", "clips", "build", "data", "train", "accept"])
def test_a_killed_command_goes_on_as_if_nothing_had_happened(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kills.main(["--kills", "4", "--seed", "1", "--only", command, "--keep", str(tmp_path)]) == 0, (
        capsys.readouterr().out
    )
