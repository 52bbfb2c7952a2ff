"""Times as block storage shows them: in UTC, without a zone."""

from datetime import datetime


def shown_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.replace(tzinfo=None).isoformat(timespec="microseconds")
