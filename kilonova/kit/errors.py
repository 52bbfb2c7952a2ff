"""Faults: the one kind of exception that reaches a user, and the few shapes it has.

A fault is a fact with a stable code (`ServerNotFound`), a status and a sentence that says what was wrong and what is
allowed. Services subclass these in their `errors.py`; the http edge is the only place that turns one into a response.
"""

from typing import ClassVar


class Fault(Exception):
    """Something the caller can be told. `message` is shown to users: it never holds a secret or a host path."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"

    def __init__(self, message: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = headers or {}

    @property
    def code(self) -> str:
        """The stable name clients and tests may match on: the class's own name."""
        return type(self).__name__


class BadRequest(Fault):
    status = 400
    title = "Bad Request"


class Unauthorized(Fault):
    status = 401
    title = "Unauthorized"


class Forbidden(Fault):
    status = 403
    title = "Forbidden"


class NotFound(Fault):
    status = 404
    title = "Not Found"


class MethodNotAllowed(Fault):
    status = 405
    title = "Method Not Allowed"


class NotAcceptable(Fault):
    status = 406
    title = "Not Acceptable"


class RequestTimeout(Fault):
    status = 408
    title = "Request Timeout"


class Conflict(Fault):
    status = 409
    title = "Conflict"


class Gone(Fault):
    status = 410
    title = "Gone"


class TooLarge(Fault):
    status = 413
    title = "Request Entity Too Large"


class UriTooLong(Fault):
    status = 414
    title = "URI Too Long"


class UnsupportedMediaType(Fault):
    status = 415
    title = "Unsupported Media Type"


class NotImplementedHere(Fault):
    """A request that is valid in this API but that this cloud's back end cannot carry out."""

    status = 501
    title = "Not Implemented"


class ServiceUnavailable(Fault):
    """Worth repeating: `headers` carries Retry-After where the wait is known."""

    status = 503
    title = "Service Unavailable"


class DiskFull(ServiceUnavailable):
    """A database could not write: nothing of the transaction is there."""

    def __init__(self) -> None:
        super().__init__("The disk that holds this service's database is full: delete something, such as an image.")
