"""Questions and actions that stories of servers which change their host share."""

from dataclasses import dataclass
from typing import Any

from tools.lab import tenant
from tools.lab.cloud import Cloud
from tools.lab.hosts import wait_for
from tools.lab.tenant import Ground

HOSTS = ("compute1", "compute2")
MOVE_SECONDS = 180.0


def shown(cloud: Cloud, server_id: str) -> dict[str, Any]:
    found: dict[str, Any] = cloud.api.call("compute", "GET", f"/v2.1/servers/{server_id}")["server"]
    return found


def act(cloud: Cloud, server_id: str, action: str, argument: Any = None) -> None:
    cloud.api.call("compute", "POST", f"/v2.1/servers/{server_id}/action", {action: argument})


def begin_live(cloud: Cloud, server_id: str, target: str) -> None:
    act(cloud, server_id, "os-migrateLive", {"host": target, "block_migration": "auto"})


def newest_move(cloud: Cloud, server_id: str) -> dict[str, Any]:
    path = f"/v2.1/os-migrations?instance_uuid={server_id}&limit=1"
    found: dict[str, Any] = cloud.api.call("compute", "GET", path)["migrations"][0]
    return found


def wait_over(cloud: Cloud, server_id: str) -> dict[str, Any]:
    """The server's newest migration, once nothing is going on any more."""

    def is_over() -> bool:
        return not shown(cloud, server_id)["OS-EXT-STS:task_state"]

    wait_for(is_over, f"server {server_id} has moved or not", MOVE_SECONDS)
    return newest_move(cloud, server_id)


def wait_status(cloud: Cloud, server_id: str, status: str) -> dict[str, Any]:
    """The server, once it has that status and nothing is going on any more."""

    def is_so() -> bool:
        found = shown(cloud, server_id)
        return found["status"] == status and not found["OS-EXT-STS:task_state"]

    wait_for(is_so, f"server {server_id} is {status}", MOVE_SECONDS)
    return shown(cloud, server_id)


def guests(cloud: Cloud, name: str) -> list[str]:
    """The hosts on which a guest of that domain name runs."""
    found = []
    for host in HOSTS:
        listed = cloud.lab.host(host).run(["virsh", "list", "--name", "--state-running"]).stdout.split()
        found += [host] * listed.count(name)
    return found


def has_disks(cloud: Cloud, host: str, server_id: str) -> bool:
    return cloud.lab.host(host).path(f"/var/lib/nova/instances/{server_id}/disk").exists()


def processes(cloud: Cloud, name: str) -> list[str]:
    """The hosts on which a QEMU of that domain name is, whatever libvirtd knows of it."""
    found = []
    for host in HOSTS:
        commands = cloud.lab.host(host).processes().values()
        found += [host for words in commands if "qemu-system" in words[0] and f"guest={name}," in " ".join(words)]
    return found


@dataclass
class Traveller:
    """A server with an outside address that goes to and fro between two hosts."""

    cloud: Cloud
    ground: Ground
    id: str = ""
    address: str = ""
    name: str = ""

    def ensure(self) -> None:
        """Has an ACTIVE server that lets us in: another one where the last did not get through its story."""
        if self.id and shown(self.cloud, self.id)["status"] == "ACTIVE":
            return
        self.remove()
        self.id = tenant.create_server(self.cloud, self.ground, "traveller", HOSTS[0])
        tenant.wait_active(self.cloud, self.id)
        self.address = tenant.add_floating_ip(self.cloud, self.ground, self.id)
        self.name = shown(self.cloud, self.id)["OS-EXT-SRV-ATTR:instance_name"]
        tenant.wait_log_in(self.cloud, self.ground, self.address)

    def remove(self) -> None:
        if self.id:
            tenant.delete_server(self.cloud, self.id)
            self.id = ""

    @property
    def host(self) -> str:
        host: str = shown(self.cloud, self.id)["OS-EXT-SRV-ATTR:host"]
        return host

    @property
    def ends(self) -> tuple[str, str]:
        """The host that it is on, and the other one."""
        source = self.host
        (target,) = set(HOSTS) - {source}
        return source, target

    def state_on(self, host: str, *options: str) -> str:
        """The state in the words of a host's libvirtd; empty while that is down or does not know the guest."""
        said = self.cloud.lab.host(host).run(["virsh", "domstate", *options, self.name], check=False).stdout
        return said.strip()
