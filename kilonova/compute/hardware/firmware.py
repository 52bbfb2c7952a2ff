"""Machine, firmware, TPM, and how a guest begins to boot; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from kilonova.compute.hardware.asked import Asked

SECURE_BOOT = ("required", "optional", "disabled")
TPM_MODELS = ("tpm-tis", "tpm-crb")
TPM_VERSIONS = ("1.2", "2.0")
LONGEST_COMMAND_LINE = 2048
USUAL_COMMAND_LINE = "root=/dev/vda console=tty0 console=ttyS0"


@dataclass(frozen=True)
class Tpm:
    model: str
    version: str


@dataclass(frozen=True)
class Firmware:
    machine: str = ""
    """libvirt's name of the machine; empty: the host's usual one."""
    is_uefi: bool = False
    secure_boot: Literal["", "required", "optional", "disabled"] = ""
    is_stateless: bool = False
    """The guest's changes of firmware variables are not kept."""
    has_boot_menu: bool = False
    tpm: Tpm | None = None
    command_line: str = USUAL_COMMAND_LINE
    """The command line of a kernel that is booted without a boot loader."""


def firmware_of(asked: Asked) -> Firmware:
    """Raises UnusableSpec."""
    machine, kind = asked.by_image("hw_machine_type"), asked.by_image("hw_firmware_type")
    is_uefi = kind is not None and kind.one_of(("bios", "uefi")) == "uefi"
    stateless = asked.by_image("hw_firmware_stateless")
    if stateless is not None and stateless.boolean() and not is_uefi:
        raise stateless.unusable("which needs hw_firmware_type=uefi")
    return Firmware(
        machine=machine.value if machine else "",
        is_uefi=is_uefi,
        secure_boot=_secure_boot(asked, is_uefi=is_uefi),
        is_stateless=asked.is_on(stateless),
        has_boot_menu=asked.is_on(asked.by_image_first("boot_menu")),
        tpm=_tpm(asked),
        command_line=_command_line(asked),
    )


def _secure_boot(asked: Asked, *, is_uefi: bool) -> Literal["", "required", "optional", "disabled"]:
    flavor, image = asked.by_flavor("os:secure_boot"), asked.by_image("os_secure_boot")
    wanted = [said.one_of(SECURE_BOOT) for said in (flavor, image) if said]
    if flavor and image and len({*wanted} - {"optional"}) > 1:
        raise image.unusable(f"and the flavor for {flavor.name}={flavor.value}: they contradict each other")
    said = flavor or image
    if said is not None and "required" in wanted and not is_uefi:
        raise said.unusable("which needs an image with hw_firmware_type=uefi")
    for word in SECURE_BOOT:
        if word in wanted:
            return word  # type: ignore[return-value]
    return ""


def has_tpm(extra_specs: Mapping[str, str], properties: Mapping[str, str]) -> bool:
    """Whether a server of that flavor and image has a TPM, whose state its host keeps."""
    return bool(extra_specs.get("hw:tpm_version") or properties.get("hw_tpm_version"))


def _tpm(asked: Asked) -> Tpm | None:
    version, model = asked.by_both("tpm_version"), asked.by_both("tpm_model")
    if version is None:
        if model is not None:
            raise model.unusable("which needs a version: hw:tpm_version")
        return None
    chosen = model.one_of(TPM_MODELS) if model else "tpm-tis"
    if version.one_of(TPM_VERSIONS) == "1.2" and chosen == "tpm-crb":
        raise version.unusable("and a TPM of the model tpm-crb has version 2.0")
    return Tpm(chosen, version.value)


def _command_line(asked: Asked) -> str:
    said = asked.by_image("os_command_line")
    if said is None:
        return USUAL_COMMAND_LINE
    if len(said.value) > LONGEST_COMMAND_LINE or not said.value.isprintable():
        raise said.unusable(f"and a command line is one printable line of {LONGEST_COMMAND_LINE} characters at most")
    return said.value
