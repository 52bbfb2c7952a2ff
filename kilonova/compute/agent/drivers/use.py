"""What a guest uses of its host, as libvirt counts it; blocking, for a thread."""

from typing import Any
from xml.etree import ElementTree

from kilonova.compute.agent.drivers.domains import observe, running
from kilonova.compute.agent.spec import DiskUse, InterfaceUse, ServerDiagnostics
from kilonova.kit.host_commands import HostError


def interrupt(connection: Any, server_id: str) -> None:
    """Raises HostError when the server has no guest."""
    running(connection, server_id).injectNMI(0)


def read_diagnostics(connection: Any, server_id: str, hypervisor: str) -> ServerDiagnostics:
    """Raises HostError when the server has no guest."""
    domain = running(connection, server_id)
    _state, memory_maximum_kib, memory_kib, _cpus, _cpu_time_ns = domain.info()
    devices = ElementTree.fromstring(domain.XMLDesc(0))  # noqa: S314 - libvirt's own text
    return ServerDiagnostics(
        driver="libvirt",
        hypervisor=hypervisor,
        power=observe(connection, server_id).power,
        cpu_times_ns=tuple(time_ns for _number, _state, time_ns, _cpu in domain.vcpus()[0]),
        memory_kib=memory_kib,
        memory_maximum_kib=memory_maximum_kib,
        disks=tuple(_disk(domain, each) for each in devices.findall("devices/disk[@device='disk']")),
        interfaces=tuple(_interface(domain, each) for each in devices.findall("devices/interface")),
    )


def _disk(domain: Any, element: ElementTree.Element) -> DiskUse:
    device = _attribute(element, "target", "dev")
    read_requests, read_bytes, write_requests, write_bytes, errors = domain.blockStats(device)
    # -1 stands for what this hypervisor does not count.
    return DiskUse(device, read_bytes, read_requests, write_bytes, write_requests, max(errors, 0))


def _interface(domain: Any, element: ElementTree.Element) -> InterfaceUse:
    device = _attribute(element, "target", "dev")
    return InterfaceUse(device, _attribute(element, "mac", "address"), *domain.interfaceStats(device))


def _attribute(element: ElementTree.Element, child: str, name: str) -> str:
    found = element.find(child)
    if found is None:
        raise HostError(f"A device of a running domain has no <{child}>.")
    return found.get(name, "")
