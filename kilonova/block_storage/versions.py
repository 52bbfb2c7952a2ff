"""Block storage's microversions: every named change that touches what this service serves, in order.

Source: Block Storage API, "REST API version history". A number without an entry changes nothing here that a client can
see: what it brought is not served yet (groups, clusters, managing, replication).
"""

from typing import Any

from kilonova.kit.http.versions import Change, VersionEdge, without

MINIMUM, MAXIMUM = "3.0", "3.71"

Body = dict[str, Any]


def _without_state(pool: Body) -> None:
    """Before 3.49 a pool does not say whether it is up."""
    pool.get("capabilities", {}).pop("backend_state", None)


CHANGES = [
    Change(
        "3.1",
        "upload_visibility",
        "a volume is uploaded as an image of a visibility",
        {"os-volume_upload_image": without("visibility", "protected")},
    ),
    Change("3.3", "messages", "failures have messages"),
    Change("3.4", "image_metadata_filter", "volumes are filtered by the metadata of their image"),
    Change("3.5", "message_pages", "lists of messages are filtered, sorted and paged"),
    Change("3.7", "cluster_of_service", "services name their cluster", {"service": without("cluster")}),
    Change("3.9", "backup_update", "backups can be changed"),
    Change("3.10", "group_filter", "volumes are filtered by their group"),
    Change("3.12", "summary", "volumes are summed up"),
    Change("3.13", "group_of_volume", "volumes name their group", {"volume": without("group_id")}),
    Change("3.14", "group_of_snapshot", "snapshots name theirs", {"snapshot": without("group_snapshot_id")}),
    Change(
        "3.18",
        "project_of_backup",
        "administrators see the project of a backup",
        {"backup": without("os-backup-project-attr:project_id")},
    ),
    Change("3.21", "provider_id", "administrators see the provider's id", {"volume": without("provider_id")}),
    Change("3.22", "snapshot_metadata_filter", "snapshots are filtered by metadata"),
    Change("3.23", "force_in_delete", "a delete may be forced"),
    Change("3.27", "attachments", "attachments are made and removed by themselves"),
    Change("3.28", "pool_filter", "pools are filtered by their name"),
    Change("3.31", "strict_filters", "a list refuses the filters that it does not have"),
    Change("3.33", "resource_filters", "lists of filters tell what lists can be filtered by"),
    Change("3.34", "like_filters", "a filter whose name ends in ~ looks for a part of a text"),
    Change("3.35", "pools_of_type", "pools are filtered by the volume type that they can take"),
    Change("3.36", "summary_metadata", "a summary has the volumes' metadata", {"volume-summary": without("metadata")}),
    Change("3.40", "revert", "a volume goes back to its latest snapshot"),
    Change("3.41", "user_of_snapshot", "snapshots name their user", {"snapshot": without("user_id")}),
    Change("3.43", "backup_metadata", "backups have metadata", {"backup": without("metadata")}),
    Change("3.44", "attachment_complete", "an attachment is completed by whoever made it"),
    Change("3.45", "counts", "lists tell how many there are in all"),
    Change("3.47", "volume_of_backup", "volumes are made of backups", {"volume": without("backup_id")}),
    Change(
        "3.48",
        "service_of_volume",
        "volumes name their back end's service",
        {"volume": without("service_uuid", "shared_targets")},
    ),
    Change(
        "3.49",
        "backend_state",
        "pools and services say whether their back end is up",
        {"pool": _without_state, "service": without("backend_state")},
    ),
    Change("3.51", "zone_of_backup", "a backup is asked for in an availability zone"),
    Change("3.52", "spec_filter", "volume types are filtered by their extra specs"),
    Change("3.54", "attach_mode", "an attachment is made with a mode"),
    Change("3.55", "transfer_snapshots", "snapshots are transferred with their volume"),
    Change("3.56", "user_of_backup", "backups name their user", {"backup": without("user_id")}),
    Change(
        "3.57",
        "transfer_history",
        "transfers name the projects",
        {"transfer": without("source_project_id", "destination_project_id", "accepted")},
    ),
    Change("3.59", "transfer_pages", "lists of transfers are filtered, sorted and paged"),
    Change("3.60", "time_filters", "volumes and snapshots are filtered by times"),
    Change("3.61", "cluster_of_volume", "volumes name their cluster", {"volume": without("cluster_name")}),
    Change("3.62", "default_types", "projects have default types"),
    Change("3.63", "type_id_of_volume", "volumes name their type by its id", {"volume": without("volume_type_id")}),
    Change("3.64", "encryption_key", "backups name their key", {"backup": without("encryption_key_id")}),
    Change(
        "3.65",
        "consumes_quota",
        "volumes and snapshots say that they take quota",
        {"volume": without("consumes_quota"), "snapshot": without("consumes_quota")},
    ),
]

EDGE = VersionEdge("volume", MINIMUM, MAXIMUM, CHANGES)
