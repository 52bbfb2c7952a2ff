"""The doctor at a real cloud of simulated hosts that is broken in the ways people break theirs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cloud import CloudUnderTest, demo_cache_dir
from tests.e2e.host import OwnHost

pytestmark = pytest.mark.root


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudUnderTest]:
    host = OwnHost("sick-host", tmp_path, {"KILONOVA_CACHE_DIR": demo_cache_dir()})
    host.start()
    cloud = CloudUnderTest(host, Path("openstack"))
    try:
        cloud.kilonova("up", "--detach", "--fake", "2")
        yield cloud
    finally:
        cloud.close()
        host.power_off()


def problems(cloud: CloudUnderTest) -> dict[str, str]:
    """Check → what it found, one finding a line."""
    done = cloud.attempt_kilonova("doctor", "--json")
    found: dict[str, str] = {}
    for each in json.loads(done.out):
        if each["verdict"] == "problem":
            assert each["mend"]
            found[each["check"]] = "\n".join(filter(None, (found.get(each["check"]), each["what"])))
    assert done.status == (1 if found else 0), str(done)
    return found


def endpoint_of(cloud: CloudUnderTest, service: str, interface: str) -> Any:
    services = cloud.admin.get("identity", "/services")["services"]
    (service_id,) = [each["id"] for each in services if each["type"] == service]
    endpoints = cloud.admin.get("identity", "/endpoints")["endpoints"]
    (found,) = [each for each in endpoints if (each["service_id"], each["interface"]) == (service_id, interface)]
    return found


def test_a_healthy_cloud_has_no_problem(cloud: CloudUnderTest) -> None:
    assert problems(cloud) == {}
    text = cloud.kilonova("doctor")
    assert "2 registered, mapped and known to placement" in text
    assert "0 problems" in text


def test_what_is_wrong_in_the_catalog_is_told_and_the_rest_is_still_looked_at(cloud: CloudUnderTest) -> None:
    image = endpoint_of(cloud, "image", "internal")
    cloud.admin.call("identity", "PATCH", f"/endpoints/{image['id']}", {"endpoint": {"url": "http://0.0.0.0:9292"}})
    network = endpoint_of(cloud, "network", "public")
    cloud.admin.call("identity", "PATCH", f"/endpoints/{network['id']}", {"endpoint": {"url": "http://127.0.0.1:9"}})
    compute = endpoint_of(cloud, "compute", "admin")
    cloud.admin.call("identity", "DELETE", f"/endpoints/{compute['id']}")
    placement = endpoint_of(cloud, "placement", "public")
    cloud.admin.call("identity", "DELETE", f"/services/{placement['service_id']}")
    found = problems(cloud)
    assert "service placement is not in the catalog" in found["catalog"]
    assert "compute has no admin endpoint" in found["catalog"]
    assert "image's internal endpoint is http://0.0.0.0:9292" in found["catalog"]
    assert found["endpoints"] == "network does not answer at http://127.0.0.1:9"
    assert "placement" in found["compute hosts"]
    assert "network" in found["agents"]


def test_hosts_that_placement_does_not_know_or_has_nothing_of_are_told(cloud: CloudUnderTest) -> None:
    one, two = cloud.admin.get("placement", "/resource_providers")["resource_providers"]
    cloud.admin.call("placement", "DELETE", f"/resource_providers/{one['uuid']}/inventories/DISK_GB")
    assert problems(cloud) == {"compute hosts": f"placement cannot offer them: {one['name']} has no DISK_GB"}
    cloud.admin.call("placement", "DELETE", f"/resource_providers/{two['uuid']}")
    assert problems(cloud) == {"compute hosts": f"not mapped: {two['name']}"}


def test_a_cloud_that_is_down_is_told_with_the_command_that_starts_it(cloud: CloudUnderTest) -> None:
    cloud.down()
    done = cloud.attempt_kilonova("doctor")
    assert done.status == 1
    assert "the cloud does not run" in done.out
    assert f"-m kilonova.cli.main up --state-dir {cloud.state.path}" in done.out
    assert "1 problem," in done.out
