"""Where a training writes its progress: JSON lines, and scalars for TensorBoard."""

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

Record = dict[str, float | int | str]
Log = Callable[[Record], None]


def jsonl(path: Path) -> Log:
    """A log that appends one JSON object a line to a file; a last line that a full disk tore is dropped."""
    if path.is_file():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)

    def write(record: Record) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    return write


def tensorboard(folder: Path) -> Log:
    """A log of scalars for TensorBoard.

    Raises:
        ImportError: TensorBoard is not installed.
    """
    from torch.utils.tensorboard import SummaryWriter

    at = {"step": 0}  # a validation belongs to the step recorded last
    writer = cache(
        lambda: SummaryWriter(str(folder))
    )  # its file is the main process's, which alone has records

    def write(record: Record) -> None:
        stage = record.get("phase", "validation")
        at["step"] = int(record.get("step", at["step"]))
        for name, value in record.items():
            if isinstance(value, int | float) and name != "step":
                writer().add_scalar(f"{stage}/{name}", value, at["step"])
        writer().flush()

    return write
