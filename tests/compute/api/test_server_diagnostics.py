"""/servers/{server_id}/diagnostics, and the action that triggers a crash dump."""

from typing import Any

from kilonova.compute.agent.contract import DIAGNOSTICS, INTERRUPT, ServerArguments
from kilonova.compute.agent.spec import DiskUse, InterfaceUse, ServerDiagnostics

FOUND = ServerDiagnostics(
    driver="libvirt",
    hypervisor="qemu",
    power="running",
    cpu_times_ns=(17, 18),
    memory_kib=49152,
    memory_maximum_kib=65536,
    disks=(DiskUse("vda", 1, 2, 3, 4, 5),),
    interfaces=(InterfaceUse("tap1", "fa:16:3e:00:00:01", 1, 2, 3, 4, 5, 6, 7, 8),),
)


async def test_an_administrator_sees_what_a_guest_uses(nova: Any) -> None:
    asked: list[ServerArguments] = []

    async def diagnostics(arguments: ServerArguments) -> ServerDiagnostics:
        asked.append(arguments)
        return FOUND

    stop = nova.service.bus.serve("nova-compute.node1", dict([DIAGNOSTICS.served_by(diagnostics)]))
    server = await nova.insert_server()
    url = f"/servers/{server.id}/diagnostics"
    shown = await nova.call("GET", url, by="admin")
    assert asked == [ServerArguments(server.id)]
    assert shown.pop("uptime") >= 3500
    assert shown == {
        "state": "running",
        "driver": "libvirt",
        "hypervisor": "qemu",
        "hypervisor_os": "linux",
        "config_drive": False,
        "num_cpus": 2,
        "num_nics": 1,
        "num_disks": 1,
        "cpu_details": [{"id": 0, "time": 17, "utilisation": None}, {"id": 1, "time": 18, "utilisation": None}],
        "memory_details": {"maximum": 64, "used": 48},
        "disk_details": [
            {"read_bytes": 1, "read_requests": 2, "write_bytes": 3, "write_requests": 4, "errors_count": 5}
        ],
        "nic_details": [
            {
                "mac_address": "fa:16:3e:00:00:01",
                "rx_octets": 1,
                "rx_packets": 2,
                "rx_errors": 3,
                "rx_drop": 4,
                "rx_rate": None,
                "tx_octets": 5,
                "tx_packets": 6,
                "tx_errors": 7,
                "tx_drop": 8,
                "tx_rate": None,
            }
        ],
    }
    stop()


async def test_before_2_48_the_names_are_those_of_the_hosts_devices(nova: Any) -> None:
    async def diagnostics(_arguments: ServerArguments) -> ServerDiagnostics:
        return FOUND

    stop = nova.service.bus.serve("nova-compute.node1", dict([DIAGNOSTICS.served_by(diagnostics)]))
    server = await nova.insert_server()
    shown = await nova.call("GET", f"/servers/{server.id}/diagnostics", by="admin", version="2.47")
    assert shown["cpu1_time"] == 18
    assert (shown["memory"], shown["memory-actual"]) == (65536, 49152)
    assert (shown["vda_read"], shown["vda_write_req"], shown["vda_errors"]) == (1, 4, 5)
    assert (shown["tap1_rx"], shown["tap1_tx_drop"]) == (1, 8)
    stop()


async def test_diagnostics_are_refused_with_the_reason(nova: Any) -> None:
    server = await nova.insert_server()
    url = f"/servers/{server.id}/diagnostics"
    assert "os-server-diagnostics" in await nova.refused("GET", url, 403)
    await nova.refused("GET", url, 404, by="other")
    assert "node1" in await nova.refused("GET", url, 409, by="admin")
    building = await nova.insert_server(building=True)
    assert "on no host yet" in await nova.refused("GET", f"/servers/{building.id}/diagnostics", 409, by="admin")
    await nova.refused("GET", "/servers/nothing/diagnostics", 404, by="admin")


async def test_a_crash_dump_is_the_guests_answer_to_an_interrupt(nova: Any) -> None:
    asked: list[ServerArguments] = []

    async def interrupt(arguments: ServerArguments) -> None:
        asked.append(arguments)

    server, body = await nova.insert_server(), {"trigger_crash_dump": None}
    url = f"/servers/{server.id}/action"
    assert "does not answer" in await nova.refused("POST", url, 409, json=body)
    stop = nova.service.bus.serve("nova-compute.node1", dict([INTERRUPT.served_by(interrupt)]))
    await nova.call("POST", url, 202, json=body)
    assert asked == [ServerArguments(server.id)]
    await nova.refused("POST", url, 404, json=body, version="2.16")
    await nova.refused("POST", url, 403, by="reader", json=body)
    stopped = await nova.insert_server(vm_state="stopped")
    told = await nova.refused("POST", f"/servers/{stopped.id}/action", 409, json=body)
    assert told == f"Cannot 'trigger_crash_dump' instance {stopped.id} while it is in vm_state stopped"
    unplaced = await nova.insert_server(vm_state="error", host=None)
    assert "on no host yet" in await nova.refused("POST", f"/servers/{unplaced.id}/action", 409, json=body)
    assert len(asked) == 1
    stop()
