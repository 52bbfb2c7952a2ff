"""What every network driver promises: make the host look as is wanted, say what is there, let go, take away.

The rule of the contract: `converge` may be called at any time, with any state, any number of times; a second call with
the same state on an unchanged host reports 0 changes. With what was touched since the call before, it need not look at
anything else: what else differs is closed when it is called without.
"""

from typing import Protocol

from msgspec import Struct

from kilonova.network.state import HostState, Touched
from kilonova.network.wanted import ConvergeReport


class Observation(Struct, frozen=True):
    """What of ours exists on the host now, whoever wanted it. All tuples are sorted.

    Ports, networks and groups are known by the first 11 characters of their ids, as on the host (`wanted.device_name`);
    DHCP and routers by the whole id of the network or router, which their namespaces carry.
    """

    ports: tuple[str, ...] = ()
    """Guests' ports that this driver has plugged."""
    networks: tuple[str, ...] = ()
    """Networks with a bridge of their own; one that uses an operator's bridge is not listed."""
    dhcp: tuple[str, ...] = ()
    """Networks whose DHCP server is alive here."""
    routers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Security groups whose rules are compiled here."""


class NetworkDriver(Protocol):
    async def converge(self, state: HostState, touched: Touched | None = None) -> ConvergeReport:
        """Close the difference between the host and the state; None: look through the whole host. Never raises for
        what the host lacks or refuses: that is a sentence in `problems`, and everything else is still converged."""
        ...

    async def observe(self) -> Observation:
        """What exists now; changes nothing."""
        ...

    async def close(self) -> None:
        """Stop listening. Traffic, namespaces and rules stay as they are; a new driver adopts them."""
        ...

    async def remove_everything(self) -> None:
        """Take away all that any run of this driver has put on the host. Other people's devices and rules stay."""
        ...
