"""The clouds that Tempest runs against, and the place in front of each: one host of its own, or a lab of several."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from kilonova.cli.provider import CANDIDATES, read_provider
from kilonova.cli.state import read_config
from tests.e2e.cloud import CloudUnderTest
from tests.e2e.host import OwnHost
from tools import stock_clients
from tools.lab import Lab, engines
from tools.lab import cloud as lab_clouds
from tools.lab.cloud import Cloud
from tools.lab.cloud_files import ADMIN_PASSWORD
from tools.lab.wires import OUTSIDE_PREFIX, OWN_NUMBER
from tools.stages import WORK
from tools.tempest.chosen import Part
from tools.tempest.ground import Admin, Provider

OPTIONS = """
[DEFAULT]
allow_resize_to_same_host = true

[spice]
enabled = true
spice_direct_proxy_base_url = http://127.0.0.1:13002/

[serial_console]
enabled = true
"""
"""Added to kilonova.conf: what a cloud does only if its operator says so."""
IN_FRONT = 'mount --bind "$0" /etc/hosts && exec "$@"'
"""Shell: the lab's names for whoever stands in front of it. `$0`: the file with them."""


@dataclass(frozen=True)
class Standing:
    """A cloud that stands, and how a command is started in front of it."""

    admin: Admin
    provider: Provider
    identity_url: str
    admin_password: str
    argv: Callable[..., list[str]]
    environment: Mapping[str, str]


@contextmanager
def bring_up(part: Part, directory: Path, image_file: Path) -> Iterator[Standing]:
    """The part's cloud, which is gone afterwards; what it logged stays in the directory."""
    with _in_lab(part, directory) if part.place == "lab" else _on_one_host(part, directory, image_file) as standing:
        yield standing


@contextmanager
def _on_one_host(part: Part, directory: Path, image_file: Path) -> Iterator[Standing]:
    host = OwnHost("tempest", directory, {"KILONOVA_CACHE_DIR": str(image_file.parent)})
    host.start()
    cloud = CloudUnderTest(host, stock_clients.OPENSTACK)
    is_simulated = part.place == "simulated"
    try:
        driver = "fake" if is_simulated else "libvirt"
        cloud.state.ensure(host=host.name, address="127.0.0.1", driver=driver, fake_hosts=part.hosts)
        with cloud.state.config_file.open("a") as file:
            file.write(OPTIONS)
        simulated = ("--fake", str(part.hosts)) if is_simulated else ()
        print(cloud.kilonova("up", "--detach", *simulated).strip())
        found = read_provider(cloud.state)
        cidr = CANDIDATES[0] if found is None else found.network
        yield Standing(
            cloud.admin,
            Provider(cidr, str(cidr[1])),
            "http://127.0.0.1:5000/v3",
            read_config(cloud.state).passwords.admin,
            host.argv,
            host.environment(),
        )
    finally:
        cloud.close()
        host.power_off()
        for name in ("images", "instances"):
            shutil.rmtree(directory / "state" / name, ignore_errors=True)


class LabAdmin:
    """`Admin` of a cloud in the lab."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def call(self, service: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        prefix = "/v2.1" if service == "compute" else ""
        return self._cloud.api.call(service, method, f"{prefix}{path}", body)

    def upload(self, path: str, file: Path) -> None:
        self._cloud.api.call("image", "PUT", path, content=file.read_bytes())


@contextmanager
def _in_lab(part: Part, directory: Path) -> Iterator[Standing]:
    """A controller, a host for networks, and those of the part for servers."""
    lab = Lab.up(part.hosts + 1, WORK / "tempest-lab")
    try:
        engines.start(lab.controller)
        cloud = lab_clouds.install(lab)
        try:
            yield _in_front_of(lab, cloud, directory)
        finally:
            cloud.close()
    finally:
        lab.keep_logs(directory / "logs")
        lab.down()


def _in_front_of(lab: Lab, cloud: Cloud, directory: Path) -> Standing:
    names = directory / "hosts"
    names.write_text("127.0.0.1 localhost\n" + "".join(f"{each.address} {each.name}\n" for each in lab.hosts.values()))

    def argv(*command: str) -> list[str]:
        network = ["nsenter", "-t", str(lab.wires.anchor.pid), "-n", "--"]
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        return [*network, *apart, "--", "sh", "-c", IN_FRONT, str(names), *command]

    provider = Provider(IPv4Network(f"{OUTSIDE_PREFIX}0/24"), f"{OUTSIDE_PREFIX}{OWN_NUMBER}")
    identity_url = f"http://{lab.controller.name}:5000/v3"
    environment = {"HOME": str(directory), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    return Standing(LabAdmin(cloud), provider, identity_url, ADMIN_PASSWORD, argv, environment)
