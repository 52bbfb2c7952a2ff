"""What projects have used, as the Compute API shows it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kilonova.compute.usage import Used

Body = dict[str, Any]
MOMENT = "%Y-%m-%dT%H:%M:%S.%f"


def project_usage_view(project_id: str, found: Sequence[Used], start: datetime, end: datetime) -> Body:
    return {
        "tenant_id": project_id,
        "start": start.strftime(MOMENT),
        "stop": end.strftime(MOMENT),
        "total_hours": sum(each.hours for each in found),
        "total_vcpus_usage": sum(each.hours * each.server.vcpus for each in found),
        "total_memory_mb_usage": sum(each.hours * each.server.memory_mib for each in found),
        "total_local_gb_usage": sum(each.hours * _disk_gib(each) for each in found),
    }


def server_usage_view(used: Used, now: datetime) -> Body:
    server = used.server
    started = server.launched_at or server.created_at
    return {
        "instance_id": server.id,
        "name": server.name,
        "tenant_id": server.project_id,
        "flavor": server.flavor["name"],
        "vcpus": server.vcpus,
        "memory_mb": server.memory_mib,
        "local_gb": _disk_gib(used),
        "hours": used.hours,
        "started_at": started.strftime(MOMENT),
        "ended_at": None if used.ended_at is None else used.ended_at.strftime(MOMENT),
        "uptime": int(((used.ended_at or now) - started).total_seconds()),
        "state": server.vm_state if used.ended_at is None else "terminated",
    }


def _disk_gib(used: Used) -> int:
    flavor = used.server.flavor
    disk_gib: int = flavor["root_gib"] + flavor["ephemeral_gib"]
    return disk_gib
