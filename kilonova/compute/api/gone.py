"""Routes that compute's API had once and no version has any more: 410, with what to ask instead.

Source: Compute API reference, the sections on obsolete APIs.
"""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.kit.errors import Gone
from kilonova.kit.http.routes import Handler

_NETWORK = "Ask the network service instead."
_AGENTS = "There are no agents inside of guests that would be updated."
_CELLS = "Cells of the first kind are no more: `nova-manage cell_v2` is about those there are."
_DEFAULT_RULES = "Default rules of security groups are the network service's."
_DNS = f"Names of floating addresses are not kept here. {_NETWORK}"
_CONSOLES = "Ask for /servers/{server_id}/remote-consoles instead."

ROUTES: tuple[tuple[str, str, str], ...] = tuple(
    (method, path, sentence)
    for methods, path, sentence in (
        ("GET POST", "/os-agents", _AGENTS),
        ("PUT DELETE", "/os-agents/{agent_id}", _AGENTS),
        ("GET POST", "/os-cells", _CELLS),
        ("GET", "/os-cells/detail", _CELLS),
        ("GET", "/os-cells/info", _CELLS),
        ("GET", "/os-cells/capacities", _CELLS),
        ("POST", "/os-cells/sync_instances", _CELLS),
        ("GET PUT DELETE", "/os-cells/{cell_id}", _CELLS),
        ("GET", "/os-cells/{cell_id}/capacities", _CELLS),
        ("POST", "/os-certificates", "Certificates are not made here."),
        ("GET", "/os-certificates/{certificate_id}", "Certificates are not made here."),
        ("GET POST", "/os-cloudpipe", f"Networks have no cloudpipe. {_NETWORK}"),
        ("PUT", "/os-cloudpipe/{cloudpipe_id}", f"Networks have no cloudpipe. {_NETWORK}"),
        ("GET", "/os-fixed-ips/{address}", _NETWORK),
        ("POST", "/os-fixed-ips/{address}/action", _NETWORK),
        ("GET", "/os-floating-ip-dns", _DNS),
        ("PUT DELETE", "/os-floating-ip-dns/{domain}", _DNS),
        ("GET PUT DELETE", "/os-floating-ip-dns/{domain}/entries/{name}", _DNS),
        ("GET POST", "/os-floating-ips-bulk", _NETWORK),
        ("GET PUT", "/os-floating-ips-bulk/{host}", _NETWORK),
        ("GET", "/os-fping", "Guests are not pinged from here."),
        ("GET", "/os-fping/{server_id}", "Guests are not pinged from here."),
        ("POST", "/os-networks", _NETWORK),
        ("POST", "/os-networks/add", _NETWORK),
        ("DELETE", "/os-networks/{network_id}", _NETWORK),
        ("POST", "/os-networks/{network_id}/action", _NETWORK),
        ("GET POST", "/os-security-group-default-rules", _DEFAULT_RULES),
        ("GET DELETE", "/os-security-group-default-rules/{rule_id}", _DEFAULT_RULES),
        ("POST", "/os-tenant-networks", _NETWORK),
        ("DELETE", "/os-tenant-networks/{network_id}", _NETWORK),
        ("GET POST", "/servers/{server_id}/consoles", _CONSOLES),
        ("GET DELETE", "/servers/{server_id}/consoles/{console_id}", _CONSOLES),
        ("GET", "/servers/{server_id}/os-virtual-interfaces", "Ask for /servers/{server_id}/os-interface instead."),
    )
    for method in methods.split()
)
"""(method, path, sentence)"""


def gone(sentence: str) -> Handler:
    """Returns a handler that says so to whoever has a token."""

    async def answer(request: ComputeRequest) -> Any:
        request.authorize()
        raise Gone(f"This part of the API has been removed. {sentence}")

    return answer
