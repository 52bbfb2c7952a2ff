"""The page of extra specs and image properties is the program's own table."""

from tools import guest_names


def test_the_page_is_written_from_the_table() -> None:
    assert guest_names.DOCUMENT.read_text() == guest_names.render(), "python -m tools.guest_names writes it anew"
