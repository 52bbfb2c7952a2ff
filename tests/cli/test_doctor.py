"""What the doctor finds, and that it always says how to mend it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kilonova.cli import doctor

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = "flags\t\t: fpu sse2"
VMX = "flags\t\t: fpu vmx sse2"
UP = {"binary": "nova-compute", "host": "node1", "state": "up", "status": "enabled"}
HYPERVISOR = {"hypervisor_hostname": "node1"}
AGENT = {"binary": "neutron-dhcp-agent", "host": "node1", "alive": True}


def services(*missing: str) -> list[dict[str, Any]]:
    return [{"type": each, "id": f"id-{each}"} for each in doctor.SERVICE_TYPES if each not in missing]


def endpoints(url: str = "http://127.0.0.1:5000", **missing: str) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{service}-{interface}",
            "service_id": f"id-{service}",
            "interface": interface,
            "region_id": "RegionOne",
            "enabled": True,
            "url": url,
        }
        for service in doctor.SERVICE_TYPES
        for interface in doctor.INTERFACES
        if missing.get(service) != interface
    ]


FOUND: list[tuple[Sequence[doctor.Finding], str, str]] = [
    (doctor.check_virtualization(VMX, has_kvm_node=True, virt_type="auto"), "ok", "kvm"),
    (doctor.check_virtualization(PLAIN, has_kvm_node=False, virt_type="auto"), "warning", "emulated"),
    (doctor.check_virtualization(PLAIN, has_kvm_node=True, virt_type="auto"), "warning", "would hang"),
    (doctor.check_virtualization(PLAIN, has_kvm_node=True, virt_type="kvm"), "problem", "neither vmx nor svm"),
    (doctor.check_virtualization(VMX, has_kvm_node=False, virt_type="kvm"), "problem", "no /dev/kvm"),
    (doctor.check_tools([]), "ok", "installed"),
    (doctor.check_tools(["ipset", "dnsmasq"]), "problem", "ipset"),
    (doctor.check_disk(Path("/var"), 5 << 30), "ok", "5.0 GiB"),
    (doctor.check_disk(Path("/var"), 5 << 20), "problem", "0.0 GiB"),
    (doctor.check_bridge_filter(True), "ok", "filters"),
    (doctor.check_bridge_filter(False), "problem", "does not filter"),
    (doctor.check_passwords({"admin": "x" * 20}), "ok", "none"),
    (doctor.check_passwords({"admin": "ADMIN_PASS", "nova": "x" * 20}), "problem", "guessed: admin"),
    (doctor.check_passwords({"admin": "short"}), "problem", "admin"),
    (doctor.check_address("127.0.0.1"), "ok", "this host only"),
    (doctor.check_address("10.0.0.5"), "warning", "without TLS"),
    (doctor.check_address("0.0.0.0"), "problem", "0.0.0.0"),
    (doctor.check_ports([]), "ok", "free"),
    (doctor.check_ports([9292]), "problem", "port 9292 (image)"),
    (doctor.check_catalog(services(), endpoints(), "RegionOne"), "ok", "every service"),
    (doctor.check_catalog(services("placement"), endpoints(), "RegionOne"), "problem", "service placement"),
    (doctor.check_catalog(services(), endpoints(image="admin"), "RegionOne"), "problem", "image has no admin"),
    (doctor.check_catalog(services(), endpoints(), "RegionTwo"), "problem", "identity has no public"),
    (doctor.check_catalog(services(), endpoints("http://0.0.0.0:1"), "RegionOne"), "problem", "http://0.0.0.0:1"),
    (doctor.check_clock(NOW, NOW), "ok", "agrees"),
    (doctor.check_clock(NOW + timedelta(seconds=9), NOW), "problem", "+9 s"),
    (doctor.check_hosts([UP], [HYPERVISOR], ["node1"]), "ok", "1 registered"),
    (doctor.check_hosts([], [], []), "problem", "none has registered"),
    (doctor.check_hosts([UP], [HYPERVISOR], []), "problem", "not mapped: node1"),
    (doctor.check_hosts([UP, UP], [HYPERVISOR], ["node1"]), "problem", "no hypervisor"),
    (doctor.check_host_name("node1", "node1", [UP], simulated=False), "ok", "node1"),
    (doctor.check_host_name("node1", "renamed", [UP], simulated=False), "warning", "called renamed now"),
    (doctor.check_host_name("other", "other", [UP], simulated=False), "problem", "not among"),
    (doctor.check_agents([UP], [AGENT]), "ok", "all answer"),
    (doctor.check_agents([{**UP, "state": "down"}], [AGENT]), "problem", "nova-compute on node1"),
    (doctor.check_agents([UP], [{**AGENT, "alive": False}]), "problem", "neutron-dhcp-agent on node1"),
    (doctor.check_agents([{**UP, "status": "disabled"}], [AGENT]), "warning", "disabled: node1"),
]


@pytest.mark.parametrize(("findings", "verdict", "words"), FOUND)
def test_each_check_finds_what_is_there(findings: Sequence[doctor.Finding], verdict: str, words: str) -> None:
    assert findings[0].verdict == verdict
    assert words in findings[0].what


@pytest.mark.parametrize(("findings", "_verdict", "_words"), FOUND)
def test_whatever_is_wrong_comes_with_its_mending(
    findings: Sequence[doctor.Finding], _verdict: str, _words: str
) -> None:
    assert all(bool(finding.mend) is (finding.verdict != "ok") for finding in findings)


def test_the_report_names_problems_and_counts_them() -> None:
    text = doctor.render([finding for findings, _, _ in FOUND[:3] for finding in findings])
    assert "0 problems, 2 warnings, 1 checks passed" in text
    assert "→ switch (nested) virtualization on" in text
