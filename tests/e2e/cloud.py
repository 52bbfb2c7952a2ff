"""A real cloud on a host of its own, as its operator and its users drive it: commands, APIs, ssh into guests."""

import base64
import json
import os
import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kilonova.cli.provider import read_provider
from kilonova.cli.rest import Fields, Session, login_from
from kilonova.cli.state import StateDir, read_config
from tests.e2e.host import Done, OwnHost, wait_for
from tests.e2e.stock_client import PROGRAM, StockClient
from tools.stages import ROOT

SSH_OPTIONS = (
    *("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"),
    *("ServerAliveInterval=1", "ServerAliveCountMax=3"),
)
ACTIVE_SECONDS = 60
BOOT_SECONDS = 90
"""A guest needs 6 s alone on this machine, more beside others."""
SETTLING_SECONDS = 1.5
"""Longer than an agent rests between two passes."""

SNAPSHOT = "import json; from tools.host_state import snapshot; print(json.dumps(sorted(snapshot())))"


class Api:
    """One user's calls of the public APIs, made on the cloud's host."""

    def __init__(self, host: OwnHost, state: StateDir, user: str) -> None:
        self._host = host
        self._session = Session(login_from(read_config(state), user))

    def call(self, service: str, method: str, path: str, body: Fields | None = None, **query: Any) -> Any:
        return self._host.call(lambda: self._session.call(service, method, path, body, **query))

    def get(self, service: str, path: str, **query: Any) -> Any:
        return self.call(service, "GET", path, **query)

    def upload(self, path: str, file: Path) -> None:
        self._host.call(lambda: self._session.upload(path, file))

    def close(self) -> None:
        self._session.__exit__(None, None, None)

    def find(self, service: str, path: str, key: str, **filters: str) -> Fields:
        """The only one in a list that has these values."""
        found = [each for each in self.get(service, path)[key] if filters.items() <= each.items()]
        assert len(found) == 1, f"{len(found)} of {path} have {filters}"
        return dict(found[0])


class Guest:
    """A server as its owner logs in to it."""

    def __init__(self, host: OwnHost, address: str, key: Path, user: str = "demo") -> None:
        self.host = host
        self.address = address
        self._login = ["ssh", *(word for option in SSH_OPTIONS for word in ("-o", option)), "-i", str(key)]
        self._user = user

    def attempt(self, command: str, *, connect_seconds: int = 5, timeout_seconds: float = 20) -> Done:
        argv = [*self._login, "-o", f"ConnectTimeout={connect_seconds}", f"{self._user}@{self.address}", command]
        return self.host.attempt(*argv, timeout_seconds=timeout_seconds)

    def run(self, command: str) -> str:
        """The output of a command in the guest that must succeed."""
        done = self.attempt(command)
        assert done.status == 0, str(done)
        return done.out.strip()

    def is_reachable(self, *, connect_seconds: int = 3) -> bool:
        done = self.attempt("true", connect_seconds=connect_seconds, timeout_seconds=connect_seconds + 2)
        return done.status == 0

    def boot_id(self) -> str:
        """Changes with every boot of the guest's kernel."""
        return self.run("cat /proc/sys/kernel/random/boot_id")

    def pings(self, *, count: int = 1) -> bool:
        return self.host.attempt("ping", "-n", "-c", str(count), "-i", "0.2", "-W", "1", self.address).status == 0


class CloudUnderTest:
    """`kilonova` in a state directory of its own on a host of its own."""

    def __init__(self, host: OwnHost, openstack: Path) -> None:
        self.host = host
        self.state = StateDir(host.directory / "state")
        self._openstack = openstack
        self._apis: dict[str, Api] = {}
        self._clients: dict[tuple[tuple[str, str], ...], StockClient] = {}

    # --- as its operator ---------------------------------------------------------------------------------------------

    def attempt_kilonova(self, *words: str, timeout_seconds: float = 60) -> Done:
        command, *rest = words
        argv = [sys.executable, "-m", "kilonova.cli.main", command, "--state-dir", str(self.state.path), *rest]
        return self.host.attempt(*argv, timeout_seconds=timeout_seconds, env={"PYTHONPATH": str(ROOT)})

    def kilonova(self, *words: str, timeout_seconds: float = 60) -> str:
        done = self.attempt_kilonova(*words, timeout_seconds=timeout_seconds)
        assert done.status == 0, f"{done}\n{self.log_end()}"
        return done.out

    def up(self) -> str:
        self.close()
        return self.kilonova("up", "--detach")

    def down(self, *words: str) -> str:
        self.close()
        return self.kilonova("down", *words)

    def kill(self) -> None:
        """SIGKILL to the cloud's process, and to nothing else."""
        self.host.run("kill", "-KILL", str(self.pid()))
        self.close()

    def pid(self) -> int:
        """The cloud's process as its own host numbers it."""
        return int(json.loads(self.state.pid_file.read_text())["pid"])

    def log_end(self, lines: int = 40) -> str:
        if not self.state.log_file.exists():
            return "(no log)"
        return "\n".join(self.state.log_file.read_text().splitlines()[-lines:])

    def close(self) -> None:
        """Ends the users' connections; the next call makes new ones."""
        for api in self._apis.values():
            api.close()
        for client in self._clients.values():
            client.close()
        self._apis.clear()
        self._clients.clear()

    # --- as its users ------------------------------------------------------------------------------------------------

    def api(self, user: str) -> Api:
        if user not in self._apis:
            self._apis[user] = Api(self.host, self.state, user)
        return self._apis[user]

    @property
    def admin(self) -> Api:
        return self.api("admin")

    @property
    def demo(self) -> Api:
        return self.api("demo")

    def client(self, user: str = "admin", variables: Mapping[str, str] | None = None) -> StockClient:
        """The stock client as a user of `clouds.yaml`, or with other variables; it goes on until `close`."""
        cloud = "kilonova" if user == "admin" else f"kilonova-{user}"
        chosen = variables or {"OS_CLIENT_CONFIG_FILE": str(self.state.clouds_yaml), "OS_CLOUD": cloud}
        key = tuple(sorted(chosen.items()))
        if key not in self._clients:
            self._clients[key] = StockClient(self.host, self._openstack, chosen)
        return self._clients[key]

    def attempt_openstack(self, *words: str, user: str = "admin", variables: Mapping[str, str] | None = None) -> Done:
        done = self.client(user, variables).run(shlex.join(words))
        return Done((str(self._openstack), *words), int(done["status"]), str(done["out"]), str(done["err"]))

    def openstack(self, *words: str, user: str = "admin") -> str:
        """Type the stock client's command."""
        done = self.attempt_openstack(*words, user=user)
        assert done.status == 0, f"{done}\n{self.log_end()}"
        return done.out

    def shown(self, *words: str, user: str = "admin") -> Any:
        """What a command of the stock client shows, decoded."""
        return json.loads(self.openstack(*words, "-f", "json", user=user))

    # --- servers -----------------------------------------------------------------------------------------------------

    def create_server(self, name: str, user_data: str = "", **fields: Any) -> str:
        """Ask for a server of the demo project with the demo's image, flavor, network and key; its id."""
        demo = self.demo
        if user_data:
            fields["user_data"] = base64.b64encode(user_data.encode()).decode()
        wanted = {
            "name": name,
            "imageRef": demo.find("image", "/v2/images", "images", name="demo-guest")["id"],
            "flavorRef": demo.find("compute", "/flavors", "flavors", name="m1.nano")["id"],
            "networks": [{"uuid": demo.find("network", "/v2.0/networks", "networks", name="demo-net")["id"]}],
            "key_name": "demo-key",
            **fields,
        }
        return str(demo.call("compute", "POST", "/servers", {"server": wanted})["server"]["id"])

    def server(self, server_id: str, user: str = "demo") -> Fields:
        return dict(self.api(user).get("compute", f"/servers/{server_id}")["server"])

    def wait_status(self, server_id: str, wanted: str = "ACTIVE", timeout_seconds: float = ACTIVE_SECONDS) -> Fields:
        """The server once it has a status; one that ends in ERROR instead fails the test with its fault."""

        def reached() -> Fields | None:
            server = self.server(server_id)
            if server["status"] == "ERROR" != wanted:
                raise AssertionError(f"the server ended in ERROR: {server.get('fault')}\n{self.log_end()}")
            return server if server["status"] == wanted and server["OS-EXT-STS:task_state"] is None else None

        return (
            wait_for(reached, timeout_seconds, f"{server_id} is {wanted}", explain=lambda: self.describe(server_id))
            or {}
        )

    def describe(self, server_id: str) -> str:
        server = self.server(server_id)
        names = ("status", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state", "addresses", "fault")
        state = {name: server.get(name) for name in names}
        return f"{state}\nconsole:\n{self.console(server_id)}\nlog:\n{self.log_end()}"

    def console(self, server_id: str) -> str:
        body = {"os-getConsoleOutput": {"length": 25}}
        return str(self.demo.call("compute", "POST", f"/servers/{server_id}/action", body)["output"])

    def add_floating_ip(self, server_id: str) -> Guest:
        """Give a server of the demo project an address that is reached from the host."""
        port = self.demo.get("network", "/v2.0/ports", device_id=server_id)["ports"][0]
        network = self.demo.find("network", "/v2.0/networks", "networks", name="provider")
        wanted = {"floating_network_id": network["id"], "port_id": port["id"]}
        made = self.demo.call("network", "POST", "/v2.0/floatingips", {"floatingip": wanted})["floatingip"]
        return Guest(self.host, made["floating_ip_address"], self.state.demo_key)

    def wait_ssh(self, server_id: str, guest: Guest, timeout_seconds: float = BOOT_SECONDS) -> None:
        wait_for(
            guest.is_reachable,
            timeout_seconds,
            f"ssh answers on {guest.address}",
            pause_seconds=0.3,
            explain=lambda: self.describe(server_id),
        )

    def delete_servers(self, server_ids: Iterable[str]) -> None:
        """Delete servers with their floating IPs and wait until none is left."""
        ids = set(server_ids)
        ports = {port["id"] for port in self.demo.get("network", "/v2.0/ports")["ports"] if port["device_id"] in ids}
        for floating_ip in self.demo.get("network", "/v2.0/floatingips")["floatingips"]:
            if floating_ip["port_id"] in ports:
                self.demo.call("network", "DELETE", f"/v2.0/floatingips/{floating_ip['id']}")
        for server_id in ids & self.server_ids():
            self.demo.call("compute", "DELETE", f"/servers/{server_id}")
        self.wait_gone(ids)

    def server_ids(self) -> set[str]:
        return {server["id"] for server in self.demo.get("compute", "/servers")["servers"]}

    def wait_gone(self, server_ids: set[str], timeout_seconds: float = ACTIVE_SECONDS) -> None:
        wait_for(
            lambda: not server_ids & self.server_ids(),
            timeout_seconds,
            "the servers are gone",
            explain=lambda: [self.describe(each) for each in server_ids & self.server_ids()],
        )

    # --- what there is -----------------------------------------------------------------------------------------------

    def on_host(self) -> set[str]:
        """Everything of the host a cloud could leave something in, as `kind: what`; works while the cloud is down."""
        found = set(json.loads(self.host.run(sys.executable, "-c", SNAPSHOT, env={"PYTHONPATH": str(ROOT)})))
        # Our own command, the users' client, and libvirtd asking QEMU at its first start what it can do.
        passing = (sys.executable, PROGRAM.name, "-machine none")
        return {each for each in found if not any(word in each for word in passing)} | set(self._files())

    def _files(self) -> Iterable[str]:
        # `_base` is a cache of images and stays when the servers go.
        places = ("instances/[!_]*", "libvirtd/etc/qemu/*.xml", "libvirtd/run/libvirt/qemu/*", "network/dhcp/*")
        for place in places:
            yield from (f"file: {path.relative_to(self.state.path)}" for path in self.state.path.glob(place))

    def everything(self) -> set[str]:
        """`on_host`, and what the services remember: servers, ports, allocations."""
        admin = self.admin
        found = {f"server: {each['id']}" for each in admin.get("compute", "/servers", all_tenants="1")["servers"]}
        found |= {f"port: {each['id']}" for each in admin.get("network", "/v2.0/ports")["ports"]}
        for provider in admin.get("placement", "/resource_providers")["resource_providers"]:
            path = f"/resource_providers/{provider['uuid']}/allocations"
            found |= {f"allocation: {consumer}" for consumer in admin.get("placement", path)["allocations"]}
        return found | self.on_host()

    def settled(self) -> set[str]:
        """`everything`, once it stays as it is: what was deleted a moment ago is on its way out of the host."""
        found = self.everything()
        for _ in range(20):
            time.sleep(SETTLING_SECONDS)
            before, found = found, self.everything()
            if found == before:
                return found
        raise AssertionError(f"the cloud does not come to rest: {sorted(found ^ before)}")

    def wait_everything(self, wanted: set[str], timeout_seconds: float = 30) -> None:
        """Until nothing more and nothing less is there than `wanted`; agents need a moment to let go."""

        def difference() -> set[str]:
            return self.everything() ^ wanted

        deadline = time.monotonic() + timeout_seconds
        while (left := difference()) and time.monotonic() < deadline:
            time.sleep(0.3)
        # What is wrong comes last: of a long output the end is what is seen.
        assert not left, f"{self.log_end()}\n{sorted(left)}"

    def provider_address(self, host_part: int) -> str:
        """An address of the provider network's range."""
        provider = read_provider(self.state)
        assert provider is not None
        return str(provider.network[host_part])


def demo_cache_dir() -> str:
    """Where the guest image is kept, so that a test by hand builds it once."""
    return os.environ.get("KILONOVA_CACHE_DIR", str(ROOT / ".work/cache"))
