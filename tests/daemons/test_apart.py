"""Every daemon a process of its own, on a database server and a broker, installed in the guides' order.

Runs where a broker was asked for: `make test PART=e2e DATABASE=postgresql BUS=rabbit`.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from kilonova.kit.testing.brokers import RabbitMq
from tests.daemons.controller import Controller, environment_has_servers, wait_for
from tests.databases import Databases


def greeting(controller: Controller, server_id: str) -> str | bytes:
    """The first that a server's screen says to a browser."""
    body = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    made = controller.call("compute", "POST", f"/v2.1/servers/{server_id}/remote-consoles", body)
    (path,) = parse_qs(urlsplit(made["remote_console"]["url"]).query)["path"]
    socket = controller.url("console").replace("http", "ws")
    with connect(f"{socket}/{path}", origin=Origin(controller.url("console")), proxy=None) as browser:
        return browser.recv(timeout=10)


if environment_has_servers():

    @pytest.fixture
    def controller(databases: Databases, tmp_path: Path) -> Iterator[Controller]:
        broker = RabbitMq(tmp_path / "rabbitmq")
        broker.start()
        made = Controller(tmp_path, databases, broker)
        try:
            made.install()
            made.start_all()
            for service in ("image", "placement", "network", "compute"):
                made.wait_api(service)
            yield made
        finally:
            made.close()
            broker.remove()

    @pytest.mark.e2e
    def test_servers_are_built_whatever_is_killed(controller: Controller) -> None:
        wait_for(controller.hosts, "the compute host is up")
        ground = controller.make_ground()
        first = controller.create_server("first", ground)
        wait_for(lambda: controller.status(first) == "ACTIVE", "the first server is ACTIVE")

        controller.start("nova-conductor", "-2")
        made = [controller.create_server(f"more-{number}", ground) for number in range(7)]
        controller.kill("nova-conductor")
        wait_for(
            lambda: all(controller.status(each) == "ACTIVE" for each in made), "seven servers are ACTIVE", seconds=120
        )

        controller.broker.kill()
        late = controller.create_server("late", ground)
        controller.broker.start()
        wait_for(lambda: controller.status(late) == "ACTIVE", "a server asked for without a broker is ACTIVE", 60)

        assert greeting(controller, first) == b"RFB 003.008\n"
        found = controller.call("compute", "GET", "/v2.1/os-services?binary=nova-consoleauth")["services"]
        assert [(each["host"], each["state"]) for each in found] == [("controller", "up")]

        for each in (first, *made, late):
            controller.call("compute", "DELETE", f"/v2.1/servers/{each}")
        wait_for(
            lambda: controller.call("compute", "GET", "/v2.1/servers")["servers"] == [], "no server is left", seconds=60
        )
        ports = controller.call("network", "GET", "/v2.0/ports?device_owner=compute:nova")["ports"]
        assert ports == []
        controller.check_running()
        controller.stop()
