"""The whole API of block storage on one screen. Source: Block Storage API v3 reference.

Paths may name the caller's project behind the version, as older clients do.
"""

from starlette.types import Receive, Scope, Send

from kilonova.block_storage.api import (
    attaching,
    backups,
    bodies,
    extensions,
    hosts,
    metadata,
    qos,
    quotas,
    services,
    snapshots,
    transfers,
    uploads,
    versions,
    volume_actions,
    volume_types,
    volumes,
)
from kilonova.block_storage.api.access import look_up_backup, look_up_snapshot, look_up_volume
from kilonova.block_storage.policy import (
    ACCESS,
    ACTIONS,
    ADMINS,
    BACKUP_ADMINS,
    QOS,
    RULES,
    SNAPSHOT_ADMINS,
    SPECS,
    TYPES,
)
from kilonova.block_storage.service import BlockStorage
from kilonova.block_storage.versions import EDGE
from kilonova.kit.auth import Policy
from kilonova.kit.http.bounds import Free
from kilonova.kit.http.edge import Api, Authenticator, Edge
from kilonova.kit.http.formats import compute_error
from kilonova.kit.http.projects import as_newer_version, below_project, refuse_other_project, without_project
from kilonova.kit.http.routes import PUBLIC, Action, Route

VOLUME, SNAPSHOT, TYPE = "/v3/volumes/{volume_id}", "/v3/snapshots/{snapshot_id}", "/v3/types/{type_id}"
ATTACHMENT, BACKUP = "/v3/attachments/{attachment_id}", "/v3/backups/{backup_id}"
QOS_SPECS, HOST = "/v3/qos-specs/{qos_specs_id}", "/v3/os-hosts/{host}"
IMAGE_METADATA = "volume_extension:volume_image_metadata:"

# fmt: off
VOLUME_ACTIONS = (
    Action("os-extend", volume_actions.extend, "volume:extend", bodies.Extension),
    Action("os-volume_upload_image", uploads.upload_image, f"{ACTIONS}upload_image", bodies.Upload,
           shape="os-volume_upload_image"),
    Action("revert", volume_actions.revert, "volume:revert_to_snapshot", bodies.Revert, since="3.40"),
    Action("os-retype", volume_actions.retype, "volume:retype", bodies.Retype),
    Action("os-set_bootable", volume_actions.set_bootable, f"{ACTIONS}set_bootable", bodies.Bootable, status=200),
    Action("os-update_readonly_flag", volume_actions.set_readonly, "volume:update_readonly_flag", bodies.ReadOnly),
    Action("os-set_image_metadata", volume_actions.set_image_metadata, f"{IMAGE_METADATA}set", bodies.ImageMetadata,
           status=200),
    Action("os-show_image_metadata", volume_actions.show_image_metadata, f"{IMAGE_METADATA}show", Free, status=200),
    Action("os-unset_image_metadata", volume_actions.unset_image_metadata, f"{IMAGE_METADATA}remove",
           bodies.ImageMetadataKey, status=200),
    Action("os-reset_status", volume_actions.reset_status, f"{ADMINS}reset_status", bodies.ResetStatus),
    Action("os-force_delete", volume_actions.force_delete, f"{ADMINS}force_delete", Free),
    Action("os-force_detach", attaching.force_detach, f"{ADMINS}force_detach", bodies.ForceDetach),
    Action("os-reserve", attaching.reserve, f"{ACTIONS}reserve", Free),
    Action("os-unreserve", attaching.unreserve, f"{ACTIONS}unreserve", Free),
    Action("os-begin_detaching", attaching.begin_detaching, f"{ACTIONS}begin_detaching", Free),
    Action("os-roll_detaching", attaching.roll_detaching, f"{ACTIONS}roll_detaching", Free),
    Action("os-attach", attaching.attach, f"{ACTIONS}attach", bodies.Attach),
    Action("os-detach", attaching.detach, f"{ACTIONS}detach", bodies.Detach),
    Action("os-initialize_connection", attaching.initialize_connection, f"{ACTIONS}initialize_connection",
           bodies.Connecting, status=200),
    Action("os-terminate_connection", attaching.terminate_connection, f"{ACTIONS}terminate_connection",
           bodies.Connecting),
)
SNAPSHOT_ACTIONS = (
    Action("os-reset_status", snapshots.reset_status, f"{SNAPSHOT_ADMINS}reset_status", bodies.ResetStatus),
    Action("os-force_delete", snapshots.force_delete, f"{SNAPSHOT_ADMINS}force_delete", Free),
)
BACKUP_ACTIONS = (
    Action("os-reset_status", backups.reset_status, f"{BACKUP_ADMINS}reset_status", bodies.ResetStatus),
    Action("os-force_delete", backups.force_delete, f"{BACKUP_ADMINS}force_delete", Free),
)
TYPE_ACTIONS = (
    Action("addProjectAccess", volume_types.add_access, f"{ACCESS}:addProjectAccess", bodies.Access),
    Action("removeProjectAccess", volume_types.remove_access, f"{ACCESS}:removeProjectAccess", bodies.Access),
)
ATTACHMENT_ACTIONS = (
    Action("os-complete", attaching.complete_attachment, "volume:attachment_complete", Free, status=204, since="3.44"),
)

ROUTES = [
    Route("GET", "/", versions.list_choices, PUBLIC, status=300),
    Route("GET", "/v3", versions.show_version, PUBLIC),
    Route("GET", "/v2", versions.show_version_2, PUBLIC),
    Route("GET", "/v1", versions.refuse_version_1, PUBLIC),
    *(Route(method, "/v1/{rest:path}", versions.refuse_version_1, PUBLIC)
      for method in ("GET", "POST", "PUT", "DELETE")),

    Route("GET", "/v3/volumes", volumes.list_volumes, "volume:get_all", query=volumes.LISTING.query),
    Route("GET", "/v3/volumes/detail", volumes.list_volumes_in_detail, "volume:get_all", shape="volume",
          query=volumes.LISTING.query),
    Route("GET", "/v3/volumes/summary", volumes.show_summary, "volume:get_all", shape="volume-summary", since="3.12",
          query=volumes.SUMMARY_QUERY),
    Route("POST", "/v3/volumes", volumes.create_volume, "volume:create", body=bodies.NewVolumeBody, status=202,
          shape="volume"),
    Route("GET", VOLUME, volumes.show_volume, "volume:get", shape="volume"),
    Route("PUT", VOLUME, volumes.update_volume, "volume:update", body=bodies.ChangedVolumeBody, shape="volume"),
    Route("DELETE", VOLUME, volumes.delete_volume, "volume:delete", status=202, query=volumes.DELETE_QUERY),
    Route("POST", f"{VOLUME}/action", VOLUME_ACTIONS, look_up=look_up_volume),
    Route("GET", f"{VOLUME}/metadata", metadata.OF_VOLUMES.show, "volume:get_volume_metadata"),
    Route("POST", f"{VOLUME}/metadata", metadata.OF_VOLUMES.add, "volume:create_volume_metadata",
          body=bodies.MetadataBody),
    Route("PUT", f"{VOLUME}/metadata", metadata.OF_VOLUMES.replace, "volume:update_volume_metadata",
          body=bodies.MetadataBody),
    Route("GET", f"{VOLUME}/metadata/{{key}}", metadata.OF_VOLUMES.show_item, "volume:get_volume_metadata"),
    Route("PUT", f"{VOLUME}/metadata/{{key}}", metadata.OF_VOLUMES.set_item, "volume:update_volume_metadata",
          body=bodies.MetadataItemBody),
    Route("DELETE", f"{VOLUME}/metadata/{{key}}", metadata.OF_VOLUMES.delete_item, "volume:delete_volume_metadata"),

    Route("GET", "/v3/snapshots", snapshots.list_snapshots, "volume:get_all_snapshots", shape="snapshot",
          query=snapshots.LISTING.query),
    Route("GET", "/v3/snapshots/detail", snapshots.list_snapshots_in_detail, "volume:get_all_snapshots",
          shape="snapshot", query=snapshots.LISTING.query),
    Route("POST", "/v3/snapshots", snapshots.create_snapshot, "volume:create_snapshot", body=bodies.NewSnapshotBody,
          status=202, shape="snapshot"),
    Route("GET", SNAPSHOT, snapshots.show_snapshot, "volume:get_snapshot", shape="snapshot"),
    Route("PUT", SNAPSHOT, snapshots.update_snapshot, "volume:update_snapshot", body=bodies.ChangedSnapshotBody,
          shape="snapshot"),
    Route("DELETE", SNAPSHOT, snapshots.delete_snapshot, "volume:delete_snapshot", status=202),
    Route("POST", f"{SNAPSHOT}/action", SNAPSHOT_ACTIONS, look_up=look_up_snapshot),
    Route("GET", f"{SNAPSHOT}/metadata", metadata.OF_SNAPSHOTS.show, "volume:get_snapshot_metadata"),
    Route("POST", f"{SNAPSHOT}/metadata", metadata.OF_SNAPSHOTS.add, "volume:update_snapshot_metadata",
          body=bodies.MetadataBody),
    Route("PUT", f"{SNAPSHOT}/metadata", metadata.OF_SNAPSHOTS.replace, "volume:update_snapshot_metadata",
          body=bodies.MetadataBody),
    Route("GET", f"{SNAPSHOT}/metadata/{{key}}", metadata.OF_SNAPSHOTS.show_item, "volume:get_snapshot_metadata"),
    Route("PUT", f"{SNAPSHOT}/metadata/{{key}}", metadata.OF_SNAPSHOTS.set_item, "volume:update_snapshot_metadata",
          body=bodies.MetadataItemBody),
    Route("DELETE", f"{SNAPSHOT}/metadata/{{key}}", metadata.OF_SNAPSHOTS.delete_item,
          "volume:delete_snapshot_metadata"),

    Route("GET", "/v3/backups", backups.list_backups, "backup:get_all", query=backups.LISTING.query),
    Route("GET", "/v3/backups/detail", backups.list_backups_in_detail, "backup:get_all", shape="backup",
          query=backups.LISTING.query),
    Route("POST", "/v3/backups", backups.create_backup, "backup:create", body=bodies.NewBackupBody, status=202),
    Route("GET", BACKUP, backups.show_backup, "backup:get", shape="backup"),
    Route("PUT", BACKUP, backups.update_backup, "backup:update", body=bodies.ChangedBackupBody, since="3.9"),
    Route("DELETE", BACKUP, backups.delete_backup, "backup:delete", status=202),
    Route("POST", f"{BACKUP}/restore", backups.restore_backup, "backup:restore", body=bodies.RestoreBody, status=202),
    Route("GET", f"{BACKUP}/export_record", backups.export_record, "backup:export-import"),
    Route("POST", "/v3/backups/import_record", backups.import_record, "backup:backup-import",
          body=bodies.ExportedBackupBody, status=201),
    Route("POST", f"{BACKUP}/action", BACKUP_ACTIONS, look_up=look_up_backup),

    Route("GET", "/v3/attachments", attaching.list_attachments, "volume:attachment_get", since="3.27",
          query=attaching.LISTING.query),
    Route("GET", "/v3/attachments/detail", attaching.list_attachments_in_detail, "volume:attachment_get",
          since="3.27", query=attaching.LISTING.query),
    Route("POST", "/v3/attachments", attaching.create_attachment, "volume:attachment_create", since="3.27",
          body=bodies.NewAttachmentBody),
    Route("GET", ATTACHMENT, attaching.show_attachment, "volume:attachment_get", since="3.27"),
    Route("PUT", ATTACHMENT, attaching.update_attachment, "volume:attachment_update", since="3.27",
          body=bodies.ChangedAttachmentBody),
    Route("DELETE", ATTACHMENT, attaching.delete_attachment, "volume:attachment_delete", since="3.27"),
    Route("POST", f"{ATTACHMENT}/action", ATTACHMENT_ACTIONS, since="3.44", look_up=attaching.look_up_attachment),

    *(
        route
        for path, create, body in (
            ("/v3/volume-transfers", transfers.create_transfer, bodies.NewTransferBody),
            ("/v3/os-volume-transfer", transfers.create_transfer_without_snapshots, bodies.NewOldTransferBody),
        )
        for route in (
            Route("GET", path, transfers.list_transfers, "volume:get_all_transfers", query=transfers.LISTING.query),
            Route("GET", f"{path}/detail", transfers.list_transfers_in_detail, "volume:get_all_transfers",
                  shape="transfer", query=transfers.LISTING.query),
            Route("POST", path, create, "volume:create_transfer", body=body, status=202, shape="transfer"),
            Route("GET", f"{path}/{{transfer_id}}", transfers.show_transfer, "volume:get_transfer", shape="transfer"),
            Route("DELETE", f"{path}/{{transfer_id}}", transfers.delete_transfer, "volume:delete_transfer",
                  status=202),
            Route("POST", f"{path}/{{transfer_id}}/accept", transfers.accept_transfer, "volume:accept_transfer",
                  body=bodies.AcceptBody, status=202),
        )
    ),

    Route("GET", "/v3/types", volume_types.list_types, f"{TYPES}get_all", query=volume_types.LISTING.query),
    Route("POST", "/v3/types", volume_types.create_type, f"{TYPES}create", body=bodies.NewTypeBody),
    Route("GET", TYPE, volume_types.show_type, f"{TYPES}get"),
    Route("PUT", TYPE, volume_types.update_type, f"{TYPES}update", body=bodies.ChangedTypeBody),
    Route("DELETE", TYPE, volume_types.delete_type, f"{TYPES}delete", status=202),
    Route("POST", f"{TYPE}/action", TYPE_ACTIONS, look_up=volume_types.look_up_type),
    Route("GET", f"{TYPE}/os-volume-type-access", volume_types.list_access, f"{ACCESS}:get_all_for_type"),
    Route("GET", f"{TYPE}/extra_specs", volume_types.list_specs, f"{SPECS}index"),
    Route("POST", f"{TYPE}/extra_specs", volume_types.add_specs, f"{SPECS}create", body=bodies.SpecsBody),
    Route("GET", f"{TYPE}/extra_specs/{{key}}", volume_types.show_spec, f"{SPECS}show"),
    Route("PUT", f"{TYPE}/extra_specs/{{key}}", volume_types.set_spec, f"{SPECS}update", body=bodies.OneSpec),
    Route("DELETE", f"{TYPE}/extra_specs/{{key}}", volume_types.delete_spec, f"{SPECS}delete", status=202),
    Route("GET", "/v3/default-types", volume_types.list_defaults, "volume_extension:default_get_all", since="3.62"),
    Route("GET", "/v3/default-types/{project_id}", volume_types.show_default, "volume_extension:default_get",
          since="3.62"),
    Route("PUT", "/v3/default-types/{project_id}", volume_types.set_default, "volume_extension:default_set_or_update",
          since="3.62", body=bodies.DefaultTypeBody),
    Route("DELETE", "/v3/default-types/{project_id}", volume_types.unset_default, "volume_extension:default_unset",
          since="3.62", status=204),

    Route("GET", "/v3/qos-specs", qos.list_specs, f"{QOS}get_all", query=qos.LISTING.query),
    Route("POST", "/v3/qos-specs", qos.create_specs, f"{QOS}create", body=bodies.NewQosSpecsBody),
    Route("GET", QOS_SPECS, qos.show_specs, f"{QOS}get"),
    Route("PUT", QOS_SPECS, qos.update_specs, f"{QOS}update", body=bodies.ChangedQosSpecsBody),
    Route("DELETE", QOS_SPECS, qos.delete_specs, f"{QOS}delete", status=202, query=qos.DELETE_QUERY),
    Route("PUT", f"{QOS_SPECS}/delete_keys", qos.delete_keys, f"{QOS}update", body=bodies.QosKeys, status=202),
    Route("GET", f"{QOS_SPECS}/associations", qos.list_associations, f"{QOS}get"),
    Route("GET", f"{QOS_SPECS}/associate", qos.associate, f"{QOS}update", status=202, query=qos.TYPE_QUERY),
    Route("GET", f"{QOS_SPECS}/disassociate", qos.disassociate, f"{QOS}update", status=202, query=qos.TYPE_QUERY),
    Route("GET", f"{QOS_SPECS}/disassociate_all", qos.disassociate_all, f"{QOS}update", status=202),

    Route("GET", "/v3/limits", quotas.show_limits, "limits_extension:used_limits", query={"project_id": None}),
    Route("GET", "/v3/os-quota-sets/{project_id}", quotas.show_quotas, "volume_extension:quotas:show",
          query=quotas.QUERY),
    Route("PUT", "/v3/os-quota-sets/{project_id}", quotas.update_quotas, "volume_extension:quotas:update",
          body=bodies.QuotaSetBody),
    Route("DELETE", "/v3/os-quota-sets/{project_id}", quotas.delete_quotas, "volume_extension:quotas:delete"),
    Route("GET", "/v3/os-quota-sets/{project_id}/defaults", quotas.show_defaults, "volume_extension:quotas:show"),
    Route("GET", "/v3/os-quota-class-sets/{class_name}", quotas.show_class, "volume_extension:quota_classes:get"),
    Route("PUT", "/v3/os-quota-class-sets/{class_name}", quotas.update_class, "volume_extension:quota_classes:update",
          body=bodies.QuotaClassBody),

    Route("GET", "/v3/os-services", services.list_services, "volume_extension:services:index", shape="service",
          query=services.SERVICES.query),
    Route("PUT", "/v3/os-services/enable", services.enable, "volume_extension:services:update",
          body=bodies.ServiceChange),
    Route("PUT", "/v3/os-services/disable", services.disable, "volume_extension:services:update",
          body=bodies.ServiceChange),
    Route("PUT", "/v3/os-services/disable-log-reason", services.disable_with_reason,
          "volume_extension:services:update", body=bodies.ServiceChange),
    Route("GET", "/v3/scheduler-stats/get_pools", services.list_pools, "scheduler_extension:scheduler_stats:get_pools",
          shape="pool", query=services.POOLS.query),
    Route("GET", "/v3/os-hosts", hosts.list_hosts, "volume_extension:hosts", query=hosts.HOSTS.query),
    Route("GET", HOST, hosts.show_host, "volume_extension:hosts"),
    Route("PUT", HOST, hosts.update_host, "volume_extension:hosts", body=bodies.HostChange),
    Route("GET", "/v3/capabilities/{host}", hosts.show_capabilities, "volume_extension:capabilities"),
    Route("GET", "/v3/resource_filters", hosts.list_filters, "resource_filters:get_all", since="3.33",
          query=hosts.FILTERS.query),
    Route("GET", "/v3/os-availability-zone", services.list_zones, "volume_extension:availability_zone_list"),
    Route("GET", "/v3/extensions", extensions.list_extensions, "volume_extension:list_extensions"),
    Route("GET", "/v3/extensions/{alias}", extensions.show_extension, "volume_extension:list_extensions"),
    Route("GET", "/v3/messages", services.list_messages, "message:get_all", since="3.3",
          query=services.MESSAGES.query),
    Route("GET", "/v3/messages/{message_id}", services.show_message, "message:get", since="3.3"),
    Route("DELETE", "/v3/messages/{message_id}", services.delete_message, "message:delete", since="3.3", status=204),
]
# fmt: on

_WITH_PROJECT = below_project("/v[23]")
VERSION_HEADERS = (b"openstack-api-version",)


class VolumeEdge(Edge[BlockStorage]):
    """The edge of block storage's API, for paths with a project and without.

    `/v2` is version 3.0, whose bodies are the same.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        plain = as_newer_version(without_project(scope, _WITH_PROJECT), "/v2/", "/v3/", VERSION_HEADERS)
        await super().__call__(plain, receive, send)


def make_app(
    service: BlockStorage, authenticator: Authenticator, policy_overrides: dict[str, str] | None = None
) -> Edge[BlockStorage]:
    """The ASGI app of the block storage API (cinder-api)."""
    api = Api(
        "block-storage",
        service,
        ROUTES,
        Policy(RULES, policy_overrides),
        authenticator,
        compute_error,
        versions=EDGE,
        admit=refuse_other_project,
        check=service.database.check,
        request_id_headers=("x-openstack-request-id", "x-compute-request-id"),
    )
    return VolumeEdge(api)
