"""The back ends of a cinder-volume: which there are, what each one's options are, and the driver it is made of."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kilonova.block_storage.agent.driver import VolumeDriver
from kilonova.cli.parts.options.block_storage import SHARED_SECTION, enabled_backends
from kilonova.image.client import ImageClient
from kilonova.kit.config import ConfigError
from kilonova.kit.host_commands import HostError

UPSTREAM_NAMES: Mapping[str, str] = {}
"""Upstream's name of a driver → ours."""
LONGEST_NAME = 100


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

    def fetch(image_id: str) -> AsyncIterator[bytes]:
        return images.download(image_id)

    options = FileOptions(
        directory=Path(backend["file_volumes_path"]),
        disk_format=backend["file_volumes_format"],
        backend_name=backend.volume_backend_name,
        reserved_percentage=backend["reserved_percentage"],
        max_over_subscription_ratio=backend["max_over_subscription_ratio"],
    )
    driver = FileDriver(options, fetch)
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


DRIVERS: Mapping[str, Callable[[Backend, ImageClient], VolumeDriver]] = {"file": _make_file, "fake": _make_fake}
PLACES: Mapping[str, str] = {"file": "file_volumes_path"}
"""Driver → the option that says where its volumes are: two back ends cannot have one place."""


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
