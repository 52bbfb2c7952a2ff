"""Diagnostics as the newest version shows them, and the flat form of before 2.48."""

from typing import Any

from kilonova.compute.agent.spec import DiskUse, InterfaceUse, PowerState, ServerDiagnostics

Body = dict[str, Any]

STATES: dict[PowerState, str] = {"stopped": "shutdown", "absent": "pending"}
"""Those that the API calls otherwise."""


def diagnostics_view(found: ServerDiagnostics, *, config_drive: bool, uptime_seconds: int | None) -> Body:
    return {
        "state": STATES.get(found.power, found.power),
        "driver": found.driver,
        "hypervisor": found.hypervisor,
        "hypervisor_os": "linux",
        "uptime": uptime_seconds,
        "config_drive": config_drive,
        "num_cpus": len(found.cpu_times_ns),
        "num_nics": len(found.interfaces),
        "num_disks": len(found.disks),
        "cpu_details": [
            {"id": number, "time": time_ns, "utilisation": None} for number, time_ns in enumerate(found.cpu_times_ns)
        ],
        "memory_details": {"maximum": found.memory_maximum_kib >> 10, "used": found.memory_kib >> 10},
        "disk_details": [_disk(each) for each in found.disks],
        "nic_details": [_interface(each) for each in found.interfaces],
    }


def _disk(disk: DiskUse) -> Body:
    return {
        "read_bytes": disk.read_bytes,
        "read_requests": disk.read_requests,
        "write_bytes": disk.write_bytes,
        "write_requests": disk.write_requests,
        "errors_count": disk.errors,
    }


def _interface(interface: InterfaceUse) -> Body:
    shown: Body = {"mac_address": interface.mac_address}
    for way in ("rx", "tx"):
        shown |= {
            f"{way}_octets": getattr(interface, f"{way}_bytes"),
            f"{way}_packets": getattr(interface, f"{way}_packets"),
            f"{way}_errors": getattr(interface, f"{way}_errors"),
            f"{way}_drop": getattr(interface, f"{way}_dropped"),
            f"{way}_rate": None,
        }
    return shown


def flat_diagnostics_view(found: ServerDiagnostics) -> Body:
    """Before 2.48 the names are made of the host's devices."""
    shown: Body = {f"cpu{number}_time": time_ns for number, time_ns in enumerate(found.cpu_times_ns)}
    shown |= {"memory": found.memory_maximum_kib, "memory-actual": found.memory_kib}
    for disk in found.disks:
        shown |= {
            f"{disk.device}_read": disk.read_bytes,
            f"{disk.device}_read_req": disk.read_requests,
            f"{disk.device}_write": disk.write_bytes,
            f"{disk.device}_write_req": disk.write_requests,
            f"{disk.device}_errors": disk.errors,
        }
    for interface in found.interfaces:
        for way in ("rx", "tx"):
            shown |= {
                f"{interface.device}_{way}": getattr(interface, f"{way}_bytes"),
                f"{interface.device}_{way}_packets": getattr(interface, f"{way}_packets"),
                f"{interface.device}_{way}_errors": getattr(interface, f"{way}_errors"),
                f"{interface.device}_{way}_drop": getattr(interface, f"{way}_dropped"),
            }
    return shown
