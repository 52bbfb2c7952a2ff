"""Text filters: regular expressions, without regard to case, as upstream's are on the database it mostly runs on.

They are a caller's own words, so RE2 matches them: its time grows with the text alone, whatever the expression. Why it
does, and what it does not know: docs/decisions/0021.
"""

import re
from functools import lru_cache
from typing import Any

import re2

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.queries import MAX_SHOWN

LONGEST = 255
MOST_MEMORY_BYTES = 1 << 16
"""Of one expression with what it remembers while it matches: the costliest that fits takes 5 ms for a name."""

MOST_GAPS = 8
"""Places of a pattern for LIKE where anything may stand. What follows more of them is left to RE2 alone."""

_PLAIN = re.compile(r"(?P<begin>\^?)(?P<text>(?:[^\\^$*+?{}()\[\]|]|\\[!-/:-@\[-`{-~])*)(?P<end>\$?)", re.DOTALL)
"""Text as it is, with full stops and escaped punctuation, from the beginning or to the end or anywhere."""


def check(text: str, name: str) -> None:
    """Raises BadRequest for what is no regular expression, or one that is too long or too large."""
    if len(text) > LONGEST:
        raise BadRequest(f"{name}: a regular expression has {LONGEST} characters at most, got {len(text)}.")
    try:
        _compiled(text)
    except (re2.error, UnicodeEncodeError) as error:
        raise BadRequest(f"{name}: {text[:MAX_SHOWN]!r} is not a regular expression: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else "it is no text"


@lru_cache(maxsize=64)
def _compiled(text: str) -> Any:
    options = re2.Options()
    options.case_sensitive = False
    options.max_mem = MOST_MEMORY_BYTES
    options.never_capture = True
    options.log_errors = False
    return re2.compile(text, options)


def is_in(text: str, value: str | None) -> bool:
    """Whether the expression, which has been checked, is found anywhere in the value."""
    return value is not None and _compiled(text).search(value) is not None


def begins(text: str, value: str) -> bool:
    """Whether the value begins with what the expression means."""
    return _compiled(text).match(value) is not None


@lru_cache(maxsize=64)
def like(text: str) -> str | None:
    """The pattern of LIKE, escaped by `/`, that the lower case of each value fits in which the expression is found;
    others may fit it, too. None for an expression that is more than plain text, or that every value fits.
    """
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        return None
    parts = ["" if plain["begin"] else "%"]
    for each in re.findall(r"\\?.", plain["text"], re.DOTALL):
        part = _part(each)
        if part != "%" or parts[-1] != "%":
            parts.append(part)
        if parts.count("%") > MOST_GAPS:
            return "".join(parts)
    if not plain["end"] and parts[-1] != "%":
        parts.append("%")
    return None if parts in (["%"], ["", "%"]) else "".join(parts)


def _part(plain: str) -> str:
    """Returns the pattern of one character.

    Engines fold the case of ASCII alike, and RE2 has further forms of three letters: K and S have one beyond ASCII
    each, and I is not i everywhere.
    """
    letter = plain[-1].lower()
    if plain == "." or not plain.isascii():
        return "%"
    if letter in "iks":
        return "_"
    return f"/{letter}" if letter in "/%_" else letter
