"""What options do in the daemons: where the log goes, who is told what, which database, broker and user are used."""

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from starlette.responses import PlainTextResponse

from kilonova.cli.daemons import broker
from kilonova.cli.daemons.files import Read, read
from kilonova.cli.daemons.process import _log_stream
from kilonova.cli.daemons.schemas import migrations_of, name_placement_database
from kilonova.cli.daemons.without_effect import ANY_PROJECT, OF_PROJECT
from kilonova.cli.grounds.files import FilesGround
from kilonova.cli.grounds.neighbours import Neighbours, credentials_of
from kilonova.cli.parts import identity
from kilonova.cli.parts.console_options import console_options, port_range
from kilonova.cli.parts.options import COMPUTE, IDENTITY, PLACEMENT, PROJECTS, Options
from kilonova.cli.serving import name_identity
from kilonova.compute.agent.drivers.options import ConsoleOptions, ScreenOptions, SerialOptions
from kilonova.identity import fernet_keys
from kilonova.identity.tables import metadata
from kilonova.kit.bus.transport_url import Broker, parse_transport_url
from kilonova.kit.config import ConfigError
from kilonova.kit.db import Database
from kilonova.kit.db.migrate import upgrade


def read_text(tmp_path: Path, text: str, project: str, *tables: Options, name: str = "a.conf") -> Read:
    path = tmp_path / name
    path.write_text(text)
    return read("a-daemon", project, tables, ["--config-file", str(path)])


def test_the_log_goes_to_a_file_or_a_directory(tmp_path: Path) -> None:
    def name_of(text: str) -> str | None:
        stream = _log_stream("nova-api", read_text(tmp_path, f"[DEFAULT]\n{text}\n", "nova", COMPUTE).config)
        if stream is None:
            return None
        with stream:
            return stream.name

    assert name_of("debug = false") is None
    assert name_of(f"log_dir = {tmp_path}") == f"{tmp_path}/nova-api.log"
    assert name_of(f"log_dir = {tmp_path}\nlog_file = one.log") == f"{tmp_path}/one.log"
    assert name_of(f"log_file = {tmp_path}/two.log") == f"{tmp_path}/two.log"
    with pytest.raises(ConfigError, match=r"\[DEFAULT\] log_dir: .*missing"):
        name_of(f"log_dir = {tmp_path}/missing")


async def test_who_is_refused_is_told_where_identity_is() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("", 401 if scope["path"] == "/refused" else 200)(scope, receive, send)

    transport = httpx.ASGITransport(app=name_identity(app, "http://controller:5000"))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        refused, served = await client.get("/refused"), await client.get("/")
    assert refused.headers["www-authenticate"] == 'Keystone uri="http://controller:5000"'
    assert "www-authenticate" not in served.headers


async def test_the_broker_of_the_old_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[Broker]] = []

    class Opened:
        def __init__(self, url: str, *_more: object) -> None:
            opened.append(parse_transport_url(url))

        async def start(self) -> None:
            pass

    monkeypatch.setattr(broker, "make_bus", Opened)
    text = "[oslo_messaging_rabbit]\nrabbit_host=ops-cont\nrabbit_port=5673\nrabbit_userid=openstack\n"
    await broker.open_bus(read_text(tmp_path, text + "rabbit_password=a@b/c,d\n", "nova", COMPUTE).config)
    assert opened == [[Broker("ops-cont", 5673, "openstack", "a@b/c,d", "/")]]


async def test_each_neighbour_is_called_as_the_user_of_its_own_section(tmp_path: Path) -> None:
    text = "[keystone_authtoken]\nauth_url=http://a:5000\nusername=nova\npassword=x\nuser_domain_id=d1\n"
    text += "[placement]\nauth_url=http://b:35357/v3\nusername=placement\npassword=y\nos_region_name=RegionTwo\n"
    config = read_text(tmp_path, text, "nova", COMPUTE).config
    assert credentials_of(config.keystone_authtoken).user_domain_id == "d1"
    neighbours = Neighbours(config.keystone_authtoken)
    own, other = neighbours.remote("network", group=config.neutron), neighbours.remote("x", group=config.placement)
    assert own._session is neighbours.session
    assert other._session._credentials.username == "placement"
    assert str(other._session._identity.base_url) == "http://b:35357"
    await neighbours.close()
    assert other._session._identity.is_closed
    with pytest.raises(ConfigError, match=r"\[placement\] password is missing"):
        credentials_of(read_text(tmp_path, "[placement]\nusername=placement\n", "nova", COMPUTE).config.placement)


def test_placement_has_a_database_of_its_own_in_novas_file(tmp_path: Path) -> None:
    text = "[database]\nconnection = mysql://nova:x@c/nova\n"
    with pytest.raises(ConfigError, match=r"\[placement_database\] connection is missing"):
        name_placement_database(read_text(tmp_path, text, "placement", PLACEMENT, name="nova.conf"))
    own = "[placement_database]\nconnection = mysql://placement:x@c/placement\n"
    config = name_placement_database(read_text(tmp_path, text + own, "placement", PLACEMENT, name="nova.conf"))
    assert config.database.connection == "mysql://placement:x@c/placement"
    alone = name_placement_database(read_text(tmp_path, text, "placement", PLACEMENT, name="placement.conf"))
    assert alone.database.connection == "mysql://nova:x@c/nova"


async def test_identity_serves_a_second_port_when_asked(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/keystone.db"
    made = Database(url, metadata)
    upgrade(made, migrations_of("identity"))
    await made.close()
    fernet_keys.set_up(tmp_path / "keys")
    text = f"[database]\nconnection={url}\n[fernet_tokens]\nkey_repository={tmp_path}/keys\n"
    for more, ports in (("", [5000]), ("[eventlet_server]\nadmin_port = 35357\n", [5000, 35357])):
        ground = FilesGround(read_text(tmp_path, text + more, "keystone", IDENTITY))
        async with ground.closing:
            running = await identity.build(ground)
            assert [each.port for each in running.apis] == ports


def test_consoles_are_what_the_file_says_in_either_spelling(tmp_path: Path) -> None:
    def consoles(text: str) -> ConsoleOptions:
        return console_options(read_text(tmp_path, text, "nova", COMPUTE).config)

    assert consoles("[DEFAULT]\ndebug = false\n") == ConsoleOptions()
    old = "[DEFAULT]\nvnc_enabled = true\nvnc_keymap = en-us\nvncserver_listen = 0.0.0.0\n"
    old += "vncserver_proxyclient_address = 10.0.0.31\nnovncproxy_base_url = http://c:6080/vnc_auto.html\n"
    assert consoles(old).vnc == ScreenOptions("0.0.0.0", "10.0.0.31", "http://c:6080/vnc_auto.html", "en-us")
    new = "[vnc]\nenabled = false\n[spice]\nenabled = true\nserver_listen = 0.0.0.0\nagent_enabled = false\n"
    new += "spice_direct_proxy_base_url = http://controller:13002\n"
    new += "[serial_console]\nenabled = true\nport_range = 10000:10009\nproxyclient_address = 10.0.0.31\n"
    assert consoles(new) == ConsoleOptions(
        vnc=None,
        spice=ScreenOptions(
            listen="0.0.0.0",
            base_url="http://127.0.0.1:6082/spice_auto.html",
            direct_url="http://controller:13002",
        ),
        has_spice_agent=False,
        serial=SerialOptions("10.0.0.31", "ws://127.0.0.1:6083/", range(10000, 10010)),
    )


@pytest.mark.parametrize("text", ["10000", "20000:10000", "0:10", "1:70000", "a:b"])
def test_a_range_of_ports_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"\[serial_console\] port_range: .* is not FIRST:LAST"):
        port_range(text)


def test_no_option_is_both_served_and_without_effect() -> None:
    for project, tables in PROJECTS.items():
        served = {f"{group}.{option.dest}" for table in tables for group in table for option in table[group]}
        idle = {*ANY_PROJECT, *OF_PROJECT.get(project, {})}
        assert served & idle == set()
    assert all(OF_PROJECT[project] for project in OF_PROJECT)


def test_checked_tokens_are_shared_where_the_file_names_a_memcached(tmp_path: Path) -> None:
    section = "[keystone_authtoken]\nusername=nova\npassword=x\n"
    config = read_text(tmp_path, section + "memcached_servers=controller:11211\n", "nova", COMPUTE).config
    shared = Neighbours(config.keystone_authtoken)._shared_tokens()
    assert shared is not None
    config = read_text(tmp_path, section, "nova", COMPUTE).config
    assert Neighbours(config.keystone_authtoken)._shared_tokens() is None
    config = read_text(tmp_path, section + "memcached_servers=controller:eleven\n", "nova", COMPUTE).config
    with pytest.raises(ConfigError, match=r"\[keystone_authtoken\] memcached_servers"):
        Neighbours(config.keystone_authtoken)._shared_tokens()


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    text = "[keystone_authtoken]\nusername=nova\npassword=x\ncafile=/nowhere.pem\n"
    config = read_text(tmp_path, text, "nova", COMPUTE).config
    with pytest.raises(ConfigError, match=r"cafile: /nowhere.pem: .*No such file"):
        Neighbours(config.keystone_authtoken)


def certificate(directory: Path) -> Path:
    """One of 127.0.0.1, signed by itself; the key is in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "controller")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = directory / "controller.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return file


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """(URL of a server that speaks TLS, the file with its certificate)"""
    file = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}", file
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("said", "is_taken"), [("cafile={file}\n", True), ("insecure=true\n", True), ("", False)], ids=str
)
async def test_certificates_are_checked(said: str, is_taken: bool, secured: tuple[str, Path], tmp_path: Path) -> None:
    url, file = secured
    text = f"[keystone_authtoken]\nauth_url={url}\nusername=nova\npassword=x\n{said.format(file=file)}"
    neighbours = Neighbours(read_text(tmp_path, text, "nova", COMPUTE).config.keystone_authtoken)
    try:
        if is_taken:
            # It answers that it knows no such method: the connection stands.
            assert (await neighbours.identity.get("/")).status_code == 501
        else:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await neighbours.identity.get("/")
    finally:
        await neighbours.close()
