"""Whatever is in a text file that somebody else wrote: a plain value, or one error that names the file."""

import os
import tracemalloc

import pytest
from pydantic import BaseModel

from emojibench.errors import UserError
from emojibench.files.reading import MissingFileError, open_file, read_json, read_model, read_text, read_yaml


class Point(BaseModel):
    x: int


def written(folder, content):
    (folder / "file").write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return folder / "file"


def test_good_files_are_read(tmp_path):
    assert read_json(written(tmp_path, '\ufeff{"a": [1, 2.5, null, true, "é"]}')) == {
        "a": [1, 2.5, None, True, "é"]
    }
    assert read_yaml(written(tmp_path, "a: [1, 2.5, ~, true, é]\nb: 'x'")) == {
        "a": [1, 2.5, None, True, "é"],
        "b": "x",
    }
    assert read_json(written(tmp_path, "[1]"), list) == [1]
    assert read_model(Point, written(tmp_path, '{"x": 3}')).x == 3


BAD_JSON = {
    "latin-1": b'{"a": "\xe9"}',
    "truncated": '{"a": ',
    "empty": "",
    "another type": "[1]",
    "deep": "[" * 100_000,
    "deep but parsed": '{"a":' * 40 + "1" + "}" * 40,
    "nan": '{"a": NaN}',
    "overflow": '{"a": 1e999}',
    "long integer": '{"a": ' + "9" * 5000 + "}",
    "integer beyond 64 bits": '{"a": 1' + "0" * 30 + "}",
    "surrogate": '{"a": "\\ud800"}',
    "surrogate as key": '{"\\ud800": 1}',
    "null": '{"a": "\\u0000"}',
    "a key twice": '{"a": 1, "b": {}, "a": 1}',
    "a key twice, written otherwise": '{"b": [{"a": 1, "\\u0061": 2}]}',
    "an unprintable key twice": '{"\\ud800": 1, "\\ud800": 1}',
    "too large": '{"a": "' + "x" * (16 << 20) + '"}',
}
BAD_YAML = {
    "latin-1": b"a: \xe9",
    "another type": "- 1",
    "deep": "[" * 100_000,
    "aliases": "a: &a [x, x]\nb: *a",
    "a key twice": "a: 1\nb: {c: 1}\na: 2",
    "an inner key twice": "a: [{b: 1, c: 2, b: 3}]",
    "itself": "a: &a [*a]",
    "merge": "a: &a {x: 1}\nb:\n  <<: *a",
    "object": "a: !!python/object/apply:os.system ['touch x']",
    "date": "a: 2020-01-01",
    "no date": "a: 2020-99-99",
    "timestamp": "a: !!timestamp x",
    "int": "a: !!int ''",
    "key": "? [1]\n: 2",
    "set": "a: !!set {x}",
    "nan": "a: .nan",
    "control character": "a: '\x01'",
    "too large": "a: " + "x" * (256 << 10),
}


@pytest.mark.parametrize("content", BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_one_error_that_names_the_file(tmp_path, content):
    with pytest.raises(UserError, match=r"file: .*; do this$") as caught:
        read_json(written(tmp_path, content), advice="do this")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("content", BAD_YAML.values(), ids=BAD_YAML)
def test_bad_yaml_is_one_error_that_names_the_file(tmp_path, content):
    with pytest.raises(UserError, match=r"file: .*; do this$") as caught:
        read_yaml(written(tmp_path, content), advice="do this")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("content", ["{}", '{"x": "a"}', '{"x": 1e30}', "[]"])
def test_models_name_the_field(tmp_path, content):
    with pytest.raises(UserError, match=r"file: (x|expected)"):
        read_model(Point, written(tmp_path, content))


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ".", "/dev/zero", "\udc80\0"):
        with pytest.raises(UserError, match=r"a folder|a pipe, socket or device|no file has such a name"):
            read_text(tmp_path / name)
    for name in ("absent", "pipe/x"):
        with pytest.raises(MissingFileError, match=name):
            read_text(tmp_path / name)


def test_a_read_takes_no_more_memory_than_the_file_has_bytes(tmp_path):
    tracemalloc.start()
    try:
        with open_file(written(tmp_path, "abc")) as stream:
            assert stream.read(1) + stream.read(1 << 40) + stream.read() == b"abc"
            stream.seek(1)
            assert stream.read(None) == b"bc"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
