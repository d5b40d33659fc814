"""Damage to files: small edits that hypothesis can shrink and that a seeded generator can draw by the thousand."""

import io
import random
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass

NUMBERS = (
    0, 1, 2, 127, 128, 255, 256, 1023, 32767, 32768, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1,
)  # fmt: skip
TOKENS = (
    b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"1e30", b"9" * 5000, b"null", b"true", b'""', b"[]", b"{}",
    b'"\\ud800"', b'"\\u0000"', b'"../../x"', b'"/dev/zero"', b'"a\\nb"', b'"' + b"x" * 2000 + b'"',
    b"[" * 400 + b"]" * 400, b"[" * 50_000, b'{"a":' * 40 + b"1" + b"}" * 40, b"\xff\xfe", b"\xc3", b"\x00",
    b"*a", b"&a", b"<<: *a", b"!!python/name:os.system", b"2020-99-99",
)  # fmt: skip
KINDS = ("flip", "byte", "cut", "drop", "insert", "repeat", "splice", "number", "token")
_VALUE = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|\w+')


@dataclass(frozen=True)
class Edit:
    """One piece of damage; every field means something to every kind, so that any combination is valid."""

    kind: str
    place: float
    """In [0, 1): where in the file."""
    size: float
    """In [0, 1): how much of it."""
    value: int
    """In [0, 2^32)."""


def draw(source: random.Random) -> list[Edit]:
    """One to four edits, most of them near the beginning or the end, where headers are."""
    edits = []
    for _ in range(source.choice((1, 1, 1, 2, 3, 4))):
        place = source.choice((source.random(), source.random() ** 4, 1 - source.random() ** 4 * 0.999))
        edits.append(
            Edit(source.choice(KINDS), min(place, 0.999999), source.random() ** 6, source.getrandbits(32))
        )
    return edits


def apply(data: bytes, edits: list[Edit], other: bytes = b"") -> bytes:
    """The file with the edits made one after the other; `other` is where splices come from."""
    for edit in edits:
        data = _apply(data, edit, other or data)
    return data


def _apply(data: bytes, edit: Edit, other: bytes) -> bytes:
    at = int(edit.place * len(data))
    size = max(1, int(edit.size * len(data)))
    noise = random.Random(edit.value)
    match edit.kind:
        case "flip":
            return data[:at] + bytes(b ^ 1 << edit.value % 8 for b in data[at : at + 1]) + data[at + 1 :]
        case "byte":
            return data[:at] + bytes([edit.value % 256]) + data[at + 1 :]
        case "cut":
            return data[:at]
        case "drop":
            return data[:at] + data[at + size :]
        case "insert":
            return data[:at] + noise.randbytes(min(size, 4096)) + data[at:]
        case "repeat":
            times = min(1 + edit.value % 50, 1 + (1 << 20) // size)
            return data[: at + size] + data[at : at + size] * times + data[at + size :]
        case "splice":
            begin = edit.value % max(1, len(other))
            return data[:at] + other[begin : begin + size] + data[at + size :]
        case "number":
            form = noise.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
            width = struct.calcsize(form)
            packed = struct.pack(form, noise.choice(NUMBERS) % (1 << 8 * width))
            return data[:at] + packed + data[at + width :]
        case _:
            return _with_token(data, at, TOKENS[edit.value % len(TOKENS)])


def _with_token(data: bytes, at: int, token: bytes) -> bytes:
    """One word, number or string replaced."""
    found = _VALUE.search(data, at, at + 4096)
    return (
        data[:at] + token + data[at:]
        if found is None
        else data[: found.start()] + token + data[found.end() :]
    )


def inside_zip(data: bytes, edits: list[Edit], other: bytes = b"") -> bytes:
    """Edits one member of an archive and packs it again, so that lengths and checksums fit the damage."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    chosen = edits[0].value % len(members)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, (info, content) in enumerate(members):
            changed = (
                apply(content, edits, members[edits[-1].value % len(members)][1])
                if number == chosen
                else content
            )
            archive.writestr(info.filename, changed, info.compress_type)
    return packed.getvalue()


def inside_png(data: bytes, edits: list[Edit], other: bytes = b"") -> bytes:
    """Edits one chunk of a PNG and gives it the length and checksum that fit."""
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    chosen = edits[0].value % len(chunks)
    kind, content = chunks[chosen]
    chunks[chosen] = kind, apply(content, edits, other)
    packed = data[:8]
    for kind, content in chunks:
        packed += (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )
    return packed
