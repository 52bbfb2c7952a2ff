"""The devices of a guest, beside its disks and interfaces; and the models of those. Pure.

Source: compute configuration guide, "Extra specs"; image guide, "Useful image properties".
"""

from dataclasses import dataclass

from kilonova.compute.hardware.asked import Asked

WATCHDOG_ACTIONS = ("none", "pause", "poweroff", "reset", "disabled")
VIF_MODELS = ("virtio", "e1000", "e1000e", "rtl8139", "ne2k_pci", "pcnet")
VIDEO_MODELS = ("vga", "virtio", "cirrus", "qxl", "bochs", "none")
POINTER_MODELS = ("usbtablet", "ps2mouse")
INPUT_BUSES = ("usb", "virtio")
SOUND_MODELS = ("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb")
USB_MODELS = (
    *("none", "piix3-uhci", "piix4-uhci", "ehci", "ich9-ehci1", "vt82c686b-uhci", "pci-ohci", "nec-xhci"),
    "qemu-xhci",
)
SCSI_MODELS = ("virtio-scsi", "lsilogic", "lsisas1068", "lsisas1078", "vmpvscsi")
CDROM_BUSES = ("ide", "sata", "scsi", "virtio")
IOMMU_MODELS = ("none", "auto", "virtio", "intel")
MOST_SERIAL_PORTS = 4
"""The most serial ports that a PC has."""
MOST_REDIRECTED_PORTS = 15
MOST_VIDEO_RAM_MIB = 1024
MILLISECONDS_IN_SECOND = 1000


@dataclass(frozen=True)
class RandomNumbers:
    """A source of random numbers; without a rate it gives as many as the guest takes."""

    rate_bytes: int | None = None
    period_ms: int | None = None


@dataclass(frozen=True)
class Devices:
    """Empty texts: what the host usually has."""

    watchdog_action: str = ""
    serial_ports: int = 1
    random_numbers: RandomNumbers | None = RandomNumbers()
    video_model: str = ""
    video_ram_mib: int | None = None
    sound_model: str = ""
    pointer_model: str = "usbtablet"
    input_bus: str = "usb"
    has_input_bus: bool = False
    """Whether the image names the bus, and so wants a keyboard on it."""
    usb_model: str = ""
    redirected_usb_ports: int = 0
    iommu_model: str = ""
    scsi_model: str = "virtio-scsi"
    cdrom_bus: str = ""
    """The bus of a config drive that is a cdrom; empty: it is a disk beside the others where their bus allows."""
    vif_model: str = "virtio"
    has_queues: bool = False
    """Interfaces have a queue for each processor."""
    has_packed_rings: bool = False
    has_guest_agent: bool = False
    has_hpet: bool = False
    is_windows: bool = False


def devices_of(asked: Asked) -> Devices:
    """Raises UnusableSpec."""
    queues, vif_model = asked.by_both("vif_multiqueue_enabled"), _of_image(asked, "hw_vif_model", VIF_MODELS, "virtio")
    if queues is not None and queues.boolean() and vif_model != "virtio":
        raise queues.unusable("which interfaces of the model virtio alone have")
    watchdog, iommu = asked.by_image_first("watchdog_action"), asked.by_both("viommu_model")
    usb, sound = asked.by_both("usb_model"), asked.by_both("sound_model")
    bus = asked.by_image("hw_input_bus")
    action = watchdog.one_of(WATCHDOG_ACTIONS) if watchdog else "disabled"
    model = iommu.one_of(IOMMU_MODELS) if iommu else "none"
    video_model, video_ram_mib = _video(asked)
    return Devices(
        watchdog_action="" if action == "disabled" else action,
        serial_ports=_serial_ports(asked),
        random_numbers=_random_numbers(asked),
        video_model=video_model,
        video_ram_mib=video_ram_mib,
        sound_model=sound.one_of(SOUND_MODELS) if sound else "",
        pointer_model=_of_image(asked, "hw_pointer_model", POINTER_MODELS, "usbtablet"),
        input_bus=bus.one_of(INPUT_BUSES) if bus else "usb",
        has_input_bus=bus is not None,
        usb_model=usb.one_of(USB_MODELS) if usb else "",
        redirected_usb_ports=_redirected_ports(asked),
        iommu_model="" if model == "none" else model,
        cdrom_bus=_of_image(asked, "hw_cdrom_bus", CDROM_BUSES, ""),
        scsi_model=_of_image(asked, "hw_scsi_model", SCSI_MODELS, "virtio-scsi"),
        vif_model=vif_model,
        has_queues=asked.is_on(queues),
        has_packed_rings=asked.is_on(asked.by_both("virtio_packed_ring")),
        has_guest_agent=asked.is_on(asked.by_image("hw_qemu_guest_agent")),
        has_hpet=asked.is_on(asked.by_image("hw_time_hpet")),
        is_windows=(said := asked.by_image("os_type")) is not None and said.value.lower() == "windows",
    )


def _of_image(asked: Asked, name: str, choices: tuple[str, ...], usual: str) -> str:
    said = asked.by_image(name)
    return usual if said is None else said.one_of(choices)


def _serial_ports(asked: Asked) -> int:
    """The image may ask for as many as the flavor allows."""
    flavor, image = asked.by_flavor("hw:serial_port_count"), asked.by_image("hw_serial_port_count")
    allowed = flavor.whole(0, MOST_SERIAL_PORTS) if flavor else MOST_SERIAL_PORTS
    if image is None:
        return allowed if flavor else 1
    wanted = image.whole(0, MOST_SERIAL_PORTS)
    if wanted > allowed:
        raise image.unusable(f"and the flavor allows {allowed}")
    return wanted


def _redirected_ports(asked: Asked) -> int:
    flavor, image = asked.by_flavor("hw:redirected_usb_ports"), asked.by_image("hw_redirected_usb_ports")
    numbers = [said.whole(0, MOST_REDIRECTED_PORTS) for said in (flavor, image) if said]
    return max(numbers, default=0)


def _random_numbers(asked: Asked) -> RandomNumbers | None:
    model = asked.by_image("hw_rng_model")
    if model is not None:
        model.one_of(("virtio",))
    rate, period = asked.by_flavor("hw_rng:rate_bytes"), asked.by_flavor("hw_rng:rate_period")
    if not asked.is_on(asked.by_flavor("hw_rng:allowed"), usual=True):
        return None
    if rate is None:
        if period is not None:
            raise period.unusable("which needs a number of bytes: hw_rng:rate_bytes")
        return RandomNumbers()
    length = period.whole(1, 1_000_000_000) if period else MILLISECONDS_IN_SECOND
    return RandomNumbers(rate.whole(1, 1_000_000_000), length)


def _video(asked: Asked) -> tuple[str, int | None]:
    """Reads the memory of the video card: the image's wish, up to what the flavor allows."""
    ram, most = asked.by_image("hw_video_ram"), asked.by_flavor("hw_video:ram_max_mb")
    allowed = most.whole(0, MOST_VIDEO_RAM_MIB) if most else 0
    model = _of_image(asked, "hw_video_model", VIDEO_MODELS, "")
    if ram is None:
        return model, None
    if ram.whole(1, MOST_VIDEO_RAM_MIB) > allowed:
        raise ram.unusable(f"and the flavor allows {allowed} (hw_video:ram_max_mb)")
    return model, int(ram.value)
