"""Values of queries are read within bounds."""

import pytest

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.queries import different, short, tags_of, whole_number


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1.0", "²", "\u0661", str(1 << 31), "9" * 5000, "0" * 5000, f"-{'0' * 5000}", "1_000", " 1"]
)
def test_what_is_no_number_within_the_bounds_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="limit must be a whole number"):
        whole_number("limit", text)


def test_zeros_before_a_number_are_let_in() -> None:
    assert whole_number("limit", "007") == 7


def test_what_is_compared_with_names_is_as_short_as_they_are() -> None:
    assert short("name", "é" * 255) == "é" * 255
    with pytest.raises(BadRequest, match="name has 255 characters at most, got 256"):
        short("name", "x" * 256)


def test_different_values_are_counted() -> None:
    assert different("id", ["b", "a"] * 1000, 2) == ["b", "a"]
    with pytest.raises(BadRequest, match="id takes 2 values at most, got 3"):
        different("id", "abca", 2)
    with pytest.raises(BadRequest, match="tags takes 50 tags at most, got 51"):
        tags_of("tags", [",".join(map(str, range(50))), "more"])
