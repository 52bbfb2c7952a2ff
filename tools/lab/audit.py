"""Whether a lab's cloud is what its servers say: each thing counted on every side, each difference one sentence.

Nothing is changed. What is looked at: servers, quotas, allocations, ports, floating IPs, operations; and on each host
domains, taps, rules, files, tunnels, leases, routers.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tools.lab import engines
from tools.lab.api import Refused, Unreachable
from tools.lab.cloud import Cloud
from tools.lab.hosts import Host, HostError, wait_for

INSTANCES = "/var/lib/nova/instances"
SETTLED = ("ACTIVE", "ERROR")
NAME_LENGTH = 11
"""Of an id, in the name of a device."""
WHOLE_IMAGE = re.compile("[0-9a-f]{40}")
"""A file in `_base` that is not on its way there."""


@dataclass
class Audit:
    cloud: Cloud
    found: list[str] = field(default_factory=list)

    def _differ(self, what: str, there: Iterable[str], wanted: Iterable[str]) -> None:
        extra, missing = sorted(set(there) - set(wanted)), sorted(set(wanted) - set(there))
        if extra:
            self.found.append(f"{what}: nobody's: {', '.join(extra)}")
        if missing:
            self.found.append(f"{what}: missing: {', '.join(missing)}")

    def run(self) -> list[str]:
        """The sentences; none when all is well."""
        servers = read_servers(self.cloud)
        self._servers(servers)
        self._operations()
        self._images()
        self._quotas(servers)
        self._allocations(servers)
        ports = self.cloud.api.call("network", "GET", "/v2.0/ports")["ports"]
        self._ports(servers, ports)
        self._agents()
        for place in self.cloud.places:
            host = self.cloud.lab.host(place.name)
            if place.carries_servers:
                self._hypervisor(host, [each for each in servers if host_of(each) == host.name])
            self._bridges(host, ports)
            self._rules(host, ports)
            if place.carries_networks:
                self._leases(host, ports)
                self._routers(host, ports)
        return self.found

    def _servers(self, servers: list[dict[str, Any]]) -> None:
        for each in servers:
            label = f"server {each['name']} {each['id']}"
            task = each["OS-EXT-STS:task_state"]
            if each["status"] not in SETTLED or task is not None:
                self.found.append(f"{label}: stuck in {each['status']}, task state {task}")
            elif each["status"] == "ERROR" and not each.get("fault", {}).get("message"):
                self.found.append(f"{label}: ERROR without a reason")
            elif each["status"] == "ACTIVE" and each["OS-EXT-STS:power_state"] != 1:
                self.found.append(f"{label}: ACTIVE, but its power state is {each['OS-EXT-STS:power_state']}")

    def _operations(self) -> None:
        for database in ("nova_api", "nova", "nova_cell0"):
            has_tasks = (
                f"SELECT 1 FROM information_schema.tables WHERE table_schema='{database}' AND table_name='tasks'"
            )
            if not engines.run_sql(self.cloud.lab.controller, has_tasks):
                continue
            open_ones = f"SELECT id, program, step, subject_id, error FROM {database}.tasks WHERE finished_at IS NULL"
            for line in engines.run_sql(self.cloud.lab.controller, open_ones).splitlines()[1:]:
                self.found.append(f"operation not finished in {database}: {' '.join(line.split())}")
        waiting = "SELECT COUNT(*) FROM neutron.compute_events"
        count = engines.run_sql(self.cloud.lab.controller, waiting).split()[-1]
        if count != "0":
            self.found.append(f"{count} events of network that compute was never told")

    def _images(self) -> None:
        """An image that is made of a server has its data, or is gone."""
        for image in self.cloud.api.call("image", "GET", "/v2/images?limit=1000")["images"]:
            if image["status"] != "active":
                self.found.append(f"image {image['name']} {image['id']} is {image['status']}")

    def _quotas(self, servers: list[dict[str, Any]]) -> None:
        used = self.cloud.api.call("compute", "GET", "/v2.1/limits")["limits"]["absolute"]
        for name, wanted in (
            ("totalInstancesUsed", len(servers)),
            ("totalCoresUsed", sum(each["flavor"]["vcpus"] for each in servers)),
            ("totalRAMUsed", sum(each["flavor"]["ram"] for each in servers)),
        ):
            if used[name] != wanted:
                self.found.append(f"quota: {name} is {used[name]}, the servers take {wanted}")

    def _allocations(self, servers: list[dict[str, Any]]) -> None:
        api = self.cloud.api
        holding = {}
        for provider in api.call("placement", "GET", "/resource_providers")["resource_providers"]:
            path = f"/resource_providers/{provider['uuid']}/allocations"
            for consumer, held in api.call("placement", "GET", path)["allocations"].items():
                holding[consumer] = (provider["name"], held["resources"])
        placed = {each["id"]: each for each in servers if host_of(each)}
        self._differ("allocations", holding, placed)
        for server_id in holding.keys() & placed.keys():
            name, resources = holding[server_id]
            server = placed[server_id]
            if name != host_of(server):
                self.found.append(f"allocation of {server_id} is on {name}, the server on {host_of(server)}")
            if (
                resources.get("MEMORY_MB") != server["flavor"]["ram"]
                or resources.get("VCPU") != server["flavor"]["vcpus"]
            ):
                self.found.append(f"allocation of {server_id} is {resources}, its flavor {server['flavor']}")

    def _ports(self, servers: list[dict[str, Any]], ports: list[dict[str, Any]]) -> None:
        guests = [each for each in ports if each["device_owner"].startswith("compute:")]
        active = {each["id"]: each for each in servers if each["status"] == "ACTIVE"}
        owners = [each["device_id"] for each in guests]
        self._differ(
            "servers of ports", owners, [each["id"] for each in servers if each["id"] in owners or each["id"] in active]
        )
        if len(owners) != len(set(owners)):
            self.found.append("a server has two ports where it asked for one")
        for port in guests:
            server = active.get(port["device_id"])
            if server is None:
                continue
            if port["binding:host_id"] != host_of(server):
                self.found.append(
                    f"port {port['id']} is bound to {port['binding:host_id']}, its server on {host_of(server)}"
                )
            if port["status"] != "ACTIVE":
                self.found.append(f"port {port['id']} of an ACTIVE server on {host_of(server)} is {port['status']}")
        for port in ports:
            is_carried = port["device_owner"].startswith("network:") and port["device_owner"] != "network:floatingip"
            if is_carried and port["status"] != "ACTIVE":
                self.found.append(f"port {port['id']} ({port['device_owner']}) is {port['status']}")

    def _agents(self) -> None:
        wanted = [
            f"{host}/{name}"
            for host, name in self.cloud.daemons()
            if name.startswith("neutron-") and name != "neutron-server"
        ]
        self._differ("network agents alive", ["/".join(each) for each in self.cloud.network_agents_up()], wanted)
        computes = [host for host, name in self.cloud.daemons() if name == "nova-compute"]
        self._differ("compute hosts up", self.cloud.computes_up(), computes)

    # --- hosts --------------------------------------------------------------------------------------------------------

    def _hypervisor(self, host: Host, servers: list[dict[str, Any]]) -> None:
        active = [each["id"] for each in servers if each["status"] == "ACTIVE"]
        wanted = [each["id"] for each in servers]
        domains = host.run(["virsh", "list", "--all", "--uuid"]).stdout.split()
        running = host.run(["virsh", "list", "--uuid"]).stdout.split()
        self._differ(f"{host.name}: domains", domains, [each for each in wanted if each in domains or each in active])
        self._differ(f"{host.name}: running domains", running, active)
        kept = [each for each in host.run(["ls", INSTANCES]).stdout.split() if each != "_base"]
        self._differ(
            f"{host.name}: directories of servers", kept, [each for each in wanted if each in kept or each in active]
        )
        guests = [words for words in host.processes().values() if "qemu-system" in words[0]]
        images = host.run(["ls", f"{INSTANCES}/_base"], check=False).stdout.split()
        self._differ(f"{host.name}: files of images", images, [each for each in images if WHOLE_IMAGE.fullmatch(each)])
        unfinished = host.run(["find", INSTANCES, "-name", "*part"]).stdout.split()
        self._differ(f"{host.name}: unfinished files", unfinished, [])
        if len(guests) != len(active):
            self.found.append(f"{host.name}: {len(guests)} processes of QEMU for {len(active)} servers")

    def _bridges(self, host: Host, ports: list[dict[str, Any]]) -> None:
        here = [each for each in ports if each["binding:host_id"] == host.name]
        lines = host.run(["ip", "-br", "link"]).stdout.splitlines()
        names = [line.split()[0].partition("@")[0] for line in lines]
        self._differ(
            f"{host.name}: taps",
            [each for each in names if each.startswith("tap")],
            [f"tap{each['id'][:NAME_LENGTH]}" for each in here],
        )
        self._differ(
            f"{host.name}: bridges",
            [each for each in names if each.startswith("brq")],
            {f"brq{each['network_id'][:NAME_LENGTH]}" for each in here},
        )
        self._tunnels(host, ports, here, [each for each in names if each.startswith("vxlan-")])

    def _tunnels(self, host: Host, ports: list[dict[str, Any]], here: list[dict[str, Any]], devices: list[str]) -> None:
        carried = {each["network_id"] for each in here}
        away = [
            each for each in ports if each["network_id"] in carried and each["binding:host_id"] not in ("", host.name)
        ]
        told: list[str] = []
        for device in devices:
            for line in host.run(["ip", "neigh", "show", "dev", device, "nud", "permanent"]).stdout.splitlines():
                told.append(f"{line.split()[0]} {line.split()[2]}")
        flat = {
            each["id"]
            for each in self.cloud.api.call("network", "GET", "/v2.0/networks?provider:network_type=flat")["networks"]
        }
        wanted = [
            f"{fixed['ip_address']} {port['mac_address']}"
            for port in away
            if port["network_id"] not in flat
            for fixed in port["fixed_ips"]
        ]
        self._differ(f"{host.name}: neighbours in tunnels", told, wanted)

    def _rules(self, host: Host, ports: list[dict[str, Any]]) -> None:
        """Each port's own chain, and who is in a security group as far as rules of this host ask for it."""
        here = [
            each
            for each in ports
            if each["binding:host_id"] == host.name and each["device_owner"].startswith("compute:")
        ]
        saved = host.run(["iptables-save"]).stdout
        self._differ(
            f"{host.name}: ports with rules",
            set(re.findall(r"^:kn-e-(\S+)", saved, re.MULTILINE)),
            {each["id"][:NAME_LENGTH] for each in here},
        )
        groups: dict[str, set[str]] = {}
        for port in ports:
            for group_id in port["security_groups"]:
                addresses = groups.setdefault(group_id[:NAME_LENGTH], set())
                addresses |= {fixed["ip_address"] for fixed in port["fixed_ips"]}
        for line in host.run(["ipset", "save"]).stdout.splitlines():
            if (made := re.match(r"create kn-4-(\S+) ", line)) is not None:
                name = made[1]
                lines = host.run(["ipset", "list", f"kn-4-{name}"]).stdout.splitlines()
                members = lines[lines.index("Members:") + 1 :]
                self._differ(f"{host.name}: members of group {name}", members, groups.get(name, ()))

    def _routers(self, host: Host, ports: list[dict[str, Any]]) -> None:
        """Addresses in each router's namespace and the translations of floating IPs there."""
        floating_ips = self.cloud.api.call("network", "GET", "/v2.0/floatingips")["floatingips"]
        for each in floating_ips:
            wanted_status = "ACTIVE" if each["port_id"] else "DOWN"
            if each["status"] != wanted_status:
                self.found.append(f"floating IP {each['floating_ip_address']} is {each['status']}, not {wanted_status}")
        owners = ("network:router_interface", "network:router_gateway")
        routers = {each["device_id"] for each in ports if each["device_owner"] in owners}
        names = [line.split()[0] for line in host.run(["ip", "netns"]).stdout.splitlines()]
        there = [each.removeprefix("qrouter-") for each in names if each.startswith("qrouter-")]
        self._differ(f"{host.name}: routers", there, routers)
        for router_id in routers & set(there):
            inside = ["ip", "netns", "exec", f"qrouter-{router_id}"]
            lines = host.run([*inside, "ip", "-4", "-br", "address", "show", "scope", "global"]).stdout.splitlines()
            addresses = {each.partition("/")[0] for line in lines for each in line.split()[2:]}
            own = {
                fixed["ip_address"]
                for port in ports
                if port["device_id"] == router_id and port["device_owner"] in owners
                for fixed in port["fixed_ips"]
            }
            led = {
                each["floating_ip_address"]: each["fixed_ip_address"]
                for each in floating_ips
                if each["router_id"] == router_id
            }
            self._differ(f"{host.name}: addresses of router {router_id}", addresses, own | led.keys())
            saved = host.run([*inside, "iptables-save", "-t", "nat"]).stdout
            translated = re.findall(r"-A kn-prerouting -d (\S+)/32 -j DNAT --to-destination (\S+)", saved)
            self._differ(
                f"{host.name}: floating IPs of router {router_id}",
                [f"{outside} to {inner}" for outside, inner in translated],
                [f"{outside} to {inner}" for outside, inner in led.items()],
            )

    def _leases(self, host: Host, ports: list[dict[str, Any]]) -> None:
        served = {each["network_id"] for each in ports if each["device_owner"] == "network:dhcp"}
        told: set[str] = set()
        for network_id in served:
            try:
                lines = host.read(f"/var/lib/neutron/dhcp/{network_id}/host").splitlines()
            except FileNotFoundError:
                self.found.append(f"{host.name}: no DHCP for network {network_id}")
                continue
            told |= {line.split(",")[0] for line in lines}
        wanted = {
            each["mac_address"]
            for each in ports
            if each["network_id"] in served and each["device_owner"] not in ("network:dhcp", "network:router_gateway")
        }
        self._differ(f"{host.name}: leases", told, wanted)


def host_of(server: dict[str, Any]) -> str:
    return server.get("OS-EXT-SRV-ATTR:host") or ""


def read_servers(cloud: Cloud) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cloud.api.call("compute", "GET", "/v2.1/servers/detail?all_tenants=1")["servers"]
    return found


def wait_settled(cloud: Cloud, seconds: float, *, meanwhile: Callable[[], None] = lambda: None) -> list[str]:
    """Returns what is still wrong after that long, or nothing as soon as nothing is. Calls `meanwhile` each time."""
    last: list[str] = []

    def is_well() -> bool:
        nonlocal last
        try:
            meanwhile()
            last = Audit(cloud).run()
        except (Unreachable, Refused, HostError) as error:
            # An API that is just starting; one that stays away is still wrong at the end.
            last = [f"cannot be looked at: {error}"]
        return not last

    try:
        wait_for(is_well, "the cloud has settled", seconds)
    except TimeoutError:
        return last
    return []
