"""Reading files that somebody else wrote: only regular files, of bounded size, in UTF-8, holding plain values.

Whatever is wrong with a file ends in one error that names it, never in another exception of the parser below.
"""

import io
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from emojibench.errors import UserError

JSON_LIMIT = 16 << 20
"""Bytes; parsed, the worst such file takes some thirty times as much."""
YAML_LIMIT = 256 << 10
"""Bytes; YAML is what people write by hand, and parsed slowly."""
DEPTH = 32
"""Lists and mappings inside one another."""
_INTEGERS = 2**64
_Model = TypeVar("_Model", bound=BaseModel)


class MissingFileError(UserError):
    """There is no such file."""


class _File(io.BufferedReader):
    """Takes no more memory for a read than the file has bytes, whatever a damaged header makes a parser ask for."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self._bytes = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """As any file's."""
        left = max(0, self._bytes - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def open_file(path: Path) -> io.BufferedReader:
    """Open a regular file to read bytes; folders, pipes, sockets and devices are refused, never waited for.

    Raises:
        MissingFileError: there is nothing of this name.
        UserError: it is something else, or cannot be opened.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe waits until somebody writes to it.
        stream = _File(io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{path}: no such file; correct the path") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected a file, got a folder; give a regular file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a null byte, or half a surrogate pair
        raise UserError(f"{str(path)!r}: no file has such a name ({error})") from error
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise UserError(f"{path}: expected a file, got a pipe, socket or device; give a regular file")
    return stream


def read_bytes(path: Path, *, limit: int, advice: str = "correct the file") -> bytes:
    """The content of a regular file of at most `limit` bytes; `advice` ends the messages.

    Raises:
        MissingFileError: there is nothing of this name.
        UserError: not a regular file, or longer than `limit`.
    """
    with open_file(path) as stream:
        try:
            data = stream.read(limit + 1)
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror or error}; {advice}") from error
    if len(data) > limit:
        raise UserError(f"{path}: expected at most {limit:,} bytes, got more; {advice}")
    return data


def is_folder(path: Path) -> bool:
    """Whether a folder is there; `Path.is_dir` raises where one above it is closed to us."""
    return os.path.isdir(path)  # noqa: PTH112


def read_text(path: Path, *, limit: int = JSON_LIMIT, advice: str = "correct the file") -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Args:
        path: a regular file.
        limit: most bytes that it may have.
        advice: what to do about a bad file; ends each message.

    Raises:
        MissingFileError: there is nothing of this name.
        UserError: not a regular file, longer than `limit`, or not UTF-8.
    """
    data = read_bytes(path, limit=limit, advice=advice)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected text in UTF-8, got other bytes ({error}); {advice}") from error


def read_json(path: Path, kind: type = dict, *, advice: str = "correct the file") -> Any:
    """The value in a JSON file: finite numbers, text that can be printed, no key twice, at most `DEPTH` levels.

    Args:
        path: as in `read_text`.
        kind: type that the whole value must have; `object` for any.
        advice: as in `read_text`.

    Raises:
        MissingFileError: there is nothing of this name.
        UserError: as `read_text`; not JSON, or JSON of something else.
    """
    return parse_json(read_text(path, advice=advice), str(path), kind, advice=advice)


def parse_json(text: str | bytes, where: str, kind: type = dict, *, advice: str = "correct the file") -> Any:
    """The value in a JSON text, checked as `read_json` does; `where` opens the messages.

    Raises:
        UserError: not JSON, or JSON of something else.
    """
    try:
        value = json.loads(text, object_pairs_hook=_mapping)
        _check(value)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not usable JSON ({_line(error)}); {advice}") from error
    return _of_kind(value, kind, where, advice)


def read_yaml(path: Path, kind: type = dict, *, advice: str = "correct the file") -> Any:
    """The value in a YAML file of plain values, as JSON could hold them; aliases and keys that stand twice are refused.

    Args and errors: as `read_json`.
    """
    import yaml

    text = read_text(path, limit=YAML_LIMIT, advice=advice)
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few of them can stand for billions of values
                raise yaml.YAMLError(f"an alias, *{event.anchor}; write its value out")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            _check_depth(depth)
        _check_keys(yaml.compose(text, Loader=yaml.SafeLoader))
        value = yaml.safe_load(text)
        _check(value)
    except Exception as error:  # PyYAML's constructors let through whatever a value makes them stumble over
        raise UserError(f"{path}: not usable YAML ({_line(error)}); {advice}") from error
    return _of_kind(value, kind, str(path), advice)


def _check_keys(root: Any) -> None:
    """Raise `YAMLError` where a mapping has a key twice, of which only the last would count."""
    import yaml

    nodes = [root]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                name = str(key.value)  # of a key that is no text as well: whatever prints alike is alike
                if name in seen:
                    raise yaml.YAMLError(
                        f"the key {name} stands twice, again in line {key.start_mark.line + 1}"
                    )
                seen.add(name)
                nodes.append(value)
        elif isinstance(node, yaml.SequenceNode):
            nodes += node.value


def read_model(model: type[_Model], path: Path, *, advice: str = "correct the file") -> _Model:
    """The object that a JSON file describes.

    Raises:
        MissingFileError: there is nothing of this name.
        UserError: as `read_json`; a field that is missing, unknown or of another type or range.
    """
    return parse_model(model, read_text(path, advice=advice), str(path), advice=advice)


def parse_model(
    model: type[_Model], text: str | bytes, where: str, *, advice: str = "correct the file"
) -> _Model:
    """The object that a JSON text describes; `where` opens the messages.

    Raises:
        UserError: not JSON; a field that is missing, unknown or of another type or range.
    """
    try:
        return model.model_validate(parse_json(text, where, advice=advice))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {field}: {message}; {advice}") from error


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The members of a JSON object. Raises `ValueError` for a key that stands twice: only the last would count."""
    mapping: dict[str, Any] = {}
    for key, value in pairs:
        if key in mapping:
            raise ValueError(f"the key {key!r} stands twice")
        mapping[key] = value
    return mapping


def _of_kind(value: object, kind: type, where: str, advice: str) -> Any:
    if not isinstance(value, kind):
        names: dict[type, str] = {dict: "an object (key: value)", list: "a list"}
        wanted, got = (names.get(each, each.__name__) for each in (kind, type(value)))
        raise UserError(f"{where}: expected {wanted}, got {got}; {advice}")
    return value


def _check(value: object, depth: int = 0) -> None:
    """Raise ValueError unless later code can print, count and store every part of the value."""
    if isinstance(value, dict | list):
        _check_depth(depth + 1)
        for part in value:
            _check(part, depth + 1)
        for part in value.values() if isinstance(value, dict) else ():
            _check(part, depth + 1)
    elif isinstance(value, str):
        value.encode()  # half a surrogate pair is a UnicodeEncodeError
        if "\0" in value:
            raise ValueError("text with a null character")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number that is not finite")
    elif isinstance(value, int):
        if abs(value) >= _INTEGERS:
            raise ValueError("an integer of more than 64 bits")
    elif value is not None:
        raise ValueError(f"a {type(value).__name__}; put it in quotes to make it text")


def _check_depth(depth: int) -> None:
    if depth > DEPTH:
        raise ValueError(f"more than {DEPTH} levels inside one another")


def _line(error: Exception) -> str:
    """An error as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"
