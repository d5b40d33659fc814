"""Standard output and error that a command cannot trip over.

- What their encoding has no signs for is written another way: `±` as `+/-`, letters as `\\u5f20` (valid in JSON too).
- A reader that went away (`| head`) or a full disk behind stderr ends no command: the rest is dropped, and the
  exit code is the command's own. A full disk behind stdout is an error, since stdout is data.
- Streams that were closed (`>&-`) lead to the null device, so that no file that is opened later takes their place.
"""

import codecs
import io
import json
import sys
from typing import TextIO

from emojibench import descriptors

_ASCII = "emojibench-ascii"
"""ASCII by another name: the command-line library turns streams whose encoding is called `ascii` into UTF-8."""
_ERRORS = "emojibench-readable"
_READABLE = {
    "–": "-", "—": "-", "±": "+/-", "↑": "^", "↓": "v", "·": "*", "×": "x", "…": "...", "²": "^2", "≥": ">=",
    "≤": "<=", "µ": "u", "“": '"', "”": '"', "’": "'", "•": "*",
}  # fmt: skip


def prepare() -> None:
    """Make both streams as described above. Other people's replacements (a notebook, a test) stay as they are."""
    descriptors.fill()
    codecs.register_error(_ERRORS, _readable)
    codecs.register(_ascii)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _stream(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _stream(sys.stderr, 2)


def finish(code: int) -> int:
    """Write what is left and return the exit code: `code`, or 2 where stdout could not take all of it."""
    sys.stdout.flush()
    output = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(output, _Output) and output.failure is not None:
        print(f"error: cannot write to standard output: {output.failure.strerror}", file=sys.stderr)
        return 2
    return code


class _Output(io.FileIO):
    """A descriptor whose reader may go away, and whose disk may be full."""

    failure: OSError | None = None
    """Why some of the data is lost."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: "bytes | bytearray | memoryview", /) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            if self.fileno() == 1 and not isinstance(error, BrokenPipeError):
                self.failure = error
            return len(data)


def _stream(stream: TextIO | None, descriptor: int) -> TextIO:
    encoding = getattr(stream, "encoding", "utf-8")
    line_by_line = any(getattr(stream, kind, False) for kind in ("line_buffering", "write_through"))
    return io.TextIOWrapper(
        io.BufferedWriter(_Output(descriptor)),  # type: ignore[type-var]
        encoding=_ASCII if codecs.lookup(encoding).name == "ascii" else encoding,
        errors=_ERRORS,
        line_buffering=line_by_line or descriptor == 2,
    )


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Error handler: the first sign that cannot be encoded, written another way."""
    assert isinstance(error, UnicodeEncodeError)
    sign = error.object[error.start]
    return _READABLE.get(sign) or json.dumps(sign)[1:-1], error.start + 1


def _ascii(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != _ASCII:
        return None
    ascii_ = codecs.lookup("ascii")
    return codecs.CodecInfo(
        ascii_.encode, ascii_.decode, ascii_.streamreader, ascii_.streamwriter,
        ascii_.incrementalencoder, ascii_.incrementaldecoder, name=_ASCII,
    )  # fmt: skip
