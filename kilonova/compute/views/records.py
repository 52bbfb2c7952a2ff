"""Flavors, key pairs, services, hypervisors, zones and actions as the newest version shows them."""

from datetime import datetime
from typing import Any

from kilonova.compute.operations import EVENTS, OPERATIONS
from kilonova.compute.servers.servers import HostUse
from kilonova.compute.servers.timeline import Moment
from kilonova.compute.tables import Aggregate, ControlDaemon, Flavor, Host, Keypair, ServerGroup
from kilonova.compute.views.servers import host_id
from kilonova.kit.clock import iso8601_micro
from kilonova.kit.tasks import Task, TaskStep

Body = dict[str, Any]


def flavor_link_view(flavor: Flavor, base_url: str) -> Body:
    return {
        "id": flavor.id,
        "name": flavor.name,
        "description": flavor.description,
        "links": _flavor_links(flavor, base_url),
    }


def _flavor_links(flavor: Flavor, base_url: str) -> list[Body]:
    return [
        {"rel": "self", "href": f"{base_url}/v2.1/flavors/{flavor.id}"},
        {"rel": "bookmark", "href": f"{base_url}/flavors/{flavor.id}"},
    ]


def flavor_view(flavor: Flavor, base_url: str, *, with_rxtx: bool) -> Body:
    shown: Body = {
        "id": flavor.id,
        "name": flavor.name,
        "ram": flavor.memory_mib,
        "disk": flavor.root_gib,
        "swap": flavor.swap_mib,
        "vcpus": flavor.vcpus,
        "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral_gib,
        "os-flavor-access:is_public": flavor.is_public,
        "description": flavor.description,
        "extra_specs": flavor.extra_specs,
        "links": _flavor_links(flavor, base_url),
    }
    if with_rxtx:
        shown["OS-FLV-DISABLED:disabled"] = False
        shown["rxtx_factor"] = float(flavor.rxtx_factor)
    return shown


def keypair_view(keypair: Keypair) -> Body:
    """As lists show it."""
    return {
        "name": keypair.name,
        "type": keypair.type,
        "fingerprint": keypair.fingerprint,
        "public_key": keypair.public_key,
    }


def keypair_detail_view(keypair: Keypair) -> Body:
    return {
        **keypair_view(keypair),
        "id": keypair.number,
        "user_id": keypair.user_id,
        "created_at": iso8601_micro(keypair.created_at),
        "deleted": False,
        "deleted_at": None,
        "updated_at": None,
    }


def service_view(host: Host, *, is_up: bool, by_uuid: bool) -> Body:
    """Not `by_uuid`: the id is a number."""
    return {
        "id": host.service_id if by_uuid else host.number,
        "binary": host.binary,
        "host": host.host,
        "zone": host.availability_zone,
        "status": "disabled" if host.disabled else "enabled",
        "disabled_reason": host.disabled_reason,
        "state": "up" if is_up else "down",
        "forced_down": host.forced_down,
        "updated_at": iso8601_micro(host.updated_at),
    }


def control_daemon_view(number: int, daemon: ControlDaemon, *, is_up: bool, by_uuid: bool) -> Body:
    """A service without a host of its own: it is neither disabled nor forced down."""
    return {
        "id": daemon.id if by_uuid else number,
        "binary": daemon.binary,
        "host": daemon.host,
        "zone": "internal",
        "status": "enabled",
        "disabled_reason": None,
        "state": "up" if is_up else "down",
        "forced_down": False,
        "updated_at": iso8601_micro(daemon.created_at),
    }


def host_service_view(host: str, binary: str, zone: str) -> Body:
    return {"host_name": host, "service": binary.removeprefix("nova-"), "zone": zone}


def host_resource_view(host: str, project: str, use: HostUse) -> Body:
    """`project`: whose share it is, or which sum."""
    amounts = {"cpu": use.vcpus, "memory_mb": use.memory_mib, "disk_gb": use.disk_gib}
    return {"resource": {"host": host, "project": project, **amounts}}


def hypervisor_link_view(host: Host, *, is_up: bool, by_uuid: bool) -> Body:
    return {
        "id": host.id if by_uuid else host.number,
        "hypervisor_hostname": host.hypervisor_hostname,
        "state": "up" if is_up else "down",
        "status": "disabled" if host.disabled else "enabled",
    }


def hypervisor_view(host: Host, *, is_up: bool, by_uuid: bool) -> Body:
    return {
        **hypervisor_link_view(host, is_up=is_up, by_uuid=by_uuid),
        "host_ip": host.inventory["host_ip"],
        "hypervisor_type": host.inventory["hypervisor_type"],
        "hypervisor_version": host.inventory["hypervisor_version"],
        "uptime": None,
        "service": {
            "id": host.service_id if by_uuid else host.number,
            "host": host.host,
            "disabled_reason": host.disabled_reason,
        },
    }


def hypervisor_use_view(host: Host, use: HostUse) -> Body:
    """The fields a hypervisor showed up to version 2.87."""
    inventory = host.inventory
    return {
        "vcpus": inventory["vcpus"],
        "vcpus_used": use.vcpus,
        "memory_mb": inventory["memory_mib"],
        "memory_mb_used": use.memory_mib,
        "free_ram_mb": inventory["memory_mib"] - use.memory_mib,
        "local_gb": inventory["disk_gib"],
        "local_gb_used": use.disk_gib,
        "free_disk_gb": inventory["disk_gib"] - use.disk_gib,
        "disk_available_least": inventory["disk_gib"] - use.disk_gib,
        "current_workload": 0,
        "running_vms": use.servers,
        "cpu_info": inventory["cpu_info"],
    }


def zone_view(name: str, available: bool, listed: Body | None) -> Body:
    """`listed`: host → binary → its state, for administrators."""
    return {"zoneName": name, "zoneState": {"available": available}, "hosts": listed}


def zone_service_view(host: Host, *, is_up: bool) -> Body:
    return {"active": not host.disabled, "available": is_up, "updated_at": iso8601_micro(host.updated_at)}


def aggregate_view(aggregate: Aggregate) -> Body:
    return {
        "id": aggregate.number,
        "uuid": aggregate.id,
        "name": aggregate.name,
        "availability_zone": aggregate.metadata.get("availability_zone"),
        "hosts": aggregate.hosts,
        "metadata": aggregate.metadata,
        "created_at": iso8601_micro(aggregate.created_at),
        "updated_at": None if aggregate.updated_at is None else iso8601_micro(aggregate.updated_at),
        "deleted": False,
        "deleted_at": None,
    }


def server_group_view(group: ServerGroup, members: list[str], *, with_rules: bool) -> Body:
    """Without rules: as before a group had one policy and its rules."""
    shown = {
        "id": group.id,
        "name": group.name,
        "project_id": group.project_id,
        "user_id": group.user_id,
        "members": members,
    }
    if not with_rules:
        return {**shown, "policies": [group.policy], "metadata": {}}
    rules = {} if group.most_on_a_host is None else {"max_server_per_host": group.most_on_a_host}
    return {**shown, "policy": group.policy, "rules": rules}


def action_view(task: Task, server_id: str) -> Body:
    """One operation there was. Actions are a view of the tasks: there is no second bookkeeping."""
    return {
        "action": OPERATIONS[task.program].action,
        "instance_uuid": server_id,
        "request_id": task.request_id,
        "user_id": task.user_id or None,
        "project_id": task.project_id or None,
        "start_time": iso8601_micro(task.created_at),
        "updated_at": iso8601_micro(changed_at(task)),
        "message": "Error" if task.outcome == "failed" else None,
    }


def changed_at(task: Task) -> datetime:
    return task.finished_at or task.step_started_at


def event_view(step: TaskStep, project_id: str, host: str | None) -> Body:
    """A step that was left."""
    return {
        **_event(step.step, step.started_at, project_id, host),
        "finish_time": iso8601_micro(step.finished_at),
        "result": "Error" if step.outcome == "fail" else "Success",
        "details": step.detail,
    }


def open_event_view(task: Task, project_id: str, host: str | None) -> Body:
    """The step a task is at."""
    return {**_event(task.step, task.step_started_at, project_id, host), "details": task.error}


def moment_view(moment: Moment, project_id: str, host: str | None) -> Body:
    """Something that was done inside a step, or before the first one."""
    return {
        **_event(moment.event, moment.started_at, project_id, host),
        "event": moment.event,
        "finish_time": iso8601_micro(moment.finished_at),
        "result": "Success",
    }


def _event(step: str, started_at: datetime, project_id: str, host: str | None) -> Body:
    return {
        "event": EVENTS.get(step, f"compute_{step}"),
        "start_time": iso8601_micro(started_at),
        "finish_time": None,
        "result": None,
        "traceback": None,
        "host": host or "",
        "hostId": host_id(project_id, host),
        "details": None,
    }
