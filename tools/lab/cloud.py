"""A cloud on the hosts of a lab, installed as the guides do: databases, files, `*-manage`, users, services, daemons.

`Cloud` is the cloud that stands: which daemon belongs on which host, and the API in front of it.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tools.lab import engines
from tools.lab.api import Api
from tools.lab.cloud_files import (
    ADMIN_PASSWORD,
    PASSWORDS,
    RABBIT_PASSWORD,
    RABBIT_USER,
    Place,
    agent_files,
    controller_files,
)
from tools.lab.hosts import Host, HostError, wait_for
from tools.lab.lab import CONTROLLER, Lab
from tools.lab.wires import Outside

DATABASES = {
    "keystone": "keystone",
    "glance": "glance",
    "placement": "placement",
    "nova_api": "nova",
    "nova": "nova",
    "nova_cell0": "nova",
    "neutron": "neutron",
}
"""Database → its user."""

SYNC: Sequence[Sequence[str]] = (
    ("keystone-manage", "db_sync"),
    ("glance-manage", "db_sync"),
    ("placement-manage", "db", "sync"),
    ("nova-manage", "api_db", "sync"),
    ("nova-manage", "cell_v2", "map_cell0"),
    ("nova-manage", "cell_v2", "create_cell", "--name=cell1", "--verbose"),
    ("nova-manage", "db", "sync"),
    (
        "neutron-db-manage",
        *("--config-file", "/etc/neutron/neutron.conf", "--config-file", "/etc/neutron/plugins/ml2/ml2_conf.ini"),
        *("upgrade", "head"),
    ),
)
SERVICES = {
    "image": ("glance", "http://controller:9292"),
    "placement": ("placement", "http://controller:8778"),
    "compute": ("nova", "http://controller:8774/v2.1"),
    "network": ("neutron", "http://controller:9696"),
}
"""Service type → user and the URL of its endpoints."""

_NEUTRON = ("--config-file", "/etc/neutron/neutron.conf")
FILES: dict[str, tuple[str, ...]] = {
    "neutron-server": (*_NEUTRON, "--config-file", "/etc/neutron/plugins/ml2/ml2_conf.ini"),
    "neutron-linuxbridge-agent": (*_NEUTRON, "--config-file", "/etc/neutron/plugins/ml2/linuxbridge_agent.ini"),
    "neutron-dhcp-agent": (*_NEUTRON, "--config-file", "/etc/neutron/dhcp_agent.ini"),
    "neutron-l3-agent": (*_NEUTRON, "--config-file", "/etc/neutron/l3_agent.ini"),
    "neutron-metadata-agent": (*_NEUTRON, "--config-file", "/etc/neutron/metadata_agent.ini"),
    "glance-api": ("--config-file", "/etc/glance/glance-api.conf"),
}
"""What the packages' units name on the command line; the others read /etc/<project>/<project>.conf."""

CONTROL = (
    *("glance-api", "placement-api", "nova-api", "nova-scheduler", "nova-conductor", "nova-novncproxy"),
    "neutron-server",
)
NETWORK = ("neutron-linuxbridge-agent", "neutron-dhcp-agent", "neutron-l3-agent", "neutron-metadata-agent")
READY_SECONDS = 60.0


@dataclass
class Cloud:
    lab: Lab
    doubles: list[str] = field(default_factory=list)
    """Daemons of the controller that run once more, such as `nova-conductor.2`."""
    outside: Outside = field(init=False)
    api: Api = field(init=False)

    def __post_init__(self) -> None:
        self.outside = self.lab.outside()
        self.api = Api(self.outside, self.lab.controller.address, ADMIN_PASSWORD)

    def close(self) -> None:
        self.api.close()
        self.outside.close()

    @property
    def places(self) -> list[Place]:
        """Where what runs: on the first host beside the controller networks, on the others servers; one has both."""
        others = self.lab.others
        return [
            Place(
                each.name,
                each.address,
                carries_servers=index > 0 or len(others) == 1,
                carries_networks=index == 0,
            )
            for index, each in enumerate(others)
        ]

    def daemons(self) -> list[tuple[str, str]]:
        """(host, daemon) of all that belongs to the cloud, in the order of their start."""
        found = [(CONTROLLER, each) for each in ("keystone", *CONTROL, *self.doubles)]
        for place in self.places:
            names = NETWORK if place.carries_networks else NETWORK[:1]
            found += [(place.name, each) for each in names]
            if place.carries_servers:
                found.append((place.name, "nova-compute"))
        return found

    def start(self, host: str, daemon: str) -> None:
        program = daemon.partition(".")[0]
        self.lab.host(host).start(daemon, [program, *FILES.get(program, ())])

    def double(self, daemon: str, number: int) -> None:
        """Start one more of a daemon on the controller, beside the one or those that run."""
        name = f"{daemon}.{number}"
        self.doubles.append(name)
        self.start(CONTROLLER, name)

    def wait_ready(self, service: str) -> None:
        wait_for(lambda: self.is_running() and self.api.is_ready(service), f"{service} answers", READY_SECONDS)

    def is_running(self) -> bool:
        """True. Raises HostError for a daemon that has ended, with the end of its log."""
        for host in self.lab.hosts.values():
            for name, runs in host.daemons().items():
                if not runs:
                    raise HostError(f"{host.name}: {name} has ended:\n{host.log_end(name)}")
        return True

    def computes_up(self) -> list[str]:
        found = self.api.call("compute", "GET", "/v2.1/os-services?binary=nova-compute")["services"]
        return sorted(each["host"] for each in found if each["state"] == "up")

    def network_agents_up(self) -> list[tuple[str, str]]:
        found = self.api.call("network", "GET", "/v2.0/agents")["agents"]
        return sorted((each["host"], each["binary"]) for each in found if each["alive"])


def install(lab: Lab) -> Cloud:
    """Engines have to run. Returns when every host is up in the eyes of the APIs."""
    cloud = Cloud(lab)
    try:
        _install_controller(cloud)
        for place in cloud.places:
            _write(lab.host(place.name), agent_files(place))
            if place.carries_servers:
                lab.start_libvirtd(place.name)
        for host, daemon in cloud.daemons():
            if daemon != "keystone":
                cloud.start(host, daemon)
        for service in SERVICES:
            cloud.wait_ready(service)
        _wait_agents(cloud)
    except BaseException:
        cloud.close()
        raise
    return cloud


def _write(host: Host, files: dict[str, str]) -> None:
    for path, text in files.items():
        host.write(path, text, 0o640)


def _install_controller(cloud: Cloud) -> None:
    host = cloud.lab.controller
    engines.run_sql(host, _sql())
    _write(host, controller_files(Place(host.name, host.address)))
    with ThreadPoolExecutor(2) as pool:
        adding = pool.submit(engines.add_user, host, RABBIT_USER, RABBIT_PASSWORD)
        for command in SYNC:
            host.run(command)
        adding.result()
    host.run(["keystone-manage", "fernet_setup", "--keystone-user", "root", "--keystone-group", "root"])
    host.run(["keystone-manage", "credential_setup", "--keystone-user", "root", "--keystone-group", "root"])
    words = ["--bootstrap-password", ADMIN_PASSWORD, "--bootstrap-region-id", "RegionOne"]
    for interface in ("admin", "internal", "public"):
        words += [f"--bootstrap-{interface}-url", "http://controller:5000/v3/"]
    host.run(["keystone-manage", "bootstrap", *words])
    cloud.start(host.name, "keystone")
    cloud.wait_ready("identity")
    _make_users(cloud.api)


def _sql() -> str:
    lines = [f"CREATE DATABASE {database};" for database in DATABASES]
    for database, user in DATABASES.items():
        for place in ("localhost", "%"):
            lines.append(
                f"GRANT ALL PRIVILEGES ON {database}.* TO '{user}'@'{place}' IDENTIFIED BY '{PASSWORDS[user]}';"
            )
    return "\n".join(lines)


def _make_users(api: Api) -> None:
    """A user with the role admin on the project service, a service, three endpoints, for each."""
    project = api.call("identity", "GET", "/v3/projects?name=service")["projects"][0]["id"]
    role = api.call("identity", "GET", "/v3/roles?name=admin")["roles"][0]["id"]
    for kind, (user, url) in SERVICES.items():
        new = {"user": {"name": user, "domain_id": "default", "password": PASSWORDS[user]}}
        user_id = api.call("identity", "POST", "/v3/users", new)["user"]["id"]
        api.call("identity", "PUT", f"/v3/projects/{project}/users/{user_id}/roles/{role}")
        entry = {"service": {"name": user, "type": kind}}
        service_id = api.call("identity", "POST", "/v3/services", entry)["service"]["id"]
        for interface in ("public", "internal", "admin"):
            endpoint = {"service_id": service_id, "interface": interface, "region_id": "RegionOne", "url": url}
            api.call("identity", "POST", "/v3/endpoints", {"endpoint": endpoint})


def _wait_agents(cloud: Cloud) -> None:
    computes = sorted(host for host, daemon in cloud.daemons() if daemon == "nova-compute")
    agents = {(host, daemon) for host, daemon in cloud.daemons() if daemon in NETWORK}
    wait_for(lambda: cloud.is_running() and cloud.computes_up() == computes, f"{computes} are up", READY_SECONDS)
    wait_for(lambda: agents <= set(cloud.network_agents_up()), f"{sorted(agents)} are alive", READY_SECONDS)
