"""Commands around the fake baseline."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from command_clips import BASELINE, make_clip

from emojibench.dataset.clip import Clip
from emojibench.methods.command import Command, CommandMethod


@pytest.fixture
def clip() -> Clip:
    return make_clip()


@pytest.fixture
def description(tmp_path: Path) -> Any:
    """Writes a description of the fake baseline; `fault` and further fields are its arguments."""

    def write(
        fault: str = "", how: str = "png", *, several: bool = False, words: str = "", **fields: Any
    ) -> Path:
        command = f"python {BASELINE} --fault '{fault}' --how {how} {words} "
        command += "--clips {clips}" if several else (
            "--portrait {portrait} --driving {driving} --out {out} --frames {frames} --fps {fps} --seed {seed}"
        )  # fmt: skip
        kind = {"pattern": "{out}", "kind": "pictures" if how == "png" else "video"}
        content = {"name": "fake", "command": command, "output": kind} | fields
        path = tmp_path / "fake.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
        return path

    return write


@pytest.fixture
def method(description: Any) -> Any:
    """Opens such a description."""

    def opened(*arguments: Any, options: dict[str, str] | None = None, **fields: Any) -> CommandMethod:
        return Command(description(*arguments, **fields))(options or {})

    return opened
