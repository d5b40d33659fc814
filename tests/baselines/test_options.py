import pytest
from emojibench_baselines.fye.options import parse

from emojibench.errors import UserError


def positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError("expected a positive whole number")
    return int(text)


KINDS = {"steps": positive, "count": int, "scale": float, "cache": bool, "mode": ("relative", "absolute")}


def test_only_the_options_given_are_returned_and_typed() -> None:
    given = {"count": " 3 ", "scale": "1.5", "cache": "no", "mode": "absolute", "steps": "30"}
    expected = {"count": 3, "scale": 1.5, "cache": False, "mode": "absolute", "steps": 30}
    assert parse(given, KINDS, method="m") == expected
    assert parse({}, KINDS, method="m") == {}


def test_a_misspelt_option_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UserError, match=r"unknown option of m 'setps'\. Did you mean 'steps'\?"):
        parse({"setps": "3"}, KINDS, method="m")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("count", "3.5", "a whole number"),
        ("scale", "big", "a number"),
        ("cache", "maybe", "true or false"),
        ("mode", "sideways", "one of relative, absolute"),
        ("steps", "0", "a positive whole number"),
    ],
)
def test_a_bad_value_names_the_option_and_what_was_expected(name: str, text: str, expected: str) -> None:
    with pytest.raises(UserError, match=f"--set {name} of m: expected {expected}, got '{text}'"):
        parse({name: text}, KINDS, method="m")
