"""The processor of a guest: topology, features, and its share of the host's; pure.

Source: compute user guide, "CPU topologies", "Flavors".
"""

from dataclasses import dataclass
from typing import Literal

from kilonova.compute.hardware.asked import Asked, Said
from kilonova.compute.scheduling.requirements import UnusableSpec

MOST_OF_A_KIND = 65_536
"""Sockets, cores or threads, where nobody sets a smaller limit."""
KINDS = ("sockets", "cores", "threads")
ADDRESS_MODES = ("passthrough", "emulate")


@dataclass(frozen=True)
class Topology:
    sockets: int
    cores: int
    """The cores of each socket."""
    threads: int
    """The threads of each core."""


@dataclass(frozen=True)
class CpuShare:
    """A guest's part of the host's processors, as control groups know it; None: the host's default."""

    shares: int | None = None
    period_us: int | None = None
    quota_us: int | None = None
    """Microseconds of processor time in each period."""


@dataclass(frozen=True)
class Processor:
    topology: Topology
    pmu: bool | None = None
    """Whether it counts events; None: as the hypervisor has it."""
    hides_hypervisor: bool = False
    address_mode: Literal["", "passthrough", "emulate"] = ""
    """The width of physical addresses: the host's, or `address_bits`; empty: the hypervisor's choice."""
    address_bits: int | None = None
    share: CpuShare = CpuShare()


def processor_of(asked: Asked, vcpus: int) -> Processor:
    """Raises UnusableSpec."""
    pmu = asked.by_both("pmu")
    hiding = (
        asked.by_flavor("hw:hide_hypervisor_id"),
        asked.by_flavor("hide_hypervisor_id"),
        asked.by_image("img_hide_hypervisor_id"),
    )
    hidden = [asked.is_on(each) for each in hiding]
    mode, bits = _addresses(asked)
    return Processor(
        topology=pick_topology(asked, vcpus),
        pmu=None if pmu is None else pmu.boolean(),
        hides_hypervisor=any(hidden),
        address_mode=mode,
        address_bits=bits,
        share=CpuShare(
            _whole(asked.by_flavor("quota:cpu_shares"), 2, 262_144),
            _whole(asked.by_flavor("quota:cpu_period"), 1_000, 1_000_000),
            _whole(asked.by_flavor("quota:cpu_quota"), 1_000, 17_592_186_044_415),
        ),
    )


def pick_topology(asked: Asked, vcpus: int) -> Topology:
    """The topology that has as many of the numbers that are preferred as possible, and then the most sockets.

    Raises UnusableSpec when limits leave none, when the image exceeds the flavor's limits, and when a preference
    exceeds a limit.
    """
    limits = {kind: _limit(asked, kind) for kind in KINDS}
    wanted = _preferences(asked)
    for kind, said in wanted.items():
        if said.whole(1, MOST_OF_A_KIND) > limits[kind]:
            raise said.unusable(f"and the limit is {limits[kind]} {kind}")
    possible = [
        Topology(sockets, cores, vcpus // (sockets * cores))
        for sockets in range(min(limits["sockets"], vcpus), 0, -1)
        if vcpus % sockets == 0
        for cores in range(min(limits["cores"], vcpus // sockets), 0, -1)
        if (vcpus // sockets) % cores == 0 and vcpus // (sockets * cores) <= limits["threads"]
    ]
    if not possible:
        most = ", ".join(f"{limits[kind]} {kind}" for kind in KINDS if limits[kind] < MOST_OF_A_KIND)
        raise UnusableSpec(f"The flavor has {vcpus} processors, and flavor and image allow {most} at most.")
    numbers = {kind: int(said.value) for kind, said in wanted.items()}
    return max(possible, key=lambda each: sum(getattr(each, kind) == number for kind, number in numbers.items()))


def _limit(asked: Asked, kind: str) -> int:
    flavor, image = asked.by_flavor(f"hw:cpu_max_{kind}"), asked.by_image(f"hw_cpu_max_{kind}")
    allowed = flavor.whole(1, MOST_OF_A_KIND) if flavor else MOST_OF_A_KIND
    if image is None:
        return allowed
    if image.whole(1, MOST_OF_A_KIND) > allowed:
        raise image.unusable(f"and the flavor allows {allowed} {kind}")
    return int(image.value)


def _preferences(asked: Asked) -> dict[str, Said]:
    """The flavor's; the image's when the flavor has none."""
    flavor = {kind: said for kind in KINDS if (said := asked.by_flavor(f"hw:cpu_{kind}"))}
    image = {kind: said for kind in KINDS if (said := asked.by_image(f"hw_cpu_{kind}"))}
    return flavor or image


def _addresses(asked: Asked) -> tuple[Literal["", "passthrough", "emulate"], int | None]:
    mode, bits = asked.by_both("maxphysaddr_mode"), asked.by_both("maxphysaddr_bits")
    number = _whole(bits, 1, 64)
    if mode is None:
        if bits is not None:
            raise bits.unusable("which needs a mode: hw:maxphysaddr_mode=emulate")
        return "", None
    if mode.one_of(ADDRESS_MODES) == "emulate":
        if number is None:
            raise mode.unusable("which needs a number of bits: hw:maxphysaddr_bits")
        return "emulate", number
    if bits is not None:
        raise bits.unusable("which only the mode emulate has")
    return "passthrough", None


def _whole(said: Said | None, least: int, most: int) -> int | None:
    return None if said is None else said.whole(least, most)
