"""The back ends of a cinder-volume: which there are, what each one's options are, and the driver it is made of."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kilonova.block_storage.agent.driver import VolumeDriver
from kilonova.cli.parts.options.block_storage import SHARED_SECTION, enabled_backends
from kilonova.image.client import ImageClient
from kilonova.kit.config import ConfigError
from kilonova.kit.host_commands import HostError

if TYPE_CHECKING:
    from kilonova.block_storage.agent.drivers.lvm.exports import Targets
    from kilonova.block_storage.agent.drivers.lvm.volume_group import VolumeGroup

UPSTREAM_NAMES: Mapping[str, str] = {
    "cinder.volume.drivers.lvm.LVMVolumeDriver": "lvm",
    "cinder.volume.drivers.nfs.NfsDriver": "nfs",
}
"""Upstream's name of a driver → ours."""
LONGEST_NAME = 100
GROUP_NAME = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}")
"""Names that LVM takes for volume groups."""


@dataclass(frozen=True)
class Backend:
    """A section of the configuration that is a back end. `options["NAME"]` is what holds in it."""

    section: str
    name: str
    """`BACKEND` of the service's host `HOST@BACKEND`."""
    driver: str
    config: Any

    def __getitem__(self, option: str) -> Any:
        """Returns the section's value, else the one that all sections share; [DEFAULT] stands for itself."""
        if self.section == "DEFAULT":
            return self.config[option]
        value = self.config[self.section][option]
        return self.config[SHARED_SECTION][option] if value is None else value

    @property
    def volume_backend_name(self) -> str:
        return str(self["volume_backend_name"] or self.name)

    def refusal(self, option: str, reason: object) -> ConfigError:
        return ConfigError(f"[{self.section}] {option}: {reason}")


def read_backends(config: Any) -> list[Backend]:
    """Raises ConfigError for a name twice, one that cannot be a section, and a section without a driver we have."""
    names = enabled_backends(config)
    if not names:
        driver = _driver_of(config.volume_driver, "DEFAULT")
        return [Backend("DEFAULT", config.volume_backend_name or driver, driver, config)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"[DEFAULT] enabled_backends: {twice[0]} is named more than once")
    return [_read_section(config, name) for name in names]


def _read_section(config: Any, name: str) -> Backend:
    if name in ("DEFAULT", SHARED_SECTION) or len(name) > LONGEST_NAME or any(sign in name for sign in "@#"):
        raise ConfigError(
            f"[DEFAULT] enabled_backends: {name!r} cannot be a back end: name a section of its own, in at most "
            f"{LONGEST_NAME} characters without @ and #"
        )
    driver = config[name]["volume_driver"] or config[SHARED_SECTION]["volume_driver"]
    if not driver:
        raise ConfigError(f"[{name}] volume_driver is missing: enabled_backends names this section")
    return Backend(name, name, _driver_of(driver, name), config)


def _driver_of(spelled: str, section: str) -> str:
    driver = UPSTREAM_NAMES.get(spelled, spelled)
    if driver not in DRIVERS:
        known = ", ".join((*DRIVERS, *UPSTREAM_NAMES))
        raise ConfigError(f"[{section}] volume_driver: {spelled!r} is none of {known}")
    return driver


def make_driver(backend: Backend, images: ImageClient) -> VolumeDriver:
    """Raises ConfigError for options that the back end cannot work with."""
    return DRIVERS[backend.driver](backend, images)


def _make_file(backend: Backend, images: ImageClient) -> VolumeDriver:
    # Nothing of disks is loaded where none are kept.
    from kilonova.block_storage.agent.drivers.file import FileDriver, FileOptions

    options = FileOptions(
        directory=Path(backend["file_volumes_path"]),
        disk_format=backend["file_volumes_format"],
        backend_name=backend.volume_backend_name,
        reserved_percentage=backend["reserved_percentage"],
        max_over_subscription_ratio=backend["max_over_subscription_ratio"],
    )
    driver = FileDriver(options, _fetching(images))
    try:
        driver.prepare()
    except HostError as error:
        raise backend.refusal("file_volumes_path", error) from error
    return driver


def _make_fake(backend: Backend, _images: ImageClient) -> VolumeDriver:
    from kilonova.block_storage.agent.drivers.fake import FakeBackend, FakeDriver

    return FakeDriver(
        FakeBackend(
            backend_name=backend.volume_backend_name,
            reserved_percentage=backend["reserved_percentage"],
            max_over_subscription_ratio=backend["max_over_subscription_ratio"],
            directory=Path(backend["file_volumes_path"]),
        )
    )


def _make_nfs(backend: Backend, images: ImageClient) -> VolumeDriver:
    from kilonova.block_storage.agent.drivers.nfs import NfsDriver, NfsOptions, read_shares

    is_qcow2, is_sparse = backend["nfs_qcow2_volumes"], backend["nfs_sparsed_volumes"]
    if is_qcow2 and not is_sparse:
        raise backend.refusal("nfs_sparsed_volumes", "nfs_qcow2_volumes asks for qcow2, which is always sparse")
    try:
        shares = read_shares(Path(backend["nfs_shares_config"]), backend["nfs_mount_options"])
    except HostError as error:
        raise backend.refusal("nfs_shares_config", error) from error
    options = NfsOptions(
        shares=shares,
        mount_base=Path(backend["nfs_mount_point_base"]),
        disk_format="qcow2" if is_qcow2 else "raw",
        is_sparse=is_sparse,
        backend_name=backend.volume_backend_name,
        reserved_percentage=backend["reserved_percentage"],
        max_over_subscription_ratio=backend["max_over_subscription_ratio"],
    )
    return NfsDriver(options, _fetching(images))


def _make_lvm(backend: Backend, images: ImageClient) -> VolumeDriver:
    from kilonova.block_storage.agent.drivers.lvm.driver import LvmDriver, LvmOptions

    group = _volume_group(backend)
    address = str(backend["target_ip_address"])
    shown = f"[{address}]" if ":" in address else address
    portal = f"{shown}:{backend['target_port']}"
    options = LvmOptions(
        directory=Path(backend["volumes_dir"]) / group.name,
        group=group,
        portal=portal,
        target_prefix=backend["target_prefix"],
        backend_name=backend.volume_backend_name,
        wipes=backend["volume_clear"] == "zero",
        reserved_percentage=backend["reserved_percentage"],
        max_over_subscription_ratio=backend["max_over_subscription_ratio"],
    )
    driver = LvmDriver(options, _targets(backend, portal), _fetching(images))
    try:
        driver.prepare()
    except HostError as error:
        raise backend.refusal("volumes_dir", error) from error
    return driver


def _targets(backend: Backend, portal: str) -> "Targets":
    """Raises ConfigError where the kernel is to serve targets and has none."""
    from kilonova.block_storage.agent.drivers.lvm import lio
    from kilonova.block_storage.agent.drivers.lvm.tgt import TgtTargets

    if backend["target_helper"] == "tgtadm":
        return TgtTargets()
    if not lio.ROOT.is_dir():
        raise backend.refusal(
            "target_helper",
            f"lioadm needs the kernel's iSCSI targets, and there is no {lio.ROOT}: load target_core_mod and "
            "iscsi_target_mod, or take tgtadm",
        )
    return lio.LioTargets(portal, lio.ROOT)


def _volume_group(backend: Backend) -> "VolumeGroup":
    """Raises ConfigError."""
    from kilonova.block_storage.agent.drivers.lvm.volume_group import VolumeGroup, conf_file, host_has_mapper

    name, kind, has_mapper = str(backend["volume_group"]), backend["lvm_type"], host_has_mapper()
    if not GROUP_NAME.fullmatch(name):
        raise backend.refusal("volume_group", f"{name!r} is no name that LVM takes")
    if kind == "thin" and not has_mapper:
        raise backend.refusal("lvm_type", "this host's kernel has no device-mapper, which thin volumes need")
    try:
        settings = conf_file(backend["lvm_conf_file"])
    except HostError as error:
        raise backend.refusal("lvm_conf_file", error) from error
    return VolumeGroup(name, settings, has_mapper=has_mapper, thin_pool=f"{name}-pool" if kind == "thin" else "")


def _fetching(images: ImageClient) -> Callable[[str], AsyncIterator[bytes]]:
    def fetch(image_id: str) -> AsyncIterator[bytes]:
        return images.download(image_id)

    return fetch


DRIVERS: Mapping[str, Callable[[Backend, ImageClient], VolumeDriver]] = {
    "file": _make_file,
    "nfs": _make_nfs,
    "lvm": _make_lvm,
    "fake": _make_fake,
}
PLACES: Mapping[str, str] = {"file": "file_volumes_path", "nfs": "nfs_shares_config", "lvm": "volume_group"}
"""Driver → the option that says where its volumes are: two back ends cannot have one place."""


LONGEST_INTERVALS_SECONDS: Mapping[str, float] = {"lvm": 10.0, "nfs": 10.0}
"""Driver → the longest time between two looks at what it keeps up, where guests wait for it."""


def refuse_shared_places(backends: list[Backend]) -> None:
    """Raises ConfigError for two back ends that would take each other's volumes for their own."""
    seen: dict[tuple[str, str], Backend] = {}
    for each in backends:
        option = PLACES.get(each.driver)
        if option is None:
            continue
        place = (each.driver, str(each[option]))
        if place in seen:
            raise each.refusal(option, f"{place[1]} is where [{seen[place].section}] keeps its volumes, too")
        seen[place] = each
