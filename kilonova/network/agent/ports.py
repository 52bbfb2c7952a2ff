"""The agent's own ports: a veth whose inner end lives in a namespace of ours and whose outer end is in a bridge."""

from dataclasses import dataclass

from kilonova.network.agent import links, namespaces
from kilonova.network.agent.ledger import Ledger
from kilonova.network.agent.links import Link, LinkTable
from kilonova.network.agent.namespaces import run_inside


def ensure_namespace(name: str, ledger: Ledger) -> None:
    """A namespace of ours under this name, marked; one that exists is adopted."""
    if namespaces.inode(name) is None:
        namespaces.create(name, links.mark_loopback)
        ledger.changed("made namespace %s", name)
    elif not is_own_namespace(name):
        run_inside(name, links.mark_loopback)
        ledger.changed("adopted namespace %s", name)


def is_own_namespace(name: str) -> bool:
    return run_inside(name, links.is_loopback_marked)


@dataclass(frozen=True, slots=True)
class NamespacedPort:
    """A pair with the names (outer, inner); `group` says whose it is."""

    namespace: str
    names: tuple[str, str]
    mac_address: str
    mtu: int
    group: int


def ensure_namespaced_port(table: LinkTable, bridge: Link, port: NamespacedPort) -> None:
    """The pair, plugged and up outside. What the inner end carries is the caller's."""
    outer, inner = port.names
    link = table.get(outer)
    if link is None or not run_inside(port.namespace, lambda: _has_device(inner)):
        with namespaces.opened(port.namespace) as descriptor:
            link = table.make_veth(port.names, descriptor, port.mac_address, port.mtu, port.group)
    link = table.ensure_member(table.ensure_set(link, mtu=port.mtu, group=port.group), bridge)
    table.ensure_up(link)


def _has_device(name: str) -> bool:
    with links.opened(Ledger()) as table:
        return table.get(name) is not None
