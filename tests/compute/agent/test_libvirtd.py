"""The private libvirtd: one per state directory, found again, removed without a trace; and which one is used at all."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kilonova.compute.agent.drivers import libvirtd
from kilonova.compute.agent.drivers.libvirtd import (
    connect_or_start,
    find_daemon,
    pick_virt_type,
    sandbox_path,
    sandbox_processes,
    stop_private_libvirtd,
)
from kilonova.compute.agent.drivers.options import LibvirtOptions
from kilonova.kit.host_commands import HostError
from tests.compute.agent.rigs import FOREIGN_XML

FLAGS = "processor\t: 0\nflags\t\t: fpu vme {} sse2\n"


def make_options(state_dir: Path, **changes: object) -> LibvirtOptions:
    options = {"use_system_libvirtd": False, **changes}
    return LibvirtOptions(state_dir, state_dir / "instances", "host1", "127.0.0.1", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flags", "has_kvm_node", "expected"),
    [
        ("vmx", True, "kvm"),
        ("svm", True, "kvm"),
        ("vmx", False, "qemu"),
        ("hypervisor", True, "qemu"),
        ("svm_lock vmxnet", True, "qemu"),
        ("", False, "qemu"),
    ],
)
def test_kvm_needs_a_cpu_flag_and_the_node(flags: str, has_kvm_node: bool, expected: str) -> None:
    assert pick_virt_type(FLAGS.format(flags), has_kvm_node=has_kvm_node) == expected


async def test_a_configured_uri_is_used_as_it_is(tmp_path: Path) -> None:
    options = make_options(tmp_path, connection_uri="qemu+tcp://other/system")
    assert await connect_or_start(options) == "qemu+tcp://other/system"
    assert not sandbox_path(tmp_path).exists()


@pytest.mark.parametrize("path", ["/run/kilonova", "/var/lib/libvirt/kilonova"])
async def test_a_state_directory_that_the_sandbox_would_cover_is_refused(path: str) -> None:
    with pytest.raises(HostError, match="must not be below"):
        await connect_or_start(make_options(Path(path)))
    assert not Path(path).exists()


def test_a_socket_where_nobody_listens_is_no_daemon(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        assert not libvirtd._shares_network_namespace(path)
        listener.listen()
        assert libvirtd._shares_network_namespace(path)
    assert not libvirtd._shares_network_namespace(path)


async def test_stopping_what_was_never_started_is_fine(tmp_path: Path) -> None:
    await stop_private_libvirtd(tmp_path)


def usable_system(answer: bool) -> Any:
    async def is_usable() -> bool:
        return answer

    return is_usable


async def test_a_host_keeps_to_the_systems_daemon_while_its_servers_run_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = make_options(tmp_path, use_system_libvirtd=True)
    monkeypatch.setattr(libvirtd, "_is_system_usable", usable_system(True))
    assert await connect_or_start(options) == libvirtd.SYSTEM_URI
    monkeypatch.setattr(libvirtd, "_is_system_usable", usable_system(False))
    server_id = "5f5a7b0e-6a7c-4b0e-9d66-1b1f4b2f3c11"
    (options.instances_path / server_id).mkdir(parents=True)
    with pytest.raises(HostError, match="does not answer: start libvirtd"):
        await connect_or_start(options)
    assert not sandbox_path(tmp_path).exists()


@pytest.mark.libvirt
async def test_a_host_keeps_to_its_private_daemon_when_the_systems_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = make_options(tmp_path, use_system_libvirtd=True)
    monkeypatch.setattr(libvirtd, "_is_system_usable", usable_system(False))
    try:
        private = await connect_or_start(options)
        monkeypatch.setattr(libvirtd, "_is_system_usable", usable_system(True))
        assert await connect_or_start(options) == private
    finally:
        await stop_private_libvirtd(tmp_path)


@pytest.mark.libvirt
async def test_one_daemon_per_state_directory_found_again_and_removed_without_a_trace(tmp_path: Path) -> None:
    options = make_options(tmp_path)
    sandbox = sandbox_path(tmp_path)
    mounts = Path("/proc/self/mountinfo").read_text()
    try:
        uris = await asyncio.gather(*(connect_or_start(options) for _ in range(3)))
        assert len(set(uris)) == 1
        running = sandbox_processes(sandbox)
        assert sorted(running.values()).count("libvirtd") == 1
        daemon = find_daemon(sandbox, "libvirtd")
        await connect_or_start(options)
        assert find_daemon(sandbox, "libvirtd") == daemon
        assert os.getsid(daemon) != os.getsid(0)
        await asyncio.to_thread(start_guest, uris[0])
        guests = [pid for pid, name in sandbox_processes(sandbox).items() if name.startswith("qemu")]
        assert len(guests) == 1
    finally:
        await stop_private_libvirtd(tmp_path)
    for process_id in (*running, *guests):
        assert not Path(f"/proc/{process_id}/root/").exists()
    assert not sandbox.exists()
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert [each.name for each in tmp_path.iterdir()] == ["instances"]


def start_guest(uri: str) -> None:
    xml = FOREIGN_XML.format(name="guest", domain_id="5f5a7b0e-6a7c-4b0e-9d66-1b1f4b2f3c11")
    command = ["virsh", "--quiet", "--connect", uri, "create", "/dev/stdin"]
    subprocess.run(command, input=xml, check=True, capture_output=True, text=True)


@pytest.mark.libvirt
async def test_a_state_directory_with_a_long_name_works(tmp_path: Path) -> None:
    state_dir = tmp_path / ("long" * 25)
    try:
        uri = await connect_or_start(make_options(state_dir))
        assert "/proc/" in uri
        subprocess.run(["virsh", "--quiet", "--connect", uri, "list"], check=True)
    finally:
        await stop_private_libvirtd(state_dir)


@pytest.mark.libvirt
async def test_a_daemon_in_another_network_namespace_is_not_used(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tests.compute.agent.test_libvirtd import connect_or_start, make_options\n"
        "asyncio.run(connect_or_start(make_options(Path(sys.argv[1]))))"
    )
    try:
        subprocess.run(["unshare", "--net", sys.executable, "-c", script, tmp_path], check=True)
        with pytest.raises(HostError, match="runs in the network namespace"):
            await connect_or_start(make_options(tmp_path))
    finally:
        await stop_private_libvirtd(tmp_path)


@pytest.mark.libvirt
async def test_a_daemon_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirtd, "LIBVIRTD_CONF", 'host_uuid = "no uuid"\nauth_unix_rw = "none"\n# {host_uuid}\n')
    try:
        with pytest.raises(HostError, match="libvirtd"):
            await connect_or_start(make_options(tmp_path))
    finally:
        await stop_private_libvirtd(tmp_path)
