"""A cloud of separate processes on one host, installed as the guides install it: files, databases, users, endpoints.

Loopback only, each API on a port of its own; a private database server and a private RabbitMQ.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from kilonova.kit.testing.brokers import RabbitMq
from kilonova.kit.testing.ports import free_ports
from tests.databases import Databases

SERVICES = {
    "identity": ("keystone", "/v3"),
    "image": ("glance", ""),
    "placement": ("placement", ""),
    "compute": ("nova", "/v2.1"),
    "network": ("neutron", ""),
}
BINARIES = Path(sys.executable).parent
DAEMONS = {
    "keystone": ["keystone.conf"],
    "glance-api": ["glance-api.conf"],
    "placement-api": ["placement.conf"],
    "neutron-server": ["neutron.conf", "ml2_conf.ini"],
    "nova-api": ["nova.conf"],
    "nova-conductor": ["nova.conf"],
    "nova-compute": ["nova.conf"],
    "nova-novncproxy": ["nova.conf"],
    "nova-consoleauth": ["nova.conf"],
    "neutron-linuxbridge-agent": ["neutron.conf", "linuxbridge_agent.ini"],
}
"""Name → the files it reads."""
MANAGE = (
    ("keystone-manage", "keystone.conf", "db_sync"),
    ("keystone-manage", "keystone.conf", "fernet_setup"),
    ("glance-manage", "glance-api.conf", "db_sync"),
    ("placement-manage", "placement.conf", "db", "sync"),
    ("nova-manage", "nova.conf", "db", "sync"),
    ("neutron-db-manage", "neutron.conf", "upgrade", "head"),
)
SOON_SECONDS = 30.0


def wait_for(condition: Callable[[], Any], what: str, seconds: float = SOON_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


@dataclass
class Controller:
    directory: Path
    databases: Databases
    broker: RabbitMq
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    token: str = ""

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    # --- installing ---------------------------------------------------------------------------------------------------

    def install(self) -> None:
        names = (*SERVICES, "metadata", "console")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.write_files()
        for program, file, *words in MANAGE:
            self.manage(program, file, *words)
        url = f"{self.url('identity')}/v3/"
        words = ["--bootstrap-password", "ADMIN_PASS", "--bootstrap-public-url", url]
        self.manage("keystone-manage", "keystone.conf", "bootstrap", *words)

    def write_files(self) -> None:
        authtoken = "[keystone_authtoken]\nauth_url = {identity}\nusername = {user}\npassword = {user}_PASS\n"
        for service, (user, _path) in SERVICES.items():
            database = self.databases.engine.create(service, self.directory)
            text = f"[DEFAULT]\ntransport_url = {self.broker.url}\nmy_ip = 127.0.0.1\nhost = {{host}}\n"
            if service == "compute":
                text += f"osapi_compute_listen = $my_ip\nosapi_compute_listen_port = {self.ports[service]}\n"
                text += f"metadata_listen = $my_ip\nmetadata_listen_port = {self.ports['metadata']}\n"
                text += f"compute_driver = fake.FakeDriver\nstate_path = {self.directory}/nova\n"
            else:
                text += f"bind_host = $my_ip\nbind_port = {self.ports[service]}\n"
            text += f"[database]\nconnection = {database}\n"
            if service == "identity":
                text += f"[fernet_tokens]\nkey_repository = {self.directory}/fernet-keys\n"
            else:
                text += authtoken.format(identity=self.url("identity"), user=user)
            if service == "compute":
                text += authtoken.replace("keystone_authtoken", "placement").format(
                    identity=self.url("identity"), user="placement"
                )
                text += f"[vnc]\nnovncproxy_host = $my_ip\nnovncproxy_port = {self.ports['console']}\n"
                text += f"novncproxy_base_url = {self.url('console')}/vnc_auto.html\n"
            if service == "image":
                text += f"[glance_store]\nfilesystem_store_datadir = {self.directory}/images\n"
            name = "glance-api" if service == "image" else user
            (self.directory / f"{name}.conf").write_text(text.format(host="controller"))
        (self.directory / "ml2_conf.ini").write_text("[ml2_type_flat]\nflat_networks = provider\n")
        (self.directory / "linuxbridge_agent.ini").write_text("[DEFAULT]\nnetwork_driver = fake\n")

    def manage(self, program: str, file: str, *words: str) -> None:
        command: list[str | Path] = [BINARIES / program, "--config-file", str(self.directory / file), *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{program} {words}: {done.stderr}"

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self, name: str, instance: str = "") -> None:
        options = [word for file in DAEMONS[name] for word in ("--config-file", str(self.directory / file))]
        log = (self.directory / f"{name}{instance}.log").open("ab")
        with log:
            self.processes[name + instance] = subprocess.Popen([BINARIES / name, *options], stdout=log, stderr=log)

    def start_all(self, names: Sequence[str] = tuple(DAEMONS)) -> None:
        for name in names:
            self.start(name)
            if name == "keystone":
                self.wait_api("identity")
                self.make_users()

    def wait_api(self, service: str) -> None:
        def answers() -> bool:
            try:
                return httpx.get(f"{self.url(service)}/healthcheck").status_code == 200
            except httpx.HTTPError:
                self.check_running()
                return False

        wait_for(answers, f"{service} answers")

    def check_running(self) -> None:
        for name, process in self.processes.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}:\n{self.log_end(name)}"

    def log_end(self, name: str) -> str:
        return "\n".join((self.directory / f"{name}.log").read_text().splitlines()[-30:])

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for name, process in self.processes.items():
            assert process.wait(20) == 0, f"{name} ended with {process.returncode}:\n{self.log_end(name)}"

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()

    # --- using --------------------------------------------------------------------------------------------------------

    def log_in(self) -> None:
        user = {"name": "admin", "domain": {"name": "Default"}, "password": "ADMIN_PASS"}
        scope = {"project": {"name": "admin", "domain": {"name": "Default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        response = httpx.post(f"{self.url('identity')}/v3/auth/tokens", json=body)
        assert response.status_code == 201, response.text
        self.token = response.headers["x-subject-token"]

    def call(self, service: str, method: str, path: str, body: Any = None, *, content: bytes | None = None) -> Any:
        headers = {"x-auth-token": self.token, "openstack-api-version": "compute 2.90, placement 1.36"}
        if content is not None:
            headers["content-type"] = "application/octet-stream"
        url = self.url(service) + path
        response = httpx.request(method, url, json=body, content=content, headers=headers, timeout=30)
        assert response.status_code < 300, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else {}

    def make_users(self) -> None:
        """As each guide does: a user with the role admin on the project service, a service, three endpoints."""
        self.log_in()
        projects = self.call("identity", "GET", "/v3/projects?name=service")["projects"]
        role = self.call("identity", "GET", "/v3/roles?name=admin")["roles"][0]["id"]
        for service, (user, path) in SERVICES.items():
            if service == "identity":
                continue
            new = {"user": {"name": user, "domain_id": "default", "password": f"{user}_PASS"}}
            user_id = self.call("identity", "POST", "/v3/users", new)["user"]["id"]
            self.call("identity", "PUT", f"/v3/projects/{projects[0]['id']}/users/{user_id}/roles/{role}")
            entry = {"service": {"name": user, "type": service}}
            service_id = self.call("identity", "POST", "/v3/services", entry)["service"]["id"]
            for interface in ("public", "internal", "admin"):
                endpoint = {"service_id": service_id, "interface": interface, "region_id": "RegionOne"}
                endpoint["url"] = self.url(service) + path
                self.call("identity", "POST", "/v3/endpoints", {"endpoint": endpoint})

    def make_ground(self) -> dict[str, Any]:
        """An image, a flavor and a network; the body of a server on them."""
        fields = {"name": "cirros", "disk_format": "raw", "container_format": "bare"}
        image = self.call("image", "POST", "/v2/images", fields)["id"]
        self.call("image", "PUT", f"/v2/images/{image}/file", content=b"x" * 1024)
        flavor = {"flavor": {"name": "tiny", "ram": 64, "vcpus": 1, "disk": 1}}
        flavor_id = self.call("compute", "POST", "/v2.1/flavors", flavor)["flavor"]["id"]
        network = self.call("network", "POST", "/v2.0/networks", {"network": {"name": "lan"}})["network"]["id"]
        subnet = {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}}
        self.call("network", "POST", "/v2.0/subnets", subnet)
        return {"imageRef": image, "flavorRef": flavor_id, "networks": [{"uuid": network}]}

    def create_server(self, name: str, ground: dict[str, Any]) -> str:
        made = self.call("compute", "POST", "/v2.1/servers", {"server": {"name": name, **ground}})
        server_id: str = made["server"]["id"]
        return server_id

    def status(self, server_id: str) -> str:
        server = self.call("compute", "GET", f"/v2.1/servers/{server_id}")["server"]
        assert server["status"] != "ERROR", server["fault"]
        status: str = server["status"]
        return status

    def hosts(self) -> list[str]:
        services = self.call("compute", "GET", "/v2.1/os-services?binary=nova-compute")["services"]
        return [each["host"] for each in services if each["state"] == "up"]


def environment_has_servers() -> bool:
    return os.environ.get("KILONOVA_TEST_BUS") == "rabbit"
