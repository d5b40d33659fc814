import hashlib
import os
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from weights_site import CONTENT, Site

from emojibench import weights
from emojibench.errors import UnavailableError, UserError
from emojibench.weights import store
from emojibench.weights.table import UNPUBLISHED, Archive, Slice, WeightFile

SHARED = Path(__file__).parents[2] / "../shared/weights"


def test_a_file_is_found_by_content_whatever_its_name(
    entry: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    folder = tmp_path / "mine"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/renamed.bin").write_bytes(CONTENT)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", f"{empty}{os.pathsep}{folder}")
    assert weights.find("demo") == folder / "deep/er/renamed.bin"
    assert site.requests == []
    assert weights.used() == {"demo": hashlib.sha256(CONTENT).hexdigest()}


def test_a_folder_is_hashed_once(entry: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "renamed.bin"
    path.write_bytes(CONTENT)
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(tmp_path))
    time.sleep(0.06)  # a file that has just been written is not trusted to stay
    read = []
    original = store.digests_of
    monkeypatch.setattr(store, "digests_of", lambda p: read.append(p) or original(p))
    assert weights.find("demo") == path
    assert len(read) == 1
    monkeypatch.setattr(store, "_index", store._Index())  # the next process
    assert weights.find("demo") == path
    assert len(read) == 1
    os.utime(path, (1, 1))
    assert weights.find("demo") == path
    assert len(read) == 2


def test_a_file_that_changed_is_hashed_anew_though_size_and_time_stay(
    entry: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "demo.pth"
    path.write_bytes(CONTENT)
    os.utime(path, (1, 1))
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(tmp_path))
    time.sleep(0.06)
    assert weights.find("demo") == path
    with path.open("r+b") as stream:
        stream.write(bytes([CONTENT[0] ^ 1]))
    os.utime(path, (1, 1))
    with pytest.raises(UserError, match=r"demo.pth: not the official demo.pth"):
        weights.find("demo")
    other = tmp_path / "elsewhere"
    other.write_bytes(CONTENT)
    os.utime(other, (1, 1))
    other.replace(path)  # another file under the name
    assert weights.find("demo") == path


@pytest.mark.parametrize(
    "index",
    [
        b'{"/x": [1',
        b"\xff",
        b"[" * 10**5,
        b"[1]",
        b'{"%s": [[1048576, 1, 1, 1, 1], {"sha256": 1, "git": []}]}',
    ],
)
def test_an_index_that_is_damaged_is_made_anew(
    entry: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: Path, index: bytes
) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(tmp_path))
    fresh.mkdir(parents=True)
    os.utime(tmp_path / "x", ns=(1, 1))
    (fresh / "index.json").write_bytes(index.replace(b"%s", bytes(tmp_path / "x")))
    assert weights.find("demo") == tmp_path / "x"


def test_the_right_name_with_another_content_is_refused(
    entry: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(tmp_path))
    (tmp_path / "demo.pth").write_bytes(CONTENT[::-1])
    with pytest.raises(UserError, match=r"demo\.pth: not the official demo\.pth \(expected sha256 .*, got"):
        weights.find("demo")
    (tmp_path / "demo.pth").write_bytes(b"short")
    with pytest.raises(UserError, match=r"expected 1048576 bytes, got 5\); remove or rename it, or get http"):
        weights.find("demo")
    assert site.requests == []
    (tmp_path / "good.bin").write_bytes(CONTENT)
    assert weights.find("demo") == tmp_path / "good.bin", "a good copy beside it is used"


def test_git_blob_ids_and_published_prefixes_are_checks_too(
    entry: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_bytes(b"hello\n")
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(tmp_path))
    # `echo hello | git hash-object --stdin` and `echo hello | sha256sum`
    for digest in ("git:ce013625030ba8dba906f756967f9e9ca394464a", "sha256:5891b5b5"):
        monkeypatch.setitem(weights.TABLE, "demo", replace(entry, bytes=6, digest=digest))
        assert weights.find("demo") == tmp_path / "x"
    monkeypatch.setitem(weights.TABLE, "demo", replace(entry, bytes=7, bytes_exact=False, digest=digest))
    assert weights.find("demo") == tmp_path / "x"
    expected = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert weights.used()["demo"] == expected, "the full sha256 is recorded whatever the check was"


def test_a_file_of_unpublished_digest_is_found_by_name_and_never_downloaded(
    entry: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    monkeypatch.setitem(weights.TABLE, "demo", replace(entry, digest=UNPUBLISHED))
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "renamed.pth").write_bytes(CONTENT)
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(folder))
    with pytest.raises(UnavailableError, match=r"demo\.pth: .* digest.* `emojibench weights list`"):
        weights.find("demo")
    assert site.requests == []
    (folder / "demo.pth").write_bytes(b"short")
    assert weights.find("demo") == folder / "demo.pth"
    assert weights.used() == {"demo": hashlib.sha256(b"short").hexdigest()}


def test_unknown_names_and_folders_are_user_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"unknown weight file 'alexnett'\. Did you mean 'alexnet'\?"):
        weights.find("alexnett")
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", "/no/such/folder")
    with pytest.raises(UserError, match=r"EMOJIBENCH_WEIGHTS: expected a folder .*, /no/such/folder is not"):
        weights.find("alexnet")


@pytest.fixture
def zipped(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """`one` and `two` sit in pack.zip, which the site holds; returns a copy in no searched folder."""
    members = {"one.onnx": b"1" * 1000, "two.onnx": b"2" * 2000}
    path = tmp_path / "pack.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(f"pack/{name}", content)
    packed = path.read_bytes()
    site.files["/pack.zip"] = packed
    sha256 = hashlib.sha256(packed).hexdigest()
    archive = Archive("pack.zip", f"{site.url}/pack.zip", len(packed), f"sha256:{sha256}")
    for name, content in members.items():
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        made = WeightFile(name, archive.url, len(content), digest, "CC0", (), archive=archive)
        monkeypatch.setitem(weights.TABLE, name.removesuffix(".onnx"), made)
    return path


def test_members_of_a_zip_are_fetched_together_and_the_zip_is_not_kept(
    zipped: Path, site: Site, fresh: Path
) -> None:
    assert weights.find("two").read_bytes() == b"2" * 2000
    assert weights.find("one").read_bytes() == b"1" * 1000
    assert len(site.requests) == 1
    assert {p.name for p in fresh.iterdir()} - {".lock", "index.json"} == {"one.onnx", "two.onnx"}


def test_a_zip_that_the_user_brought_is_used_and_kept(
    zipped: Path, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    zipped.rename(folder / "download (1).zip")
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(folder))
    assert weights.find("one").read_bytes() == b"1" * 1000
    assert site.requests == []
    assert (folder / "download (1).zip").exists()


def test_a_member_that_is_not_the_official_file_is_refused(
    zipped: Path, monkeypatch: pytest.MonkeyPatch, fresh: Path
) -> None:
    monkeypatch.setitem(weights.TABLE, "one", replace(weights.TABLE["one"], digest="sha256:00"))
    with pytest.raises(UnavailableError, match=r"one\.onnx: the archive holds another file of this name"):
        weights.find("one")
    assert not (fresh / "one.onnx").exists()


def test_a_slice_is_cut_from_the_verified_checkpoint(
    entry: WeightFile, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import torch

    from emojibench.weights.derive import tensor_digest

    whole = {"features.0.weight": torch.arange(6.0).reshape(2, 3), "classifier.bias": torch.zeros(2)}
    torch.save(whole, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    source = replace(entry, bytes=len(content), digest=f"sha256:{hashlib.sha256(content).hexdigest()}")
    site.files["/demo.pth"] = content
    part = {"0.weight": whole["features.0.weight"]}
    cutting = Slice("demo", "features.", tensor_digest(part))
    sliced = replace(source, file="part.pth", bytes=1, digest="sha256:00", slice_of=cutting)
    monkeypatch.setitem(weights.TABLE, "demo", source)
    monkeypatch.setitem(weights.TABLE, "part", sliced)
    loaded = torch.load(weights.find("part"), weights_only=True)
    assert list(loaded) == ["0.weight"]
    assert torch.equal(loaded["0.weight"], part["0.weight"])
    assert weights.used() == {"part": hashlib.sha256(content).hexdigest()}

    wrong = replace(sliced, slice_of=replace(cutting, tensors="00"))
    monkeypatch.setitem(weights.TABLE, "part", wrong)
    with pytest.raises(UnavailableError, match=r"its features\.\* tensors are not the official ones"):
        weights.find("part")


def test_the_calibrated_heads_come_with_the_lpips_package() -> None:
    for net in ("alex", "vgg", "squeeze"):
        assert weights.find(f"lpips-lin-{net}").is_file()


def test_every_row_of_the_table_says_what_is_needed() -> None:
    keys = {
        "squeezenet1_1-features", "alexnet", "vgg16", "lpips-lin-alex", "lpips-lin-vgg", "lpips-lin-squeeze",
        "i3d-kinetics400", "scrfd-10g", "arcface-w600k-r50", "scrfd-500m", "mobilefacenet-arcface128",
        "hyperiqa-koniq10k", "face-landmarker-task", "sd-vae-ft-mse", "sd-image-variations-encoder",
    }  # fmt: skip
    assert keys <= set(weights.TABLE)
    assert len({entry.file for entry in weights.TABLE.values()}) == len(weights.TABLE)
    unpublished = {name for name, entry in weights.TABLE.items() if entry.digest == UNPUBLISHED}
    assert unpublished == {"fye-unet", "fye-referencenet", "fye-lmk-guider"}
    for name, entry in weights.TABLE.items():
        if name not in unpublished:
            kind, _, value = entry.digest.partition(":")
            assert len(value) == 40 if kind == "git" else len(value) in (8, 64), name
            assert int(value, 16) > 0
        assert entry.url.startswith("https://")
        assert entry.licence
        assert entry.bytes > 0
    restricted = {name for name, entry in weights.TABLE.items() if entry.non_commercial}
    assert restricted == unpublished | {"scrfd-10g", "arcface-w600k-r50", "scrfd-500m", "hyperiqa-koniq10k"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared weights are not beside the repository")
def test_the_shared_folder_serves_under_its_own_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(SHARED))
    monkeypatch.setenv("EMOJIBENCH_OFFLINE", "1")
    names = {
        "squeezenet1_1-features": "squeezenet1_1_features.pth",
        "lpips-lin-squeeze": "lin_v0.1_squeeze.pth",
        "scrfd-500m": "det_500m.onnx",
        "mobilefacenet-arcface128": "mobilefacenet_arcface128.onnx",
        "face-landmarker-task": "face_landmarker_v2_with_blendshapes.task",
    }
    assert {name: weights.find(name).name for name in names} == names
    import torch

    from emojibench.weights.derive import tensor_digest

    features = torch.load(weights.find("squeezenet1_1-features"), weights_only=True)
    cutting = weights.TABLE["squeezenet1_1-features"].slice_of
    assert cutting is not None
    assert tensor_digest(features) == cutting.tensors
