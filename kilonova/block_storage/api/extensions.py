"""/extensions: the parts of the API that were extensions once, by which old clients look for them."""

from typing import Any

from kilonova.block_storage.api.access import VolumeRequest
from kilonova.kit.errors import NotFound

NAMES = {
    "OS-SCH-HNT": "SchedulerHints",
    "capabilities": "Capabilities",
    "os-admin-actions": "AdminActions",
    "os-availability-zone": "AvailabilityZones",
    "os-extended-snapshot-attributes": "ExtendedSnapshotAttributes",
    "os-hosts": "Hosts",
    "os-quota-class-sets": "QuotaClasses",
    "os-quota-sets": "Quotas",
    "os-services": "Services",
    "os-snapshot-actions": "SnapshotActions",
    "os-types-extra-specs": "TypesExtraSpecs",
    "os-types-manage": "TypesManage",
    "os-used-limits": "UsedLimits",
    "os-vol-host-attr": "VolumeHostAttribute",
    "os-vol-image-meta": "VolumeImageMetadata",
    "os-vol-mig-status-attr": "VolumeMigStatusAttribute",
    "os-vol-tenant-attr": "VolumeTenantAttribute",
    "os-volume-actions": "VolumeActions",
    "os-volume-transfer": "VolumeTransfer",
    "os-volume-type-access": "VolumeTypeAccess",
    "qos-specs": "Qos_specs_manage",
    "scheduler-stats": "Scheduler_stats",
}
"""Alias → name of each that is served here."""


def _view(alias: str) -> dict[str, Any]:
    return {
        "alias": alias,
        "name": NAMES[alias],
        "description": "",
        "links": [],
        "updated": "2016-02-08T00:00:00+00:00",
    }


async def list_extensions(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    return {"extensions": [_view(alias) for alias in NAMES]}


async def show_extension(request: VolumeRequest) -> dict[str, Any]:
    request.authorize()
    alias = request.path["alias"]
    if alias not in NAMES:
        raise NotFound(f"There is no extension {alias[:64]} here.")
    return {"extension": _view(alias)}
