"""The cloud of a state directory: all parts in one process, on files below that directory."""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import kilonova
from kilonova.cli import settings
from kilonova.cli.grounds.ground import Schema
from kilonova.cli.grounds.one_process import OneProcess
from kilonova.cli.parts import (
    block_storage,
    compute,
    compute_agent,
    consoles,
    identity,
    image,
    network,
    network_agents,
    placement,
)
from kilonova.cli.parts.options import COMMON
from kilonova.cli.parts.part import Part
from kilonova.cli.serving import ApiServer, PortTaken, limits_of, listen, proxies_of, wait_until_started
from kilonova.cli.state import StateDir
from kilonova.identity import fernet_keys
from kilonova.identity.bootstrap import Bootstrap, ServiceEntry, bootstrap
from kilonova.identity.service import Identity
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.http.client import Credentials, ServiceSession
from kilonova.kit.http.server import Connections, complain_once
from kilonova.kit.loop_lag import LoopLag

PACKAGE = Path(kilonova.__file__).parent
PORTS = {
    "identity": 5000,
    "image": 9292,
    "placement": 8778,
    "compute": 8774,
    "metadata": 8775,
    "network": 9696,
    "block-storage": 8776,
    "vnc-console": 6080,
}
MORE_CONSOLES: Mapping[str, tuple[int, Part, str]] = {
    "spice-console": (6082, consoles.SPICE_PROXY, "spice"),
    "serial-console": (6083, consoles.SERIAL_PROXY, "serial_console"),
}
"""Name → port, part, and the section that says whether there is one."""
PARTS = (
    identity.API,
    placement.API,
    image.API,
    network.SERVER,
    compute.API,
    compute.CONDUCTOR,
    consoles.NOVNC_PROXY,
    compute_agent.AGENT,
    network_agents.WHOLE,
    block_storage.API,
    block_storage.SCHEDULER,
    block_storage.VOLUME,
    block_storage.BACKUP,
)
CATALOG = (
    ("identity", "keystone", "Identity", "/v3"),
    ("image", "glance", "Image", ""),
    ("placement", "placement", "Placement", ""),
    ("compute", "nova", "Compute", "/v2.1"),
    ("network", "neutron", "Network", ""),
    ("block-storage", "cinder", "Block Storage", "/v3"),
    ("volumev3", "cinderv3", "Block Storage", "/v3/%(project_id)s"),
)
OTHER_NAMES = {"volumev3": "block-storage"}
"""Service types of the catalog that are another name of one → that one."""
SERVICE_USERS = ("nova", "glance", "placement", "neutron", "cinder")


def endpoint_url(address: str, service: str, scheme: str = "http") -> str:
    shown = f"[{address}]" if ":" in address else address
    port = PORTS[service] if service in PORTS else MORE_CONSOLES[service][0]
    return f"{scheme}://{shown}:{port}"


class Cloud(OneProcess):
    """Everything that runs. Made by `build`, started by `run`."""

    def __init__(self, state: StateDir, config: Any) -> None:
        super().__init__(identity_url=endpoint_url(config.my_ip, "identity"))
        self.state = state
        self.config = config
        self._bridge_mappings: Mapping[str, str] = {}
        self._sessions: dict[str, ServiceSession] = {}
        self._identity = self.client("identity")
        self._defaults, self._fixed = self._values()

    def _values(self) -> tuple[settings.Values, settings.Values]:
        """Returns the options' defaults in this cloud, and the values that kilonova.conf cannot change."""
        config, state = self.config, self.state
        address, driver = config.my_ip, config.compute_driver
        defaults = {
            ("vnc", "novncproxy_base_url"): f"{endpoint_url(address, 'vnc-console')}/vnc_auto.html",
            ("spice", "html5proxy_base_url"): f"{endpoint_url(address, 'spice-console')}/spice_auto.html",
            ("serial_console", "base_url"): f"{endpoint_url(address, 'serial-console', 'ws')}/",
            ("libvirt", "connection_uri"): "",
            ("fake", "vcpus"): 16,
            ("fake", "memory_mb"): 64 << 10,
            ("fake", "disk_gb"): 1000,
            ("DEFAULT", "volume_driver"): "fake" if driver == "fake" else "file",
            ("DEFAULT", "backup_driver"): "fake" if driver == "fake" else "posix",
        }
        fixed = {
            ("DEFAULT", "bind_host"): address,
            ("DEFAULT", "bind_port"): None,
            ("DEFAULT", "enabled_apis"): ["osapi_compute", "metadata"],
            ("DEFAULT", "instances_path"): str(state.instances),
            ("DEFAULT", "network_driver"): "fake" if driver == "fake" else "linux",
            ("DEFAULT", "metadata_proxy_shared_secret"): config.neutron.metadata_proxy_shared_secret,
            ("eventlet_server", "admin_port"): None,
            ("fernet_tokens", "key_repository"): str(state.path / "fernet-keys"),
            ("glance_store", "filesystem_store_datadir"): str(state.path / "images"),
            ("glance", "api_servers"): [],
            ("DEFAULT", "glance_api_servers"): [],
            ("DEFAULT", "glance_host"): "",
            ("DEFAULT", "file_volumes_path"): str(state.path / "volumes"),
            ("DEFAULT", "image_conversion_dir"): str(state.path / "conversion"),
        }
        return defaults, fixed

    @property
    def hosts(self) -> Sequence[str]:
        name, count = self.config.host, self.config.fake_hosts if self.config.compute_driver == "fake" else 1
        return [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]

    def config_of(self, part: Part) -> Any:
        directory = self.state.path / "network" if part.project == "neutron" else self.state.path
        fixed = {**self._fixed, ("DEFAULT", "state_path"): str(directory)}
        config = settings.read(self.state.config_file, [COMMON, *part.options], self._defaults, fixed)
        if part is network_agents.WHOLE:
            mappings = {**self._bridge_mappings, **config.linux_bridge.bridge_mappings}
            config.set_override("bridge_mappings", mappings, group="linux_bridge")
        return config

    def open_database(self, schema: Schema) -> Database:
        database = Database(self.state.database_url(schema.service), schema.metadata, has_ballast=True)
        upgrade(database, PACKAGE / schema.service / "migrations")
        return database

    def session(self, user: str) -> ServiceSession:
        if user not in self._sessions:
            credentials = Credentials(user, getattr(self.config.passwords, user))
            self._sessions[user] = ServiceSession(self._identity, credentials)
        return self._sessions[user]

    def data_url(self, service_type: str) -> str | None:
        return endpoint_url(self.config.my_ip, service_type)

    def bind(self) -> dict[str, socket.socket]:
        """A listening socket for each API. Raises PortTaken, having closed those it had opened."""
        sockets: dict[str, socket.socket] = {}
        ports = {**PORTS, **{name: port for name, (port, _part, _section) in self._more_consoles().items()}}
        try:
            for name, port in ports.items():
                sockets[name] = listen(name, self.config.my_ip, port)
        except PortTaken:
            for each in sockets.values():
                each.close()
            raise
        return sockets

    def _more_consoles(self) -> dict[str, tuple[int, Part, str]]:
        return {name: each for name, each in MORE_CONSOLES.items() if self.config_of(each[1])[each[2]].enabled}

    async def build(self, bridge_mappings: Mapping[str, str]) -> None:
        """Opens the databases, brings their schemas up, bootstraps identity and builds all parts.

        `bridge_mappings`: physical network → bridge, beside those of the file.
        """
        self._bridge_mappings = bridge_mappings
        fernet_keys.set_up(self.state.path / "fernet-keys")
        for part in (*PARTS, *(part for _port, part, _section in self._more_consoles().values())):
            await self.add(part)
            if part is identity.API:
                await self._bootstrap(self.services["identity"])

    async def _bootstrap(self, service: Identity) -> None:
        config = self.config
        services = tuple(
            ServiceEntry(type_, name, description, endpoint_url(config.my_ip, OTHER_NAMES.get(type_, type_)) + path)
            for type_, name, description, path in CATALOG
        )
        wanted = Bootstrap(
            region_id=config.region_name,
            admin_password=config.passwords.admin,
            service_passwords={name: getattr(config.passwords, name) for name in SERVICE_USERS},
            services=services,
            demo_password=config.passwords.demo,
        )
        await bootstrap(service, wanted)

    async def run(self, sockets: dict[str, socket.socket], ready: Callable[[], None]) -> None:
        """Serves until cancelled. `ready` is called when every API answers."""
        ledger = Connections(limits_of(self.config))
        complain_once(asyncio.get_running_loop())
        proxies = proxies_of(self.config)
        servers = [
            ApiServer(app, name, ledger, takes_websockets=name in self.websockets, trusted_proxies=proxies)
            for name, app in self.apps.items()
        ]
        async with asyncio.TaskGroup() as group:
            serving = [group.create_task(each.serve(sockets=[sockets[each.name]])) for each in servers]
            working = [group.create_task(_run(each)) for each in (LoopLag().watch, *self.work)]
            try:
                await wait_until_started(servers)
                ready()
                await asyncio.Event().wait()
            finally:
                for each in servers:
                    each.should_exit = True
                for task in working:
                    task.cancel()
                await asyncio.wait(serving, timeout=5)


async def _run(work: Callable[[], Any]) -> None:
    await work()
