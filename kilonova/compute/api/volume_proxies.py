"""/os-volumes and /os-snapshots, up to version 2.35. There is no block storage here yet, so there are none.

Source: Compute API reference, "Volume extension (os-volumes, os-snapshots) (DEPRECATED)".
"""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.api.listing import OFFSETS
from kilonova.kit.errors import BadRequest, NotFound
from kilonova.kit.http.lists import Listing

LISTING = Listing(dialect=OFFSETS)
QUERY = LISTING.query


async def list_volumes(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    LISTING.read(request)
    return {"volumes": []}


async def list_snapshots(request: ComputeRequest) -> dict[str, Any]:
    request.authorize()
    LISTING.read(request)
    return {"snapshots": []}


async def create_volume(request: ComputeRequest, _body: Any) -> None:
    """POST: refused. Raises BadRequest."""
    request.authorize()
    raise BadRequest("Volumes cannot be made here yet: this cloud has no block storage.")


async def create_snapshot(request: ComputeRequest, _body: Any) -> None:
    """POST: refused. Raises BadRequest."""
    request.authorize()
    raise BadRequest("Snapshots of volumes cannot be made here yet: this cloud has no block storage.")


async def find_volume(request: ComputeRequest) -> None:
    """Showing and deleting: there is none. Raises NotFound."""
    request.authorize()
    raise NotFound(f"Volume {request.path['volume_id']} could not be found.")


async def find_snapshot(request: ComputeRequest) -> None:
    """Showing and deleting: there is none. Raises NotFound."""
    request.authorize()
    raise NotFound(f"Snapshot {request.path['snapshot_id']} could not be found.")
