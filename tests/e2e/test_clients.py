"""What an operator types first, with the stock client and with our own commands, on a cloud that has the demo."""

import json
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.e2e.cloud import CloudUnderTest, Guest
from tests.e2e.host import wait_for

pytestmark = pytest.mark.e2e
SERVICES = {"identity", "image", "placement", "compute", "network", "block-storage", "volumev3"}
"""Service types in the catalog."""


@pytest.mark.parametrize("user", ["admin", "demo"])
def test_a_token_is_issued(demo_cloud: CloudUnderTest, user: str) -> None:
    token = demo_cloud.shown("token", "issue", user=user)
    assert token["id"].startswith("gAAAAA")


def test_the_variables_that_env_prints_let_the_client_in(demo_cloud: CloudUnderTest) -> None:
    lines = demo_cloud.kilonova("env", "--user", "demo")
    script = f'{lines}\n"$0" token issue -f value -c project_id'
    openstack = demo_cloud.attempt_openstack("--version").argv[0]
    project_id = demo_cloud.host.run("sh", "-c", script, openstack).strip()
    assert project_id == demo_cloud.shown("token", "issue", user="demo")["project_id"]


def test_a_wrong_password_is_refused(demo_cloud: CloudUnderTest) -> None:
    done = demo_cloud.attempt_openstack("--os-password", "wrong", "token", "issue")
    assert done.status != 0
    assert "HTTP 401" in done.err


def test_the_catalog_names_every_service(demo_cloud: CloudUnderTest) -> None:
    catalog = {entry["Type"]: entry for entry in demo_cloud.shown("catalog", "list")}
    assert set(catalog) == SERVICES
    for entry in catalog.values():
        urls = {endpoint["url"] for endpoint in entry["Endpoints"]}
        assert len(urls) == 1 and urls.pop().startswith("http://127.0.0.1:")


def test_every_service_of_compute_is_up(demo_cloud: CloudUnderTest) -> None:
    services = demo_cloud.shown("compute", "service", "list")
    states = {service["Binary"]: (service["Status"], service["State"]) for service in services}
    assert states == dict.fromkeys(("nova-compute", "nova-conductor", "nova-scheduler"), ("enabled", "up"))


def test_the_hypervisor_is_listed_with_what_runs_on_it(demo_cloud: CloudUnderTest) -> None:
    (hypervisor,) = demo_cloud.shown("hypervisor", "list", "--long")
    assert hypervisor["Hypervisor Hostname"] == demo_cloud.host.name
    assert hypervisor["State"] == "up"


def test_network_agents_are_alive(demo_cloud: CloudUnderTest) -> None:
    agents = demo_cloud.shown("network", "agent", "list")
    assert agents
    assert all(agent["Alive"] for agent in agents)


def test_the_demo_s_server_is_listed_for_its_owner_and_the_administrator(demo_cloud: CloudUnderTest) -> None:
    (mine,) = [each for each in demo_cloud.shown("server", "list", user="demo") if each["Name"] == "demo-1"]
    assert (mine["Status"], mine["Image"], mine["Flavor"]) == ("ACTIVE", "demo-guest", "m1.nano")
    assert demo_cloud.shown("server", "list") == []
    assert mine["ID"] in [each["ID"] for each in demo_cloud.shown("server", "list", "--all-projects")]


def test_the_console_shows_how_the_guest_came_up(demo_cloud: CloudUnderTest, demo_guest: Guest) -> None:
    text = demo_cloud.openstack("console", "log", "show", "demo-1", user="demo")
    assert "datasource: ec2" in text
    assert "hostname: demo-1" in text
    assert demo_cloud.openstack("console", "log", "show", "--lines", "3", "demo-1", user="demo").count("\n") <= 4


def test_a_servers_screen_opens_in_a_browser(demo_cloud: CloudUnderTest, demo_guest: Guest) -> None:
    url = demo_cloud.shown("console", "url", "show", "demo-1", user="demo")["url"]
    page = demo_cloud.host.call(lambda: httpx.get(url, trust_env=False))
    assert page.status_code == 200 and "noVNC" in page.text
    (path,) = parse_qs(urlsplit(url).query)["path"]

    def greeting() -> str | bytes:
        with connect(f"ws://127.0.0.1:6080/{path}", origin=Origin("http://127.0.0.1:6080"), proxy=None) as socket:
            return socket.recv(timeout=10)

    assert demo_cloud.host.call(greeting) == b"RFB 003.008\n"


def test_status_says_that_all_answers(demo_cloud: CloudUnderTest) -> None:
    status = json.loads(demo_cloud.kilonova("status", "--json"))
    assert status["problem"] is None
    assert {each["service"]: each["answers"] for each in status["endpoints"]} == dict.fromkeys(
        [*SERVICES, "metadata", "console"], True
    )
    assert {agent["binary"] for agent in status["agents"] if agent["state"] == "up"} >= {"nova-compute"}
    assert status["servers"]["ACTIVE"] >= 1
    assert 20 < status["process"]["memory_mib"] < 400
    shown = demo_cloud.kilonova("status")
    assert str(status["process"]["pid"]) in shown
    assert "SILENT" not in shown


def test_a_second_demo_changes_nothing(demo_cloud: CloudUnderTest, demo_guest: Guest) -> None:
    before, boot_id = demo_cloud.settled(), demo_guest.boot_id()
    said = demo_cloud.kilonova("demo")
    assert "unchanged" in said
    assert not {"made", "uploaded", "allowed", "built", "started"} & set(said.split())
    assert demo_cloud.everything() == before
    assert demo_guest.boot_id() == boot_id


def test_a_second_up_finds_the_cloud_running(demo_cloud: CloudUnderTest) -> None:
    before = demo_cloud.state.running_pid, demo_cloud.state.pid_file.read_text()
    assert "already up" in demo_cloud.up()
    assert before == (demo_cloud.state.running_pid, demo_cloud.state.pid_file.read_text())


def test_secrets_are_readable_by_their_owner_alone(demo_cloud: CloudUnderTest) -> None:
    state = demo_cloud.state
    keys = list((state.path / "fernet-keys").iterdir())
    assert keys
    for path in (state.config_file, state.clouds_yaml, state.demo_key, state.log_file, *keys):
        assert path.stat().st_mode & 0o077 == 0, path
    log = state.log_file.read_text()
    words = state.config_file.read_text().split()
    passwords = [word for word in words if len(word) >= 20]
    assert len(passwords) >= 6
    assert not [password for password in passwords if password in log]


def test_what_is_printed_last_works_when_typed(demo_cloud: CloudUnderTest) -> None:
    summary = demo_cloud.kilonova("demo").splitlines()
    (ssh,) = [line.strip() for line in summary if line.strip().startswith("ssh -o")]
    assert demo_cloud.host.run("sh", "-c", f"{ssh} -o LogLevel=ERROR hostname </dev/null").strip() == "demo-1"
    (env,) = [line.strip() for line in summary if line.strip().startswith("eval") and "--user demo" in line]
    assert str(demo_cloud.state.path) in env


def test_the_apis_listen_on_loopback_alone(demo_cloud: CloudUnderTest) -> None:
    listening = {line.split()[3] for line in demo_cloud.host.run("ss", "-Hltn").splitlines()}
    for port in (5000, 9292, 8778, 8774, 8775, 9696, 6080):
        assert {each for each in listening if each.endswith(f":{port}")} == {f"127.0.0.1:{port}"}


def test_another_cloud_cannot_take_the_ports(demo_cloud: CloudUnderTest) -> None:
    other = str(demo_cloud.host.directory / "other")
    done = demo_cloud.attempt_kilonova("up", "--detach", "--fake", "--state-dir", other)
    assert done.status != 0
    assert "port 5000 on 127.0.0.1" in done.err
    wait_for(lambda: demo_cloud.openstack("token", "issue"), 5, "the first cloud goes on")
