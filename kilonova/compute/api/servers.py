"""/servers: create, list, show, update, delete. Source: Compute API reference, "Servers"."""

import secrets
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from kilonova.compute import keypairs, requests, servers
from kilonova.compute.api.bodies import ComputeRequest, as_boolean, page_links, seen_project
from kilonova.compute.api.flavors import fetch_flavor
from kilonova.compute.api.hosts import is_up
from kilonova.compute.errors import FlavorNotFound, InvalidServer, KeypairNotFound, ServerLocked
from kilonova.compute.hosts import list_all as list_hosts
from kilonova.compute.programs.build import BUILD
from kilonova.compute.programs.destroy import DESTROY
from kilonova.compute.servers import ServerWithTask
from kilonova.compute.tables import Keypair, Server
from kilonova.compute.views.servers import detail_view, link_view
from kilonova.kit.db import Tx
from kilonova.kit.errors import BadRequest
from kilonova.kit.http.paging import Paging, next_link
from kilonova.kit.http.routes import Reply
from kilonova.kit.http.versions import since, until
from kilonova.kit.tasks import Program

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^\S(.*\S)?$")]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9\-_:. ]{1,255}$")]
MetadataValue = Annotated[str, Meta(max_length=255)]
Tag = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^,/]*$")]
Hostname = Annotated[str, Meta(min_length=2, max_length=255, pattern=r"^[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])$")]


class NetworkRequest(Struct, forbid_unknown_fields=True):
    uuid: str | None = None
    port: str | None = None
    fixed_ip: str | None = None
    tag: Annotated[str | UnsetType, since("2.42")] = UNSET


class GroupName(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=255)]


class BlockDevice(Struct):
    source_type: str
    destination_type: str | None = None
    uuid: str | None = None
    boot_index: int | None = None
    delete_on_termination: bool = True


class NewServer(Struct, forbid_unknown_fields=True):
    name: Name
    flavor_ref: str | int = field(name="flavorRef")
    image_ref: str | None = field(default=None, name="imageRef")
    networks: list[NetworkRequest] | Literal["auto", "none"] | None = None
    key_name: str | None = None
    min_count: Annotated[int, Meta(ge=1)] = 1
    max_count: Annotated[int, Meta(ge=1)] | None = None
    metadata: dict[MetadataKey, MetadataValue] = {}
    user_data: str | None = None
    config_drive: bool | str | None = None
    availability_zone: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    security_groups: list[GroupName] = []
    admin_pass: str | None = field(default=None, name="adminPass")
    access_ip_v4: str = field(default="", name="accessIPv4")
    access_ip_v6: str = field(default="", name="accessIPv6")
    disk_config: Literal["AUTO", "MANUAL"] = field(default="MANUAL", name="OS-DCF:diskConfig")
    block_device_mapping_v2: list[BlockDevice] = []
    return_reservation_id: bool | str = False
    description: Annotated[str | None | UnsetType, since("2.19")] = UNSET
    tags: Annotated[list[Tag] | UnsetType, since("2.52")] = UNSET
    host: Annotated[str | UnsetType, since("2.74")] = UNSET
    hypervisor_hostname: Annotated[str | UnsetType, since("2.74")] = UNSET
    hostname: Annotated[Hostname | UnsetType, since("2.90")] = UNSET
    personality: Annotated[list[dict[str, str]] | UnsetType, until("2.56")] = UNSET


class NewServerBody(Struct, forbid_unknown_fields=True):
    server: NewServer
    scheduler_hints: dict[str, Any] = field(default_factory=dict, name="os:scheduler_hints")
    older_scheduler_hints: dict[str, Any] = field(default_factory=dict, name="OS-SCH-HNT:scheduler_hints")


class ChangedServer(Struct, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    access_ip_v4: str | UnsetType = field(default=UNSET, name="accessIPv4")
    access_ip_v6: str | UnsetType = field(default=UNSET, name="accessIPv6")
    disk_config: Literal["AUTO", "MANUAL"] | UnsetType = field(default=UNSET, name="OS-DCF:diskConfig")
    description: Annotated[str | None | UnsetType, since("2.19")] = UNSET
    hostname: Annotated[Hostname | UnsetType, since("2.90")] = UNSET


class ChangedServerBody(Struct, forbid_unknown_fields=True):
    server: ChangedServer


async def create_server(request: ComputeRequest, body: NewServerBody) -> Reply:
    request.authorize()
    compute = request.service
    wanted = await _resolve(request, body)
    now = compute.clock.now()
    made = requests.make_servers(wanted, request.ctx, now)
    async with compute.database.transaction() as tx:
        for server in made:
            await servers.insert(tx, server, task_for(request, BUILD, server), now)
    compute.wake()
    first = made[0]
    if as_boolean(body.server.return_reservation_id, "return_reservation_id"):
        return Reply({"reservation_id": first.reservation_id}, status=202)
    shown = {
        "id": first.id,
        "links": link_view(first, request.base_url)["links"],
        "OS-DCF:diskConfig": first.disk_config,
        "security_groups": [{"name": name} for name in first.security_groups or ["default"]],
        "adminPass": body.server.admin_pass or secrets.token_urlsafe(9),
    }
    location = f"{request.base_url}/v2.1/servers/{first.id}"
    return Reply({"server": shown}, status=202, headers={"Location": location})


def task_for(request: ComputeRequest, program: Program[Any], server: Server) -> Any:
    """The program's task for a server, in the caller's name."""
    ctx = request.ctx
    return program.new_task(
        server.id, request_id=request.request_id, user_id=ctx.user_id, project_id=ctx.project_id or ""
    )


async def _resolve(request: ComputeRequest, body: NewServerBody) -> requests.WantedServers:
    compute, ctx, new = request.service, request.ctx, body.server
    count = new.max_count or new.min_count
    if new.min_count > count:
        raise BadRequest("min_count must be <= max_count")
    _refuse_unserved(new)
    async with compute.database.reading() as tx:
        flavor = await _flavor(tx, request, str(new.flavor_ref))
        keypair = await _keypair(tx, request, new.key_name)
    networks = _asked_networks(request, new)
    image = await requests.resolve_image(compute, ctx, _image_id(new), flavor)
    group_names = list(dict.fromkeys(each.name for each in new.security_groups))
    group_ids = await requests.resolve_security_groups(compute, ctx, group_names)
    resolved = await requests.resolve_networks(compute, ctx, networks)
    zone, host = _zone_and_host(request, new)
    return requests.WantedServers(
        name=new.name,
        hostname=None if new.hostname is UNSET else new.hostname,
        description=None if new.description is UNSET else new.description,
        count=count,
        flavor=flavor,
        image=image,
        keypair=keypair,
        networks=[{**each, "security_group_ids": group_ids} if group_ids else each for each in resolved],
        security_group_names=group_names,
        user_data=requests.decode_user_data(new.user_data),
        config_drive=as_boolean(new.config_drive, "config_drive"),
        metadata=new.metadata,
        tags=[] if new.tags is UNSET else new.tags,
        requested_zone=zone,
        requested_host=host,
        scheduler_hints={**body.older_scheduler_hints, **body.scheduler_hints},
        disk_config=new.disk_config,
        access_ip_v4=new.access_ip_v4,
        access_ip_v6=new.access_ip_v6,
    )


def _refuse_unserved(new: NewServer) -> None:
    if new.personality is not UNSET and new.personality:
        raise InvalidServer("Files cannot be injected; give them in user_data or on a config drive.")
    for device in new.block_device_mapping_v2:
        is_local_image = device.source_type == "image" and device.destination_type in (None, "local")
        if not is_local_image or device.boot_index not in (0, None):
            raise InvalidServer(
                "Only a local root disk made from an image is served as block device "
                "(source_type image, destination_type local, boot_index 0)."
            )


def _image_id(new: NewServer) -> str:
    mapped = [device.uuid for device in new.block_device_mapping_v2 if device.uuid]
    image_id = new.image_ref or (mapped[0] if mapped else None)
    if not image_id:
        raise InvalidServer("imageRef is required: a server boots from an image.")
    return image_id.rpartition("/")[2]


def _asked_networks(request: ComputeRequest, new: NewServer) -> Any:
    if request.allows("network_auto_none"):
        if new.networks is None:
            raise BadRequest("networks is required: a list, or one of auto and none.")
    elif isinstance(new.networks, str):
        raise BadRequest("networks may be auto or none from version 2.37 on only.")
    if isinstance(new.networks, list):
        return [{"uuid": each.uuid, "port": each.port, "fixed_ip": each.fixed_ip} for each in new.networks] or None
    return new.networks


def _zone_and_host(request: ComputeRequest, new: NewServer) -> tuple[str | None, str | None]:
    """Zone and host asked for. `zone:host` and `host` force the choice and are for administrators."""
    zone, _, host = (new.availability_zone or "").partition(":")
    host = host.rpartition(":")[2] or host
    forced = host or (new.host if new.host is not UNSET else "")
    forced = forced or (new.hypervisor_hostname if new.hypervisor_hostname is not UNSET else "")
    if forced:
        request.authorize(rule="os_compute_api:servers:create:forced_host")
    return zone or None, forced or None


async def _flavor(tx: Tx, request: ComputeRequest, reference: str) -> Any:
    try:
        return await fetch_flavor(tx, request, reference.rpartition("/")[2])
    except FlavorNotFound as error:
        raise InvalidServer(error.message) from error


async def _keypair(tx: Tx, request: ComputeRequest, name: str | None) -> Keypair | None:
    if name is None:
        return None
    try:
        return await keypairs.find(tx, request.ctx.user_id, name)
    except KeypairNotFound as error:
        raise InvalidServer(f"Invalid key_name provided: {error.message}") from error


SORT_KEYS = {
    "created_at": "created_at",
    "updated_at": "updated_at",
    "display_name": "name",
    "name": "name",
    "uuid": "id",
    "id": "id",
    "host": "host",
    "vm_state": "vm_state",
    "power_state": "power_state",
    "availability_zone": "availability_zone",
    "key_name": "key_name",
    "launched_at": "launched_at",
    "hostname": "hostname",
    "project_id": "project_id",
    "user_id": "user_id",
}
PAGING = Paging(keys=SORT_KEYS, default=(("created_at", "desc"), ("id", "desc")))
FILTERS = {
    "name": "name",
    "flavor": "flavor",
    "image": "image",
    "status": "status",
    "host": "host",
    "project_id": "project_id",
    "tenant_id": "project_id",
    "user_id": "user_id",
    "reservation_id": "reservation_id",
    "key_name": "key_name",
    "availability_zone": "availability_zone",
    "vm_state": "vm_state",
    "uuid": "id",
    "hostname": "hostname",
    "ip": "ip",
    "ip6": "ip",
    "tags": "tags",
    "not-tags": "not_tags",
    "changes-since": "changes_since",
    "changes-before": "changes_before",
    "locked": "locked",
}
ADMIN_FILTERS = ("host", "project_id", "tenant_id", "user_id", "reservation_id")


async def list_servers(request: ComputeRequest) -> dict[str, Any]:
    found, url = await _page(request)
    return {"servers": [link_view(each.server, request.base_url) for each in found], **page_links("servers", url)}


async def list_servers_detail(request: ComputeRequest) -> dict[str, Any]:
    found, url = await _page(request)
    statuses = await _host_statuses(request)
    return {"servers": [_detail(request, each, statuses) for each in found], **page_links("servers", url)}


async def _page(request: ComputeRequest) -> tuple[list[ServerWithTask], str | None]:
    request.authorize()
    all_projects = any(
        as_boolean(request.query.get(name, "0") or "1", name) for name in ("all_tenants", "all_projects")
    )
    if all_projects:
        request.authorize(rule="os_compute_api:servers:index:get_all_tenants")
    page = PAGING.parse(request.query)
    filters = _filters(request, all_projects)
    async with request.service.database.reading() as tx:
        found = await servers.list_page(tx, servers.conditions(filters), page)
    shown = found[: page.limit]
    url = request.base_url + request.url_path
    more = len(found) > page.limit and shown
    return shown, next_link(url, request.query, shown[-1].server.id) if more else None


def _filters(request: ComputeRequest, all_projects: bool) -> dict[str, Any]:
    is_admin = request.ctx.is_admin
    filters: dict[str, Any] = {}
    for name, key in FILTERS.items():
        if name in request.query and (is_admin or name not in ADMIN_FILTERS):
            filters[key] = request.query[name]
    if not (is_admin and all_projects):
        filters["project_id"] = request.ctx.project_id
    status = filters.get("status")
    if status is not None and not servers.is_status(status) and request.allows("strict_status_filter"):
        raise BadRequest(f"Invalid status value {status!r}; known are {', '.join(servers.STATUSES)}.")
    return filters


async def _host_statuses(request: ComputeRequest) -> dict[str, str]:
    """Host → UP, DOWN or MAINTENANCE, for those who may see it."""
    async with request.service.database.reading() as tx:
        known = await list_hosts(tx)
    return {
        each.host: "MAINTENANCE" if each.disabled else "UP" if is_up(request.service, each) else "DOWN"
        for each in known
    }


def _detail(request: ComputeRequest, each: ServerWithTask, statuses: dict[str, str]) -> dict[str, Any]:
    extended = request.may(rule="os_compute_api:os-extended-server-attributes")
    host_status = statuses.get(each.server.host or "", "UNKNOWN" if each.server.host else "")
    return detail_view(each, request.base_url, extended=extended, host_status=host_status if extended else None)


async def fetch_server(tx: Tx, request: ComputeRequest) -> ServerWithTask:
    """Looks up and authorizes in one. Another project's server is a server that could not be found."""
    found = await servers.find_with_task(tx, request.path["server_id"], seen_project(request))
    request.authorize({"project_id": found.server.project_id, "user_id": found.server.user_id})
    return found


async def fetch_unlocked(tx: Tx, request: ComputeRequest) -> ServerWithTask:
    found = await fetch_server(tx, request)
    if found.server.locked and not request.ctx.is_admin:
        raise ServerLocked(found.server.id)
    return found


async def show_server(request: ComputeRequest) -> dict[str, Any]:
    async with request.service.database.reading() as tx:
        found = await fetch_server(tx, request)
    return {"server": _detail(request, found, await _host_statuses(request))}


async def update_server(request: ComputeRequest, body: ChangedServerBody) -> dict[str, Any]:
    values = {
        name: getattr(body.server, name)
        for name in body.server.__struct_fields__
        if getattr(body.server, name) is not UNSET
    }
    async with request.service.database.transaction() as tx:
        found = await fetch_server(tx, request)
        await servers.change(tx, found.server.id, request.service.clock.now(), **values)
        found = await servers.find_with_task(tx, found.server.id)
    return {"server": _detail(request, found, await _host_statuses(request))}


async def delete_server(request: ComputeRequest) -> None:
    """Legal in every state: replaces whatever is under way."""
    compute = request.service
    async with compute.database.transaction() as tx:
        found = await fetch_unlocked(tx, request)
        if found.task is not None and found.task.program == DESTROY.name:
            return
        await compute.tasks.supersede(tx, task_for(request, DESTROY, found.server), compute.clock.now())
    compute.wake(superseded=found.server.id)


async def list_addresses(request: ComputeRequest) -> dict[str, Any]:
    """GET /servers/{id}/ips."""
    async with request.service.database.reading() as tx:
        found = await fetch_server(tx, request)
    shown = _detail(request, found, {})["addresses"]
    short = {
        name: [{"version": each["version"], "addr": each["addr"]} for each in entries]
        for name, entries in shown.items()
    }
    return {"addresses": short}
