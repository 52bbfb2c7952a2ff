"""Parts of the API that only pass on what other services have: what those refuse is refused here, too."""

import contextlib
from collections.abc import Iterator

from kilonova.kit.errors import BadRequest, Forbidden, NotFound
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable


@contextlib.contextmanager
def passing_refusals_on() -> Iterator[None]:
    """Raises what a service refuses, under the same status; but this part of the API has no conflicts, they are 400."""
    try:
        yield
    except RemoteUnavailable:
        raise
    except RemoteFault as fault:
        raise {404: NotFound, 403: Forbidden}.get(fault.status, BadRequest)(fault.message) from fault
