"""/os-hosts: which service runs where, for those who still ask so."""

from typing import Any

MANAGE = {"by": "admin"}


async def test_each_service_is_shown_with_its_host_and_zone(nova: Any) -> None:
    await nova.register_host()
    shown = (await nova.call("GET", "/os-hosts", version="2.42", **MANAGE))["hosts"]
    assert {"host_name": "node1", "service": "compute", "zone": "nova"} in shown
    assert {each["service"] for each in shown if each["zone"] == "internal"} == {"conductor"}
    narrowed = (await nova.call("GET", "/os-hosts?zone=nova", version="2.1", **MANAGE))["hosts"]
    assert narrowed == [{"host_name": "node1", "service": "compute", "zone": "nova"}]


async def test_it_is_gone_from_newer_versions_and_for_administrators_only(nova: Any) -> None:
    await nova.call("GET", "/os-hosts", version="2.43", status=404, **MANAGE)
    await nova.call("GET", "/os-hosts", version="2.42", status=403)
