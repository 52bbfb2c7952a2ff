"""A guest's demands on NUMA nodes, processors of its own and pages. Pure.

Source: compute admin guide, "CPU topologies" and "Huge pages"; flavor extra specs `hw:…` and image properties `hw_…`.
"""

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from kilonova.compute.scheduling.requirements import UnusableSpec

ThreadPolicy = Literal["", "prefer", "isolate", "require"]
EmulatorPolicy = Literal["", "share", "isolate"]
THREADED = "HW_CPU_HYPERTHREADING"
"""The trait of hosts whose cores have several threads."""
MOST_NODES = 64
SMALL, LARGE, ANY = "small", "large", "any"
ORDINARY_KIB = 4
_TRUE = frozenset("1 t true on y yes".split())
_UNITS = {"": 1, "k": 1, "m": 1024, "g": 1024**2, "t": 1024**3}
_SIZE = re.compile(r"(\d{1,12})(?:([kmgt])i?)?(b|bit)?", re.IGNORECASE)
_RANGE = re.compile(r"(\^?)(\d{1,6})(?:-(\d{1,6}))?")


class GuestNode(Struct, frozen=True):
    id: int
    cpus: frozenset[int]
    memory_mib: int
    pinned: frozenset[int] = frozenset()
    """Those of its processors that have one of the host's each for themselves."""


class GuestTopology(Struct, frozen=True):
    nodes: tuple[GuestNode, ...]
    threads: ThreadPolicy = ""
    """The way its own processors lie on cores; empty and `prefer`: on as few as can be."""
    page: str = ""
    """`small`, `large`, `any`, a size in KiB, or empty for ordinary ones that need not be counted."""
    emulator: EmulatorPolicy = ""
    """Where the emulator's threads run: on a processor of their own, on those that guests share, or (empty) on those
    of the guest that are not realtime."""
    realtime: frozenset[int] = frozenset()

    @property
    def is_demanding(self) -> bool:
        """Whether a host has to have told its nodes for it: on any host there is one node with ordinary pages."""
        return len(self.nodes) > 1 or self.pinned > 0 or self.page not in ("", SMALL, ANY)

    @property
    def isolates_emulator(self) -> bool:
        return self.emulator == "isolate"

    @property
    def pinned(self) -> int:
        """The number of processors it wants for itself."""
        return sum(len(node.pinned) for node in self.nodes) + self.isolates_emulator


def with_own_cpus(resources: Mapping[str, int], guest: GuestTopology | None) -> dict[str, int]:
    """Returns the resources asked of placement: a processor of the guest's own is a PCPU, and no VCPU."""
    if guest is None or not guest.pinned:
        return dict(resources)
    own = guest.pinned - guest.isolates_emulator
    amounts = {**resources, "VCPU": max(resources.get("VCPU", 0) - own, 0), "PCPU": guest.pinned}
    return {name: amount for name, amount in amounts.items() if amount}


OWN_CPUS, SHARED_CPUS = "resources:PCPU", "resources:VCPU"
"""Extra specs of flavors that say the policy by what is asked of placement."""
_NAMES = ("cpu_policy", "mem_page_size", "numa_nodes")
"""Without any of these a guest asks for nothing of a host's nodes."""


def asks_for_nodes(specs: Mapping[str, str], properties: Mapping[str, str]) -> bool:
    """Whether a guest of this flavor and image may have a topology: it has none where this is false."""
    return OWN_CPUS in specs or any(specs.get(f"hw:{name}") or properties.get(f"hw_{name}") for name in _NAMES)


def thread_traits(guest: GuestTopology | None) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the traits that the guest's threads need of a host, and those that they must not find there."""
    threaded, nothing = frozenset({THREADED}), frozenset[str]()
    match guest.threads if guest is not None else "":
        case "require":
            return threaded, nothing
        case "isolate":
            return nothing, threaded
        case _:
            return nothing, nothing


class _Asked:
    """Flavor and image, by the name that both have behind `hw:` and `hw_`."""

    def __init__(self, specs: Mapping[str, str], properties: Mapping[str, str]) -> None:
        self._specs, self._properties = specs, properties

    def get(self, name: str) -> str:
        """Raises UnusableSpec where flavor and image contradict each other."""
        flavor, image = self._specs.get(f"hw:{name}", "").strip(), self._properties.get(f"hw_{name}", "").strip()
        if flavor and image and flavor.lower() != image.lower():
            raise UnusableSpec(f"The flavor asks for hw:{name}={flavor}, the image for hw_{name}={image}.")
        return (flavor or image).lower()

    def amount(self, key: str) -> int:
        """Returns what the flavor asks of placement under this name; `requirements_of` refuses what is no number."""
        value = self._specs.get(key, "")
        return int(value) if value.isdecimal() and len(value) <= 10 else 0

    def of_flavor(self, name: str) -> str:
        return self._specs.get(f"hw:{name}", "").strip().lower()

    def of_image(self, name: str) -> str:
        return self._properties.get(f"hw_{name}", "").strip().lower()


def topology_of(
    specs: Mapping[str, str], properties: Mapping[str, str], vcpus: int, memory_mib: int
) -> GuestTopology | None:
    """None for a guest that asks for nothing of it. Raises UnusableSpec for what makes no sense."""
    asked = _Asked(specs, properties)
    pinned = _pinned(asked, vcpus)
    page = _page(asked)
    nodes = asked.get("numa_nodes")
    if not (pinned or page or nodes):
        _refuse_without_pinning(asked)
        return None
    if not pinned:
        _refuse_without_pinning(asked)
    made = _nodes(asked, nodes, vcpus, memory_mib)
    return GuestTopology(
        tuple(GuestNode(each.id, each.cpus, each.memory_mib, each.cpus & pinned) for each in made),
        threads=_threads(asked),
        page=page,
        emulator=_emulator(asked),
        realtime=_realtime(asked, vcpus, pinned),
    )


def _refuse_without_pinning(asked: _Asked) -> None:
    for name, harmless in (("cpu_thread_policy", "prefer"), ("emulator_threads_policy", "share")):
        if asked.get(name) not in ("", harmless):
            raise UnusableSpec(
                f"hw:{name} is of guests with processors of their own: it needs hw:cpu_policy dedicated."
            )
    if asked.of_flavor("cpu_realtime") in _TRUE:
        raise UnusableSpec("hw:cpu_realtime needs hw:cpu_policy dedicated or mixed.")


def _pinned(asked: _Asked, vcpus: int) -> frozenset[int]:
    policy, mask = asked.get("cpu_policy"), asked.of_flavor("cpu_dedicated_mask")
    every = frozenset(range(vcpus))
    if own := asked.amount(OWN_CPUS):
        if policy or asked.amount(SHARED_CPUS):
            raise UnusableSpec(
                f"{OWN_CPUS} says that all processors are the guest's own: beside it stands neither hw:cpu_policy "
                f"nor {SHARED_CPUS}."
            )
        needed = vcpus + (asked.get("emulator_threads_policy") == "isolate")
        if own != needed:
            raise UnusableSpec(f"{OWN_CPUS}={own}: the guest has {needed} processors of its own.")
        policy = "dedicated"
    elif policy not in ("", "shared") and asked.amount(SHARED_CPUS):
        raise UnusableSpec(
            f"hw:cpu_policy={policy} says how many processors are shared: {SHARED_CPUS} does not stand beside it."
        )
    if policy == "mixed":
        is_realtime = asked.of_flavor("cpu_realtime") in _TRUE
        mask = mask or (asked.get("cpu_realtime_mask") if is_realtime else "")
        if not mask:
            raise UnusableSpec("hw:cpu_policy mixed needs hw:cpu_dedicated_mask, or a realtime guest's mask.")
        chosen = read_cpus("hw:cpu_dedicated_mask", mask, vcpus)
        if not chosen or chosen == every:
            raise UnusableSpec(f"hw:cpu_dedicated_mask={mask}: mixed leaves some of {vcpus} processors, and not all.")
        return chosen
    if mask:
        raise UnusableSpec("hw:cpu_dedicated_mask needs hw:cpu_policy mixed.")
    if policy not in ("", "shared", "dedicated"):
        raise UnusableSpec(f"hw:cpu_policy is shared, dedicated or mixed, got {policy!r}.")
    return every if policy == "dedicated" else frozenset()


def _threads(asked: _Asked) -> ThreadPolicy:
    match asked.get("cpu_thread_policy"):
        case "":
            return ""
        case "prefer":
            return "prefer"
        case "isolate":
            return "isolate"
        case "require":
            return "require"
        case other:
            raise UnusableSpec(f"hw:cpu_thread_policy is prefer, isolate or require, got {other!r}.")


def _emulator(asked: _Asked) -> EmulatorPolicy:
    match asked.get("emulator_threads_policy"):
        case "":
            return ""
        case "share":
            return "share"
        case "isolate":
            return "isolate"
        case other:
            raise UnusableSpec(f"hw:emulator_threads_policy is share or isolate, got {other!r}.")


def _realtime(asked: _Asked, vcpus: int, pinned: frozenset[int]) -> frozenset[int]:
    if asked.of_flavor("cpu_realtime") not in _TRUE:
        return frozenset()
    mask = asked.get("cpu_realtime_mask")
    chosen = read_cpus("hw:cpu_realtime_mask", mask, vcpus) if mask else pinned
    if not chosen or not chosen <= pinned:
        raise UnusableSpec(f"hw:cpu_realtime_mask={mask}: realtime processors are among those of the guest's own.")
    if asked.get("emulator_threads_policy") != "isolate" and len(chosen) == vcpus:
        raise UnusableSpec("hw:cpu_realtime leaves one processor, or hw:emulator_threads_policy is isolate.")
    return chosen


def _page(asked: _Asked) -> str:
    """Returns the image's wish where the flavor lets it choose."""
    flavor, image = asked.of_flavor("mem_page_size"), asked.of_image("mem_page_size")
    if image and flavor not in (LARGE, ANY):
        raise UnusableSpec(f"The image asks for hw_mem_page_size={image}, which the flavor does not allow.")
    return _read_page("hw_mem_page_size", image) if image else _read_page("hw:mem_page_size", flavor) if flavor else ""


def _read_page(name: str, text: str) -> str:
    if text in (SMALL, LARGE, ANY):
        return text
    match = _SIZE.fullmatch(text)
    if match is None or int(match.group(1)) == 0 or (match.group(3) or "").lower() == "bit":
        raise UnusableSpec(f"{name} is small, large, any or a size such as 2MB, got {text!r}.")
    size_kib = int(match.group(1)) * _UNITS[(match.group(2) or "").lower()]
    return SMALL if size_kib == ORDINARY_KIB else str(size_kib)


def _nodes(asked: _Asked, number: str, vcpus: int, memory_mib: int) -> list[GuestNode]:
    count = _read_count(number)
    given = [(asked.get(f"numa_cpus.{node}"), asked.get(f"numa_mem.{node}")) for node in range(count)]
    if any(map(any, given)):
        return _given_nodes(given, vcpus, memory_mib)
    if vcpus % count or memory_mib % count:
        raise UnusableSpec(
            f"hw:numa_nodes={count}: {vcpus} processors and {memory_mib} MiB do not come out even; "
            "say hw:numa_cpus.N and hw:numa_mem.N."
        )
    each = vcpus // count
    return [
        GuestNode(node, frozenset(range(node * each, (node + 1) * each)), memory_mib // count) for node in range(count)
    ]


def _read_count(number: str) -> int:
    count = int(number or "1") if (number or "1").isdecimal() and len(number) < 4 else 0
    if not 1 <= count <= MOST_NODES:
        raise UnusableSpec(f"hw:numa_nodes is a number from 1 to {MOST_NODES}, got {number!r}.")
    return count


def _given_nodes(given: list[tuple[str, str]], vcpus: int, memory_mib: int) -> list[GuestNode]:
    found: list[GuestNode] = []
    for node, (cpus, memory) in enumerate(given):
        if not (cpus and memory):
            raise UnusableSpec(f"hw:numa_cpus.{node} and hw:numa_mem.{node}: given for all nodes or for none.")
        if not memory.isdecimal() or len(memory) > 10 or int(memory) == 0:
            raise UnusableSpec(f"hw:numa_mem.{node} is a number of MiB, got {memory!r}.")
        found.append(GuestNode(node, read_cpus(f"hw:numa_cpus.{node}", cpus, vcpus), int(memory)))
    every = [cpu for node in found for cpu in node.cpus]
    if sorted(every) != list(range(vcpus)):
        raise UnusableSpec(f"hw:numa_cpus: each of {vcpus} processors belongs to one node.")
    if sum(node.memory_mib for node in found) != memory_mib:
        raise UnusableSpec(f"hw:numa_mem: the nodes have {memory_mib} MiB together.")
    return found


def read_cpus(name: str, text: str, vcpus: int) -> frozenset[int]:
    """`0-3,^1` → 0, 2, 3; what only leaves out leaves out of all. Raises UnusableSpec."""
    chosen: set[int] = set()
    without: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match.group(2)), int(match.group(3) or match.group(2))) if match else (0, -1)
        if match is None or first > last or last >= vcpus:
            raise UnusableSpec(f"{name} names processors from 0 to {vcpus - 1}, such as 0-3,^1; got {text!r}.")
        (without if match.group(1) else chosen).update(range(first, last + 1))
    return frozenset((chosen or set(range(vcpus))) - without)
