"""What a host offers, read from libvirt's capabilities; the parsing is pure.

The rule for traits: one is reported only when the code behind it is in this driver. Names: os-traits.
"""

from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from kilonova.compute.agent.devices.disks import BUSES
from kilonova.compute.agent.drivers.domain_xml import parse_xml
from kilonova.compute.hardware.devices import VIDEO_MODELS

CPU_TRAITS = {
    "3dnow": "3DNOW",
    "abm": "ABM",
    "aes": "AESNI",
    "avx": "AVX",
    "avx2": "AVX2",
    "avx512bw": "AVX512BW",
    "avx512cd": "AVX512CD",
    "avx512dq": "AVX512DQ",
    "avx512er": "AVX512ER",
    "avx512f": "AVX512F",
    "avx512ifma": "AVX512IFMA",
    "avx512pf": "AVX512PF",
    "avx512vbmi": "AVX512VBMI",
    "avx512vbmi2": "AVX512VBMI2",
    "avx512vl": "AVX512VL",
    "avx512vnni": "AVX512VNNI",
    "avx512-bitalg": "AVX512BITALG",
    "avx512-vpopcntdq": "AVX512VPOPCNTDQ",
    "bmi1": "BMI",
    "bmi2": "BMI2",
    "f16c": "F16C",
    "fma": "FMA3",
    "fma4": "FMA4",
    "gfni": "AVX512GFNI",
    "mmx": "MMX",
    "mpx": "MPX",
    "pclmulqdq": "CLMUL",
    "pcid": "INTEL_PCID",
    "pdpe1gb": "PDPE1GB",
    "pni": "SSE3",
    "sha-ni": "SHA",
    "sse": "SSE",
    "sse2": "SSE2",
    "sse4.1": "SSE41",
    "sse4.2": "SSE42",
    "sse4a": "SSE4A",
    "ssse3": "SSSE3",
    "stibp": "STIBP",
    "svm": "SVM",
    "tbm": "TBM",
    "vaes": "AVX512VAES",
    "vmx": "VMX",
    "vpclmulqdq": "AVX512VPCLMULQDQ",
    "xop": "XOP",
}
"""libvirt's name of a CPU feature → what follows `HW_CPU_X86_` in the trait."""

DRIVER_TRAITS = (
    "COMPUTE_ADDRESS_SPACE_EMULATED",
    "COMPUTE_FIRMWARE_BIOS",
    "COMPUTE_IMAGE_TYPE_ISO",
    "COMPUTE_IMAGE_TYPE_QCOW2",
    "COMPUTE_IMAGE_TYPE_RAW",
    "COMPUTE_IMAGE_TYPE_VDI",
    "COMPUTE_IMAGE_TYPE_VHD",
    "COMPUTE_IMAGE_TYPE_VHDX",
    "COMPUTE_IMAGE_TYPE_VMDK",
    "COMPUTE_NET_VIF_MODEL_E1000",
    "COMPUTE_NET_VIF_MODEL_E1000E",
    "COMPUTE_NET_VIF_MODEL_NE2K_PCI",
    "COMPUTE_NET_VIF_MODEL_PCNET",
    "COMPUTE_NET_VIF_MODEL_RTL8139",
    "COMPUTE_NET_VIF_MODEL_VIRTIO",
    "COMPUTE_NET_VIRTIO_PACKED",
    "COMPUTE_NODE",
    "COMPUTE_SOUND_MODEL_AC97",
    "COMPUTE_SOUND_MODEL_ES1370",
    "COMPUTE_SOUND_MODEL_ICH6",
    "COMPUTE_SOUND_MODEL_ICH9",
    "COMPUTE_SOUND_MODEL_PCSPK",
    "COMPUTE_SOUND_MODEL_SB16",
    "COMPUTE_SOUND_MODEL_USB",
    "COMPUTE_VIOMMU_MODEL_AUTO",
    "COMPUTE_VIOMMU_MODEL_INTEL",
    "COMPUTE_VIOMMU_MODEL_VIRTIO",
)
"""True of every host with this driver."""

TPM_TRAITS = {
    "1.2": "COMPUTE_SECURITY_TPM_1_2",
    "2.0": "COMPUTE_SECURITY_TPM_2_0",
    "tpm-crb": "COMPUTE_SECURITY_TPM_CRB",
    "tpm-tis": "COMPUTE_SECURITY_TPM_TIS",
}


def parse_cpu_info(capabilities_xml: str) -> dict[str, Any]:
    """The host's CPU as the hypervisor API shows it: arch, model, vendor, features, topology."""
    host = parse_xml(capabilities_xml).find("host")
    cpu = host.find("cpu") if host is not None else None
    if host is None or cpu is None:
        return {"arch": "", "model": "", "vendor": "", "features": [], "topology": {}}
    topology = cpu.find("topology")
    cells = host.findall("topology/cells/cell")
    return {
        "arch": cpu.findtext("arch", ""),
        "model": cpu.findtext("model", ""),
        "vendor": cpu.findtext("vendor", ""),
        "features": sorted(str(feature.get("name")) for feature in cpu.findall("feature")),
        "topology": {
            "cells": max(1, len(cells)),
            **(
                {name: int(topology.get(name, "1")) for name in ("sockets", "cores", "threads")}
                if topology is not None
                else {}
            ),
        },
    }


def parse_supported_instances(capabilities_xml: str) -> tuple[tuple[str, str, str], ...]:
    """(architecture, hypervisor type, vm mode) of everything this host can run, without repetition."""
    found: list[tuple[str, str, str]] = []
    for guest in parse_xml(capabilities_xml).findall("guest"):
        arch = guest.find("arch")
        if arch is None:
            continue
        for domain in arch.findall("domain"):
            entry = (str(arch.get("name")), str(domain.get("type")), guest.findtext("os_type", "hvm"))
            if entry not in found:
                found.append(entry)
    return tuple(found)


def host_model_xml(domain_capabilities_xml: str) -> str:
    """The CPU that a guest gets, as a definition whose features `baselineHypervisorCPU` can spell out."""
    mode = parse_xml(domain_capabilities_xml).find("cpu/mode[@name='host-model']")
    cpu = Element("cpu")
    for child in mode if mode is not None else ():
        cpu.append(child)
    return ElementTree.tostring(cpu, encoding="unicode")


def parse_device_traits(domain_capabilities_xml: str) -> set[str]:
    """Traits of the disk buses and video models that both the hypervisor and `domain_xml` know."""
    devices = parse_xml(domain_capabilities_xml).find("devices")

    def offered(path: str, known: tuple[str, ...]) -> set[str]:
        values = devices.findall(f"{path}/value") if devices is not None else []
        return {value.text.upper() for value in values if value.text in known and value.text}

    buses = offered("disk/enum[@name='bus']", BUSES)
    models = offered("video/enum[@name='modelType']", VIDEO_MODELS)
    return {f"COMPUTE_STORAGE_BUS_{bus}" for bus in buses} | {f"COMPUTE_GRAPHICS_MODEL_{model}" for model in models}


def parse_firmware_traits(domain_capabilities_xml: str, *, has_tpm_emulator: bool) -> set[str]:
    """Traits of UEFI, secure boot and TPMs, as far as the hypervisor has what they need."""
    capabilities = parse_xml(domain_capabilities_xml)

    def offered(path: str) -> set[str]:
        return {value.text for value in capabilities.findall(f"{path}/value") if value.text}

    traits = set()
    if "efi" in offered("os/enum[@name='firmware']"):
        traits.add("COMPUTE_FIRMWARE_UEFI")
        if "yes" in offered("os/loader/enum[@name='secure']"):
            traits.add("COMPUTE_SECURITY_UEFI_SECURE_BOOT")
    if has_tpm_emulator and "emulator" in offered("devices/tpm/enum[@name='backendModel']"):
        kinds = offered("devices/tpm/enum[@name='model']") | offered("devices/tpm/enum[@name='backendVersion']")
        traits |= {TPM_TRAITS[kind] for kind in kinds & TPM_TRAITS.keys()}
    return traits


def parse_cpu_traits(expanded_cpu_xml: str) -> set[str]:
    """Traits of the features which an expanded CPU definition requires."""
    features = parse_xml(expanded_cpu_xml).findall("feature")
    names = {str(feature.get("name")) for feature in features if feature.get("policy") != "disable"}
    return {f"HW_CPU_X86_{CPU_TRAITS[name]}" for name in names & CPU_TRAITS.keys()}


def pick_traits(found: set[str], cpu_info: dict[str, Any]) -> tuple[str, ...]:
    """All traits of a host, sorted; `found` are those that libvirt's answers told."""
    traits = found | set(DRIVER_TRAITS)
    if cpu_info["arch"] == "x86_64":
        traits.add("HW_ARCH_X86_64")
    if cpu_info["topology"].get("threads", 1) > 1:
        traits.add("HW_CPU_HYPERTHREADING")
    return tuple(sorted(traits))
