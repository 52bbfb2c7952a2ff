"""What projects have used, as the Compute API shows it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from kilonova.compute.servers.usage import Used

Body = dict[str, Any]
MOMENT = "%Y-%m-%dT%H:%M:%S.%f"


def project_usage_view(project_id: str, found: Sequence[Used], start: datetime, end: datetime) -> Body:
    return {
        "tenant_id": project_id,
        "start": start.strftime(MOMENT),
        "stop": end.strftime(MOMENT),
        "total_hours": sum(each.hours for each in found),
        "total_vcpus_usage": sum(each.hours * each.vcpus for each in found),
        "total_memory_mb_usage": sum(each.hours * each.memory_mib for each in found),
        "total_local_gb_usage": sum(each.hours * each.disk_gib for each in found),
    }


def server_usage_view(used: Used, now: datetime) -> Body:
    return {
        "instance_id": used.id,
        "name": used.name,
        "tenant_id": used.project_id,
        "flavor": used.flavor_name,
        "vcpus": used.vcpus,
        "memory_mb": used.memory_mib,
        "local_gb": used.disk_gib,
        "hours": used.hours,
        "started_at": used.launched_at.strftime(MOMENT),
        "ended_at": None if used.ended_at is None else used.ended_at.strftime(MOMENT),
        "uptime": int(((used.ended_at or now) - used.launched_at).total_seconds()),
        "state": used.vm_state if used.ended_at is None else "terminated",
    }
