import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from emojibench.dataset import numpy_pickle
from emojibench.dataset.fye_motion import read_fye_motion
from emojibench.errors import DatasetError

SAMPLE = Path(__file__).parents[2] / "../shared/samples/fye/temple_motion.npy"


def frames(count=3, seed=0):
    rng = np.random.default_rng(seed)
    return [
        {
            "lmks": rng.uniform(0, 1, (478, 3)),
            "lmks3d": rng.normal(size=(468, 3)),
            "trans_mat": np.eye(4),
            "faces": np.ones((898, 3), int),
            "bs": [float(value) for value in rng.uniform(0, 1, 51)],
            "width": 512,
            "height": 256,
        }
        for _ in range(count)
    ]


def test_official_layout_is_read(tmp_path):
    written = frames()
    np.save(tmp_path / "motion.npy", written)
    driving = read_fye_motion(tmp_path / "motion.npy", fps=30)
    assert driving.landmarks == pytest.approx(np.stack([frame["lmks"] for frame in written]))
    assert driving.blendshapes[:, 1:] == pytest.approx(np.array([frame["bs"] for frame in written]))
    assert (driving.blendshapes[:, 0] == 0).all()
    assert driving.transforms.shape == (3, 4, 4)
    assert (driving.size, driving.fps, driving.detected.all()) == ((512, 256), 30, True)


@pytest.mark.parametrize("protocol", [3, 4])  # numpy 1 and 2
def test_the_pickle_protocols_of_numpy_are_read(tmp_path, protocol):
    path = tmp_path / "motion.npy"
    written = np.array(frames(), dtype=object)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(written))
        pickle.dump(written, file, protocol=protocol)
    assert len(read_fye_motion(path)) == 3


class Exploit:
    """Unpickled the usual way, it runs a command."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("where", ["list", "value", "array"])
@pytest.mark.parametrize("function", [os.system, eval, exec, np.load, np.fromfile, getattr])
def test_malicious_pickles_are_refused_unrun(tmp_path, function, where):
    trace = tmp_path / "trace"
    arguments = {
        os.system: [f"touch {trace}"],
        eval: [f"open({str(trace)!r}, 'w')"],
        exec: [f"open({str(trace)!r}, 'w')"],
    }.get(function, ["numpy", "ndarray"])
    bad = Exploit(function, *arguments)
    content = frames()
    if where == "value":
        content[1]["lmks"] = bad
    elif where == "array":
        content[1]["lmks"] = np.array([bad], dtype=object)
    np.save(tmp_path / "motion.npy", [bad] if where == "list" else content)
    with pytest.raises(DatasetError, match=r"motion.npy: not an official motion file: the file asks for "):
        read_fye_motion(tmp_path / "motion.npy")
    assert not trace.exists()


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / "numbers.npy", np.zeros((5, 478, 3)))
    np.save(tmp_path / "other.npy", [{"lmks": np.zeros((478, 3))}])
    np.save(tmp_path / "mixed.npy", [*frames(1), {**frames(1)[0], "width": 100}])
    np.savez(tmp_path / "other.npz", lmks=np.zeros((5, 478, 3)))
    (tmp_path / "text.npy").write_text("hello")
    whole = tmp_path / "whole.npy"
    np.save(whole, frames())
    (tmp_path / "cut.npy").write_bytes(whole.read_bytes()[:5000])
    np.save(tmp_path / "none.npy", np.array([], dtype=object))
    os.mkfifo(tmp_path / "pipe.npy")
    for name in ("numbers", "other", "mixed", "text", "cut", "absent", "none", "pipe"):
        with pytest.raises(DatasetError, match=f"{name}.npy: "):
            read_fye_motion(tmp_path / f"{name}.npy")
    with pytest.raises(DatasetError, match=r"other.npz: "):
        read_fye_motion(tmp_path / "other.npz")


def change(**values):
    """Official frames, the second with other values."""
    content = frames()
    content[1].update(values)
    return content


BAD = {
    "NaN in a pose": (change(trans_mat=np.full((4, 4), np.nan)), "transforms are not finite"),
    "infinite pose": (change(trans_mat=np.full((4, 4), np.inf)), "transforms are not finite"),
    "a pose light years away": (change(trans_mat=np.full((4, 4), 1e300)), "no head is there"),
    "NaN in blendshapes": (change(bs=[float("nan")] * 51), "blendshapes are not finite"),
    "blendshapes out of range": (change(bs=[2.0] * 51), "blendshapes must lie in"),
    "text as blendshapes": (change(bs=["0"] * 51), "`bs` is list; expected floats"),
    "too few blendshapes": (change(bs=[0.5] * 50), "`bs` is list; expected floats"),
    "huge landmarks": (change(lmks=np.full((478, 3), 1e300)), "expected fractions of width"),
    "integers as landmarks": (change(lmks=np.zeros((478, 3), int)), "`lmks` is int64"),
    "complex landmarks": (change(lmks=np.zeros((478, 3), complex)), "type <c16; expected plain numbers"),
    "structures": (change(lmks=np.zeros(3, "V8")), "as numpy never does|another way than numpy"),
    "objects": (change(lmks=np.array([[1, "a"]], dtype=object)), "an array of 2 objects"),
    "no landmarks": ([{"lmks": None, "width": 5, "height": 5}], "`lmks` is NoneType"),
    "zero width": ([{**frame, "width": 0} for frame in frames()], "size 0x256 must be"),
    "fractional width": ([{**frame, "width": 0.5} for frame in frames()], "expected whole numbers"),
    "a width of megabytes": ([{**frame, "width": 1 << 8_000_000} for frame in frames(1)], "LONG4"),
    "not dicts": ([1.5, 2.5, "x"], "a float; expected one dict"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_named(tmp_path, case):
    content, message = BAD[case]
    np.save(tmp_path / "motion.npy", np.array(content, dtype=object))
    with pytest.raises(DatasetError, match=rf"motion.npy: .*({message})") as caught:
        read_fye_motion(tmp_path / "motion.npy")
    assert len(str(caught.value)) < 500


def raw(path, body, shape=(1,)):
    """An .npy file of objects with any pickle in it."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": shape})
        file.write(body)
    return path


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01bt"
DTYPE = (
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00%b\x89\x88tR"
    b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
)
EIGHT = b"C\x08" + bytes(8)
PICKLES = {
    "a dtype that grows after its array was made": b"\x80\x03"
    + DTYPE % b"V8"
    + b"q\x00"
    + RECONSTRUCT
    + b"R(K\x01K\x01\x85h\x00\x89"
    + EIGHT
    + b"tbh\x00(K\x03X\x01\x00\x00\x00|NNNM\x00\x10K\x01K\x10tb.",
    "a dtype that is filled twice": b"\x80\x03"
    + DTYPE % b"f8"
    + b"(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
    "an array that is filled twice": b"\x80\x03"
    + RECONSTRUCT
    + b"R"
    + 2 * (b"(K\x01K\x01\x85" + DTYPE % b"f8" + b"\x89" + EIGHT + b"tb")
    + b".",
    "more shape than bytes": b"\x80\x03"
    + RECONSTRUCT
    + b"R(K\x01J\xff\xff\xff\x7f\x85"
    + DTYPE % b"f8"
    + b"\x89"
    + EIGHT
    + b"tb.",
    "a negative shape": b"\x80\x03"
    + RECONSTRUCT
    + b"R(K\x01J\xff\xff\xff\xffJ\xff\xff\xff\xff\x86"
    + DTYPE % b"f8"
    + b"\x89"
    + EIGHT
    + b"tb.",
    "objects out of bytes": b"\x80\x03"
    + RECONSTRUCT
    + b"R(K\x01K\x01\x85"
    + DTYPE % b"O8"
    + b"\x89"
    + EIGHT
    + b"tb.",
    "an initial shape": b"\x80\x03" + RECONSTRUCT.replace(b"K\x00\x85", b"J\xff\xff\xff\x7f\x85") + b"R.",
    "a promise of gigabytes": b"\x80\x03B\xff\xff\xff\xff.",
    "an eight-byte promise": b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
    "an empty stack": b"\x80\x03.",
    "an unknown memo": b"\x80\x03h\x07.",
    "a list in itself": b"\x80\x03]q\x00h\x00a.",
    "a key that is a list": b"\x80\x03}]K\x01s.",
    "too many lists": b"\x80\x03" + b"]" * 20_000 + b".",
    "no end": b"\x80\x03" + b"N" * 10,
    "an unknown instruction": b"\x80\x03\xff.",
    "an extension": b"\x80\x03\x82\x01.",
    "a persistent id": b"\x80\x03Pabc\n.",
}


@pytest.mark.parametrize("case", PICKLES)
def test_hostile_pickles_are_refused(tmp_path, case, monkeypatch):
    monkeypatch.setattr(numpy_pickle, "_MOST_STEPS", 10_000)
    tracemalloc.start()
    try:
        with pytest.raises(DatasetError, match=r"motion.npy: not an official motion file: "):
            read_fye_motion(raw(tmp_path / "motion.npy", PICKLES[case]))
        assert tracemalloc.get_traced_memory()[1] < 600 << 20
    finally:
        tracemalloc.stop()


def test_one_frame_named_often_is_not_many(tmp_path):
    frame = pickle.dumps(np.array(frames(1), dtype=object), protocol=3)
    twice = frame.replace(b"K\x01\x85", b"M\xff\xff\x85", 1)
    raw(tmp_path / "motion.npy", twice, (65535,))
    with pytest.raises(DatasetError, match=r"motion.npy: "):
        read_fye_motion(tmp_path / "motion.npy")


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the official sample is not in ../shared/samples/fye")
def test_a_real_motion_file_equals_its_pickle_free_twin():
    driving, twin = read_fye_motion(SAMPLE), read_fye_motion(SAMPLE.with_suffix(".npz"))
    assert len(driving) == 97
    assert driving.size == twin.size == (512, 512)
    assert np.array_equal(driving.landmarks, twin.landmarks)
    assert driving.transforms == pytest.approx(twin.transforms)
    assert np.array_equal(driving.blendshapes, twin.blendshapes)
