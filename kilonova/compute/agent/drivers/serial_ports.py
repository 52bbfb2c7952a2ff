"""Which TCP port a guest's serial line listens on; blocking functions for a thread.

The rule: a port belongs to the domain in whose definition it stands, whether its guest runs or not, so two guests of
this host never get the same one.
"""

import itertools
import socket
from typing import Any

import libvirt

from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.agent.drivers.domains import lookup
from kilonova.compute.agent.drivers.options import SerialOptions
from kilonova.kit.host_commands import HostError


def port_of(xml: str) -> int | None:
    """Of a domain's definition; None where its serial line is not behind a port."""
    source = parse_xml(xml).find("devices/serial[@type='tcp']/source[@mode='bind']")
    return None if source is None else int(source.get("service", "0")) or None


def pick(connection: Any, server_id: str, options: SerialOptions) -> int:
    """The port that the server has, as long as it can keep it, else a free one. Raises HostError when none is."""
    domain = lookup(connection, server_id)
    own = None if domain is None else port_of(_definition(domain))
    if domain is not None and own is not None and own in options.ports and domain.isActive():
        return own
    taken = {port_of(_definition(each)) for each in connection.listAllDomains() if each.UUIDString() != server_id}
    wanted = [own] if own is not None and own in options.ports else []
    for port in itertools.chain(wanted, options.ports):
        if port not in taken and _is_free(options.address, port):
            return port
    first, last = options.ports[0], options.ports[-1]
    raise HostError(f"Every port from {first} to {last} ([serial_console] port_range) is in use on this host.")


def _definition(domain: Any) -> str:
    try:
        text: str = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return "<domain/>"
    return text


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
