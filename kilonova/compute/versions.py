"""Compute's microversions: every named change that touches what this service serves, in order.

Source: the Compute API's microversion history. A number without an entry changes nothing here that a client can see.
"""

import json
from typing import Any

from kilonova.kit.http.versions import Change, Downgrade, VersionEdge, without

MINIMUM, MAXIMUM = "2.1", "2.104"

Body = dict[str, Any]


def _text_cpu_info(hypervisor: Body) -> None:
    """Before 2.28 cpu_info is JSON in a string."""

    if isinstance(hypervisor.get("cpu_info"), dict):
        hypervisor["cpu_info"] = json.dumps(hypervisor["cpu_info"])


def _empty_swap(flavor: Body) -> None:
    """Before 2.75 no swap is an empty text."""
    if flavor.get("swap") == 0:
        flavor["swap"] = ""


def _untyped_keypair(keypair: Body) -> None:
    """Entries of a list are wrapped once more."""
    keypair.get("keypair", keypair).pop("type", None)


def _volumes_without_fate(server: Body) -> None:
    for volume in server.get("os-extended-volumes:volumes_attached", ()):
        volume.pop("delete_on_termination", None)


def _downgrades(*several: Downgrade) -> Downgrade:
    def downgrade(body: Body) -> None:
        for each in several:
            each(body)

    return downgrade


def _known_by_volume(attachment: Body) -> None:
    """Before 2.89 an attachment has no ids of its own, and shows the volume's in their place."""
    for key in ("attachment_id", "bdm_uuid"):
        attachment.pop(key, None)
    attachment["id"] = attachment["volumeId"]


def _hostname_for_administrators(server: Body) -> None:
    """Before 2.90 a server's host name is one of the attributes that only administrators see."""
    if "OS-EXT-SRV-ATTR:host" not in server:
        server.pop("OS-EXT-SRV-ATTR:hostname", None)


def _event_without(*keys: str) -> Downgrade:
    def downgrade(action: Body) -> None:
        for event in action.get("events", ()):
            for key in keys:
                event.pop(key, None)

    return downgrade


def _migration_untyped(migration: Body) -> None:
    """Before 2.23."""
    for key in ("migration_type", "links"):
        migration.pop(key, None)


def _image_without_properties(server: Body) -> None:
    if isinstance(server.get("image"), dict):
        server["image"].pop("properties", None)


CHANGES = [
    Change("2.2", "keypair_type", "key pairs have a type", {"keypair": _untyped_keypair}),
    Change(
        "2.3",
        "server_extended_attributes",
        "administrators see more of a server",
        {
            "server": _downgrades(
                _volumes_without_fate,
                without(
                    "OS-EXT-SRV-ATTR:reservation_id",
                    "OS-EXT-SRV-ATTR:launch_index",
                    "OS-EXT-SRV-ATTR:ramdisk_id",
                    "OS-EXT-SRV-ATTR:kernel_id",
                    "OS-EXT-SRV-ATTR:hostname",
                    "OS-EXT-SRV-ATTR:root_device_name",
                    "OS-EXT-SRV-ATTR:user_data",
                ),
            )
        },
    ),
    Change("2.5", "ip6_filter", "users may filter servers by IPv6 address"),
    Change("2.7", "private_flavor_access", "only private flavors have a list of projects"),
    Change("2.9", "server_locked", "servers show whether they are locked", {"server": without("locked")}),
    Change("2.10", "keypair_of_user", "administrators act on other users' key pairs"),
    Change("2.11", "service_forced_down", "services can be forced down", {"service": without("forced_down")}),
    Change(
        "2.13",
        "group_owner",
        "server groups show whose they are",
        {"server_group": without("project_id", "user_id")},
    ),
    Change("2.14", "evacuation_finds_storage", "an evacuation finds out itself where disks are"),
    Change("2.15", "soft_group_policies", "server groups may wish without insisting"),
    Change("2.16", "server_host_status", "servers show their host's status", {"server": without("host_status")}),
    Change("2.19", "server_description", "servers have a description", {"server": without("description")}),
    Change("2.21", "actions_of_deleted_servers", "a deleted server's actions can be read"),
    Change("2.23", "migration_type", "migrations say what they are", {"migration": _migration_untyped}),
    Change("2.26", "server_tags", "servers have tags", {"server": without("tags")}),
    Change("2.28", "hypervisor_cpu_info", "cpu_info is an object", {"hypervisor": _text_cpu_info}),
    Change("2.31", "tokens_of_all_consoles", "tokens of all consoles are shown, not of RDP's alone"),
    Change("2.32", "device_tags_at_first", "interfaces and disks have tags"),
    Change("2.33", "hypervisor_paging", "lists of hypervisors come in pages"),
    Change("2.35", "keypair_paging", "lists of key pairs come in pages"),
    Change("2.36", "network_proxies_gone", "networks are asked of the network service"),
    Change("2.37", "network_auto_none", "networks are required, and may be auto or none"),
    Change("2.38", "strict_status_filter", "an unknown status filter is refused"),
    Change("2.39", "image_proxies_gone", "images are asked of the image service"),
    Change("2.40", "usage_paging", "usage comes in pages"),
    Change("2.41", "aggregate_uuid", "aggregates have a UUID", {"aggregate": without("uuid")}),
    Change("2.42", "device_tags", "tags of interfaces and disks are back, which got lost on the way"),
    Change("2.45", "image_id_in_body", "the id of an image made of a server is in the answer's body"),
    Change("2.47", "server_flavor_copy", "servers show their flavor's values"),
    Change("2.48", "standard_diagnostics", "diagnostics are the same for every driver"),
    Change("2.50", "groups_in_quota_classes", "quota classes name server groups"),
    Change("2.51", "action_events_for_owners", "owners see the events of an action, without traces"),
    Change("2.53", "service_and_hypervisor_uuids", "services and hypervisors are named by UUID"),
    Change("2.54", "rebuild_key_name", "a rebuild may change the key pair, and shows it"),
    Change("2.55", "flavor_description", "flavors have a description", {"flavor": without("description")}),
    Change("2.57", "rebuild_user_data", "a rebuild may change the user data, and shows them"),
    Change("2.57", "quotas_without_files", "files are no longer injected"),
    Change(
        "2.58",
        "action_paging",
        "lists of actions come in pages, and actions say when they changed last",
        {"instanceAction": without("updated_at")},
    ),
    Change(
        "2.59",
        "migration_paging",
        "lists of migrations come in pages, and migrations have a UUID",
        {"migration": without("uuid")},
    ),
    Change("2.61", "flavor_extra_specs", "flavors show their extra specs", {"flavor": without("extra_specs")}),
    Change("2.62", "action_event_host", "events say where", {"instanceAction": _event_without("host", "hostId")}),
    Change(
        "2.63",
        "trusted_image_certificates",
        "servers show trusted image certificates",
        {"server": without("trusted_image_certificates")},
    ),
    Change("2.64", "group_policy_with_rules", "server groups have one policy, with rules"),
    Change("2.65", "abort_queued_migrations", "live migrations can be aborted before they run"),
    Change("2.66", "changes_before", "lists can be narrowed to what changed before a time"),
    Change("2.69", "partial_results", "a cell that is down costs its rows only"),
    Change(
        "2.70",
        "tagged_devices",
        "interfaces and volumes show their tag",
        {"interfaceAttachment": without("tag"), "volumeAttachment": without("tag")},
    ),
    Change("2.71", "server_groups_of_server", "servers show their server groups", {"server": without("server_groups")}),
    Change("2.73", "server_locked_reason", "a lock has a reason", {"server": without("locked_reason")}),
    Change("2.75", "strict_queries", "unknown query parameters are refused in more places", {"flavor": _empty_swap}),
    Change("2.75", "update_shows_whole_server", "a changed server is shown as whole as any"),
    Change(
        "2.79",
        "attachment_deletes_volume",
        "attachments of volumes say whether the volume is deleted with the server",
        {"volumeAttachment": without("delete_on_termination")},
    ),
    Change(
        "2.80",
        "migration_owners",
        "migrations say who asked for them, and are listed by that",
        {"migration": without("project_id", "user_id")},
    ),
    Change("2.83", "server_filters_for_all", "users may filter by more of a server's fields"),
    Change("2.84", "action_event_details", "events have details", {"instanceAction": _event_without("details")}),
    Change("2.85", "attachment_changes", "whether a volume is deleted with its server can be changed"),
    Change("2.86", "extra_specs_checked", "extra specs of known namespaces are checked"),
    Change("2.88", "hypervisor_without_use", "what hypervisors hold is asked of placement"),
    Change(
        "2.89",
        "attachment_ids",
        "attachments of volumes show the ids that block storage and compute know them by",
        {"volumeAttachment": _known_by_volume},
    ),
    Change(
        "2.90",
        "server_hostname",
        "servers have a host name of their own",
        {"server": _hostname_for_administrators},
    ),
    Change("2.92", "keypair_import_only", "key pairs are brought along, not generated"),
    Change("2.94", "hostname_with_domain", "a host name may be fully qualified"),
    Change("2.95", "evacuated_servers_stay_off", "evacuated servers are not started"),
    Change(
        "2.96",
        "pinned_availability_zone",
        "servers show the zone they are pinned to",
        {"server": without("pinned_availability_zone")},
    ),
    Change("2.98", "server_image_properties", "servers show image properties", {"server": _image_without_properties}),
    Change("2.99", "spice_direct_console", "SPICE without a browser", {"console": without("tls_port")}),
    Change("2.100", "server_scheduler_hints", "servers show scheduler hints", {"server": without("scheduler_hints")}),
    Change("2.101", "volume_attach_async", "a volume's attachment is answered before it is there"),
    Change("2.102", "flavor_without_rxtx", "flavors lose two fields nobody used"),
    Change("2.104", "pin_availability_zone", "servers can be pinned to their zone and unpinned"),
]

EDGE = VersionEdge("compute", MINIMUM, MAXIMUM, CHANGES, legacy_header="X-OpenStack-Nova-API-Version")
