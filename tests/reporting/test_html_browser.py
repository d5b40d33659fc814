"""The page for browsers in headless Chromium, from disk, as a reader uses it.

`make browser` runs them: they need the extra `browser` (Playwright) and a Chromium or Chrome of the system, and skip
with the reason where there is none.
"""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from run_folders import MakeRun

import emojibench
from emojibench.media import read_video
from emojibench.reports import write_html
from emojibench.reports.load import load_run

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium or Chrome on this machine")
FRAMES = 10
ABLATION = {
    "split": "cross",
    "dataset": {"name": "synth", "digest": "d" * 64},
    "protocol": {"id": "75d079d14c", "size": 256, "frames": 24},
    "rows": [
        {"name": "full", "title": "Full", "clips": 4, "means": {"l1": {"mean": 0.2}, "nme": {"mean": 0.1}}},
        {"name": "less", "title": "<b>Less</b>", "clips": 4, "means": {"l1": {"mean": 0.1}}},
    ],
}


@pytest.fixture(scope="module")
def page_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two methods on two clips of each split of `mini`; one run lost the frames of a clip."""
    root = tmp_path_factory.mktemp("page")
    for method in ("copy-reference", "landmark-warp"):
        for split in ("self", "cross"):
            emojibench.run(
                method, split=split, clips=2, frames=FRAMES, metrics=["l1", "psnr", "landmarks", "jitter"],
                out=root / "runs", quiet=True,
            )  # fmt: skip
    (root / "runs/copy-reference-self-mini/animations/self-synth-0001/frames.mkv").unlink()
    campaign = root / "ablation.json"
    campaign.write_text(json.dumps(ABLATION))
    page, _ = write_html(root / "runs", root / "boards", campaigns=[campaign], quiet=True)
    return page.index.parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Reader:
    """One tab that notes whatever a page must not do."""

    def __init__(self, browser: Any, folder: Path, width: int = 1280) -> None:
        self.tab = browser.new_context(viewport={"width": width, "height": 900}).new_page()
        self.base = f"{folder.as_uri()}/index.html"
        self.trouble: list[str] = []
        self.tab.on("console", lambda said: self.trouble.append(f"{said.type}: {said.text}"))
        self.tab.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.tab.on("requestfailed", lambda request: self.trouble.append(f"failed: {request.url}"))
        self.tab.on("request", lambda request: self._only_ours(request.url))

    def _only_ours(self, url: str) -> None:
        if not url.startswith((self.base.removesuffix("index.html"), "data:")):
            self.trouble.append(f"asked for {url}")

    def open(self, address: str = "") -> Any:
        self.tab.goto("about:blank")
        self.tab.goto(self.base + address)
        self.tab.wait_for_selector("h1")
        return self.tab

    def wait(self, condition: str) -> None:
        """Until JavaScript says so; Playwright's own way evaluates text, which the page's policy forbids."""
        for _ in range(200):
            if self.tab.evaluate(condition):
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"never: {condition}")

    @property
    def state(self) -> str:
        return str(self.tab.evaluate("location.hash"))

    def frames(self) -> set[str]:
        """The frames that all canvases with more than one show."""
        shown = self.tab.eval_on_selector_all(
            ".methods canvas", "all => all.filter(c => !c.closest('[hidden]')).map(c => c.dataset.frame)"
        )
        return set(shown)


@pytest.fixture
def reader(browser: Any, page_folder: Path) -> Iterator[Reader]:
    reader = Reader(browser, page_folder)
    yield reader
    assert not reader.trouble
    reader.tab.context.close()


def rows(tab: Any) -> list[str]:
    return [text.split("\n")[0] for text in tab.locator(".board tbody th").all_inner_texts()]


def test_sorting_puts_the_best_first_and_then_the_worst(reader: Reader) -> None:
    tab = reader.open()
    assert rows(tab) == ["copy-reference", "landmark-warp"]
    heading = tab.get_by_role("columnheader", name="L1 ↓")
    heading.get_by_role("button").focus()
    tab.keyboard.press("Enter")
    reader.wait("document.querySelectorAll('[aria-sort=ascending]').length == 1")
    assert rows(tab) == ["landmark-warp", "copy-reference"]
    assert tab.evaluate("document.activeElement.textContent").startswith("L1")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("[aria-sort=descending]")
    assert rows(tab) == ["copy-reference", "landmark-warp"]


def test_filters_are_in_the_address_and_links_restore_them(reader: Reader) -> None:
    tab = reader.open()
    tab.get_by_label("Split").select_option("self")
    reader.wait("document.querySelectorAll('.groups th').length == 1")
    tab.get_by_label("Domain").select_option("cartoon")
    tab.wait_for_selector("h2 .aside")
    tab.get_by_label("Columns").select_option("all")
    reader.wait("document.querySelectorAll('.board thead th').length > 12")
    table = tab.locator(".board").inner_text()
    assert "split=self" in reader.state
    again = reader.open(reader.state)
    assert again.locator(".board").inner_text() == table
    again.go_back()


def test_every_cell_leads_to_its_clips_the_worst_first(reader: Reader) -> None:
    tab = reader.open()
    tab.get_by_role("link", name="landmark-warp, cross Landmark accuracy").click()
    tab.wait_for_selector(".card")
    values = [float(text) for text in tab.locator(".value").all_inner_texts()]
    assert values == sorted(values)  # higher is better
    reader.wait("[...document.querySelectorAll('.card img')].every(picture => picture.naturalWidth > 0)")
    tab.get_by_label("Metric").select_option("l1")
    reader.wait("document.querySelector('.profile figcaption').textContent.includes('intensity')")
    values = [float(text) for text in tab.locator(".value").all_inner_texts()]
    assert values == sorted(values, reverse=True)
    tab.locator(".card").first.click()
    tab.wait_for_selector(".transport")
    assert "1 of 2, worst first" in tab.locator(".steps").inner_text()


def test_the_keyboard_moves_everything_in_step(reader: Reader) -> None:
    tab = reader.open("#view=clip&run=landmark-warp-cross-mini&clip=cross-synth-0001")
    reader.wait("[...document.querySelectorAll('.methods canvas')].every(c => c.dataset.frame === '0')")
    cursor = "document.querySelector('.chart .cursor').getAttribute('x1')"
    start = tab.evaluate(cursor)
    steps = {"End": FRAMES - 1, "ArrowLeft": FRAMES - 2, "Home": 0, "ArrowRight": 1}
    for key, frame in (*steps.items(), ("ArrowRight", 2)):
        tab.keyboard.press(key)
        assert reader.frames() == {str(frame)}
        assert tab.locator(".counter").inner_text().startswith(f"{frame + 1} / {FRAMES}")
        assert tab.get_by_label("Frame", exact=True).input_value() == str(frame)
    assert tab.evaluate(cursor) != start
    assert reader.state.endswith("t=2")
    tab.keyboard.press("Space")
    reader.wait("document.querySelector('.play').getAttribute('aria-label') === 'Pause'")
    reader.wait("document.querySelector('.counter').textContent[0] !== '3'")
    assert len(reader.frames()) == 1
    tab.keyboard.press("Space")
    reader.wait("document.querySelector('.play').getAttribute('aria-label') === 'Play'")
    assert f"t={next(iter(reader.frames()))}" in reader.state or reader.frames() == {"0"}


def test_a_link_shows_the_very_frame_and_the_methods(reader: Reader, page_folder: Path) -> None:
    address = "#view=clip&run=landmark-warp-cross-mini&clip=cross-synth-0000&t=7&hide=copy-reference&errors=0"
    tab = reader.open(address)
    reader.wait("[...document.querySelectorAll('.methods canvas')].every(c => c.dataset.frame === '7')")
    assert tab.locator(".method:visible").count() == 1
    assert tab.locator(".scale").is_hidden()
    canvas = tab.locator("[data-label=landmark-warp] canvas").first
    canvas.evaluate(
        "c => { c.style = 'position: fixed; inset: 0; width: 256px; height: 256px; z-index: 9'; }"
    )
    shown = np.asarray(Pillow.open(io.BytesIO(canvas.screenshot())).convert("RGB"), np.float64)
    frames = read_video(
        page_folder.parents[2] / "runs/landmark-warp-cross-mini/animations/cross-synth-0000/frames.mkv"
    )
    distances = [np.abs(shown - frame).mean() for frame in frames]
    assert int(np.argmin(distances)) == 7
    assert distances[7] < 4  # of 255: what WebP costs


def test_curves_have_the_means_of_the_rows(reader: Reader, page_folder: Path) -> None:
    run = page_folder.parents[2] / "runs/landmark-warp-self-mini"
    values = load_run(run).values
    tab = reader.open("#view=clip&run=landmark-warp-self-mini&clip=self-synth-0000")
    tab.wait_for_selector(".chart")
    curves = tab.evaluate(
        "EB.load(EB.index.tracks[0].runs.find(r => r.name === 'landmark-warp-self-mini').file)"
        ".then(run => EB.load(run.animations[0])).then(animation => animation.curves)"
    )
    assert set(curves) == {"l1", "psnr", "nme", "acceleration_error"}
    for name, curve in curves.items():
        assert len(curve) == FRAMES
        assert curve[0] is None  # the portrait itself is not scored
        mean = np.mean([value for value in curve if value is not None])
        assert mean == pytest.approx(values[name]["self-synth-0000"].value, rel=2e-3)


def test_missing_frames_are_named(reader: Reader) -> None:
    tab = reader.open("#view=clip&run=copy-reference-self-mini&clip=self-synth-0001")
    tab.wait_for_selector(".transport")
    missing = "animations/self-synth-0001/frames.mkv is not in the run folder"
    assert missing in tab.locator(".notice").inner_text()
    assert missing in tab.locator("[data-label=copy-reference]").inner_text()
    reader.wait("document.querySelector('[data-label=landmark-warp] canvas').dataset.frame === '0'")
    assert tab.get_by_role("cell", name="0.0").count() > 0  # the values of the clip are there all the same


SHIFT = """
Promise.race([
  new Promise(done => new PerformanceObserver(list => done(list.getEntries().reduce((sum, e) => sum + e.value, 0)))
    .observe({type: "layout-shift", buffered: true})),
  new Promise(done => setTimeout(() => done(0), 300)),
])
"""
NAMELESS = """
[...document.querySelectorAll("a, button, input, select, canvas, summary, [role=img], [role=region]")]
  .filter(e => !e.closest("[aria-hidden]") && !e.textContent.trim())
  .filter(e => !e.getAttribute("aria-label") && !(e.labels && e.labels.length))
  .map(e => e.outerHTML)
"""
SMALLEST_LABEL = """
Math.min(...[...document.querySelectorAll(".chart svg")].map(
  e => e.getBoundingClientRect().width / e.viewBox.baseVal.width
    * parseFloat(getComputedStyle(e.querySelector(".tick")).fontSize)
))
"""
RUN = "run=landmark-warp-self-mini"


@pytest.mark.parametrize(
    "view",
    ["", f"#view=clips&{RUN}", f"#view=clip&{RUN}&clip=self-synth-0000", "#view=campaign&campaign=0"],
)
def test_narrow_screens_stay_put_and_everything_has_a_name(
    browser: Any, page_folder: Path, view: str
) -> None:
    reader = Reader(browser, page_folder, width=360)
    tab = reader.open(view)
    tab.wait_for_timeout(400)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.evaluate(SHIFT) < 0.05
    assert tab.evaluate(NAMELESS) == []
    assert tab.evaluate(SMALLEST_LABEL) >= 10
    assert not reader.trouble
    reader.tab.context.close()


def test_arrows_scroll_a_wide_table_that_has_the_focus(browser: Any, page_folder: Path) -> None:
    reader = Reader(browser, page_folder, width=360)
    tab = reader.open(f"#view=clip&{RUN}&clip=self-synth-0000&t=3")
    tab.wait_for_selector(".readout")
    tab.get_by_role("region", name="Values of this frame").focus()
    tab.keyboard.press("ArrowRight")
    reader.wait("document.querySelector('.readout').closest('.scroll').scrollLeft > 0")
    assert "t=3" in reader.state
    tab.keyboard.press("End")  # and all other keys still move the frame
    reader.wait(f"location.hash.includes('t={FRAMES - 1}')")
    reader.tab.context.close()


IN_SIGHT = """[...document.querySelectorAll(".scroll")].filter(e => e.querySelector("th[scope=row]")).map(e => {
  e.scrollLeft = e.scrollWidth;
  const left = e.querySelector("th[scope=row]").getBoundingClientRect().left;
  return [e.getAttribute("aria-label"), Math.abs(left - e.getBoundingClientRect().left) < 2, e.scrollLeft > 0];
})"""


def test_receipts_are_told_and_names_of_rows_stay_in_sight(
    browser: Any, page_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "page"
    shutil.copytree(page_folder, folder)
    for file in (folder / "data").glob("*.js"):  # as in rows of a leaderboard
        file.write_text(file.read_text().replace('"receipt":""', '"receipt":"no receipt: made before 0.3"'))
    reader = Reader(browser, folder, width=390)
    tab = reader.open()
    tab.evaluate("document.querySelectorAll('details').forEach(e => e.open = true)")
    seen = {name: (there, scrolled) for name, there, scrolled in tab.evaluate(IN_SIGHT)}
    assert seen == dict.fromkeys(("Measured table", "Published table", "Runs"), (True, True))
    assert tab.get_by_role("cell", name="no receipt: made before 0.3").count() == 4
    reader.tab.context.close()


def test_names_are_text_and_never_markup(browser: Any, page_folder: Path, tmp_path: Path) -> None:
    """Even names that reading refuses: method, clip, dataset, run."""
    hostile = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    folder = tmp_path / "page"
    shutil.copytree(page_folder, folder)
    escaped = json.dumps(hostile)[1:-1].replace("<", "\\u003c")
    for file in (folder / "data").glob("*.js"):
        text = file.read_text()
        for name in ("landmark-warp", "self-synth-0000", "cartoon", "synth-subject-0000", '"mini"'):
            text = text.replace(name, f'"{escaped}"' if name == '"mini"' else f"{name}{escaped}")
        file.write_text(text)
    reader = Reader(browser, folder)
    tab = reader.open()
    assert hostile in tab.locator(".board").inner_text()
    tab.locator(".cell").last.click()
    tab.wait_for_selector(".card")
    tab.locator(".card").first.click()
    tab.wait_for_selector(".transport")
    tab.wait_for_timeout(200)
    assert hostile in tab.locator("main").inner_text()
    assert tab.evaluate("window.hacked") is None
    assert not reader.trouble
    reader.tab.context.close()


def test_a_broken_page_says_what_to_do(browser: Any, page_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    shutil.copytree(page_folder, folder)
    for file in (folder / "data").glob("r-*.js"):
        file.unlink()
    reader = Reader(browser, folder)
    tab = reader.open()
    tab.locator(".cell").first.click()
    tab.wait_for_selector(".notice")
    assert (
        "is missing; make the page again with emojibench report --html" in tab.locator(".notice").inner_text()
    )
    reader.tab.context.close()


def test_a_campaign_is_a_table_that_sorts(reader: Reader) -> None:
    tab = reader.open()
    tab.get_by_role("link", name="Ablation: synth, cross reenactment").click()
    tab.wait_for_selector(".plain-table")
    names = tab.locator(".plain-table tbody th")
    assert names.all_inner_texts() == ["Full", "<b>Less</b>"]
    tab.get_by_role("button", name="L1 ↓").press("Enter")
    assert names.all_inner_texts() == ["<b>Less</b>", "Full"]
    assert tab.locator("[aria-sort=ascending]").count() == 1
    tab.get_by_role("button", name="nme ↓").press("Enter")
    assert names.all_inner_texts() == ["Full", "<b>Less</b>"], "rows without a value stand last"
    tab.get_by_role("button", name="Note 1: this row did not measure it").click()
    assert "this row did not measure it" in tab.evaluate("document.activeElement.textContent")


@pytest.mark.parametrize("width", [360, 1280])
def test_no_name_widens_the_page(browser: Any, tmp_path: Path, make_run: MakeRun, width: int) -> None:
    """Many methods, names that do not end, some written from right to left."""
    long = "clip-" + "very-long-" * 15
    people = {"c0": "אדם", long: "人" * 60}
    for number in range(12):
        method = f"method-{number}" + "-and-so-on" * (12 * (number % 2))
        columns = {"l1": {"c0": 0.1, long: 0.2}, "ssim": "weights are missing " * 20}
        make_run(f"{method}-self", columns, method=method, clips=("c0", long), subjects=people)
    page, _ = write_html(tmp_path / "runs", tmp_path / "boards", quiet=True)
    reader = Reader(browser, page.index.parent, width)
    for view in (
        "",
        "#columns=all",
        "#view=clips&run=method-0-self",
        f"#view=clip&run=method-0-self&clip={long}",
    ):
        tab = reader.open(view)
        tab.wait_for_timeout(100)
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert tab.evaluate(NAMELESS) == []
    assert "and 9 more methods" in tab.locator(".notice").inner_text()
    assert not reader.trouble
    reader.tab.context.close()
