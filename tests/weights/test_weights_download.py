import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from rich.filesize import decimal
from weights_site import CONTENT, Site

from emojibench import weights
from emojibench.errors import UnavailableError
from emojibench.weights import download
from emojibench.weights.table import WeightFile


def test_a_download_lands_in_the_cache_once(entry: WeightFile, site: Site, fresh: Path) -> None:
    path = weights.find("demo")
    assert path == fresh / "demo.pth"
    assert path.read_bytes() == CONTENT
    assert weights.find("demo") == path
    assert site.requests == [("/demo.pth", None)]
    assert not list(fresh.glob("*.part"))


def test_progress_goes_to_stderr_only(entry: WeightFile, capfd: pytest.CaptureFixture[str]) -> None:
    weights.find("demo")
    printed = capfd.readouterr()
    assert printed.out == ""
    size = decimal(len(CONTENT))
    assert printed.err.splitlines() == ["demo.pth …", f"demo.pth {size}/{size}: 0 s"]


def test_a_connection_that_breaks_is_continued(entry: WeightFile, site: Site) -> None:
    site.breaks_after = [300_000, 200_000]
    assert weights.find("demo").read_bytes() == CONTENT
    assert site.requests == [
        ("/demo.pth", None), ("/demo.pth", "bytes=300000-"), ("/demo.pth", "bytes=500000-"),
    ]  # fmt: skip


def test_a_broken_download_is_continued_by_the_next_call(entry: WeightFile, site: Site, fresh: Path) -> None:
    site.breaks_after = [400_000, 0, 0, 0]
    with pytest.raises(
        UnavailableError, match=r"demo\.pth: .* broke off at 400000 of 1048576 bytes; the same"
    ):
        weights.find("demo")
    assert (fresh / "demo.pth.part").stat().st_size == 400_000
    site.requests.clear()
    assert weights.find("demo").read_bytes() == CONTENT
    assert site.requests == [("/demo.pth", "bytes=400000-")]


def test_a_server_without_ranges_sends_it_all_again(entry: WeightFile, site: Site) -> None:
    site.ranges = False
    site.breaks_after = [400_000]
    assert weights.find("demo").read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"something else entirely", CONTENT[::-1], CONTENT + b"more"])
def test_a_part_of_another_file_is_thrown_away(entry: WeightFile, fresh: Path, part: bytes) -> None:
    fresh.mkdir(parents=True)
    (fresh / "demo.pth.part").write_bytes(part)
    assert weights.find("demo").read_bytes() == CONTENT


def test_a_part_that_is_complete_is_not_fetched_again(entry: WeightFile, site: Site, fresh: Path) -> None:
    fresh.mkdir(parents=True)
    (fresh / "demo.pth.part").write_bytes(CONTENT)
    assert download.download(entry).path == fresh / "demo.pth"
    assert site.requests == [("/demo.pth", f"bytes={len(CONTENT)}-")]


def test_another_file_under_the_official_url_is_never_used(
    entry: WeightFile, site: Site, fresh: Path
) -> None:
    site.files["/demo.pth"] = b"<html>please log in</html>"
    with pytest.raises(
        UnavailableError, match=r"demo\.pth: .* sent another file \(expected sha256:.*discarded"
    ):
        weights.find("demo")
    assert not list(fresh.glob("demo*"))
    assert weights.used() == {}


def test_what_a_server_sends_beyond_the_file_is_not_kept(entry: WeightFile, site: Site, fresh: Path) -> None:
    site.files["/demo.pth"] = CONTENT * 40
    with pytest.raises(UnavailableError, match=r"demo\.pth: .* sent another file"):
        weights.find("demo")
    assert sum(file.stat().st_size for file in fresh.glob("*")) < 2 * len(CONTENT)


def test_a_file_that_is_gone_says_so_in_one_line(entry: WeightFile, site: Site) -> None:
    site.files.clear()
    with pytest.raises(UnavailableError) as caught:
        weights.find("demo")
    message = str(caught.value)
    assert "answers 404 Not Found" in message
    assert "\n" not in message


def test_an_unreachable_host_is_tried_once_a_process(
    entry: WeightFile, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # bound, not listening: refused at once, and nobody else takes the port
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        gone = replace(entry, url=f"http://{host}/demo.pth")
        monkeypatch.setitem(weights.TABLE, "demo", gone)
        monkeypatch.setitem(weights.TABLE, "other", replace(gone, file="other.pth"))
        expected = (
            f"demo.pth: not in EMOJIBENCH_WEIGHTS or the cache, and {host} cannot be reached "
            "(Connection refused); `emojibench weights list` has its address"
        )
        with pytest.raises(UnavailableError) as caught:
            weights.find("demo")
        assert str(caught.value) == expected
        monkeypatch.setattr(requests, "get", lambda *_, **__: pytest.fail("tried again"))
        with pytest.raises(UnavailableError, match=r"^other\.pth: .* cannot be reached"):
            weights.find("other")


def test_a_silent_resolver_does_not_hold_anybody_up(
    entry: WeightFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(2))
    monkeypatch.setitem(weights.TABLE, "demo", replace(entry, url="http://weights.invalid/demo.pth"))
    start = time.monotonic()
    with pytest.raises(UnavailableError, match=r"weights\.invalid cannot be reached"):
        weights.find("demo")
    assert time.monotonic() - start < 1


def test_offline_never_tries(entry: WeightFile, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOJIBENCH_OFFLINE", "1")
    with pytest.raises(UnavailableError, match="and EMOJIBENCH_OFFLINE is set; `emojibench weights"):
        weights.find("demo")
    assert site.requests == []


def test_a_cache_that_cannot_be_written_is_a_reason(
    entry: WeightFile, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("EMOJIBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(UnavailableError, match=r"demo\.pth: cannot be kept in .*; set EMOJIBENCH_CACHE to a"):
        weights.find("demo")


def test_what_is_for_non_commercial_use_is_downloaded_only_when_asked_for(
    entry: WeightFile, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(weights.TABLE, "demo", replace(entry, non_commercial=True, licence="research only"))
    with pytest.raises(
        UnavailableError, match=r"use only \(research only\): `emojibench weights fetch demo`"
    ):
        weights.find("demo")
    assert site.requests == []
    assert weights.find("demo", asked=True).read_bytes() == CONTENT
    assert weights.find("demo").is_file()  # once it is here, it is used
