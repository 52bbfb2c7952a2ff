"""Moves a guest to another host's libvirt, its memory and the disks in its directory; blocking functions for a thread.

The rule: libvirtd does it by itself, host to host, so it goes on when the agent dies, and the domain says how far it
is. Volumes are not copied: both hosts reach them.
"""

import math
from collections.abc import Callable, Collection
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import libvirt

from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.agent.drivers.domains import lookup
from kilonova.compute.agent.drivers.libvirtd import sandbox_path
from kilonova.compute.agent.drivers.options import LibvirtOptions, MigrationOptions
from kilonova.compute.agent.spec import Arrival, Transfer
from kilonova.kit.host_commands import HostError

GIB = 1 << 30
FLAGS = (
    libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_NON_SHARED_DISK
    | libvirt.VIR_MIGRATE_PERSIST_DEST
    | libvirt.VIR_MIGRATE_UNDEFINE_SOURCE
)


def address_of(options: LibvirtOptions) -> str:
    """Where the libvirtd of other hosts reaches this host's. Raises HostError where it does not."""
    if not options.connection_uri and sandbox_path(options.state_dir).exists():
        raise HostError(
            f"{options.hostname} runs its servers under a private libvirtd, which listens on no network: "
            "no server can be migrated to it."
        )
    return f"qemu+{options.migrations.scheme}://{options.migrations.inbound_address or options.host_ip}/system"


def migrate(
    connection: Any, server_id: str, volumes: Collection[str], arrival: Arrival, options: MigrationOptions
) -> None:
    """Returns when the guest runs on the other host. `volumes`: serials of the disks that both hosts reach."""
    domain = lookup(connection, server_id)
    if domain is None or not domain.isActive():
        raise HostError(f"Server {server_id} has no guest on this host that could be migrated.")
    live = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_MIGRATABLE)
    parameters: dict[str, Any] = {
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: render_arriving(live, arrival.definition),
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: arrival.definition,
        libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS: copied_disks(live, volumes),
    }
    if options.bandwidth_mib_per_second:
        parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = options.bandwidth_mib_per_second
    is_running = domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    domain.migrateToURI3(arrival.address, parameters, flags_of(options, is_running=is_running))


def flags_of(options: MigrationOptions, *, is_running: bool) -> int:
    """Returns the flags of a migration; a paused guest has no use for a post-copy, and libvirt refuses it one."""
    chosen: int = FLAGS
    for is_chosen, flag in (
        (options.uses_tls, libvirt.VIR_MIGRATE_TLS),
        (options.permits_post_copy and is_running, libvirt.VIR_MIGRATE_POSTCOPY),
        (options.permits_auto_converge, libvirt.VIR_MIGRATE_AUTO_CONVERGE),
    ):
        chosen |= flag if is_chosen else 0
    return chosen


def steer(connection: Any, server_id: str, under_way: Transfer, options: MigrationOptions) -> str:
    """Gives a migration under way the downtime that it may have by now, and ends or hastens one that takes too long.

    Returns why it was ended; empty while it may go on.
    """
    data_gib = max(1, math.ceil((under_way.memory_total_bytes + under_way.disk_total_bytes) / GIB))
    seconds = under_way.elapsed_ms // 1000
    allowed = options.timeout_seconds * data_gib
    if allowed and seconds > allowed:
        if options.at_timeout == "force_complete":
            hasten(connection, server_id, under_way, options)
            return ""
        stop(connection, server_id)
        return f"The migration did not come to its end within {allowed} seconds, and was ended."
    downtime = downtime_ms(seconds, data_gib, options)
    _during_migration(connection, server_id, lambda domain: domain.migrateSetMaxDowntime(downtime))
    return ""


def downtime_ms(seconds: int, data_gib: int, options: MigrationOptions) -> int:
    """Returns how long the guest may stand still when it has been under way for so long; it grows exponentially."""
    steps, most = options.downtime_steps, options.most_downtime_ms
    step = min(seconds // (options.downtime_step_seconds * data_gib), steps)
    least = most // steps
    return int(least + (most - least) ** (step / steps)) if step else least


def transfer(connection: Any, server_id: str) -> Transfer | None:
    """How far the migration of a server's guest is, whoever began it; None when none is under way."""
    domain = lookup(connection, server_id)
    if domain is None:
        return None
    try:
        stats = domain.jobStats()
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            return None
        raise
    if stats.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT:
        return None
    parts = ((kind, part) for kind in ("memory", "disk") for part in ("total", "processed", "remaining"))
    amounts = {f"{kind}_{part}_bytes": stats.get(f"{kind}_{part}", 0) for kind, part in parts}
    return Transfer(**amounts, elapsed_ms=stats.get("time_elapsed", 0))


def stop(connection: Any, server_id: str) -> None:
    """Has the migration of a server's guest end without effect. One that is over already is as good."""
    _during_migration(connection, server_id, lambda domain: domain.abortJob())


def hasten(connection: Any, server_id: str, under_way: Transfer, options: MigrationOptions) -> None:
    """Lets the guest go on there at once where that is permitted; else pauses it, so that nothing is copied again.

    As long as disks are copied there is nothing to go on with there: QEMU refuses a post-copy before the memory's turn,
    and the migration would fail. Who hastens it asks again until it is over.
    """

    def act(domain: Any) -> None:
        if options.permits_post_copy:
            if under_way.memory_processed_bytes:
                domain.migrateStartPostCopy()
        elif domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING:
            domain.suspend()

    _during_migration(connection, server_id, act)


def _during_migration(connection: Any, server_id: str, act: Callable[[Any], None]) -> None:
    domain = lookup(connection, server_id)
    if domain is None:
        return
    try:
        act(domain)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            raise


def describe(under_way: Transfer) -> str:
    """What users are told of a migration under way; what guests write meanwhile has to be copied again."""
    processed = under_way.memory_processed_bytes + under_way.disk_processed_bytes
    total = processed + under_way.memory_remaining_bytes + under_way.disk_remaining_bytes
    return f"migrating: {100 * processed // total} %" if total else "migrating"


def copied_disks(live: str, volumes: Collection[str]) -> list[str]:
    """Names of the disks that have to be copied: those that are no volumes and that the guest can write to."""
    disks = parse_xml(live).findall("devices/disk")
    own = [disk for disk in disks if disk.findtext("serial") not in volumes]
    return [_target(disk) for disk in own if disk.find("readonly") is None]


def render_arriving(live: str, definition: str) -> str:
    """The guest's definition as it runs, but with the other host's files, addresses, mark and places of its processors
    and memory, from its definition.
    """
    guest, wanted = parse_xml(live), parse_xml(definition)
    for name in ("metadata", "cputune", "numatune"):
        _replace(guest, wanted, name)
    _move_processors(_child(guest, "vcpu"), _child(wanted, "vcpu"))
    sources = {disk.findtext("serial"): disk.find("source") for disk in wanted.iterfind("devices/disk")}
    for disk in guest.iterfind("devices/disk"):
        source, backing = sources.get(disk.findtext("serial")), disk.find("backingStore")
        if source is None:
            raise HostError(f"The other host has no disk for the guest's {_target(disk)}.")
        _replace_child(disk, "source", source)
        if backing is not None:
            # What the file lies over is its own host's affair, which finds it in the file.
            disk.remove(backing)
    devices, wanted_devices = _child(guest, "devices"), _child(wanted, "devices")
    for graphics in devices.findall("graphics"):
        devices.remove(graphics)
    devices.extend(wanted_devices.findall("graphics"))
    for console in devices.findall("console"):
        # libvirt derives it from the serial line.
        devices.remove(console)
    for serial, planned in zip(devices.findall("serial"), wanted_devices.findall("serial"), strict=True):
        for name in ("source", "log"):
            _replace_child(serial, name, planned.find(name))
    return ElementTree.tostring(guest, encoding="unicode")


def _move_processors(vcpu: Element, wanted: Element) -> None:
    """Has the guest's processors that have none of the host's own run where the other host's definition says."""
    vcpu.attrib.pop("cpuset", None)
    if "cpuset" in wanted.attrib:
        vcpu.set("cpuset", wanted.attrib["cpuset"])


def _replace(guest: Element, wanted: Element, name: str) -> None:
    _replace_child(guest, name, wanted.find(name))


def _replace_child(parent: Element, name: str, child: Element | None) -> None:
    present = parent.find(name)
    position = len(parent) if present is None else list(parent).index(present)
    if present is not None:
        parent.remove(present)
    if child is not None:
        parent.insert(position, child)


def _child(parent: Element, name: str) -> Element:
    found = parent.find(name)
    if found is None:
        raise HostError(f"The definition of a domain has no <{name}>.")
    return found


def _target(disk: Element) -> str:
    return _child(disk, "target").get("dev", "")
