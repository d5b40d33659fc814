"""Frames into and out of the pickles that `np.save` writes for a list of dicts, without unpickling.

Even an unpickler that admits numpy's own functions alone is unsafe: numpy trusts the types and sizes that a pickle
gives it, and reads or writes memory beyond them. So nothing that a file names is called here. The two dozen
instructions that such files use are followed one by one, and an array is made only from a plain type, a shape and
exactly the bytes that the two need.
"""

import io
import math
import pickle
import pickletools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_FRAMES = 10_000
_MOST_STEPS = 2_000_000
"""Instructions; the official files have about 230 a frame."""
_MOST_DIMENSIONS = 4
_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
_NAMES = ("_reconstruct", "scalar", "ndarray", "dtype")
_PLAIN = re.compile("[iuf][248]|[iub]1")


def read_frames(data: bytes) -> list[dict[str, Any]]:
    """The dicts of an .npy file that holds a list of dicts of arrays, numbers and lists.

    Args:
        data: the whole file.

    Raises:
        ValueError: not such a file; other instructions, types or sizes than numpy writes; too long.
    """
    layout: Any = np.lib.format
    stream = io.BytesIO(data)
    headers = {(1, 0): layout.read_array_header_1_0, (2, 0): layout.read_array_header_2_0}
    version = layout.read_magic(stream)
    if version not in headers:
        raise ValueError(f"version {version} of the .npy format; expected 1 or 2")
    shape, _, dtype = headers[version](stream)
    if dtype != np.dtype(object):
        raise ValueError(f"an array of {dtype}; expected one dict per frame")
    try:
        result = _follow(stream)
    except (IndexError, KeyError) as error:  # an empty stack, an unknown memo
        raise ValueError("its pickle is damaged") from error
    frames = result.value if isinstance(result, _Array) else None
    if not isinstance(frames, list) or (len(frames),) != shape:
        raise ValueError("the pickle does not hold the array that the header promises")
    if len(frames) > MOST_FRAMES:
        raise ValueError(f"{len(frames):,} frames; expected at most {MOST_FRAMES:,}")
    for frame in frames:
        if not isinstance(frame, dict):
            raise ValueError(f"a {type(frame).__name__}; expected one dict per frame")  # noqa: TRY004
    return [{key: v.value if isinstance(v, _Array) else v for key, v in frame.items()} for frame in frames]


@dataclass(frozen=True)
class _Global:
    """Stands for one of numpy's functions or types, and is never called."""

    name: str


@dataclass
class _Type:
    """A dtype, once its byte order is known."""

    code: str
    order: str = ""


@dataclass
class _Array:
    """An array, once its values are known: numbers, or the list of an array of objects."""

    value: NDArray[Any] | list[Any] | None = None


def _follow(stream: io.BytesIO) -> object:
    """What a pickle leaves behind."""
    machine = _Machine()
    for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name == "STOP":
            return machine.stack.pop()
        if step == _MOST_STEPS:
            raise ValueError(f"more than {_MOST_STEPS:,} instructions")
        machine.step(opcode.name, argument)
    raise ValueError("its pickle has no end")


class _Machine:
    """Follows the instructions of a pickle on plain values, `_Global`, `_Type` and `_Array`."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        """Stacks that a MARK put aside."""
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        match name:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                self.below.append(self.stack)
                self.stack = []
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                self.stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "BININT" | "BININT1" | "BININT2" | "BINFLOAT":
                self.stack.append(argument)
            case "BINUNICODE" | "SHORT_BINUNICODE" | "BINBYTES" | "SHORT_BINBYTES":
                self.stack.append(argument)
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT":
                self.stack.append({"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}[name]())
            case "TUPLE":
                items = tuple(self._marked())
                self.stack.append(items)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                last = [self.stack.pop() for _ in range(int(name[-1]))]
                self.stack.append(tuple(reversed(last)))
            case "APPEND":
                self._extend([self.stack.pop()])
            case "APPENDS":
                self._extend(self._marked())
            case "SETITEM":
                value, key = self.stack.pop(), self.stack.pop()
                self._update([key, value])
            case "SETITEMS":
                self._update(self._marked())
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "GLOBAL":
                self.stack.append(_global(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                called, module = self.stack.pop(), self.stack.pop()
                self.stack.append(_global(module, called))
            case "REDUCE":
                arguments, function = self.stack.pop(), self.stack.pop()
                self.stack.append(_made(function, arguments))
            case "BUILD":
                state = self.stack.pop()
                _complete(self.stack[-1], state)
            case _:
                raise ValueError(f"the file has the instruction {name}; numpy writes none in such a file")

    def _marked(self) -> list[Any]:
        """Everything above the last MARK, taken off."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("its pickle is damaged")  # noqa: TRY004
        self.stack[-1].extend(items)

    def _update(self, items: list[Any]) -> None:
        keys, values = items[::2], items[1::2]
        if not isinstance(self.stack[-1], dict) or not all(isinstance(key, str) for key in keys):
            raise ValueError("its pickle is damaged")
        self.stack[-1].update(zip(keys, values, strict=True))


def _global(module: object, name: object) -> _Global:
    if module in _MODULES and name in _NAMES:
        return _Global(str(name))
    raise ValueError(f"the file asks for {module}.{name}; only numpy arrays and plain containers are read")


def _made(function: object, arguments: object) -> object:
    """What one of the three calls that numpy writes into a pickle stands for."""
    match function, arguments:
        case _Global("_reconstruct"), (_Global("ndarray"), (0,), b"b"):
            return _Array()
        case _Global("dtype"), (str() as code, _, _):
            return _Type(code)
        case _Global("scalar"), (_Type() as kind, bytes() as data):
            return _numbers((), kind, data, "C").item()
    raise ValueError("the file makes something in another way than numpy does")


def _complete(made: object, state: object) -> None:
    """Give a type its byte order, or an array its values; once."""
    match made, state:
        case _Type(_, ""), (3, ("<" | ">" | "|") as order, None, None, None, -1, -1, int()):
            made.order = order
        case _Array(None), (1, tuple() as shape, _Type("O8", "|"), bool(), list() as items):
            if shape != (len(items),):
                raise ValueError(f"an array of {len(items)} objects says that it has the shape {shape}")
            made.value = items
        case _Array(None), (1, tuple() as shape, _Type() as kind, bool() as fortran, bytes() as data):
            made.value = _numbers(shape, kind, data, "F" if fortran else "C")
        case _:
            raise ValueError("the file fills something in another way than numpy does")


def _numbers(shape: tuple[Any, ...], kind: _Type, data: bytes, order: Any) -> NDArray[Any]:
    """Read-only array of a plain type from exactly the bytes that it takes."""
    if not kind.order or not _PLAIN.fullmatch(kind.code):
        raise ValueError(f"an array of type {kind.order}{kind.code}; expected plain numbers")
    if len(shape) > _MOST_DIMENSIONS or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError("an array of an impossible shape")
    dtype = np.dtype(kind.order + kind.code)
    if (needed := math.prod(shape) * dtype.itemsize) != len(data):
        raise ValueError(f"an array of {dtype} {shape} takes {needed} bytes, the file has {len(data)}")
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def write_frames(frames: list[dict[str, Any]]) -> bytes:
    """An .npy file that holds a list of dicts of arrays, numbers and lists, as `np.save` of numpy 1 writes it.

    numpy 2 calls its module by another name, under which numpy 1 finds nothing. What the file calls is what
    `read_frames` admits.
    """
    array = np.empty(len(frames), object)
    array[:] = frames
    stream = io.BytesIO()
    layout: Any = np.lib.format
    layout.write_array_header_1_0(stream, layout.header_data_from_array_1_0(array))
    data = pickle.dumps(array, protocol=3)
    done = 0
    for opcode, argument, start in pickletools.genops(data):
        called = str(argument)
        if opcode.name == "GLOBAL" and start is not None and called.startswith("numpy._core."):
            module, name = called.replace("numpy._core.", "numpy.core.").split(" ")
            stream.write(data[done:start] + f"c{module}\n{name}\n".encode())
            done = start + len(f"c{called}\n")
    stream.write(data[done:])
    return stream.getvalue()
