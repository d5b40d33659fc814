"""Archives that lie about their sizes, or hold other things than plain arrays, are refused before they cost memory."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from emojibench.errors import DatasetError, UserError
from emojibench.files.arrays import ArraySpec, npz_names, read_npz

SPECS = {
    "a": ArraySpec("f", ("T", 2)),
    "b": ArraySpec("b", ("T",), optional=True),
    "name": ArraySpec("U", (), optional=True),
}


def test_arrays_are_read_as_numpy_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    written = {
        "floats": rng.normal(size=(4, 3, 2)),
        "fortran": np.asfortranarray(rng.normal(size=(4, 3))),
        "swapped": np.arange(5, dtype=">i4"),
        "flags": rng.normal(size=7) > 0,
        "text": np.array(["a", "übergrößt", ""]),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 3), np.uint8),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "file.npz", **written)
        read = read_npz(tmp_path / "file.npz")
        assert set(read) == set(written) == npz_names(tmp_path / "file.npz")
        for name, array in written.items():
            assert np.array_equal(read[name], array)
            assert read[name].flags.writeable
            assert read[name].dtype == np.asarray(array).dtype.newbyteorder("=")


def header(text, version=b"\x01\x00"):
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode()


def described(descr="'<f8'", shape="(2, 2)", data=bytes(32)):
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}") + data


def archive(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def saved(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def bomb():
    """64 MiB of zeros, whose header is true."""
    return described(shape=f"({1 << 22}, 2)", data=bytes(1 << 26))


BAD = {
    "more than the limit": (
        lambda: {"a": described(shape="(1000000, 2)", data=bytes(16_000_000))},
        "at most",
    ),
    "another shape": (
        lambda: {"a": described(shape="(4,)")},
        r"a: expected floats \(T, 2\), got float64 \(4,\)",
    ),
    "two lengths": (lambda: {"a": described(), "b": saved(np.ones(3, bool))}, "where T is 2, got bool"),
    "absent": (lambda: {"b": saved(np.ones(3, bool))}, "lacks the arrays a"),
    "more than there is": (lambda: {"a": described(shape="(1000000000000, 2)")}, "does not take the"),
    "less than there is": (lambda: {"a": described(shape="(1, 2)")}, "does not take the"),
    "negative": (lambda: {"a": described(shape="(-2, -2)")}, "does not take the"),
    "objects": (lambda: {"a": saved(np.array([{}], object))}, "short texts, got object"),
    "structures": (lambda: {"a": described("[('x', '<f8', (2, 2))]")}, "short texts, got"),
    "enormous items": (lambda: {"a": described("'V2000000000'")}, "short texts, got"),
    "long text": (lambda: {"a": described(), "name": saved(np.array("x" * 2000))}, "short texts, got <U2000"),
    "no characters": (
        lambda: {"a": described(), "name": described("'<U1'", "()", b"\xff" * 4)},
        "characters",
    ),
    "surrogates": (lambda: {"a": described(), "name": described("'<U1'", "()", b"\0\xd8\0\0")}, "characters"),
    "no boolean": (lambda: {"a": described(), "b": described("'|b1'", "(2,)", b"\1\7")}, "neither 0 nor 1"),
    "no header": (lambda: {"a": b"text"}, "whole .npz file"),
    "a header of code": (lambda: {"a": header("__import__('os')") + bytes(32)}, "whole .npz file"),
    "brackets": (lambda: {"a": header("(" * 5000) + bytes(32)}, "whole .npz file"),
    "a header of gigabytes": (lambda: {"a": b"\x93NUMPY\x02\x00\xff\xff\xff\xff"}, "whole .npz file"),
    "endless numbers": (lambda: {"a": described(shape=f"({'9' * 5000},)")}, "whole .npz file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused(tmp_path, case):
    members, message = BAD[case]
    path = archive(tmp_path / "file.npz", **members())
    with pytest.raises(DatasetError, match=f"file.npz: .*{message}.*; do this") as caught:
        read_npz(path, SPECS, limit=1_000_000, error=DatasetError, advice="do this")
    assert len(str(caught.value)) < 500


def damaged(path, change):
    content = bytearray(
        archive(path, zipfile.ZIP_DEFLATED, a=saved(np.arange(2000.0).reshape(-1, 2))).read_bytes()
    )
    path.write_bytes(change(content))
    return path


DAMAGE = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[:-30],
    "body": lambda data: data[:200] + b"\xff" * 50 + data[250:],
    "checksum": lambda data: data.replace(data[14:18], b"abcd"),
    "encrypted": lambda data: (
        data[:6] + b"\1" + data[7:].replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1")
    ),
    "method": lambda data: data.replace(b"\x14\0\0\0\x08\0", b"\x14\0\0\0\x0e\0"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_archives_are_refused(tmp_path, case):
    with pytest.raises(UserError, match=r"file.npz: "):
        read_npz(damaged(tmp_path / "file.npz", DAMAGE[case]))


def test_bombs_cost_no_memory(tmp_path):
    content = bomb()
    small = archive(tmp_path / "bomb.npz", zipfile.ZIP_DEFLATED, a=content)
    lying = tmp_path / "lying.npz"  # its table of contents says that there are few bytes
    lying.write_bytes(small.read_bytes().replace(struct.pack("<I", len(content)), struct.pack("<I", 96)))
    crowded = tmp_path / "crowded.npz"
    with zipfile.ZipFile(crowded, "w") as file:
        for number in range(12_000):
            file.writestr(f"{number}", b"")
    del content
    tracemalloc.start()
    try:
        for path in (small, lying, crowded):
            for specs in (None, SPECS):
                with pytest.raises(UserError, match=path.name):
                    read_npz(path, specs, limit=10_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()
