"""The network service as other services call it."""

from typing import Any, TypeVar

from msgspec import Struct, field

from kilonova.kit.http.answers import check_id, holding
from kilonova.kit.http.client import RemoteFault, RemotePath, RemoteService, at

Fields = dict[str, Any]

TAKE_ATTEMPTS = 5
"""How often a port is looked at again that was changed, but not taken, at the moment it was to be taken."""


class Network(Struct, frozen=True):
    id: str
    name: str
    project_id: str
    mtu: int
    shared: bool = False
    is_external: bool = field(default=False, name="router:external")
    subnets: tuple[str, ...] = ()


class Subnet(Struct, frozen=True):
    id: str
    network_id: str
    ip_version: int
    cidr: str
    gateway_ip: str | None
    enable_dhcp: bool
    dns_nameservers: list[str]
    host_routes: list[dict[str, str]]
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None


class FixedIp(Struct, frozen=True):
    subnet_id: str
    ip_address: str


class Port(Struct, frozen=True, kw_only=True):
    id: str
    network_id: str
    project_id: str
    mac_address: str
    status: str
    fixed_ips: tuple[FixedIp, ...]
    device_id: str
    device_owner: str
    security_groups: tuple[str, ...]
    revision_number: int
    port_security_enabled: bool = True
    vnic_type: str = field(default="normal", name="binding:vnic_type")
    host: str | None = field(default=None, name="binding:host_id")
    """None: the caller may not see it."""


class PortBinding(Struct, frozen=True):
    """A host that a port is on (`ACTIVE`), or that gets ready for it."""

    host: str
    status: str


class PortSummary(Struct, frozen=True):
    """What a floating address tells of the port it leads to."""

    device_id: str


class FloatingIp(Struct, frozen=True):
    id: str
    floating_ip_address: str
    floating_network_id: str
    project_id: str
    revision_number: int
    fixed_ip_address: str | None = None
    port_id: str | None = None
    port_details: PortSummary | None = None


class SecurityGroupRule(Struct, frozen=True):
    id: str
    security_group_id: str
    project_id: str
    direction: str
    ethertype: str
    protocol: str | None
    port_range_min: int | None
    port_range_max: int | None
    remote_group_id: str | None
    remote_ip_prefix: str | None


class SecurityGroup(Struct, frozen=True):
    id: str
    name: str
    description: str
    project_id: str
    security_group_rules: tuple[SecurityGroupRule, ...] = ()


T = TypeVar("T", Network, Subnet, Port, FloatingIp, SecurityGroup, SecurityGroupRule)


class NetworkClient:
    """Source: Networking API v2.0 reference. Fields of requests are the API's own names."""

    def __init__(self, remote: RemoteService) -> None:
        self._remote = remote

    async def list_networks(self, token: str | None = None, **filters: Any) -> list[Network]:
        return await self._list("networks", Network, token, filters)

    async def show_network(self, network_id: str, token: str | None = None) -> Network:
        return await self._show("network", Network, network_id, token)

    async def list_subnets(self, token: str | None = None, **filters: Any) -> list[Subnet]:
        return await self._list("subnets", Subnet, token, filters)

    async def list_ports(self, token: str | None = None, **filters: Any) -> list[Port]:
        return await self._list("ports", Port, token, filters)

    async def show_port(self, port_id: str, token: str | None = None) -> Port:
        return await self._show("port", Port, port_id, token)

    async def create_port(self, fields: Fields, token: str | None = None) -> Port:
        return await self._write("POST", at("/v2.0/ports"), {"port": fields}, Port, token)

    async def update_port(self, port_id: str, fields: Fields, *, revision_number: int | None = None) -> Port:
        """`revision_number`: refused with 412 unless the port still has it, so that nobody's change is overwritten."""
        headers = None if revision_number is None else {"If-Match": f"revision_number={revision_number}"}
        path = at("/v2.0/ports/{id}", id=port_id)
        port = await self._write("PUT", path, {"port": fields}, Port, headers=headers)
        check_id(self._remote.name, port_id, port.id)
        return port

    async def take_port(self, port_id: str, fields: Fields, *, project_id: str | None = None) -> Port:
        """Makes a free port the device's that `fields` name by `device_id`; returns the port. Safe to repeat.

        Of several devices that take one port at once, one has it. Raises RemoteFault: 409 when another device has the
        port, 404 when there is none, or, with `project_id`, when it is another project's.
        """
        device_id = fields["device_id"]
        for _ in range(TAKE_ATTEMPTS):
            port = await self.show_port(port_id)
            if project_id is not None and port.project_id != project_id:
                raise RemoteFault("network", 404, f"Port {port_id} could not be found.")
            if port.device_id not in ("", device_id):
                raise RemoteFault("network", 409, f"Port {port_id} is still in use by {port.device_id}.")
            try:
                return await self.update_port(port_id, fields, revision_number=port.revision_number)
            except RemoteFault as fault:
                if fault.status != 412:
                    raise
        raise RemoteFault("network", 409, f"Port {port_id} is being changed by others, over and over.")

    async def delete_port(self, port_id: str) -> None:
        """Safe to repeat."""
        try:
            await self._remote.request("DELETE", at("/v2.0/ports/{id}", id=port_id))
        except RemoteFault as fault:
            if fault.status != 404:
                raise

    async def add_binding(self, port_id: str, host: str) -> None:
        """Gets a host ready for a port that is on another one. Safe to repeat. Raises RemoteFault: 409 when no agent of
        the host can carry the port.
        """
        if any(each.host == host for each in await self.list_bindings(port_id)):
            return
        path = at("/v2.0/ports/{id}/bindings", id=port_id)
        await self._remote.request("POST", path, json={"binding": {"host": host}})

    async def list_bindings(self, port_id: str) -> list[PortBinding]:
        path, answer = at("/v2.0/ports/{id}/bindings", id=port_id), holding("bindings", list[PortBinding])
        answered = await self._remote.request("GET", path, answer=answer)
        found: list[PortBinding] = answered.bindings
        return found

    async def activate_binding(self, port_id: str, host: str) -> None:
        """Lets a port be on a host that has got ready for it. Safe to repeat."""
        if any(each.host == host and each.status == "ACTIVE" for each in await self.list_bindings(port_id)):
            return
        await self._remote.request("PUT", at("/v2.0/ports/{id}/bindings/{host}/activate", id=port_id, host=host))

    async def remove_binding(self, port_id: str, host: str) -> None:
        """Has a host that the port is not on give up what it has of it. Safe to repeat."""
        try:
            await self._remote.request("DELETE", at("/v2.0/ports/{id}/bindings/{host}", id=port_id, host=host))
        except RemoteFault as fault:
            if fault.status != 404:
                raise

    async def list_security_groups(self, token: str | None = None, **filters: Any) -> list[SecurityGroup]:
        return await self._list("security-groups", SecurityGroup, token, filters)

    async def show_security_group(self, group_id: str, token: str) -> SecurityGroup:
        return await self._show("security-group", SecurityGroup, group_id, token)

    async def create_security_group(self, fields: Fields, token: str) -> SecurityGroup:
        body = {"security_group": fields}
        return await self._write("POST", at("/v2.0/security-groups"), body, SecurityGroup, token)

    async def update_security_group(self, group_id: str, fields: Fields, token: str) -> SecurityGroup:
        body = {"security_group": fields}
        path = at("/v2.0/security-groups/{id}", id=group_id)
        return await self._write("PUT", path, body, SecurityGroup, token)

    async def delete_security_group(self, group_id: str, token: str) -> None:
        await self._remote.request("DELETE", at("/v2.0/security-groups/{id}", id=group_id), token=token)

    async def create_security_group_rule(self, fields: Fields, token: str) -> SecurityGroupRule:
        body = {"security_group_rule": fields}
        return await self._write("POST", at("/v2.0/security-group-rules"), body, SecurityGroupRule, token)

    async def delete_security_group_rule(self, rule_id: str, token: str) -> None:
        await self._remote.request("DELETE", at("/v2.0/security-group-rules/{id}", id=rule_id), token=token)

    async def list_floating_ips(self, token: str | None = None, **filters: Any) -> list[FloatingIp]:
        return await self._list("floatingips", FloatingIp, token, filters)

    async def show_floating_ip(self, floating_ip_id: str, token: str | None = None) -> FloatingIp:
        return await self._show("floatingip", FloatingIp, floating_ip_id, token)

    async def create_floating_ip(self, fields: Fields, token: str) -> FloatingIp:
        return await self._write("POST", at("/v2.0/floatingips"), {"floatingip": fields}, FloatingIp, token)

    async def update_floating_ip(
        self, floating_ip_id: str, fields: Fields, token: str, *, revision_number: int
    ) -> FloatingIp:
        """Refused with 412 unless it still has the revision: somebody may have let it lead elsewhere meanwhile."""
        headers = {"If-Match": f"revision_number={revision_number}"}
        path = at("/v2.0/floatingips/{id}", id=floating_ip_id)
        return await self._write("PUT", path, {"floatingip": fields}, FloatingIp, token, headers=headers)

    async def delete_floating_ip(self, floating_ip_id: str, token: str) -> None:
        await self._remote.request("DELETE", at("/v2.0/floatingips/{id}", id=floating_ip_id), token=token)

    async def _list(self, plural: str, kind: type[T], token: str | None, filters: dict[str, Any]) -> list[T]:
        key = plural.replace("-", "_")
        path, answer = at("/v2.0/{plural}", plural=plural), holding(key, list[kind])  # type: ignore[valid-type]
        answered = await self._remote.request("GET", path, params=filters or None, token=token, answer=answer)
        found: list[T] = getattr(answered, key)
        return found

    async def _write(
        self,
        method: str,
        path: RemotePath,
        body: dict[str, Fields],
        kind: type[T],
        token: str | None = None,
        *,
        headers: dict[str, str] | None = None,
    ) -> T:
        """What was made or changed, under the same key as in the request."""
        (key,) = body
        answered = await self._remote.request(
            method, path, json=body, headers=headers, token=token, answer=holding(key, kind)
        )
        written: T = getattr(answered, key)
        return written

    async def _show(self, singular: str, kind: type[T], wanted_id: str, token: str | None) -> T:
        key, path = singular.replace("-", "_"), at("/v2.0/{plural}/{id}", plural=f"{singular}s", id=wanted_id)
        answered = await self._remote.request("GET", path, token=token, answer=holding(key, kind))
        found: T = getattr(answered, key)
        check_id(self._remote.name, wanted_id, found.id)
        return found
