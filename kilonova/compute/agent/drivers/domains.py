"""What is asked of libvirt about one domain; blocking functions for a thread, taking the connection first.

The rule: a domain is ours only when its definition carries our mark (`domain_xml`); no other is ever changed.
Every effect tolerates that it has already happened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import libvirt

from kilonova.compute.agent.drivers.domain_xml import definition_digest
from kilonova.compute.agent.drivers.power import PowerAction
from kilonova.compute.agent.spec import PowerState
from kilonova.kit.host_commands import HostError

UNDEFINE_FLAGS = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    | libvirt.VIR_DOMAIN_UNDEFINE_TPM
)

UNPLUGGING = "already in the process of unplug"
"""What QEMU says when it was asked for the same a moment ago."""

POWER_STATES: dict[int, PowerState] = {
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_PAUSED: "paused",
    libvirt.VIR_DOMAIN_SHUTDOWN: "running",
    libvirt.VIR_DOMAIN_SHUTOFF: "stopped",
    libvirt.VIR_DOMAIN_CRASHED: "crashed",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "paused",
}


ARRIVING = frozenset({libvirt.VIR_DOMAIN_PAUSED_MIGRATION, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP})
"""Why a domain is paused that another host's guest comes to. The guest of a host that migrates it may be, too, for its
last moments there."""


@dataclass(frozen=True)
class DomainFacts:
    power: PowerState
    definition: str | None
    """Digest of the persistent definition, None when the domain is not ours or has none."""
    is_arriving: bool = False
    """Whether it waits for its memory from another host, or for that host's word that it may go on."""


ABSENT = DomainFacts("absent", None)


def lookup(connection: Any, server_id: str) -> Any | None:
    """The domain with this UUID, None when there is none."""
    try:
        return connection.lookupByUUIDString(server_id)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def running(connection: Any, server_id: str) -> Any:
    """The domain of a server's guest. Raises HostError when the server has none."""
    domain = lookup(connection, server_id)
    if domain is None or not domain.isActive():
        raise HostError(f"Server {server_id} has no guest on this host.")
    return domain


def observe(connection: Any, server_id: str) -> DomainFacts:
    """Power state and definition of a server's domain; `ABSENT` when there is none of ours."""
    domain = lookup(connection, server_id)
    if domain is None:
        return ABSENT
    try:
        return _facts(domain)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return ABSENT
        raise


def is_ours(domain: Any) -> bool:
    """Whether its definition carries our mark."""
    return definition_digest(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)) is not None


def _facts(domain: Any) -> DomainFacts:
    digest = definition_digest(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    if digest is None:
        return ABSENT
    state, reason = domain.state()
    is_arriving = state == libvirt.VIR_DOMAIN_PAUSED and reason in ARRIVING
    return DomainFacts(_power_state(domain), digest, is_arriving)


def _power_state(domain: Any) -> PowerState:
    state, reason = domain.state()
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        if reason == libvirt.VIR_DOMAIN_SHUTOFF_CRASHED:
            return "crashed"
        if domain.hasManagedSaveImage():
            return "suspended"
    return POWER_STATES.get(state, "crashed")


def observe_all(connection: Any) -> dict[str, PowerState]:
    """Server id → power state of every domain that is ours."""
    found = {}
    for domain in connection.listAllDomains():
        try:
            facts = _facts(domain)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
            continue
        if facts is not ABSENT:
            found[domain.UUIDString()] = facts.power
    return found


def check_free(connection: Any, server_id: str, instance_name: str) -> None:
    """Raises HostError when the UUID or the name belongs to a domain that is not this server's."""
    try:
        by_id = lookup(connection, server_id)
        if by_id is not None and not is_ours(by_id):
            raise HostError(
                f"The domain {by_id.name()} on this host has the UUID {server_id} and is not of this cloud."
            )
        if by_id is not None and by_id.name() != instance_name:
            raise HostError(
                f"The domain of server {server_id} is called {by_id.name()} on this host, not {instance_name}."
            )
        by_name = connection.lookupByName(instance_name)
    except libvirt.libvirtError as error:
        # There is none of that name; or it went while it was looked at, as that of a guest does that has moved away.
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return
    if by_name.UUIDString() != server_id:
        raise HostError(f"The domain name {instance_name} is taken on this host by a domain {by_name.UUIDString()}.")


def define(connection: Any, xml: str) -> None:
    """Sets the persistent definition; a running domain keeps its present one until it is started again."""
    connection.defineXML(xml)


def act(connection: Any, server_id: str, action: PowerAction) -> None:
    """Carries out one step of `power.plan_power` that does not wait for the guest."""
    domain = lookup(connection, server_id)
    if domain is None:
        raise HostError(f"The domain of server {server_id} has vanished from this host.")
    match action:
        case "start":
            _start(domain, 0)
        case "start_paused":
            _start(domain, libvirt.VIR_DOMAIN_START_PAUSED)
        case "resume":
            if domain.state()[0] == libvirt.VIR_DOMAIN_PMSUSPENDED:
                domain.pMWakeup(0)
            else:
                domain.resume()
        case "pause":
            domain.suspend()
        case "save":
            domain.managedSave(0)
        case "power_off":
            _cut_off(domain)
            if domain.hasManagedSaveImage():
                domain.managedSaveRemove(0)
        case "none":
            return
        case _:
            raise AssertionError(f"{action} is made of other steps")


def _start(domain: Any, flags: int) -> None:
    try:
        domain.createWithFlags(flags)
    except libvirt.libvirtError:
        # A start that came in between, such as the end of a reboot whose job was cancelled, is as good as ours.
        if not domain.isActive():
            raise


def _cut_off(domain: Any) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError as error:
        if not domain.isActive():
            return
        is_starting = domain.state()[:2] == [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP]
        if is_starting and error.get_error_code() == libvirt.VIR_ERR_OPERATION_TIMEOUT:
            # A libvirtd that was killed while it started the guest finds its record again and waits for nobody.
            raise HostError(
                f"libvirtd holds {domain.name()} as starting up since it was ended in the middle of that:"
                f" stop it, remove /run/libvirt/qemu/{domain.name()}.xml and start it again."
            ) from error
        raise


def press_power_button(connection: Any, server_id: str) -> None:
    """Asks the guest to shut down; whether it does is seen in its power state."""
    domain = lookup(connection, server_id)
    if domain is None:
        return
    try:
        domain.shutdown()
    except libvirt.libvirtError:
        # It may have ended by itself meanwhile, which is what was asked for.
        if domain.isActive():
            raise


def is_active(connection: Any, server_id: str) -> bool:
    """Whether a server's domain has a guest, running or paused."""
    domain = lookup(connection, server_id)
    return domain is not None and bool(domain.isActive())


def is_held(connection: Any, server_id: str) -> bool:
    """Whether a guest has the server's disks: it runs, is paused, or goes on with them after it was suspended."""
    domain = lookup(connection, server_id)
    return domain is not None and bool(domain.isActive() or domain.hasManagedSaveImage())


def live_definition(connection: Any, server_id: str) -> str | None:
    """The definition that a guest runs with; None when there is no guest."""
    domain = lookup(connection, server_id)
    if domain is None or not domain.isActive():
        return None
    definition: str = domain.XMLDesc(0)
    return definition


def held_definition(connection: Any, server_id: str) -> str | None:
    """The definition that a guest runs with, or goes on with after it was suspended; None when there is no guest."""
    domain = lookup(connection, server_id)
    if domain is None or domain.isActive() or not domain.hasManagedSaveImage():
        return live_definition(connection, server_id)
    definition: str = domain.managedSaveGetXMLDesc(0)
    return definition


def plug(connection: Any, server_id: str, device: str, is_done: Callable[[str], bool]) -> None:
    """Puts a device into a guest; ok when `is_done` finds it in the guest's definition, or when the guest has ended."""
    _change_device(connection, server_id, "attachDeviceFlags", device, is_done)


def unplug(connection: Any, server_id: str, device: str, is_done: Callable[[str], bool]) -> None:
    """Asks a guest to let go of a device; it is gone once the guest's definition does not show it."""
    _change_device(connection, server_id, "detachDeviceFlags", device, is_done)


def _change_device(connection: Any, server_id: str, method: str, device: str, is_done: Callable[[str], bool]) -> None:
    domain = lookup(connection, server_id)
    if domain is None:
        return
    try:
        getattr(domain, method)(device, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    except libvirt.libvirtError as error:
        there = live_definition(connection, server_id)
        if there is not None and not is_done(there) and UNPLUGGING not in str(error):
            raise


def remove(connection: Any, server_id: str) -> None:
    """Destroys and undefines a server's domain; ok when there is none, and a domain that is not ours is let alone."""
    if observe(connection, server_id) is ABSENT:
        return
    domain = lookup(connection, server_id)
    try:
        if domain is not None:
            _cut_off(domain)
            domain.undefineFlags(UNDEFINE_FLAGS)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
            raise
