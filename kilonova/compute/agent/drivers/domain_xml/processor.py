"""The processor and the memory of a guest in libvirt's words; pure."""

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement

from kilonova.compute.agent.drivers.domain_xml.elements import text
from kilonova.compute.agent.drivers.domain_xml.plan import DomainPlan
from kilonova.compute.agent.spec import GuestPlacement
from kilonova.compute.hardware.guest import GuestHardware
from kilonova.compute.hardware.processor import Processor
from kilonova.kit.host_commands import HostError

KIB_IN_MIB = 1024


def add_amounts(domain: Element, plan: DomainPlan, guest: GuestHardware) -> None:
    """Adds the guest's memory and processors, and where on the host they lie."""
    placement = plan.spec.placement
    text(domain, "memory", str(plan.spec.flavor.memory_mib), unit="MiB")
    _add_memory_backing(domain, guest, placement)
    vcpu = text(domain, "vcpu", str(plan.spec.flavor.vcpus))
    if plan.host.shared_cpus and not _has_own_cpus(placement):
        vcpu.set("cpuset", _cpu_set(plan.host.shared_cpus))
    _add_tuning(domain, guest.processor, placement)
    if placement is not None:
        _add_numa_tuning(domain, placement)


def _has_own_cpus(placement: GuestPlacement | None) -> bool:
    return placement is not None and any(cell.pinned for cell in placement.cells)


def _add_memory_backing(domain: Element, guest: GuestHardware, placement: GuestPlacement | None) -> None:
    cells = [cell for cell in placement.cells if cell.page_kib] if placement else []
    has_realtime = placement is not None and bool(placement.realtime_cpus)
    if not (cells or guest.memory.is_locked or has_realtime):
        return
    backing = SubElement(domain, "memoryBacking")
    if cells:
        pages = SubElement(backing, "hugepages")
        for cell in cells:
            SubElement(pages, "page", size=str(cell.page_kib), unit="KiB", nodeset=str(cell.id))
    if has_realtime:
        SubElement(backing, "nosharepages")
    if guest.memory.is_locked or has_realtime:
        SubElement(backing, "locked")


def _add_tuning(domain: Element, processor: Processor, placement: GuestPlacement | None) -> None:
    share = processor.share
    tuning = Element("cputune")
    for tag, number in (("shares", share.shares), ("period", share.period_us), ("quota", share.quota_us)):
        if number is not None:
            text(tuning, tag, str(number))
    if placement is not None:
        _add_pins(tuning, placement)
    if len(tuning):
        domain.append(tuning)


def _add_pins(tuning: Element, placement: GuestPlacement) -> None:
    for cell in placement.cells:
        for cpu in cell.cpus:
            if cpu in cell.pinned:
                SubElement(tuning, "vcpupin", vcpu=str(cpu), cpuset=str(cell.pinned[cpu]))
            elif cell.floating_cpus:
                SubElement(tuning, "vcpupin", vcpu=str(cpu), cpuset=_cpu_set(cell.floating_cpus))
    if placement.emulator_cpus:
        SubElement(tuning, "emulatorpin", cpuset=_cpu_set(placement.emulator_cpus))
    if placement.realtime_cpus:
        SubElement(tuning, "vcpusched", vcpus=_cpu_set(placement.realtime_cpus), scheduler="fifo", priority="1")


def _add_numa_tuning(domain: Element, placement: GuestPlacement) -> None:
    tuning = SubElement(domain, "numatune")
    hosts = _cpu_set({cell.host_cell for cell in placement.cells})
    SubElement(tuning, "memory", mode="strict", nodeset=hosts)
    for cell in placement.cells:
        SubElement(tuning, "memnode", cellid=str(cell.id), mode="strict", nodeset=str(cell.host_cell))


def _cpu_set(numbers: Iterable[int]) -> str:
    """Libvirt's way to write a set: `0-3,8`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def add_processor(domain: Element, plan: DomainPlan, guest: GuestHardware) -> None:
    """The model that a guest sees. Raises HostError for what the host's model cannot have."""
    processor, mode = guest.processor, plan.guest_cpu.mode or _usual_mode(plan)
    cpu = SubElement(domain, "cpu")
    if mode != "none":
        cpu.set("mode", mode)
    if mode == "custom":
        cpu.set("match", "exact")
        text(cpu, "model", plan.guest_cpu.model)
    topology = processor.topology
    counts = {"sockets": topology.sockets, "cores": topology.cores, "threads": topology.threads}
    SubElement(cpu, "topology", {kind: str(count) for kind, count in counts.items()})
    if processor.address_mode:
        _add_addresses(cpu, processor, mode)
    for name in plan.guest_cpu.features:
        policy = "disable" if name.startswith("-") else "require"
        SubElement(cpu, "feature", policy=policy, name=name.lstrip("+-"))
    if plan.spec.placement is not None:
        _add_nodes(cpu, plan.spec.placement)


def _usual_mode(plan: DomainPlan) -> str:
    return "host-model" if plan.virt_type == "kvm" else "maximum"


def _add_addresses(cpu: Element, processor: Processor, mode: str) -> None:
    if processor.address_mode == "passthrough" and mode != "host-passthrough":
        raise HostError(
            "hw:maxphysaddr_mode=passthrough needs a host whose [libvirt] cpu_mode is host-passthrough; "
            f"this one's is {mode}."
        )
    addresses = SubElement(cpu, "maxphysaddr", mode=processor.address_mode)
    if processor.address_bits is not None:
        addresses.set("bits", str(processor.address_bits))


def _add_nodes(cpu: Element, placement: GuestPlacement) -> None:
    nodes = SubElement(cpu, "numa")
    for cell in placement.cells:
        memory_kib = str(cell.memory_mib * KIB_IN_MIB)
        SubElement(nodes, "cell", id=str(cell.id), cpus=_cpu_set(cell.cpus), memory=memory_kib, unit="KiB")
