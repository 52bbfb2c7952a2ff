"""The mechanisms that a cloud uses, in their order: the first that can bind a port binds it."""

from collections.abc import Mapping, Sequence

from kilonova.network.errors import InvalidInput
from kilonova.network.mechanisms.linuxbridge import LinuxBridge
from kilonova.network.mechanisms.mechanism import FAILED, Binding, Context, Mechanism

KNOWN: Mapping[str, Mechanism] = {each.name: each for each in (LinuxBridge(),)}

_NO_PORTS = "it binds no ports"
_NOT_THERE = "this cloud does not have it"
PASSED_OVER: Mapping[str, str] = {
    "l2population": "an agent's own l2_population says whether it is told where ports are",
    "logger": _NO_PORTS,
    "baremetal": _NOT_THERE,
    "macvtap": _NOT_THERE,
    "openvswitch": _NOT_THERE,
    "ovn": _NOT_THERE,
    "sriovnicswitch": _NOT_THERE,
}
"""Other mechanisms of upstream's that a file may name beside one that exists here → why they change nothing."""


class Mechanisms:
    def __init__(self, chosen: Sequence[Mechanism]) -> None:
        self._chosen = chosen
        self.carries = frozenset(name for each in chosen for name in each.carries)
        """Network types that some mechanism can bind ports of."""
        self.sections = frozenset(name for each in chosen for name in each.sections)

    def bind(self, context: Context) -> Binding:
        bindings = (each.bind(context) for each in self._chosen if context.vnic_type in each.vnic_types)
        return next((each for each in bindings if each is not None), FAILED)

    def check_vnic_type(self, vnic_type: str) -> None:
        """Raises InvalidInput for a port that no mechanism can bind anywhere."""
        if not any(vnic_type in each.vnic_types for each in self._chosen):
            raise InvalidInput(
                f"binding:vnic_type {vnic_type} is not served here yet: ports are taps on bridges, which is normal."
            )


def choose(names: Sequence[str]) -> Mechanisms:
    """Those of ML2's `mechanism_drivers`. Raises ValueError for a name that is none, and when none of them exists."""
    for name in names:
        if name not in KNOWN and name not in PASSED_OVER:
            raise ValueError(f"{name!r} is no mechanism; there are: {', '.join(KNOWN)}")
    found = [KNOWN[name] for name in names if name in KNOWN]
    if not found:
        raise ValueError(f"no port could be bound: it has to name one of the mechanisms that exist: {', '.join(KNOWN)}")
    return Mechanisms(found)
