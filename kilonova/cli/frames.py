"""Tables in frames, as upstream's commands print them, and URLs without their passwords."""

import re
from collections.abc import Sequence

_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")
"""Between the colon behind a user and the @ before a host: of each of several hosts in one URL."""


def render_frame(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        for row in (head, *rows)
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], *([rule] if rows else [])])


def hide_password(url: str) -> str:
    return _PASSWORD.sub("****", url)
