"""Values of queries are read within bounds."""

import pytest

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.queries import whole_number


@pytest.mark.parametrize(
    "text", ["", "x", "-1", "1.0", "²", "\u0661", str(1 << 31), "9" * 5000, "0" * 5000, f"-{'0' * 5000}", "1_000", " 1"]
)
def test_what_is_no_number_within_the_bounds_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="limit must be a whole number"):
        whole_number("limit", text)


def test_zeros_before_a_number_are_let_in() -> None:
    assert whole_number("limit", "007") == 7
