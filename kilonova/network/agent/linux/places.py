"""Where metadata has to be answered: in every namespace of ours that exists."""

from kilonova.network import parts
from kilonova.network.agent import dhcp, namespaces, routers
from kilonova.network.agent.dhcp import METADATA_ADDRESS
from kilonova.network.agent.dhcp_subnets import is_served
from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.linux.part import Setting
from kilonova.network.agent.metadata import Place
from kilonova.network.agent.router_rules import METADATA_PORT
from kilonova.network.wanted import WantedState


def find_places(wanted: WantedState, setting: Setting, ledger: Ledger) -> list[Place]:
    if parts.METADATA not in setting.played:
        return []
    found: list[Place] = []

    def look(part: str, name: str, address: str, port: int, networks: tuple[str, ...]) -> None:
        inode = namespaces.inode(name)
        if inode is not None:
            found.append(Place(name, inode, address, port, networks))
        elif part not in setting.played:
            ledger.wait(name.partition("-")[2], f"The namespace {name} is not there yet: {part} makes it.")

    for network in wanted.networks:
        if is_served(network):
            look(parts.DHCP, dhcp.namespace_name(network.id), METADATA_ADDRESS, 80, (network.id,))
    for router in wanted.routers:
        if router.admin_state_up:
            networks = tuple(sorted({interface.network_id for interface in router.interfaces}))
            name = routers.namespace_name(router.id)
            look(parts.L3, name, "0.0.0.0", METADATA_PORT, networks)  # noqa: S104 - in the namespace
    return found
