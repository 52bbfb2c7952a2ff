"""Names of users, projects, domains, groups and roles: kept as they were given, and compared without case.

Unicode's own folding (`ß` and `SS` are one), here and not in a database: each would do it in its own way.
"""

import hashlib
import unicodedata

MOST_CHARACTERS = 255
"""Of a folded name: what a database keeps in an index."""


def fold(name: str) -> str:
    """What two names have in common that are one to people. See docs/decisions/0023."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    if len(folded) <= MOST_CHARACTERS:
        return folded
    digest = hashlib.sha256(folded.encode()).hexdigest()
    return folded[: MOST_CHARACTERS - len(digest)] + digest


def fold_second(name: str, record_id: str) -> str:
    """What a name is known by that differs in its case only from one that was there before case stopped counting."""
    return f"{fold(name)[: MOST_CHARACTERS - 65]}\x01{record_id[:64]}"
