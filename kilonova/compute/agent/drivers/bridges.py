"""Makes the bridge that a port plugs into when the network agent has not made it yet; blocking, for a thread.

The rule: what is there is left as it is; the network agent owns it and will finish what is missing.
"""

import errno

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from kilonova.compute.agent.driver import HostError

ALIAS = "kilonova"


def ensure_bridge(name: str) -> None:
    """A bridge that forwards at once and floods multicast, up. Raises HostError when the name is taken or refused."""
    with IPRoute() as netlink:
        try:
            netlink.link("add", ifname=name, kind="bridge", br_forward_delay=0, br_mcast_snooping=0)
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise HostError(f"Cannot make the bridge {name}: {error}.") from error
            _check_is_bridge(netlink, name)
            return
        index = netlink.link_lookup(ifname=name)[0]
        netlink.link("set", index=index, ifalias=ALIAS, state="up")


def _check_is_bridge(netlink: IPRoute, name: str) -> None:
    for link in netlink.get_links(ifname=name):
        kind = link.get(("linkinfo", "kind"))
        if kind != "bridge":
            raise HostError(
                f"The interface {name} is {kind or 'a device'}, not a bridge; the port cannot be plugged there."
            )
