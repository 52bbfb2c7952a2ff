"""Values of query parameters and headers, read within bounds: what is beyond them is refused, never passed on."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from kilonova.kit.errors import BadRequest
from kilonova.kit.http.bounds import MAX_INT32

MAX_SHOWN = 64
"""Characters of a wrong value that a refusal repeats."""
MAX_TAGS = 50
"""Of one filter: more than one resource may have here in most services."""
MAX_CHARACTERS = 255
"""Of a name, an id, a word: what a filter is compared with is never longer."""


def whole_number(name: str, text: str, *, least: int = 0, most: int = MAX_INT32) -> int:
    """The number. Raises BadRequest for what is none, and for one that is not within the bounds."""
    digits = text.removeprefix("-")
    # The length comes before the value: reading digits takes the square of their number.
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= MAX_SHOWN
    if not is_number or not least <= int(text) <= most:
        raise BadRequest(f"{name} must be a whole number from {least} to {most}, got {text[:MAX_SHOWN]!r}.")
    return int(text)


def moment(name: str, text: str) -> datetime:
    """A time by RFC 3339, in UTC where it names no zone. Raises BadRequest; no engine holds one outside years 1 to 9999
    of UTC."""
    try:
        read = datetime.fromisoformat(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"{name} must be a time such as 2026-01-31T12:00:00Z, got {text[:MAX_SHOWN]!r}.") from error


TRUE, FALSE = ("1", "t", "true", "on", "y", "yes"), ("0", "f", "false", "off", "n", "no")


def yes_or_no(name: str, text: str) -> bool:
    """A boolean, as upstream reads it from a query. Raises BadRequest."""
    word = text.strip().lower()
    if word not in (*TRUE, *FALSE):
        raise BadRequest(f"{name} must be true or false, got {text[:MAX_SHOWN]!r}.")
    return word in TRUE


def short(name: str, text: str) -> str:
    """The text. Raises BadRequest for one that is longer than anything it is compared with."""
    if len(text) > MAX_CHARACTERS:
        raise BadRequest(f"{name} has {MAX_CHARACTERS} characters at most, got {len(text)}.")
    return text


def different(name: str, values: Iterable[str], most: int, *, of: str = "values") -> list[str]:
    """Each value once, in their order. Raises BadRequest for more than `most`."""
    found = list(dict.fromkeys(values))
    if len(found) > most:
        raise BadRequest(f"{name} takes {most} {of} at most, got {len(found)}.")
    return found


def tags_of(name: str, texts: Sequence[str]) -> list[str]:
    """The different tags of a filter, which are separated by commas. Raises BadRequest for more than MAX_TAGS."""
    return different(name, (tag for text in texts for tag in text.split(",")), MAX_TAGS, of="tags")
