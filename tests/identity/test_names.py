"""What two names have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilonova.identity.names import MOST_CHARACTERS, fold, fold_second


@pytest.mark.parametrize(
    ("one", "other"),
    [("Default", "default"), ("ÄRGER", "ärger"), ("straße", "STRASSE"), ("Σίσυφος", "ΣΊΣΥΦΟΣ"), ("Å", "A\u030a")],
)
def test_names_that_are_one(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), [("demo", "demo "), ("resume", "résumé"), ("a", "b")])
def test_names_that_are_two(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text(max_size=300))
def test_a_folded_name_fits_its_column(name: str) -> None:
    folded = fold(name)
    assert len(folded) <= MOST_CHARACTERS
    assert len(fold_second(name, "i" * 64)) <= MOST_CHARACTERS


def test_long_names_stay_apart() -> None:
    assert fold("ß" * 255) != fold("ß" * 254 + "s")
    assert fold("ß" * 255) == fold("ẞ" * 255)
