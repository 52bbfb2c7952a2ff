"""DHCP and metadata as a guest sees them, on hosts of their own."""

import asyncio
import hashlib
import hmac
import sys
from pathlib import Path

import httpx
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from kilonova.network.agent.namespaces import run_inside
from kilonova.network.wanted import DhcpOption
from tests.network.agent.dhcp_client import Lease, ask_for_lease
from tests.network.agent.documents import PROJECT, Net, group, state
from tests.network.agent.drivers import converge, make_driver, make_guest
from tests.network.agent.hosts import Guest, Host, on_own_host

METADATA = "169.254.169.254"


async def lease_of(guest: Guest, *, within_seconds: float = 3) -> Lease | None:
    return await asyncio.to_thread(
        run_inside, guest.name, lambda: ask_for_lease(guest.mac_address, within_seconds=within_seconds)
    )


def pid_of(host: Host, net: Net) -> int:
    return int((host.state_dir / "dhcp" / net.id / "pid").read_text())


@on_own_host
async def test_a_guest_gets_its_lease_with_mtu_names_and_routes(host: Host) -> None:
    net = Net(1)
    closed = group(1)
    port = net.port(5, (closed.id,))
    host.state_dir.chmod(0o755)  # so dnsmasq's own user reaches its files
    driver = make_driver(host)
    guest = make_guest(host, "one", port, address=False)
    report = await converge(driver, state([net], [port], [closed]))
    assert report.dhcp_up == (net.id,)
    await host.settle()
    lease = await lease_of(guest)
    assert lease is not None
    assert lease.address == "10.0.1.5"
    assert lease.mtu == 1450
    assert lease.addresses(3) == ["10.0.1.1"]
    assert lease.addresses(6) == ["9.9.9.9"]
    assert lease.routes == [(f"{METADATA}/32", "10.0.1.2"), ("0.0.0.0/0", "10.0.1.1")]
    assert lease.options[12] == b"host-10-0-1-5"
    assert lease.options[15] == b"openstacklocal"
    assert host.run("ps", "-o", "user=", "-p", str(pid_of(host, net))).strip() == "dnsmasq"
    net.hosts[0] = msgspec.structs.replace(net.hosts[0], hostname="renamed")
    await converge(driver, state([net], [port], [closed]))
    renewed = await lease_of(guest)
    assert renewed is not None and renewed.options[12] == b"renamed", "it reads its files again as that user"
    await driver.close()


@on_own_host
async def test_a_guest_is_sent_the_options_of_its_port_and_no_other_guest_is(host: Host) -> None:
    net = Net(1)
    closed = group(1)
    first, second = net.port(5, (closed.id,)), net.port(6, (closed.id,))
    driver = make_driver(host)
    guests = [make_guest(host, name, port, address=False) for name, port in (("one", first), ("two", second))]
    await converge(driver, state([net], [first, second], [closed]))
    options = {
        "bootfile-name": "http://boot.example/a b,c#d",
        "tftp-server": "10.0.1.77",
        "ntp-server": "10.0.1.3,10.0.1.4",
        "mtu": "1300",
        "router": "10.0.1.9",
        "15": "example.org",
    }
    told = tuple(DhcpOption(name, value) for name, value in options.items())
    net.hosts[0] = msgspec.structs.replace(net.hosts[0], options=told)
    await converge(driver, state([net], [first, second], [closed]))
    pid = pid_of(host, net)
    await host.settle()
    mine, other = [await lease_of(each) for each in guests]
    assert mine is not None and other is not None
    assert mine.options[67].rstrip(b"\0") == b"http://boot.example/a b,c#d"
    assert mine.options[66].rstrip(b"\0") == b"10.0.1.77"
    assert mine.addresses(42) == ["10.0.1.3", "10.0.1.4"]
    assert (mine.mtu, mine.addresses(3), mine.options[15]) == (1300, ["10.0.1.9"], b"example.org")
    assert (other.mtu, other.addresses(3), other.options[15]) == (1450, ["10.0.1.1"], b"openstacklocal")
    assert not {42, 66, 67} & other.options.keys()
    net.hosts[0] = msgspec.structs.replace(net.hosts[0], options=(DhcpOption("mtu", "1200"),))
    await converge(driver, state([net], [first, second], [closed]))
    mine = await lease_of(guests[0])
    assert mine is not None and (mine.mtu, mine.addresses(3)) == (1200, ["10.0.1.1"])
    assert pid_of(host, net) == pid, "options are read again without a restart"
    await driver.close()


@on_own_host
async def test_changed_hosts_are_read_again_without_a_restart(host: Host) -> None:
    net = Net(1)
    everyone = group(1)
    first = net.port(5, (everyone.id,))
    driver = make_driver(host)
    document = state([net], [first], [everyone])
    await converge(driver, document)
    pid = pid_of(host, net)
    second = net.port(6, (everyone.id,))
    guest = make_guest(host, "two", second, address=False)
    await converge(driver, state([net], [first, second], [everyone]))
    await host.settle()
    lease = await lease_of(guest)
    assert lease is not None and lease.address == "10.0.1.6"
    assert pid_of(host, net) == pid, "hosts are read again on SIGHUP"
    await driver.close()
    driver = make_driver(host)
    await converge(driver, state([net], [first, second], [everyone]))
    assert pid_of(host, net) == pid, "a new driver adopts the process"

    # The address goes to another MAC address while the old lease still runs.
    successor = msgspec.structs.replace(second, id=second.id.replace("c", "e"), mac_address="fa:16:3e:77:77:77")
    net.hosts[-1] = msgspec.structs.replace(net.hosts[-1], mac_address=successor.mac_address, port_id=successor.id)
    other = make_guest(host, "three", successor, address=False)
    await converge(driver, state([net], [first, successor], [everyone]))
    await host.settle()
    lease = await lease_of(other)
    assert lease is not None and lease.address == "10.0.1.6"


@on_own_host
async def test_a_dead_or_altered_server_is_started_again_and_gone_when_unwanted(host: Host) -> None:
    net = Net(1)
    driver = make_driver(host)
    document = state([net])
    await converge(driver, document)
    first = pid_of(host, net)
    host.run("kill", "-9", str(first))
    while Path(f"/proc/{first}").exists():
        await asyncio.sleep(0.01)
    report = await driver.converge(document)
    assert (report.changes, report.dhcp_up) == (1, (net.id,))
    second = pid_of(host, net)
    assert second != first
    net.mtu = 1400
    await converge(driver, state([net]))
    third = pid_of(host, net)
    assert third != second, "its command line had to change"
    net.dhcp = False
    await converge(driver, state([net]))
    assert not Path(f"/proc/{third}").exists()
    assert not (host.state_dir / "dhcp" / net.id).exists()
    assert (await driver.observe()).dhcp == ()
    # Files of a running server are lost: the next driver still finds and replaces the process.
    net.dhcp = True
    await converge(driver, state([net]))
    host.run("rm", "-r", str(host.state_dir / "dhcp"))
    await driver.close()
    await converge(make_driver(host), state([net]))
    assert host.run("pgrep", "-c", "dnsmasq").strip() == "1"


@on_own_host
async def test_without_gateway_there_is_no_default_route_and_unserved_ports_get_nothing(host: Host) -> None:
    net = Net(1, gateway=False, dns=())
    everyone = group(1)
    port = net.port(5, (everyone.id,))
    stranger = net.port(6, (everyone.id,))
    net.hosts = [lease for lease in net.hosts if lease.port_id == port.id]
    driver = make_driver(host)
    guest = make_guest(host, "one", port, address=False)
    unknown = make_guest(host, "two", stranger, address=False)
    await converge(driver, state([net], [port, stranger], [everyone]))
    await host.settle()
    lease = await lease_of(guest)
    assert lease is not None
    assert 3 not in lease.options
    assert lease.routes == [(f"{METADATA}/32", "10.0.1.2")]
    assert lease.addresses(6) == ["10.0.1.2"], "names are answered by the DHCP port itself"
    assert await lease_of(unknown, within_seconds=0.8) is None


def fake_compute(seen: list[Request]) -> httpx.ASGITransport:
    async def answer(request: Request) -> JSONResponse:
        seen.append(request)
        body = await request.body()
        return JSONResponse({"method": request.method, "path": request.url.path, "body": body.decode()})

    methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
    return httpx.ASGITransport(Starlette(routes=[Route("/{path:path}", answer, methods=methods)]))


@on_own_host
async def test_metadata_reaches_compute_with_the_guests_signed_identity(host: Host) -> None:
    net = Net(1)
    everyone = group(1)
    port = net.port(5, (everyone.id,))
    seen: list[Request] = []
    driver = make_driver(
        host,
        metadata_transport=fake_compute(seen),
        metadata_proxy_shared_secret="shared",
        nova_metadata_url="http://compute.local:8775/",
    )
    guest = make_guest(host, "one", port)
    document = state([net], [port], [everyone])
    await converge(driver, document)
    await host.settle()
    guest.run("ip", "route", "add", METADATA, "via", "10.0.1.2")
    script = (
        "import http.client, json, sys\n"
        f"c = http.client.HTTPConnection('{METADATA}', timeout=3)\n"
        "c.request(sys.argv[1], sys.argv[2], body=sys.argv[3] or None, headers={'X-Instance-ID': 'liar',"
        " 'X_Tenant_ID': 'liar', 'X-Metadata-Token': 't'})\n"
        "r = c.getresponse(); print(r.status); print(r.read().decode())\n"
    )

    async def ask(method: str, path: str, body: str = "") -> tuple[int, str]:
        python = (sys.executable, "-c", script, method, path, body)
        status, _, text = (await asyncio.to_thread(guest.run, *python)).partition("\n")
        return int(status), text.strip()

    status, text = await ask("GET", "/openstack/latest/meta_data.json?a=b%20c")
    assert status == 200, text
    assert msgspec.json.decode(text)["path"] == "/openstack/latest/meta_data.json"
    request = seen[0]
    assert str(request.url) == "http://compute.local:8775/openstack/latest/meta_data.json?a=b%20c"
    assert request.headers.getlist("x-instance-id") == [port.device_id]
    assert request.headers.getlist("x-tenant-id") == [PROJECT]
    assert "x_tenant_id" not in request.headers
    assert request.headers["x-forwarded-for"] == "10.0.1.5"
    signature = hmac.new(b"shared", port.device_id.encode(), hashlib.sha256).hexdigest()
    assert request.headers["x-instance-id-signature"] == signature
    assert request.headers["x-metadata-token"] == "t"
    status, text = await ask("PUT", "/latest/api/token", "some body")
    assert (status, msgspec.json.decode(text)["body"]) == (200, "some body")
    assert (await ask("DELETE", "/"))[0] == 405
    assert (await ask("HEAD", "/x")) == (200, "")

    # The port is nobody's any more: the same address is a stranger's.
    nobodys = msgspec.structs.replace(port, fixed_ips=(), port_security_enabled=False, security_group_ids=())
    await driver.converge(msgspec.structs.replace(document, ports=(nobodys,)))
    assert (await ask("GET", "/"))[0] == 404
    await driver.close()
    assert not await guest.reaches(METADATA, 80, wait_seconds=0.3), "close stops listening"
    silent = make_driver(host, nova_metadata_url="http://127.0.0.1:1")
    await silent.converge(document)
    status, text = await ask("GET", "/")
    assert status == 503 and "does not answer" in text
    await silent.close()
