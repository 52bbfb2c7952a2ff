"""What a process meets that cannot work yet."""


class NotReady(Exception):
    """What is missing may come by itself: another server starts, a clock is set."""
