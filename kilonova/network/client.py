"""The network service as other services call it."""

from typing import Any

from kilonova.kit.http.client import RemoteFault, RemotePath, RemoteService, at

Fields = dict[str, Any]

TAKE_ATTEMPTS = 5
"""How often a port is looked at again that was changed, but not taken, at the moment it was to be taken."""


class NetworkClient:
    """Source: Networking API v2.0 reference. Fields are the API's own names."""

    def __init__(self, remote: RemoteService) -> None:
        self._remote = remote

    async def list_networks(self, token: str | None = None, **filters: Any) -> list[Fields]:
        return await self._list("networks", token, filters)

    async def show_network(self, network_id: str, token: str | None = None) -> Fields:
        return await self._show("network", network_id, token)

    async def list_subnets(self, token: str | None = None, **filters: Any) -> list[Fields]:
        return await self._list("subnets", token, filters)

    async def list_ports(self, token: str | None = None, **filters: Any) -> list[Fields]:
        return await self._list("ports", token, filters)

    async def show_port(self, port_id: str, token: str | None = None) -> Fields:
        return await self._show("port", port_id, token)

    async def create_port(self, fields: Fields, token: str | None = None) -> Fields:
        answer = await self._remote.request("POST", at("/v2.0/ports"), json={"port": fields}, token=token)
        port: Fields = answer["port"]
        return port

    async def update_port(self, port_id: str, fields: Fields, *, revision_number: int | None = None) -> Fields:
        """`revision_number`: refused with 412 unless the port still has it, so that nobody's change is overwritten."""
        headers = None if revision_number is None else {"If-Match": f"revision_number={revision_number}"}
        answer = await self._remote.request(
            "PUT", at("/v2.0/ports/{id}", id=port_id), json={"port": fields}, headers=headers
        )
        port: Fields = answer["port"]
        return port

    async def take_port(self, port_id: str, fields: Fields, *, project_id: str | None = None) -> Fields:
        """Makes a free port the device's that `fields` name by `device_id`; returns the port. Safe to repeat.

        Of several devices that take one port at once, one has it. Raises RemoteFault: 409 when another device has the
        port, 404 when there is none, or, with `project_id`, when it is another project's.
        """
        device_id = fields["device_id"]
        for _ in range(TAKE_ATTEMPTS):
            port = await self.show_port(port_id)
            if project_id is not None and port["project_id"] != project_id:
                raise RemoteFault("network", 404, f"Port {port_id} could not be found.")
            if port["device_id"] not in ("", device_id):
                raise RemoteFault("network", 409, f"Port {port_id} is still in use by {port['device_id']}.")
            try:
                return await self.update_port(port_id, fields, revision_number=port["revision_number"])
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

    async def list_security_groups(self, token: str | None = None, **filters: Any) -> list[Fields]:
        return await self._list("security-groups", token, filters)

    async def show_security_group(self, group_id: str, token: str) -> Fields:
        answer = await self._remote.request("GET", at("/v2.0/security-groups/{id}", id=group_id), token=token)
        return dict(answer["security_group"])

    async def create_security_group(self, fields: Fields, token: str) -> Fields:
        return await self._write("POST", at("/v2.0/security-groups"), {"security_group": fields}, token)

    async def update_security_group(self, group_id: str, fields: Fields, token: str) -> Fields:
        return await self._write(
            "PUT", at("/v2.0/security-groups/{id}", id=group_id), {"security_group": fields}, token
        )

    async def delete_security_group(self, group_id: str, token: str) -> None:
        await self._remote.request("DELETE", at("/v2.0/security-groups/{id}", id=group_id), token=token)

    async def create_security_group_rule(self, fields: Fields, token: str) -> Fields:
        return await self._write("POST", at("/v2.0/security-group-rules"), {"security_group_rule": fields}, token)

    async def delete_security_group_rule(self, rule_id: str, token: str) -> None:
        await self._remote.request("DELETE", at("/v2.0/security-group-rules/{id}", id=rule_id), token=token)

    async def list_floating_ips(self, token: str | None = None, **filters: Any) -> list[Fields]:
        return await self._list("floatingips", token, filters)

    async def _list(self, plural: str, token: str | None, filters: dict[str, Any]) -> list[Fields]:
        answer = await self._remote.request(
            "GET", at("/v2.0/{plural}", plural=plural), params=filters or None, token=token
        )
        found: list[Fields] = answer[plural.replace("-", "_")]
        return found

    async def _write(self, method: str, path: RemotePath, body: dict[str, Fields], token: str) -> Fields:
        """What was made or changed, under the same key as in the request."""
        (key,) = body
        answer = await self._remote.request(method, path, json=body, token=token)
        written: Fields = answer[key]
        return written

    async def _show(self, singular: str, wanted_id: str, token: str | None) -> Fields:
        answer = await self._remote.request(
            "GET", at("/v2.0/{plural}/{id}", plural=f"{singular}s", id=wanted_id), token=token
        )
        found: Fields = answer[singular]
        return found
