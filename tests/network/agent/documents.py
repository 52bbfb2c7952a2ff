"""Documents for the tests: small builders of what a server would compile."""

from dataclasses import dataclass, field

import msgspec

from kilonova.network.wanted import (
    DhcpHost,
    FixedIp,
    RouterGateway,
    RouterInterface,
    WantedDhcp,
    WantedFloatingIp,
    WantedNetwork,
    WantedPort,
    WantedRouter,
    WantedRule,
    WantedSecurityGroup,
    WantedState,
    WantedSubnet,
)

PROJECT = "0f0f0f0f0f0f4f0f8f0f0f0f0f0f0f0f"
ALLOW_EGRESS = (WantedRule("egress", "IPv4"), WantedRule("egress", "IPv6"))
PING = WantedRule("ingress", "IPv4", protocol="icmp")
SSH = WantedRule("ingress", "IPv4", protocol="tcp", port_range_min=22, port_range_max=22)


def new_id(kind: int, number: int) -> str:
    """An id that differs from others in its first eleven characters, as random ones do."""
    return f"{kind:02x}{number:06x}-{kind:02x}{number % 256:02x}-4000-8000-{number:012x}"


def mac(number: int) -> str:
    return f"fa:16:3e:00:{number // 256:02x}:{number % 256:02x}"


def tcp(port: int, **fields: object) -> WantedRule:
    return msgspec.structs.replace(
        WantedRule("ingress", "IPv4", protocol="tcp", port_range_min=port, port_range_max=port), **fields
    )


@dataclass
class Net:
    """One network 10.0.N.0/24 with its DHCP at .2 and the gateway at .1."""

    number: int
    hosts: list[DhcpHost] = field(default_factory=list)
    network_type: str = "vxlan"
    physical_network: str | None = None
    cidr_prefix: str = ""
    gateway: bool = True
    dhcp: bool = True
    dns: tuple[str, ...] = ("9.9.9.9",)
    mtu: int = 1450

    def __post_init__(self) -> None:
        self.cidr_prefix = self.cidr_prefix or f"10.0.{self.number}"

    @property
    def id(self) -> str:
        return new_id(0xA0, self.number)

    @property
    def subnet_id(self) -> str:
        return new_id(0xB0, self.number)

    @property
    def dhcp_port_id(self) -> str:
        return new_id(0xD0, self.number)

    def fixed(self, host: int) -> tuple[FixedIp, ...]:
        return (FixedIp(f"{self.cidr_prefix}.{host}", self.subnet_id, 24),)

    def wanted(self, **fields: object) -> WantedNetwork:
        service = WantedDhcp(self.dhcp_port_id, mac(0xD000 + self.number), self.fixed(2), tuple(self.hosts))
        network = WantedNetwork(
            id=self.id,
            network_type=self.network_type,
            mtu=self.mtu,
            project_id=PROJECT,
            physical_network=self.physical_network,
            segmentation_id=1000 + self.number if self.network_type == "vxlan" else None,
            subnets=(
                WantedSubnet(
                    id=self.subnet_id,
                    cidr=f"{self.cidr_prefix}.0/24",
                    gateway_ip=f"{self.cidr_prefix}.1" if self.gateway else None,
                    dns_nameservers=self.dns,
                ),
            ),
            dhcp=service if self.dhcp else None,
        )
        return msgspec.structs.replace(network, **fields)

    def port(self, host: int, groups: tuple[str, ...] = (), **fields: object) -> WantedPort:
        """A guest's port with the address .host; it gets a lease too."""
        number = self.number * 256 + host
        port = WantedPort(
            id=new_id(0xC0, number),
            network_id=self.id,
            device_id=new_id(0xE0, number),
            mac_address=mac(number),
            fixed_ips=self.fixed(host),
            security_group_ids=groups,
            project_id=PROJECT,
        )
        address = port.fixed_ips[0].ip_address
        lease = DhcpHost(port.mac_address, address, f"host-{address.replace('.', '-')}", self.subnet_id, port.id)
        if lease not in self.hosts:
            self.hosts.append(lease)
        return msgspec.structs.replace(port, **fields)

    def router_interface(self, host: int = 1) -> RouterInterface:
        return RouterInterface(new_id(0xF0, self.number), self.id, mac(0xF000 + self.number), self.fixed(host))


def group(number: int, *rules: WantedRule, members: tuple[str, ...] = ()) -> WantedSecurityGroup:
    return WantedSecurityGroup(id=new_id(0x50, number), rules=(*ALLOW_EGRESS, *rules), member_ips=members)


def state(
    nets: list[Net],
    ports: list[WantedPort] | None = None,
    groups: list[WantedSecurityGroup] | None = None,
    routers: list[WantedRouter] | None = None,
    revision: int = 1,
) -> WantedState:
    return WantedState(
        revision=revision,
        networks=tuple(net.wanted() for net in nets),
        ports=tuple(ports or ()),
        security_groups=tuple(groups or ()),
        routers=tuple(routers or ()),
    )


def gateway(net: Net, host: int = 10, next_hop: int = 1, **fields: object) -> RouterGateway:
    found = RouterGateway(
        port_id=new_id(0x90, net.number),
        network_id=net.id,
        mac_address=mac(0x9000 + net.number),
        fixed_ips=net.fixed(host),
        gateway_ips=(f"{net.cidr_prefix}.{next_hop}",),
    )
    return msgspec.structs.replace(found, **fields)


def floating_ip(net: Net, host: int, port: WantedPort) -> WantedFloatingIp:
    return WantedFloatingIp(new_id(0x70, host), f"{net.cidr_prefix}.{host}", port.fixed_ips[0].ip_address, port.id)


def router(number: int, *interfaces: RouterInterface, **fields: object) -> WantedRouter:
    found = WantedRouter(id=new_id(0x80, number), project_id=PROJECT, interfaces=interfaces)
    return msgspec.structs.replace(found, **fields)
