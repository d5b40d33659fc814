"""What a search makes of its runs; the search itself takes the better part of an hour."""

import pytest

from emojibench.fye.search.candidates import PAPER
from emojibench.fye.search.searching import SearchResult, Trial, page, picks, summary
from emojibench.reports.markdown import render


def trials(name: str, flops: int, *errors: float, label: str = "") -> list[Trial]:
    return [
        Trial(
            name=name, label=label or name, clip=f"clip-{k}", weights="w", frames=1, errors=(error,), latents=(0.5,),
            denoise_flops=flops, other_flops=10, cached_bytes=2**20,
        )
        for k, error in enumerate(errors)
    ]  # fmt: skip


def test_presets_have_the_least_error_at_their_cost_and_ideal_ones_are_none() -> None:
    rows = summary(
        [
            *trials(PAPER, 400, 2.0, 4.0),
            *trials("exact", 370, 1.0, 1.0),
            *trials("quarter", 250, 2.0, 2.0),
            *trials("fifth", 200, 3.0, 3.0),
            *trials("dream", 1, 0.1, 0.1, label="ideal-dream"),
        ],
        base=1000,
        other=10,
    )
    first = rows[0]
    assert (first.clips, first.mean, first.worst, first.speedup) == (2, 3.0, 4.0, 2.5)
    assert first.whole == pytest.approx(1010 / 410)
    chosen = picks(rows)
    assert {name: row.name for name, row in chosen.items()} == {
        "near-lossless": "exact", "balanced": "quarter", "fast": "fifth",
    }  # fmt: skip
    text = render(page(SearchResult(tuple(rows), chosen, "w"), "search --clips 2"))
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in lines[2:]] == ["dream", "fifth", "quarter", "exact", "TIC,"]
    assert "`balanced`: `quarter`, 0.667 of the error of the paper's setting, 0.500 in the tail." in text
