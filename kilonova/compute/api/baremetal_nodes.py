"""/os-baremetal-nodes, up to version 2.35: the nodes of a bare metal service, of which there is none here.

Source: Compute API reference, "Bare metal nodes (DEPRECATED)".
"""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.kit.errors import BadRequest, NotImplementedHere


async def find_nodes(request: ComputeRequest) -> None:
    """Listing and showing. Raises NotImplementedHere."""
    request.authorize()
    raise NotImplementedHere("There is no bare metal service here: hosts run guests, and are hypervisors.")


async def change_node(request: ComputeRequest, _body: Any = None) -> None:
    """Refuses everything else. Raises BadRequest."""
    request.authorize()
    raise BadRequest("Bare metal nodes were never changed through this API: that is the bare metal service's.")
