"""Text filters: what is one, that each takes little time, and that it means the same to every list."""

import sqlite3
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kilonova.compute.servers.patterns import LONGEST, MOST_GAPS, begins, check, is_in, like
from kilonova.kit.errors import BadRequest

TAKEN = {
    "web": "a WEB server",
    "^web-.*$": "web-1",
    r"web\-[0-9]+$": "web-12",
    "w.b": "wob",
    "[a-z]*-[^(]+": "a-b",
    r"\(old\)": "web (old)",
    "a|b": "b",
    "[]x]": "]",
    "^(web|db)-": "DB-1",
    ".*a.*b.*c.*": "xaxbxcx",
    "(a+)+$": "aaa",
    "^(?:front|back)end$": "backend",
    r"^\w+\.example\.org$": "www.example.org",
    "(?-i)web": "web",
    "ZÜRICH": "zürich",
    "": "anything",
}


def test_expressions_are_found_without_regard_to_case() -> None:
    for pattern, text in TAKEN.items():
        check(pattern, "name")
        assert is_in(pattern, text), pattern
    assert not is_in("(?-i)web", "WEB")
    assert not is_in("web", None)
    assert begins("10.0", "10.0.0.1")
    assert not begins("0.0", "10.0.0.1")


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("[", "missing ]"),
        ("*", "no argument for repetition operator"),
        ("\\", "trailing"),
        ("(?=a)", "invalid perl operator"),
        (r"(a)\1", "invalid escape sequence"),
        ("a{1001}", "invalid repetition size"),
        ("[^é]{1,200}[^ü]{1,200}q", "pattern too large"),
        ("x" * (LONGEST + 1), "255 characters at most"),
        ("\udcff", "it is no text"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        check(pattern, "name")


COSTLY = ["(a+)+$", "(([a-h]){1,30}){1,30}q", "(a?b?c?d?e?f?g?h?){30}zzz", ".{200}q", "(.*a.*b.*c.*d){30}x"]


@pytest.mark.parametrize("pattern", COSTLY)
def test_the_costliest_take_milliseconds(pattern: str) -> None:
    check(pattern, "name")
    text = "abcdefgh" * 31
    is_in(pattern, text)
    started = time.thread_time()
    for _ in range(10):
        is_in(pattern, text)
    assert time.thread_time() - started < 1


@given(st.text(alphabet="ab.*+{}()[]|^$?\\2,", max_size=14))
def test_whatever_is_taken_is_quick(pattern: str) -> None:
    try:
        check(pattern, "name")
    except BadRequest:
        return
    # CPU time of this thread: one that runs away takes minutes, whatever else the machine does.
    started = time.thread_time()
    is_in(pattern, "a" * 255 + "b")
    assert time.thread_time() - started < 1


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("Web", "%web%"),
        ("^web$", "web"),
        (r"^web\.example", "web.example%"),
        ("w.b", "%w%b%"),
        ("100%_/", "%100/%/_//%"),
        ("^disk", "d___%"),
        ("zürich$", "%z%r_ch"),
        ("." * (MOST_GAPS + 1) + "b", "%b%"),
        ("a." * (MOST_GAPS + 1), "%a" * MOST_GAPS + "%"),
        ("", None),
        ("^", None),
        ("web-.*", None),
        ("web|db", None),
        ("(?-i)web", None),
        ("a^", None),
        (r"\d", None),
    ],
)
def test_plain_text_narrows_what_the_database_reads(pattern: str, wanted: str | None) -> None:
    check(pattern, "name")
    assert like(pattern) == wanted


TEXTS = "aAkKsSiI\u212a\u017f\u0130\u0131üÜß.%_/\\-$^ \n"
"""Letters that have more than two forms, and what is special in expressions or in LIKE."""


@given(st.text(alphabet=TEXTS, max_size=8), st.text(alphabet=TEXTS, max_size=16))
@example("k", "\u212a")
@example("S", "\u017f")
def test_what_an_expression_is_found_in_the_database_never_leaves_out(pattern: str, value: str) -> None:
    try:
        check(pattern, "name")
    except BadRequest:
        return
    if is_in(pattern, value) and (narrowed := like(pattern)) is not None:
        with sqlite3.connect(":memory:") as database:
            ((fits,),) = database.execute("SELECT lower(?) LIKE ? ESCAPE '/'", (value, narrowed))
        database.close()
        assert fits
