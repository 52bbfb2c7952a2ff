"""Identity's faults."""

from kilonova.kit.errors import BadRequest, Conflict, Fault, Forbidden, NotFound, Unauthorized


class ResourceNotFound(NotFound):
    """`kind` and the id or name that was asked for."""

    def __init__(self, kind: str, wanted: str) -> None:
        super().__init__(f"Could not find {kind}: {wanted}.")


class NameTaken(Conflict):
    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"Conflict occurred attempting to store {kind} - Duplicate entry found with name {name}.")


class InvalidReference(BadRequest):
    """A field names something that does not exist."""


class AuthenticationFailed(Unauthorized):
    """Says nothing of the cause: whether a user exists, or is disabled, is not told to strangers."""

    def __init__(self) -> None:
        super().__init__("The request you have made requires authentication.")


class TooManyLogIns(Fault):
    """One address has more log-ins waiting than it may."""

    status = 429
    title = "Too Many Requests"

    def __init__(self) -> None:
        super().__init__(
            "Too many log-ins from your address wait for their turn: try again later.", headers={"Retry-After": "5"}
        )


class StillEnabled(Forbidden):
    """A domain is deleted only after it was disabled."""


class NotALeaf(Forbidden):
    """A project is deleted only after those within it."""


class Immutable(Forbidden):
    """What has the option `immutable` is neither changed nor deleted before it loses it."""

    def __init__(self, kind: str, wanted_id: str) -> None:
        super().__init__(f"The {kind} {wanted_id} is immutable: take its option `immutable` away first.")
