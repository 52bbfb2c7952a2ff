"""Notices about decisions of the scheduler: what it was asked."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from kilonova.compute.notifications.notices import versioned
from kilonova.compute.notifications.records import flavor_payload, group_payload
from kilonova.compute.tables import Flavor, Migration, Server, ServerGroup
from kilonova.kit.tasks import Task

START, END = "scheduler.select_destinations.start", "scheduler.select_destinations.end"


class Group(Struct, frozen=True):
    """The group of a server, with the ids of its members."""

    row: ServerGroup
    members: Sequence[str]


def request_payload(server: Server, task: Task, migration: Migration | None, group: Group | None) -> dict[str, Any]:
    """Returns what the scheduler was asked for a server. `migration`: the move that the decision was for."""
    flavor = (migration.new_flavor if migration else None) or server.flavor
    may_stay = migration is None or task.args.get("may_stay", False)
    failures = list(task.args.get("failures", {}))
    return versioned(
        "RequestSpecPayload",
        "1.1",
        instance_uuid=server.id,
        project_id=server.project_id,
        user_id=server.user_id,
        availability_zone=server.requested_zone,
        flavor=flavor_payload(msgspec.convert(flavor, Flavor)),
        force_hosts=server.requested_host if migration is None else None,
        force_nodes=None,
        ignore_hosts=[migration.source_host] if migration and not may_stay else None,
        image=_image_payload(server.image) if server.image else None,
        instance_group=None if group is None else group_payload(group.row, group.members),
        num_instances=1,
        numa_topology=None,
        pci_requests=versioned("InstancePCIRequestsPayload", "1.0", instance_uuid=server.id, requests=[]),
        requested_destination=_destination(task.args.get("requested_host", "")),
        retry=_retries(failures) if failures else None,
        scheduler_hints={name: _listed(value) for name, value in server.scheduler_hints.items()},
        security_groups=server.security_groups,
    )


def _image_payload(image: dict[str, Any]) -> dict[str, Any]:
    """Returns the image as the server keeps it; the image service alone knows the rest."""
    return versioned(
        "ImageMetaPayload",
        "1.0",
        id=image.get("id"),
        name=None,
        status="active",
        visibility=None,
        protected=None,
        checksum=None,
        owner=None,
        size=image.get("size_bytes"),
        virtual_size=None,
        container_format=None,
        disk_format=image.get("disk_format"),
        created_at=None,
        updated_at=None,
        tags=[],
        direct_url=None,
        min_ram=image.get("min_ram_mib", 0),
        min_disk=image.get("min_disk_gib", 0),
        properties=versioned("ImageMetaPropsPayload", "1.6", **image.get("properties", {})),
    )


def _destination(host: str) -> dict[str, Any] | None:
    if not host:
        return None
    return versioned("DestinationPayload", "1.0", host=host, node=None, cell=None, aggregates=None)


def _retries(hosts: Sequence[str]) -> dict[str, Any]:
    return versioned("SchedulerRetriesPayload", "1.0", num_attempts=len(hosts) + 1, hosts=list(hosts))


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
