"""libvirt's definition of a server, rendered from a plan and read back; pure."""

from kilonova.compute.agent.drivers.domain_xml.definition import definition_digest, render_domain
from kilonova.compute.agent.drivers.domain_xml.devices import GUEST_AGENT_CHANNEL
from kilonova.compute.agent.drivers.domain_xml.disks import disks_of, render_disk
from kilonova.compute.agent.drivers.domain_xml.elements import parse_xml
from kilonova.compute.agent.drivers.domain_xml.identity import kilonova_version
from kilonova.compute.agent.drivers.domain_xml.interfaces import interfaces_of, render_interface
from kilonova.compute.agent.drivers.domain_xml.plan import DomainPlan

__all__ = [
    "GUEST_AGENT_CHANNEL",
    "DomainPlan",
    "definition_digest",
    "disks_of",
    "interfaces_of",
    "kilonova_version",
    "parse_xml",
    "render_disk",
    "render_domain",
    "render_interface",
]
