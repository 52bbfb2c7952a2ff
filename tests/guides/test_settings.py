"""Every setting of every guide reaches the daemon it is for, or is said to change nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from kilonova.cli.daemons.files import Read, read
from kilonova.cli.parts.options import BLOCK_STORAGE, COMMON, COMPUTE, IDENTITY, IMAGE, NETWORK, NETWORK_AGENT, Options
from kilonova.cli.parts.options.block_storage import SHARED_SECTION
from tests.guides.guides import GUIDES
from tests.guides.steps import COMPUTE as COMPUTE_HOST
from tests.guides.steps import CONTROLLER, Guide, Setting

NEUTRON = "/etc/neutron/"
BACKENDS = ("lvm", "nfs")
"""Sections that the guides' cinder.conf names as back ends."""
READERS: dict[str, tuple[str, list[Options], list[tuple[str, str]]]] = {
    "keystone": ("keystone", [IDENTITY], [(CONTROLLER, "/etc/keystone/keystone.conf")]),
    "glance-api": ("glance", [IMAGE], [(CONTROLLER, "/etc/glance/glance-api.conf")]),
    "nova-api": ("nova", [COMPUTE], [(CONTROLLER, "/etc/nova/nova.conf")]),
    "nova-compute": (
        "nova",
        [COMPUTE],
        [(COMPUTE_HOST, "/etc/nova/nova.conf"), (COMPUTE_HOST, "/etc/nova/nova-compute.conf")],
    ),
    "cinder-api": ("cinder", [BLOCK_STORAGE], [(CONTROLLER, "/etc/cinder/cinder.conf")]),
    "cinder-volume": ("cinder", [BLOCK_STORAGE], [(COMPUTE_HOST, "/etc/cinder/cinder.conf")]),
    "neutron-server": (
        "neutron",
        [NETWORK],
        [(CONTROLLER, NEUTRON + "neutron.conf"), (CONTROLLER, NEUTRON + "plugins/ml2/ml2_conf.ini")],
    ),
    **{
        f"neutron-{name}": (
            "neutron",
            [NETWORK_AGENT],
            [(CONTROLLER, NEUTRON + "neutron.conf"), (CONTROLLER, NEUTRON + file)],
        )
        for name, file in {
            "linuxbridge-agent": "plugins/ml2/linuxbridge_agent.ini",
            "dhcp-agent": "dhcp_agent.ini",
            "metadata-agent": "metadata_agent.ini",
        }.items()
    },
}
"""Daemon → project, what it reads, and from which files of which host."""


def settings_for(guide: Guide, daemon: str) -> list[Setting]:
    places = READERS[daemon][2]
    return [step for step in guide.steps if isinstance(step, Setting) and (step.host, step.file) in places]


CASES = [
    pytest.param(guide, daemon, id=f"{guide.name}-{daemon}")
    for guide in GUIDES
    for daemon in READERS
    if settings_for(guide, daemon)
]


def files_for(directory: Path, guide: Guide, daemon: str) -> Iterator[Path]:
    """The daemon's files as someone leaves them who follows the guide from the first line to the last."""
    by_file: dict[str, dict[str, dict[str, str]]] = {}
    for each in settings_for(guide, daemon):
        by_file.setdefault(each.file, {}).setdefault(each.section, {})[each.key] = each.value
    for name, sections in by_file.items():
        path = directory / Path(name).name
        path.write_text(
            "\n".join(
                "\n".join([f"[{section}]", *(f"{key} = {value}" for key, value in entries.items())])
                for section, entries in sections.items()
            )
        )
        yield path


def read_guide(directory: Path, guide: Guide, daemon: str) -> Read:
    project, tables, _places = READERS[daemon]
    words = [word for file in files_for(directory, guide, daemon) for word in ("--config-file", str(file))]
    return read(daemon, project, tables, words)


@pytest.mark.parametrize(("guide", "daemon"), CASES)
def test_every_setting_is_in_effect_or_said_to_have_none(tmp_path: Path, guide: Guide, daemon: str) -> None:
    found = read_guide(tmp_path, guide, daemon)
    reasons = {(Path(entry.file).name, entry.group, entry.name): reason for entry, reason in found.idle}
    served = served_spellings(READERS[daemon][1])
    elsewhere = served_spellings([table for _project, tables, _places in READERS.values() for table in tables])
    for each in settings_for(guide, daemon):
        if each.section in BACKENDS:
            # A section that the file names itself: it has the options that all of these have.
            assert (SHARED_SECTION, each.key) in served, each
            option = served[(SHARED_SECTION, each.key)][1]
            assert getattr(found.config, each.section)[option] == wanted_value(found, each), each
            continue
        if reasons.get((Path(each.file).name, each.section, each.key)):
            continue
        if (each.section, each.key) not in served:
            # What stands in a shared file for the project's other daemons.
            assert (each.section, each.key) in elsewhere, each
            continue
        last = [one for one in settings_for(guide, daemon) if (one.section, one.key) == (each.section, each.key)][-1]
        assert value_of(found, served[(each.section, each.key)]) == wanted_value(found, last), each


def served_spellings(tables: list[Options]) -> dict[tuple[str, str], tuple[str, str]]:
    spellings = {}
    for table in (COMMON, *tables):
        for group, options in table.items():
            for option in options:
                for old in (None, *option.deprecated_opts):
                    place = (group, option.dest) if old is None else (old.group or group, old.name)
                    spellings[place] = (group, option.dest)
    return spellings


def value_of(found: Read, place: tuple[str, str]) -> object:
    group, name = place
    return getattr(found.config if group == "DEFAULT" else getattr(found.config, group), name)


def wanted_value(found: Read, setting: Setting) -> object:
    value = setting.value.replace("$my_ip", found.config.my_ip)
    match setting.key:
        case (
            "enabled_backends"
            | "glance_api_servers"
            | "enabled_apis"
            | "api_servers"
            | "flat_networks"
            | "memcached_servers"
            | "mechanism_drivers"
        ):
            return value.split(",")
        case "type_drivers" | "tenant_network_types":
            return value.split(",")
        case "physical_interface_mappings":
            return dict([value.split(":")])
        case "debug" | "enable_vxlan" | "l2_population" | "enabled" | "vnc_enabled":
            return value.lower() == "true"
        case "rabbit_port" | "discover_hosts_in_cells_interval":
            return int(value)
        case _:
            return value


def test_every_setting_has_a_reader() -> None:
    read_places = {place for _project, _tables, places in READERS.values() for place in places}
    lost = [
        step
        for guide in GUIDES
        for step in guide.steps
        if isinstance(step, Setting) and (step.host, step.file) not in read_places
    ]
    assert lost == []
