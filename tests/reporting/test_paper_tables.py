"""Tables of the paper's shape: measured and published rows beside each other, ranks that say whether they are real."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from run_folders import MakeRun
from typer.testing import CliRunner

from emojibench.cli.commands import app
from emojibench.errors import UserError
from emojibench.reports import FORMATS, paper_page, rendered
from emojibench.reports.blocks import Block, Cell, Column, Footnotes, Heading, Table, missing, number

HOSTILE = r"<script>&\input{x}%$#_^~{'\"`|"


def of(values: str) -> dict[str, float]:
    return {f"c{i}": float(value) for i, value in enumerate(values.split())}


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Four methods: the best, one hardly worse, one clearly worse, one that lacks a clip."""
    columns = {
        "tps": of("0.010 0.020 0.030 0.040"),
        "my-method": of("0.013 0.018 0.033 0.038"),
        "dagan": of("0.110 0.121 0.129 0.141"),
        "mcnet": {**of("0.001 0.001 0.001"), "c3": "no face"},
    }
    for method, l1 in columns.items():
        fvd = {"fvd": 100.0 if method == "tps" else 200.0}
        make_run(method, {"l1": l1, "lpips_squeeze": l1, **fvd}, method=method)
    return tmp_path / "runs"


def lines(number: int, runs: Path, **options: str) -> list[dict[str, str]]:
    text = rendered(paper_page(number, runs, runs.parent / "out", **options)[0], "csv")
    return list(csv.DictReader(io.StringIO(text)))


def cells(found: list[dict[str, str]], group: str, column: str) -> dict[str, dict[str, str]]:
    return {c["row"]: c for c in found if c["group"].startswith(group) and c["column"] == column}


def test_rows_stand_in_the_papers_order_and_ranks_never_cross_groups(runs: Path) -> None:
    found = lines(1, runs)
    measured = cells(found, "Measured", "l1")
    assert list(measured) == ["dagan", "tps", "mcnet", "my-method"]
    assert {row: c["mark"] for row, c in measured.items()} == {
        "tps": "best", "my-method": "second", "dagan": "", "mcnet": "",
    }  # fmt: skip
    assert float(measured["tps"]["value"]) == pytest.approx(0.025)
    assert measured["mcnet"]["coverage"] == "0.75"
    assert "no face" in measured["mcnet"]["reason"]
    published = cells(found, "Published", "l1")
    assert [published[row]["mark"] for row in ("FollowYourEmoji [64]", "Follow-Your-Emoji-Faster")] == [
        "best", "second",
    ]  # fmt: skip
    assert len(published) == 9
    assert cells(found, "Measured", "lpips_squeeze")["tps"]["title"] == "Self: LPIPS"


def test_readers_see_which_ranks_are_real(runs: Path) -> None:
    found = lines(1, runs)
    told = {row: c["reason"] for row, c in cells(found, "Measured", "l1").items()}
    assert "not told apart from the best" in told["my-method"]
    assert "not told apart" not in told["dagan"]
    p = {c["row"]: float(c["value"]) for c in found if c["column"] == "p_holm"}
    assert p["L1 | dagan | tps"] < 0.001 < 0.05 < p["L1 | my-method | tps"]
    detectable = {c["row"]: float(c["value"]) for c in found if c["column"] == "detectable"}
    assert detectable["L1 | dagan | tps"] > 0
    assert "cannot be tested" in cells(found, "Measured", "fvd")["dagan"]["reason"]


@pytest.mark.parametrize("number", [1, 2, 3, 5, 6])
def test_every_dash_has_a_footnote(number: int, runs: Path) -> None:
    assert not [c for c in lines(number, runs) if c["text"] == "–" and not c["reason"]]


def test_tracks_have_a_table_each(runs: Path, make_run: MakeRun) -> None:
    make_run("elsewhere", {"l1": of("0 0 0 0")}, method="fadm", digest="e2" * 32)
    found = lines(1, runs)
    assert len({c["table"] for c in found if c["column"] == "l1"}) == 2
    alone = lines(1, runs, track="mini-e2")
    assert list(cells(alone, "Measured", "l1")) == ["fadm"]
    with pytest.raises(UserError, match="--track: expected one of mini-d1"):
        lines(1, runs, track="synth")
    assert [c["row"] for c in lines(2, runs) if c["column"] == "clips"][:2] == [
        "mini 1 (d1d1d1)",
        "mini 1 (e2e2e2)",
    ]


def test_a_domain_has_a_table_of_its_own_clips(runs: Path) -> None:
    found = lines(1, runs, by="domain")
    assert all("(domain cartoon of track mini-" in c["table"] for c in found if c["column"] == "l1")
    assert "one value of all clips" in cells(found, "Measured", "fvd")["tps"]["reason"]
    with pytest.raises(UserError, match="--by: expected domain, turn, expression"):
        lines(1, runs, by="mood")
    with pytest.raises(UserError, match=r"rows\.parquet: says of no clip how far its driving turns; score"):
        lines(1, runs, by="turn")


def test_clips_are_put_together_by_what_their_driving_does(make_run: MakeRun, tmp_path: Path) -> None:
    driving = {
        "driving_turn": {**of("15.0 15.1 60"), "c3": "no face was found on the portrait"},
        "driving_mouth_open": of("0.5 0 0.25 0.1"),
        "driving_smile": of("0.9 0 0 0"),
        "driving_eyes_closed": of("0 0.2 0 0.1"),
    }
    make_run("tps", {"l1": of("0.1 0.2 0.3 0.4"), **driving}, method="tps")
    make_run(
        "old", {"l1": of("0.2 0.3 0.4 0.5")}, method="dagan"
    )  # its rows do not say; those of the other do

    def means(by: str) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for c in lines(1, tmp_path / "runs", by=by):
            if c["column"] == "l1" and c["group"].startswith("Measured on"):
                part = re.search(r"\((.*) of track", c["table"])
                found.setdefault(part[1] if part else "", []).append(round(float(c["value"]), 3))
        return found

    assert means("turn") == {
        "head turn up to 15°": [0.2, 0.1],
        "head turn 15° to 30°": [0.3, 0.2],
        "head turn over 30°": [0.4, 0.3],
    }
    assert means("expression") == {
        "expression mouth open": [0.3, 0.2],  # of clips 0 and 2
        "expression smile": [0.2, 0.1],
        "expression none of them": [0.4, 0.3],
    }
    page = rendered(paper_page(1, tmp_path / "runs", tmp_path, by="turn")[0], "markdown")
    assert "In no part, since their rows do not say: c3." in page


def test_speed_is_of_the_uncached_row_on_the_same_machine(make_run: MakeRun, tmp_path: Path) -> None:
    slow, fast = of("8 8 8 8"), of("2 2 2 2")
    make_run(
        "base",
        {"latency_s": slow},
        method="fye-faster",
        options={"cache": "none"},
        revision="3-mini-30-steps",
    )
    make_run("tic", {"latency_s": fast}, method="fye+tic", revision="3-mini-30-steps")
    found = lines(3, tmp_path / "runs")
    assert [c["value"] for c in cells(found, "Measured", "speed").values()] == ["1.0", "4.0"]
    assert [c["text"] for c in cells(found, "Measured", "steps").values()] == ["30", "30"]
    assert [c["mark"] for c in cells(found, "Measured", "latency_s").values()] == ["second", "best"]


def test_rows_of_an_ablation_are_found_by_their_names(make_run: MakeRun, tmp_path: Path) -> None:
    for name, weights in (("full", "a"), ("plain-2d", "b"), ("unrelated", "c")):
        make_run(
            name,
            {"id_sim": of("0.5 0.6 0.7 0.8")},
            method="fye-faster",
            split="cross",
            options={"weights": weights},
        )
    found = lines(4, tmp_path / "runs")
    assert list(cells(found, "Measured", "id_sim")) == ["fye-faster (plain-2d)", "fye-faster (full)"]
    assert {c["mark"] for c in cells(found, "Measured", "id_sim").values()} == {"best"}  # equal means
    page = rendered(paper_page(4, tmp_path / "runs", tmp_path)[0], "markdown")
    assert "ranks between the two kinds say nothing" in page


def hostile_page() -> list[Block]:
    columns = (
        Column("Row"),
        Column("L1_x", "l1", better="lower", group="A & B"),
        Column("y", "y", group="A & B"),
    )
    best = number(0.1234, 0.1, 0.2, form=".2f", strong=True, notes=(HOSTILE,))
    rows = (
        (Cell(HOSTILE), best, missing("why")),
        (Cell("=1+1\n2"), Cell("0.3", "underline", value=0.3), Cell("–1")),
    )
    return [
        Heading(f"T {HOSTILE}", 1),
        f"words `--flag` {HOSTILE}",
        Table(columns, rows, (HOSTILE, "second")),
        Footnotes(),
    ]


def test_latex_holds_no_command_of_others_and_every_row_is_whole() -> None:
    text = rendered(hostile_page(), "latex")
    assert not re.search(r"(?<!\\)(?:\\\\)*\\(?:input|script)", text)
    assert r"\textbackslash{}input\{x\}\%\$\#\_\textasciicircum{}\textasciitilde{}\{" in text
    bare = re.sub(r"\\[{}%$#_&\\]", "", text)
    assert bare.count("{") == bare.count("}")
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [2, 2, 2]
    assert r"\multicolumn{2}{c}{A \& B}" in body
    assert r"\cmidrule(lr){2-3}" in body
    assert r"L1\_x $\downarrow$" in body
    assert r"\textbf{0.12 {[}0.10, 0.20{]}}$^{1}$" in body
    assert r"\underline{0.3}" in body
    assert r"words \texttt{-{}-flag} " in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="there is no LaTeX on this machine")
def test_latex_compiles_and_long_tables_are_divided(runs: Path, tmp_path: Path) -> None:
    table = next(block for block in hostile_page() if isinstance(block, Table))
    long = Table(table.columns, table.rows * 45, ("all",) * 90)
    difference = number(-0.25, -0.5, -0.125, form=".2f")
    blocks = [
        *paper_page(1, runs, tmp_path)[0],
        *hostile_page(),
        Heading("Table 9: long"),
        long,
        Heading("narrow"),
        Table((Column("a-1"),), ((difference,), (Cell("fye-2"),))),
    ]
    text = rendered(blocks, "latex")
    assert text.count(r"\begin{tabular}") == text.count(r"\bottomrule")
    assert text.count(r"\caption{long (continued)}") == 2
    assert "$-$0.25 {[}$-$0.50, $-$0.12{]}" in text
    assert "fye-2" in text
    (tmp_path / "tables.tex").write_text(text)
    packages = r"\usepackage[T1]{fontenc}\usepackage{amssymb,booktabs,graphicx}"
    document = rf"\documentclass{{article}}{packages}\begin{{document}}\input{{tables}}\end{{document}}"
    (tmp_path / "main.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Float too large" not in done.stdout
    assert "Overfull" not in done.stdout.partition("tables.tex")[0]


def test_html_is_escaped_and_nested_well() -> None:
    text = rendered(hostile_page(), "html")
    opened: list[str] = []

    class Checked(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            assert tag != "script"
            if tag != "meta":
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Checked().feed(text)
    assert not opened
    assert "&lt;script&gt;&amp;" in text
    assert "<strong>0.12 [0.10, 0.20]</strong>" in text


def test_csv_is_unrounded_and_no_formula() -> None:
    found = list(csv.DictReader(io.StringIO(rendered(hostile_page(), "csv"))))
    assert (found[0]["row"], found[0]["value"], found[0]["low"], found[0]["mark"]) == (
        HOSTILE,
        "0.1234",
        "0.1",
        "best",
    )
    assert found[2]["row"] == "'=1+1 2"


def test_the_command_prints_the_table_alone(runs: Path) -> None:
    blocks, _ = paper_page(1, runs, runs.parent)
    for form in FORMATS:
        assert "my-method" in rendered(blocks, form)
    result = CliRunner().invoke(app, ["report", "--runs", str(runs), "--table", "1", "--format", "latex"])
    assert result.exit_code == 0, result.output
    assert result.stdout == rendered(blocks, "latex")
    assert not (runs.parent / "leaderboards").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--table", "9"], "tables 1 to 8, got 9"),
        (["--table", "1", "--format", "pdf"], "expected markdown, html, latex, csv, got 'pdf'"),
        (["--format", "csv"], "expected together with --table"),
        (["--table", "1", "--json"], "use --format csv"),
        (["--table", "1", "--html"], "or --format html"),
    ],
)
def test_wrong_flags_are_named(runs: Path, flags: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["report", "--runs", str(runs), *flags])
    assert isinstance(result.exception, UserError)
    assert words in str(result.exception)
