"""The whole compute API on one screen. Source: Compute API v2.1 reference; numbers are microversions."""

from kilonova.compute.api import (
    aggregates,
    events,
    flavors,
    hosts,
    instance_actions,
    keypairs,
    quotas,
    server_actions,
    server_groups,
    server_lists,
    server_metadata,
    server_networking,
    server_passwords,
    servers,
    usage,
    versions,
)
from kilonova.compute.api.server_actions import ConsoleOutput, Lock, Reboot, State
from kilonova.compute.policy import RULES
from kilonova.compute.service import Compute
from kilonova.compute.versions import EDGE
from kilonova.kit.auth import Policy
from kilonova.kit.http.edge import Api, Authenticator, Edge
from kilonova.kit.http.formats import compute_error
from kilonova.kit.http.routes import PUBLIC, Action, Route

# fmt: off
P = "os_compute_api:"

SERVER_ACTIONS = (
    Action("reboot", server_actions.reboot_server, P + "servers:reboot", body=Reboot),
    Action("os-start", server_actions.start_server, P + "servers:start"),
    Action("os-stop", server_actions.stop_server, P + "servers:stop"),
    Action("pause", server_actions.pause_server, P + "os-pause-server:pause"),
    Action("unpause", server_actions.unpause_server, P + "os-pause-server:unpause"),
    Action("suspend", server_actions.suspend_server, P + "os-suspend-server:suspend"),
    Action("resume", server_actions.resume_server, P + "os-suspend-server:resume"),
    Action("lock", server_actions.lock_server, P + "os-lock-server:lock", until="2.72"),
    Action("lock", server_actions.lock_server, P + "os-lock-server:lock", body=Lock | None, since="2.73"),
    Action("unlock", server_actions.unlock_server, P + "os-lock-server:unlock"),
    Action("addSecurityGroup", server_networking.add_security_group, P + "os-security-groups:add",
           body=server_networking.NamedGroup),
    Action("removeSecurityGroup", server_networking.remove_security_group, P + "os-security-groups:remove",
           body=server_networking.NamedGroup),
    Action("os-resetState", server_actions.reset_server_state, P + "os-admin-actions:reset_state", body=State),
    Action("forceDelete", server_actions.force_delete_server, P + "os-deferred-delete:force"),
    Action("os-getConsoleOutput", server_actions.show_console_output, P + "os-console-output",
           body=ConsoleOutput, status=200),
)

FLAVOR_ACTIONS = (
    Action("addTenantAccess", flavors.add_access, P + "os-flavor-access:add_tenant_access",
           body=flavors.Access, status=200),
    Action("removeTenantAccess", flavors.remove_access, P + "os-flavor-access:remove_tenant_access",
           body=flavors.Access, status=200),
)

AGGREGATE_ACTIONS = (
    Action("add_host", aggregates.add_host, P + "os-aggregates:add_host", body=aggregates.NamedHost, status=200,
           shape="aggregate"),
    Action("remove_host", aggregates.remove_host, P + "os-aggregates:remove_host", body=aggregates.NamedHost,
           status=200, shape="aggregate"),
    Action("set_metadata", aggregates.set_metadata, P + "os-aggregates:set_metadata",
           body=aggregates.ChangedMetadata, status=200, shape="aggregate"),
)

ROUTES = [
    Route("GET", "/", versions.list_versions, PUBLIC),
    Route("GET", "/v2.1", versions.show_version, PUBLIC),

    Route("GET", "/v2.1/flavors", flavors.list_flavors, P + "flavors", shape="flavor"),
    Route("POST", "/v2.1/flavors", flavors.create_flavor, P + "os-flavor-manage:create",
          body=flavors.NewFlavorBody, lax=True, shape="flavor"),
    Route("GET", "/v2.1/flavors/detail", flavors.list_flavors_detail, P + "flavors", shape="flavor"),
    Route("GET", "/v2.1/flavors/{flavor_id}", flavors.show_flavor, P + "flavors", shape="flavor"),
    Route("PUT", "/v2.1/flavors/{flavor_id}", flavors.update_flavor, P + "os-flavor-manage:update",
          body=flavors.ChangedFlavorBody, since="2.55", shape="flavor"),
    Route("DELETE", "/v2.1/flavors/{flavor_id}", flavors.delete_flavor, P + "os-flavor-manage:delete", status=202),
    Route("POST", "/v2.1/flavors/{flavor_id}/action", FLAVOR_ACTIONS),
    Route("GET", "/v2.1/flavors/{flavor_id}/os-flavor-access", flavors.list_access, P + "os-flavor-access"),
    Route("GET", "/v2.1/flavors/{flavor_id}/os-extra_specs", flavors.list_extra_specs,
          P + "os-flavor-extra-specs:index"),
    Route("POST", "/v2.1/flavors/{flavor_id}/os-extra_specs", flavors.create_extra_specs,
          P + "os-flavor-extra-specs:create", body=flavors.ExtraSpecsBody, lax=True),
    Route("GET", "/v2.1/flavors/{flavor_id}/os-extra_specs/{key}", flavors.show_extra_spec,
          P + "os-flavor-extra-specs:show"),
    Route("PUT", "/v2.1/flavors/{flavor_id}/os-extra_specs/{key}", flavors.update_extra_spec,
          P + "os-flavor-extra-specs:update", body=dict[flavors.SpecKey, flavors.SpecValue], lax=True),
    Route("DELETE", "/v2.1/flavors/{flavor_id}/os-extra_specs/{key}", flavors.delete_extra_spec,
          P + "os-flavor-extra-specs:delete"),

    Route("GET", "/v2.1/os-keypairs", keypairs.list_keypairs, P + "os-keypairs:index", shape="keypair"),
    Route("POST", "/v2.1/os-keypairs", keypairs.create_keypair, P + "os-keypairs:create",
          body=keypairs.NewKeypairBody, shape="keypair"),
    Route("GET", "/v2.1/os-keypairs/{name}", keypairs.show_keypair, P + "os-keypairs:show", shape="keypair"),
    Route("DELETE", "/v2.1/os-keypairs/{name}", keypairs.delete_keypair, P + "os-keypairs:delete"),

    Route("GET", "/v2.1/servers", server_lists.list_servers, P + "servers:index"),
    Route("POST", "/v2.1/servers", servers.create_server, P + "servers:create",
          body=servers.NewServerBody, lax=True, status=202, max_body_bytes=200_000),
    Route("GET", "/v2.1/servers/detail", server_lists.list_servers_detail, P + "servers:detail", shape="server"),
    Route("GET", "/v2.1/servers/{server_id}", servers.show_server, P + "servers:show", shape="server"),
    Route("PUT", "/v2.1/servers/{server_id}", servers.update_server, P + "servers:update",
          body=servers.ChangedServerBody, shape="server"),
    Route("DELETE", "/v2.1/servers/{server_id}", servers.delete_server, P + "servers:delete", status=204),
    Route("POST", "/v2.1/servers/{server_id}/action", SERVER_ACTIONS),
    Route("GET", "/v2.1/servers/{server_id}/ips", servers.list_addresses, P + "ips:index"),
    Route("GET", "/v2.1/servers/{server_id}/ips/{label}", servers.list_addresses_of_network, P + "ips:show"),
    Route("GET", "/v2.1/servers/{server_id}/metadata", server_metadata.list_metadata, P + "server-metadata:index"),
    Route("POST", "/v2.1/servers/{server_id}/metadata", server_metadata.update_metadata,
          P + "server-metadata:create", body=server_metadata.MetadataBody),
    Route("PUT", "/v2.1/servers/{server_id}/metadata", server_metadata.replace_metadata,
          P + "server-metadata:update_all", body=server_metadata.MetadataBody),
    Route("GET", "/v2.1/servers/{server_id}/metadata/{key}", server_metadata.show_item, P + "server-metadata:show"),
    Route("PUT", "/v2.1/servers/{server_id}/metadata/{key}", server_metadata.set_item, P + "server-metadata:update",
          body=server_metadata.ItemBody),
    Route("DELETE", "/v2.1/servers/{server_id}/metadata/{key}", server_metadata.delete_item,
          P + "server-metadata:delete", status=204),
    Route("GET", "/v2.1/servers/{server_id}/tags", server_metadata.list_tags, P + "os-server-tags:index",
          since="2.26"),
    Route("PUT", "/v2.1/servers/{server_id}/tags", server_metadata.replace_tags, P + "os-server-tags:update_all",
          body=server_metadata.TagsBody, since="2.26"),
    Route("DELETE", "/v2.1/servers/{server_id}/tags", server_metadata.delete_tags, P + "os-server-tags:delete_all",
          status=204, since="2.26"),
    Route("GET", "/v2.1/servers/{server_id}/tags/{tag}", server_metadata.show_tag, P + "os-server-tags:show",
          since="2.26"),
    Route("PUT", "/v2.1/servers/{server_id}/tags/{tag}", server_metadata.add_tag, P + "os-server-tags:update",
          since="2.26"),
    Route("DELETE", "/v2.1/servers/{server_id}/tags/{tag}", server_metadata.delete_tag, P + "os-server-tags:delete",
          status=204, since="2.26"),
    Route("GET", "/v2.1/servers/{server_id}/os-interface", server_networking.list_interfaces,
          P + "os-attach-interfaces:list", shape="interfaceAttachment"),
    Route("GET", "/v2.1/servers/{server_id}/os-interface/{port_id}", server_networking.show_interface,
          P + "os-attach-interfaces:show", shape="interfaceAttachment"),
    Route("GET", "/v2.1/servers/{server_id}/os-security-groups", server_networking.list_security_groups,
          P + "os-security-groups:list"),
    Route("GET", "/v2.1/servers/{server_id}/os-server-password", server_passwords.show_password,
          P + "os-server-password:show"),
    Route("DELETE", "/v2.1/servers/{server_id}/os-server-password", server_passwords.clear_password,
          P + "os-server-password:clear", status=204),
    Route("GET", "/v2.1/servers/{server_id}/os-instance-actions", instance_actions.list_actions,
          P + "os-instance-actions:list", shape="instanceAction"),
    Route("GET", "/v2.1/servers/{server_id}/os-instance-actions/{request_id}", instance_actions.show_action,
          P + "os-instance-actions:show", shape="instanceAction"),

    Route("GET", "/v2.1/os-server-groups", server_groups.list_groups, P + "os-server-groups:index",
          shape="server_group"),
    Route("POST", "/v2.1/os-server-groups", server_groups.create_group_with_policies, P + "os-server-groups:create",
          body=server_groups.OldNewGroupBody, shape="server_group", until="2.63"),
    Route("POST", "/v2.1/os-server-groups", server_groups.create_group, P + "os-server-groups:create",
          body=server_groups.NewGroupBody, shape="server_group", since="2.64"),
    Route("GET", "/v2.1/os-server-groups/{group_id}", server_groups.show_group, P + "os-server-groups:show",
          shape="server_group"),
    Route("DELETE", "/v2.1/os-server-groups/{group_id}", server_groups.delete_group, P + "os-server-groups:delete",
          status=204),

    Route("GET", "/v2.1/limits", quotas.show_limits, P + "limits"),
    Route("GET", "/v2.1/os-quota-sets/{project_id}", quotas.show_quotas, P + "os-quota-sets:show"),
    Route("PUT", "/v2.1/os-quota-sets/{project_id}", quotas.update_quotas, P + "os-quota-sets:update",
          body=quotas.QuotaSetBody),
    Route("DELETE", "/v2.1/os-quota-sets/{project_id}", quotas.delete_quotas, P + "os-quota-sets:delete", status=202),
    Route("GET", "/v2.1/os-quota-sets/{project_id}/defaults", quotas.show_defaults, P + "os-quota-sets:defaults"),
    Route("GET", "/v2.1/os-quota-sets/{project_id}/detail", quotas.show_quotas_in_detail, P + "os-quota-sets:detail"),
    Route("GET", "/v2.1/os-quota-class-sets/{class_name}", quotas.show_class, P + "os-quota-class-sets:show"),
    Route("PUT", "/v2.1/os-quota-class-sets/{class_name}", quotas.update_class, P + "os-quota-class-sets:update",
          body=quotas.QuotaClassBody),
    Route("GET", "/v2.1/os-simple-tenant-usage", usage.list_usage, P + "os-simple-tenant-usage:list"),
    Route("GET", "/v2.1/os-simple-tenant-usage/{project_id}", usage.show_usage, P + "os-simple-tenant-usage:show"),

    Route("GET", "/v2.1/os-services", hosts.list_services, P + "os-services:list", shape="service"),
    Route("DELETE", "/v2.1/os-services/{service_id}", hosts.delete_service, P + "os-services:delete", status=204),
    Route("PUT", "/v2.1/os-services/{service_id}", hosts.update_service, P + "os-services:update",
          body=hosts.ServiceChange, since="2.53", shape="service"),
    Route("PUT", "/v2.1/os-services/{service_id}", hosts.update_service_by_action, P + "os-services:update",
          body=hosts.OldServiceChange, until="2.52"),
    Route("GET", "/v2.1/os-hypervisors", hosts.list_hypervisors, P + "os-hypervisors:list", shape="hypervisor"),
    Route("GET", "/v2.1/os-hypervisors/detail", hosts.list_hypervisors_detail, P + "os-hypervisors:list-detail",
          shape="hypervisor"),
    Route("GET", "/v2.1/os-hypervisors/{hypervisor_id}", hosts.show_hypervisor, P + "os-hypervisors:show",
          shape="hypervisor"),
    Route("GET", "/v2.1/os-hypervisors/statistics", hosts.show_statistics, P + "os-hypervisors:statistics",
          until="2.87"),
    Route("GET", "/v2.1/os-aggregates", aggregates.list_aggregates, P + "os-aggregates:index", shape="aggregate"),
    Route("POST", "/v2.1/os-aggregates", aggregates.create_aggregate, P + "os-aggregates:create",
          body=aggregates.NewAggregateBody, shape="aggregate"),
    Route("GET", "/v2.1/os-aggregates/{aggregate_id}", aggregates.show_aggregate, P + "os-aggregates:show",
          shape="aggregate"),
    Route("PUT", "/v2.1/os-aggregates/{aggregate_id}", aggregates.update_aggregate, P + "os-aggregates:update",
          body=aggregates.ChangedAggregateBody, shape="aggregate"),
    Route("DELETE", "/v2.1/os-aggregates/{aggregate_id}", aggregates.delete_aggregate, P + "os-aggregates:delete"),
    Route("POST", "/v2.1/os-aggregates/{aggregate_id}/action", AGGREGATE_ACTIONS),
    Route("GET", "/v2.1/os-availability-zone", hosts.list_zones, P + "os-availability-zone:list"),
    Route("GET", "/v2.1/os-availability-zone/detail", hosts.list_zones_detail, P + "os-availability-zone:detail"),

    Route("POST", "/v2.1/os-server-external-events", events.create_events, P + "os-server-external-events:create",
          body=events.EventsBody),
]
# fmt: on


def make_app(
    compute: Compute, authenticator: Authenticator, policy_overrides: dict[str, str] | None = None
) -> Edge[Compute]:
    """The ASGI app of the compute API (nova-api)."""
    policy = Policy(RULES, policy_overrides)
    return Edge(Api("compute", compute, ROUTES, policy, authenticator, compute_error, EDGE))
