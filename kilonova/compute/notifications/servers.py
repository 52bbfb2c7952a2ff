"""Notices about servers: the events of each operation, and what is told of a server.

Upstream's samples are the measure of the payloads. What is not known here has the value that they have for nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.compute.notifications import decisions
from kilonova.compute.notifications.notices import versioned
from kilonova.compute.notifications.records import flavor_payload, keypair_payload
from kilonova.compute.servers import servers
from kilonova.compute.servers.servers import ServerWithTask
from kilonova.compute.tables import Flavor, Keypair, Migration, Server
from kilonova.kit.clock import iso8601
from kilonova.kit.tasks import Task

POWER_NAMES = {0: "pending", 1: "running", 3: "paused", 4: "shutdown", 6: "crashed", 7: "suspended"}
VERSION = "1.8"


class Events(Struct, frozen=True):
    """The events of one operation, behind `instance.`: it has begun, it is done, it has failed."""

    begun: str
    done: str
    failed: str


def _of(name: str) -> Events:
    return Events(f"{name}.start", f"{name}.end", f"{name}.error")


EVENTS: Mapping[str, Events] = {
    "attach_interface": _of("interface_attach"),
    "attach_volume": _of("volume_attach"),
    "backup": _of("snapshot"),
    "build": _of("create"),
    "cold_migrate": Events("resize_prep.start", "resize_finish.end", "resize.error"),
    "confirm_resize": _of("resize_confirm"),
    "destroy": _of("delete"),
    "detach_interface": _of("interface_detach"),
    "detach_volume": _of("volume_detach"),
    "evacuate": _of("rebuild"),
    "inject_network": _of("inject_network_info"),
    "live_migrate": Events("live_migration_pre.start", "live_migration_post.end", "live_migration_rollback.end"),
    "pause": _of("pause"),
    "reboot": _of("reboot"),
    "reboot_hard": _of("reboot"),
    "rebuild": _of("rebuild"),
    "rescue": _of("rescue"),
    "resize": Events("resize_prep.start", "resize_finish.end", "resize.error"),
    "restore": _of("restore"),
    "resume": _of("resume"),
    "revert_resize": _of("resize_revert"),
    "shelve": _of("shelve"),
    "shelve_offload": _of("shelve_offload"),
    "snapshot": _of("snapshot"),
    "soft_delete": _of("soft_delete"),
    "start": _of("power_on"),
    "stop": _of("power_off"),
    "suspend": _of("suspend"),
    "unpause": _of("unpause"),
    "unrescue": _of("unrescue"),
    "unshelve": _of("unshelve"),
}
"""Program → its events."""

CHOSEN = (decisions.START, decisions.END)
_RESIZING = {
    ("choose_host", "bring_disks"): (*CHOSEN, "instance.resize_prep.end", "instance.resize.start"),
    ("bring_disks", "change_over"): ("instance.resize.end", "instance.resize_finish.start"),
}
PHASES: Mapping[str, Mapping[tuple[str, str], tuple[str, ...]]] = {
    "build": {("schedule", "ports"): CHOSEN, ("schedule", "enter_cell"): CHOSEN},
    "cold_migrate": _RESIZING,
    "evacuate": {("find_refuge", "bring_ports"): CHOSEN},
    "live_migrate": {
        ("choose_target", "expect_guest"): CHOSEN,
        ("expect_guest", "move_guest"): ("instance.live_migration_pre.end",),
        ("move_guest", "switch"): ("instance.live_migration_post.start",),
        ("switch", "settle"): ("instance.live_migration_post_dest.start",),
        ("settle", "leave_source"): ("instance.live_migration_post_dest.end",),
    },
    "resize": _RESIZING,
    "unshelve": {("find_host", "bind_ports"): CHOSEN},
}
"""Program → the step that it leaves and the one that it enters → the events between its beginning and its end."""
TOLD_STEPS = frozenset(passed for phases in PHASES.values() for passed in phases)
CHOICES = frozenset(
    (program, left)
    for program, phases in PHASES.items()
    for (left, _entered), told in phases.items()
    if CHOSEN[0] in told
)
"""Program and step, of those that choose a host."""
WAYS_BACK: Mapping[str, tuple[str, ...]] = {"live_migrate": ("instance.live_migration_rollback.start",)}
"""Program → the events of the moment in which it has failed and begins to give everything back."""
RESIZE_PREPARED = ("instance.resize_prep.start", "instance.resize_prep.end")


class Seen(Struct, frozen=True):
    """A server as it was when somebody looked because of a commit."""

    server: Server
    active: Task | None
    deleted_at: datetime | None

    @property
    def task_state(self) -> str | None:
        return servers.task_state(ServerWithTask(self.server, self.active))

    @property
    def vm_state(self) -> str:
        return self.server.vm_state if self.deleted_at is None else "deleted"


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else iso8601(moment)


def _address_payloads(server: Server) -> list[dict[str, Any]]:
    return [
        versioned(
            "IpPayload",
            "1.0",
            mac=port["mac_address"],
            meta={},
            port_uuid=port["id"],
            version=6 if ":" in address else 4,
            address=address,
            label=port["network_name"],
            device_name=f"tap{port['id'][:11]}",
        )
        for port in server.ports
        for address in port.get("fixed_ips", [])
    ]


def _data(seen: Seen, by: Mapping[str, str]) -> dict[str, Any]:
    """The fields that every payload of a server has. `by`: who asked, and in which request."""
    server, image = seen.server, seen.server.image or {}
    properties = image.get("properties", {})
    return {
        "architecture": properties.get("hw_architecture"),
        "auto_disk_config": server.disk_config,
        "availability_zone": server.availability_zone,
        "block_devices": [],
        "created_at": iso8601(server.created_at),
        "deleted_at": _moment(seen.deleted_at),
        "display_description": server.description,
        "display_name": server.name,
        "flavor": flavor_payload(msgspec.convert(server.flavor, Flavor)),
        "host": server.host,
        "host_name": server.hostname,
        "image_uuid": image.get("id", ""),
        "ip_addresses": _address_payloads(server),
        "kernel_id": (image.get("kernel") or {}).get("id", ""),
        "launched_at": _moment(server.launched_at),
        "locked": server.locked,
        "locked_reason": server.locked_reason,
        "metadata": server.metadata,
        "node": server.host,
        "os_type": properties.get("os_type"),
        "power_state": POWER_NAMES.get(server.power_state, "pending"),
        "progress": 0,
        "ramdisk_id": (image.get("ramdisk") or {}).get("id", ""),
        "reservation_id": server.reservation_id,
        "shares": [],
        "state": seen.vm_state,
        "task_state": seen.task_state,
        "tenant_id": server.project_id,
        "terminated_at": _moment(seen.deleted_at),
        "updated_at": iso8601(server.updated_at),
        "user_id": server.user_id,
        "uuid": server.id,
        "request_id": by.get("request_id"),
        "action_initiator_project": by.get("project_id"),
        "action_initiator_user": by.get("user_id"),
    }


def action_payload(seen: Seen, task: Task, by: Mapping[str, str]) -> dict[str, Any]:
    """Returns the payload of an event of the operation that a task carries out."""
    data = {**_data(seen, by), "fault": exception_payload(task, task.step) if task.outcome == "failed" else None}
    server = seen.server
    if task.program == "build":
        keys = [_key(server)] if server.public_key else []
        data |= {"instance_name": servers.instance_name(server), "keypairs": keys, "tags": server.tags}
        return versioned("InstanceCreatePayload", "1.13", **data, trusted_image_certificates=None)
    if task.program in ("snapshot", "backup"):
        return versioned("InstanceActionSnapshotPayload", "1.10", **data, snapshot_image_id=task.args.get("image_id"))
    if task.program == "rescue":
        rescued_by = ((server.rescue or {}).get("image") or {}).get("id")
        return versioned("InstanceActionRescuePayload", VERSION, **data, rescue_image_ref=rescued_by)
    if task.program in ("rebuild", "evacuate"):
        return versioned("InstanceActionRebuildPayload", "1.9", **data, trusted_image_certificates=None)
    return versioned("InstanceActionPayload", VERSION, **data)


def resize_payload(seen: Seen, migration: Migration | None, by: Mapping[str, str]) -> dict[str, Any]:
    """Returns the payload of the preparation of a resize, with the flavor that the server is to have."""
    flavor = (migration.new_flavor if migration else None) or seen.server.flavor
    new_flavor = flavor_payload(msgspec.convert(flavor, Flavor))
    return versioned("InstanceActionResizePrepPayload", "1.3", **_data(seen, by), fault=None, new_flavor=new_flavor)


def plain_payload(seen: Seen, by: Mapping[str, str]) -> dict[str, Any]:
    """Returns the payload of an event that is no operation's, such as a lock."""
    return versioned("InstanceActionPayload", VERSION, **_data(seen, by), fault=None)


def update_payload(seen: Seen, by: Mapping[str, str], *, old_state: str | None) -> dict[str, Any]:
    states = versioned(
        "InstanceStateUpdatePayload",
        "1.0",
        old_state=old_state or seen.vm_state,
        state=seen.vm_state,
        old_task_state=None,
        new_task_state=seen.task_state,
    )
    now = seen.server.updated_at
    period = versioned(
        "AuditPeriodPayload",
        "1.0",
        audit_period_beginning=iso8601(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)),
        audit_period_ending=iso8601(now),
    )
    data = {**_data(seen, by), "state_update": states, "audit_period": period, "bandwidth": []}
    return versioned("InstanceUpdatePayload", "2.1", **data, old_display_name=None, tags=seen.server.tags)


def exception_payload(task: Task, step: str) -> dict[str, Any]:
    """Returns why an operation has failed at a step."""
    reason = task.error or "the operation failed"
    return versioned(
        "ExceptionPayload",
        "1.1",
        exception="OperationFailed",
        exception_message=reason,
        module_name="kilonova.compute.programs",
        function_name=step,
        traceback=reason,
    )


def _key(server: Server) -> dict[str, object]:
    """The key pair as the server has it, which may be gone by now."""
    return keypair_payload(
        Keypair(0, server.user_id, server.key_name or "", server.key_type or "ssh", "", server.public_key or "",
                server.created_at)
    )  # fmt: skip
