"""Check a whole cloud with upstream's own test suite: `python -m tools.conformance_tempest [--part PART] [PATTERN]`.

Tempest comes from the package registry into an environment of its own, `.work/tempest`; nothing of it is part of ours.
Part `smoke` runs the tests that are tagged so against a cloud with real guests, part `guests` the other ones that need
them, part `api` what else there is of the four services against a simulated cloud. Each cloud lives on a host of its
own (`tests/e2e/host.py`), and Tempest runs beside it there. LEFT_OUT says which tests are not run and why. Exit code 0
when nothing fails.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kilonova.cli.guest_image.build import ensure_guest_image
from kilonova.cli.provider import CANDIDATES, read_provider
from kilonova.cli.state import read_config
from tests.e2e.cloud import CloudUnderTest
from tests.e2e.host import OwnHost
from tools import stock_clients
from tools.stages import CACHE, ROOT, WORK, StageError, fail, is_root, run_stage

ENVIRONMENT = WORK / "tempest"
LOCK = ROOT / "requirements/tempest.lock"
RUNNER = ROOT / "tests/conformance/tempest/run_tests.py"
RUNS = WORK / "tempest-runs"

TEXT_LIMIT = 2000

LATER = "is not among what is served so far"
LEFT_OUT = {
    # identity
    r"\.test_(oauth_consumers|endpoint_groups|policies|domain_configuration)\.": f"this part of identity {LATER}",
    r"\.(Application|EC2)?Credentials\w*Test": f"credentials of other kinds: {LATER}",
    r"\.ImageQuotaTest\.": f"limits kept by identity: {LATER}",
    r"\.test_inherits\.": f"roles inherited by what lies in a domain or project: {LATER}",
    r"\.test_create_is_domain_project$": "a domain is made at /v3/domains, never as a project",
    # image
    r"\.test_images_metadefs_": f"metadata definitions: {LATER}",
    r"\.test_nova_image_snapshot_dependency$": f"snapshots of servers: {LATER}",
    # compute
    r"\.test_update_host_\w+$": "a host is disabled as a service, and put into maintenance by nobody",
    r"\.test_instance_usage_audit_log\w*\.": f"this old part of compute {LATER}",
    r"\.test_migrations\.": f"migrations: {LATER}",
    r"\.test_\w*rebuild\w*$": f"rebuilding a server: {LATER}",
    r"\.test_(inject_network_info|migrate_non_existent_server|restore_\w+)$": f"this action on servers: {LATER}",
    r"\.UnshelveToHostMultiNodesTest\.": f"shelving a server: {LATER}",
    r"\.QuotasAdmin\w*\.test_get_updated_quotas$": "quotas of single users are refused with 400, in words",
    # network
    r"\.ExtraDHCPOptionsIpV6TestJSON\.": "an option of DHCPv4 with an IPv6 address is refused: no server could send it",
    r"\.scenario\.test_network_v6\.": f"router advertisements to guests: {LATER}",
    r"\.TagsExtTest\.": f"subnet pools: {LATER}",
}
"""Pattern in a test's name → why it is not run."""


@dataclass(frozen=True)
class Part:
    """Some of the tests, and the cloud they run against."""

    name: str
    pattern: str
    """What the ids of its tests have; an id is `module.Class.test[id-…,tag,…]`."""
    fake_hosts: int
    """Simulated compute hosts; none: real guests, and Tempest logs in to them."""
    workers: int


API = r"^tempest\.api\.(identity|image|compute|network)\."
SCENARIO = r"^tempest\.scenario\.(?!test_server_multinode\.)"
SMOKE = r"\[.*\bsmoke\b.*\]$"
LOGS_IN = (
    r"(\.test_(attach_interfaces|device_tagging)\.|\.ServerDiagnosticsV248Test\.|\.test_(host_name_is_same_as_server_name|"
    r"verify_created_server_vcpus|create_server_with_fqdn_name|verify_hostname_allows_fqdn|"
    r"get_console_output_with_unlimited_size|novnc|novnc_bad_token)\[)"
)
"""What needs a guest, and is not tagged smoke."""
TWO_HOSTS = r"^tempest\.scenario\.test_server_multinode\."
PARTS = (
    Part("smoke", rf"({API}|{SCENARIO}).*{SMOKE}", 0, 3),
    Part("guests", rf"{SCENARIO}(?!.*{SMOKE})|{API}(?!.*{SMOKE}).*{LOGS_IN}", 0, 3),
    Part("api", rf"{API}(?!.*({SMOKE}|{LOGS_IN}))|{TWO_HOSTS}", 2, 3),
)


@dataclass(frozen=True)
class Prepared:
    """What a cloud was given for Tempest to use, by id."""

    images: tuple[str, str]
    flavors: tuple[str, str]
    public_network: str
    network_extensions: tuple[str, ...]


# --- the cloud -------------------------------------------------------------------------------------------------------


def prepare(cloud: CloudUnderTest, image_file: Path) -> Prepared:
    """Two images, two flavors and a public network, made as the administrator through the APIs."""
    admin = cloud.admin
    images = []
    for name in ("tempest", "tempest-alt"):
        wanted = {"name": name, "disk_format": "qcow2", "container_format": "bare", "visibility": "public"}
        images.append(admin.call("image", "POST", "/v2/images", wanted)["id"])
        admin.upload(f"/v2/images/{images[-1]}/file", image_file)
    flavors = []
    for name, memory_mib in (("tempest", 128), ("tempest-alt", 192)):
        flavor = {"name": name, "ram": memory_mib, "disk": 1, "vcpus": 1}
        flavors.append(admin.call("compute", "POST", "/flavors", {"flavor": flavor})["flavor"]["id"])
    extensions = tuple(each["alias"] for each in admin.get("network", "/v2.0/extensions")["extensions"])
    return Prepared((images[0], images[1]), (flavors[0], flavors[1]), make_public_network(cloud), extensions)


def make_public_network(cloud: CloudUnderTest) -> str:
    """The id of an external network; with real guests it is on the bridge whose address is the host's."""
    provider = read_provider(cloud.state)
    cidr = CANDIDATES[0] if provider is None else provider.network
    network = {"name": "public", "router:external": True, "provider:network_type": "flat"}
    wanted = {**network, "provider:physical_network": "provider"}
    network_id = cloud.admin.call("network", "POST", "/v2.0/networks", {"network": wanted})["network"]["id"]
    subnet = {
        "name": "public-subnet",
        "network_id": network_id,
        "ip_version": 4,
        "cidr": str(cidr),
        "gateway_ip": str(cidr[1]),
        "allocation_pools": [{"start": str(cidr[8]), "end": str(cidr[-6])}],
        "enable_dhcp": False,
    }
    cloud.admin.call("network", "POST", "/v2.0/subnets", {"subnet": subnet})
    return str(network_id)


def plan_config(part: Part, prepared: Prepared, admin_password: str, directory: Path) -> dict[str, dict[str, Any]]:
    """tempest.conf as groups of options."""
    absent = ("cinder", "swift", "horizon", "heat")
    return {
        "DEFAULT": {"log_dir": directory, "log_file": "tempest.log"},
        "oslo_concurrency": {"lock_path": directory / "locks"},
        "auth": {
            "use_dynamic_credentials": True,
            "create_isolated_networks": True,
            "tempest_roles": "member",
            "admin_username": "admin",
            "admin_project_name": "admin",
            "admin_domain_name": "Default",
            "admin_password": admin_password,
        },
        "identity": {
            "uri_v3": "http://127.0.0.1:5000/v3",
            "auth_version": "v3",
            "v3_endpoint_type": "public",
        },
        "identity-feature-enabled": plan_identity_features(),
        "service_available": {"glance": True, "nova": True, "neutron": True, **dict.fromkeys(absent, False)},
        # Contents are inspected: only a raw image may hold what Tempest draws.
        "image": {"http_image": "", "build_interval": 1, "disk_formats": "raw", "container_formats": "bare,ovf"},
        "image-feature-enabled": {"import_image": False, "image_format_enforcement": False},
        "compute": {
            "image_ref": prepared.images[0],
            "image_ref_alt": prepared.images[1],
            "flavor_ref": prepared.flavors[0],
            "flavor_ref_alt": prepared.flavors[1],
            "min_compute_nodes": max(1, part.fake_hosts),
            "max_microversion": "latest",
            "build_interval": 1,
            "build_timeout": 120,
        },
        "compute-feature-enabled": plan_compute_features(),
        "network": {
            "public_network_id": prepared.public_network,
            "floating_network_name": "public",
            "project_networks_reachable": False,
            "build_interval": 1,
            "build_timeout": 60,
        },
        "network-feature-enabled": {
            "api_extensions": ",".join(prepared.network_extensions),
            "ipv6": True,
            "ipv6_subnet_attributes": True,
            "port_security": True,
            "floating_ips": True,
        },
        "validation": plan_validation(is_real=part.fake_hosts == 0),
        "scenario": {"dhcp_client": "udhcpc"},
    }


def plan_validation(*, is_real: bool) -> dict[str, Any]:
    """How Tempest logs in to servers, where there is anything to log in to."""
    return {
        "run_validation": is_real,
        "connect_method": "floating",
        "auth_method": "keypair",
        "ssh_key_type": "ecdsa",
        "image_ssh_user": "demo",
        "image_alt_ssh_user": "demo",
        "ssh_timeout": 90,
        "ping_timeout": 60,
    }


def plan_identity_features() -> dict[str, bool]:
    return dict.fromkeys(("trust", "access_rules", "domain_specific_drivers", "security_compliance"), False)


def plan_compute_features() -> dict[str, Any]:
    """What compute does, and what it does not do yet."""
    present = (
        "console_output",
        "vnc_console",
        "pause",
        "suspend",
        "metadata_service",
        "config_drive",
        "hostname_fqdn_sanitization",
        "interface_attach",
    )
    absent = (
        *("resize", "shelve", "snapshot", "rescue", "stable_rescue", "cold_migration", "live_migration"),
        *("change_password", "personality", "spice_console", "serial_console", "swap_volume"),
        *("attach_encrypted_volume", "volume_multiattach", "unified_limits"),
    )
    return {**dict.fromkeys(present, True), **dict.fromkeys(absent, False), "scheduler_enabled_filters": "all"}


def render_config(groups: Mapping[str, Mapping[str, Any]]) -> str:
    lines: list[str] = []
    for group, options in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in options.items()), ""]
    return "\n".join(lines)


# --- a part ----------------------------------------------------------------------------------------------------------


def run_part(part: Part, pattern: str | None, image_file: Path) -> dict[str, Any]:
    """Bring up the part's cloud, run its tests beside it, and take everything down. Returns the runner's result."""
    directory = RUNS / part.name
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "locks").mkdir(parents=True)
    host = OwnHost("tempest", directory, {"KILONOVA_CACHE_DIR": str(image_file.parent)})
    host.start()
    cloud = CloudUnderTest(host, stock_clients.OPENSTACK)
    try:
        simulated = ("--fake", str(part.fake_hosts)) if part.fake_hosts else ()
        print(cloud.kilonova("up", "--detach", *simulated).strip())
        prepared = prepare(cloud, image_file)
        password = read_config(cloud.state).passwords.admin
        config = render_config(plan_config(part, prepared, password, directory))
        (directory / "tempest.conf").write_text(config)
        return run_tests(part, pattern, host)
    finally:
        cloud.close()
        host.power_off()
        # What it logged stays for a look; what it kept goes.
        for name in ("images", "instances"):
            shutil.rmtree(directory / "state" / name, ignore_errors=True)


def run_tests(part: Part, pattern: str | None, host: OwnHost) -> dict[str, Any]:
    choice = {
        "patterns": [part.pattern, pattern or ""],
        "left_out": LEFT_OUT,
        "workers": part.workers,
    }
    choice_file, result_file = host.directory / "choice.json", host.directory / "result.json"
    choice_file.write_text(json.dumps(choice))
    command = host.argv(str(ENVIRONMENT / "bin/python"), str(RUNNER), str(choice_file), str(result_file))
    environment = host.environment({"TEMPEST_CONFIG_DIR": str(host.directory), "OS_LOG_CAPTURE": "0"})
    with (host.directory / "runner.err").open("w") as errors:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stderr=errors)
    if done.returncode != 0:
        raise StageError(f"{(host.directory / 'runner.err').read_text()[-2000:]}\nTempest's runner broke off")
    result: dict[str, Any] = json.loads(result_file.read_text())
    return result


def report(part: Part, result: Mapping[str, Any], seconds: float) -> None:
    for test, text in sorted(result["failed"].items()):
        print(f"\nFAILED {test}\n{text.strip()[-TEXT_LIMIT:]}")
    print()
    for test, reason in sorted(result["skipped"].items()):
        print(f"skipped  {test}: {' '.join(reason.split())}")
    for test in sorted(result["failed"]):
        print(f"FAILED   {test}")
    counts = {name: len(result[name]) for name in ("passed", "failed", "skipped")}
    words = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{part.name}: {words}, in {seconds:.0f} s\n", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=[part.name for part in PARTS], help="only this part")
    parser.add_argument("pattern", nargs="?", help="only tests whose name this pattern finds")
    chosen = parser.parse_args()
    if not is_root():
        print("Tempest's cloud needs root, for a host of its own.")
        return 1
    # The host goes down in any case: a `finally` runs for this, not for a signal.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    has_failed = False
    try:
        run_stage("tempest", lambda: stock_clients.install(ENVIRONMENT, LOCK))
        image_file = ensure_guest_image(CACHE).absolute()
        for part in PARTS:
            if chosen.part in (None, part.name):
                started = time.monotonic()
                result = run_part(part, chosen.pattern, image_file)
                report(part, result, time.monotonic() - started)
                has_failed = has_failed or bool(result["failed"])
    except StageError as error:
        return fail(error)
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
