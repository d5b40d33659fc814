import pytest

from emojibench.dataset.ingest import Item
from emojibench.dataset.twins import portrait_of, stored, without_shared_pictures, without_twins


@pytest.fixture
def item(tmp_path):
    """Makes an item whose stored portrait and video hold the given bytes."""

    def make(name, kind, *, portrait, video=b"", content="", subject=""):
        one = Item(
            file=name,
            kind=kind,
            kept=True,
            reason="as it is",
            id=name,
            subject=subject or name,
            content=content or name,
        )
        for path, data in {stored(one): video, portrait_of(one): portrait}.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_bytes(data)
        return one

    return make


def reasons(items):
    return {item.id: "" if item.kept else item.reason for item in items}


def test_files_and_clips_that_show_the_same_are_kept_once(tmp_path, item):
    items = [
        item("a", "driving", portrait=b"a", video=b"1", content="x"),
        item("twin", "driving", portrait=b"t", video=b"2", content="x"),
        item("longer", "driving", portrait=b"l", video=b"1", content="y"),
        item("other", "driving", portrait=b"o", video=b"3", content="z"),
    ]
    assert reasons(without_twins(tmp_path, items)) == {
        "a": "",
        "twin": "the same content as a",
        "longer": "the same frames as a (as it is)",
        "other": "",
    }


def test_no_picture_is_of_two_subjects(tmp_path, item):
    items = [
        item("still", "portrait", portrait=b"1"),
        item("named", "portrait", portrait=b"1", subject="anna"),
        item("anna", "driving", portrait=b"1"),
    ]
    assert reasons(without_shared_pictures(tmp_path, items)) == {
        "still": "its (first) picture is that of anna; say with --subjects that both show one subject",
        "named": "",
        "anna": "",
    }
