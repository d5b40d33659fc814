import os
import re

import pytest
from pydantic import TypeAdapter

from emojibench.dataset.manifest import Identifier
from emojibench.dataset.sources import find_sources
from emojibench.dataset.subjects import name_subjects
from emojibench.errors import UserError
from emojibench.media import PICTURES, VIDEOS


def files(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def ids(root, suffixes=PICTURES):
    return {source.path: source.id for source in find_sources(root, suffixes)}


def test_plain_names_are_their_own_ids(tmp_path):
    assert ids(files(tmp_path, "wide.png", "a/b c.png", "x+1_v2.png")) == {
        "a/b c.png": "a-b-c",
        "wide.png": "wide",
        "x+1_v2.png": "x+1_v2",
    }


def test_every_name_gives_an_id_of_its_own(tmp_path):
    """In any script; also where only case, suffix, separator or accents differ, or the name is too long."""
    names = [
        *"张三 李四 Иван ルネ René Rene rene Rene.x a/b a-b A-B () -- \u00e9 e\u0301 CON".split(),  # noqa: SIM905
        *("x" * length for length in (90, 91, 92)),
    ]
    files(
        tmp_path,
        *(f"{name}.png" for name in names),
        "Rene.jpg",
        "anna.frame0.png",
        "anna.W2.png",
        "anna.w.png",
        "nul.x.png",
        "dots...png",
    )
    found = ids(tmp_path)
    assert len(found) == len(names) + 6
    assert len({identity.lower() for identity in found.values()}) == len(found)
    assert all(len(TypeAdapter(Identifier).validate_python(identity)) <= 90 for identity in found.values())
    assert found["anna.w.png"] == "anna.w"
    assert found["anna.frame0.png"].startswith("anna.frame0-")  # never the name of a video's own first frame
    assert found["anna.W2.png"].startswith("anna.W2-")
    for name in ("CON.png", "nul.x.png", "dots...png"):  # no file names on Windows without their digests
        assert re.fullmatch(r"(CON|nul\.x|dots)-[0-9a-f]{8,}", found[name])
    assert found["René.png"].startswith("Rene-")
    files(tmp_path / "videos", "René.mp4")  # one stem, one subject, in any script
    assert ids(tmp_path / "videos", VIDEOS)["René.mp4"] == found["René.png"]


def test_links_are_followed_once_or_listed(tmp_path):
    files(tmp_path / "elsewhere", "one.png", "deep/two.png")
    root = files(tmp_path / "root", "own/three.png")
    (root / "a_first").symlink_to("own")
    (root / "linked").symlink_to("../elsewhere")
    (root / "linked_again").symlink_to("../elsewhere/deep")
    (tmp_path / "elsewhere" / "back").symlink_to(root)
    (root / "loop").symlink_to("loop")
    (root / "gone.png").symlink_to("nothing.png")
    (root / "file.png").symlink_to("own/three.png")
    os.mkfifo(root / "pipe.png")
    found = {source.path: source.problem for source in find_sources(root, PICTURES)}
    assert [path for path, problem in found.items() if not problem] == [
        "file.png", "linked/deep/two.png", "linked/one.png", "own/three.png",
    ]  # fmt: skip
    assert found["a_first"] == f"a link to {root}/own, which is looked through already"
    assert "looked through already" in found["linked_again"]
    assert "looked through already" in found["linked/back"]
    assert found["loop"] == "a link to loop, which is not there"
    assert found["gone.png"] == "a link to nothing.png, which is not there"
    assert found["pipe.png"] == "neither a file nor a folder"


def test_a_folder_of_numbered_frames_is_one_video(tmp_path):
    files(
        tmp_path,
        *(f"anna/{k:04}.png" for k in range(3)),
        "ben/shot.png",
        "ben/cover.png",
        "b.mp4",
        "mixed/1.png",
    )
    files(tmp_path, "mixed/2.png", "mixed/3.mp4")
    found = {source.path: source for source in find_sources(tmp_path, VIDEOS, frames=True)}
    assert sorted(path for path, source in found.items() if not source.problem) == [
        "anna",
        "b.mp4",
        "ben",
        "mixed/3.mp4",
    ]
    assert found["anna"].id == "anna"
    (alone,) = find_sources(tmp_path / "anna", VIDEOS, frames=True)
    assert (alone.id, alone.file) == ("anna", tmp_path / "anna")


@pytest.fixture
def voices(tmp_path):
    files(
        tmp_path / "voices",
        "anna/0001.jpg",
        "ben/0001.jpg",
        "ben/only.jpg",
        "0002.jpg",
        "anna/0002.jpg",
        "Zoë.jpg",
    )
    return find_sources(tmp_path / "voices", PICTURES)


def named(voices, file, table, encoding="utf-8"):
    file.write_bytes(table.encode(encoding))
    return {source.path: (source.subject, source.domain) for source in name_subjects(voices, file)}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_subjects_are_named_by_path_or_unique_name(tmp_path, voices, delimiter, encoding):
    rows = (
        "File,Subject,domain anna/0001.jpg,anna,real ben\\0001.jpg,ben, only.jpg,ben ./0002.jpg,two "
        "Zoe\N{COMBINING DIAERESIS}.jpg,zoe"
    )
    table = rows.replace(" ", "\r\n").replace(",", delimiter)
    found = named(voices, tmp_path / "t.csv", f"sep={delimiter}\r\n" * (delimiter == ";") + table, encoding)
    assert found["anna/0001.jpg"] == ("anna", "real")
    assert found["ben/0001.jpg"] == ("ben", "ben")
    assert found["ben/only.jpg"] == ("ben", "ben")
    assert found["0002.jpg"] == ("two", "unspecified")
    assert found["anna/0002.jpg"][0] == "anna-0002"
    assert found["Zoë.jpg"][0] == "zoe"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "file,subject\ntypo.png,a",
            r"line 2: names 'typo.png', which is in neither folder; expected a path below",
        ),
        (
            "file,subject\n0001.jpg,a",
            r"line 2: '0001.jpg' is the name of 2 files \(anna/0001.jpg, ben/0001.jpg, ",
        ),
        (
            "file,subject\nonly.jpg,a\nben/only.jpg,b",
            "line 3: 'ben/only.jpg' is named twice, first on line 2",
        ),
        ("file,subject\nonly.jpg,", "line 2: expected the columns file and subject, both filled"),
        ("name,who\na,b", "expected the columns file, subject .* got 'name,who'; add file and subject"),
        ("", "expected the columns file"),
        ('file,subject\nonly.jpg,"a\nb"', "line 3: expected one line without control characters"),
        (f"file,subject\nonly.jpg,{'x' * 300}", "line 2: expected at most 200 characters, got 300"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path, voices, table, message):
    with pytest.raises(UserError, match=rf"t\.csv.*{message}"):
        named(voices, tmp_path / "t.csv", table)


def test_a_table_in_another_encoding_is_refused(tmp_path, voices):
    with pytest.raises(UserError, match=r"t\.csv: .*save the table as CSV in UTF-8"):
        named(voices, tmp_path / "t.csv", "file,subject\nZoë.jpg,zoe", "latin-1")


def test_a_folder_of_any_name_is_a_domain_on_one_line(tmp_path):
    files(tmp_path / "pictures", "two\nlines/a.jpg")
    (source,) = find_sources(tmp_path / "pictures", PICTURES)
    assert source.domain == "two lines"
