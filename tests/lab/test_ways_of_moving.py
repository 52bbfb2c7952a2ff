"""A real guest moves in each way that nova.conf permits: hastened into a post-copy, and encrypted."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from kilonova.kit.testing.certificates import Certificates, make_certificates
from tests.lab.moving import HOSTS, Traveller, begin_live, guests, newest_move, shown, wait_over
from tools.lab import tenant
from tools.lab.cloud import Cloud
from tools.lab.hosts import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.root, pytest.mark.libvirt]

DAEMON, FILE = "nova-compute", "/etc/nova/nova.conf"
SECTION = "[libvirt]\n"
PKI = "/etc/pki/qemu"
WAY_SECONDS = 60.0


@contextmanager
def told(cloud: Cloud, **options: object) -> Iterator[None]:
    """Has the compute hosts live by these options of [libvirt], and then by their own again."""
    hosts = [cloud.lab.host(name) for name in HOSTS]
    before = {host.name: host.read(FILE) for host in hosts}
    lines = "".join(f"{name} = {value}\n" for name, value in options.items())
    try:
        for host in hosts:
            host.write(FILE, before[host.name].replace(SECTION, SECTION + lines), 0o640)
            restart(cloud, host.name)
        yield
    finally:
        for host in hosts:
            host.write(FILE, before[host.name], 0o640)
            restart(cloud, host.name)


def restart(cloud: Cloud, host: str) -> None:
    """Returns when the new daemon is at work."""
    lab_host = cloud.lab.host(host)
    registrations = lab_host.log_end(DAEMON, 10_000).count("agent registered")
    lab_host.kill(DAEMON)
    cloud.start(host, DAEMON)
    wait_for(
        lambda: lab_host.log_end(DAEMON, 10_000).count("agent registered") > registrations,
        f"{host}: {DAEMON} is at work",
        WAY_SECONDS,
    )


def seconds_up(traveller: Traveller) -> float:
    said = tenant.run_on_guest(traveller.cloud, traveller.ground, traveller.address, "cat /proc/uptime").stdout
    return float(said.split()[0])


def check_arrived(traveller: Traveller, target: str, up_before: float) -> None:
    """The same guest, which did not boot again, runs on that host alone."""
    assert traveller.host == target
    assert shown(traveller.cloud, traveller.id)["status"] == "ACTIVE"
    assert guests(traveller.cloud, traveller.name) == [target]
    tenant.wait_log_in(traveller.cloud, traveller.ground, traveller.address)
    assert seconds_up(traveller) > up_before


def test_a_guest_that_is_hastened_goes_on_there_where_a_post_copy_is_permitted(traveller: Traveller) -> None:
    """Asked for while its disks are copied: too early for QEMU, and no reason to fail."""
    cloud, (_source, target) = traveller.cloud, traveller.ends
    up_before = seconds_up(traveller)
    with told(cloud, live_migration_permit_post_copy="true"):
        begin_live(cloud, traveller.id, target)
        move = newest_move(cloud, traveller.id)
        url = f"/v2.1/servers/{traveller.id}/migrations/{move['id']}/action"
        wait_for(lambda: newest_move(cloud, traveller.id)["status"] == "running", "it is under way", WAY_SECONDS)
        cloud.api.call("compute", "POST", url, {"force_complete": None})
        assert wait_over(cloud, traveller.id)["status"] == "completed"
    check_arrived(traveller, target, up_before)


def test_what_qemu_sends_is_encrypted_or_not_sent_at_all(
    traveller: Traveller, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cloud, (source, target) = traveller.cloud, traveller.ends
    up_before = seconds_up(traveller)
    addresses = [cloud.lab.host(name).address for name in HOSTS]
    made = make_certificates(tmp_path_factory.mktemp("pki") / "qemu", addresses)
    with told(cloud, live_migration_with_native_tls="true"):
        begin_live(cloud, traveller.id, target)
        assert wait_over(cloud, traveller.id)["status"] == "error", "nobody has certificates"
        assert guests(cloud, traveller.name) == [source]
        for name in HOSTS:
            give(cloud, name, made)
        begin_live(cloud, traveller.id, target)
        wait_for(lambda: "libvirt_migrate_tls" in parameters(traveller, source), "QEMU encrypts", WAY_SECONDS)
        assert wait_over(cloud, traveller.id)["status"] == "completed"
    check_arrived(traveller, target, up_before)


def give(cloud: Cloud, host: str, made: Certificates) -> None:
    """Puts the certificates where QEMU looks for them; a host is a server to some and a client to others."""
    files = {"ca-cert": made.authority}
    for role in ("server", "client"):
        files |= {f"{role}-cert": made.certificate, f"{role}-key": made.key}
    for name, path in files.items():
        cloud.lab.host(host).write(f"{PKI}/{name}.pem", path.read_text(), 0o600)


def parameters(traveller: Traveller, host: str) -> str:
    """The parameters of a migration as the guest's QEMU has them."""
    words = ["virsh", "qemu-monitor-command", "--hmp", traveller.name, "info migrate_parameters"]
    return traveller.cloud.lab.host(host).run(words, check=False).stdout
