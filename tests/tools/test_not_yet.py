"""The page of what is not there yet says what the program says."""

import pytest

from tools import not_yet


def test_the_page_is_written_from_the_program() -> None:
    assert not_yet.DOCUMENT.read_text() == not_yet.render(), "python -m tools.not_yet writes it anew"


def test_a_refusal_that_comes_with_nothing_known_stops_the_writing() -> None:
    with pytest.raises(LookupError, match="unicorns"):
        not_yet.comes_with("There are no unicorns here yet.")


def test_requests_and_options_are_found() -> None:
    assert any("swapped for another one here yet" in sentence for _module, sentence in not_yet.refusals())
    assert "[libvirt] rbd_user" in dict(not_yet.idle_options())
