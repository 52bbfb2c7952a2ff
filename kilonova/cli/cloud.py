"""A whole cloud in one process: every service, agent and runner on one asyncio loop.

Services reach each other through their ASGI apps, not sockets; only image data goes over a socket, because an
in-process transport would hold it in memory as a whole.
"""

import asyncio
import functools
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

import kilonova
from kilonova.cli.serving import ApiServer, PortTaken, listen, name_identity, wait_until_started
from kilonova.cli.state import StateDir
from kilonova.compute import app as compute_app
from kilonova.compute import deleted_servers, leftovers
from kilonova.compute import hosts as compute_hosts
from kilonova.compute import mappings as compute_mappings
from kilonova.compute.agent.agent import ComputeAgent
from kilonova.compute.agent.driver import ComputeDriver
from kilonova.compute.agent.drivers.fake import FakeDriver as FakeComputeDriver
from kilonova.compute.agent.drivers.fake import FakeHost
from kilonova.compute.agent.drivers.options import ConsoleOptions, LibvirtOptions, ScreenOptions
from kilonova.compute.console_proxy.app import NOVNC
from kilonova.compute.console_proxy.app import make_app as make_console_app
from kilonova.compute.metadata.app import make_app as make_metadata_app
from kilonova.compute.programs import PROGRAMS
from kilonova.compute.registry import Registry as ComputeRegistry
from kilonova.compute.service import Compute
from kilonova.compute.tables import metadata as compute_metadata
from kilonova.compute.tables import tasks as compute_tasks
from kilonova.compute.topics import AGENT_BINARY as COMPUTE_BINARY
from kilonova.identity import app as identity_app
from kilonova.identity import fernet_keys, log_ins
from kilonova.identity.bootstrap import Bootstrap, ServiceEntry, bootstrap
from kilonova.identity.service import Identity
from kilonova.identity.tables import metadata as identity_metadata
from kilonova.image import app as image_app
from kilonova.image import recovery as image_recovery
from kilonova.image.client import ImageClient
from kilonova.image.inspection import inspect_file
from kilonova.image.quotas import Limits
from kilonova.image.service import Image
from kilonova.image.stores.file import FileStore
from kilonova.image.tables import metadata as image_metadata
from kilonova.kit.agents import AgentCalls, Liveness
from kilonova.kit.bus import InProcessBus
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade
from kilonova.kit.http.client import Credentials, RemoteService, ServiceSession, in_process_client
from kilonova.kit.http.server import Connections, complain_once
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC, TokenVerifier
from kilonova.kit.log import logger
from kilonova.kit.loop_lag import LoopLag
from kilonova.kit.tasks import Runner
from kilonova.network import agents as network_agents
from kilonova.network import app as network_app
from kilonova.network.agent.agent import NetworkAgent
from kilonova.network.agent.drivers.fake import FakeDriver as FakeNetworkDriver
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.client import NetworkClient
from kilonova.network.events import EventSender
from kilonova.network.registry import Registry as NetworkRegistry
from kilonova.network.service import NetworkService
from kilonova.network.tables import metadata as network_metadata
from kilonova.network.topics import AGENT_BINARY as NETWORK_BINARY
from kilonova.placement import app as placement_app
from kilonova.placement.client import PlacementClient
from kilonova.placement.service import Placement
from kilonova.placement.tables import metadata as placement_metadata

log = logger(__name__)

PACKAGE = Path(kilonova.__file__).parent
PORTS = {
    "identity": 5000,
    "image": 9292,
    "placement": 8778,
    "compute": 8774,
    "metadata": 8775,
    "network": 9696,
    "console": 6080,
}
TAKE_WEBSOCKETS = ("console",)
CATALOG = (
    ("identity", "keystone", "Identity", "/v3"),
    ("image", "glance", "Image", ""),
    ("placement", "placement", "Placement", ""),
    ("compute", "nova", "Compute", "/v2.1"),
    ("network", "neutron", "Network", ""),
)
SERVICE_USERS = ("nova", "glance", "placement", "neutron")


@dataclass
class Cloud:
    """Everything that runs. Made by `build`, started by `run`."""

    state: StateDir
    config: Any
    bus: InProcessBus
    apps: dict[str, ASGIApp]
    databases: list[Database]
    identity: Identity
    compute: Compute
    network: NetworkService
    image: Image
    runner: Runner[Compute]
    work: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What runs beside the APIs until the end: runners, agents, watchers."""

    async def run(self, sockets: dict[str, socket.socket], ready: Callable[[], None]) -> None:
        """Serves until cancelled. `ready` is called when every API answers."""
        await image_recovery.recover(self.image)
        ledger = Connections()
        complain_once(asyncio.get_running_loop())
        servers = [
            ApiServer(app, name, ledger, takes_websockets=name in TAKE_WEBSOCKETS) for name, app in self.apps.items()
        ]
        async with asyncio.TaskGroup() as group:
            serving = [group.create_task(each.serve(sockets=[sockets[each.name]])) for each in servers]
            working = [group.create_task(_named(each)) for each in self.work]
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

    async def close(self) -> None:
        await self.bus.close()
        for database in self.databases:
            await database.close()


async def _named(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def bind(address: str) -> dict[str, socket.socket]:
    """A listening socket for each API. Raises PortTaken, having closed those it had opened."""
    sockets: dict[str, socket.socket] = {}
    try:
        for name, port in PORTS.items():
            sockets[name] = listen(name, address, port)
    except PortTaken:
        for each in sockets.values():
            each.close()
        raise
    return sockets


def endpoint_url(address: str, service: str) -> str:
    shown = f"[{address}]" if ":" in address else address
    return f"http://{shown}:{PORTS[service]}"


def console_url(address: str) -> str:
    """Of the page that opens a server's screen."""
    return f"{endpoint_url(address, 'console')}/vnc_auto.html"


async def build(state: StateDir, config: Any, bridge_mappings: dict[str, str]) -> Cloud:
    """Opens the databases, brings their schemas up, bootstraps identity and wires everything together."""
    bus = InProcessBus()
    opened = _open_databases(state)
    identity = await _make_identity(state, config, bus, opened["identity"])
    apps: dict[str, ASGIApp] = {"identity": identity_app.make_app(identity)}
    wiring = _Wiring(config, bus, in_process_client(apps["identity"]), apps)
    placement = Placement(opened["placement"])
    apps["placement"] = placement_app.make_app(placement, wiring.verifier("placement"))
    image = Image(
        database=opened["image"],
        store=FileStore(state.path / "images", config.glance_store.filesystem_store_reserve),
        max_image_bytes=config.glance_store.image_size_cap,
        limits=Limits(config.quota.image_count_total, config.quota.image_size_total),
    )
    apps["image"] = image_app.make_app(image, wiring.verifier("glance"))
    network = NetworkService(database=opened["network"], bus=bus, liveness=Liveness(bus))
    apps["network"] = network_app.make_app(network, wiring.verifier("neutron"))
    compute = Compute(
        database=opened["compute"],
        bus=bus,
        placement=PlacementClient(wiring.remote("placement", "nova")),
        image=ImageClient(wiring.remote("image", "nova")),
        network=NetworkClient(wiring.remote("network", "nova")),
        agents=AgentCalls(bus, COMPUTE_BINARY),
        liveness=Liveness(bus),
        default_zone=config.default_availability_zone,
        control_services=_control_services(config.host),
        metadata_secret=config.neutron.metadata_proxy_shared_secret,
    )
    apps["compute"] = compute_app.make_app(compute, wiring.verifier("nova"))
    for name in ("placement", "image", "network", "compute"):
        apps[name] = name_identity(apps[name], endpoint_url(config.my_ip, "identity"))
    apps["metadata"] = make_metadata_app(compute)
    apps["console"] = make_console_app(compute, NOVNC)
    network.compute = wiring.remote("compute", "neutron")
    runner = Runner(opened["compute"], compute_tasks, PROGRAMS, compute, sole_runner=True)
    compute.runner = runner
    async with compute.database.transaction() as tx:
        await compute_mappings.ensure_here(tx, compute.clock.now())
    cloud = Cloud(state, config, bus, apps, list(opened.values()), identity, compute, network, image, runner)
    cloud.work += _control_work(cloud)
    cloud.work += _agents(cloud, wiring, bridge_mappings)
    return cloud


def _open_databases(state: StateDir) -> dict[str, Database]:
    metadatas = {
        "identity": identity_metadata,
        "placement": placement_metadata,
        "image": image_metadata,
        "network": network_metadata,
        "compute": compute_metadata,
    }
    opened = {}
    for service, metadata in metadatas.items():
        opened[service] = Database(state.database_url(service), metadata, has_ballast=True)
        upgrade(opened[service], PACKAGE / service / "migrations")
    return opened


async def _make_identity(state: StateDir, config: Any, bus: InProcessBus, database: Database) -> Identity:
    keys = state.path / "fernet-keys"
    fernet_keys.set_up(keys)
    compliance = config.security_compliance
    identity = Identity(
        database,
        fernet_keys.load(keys),
        bus,
        token_seconds=config.token.expiration,
        limits=log_ins.Limits(compliance.lockout_failure_attempts, compliance.lockout_duration),
        failures_before_delay=compliance.failures_before_delay,
    )
    services = tuple(
        ServiceEntry(type_, name, description, endpoint_url(config.my_ip, type_) + path)
        for type_, name, description, path in CATALOG
    )
    wanted = Bootstrap(
        region_id=config.region_name,
        admin_password=config.passwords.admin,
        service_passwords={name: getattr(config.passwords, name) for name in SERVICE_USERS},
        services=services,
        demo_password=config.passwords.demo,
    )
    await bootstrap(identity, wanted)
    return identity


@dataclass
class _Wiring:
    """How the services of this process reach each other."""

    config: Any
    bus: InProcessBus
    identity: httpx.AsyncClient
    apps: dict[str, ASGIApp]
    sessions: dict[str, ServiceSession] = field(default_factory=dict)

    def session(self, user: str) -> ServiceSession:
        if user not in self.sessions:
            credentials = Credentials(user, getattr(self.config.passwords, user))
            self.sessions[user] = ServiceSession(self.identity, credentials)
        return self.sessions[user]

    def verifier(self, user: str) -> TokenVerifier:
        verifier = TokenVerifier(self.identity, self.session(user))
        self.bus.subscribe(REVOCATIONS_TOPIC, verifier.forget)
        return verifier

    def remote(self, service: str, user: str) -> RemoteService:
        # The app may be made after its caller: it is looked up at the first call.
        client = httpx.AsyncClient(transport=_LateTransport(self.apps, service), base_url=f"http://{service}")
        return RemoteService(service, client, self.session(user))

    def remote_over_socket(self, service: str, user: str) -> RemoteService:
        client = httpx.AsyncClient(base_url=endpoint_url(self.config.my_ip, service), timeout=60)
        return RemoteService(service, client, self.session(user))


class _LateTransport(httpx.AsyncBaseTransport):
    def __init__(self, apps: dict[str, ASGIApp], service: str) -> None:
        self._apps = apps
        self._service = service
        self._transport: httpx.ASGITransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._transport is None:
            self._transport = httpx.ASGITransport(app=self._apps[self._service])
        return await self._transport.handle_async_request(request)


def _control_services(host: str) -> tuple[tuple[str, str, str], ...]:
    """nova-conductor and nova-scheduler as operators know them, with ids that stay the same."""
    binaries = ("nova-conductor", "nova-scheduler")
    return tuple((binary, host, str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{binary}.{host}"))) for binary in binaries)


def _control_work(cloud: Cloud) -> list[Callable[[], Awaitable[None]]]:
    ComputeRegistry(cloud.compute).serve()
    NetworkRegistry(cloud.network).serve()

    async def known_network_agents() -> list[tuple[str, str]]:
        async with cloud.network.database.reading() as tx:
            return sorted({(NETWORK_BINARY, each.host) for each in await network_agents.list_all(tx)})

    return [
        LoopLag().watch,
        cloud.runner.run,
        EventSender(cloud.network).run,
        functools.partial(deleted_servers.forget_in_time, cloud.compute),
        functools.partial(leftovers.keep, cloud.compute),
        functools.partial(compute_hosts.watch, cloud.compute),
        functools.partial(cloud.network.liveness.watch, known_network_agents),
    ]


def _agents(cloud: Cloud, wiring: _Wiring, bridge_mappings: dict[str, str]) -> list[Callable[[], Awaitable[None]]]:
    if cloud.config.compute_driver == "fake":
        return _fake_agents(cloud)
    return [
        functools.partial(_run_compute_agent, cloud, wiring),
        functools.partial(_run_network_agent, cloud, bridge_mappings),
    ]


def _fake_agents(cloud: Cloud) -> list[Callable[[], Awaitable[None]]]:
    work: list[Callable[[], Awaitable[None]]] = []
    count = cloud.config.fake_hosts
    for number in range(1, count + 1):
        name = cloud.config.host if count == 1 else f"{cloud.config.host}-{number}"
        host = FakeHost(name, console_urls={"vnc": console_url(cloud.config.my_ip)})
        work.append(_compute_agent(cloud, name, functools.partial(FakeComputeDriver, host)))
        agent = NetworkAgent(FakeNetworkDriver(), cloud.bus, host=name, configurations={})
        work.append(agent.run)
    return work


def _compute_agent(
    cloud: Cloud, host: str, make_driver: Callable[[Callable[[str], None]], ComputeDriver]
) -> Callable[[], Awaitable[None]]:
    """A driver tells its events to the agent that is made around it."""
    agents: list[ComputeAgent] = []
    driver = make_driver(lambda server_id: agents[0].on_event(server_id) if agents else None)
    agents.append(ComputeAgent(driver, cloud.bus, host=host, zone=cloud.config.default_availability_zone))
    return agents[0].run


async def _run_compute_agent(cloud: Cloud, wiring: _Wiring) -> None:
    # libvirt's binding is only loaded where a hypervisor is driven.
    from kilonova.compute.agent.drivers.libvirt import LibvirtDriver

    images = ImageClient(wiring.remote_over_socket("image", "nova"))
    options = LibvirtOptions(
        state_dir=cloud.state.path,
        instances_path=cloud.state.instances,
        hostname=cloud.config.host,
        host_ip=cloud.config.my_ip,
        virt_type=cloud.config.libvirt.virt_type,
        connection_uri=cloud.config.libvirt.connection_uri,
        consoles=ConsoleOptions(vnc=ScreenOptions(base_url=console_url(cloud.config.my_ip))),
    )

    def fetch(image_id: str) -> AsyncIterator[bytes]:
        return images.download(image_id)

    def inspect(path: Path, disk_format: str) -> int | None:
        return inspect_file(path, disk_format).virtual_size_bytes

    run = _compute_agent(cloud, cloud.config.host, lambda on_event: LibvirtDriver(options, fetch, inspect, on_event))
    await run()


async def _run_network_agent(cloud: Cloud, bridge_mappings: dict[str, str]) -> None:
    from kilonova.network.agent.drivers.linux import LinuxDriver
    from kilonova.network.agent.watch import TapWatch

    config = cloud.config
    mappings = {**bridge_mappings, **config.linux_bridge.bridge_mappings}
    options = LinuxOptions(
        state_dir=cloud.state.path / "network",
        bridge_mappings=mappings,
        physical_interface_mappings=config.linux_bridge.physical_interface_mappings,
        local_ip=config.vxlan.local_ip,
        l2_population=config.vxlan.l2_population,
        metadata_proxy_shared_secret=config.neutron.metadata_proxy_shared_secret,
        metadata_transport=httpx.ASGITransport(app=cloud.apps["metadata"]),
    )
    configurations = {"bridge_mappings": mappings, "tunneling_ip": config.vxlan.local_ip or ""}
    agent = NetworkAgent(
        LinuxDriver(options),
        cloud.bus,
        host=config.host,
        configurations=configurations,
        watch=lambda wake: TapWatch(wake).close,
    )
    await agent.run()
