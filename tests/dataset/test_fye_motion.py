import os
import pickle
from pathlib import Path

import numpy as np
import pytest

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
    for name in ("numbers", "other", "mixed", "text", "cut", "absent"):
        with pytest.raises(DatasetError, match=f"{name}.npy: "):
            read_fye_motion(tmp_path / f"{name}.npy")
    with pytest.raises(DatasetError, match=r"other.npz: "):
        read_fye_motion(tmp_path / "other.npz")


@pytest.mark.skipif(not SAMPLE.is_file(), reason="the official sample is not in ../shared/samples/fye")
def test_a_real_motion_file_equals_its_pickle_free_twin():
    driving, twin = read_fye_motion(SAMPLE), read_fye_motion(SAMPLE.with_suffix(".npz"))
    assert len(driving) == 97
    assert driving.size == twin.size == (512, 512)
    assert np.array_equal(driving.landmarks, twin.landmarks)
    assert driving.transforms == pytest.approx(twin.transforms)
    assert np.array_equal(driving.blendshapes, twin.blendshapes)
