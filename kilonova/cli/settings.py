"""`kilonova.conf`, the one file of `kilonova up`: every part of the cloud reads its own options from it.

Names and groups are those of the daemons' files, so that what an operator learns here holds there too. What only makes
sense between several processes, and what `kilonova up` decides by itself, has no effect, and is named with the reason.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from kilonova.cli.parts.options import COMMON, PROJECTS, UP, Options, backend_sections
from kilonova.cli.parts.options.block_storage import ENABLED_BACKENDS, idle_reason
from kilonova.kit.config import ConfigError

Values = Mapping[tuple[str, str], Any]
"""(group, name) → value"""

_ADDRESSES = "every API listens on my_ip, on its service's own port"
_PLACES = "everything lies in the state directory"
_ONE_PROCESS = "all of the cloud is one process"
_HERE = "all services are in this process"
_LOGGED = "the log goes to standard error, or with --detach to log/kilonova.log in the state directory"

FIXED: Mapping[str, str] = {
    "DEFAULT.bind_host": _ADDRESSES,
    "DEFAULT.bind_port": _ADDRESSES,
    "DEFAULT.osapi_compute_listen": _ADDRESSES,
    "DEFAULT.osapi_compute_listen_port": _ADDRESSES,
    "DEFAULT.metadata_listen": _ADDRESSES,
    "DEFAULT.osapi_volume_listen": _ADDRESSES,
    "DEFAULT.osapi_volume_listen_port": _ADDRESSES,
    "DEFAULT.metadata_listen_port": _ADDRESSES,
    "DEFAULT.enabled_apis": "both APIs are served",
    "eventlet_server.admin_port": _ADDRESSES,
    "vnc.novncproxy_host": _ADDRESSES,
    "vnc.novncproxy_port": _ADDRESSES,
    "spice.html5proxy_host": _ADDRESSES,
    "spice.html5proxy_port": _ADDRESSES,
    "serial_console.serialproxy_host": _ADDRESSES,
    "serial_console.serialproxy_port": _ADDRESSES,
    "DEFAULT.state_path": _PLACES,
    "DEFAULT.instances_path": _PLACES,
    "fernet_tokens.key_repository": _PLACES,
    "glance_store.filesystem_store_datadir": _PLACES,
    "DEFAULT.file_volumes_path": _PLACES,
    "DEFAULT.log_file": _LOGGED,
    "DEFAULT.log_dir": _LOGGED,
    "DEFAULT.workers": _ONE_PROCESS,
    "DEFAULT.api_workers": _ONE_PROCESS,
    "DEFAULT.osapi_compute_workers": _ONE_PROCESS,
    "DEFAULT.metadata_workers": _ONE_PROCESS,
    "DEFAULT.osapi_volume_workers": _ONE_PROCESS,
    "conductor.workers": _ONE_PROCESS,
    "scheduler.workers": _ONE_PROCESS,
    "scheduler.discover_hosts_in_cells_interval": "there is one cell",
    "DEFAULT.transport_url": _ONE_PROCESS,
    "DEFAULT.network_driver": "compute_driver says whether hosts are simulated",
    "DEFAULT.nova_metadata_host": _HERE,
    "DEFAULT.nova_metadata_port": _HERE,
    "DEFAULT.metadata_proxy_shared_secret": "the one of [neutron] is used",
    "glance.api_servers": _HERE,
    "DEFAULT.glance_api_servers": _HERE,
    "DEFAULT.glance_host": _HERE,
    "DEFAULT.glance_port": _HERE,
}
FIXED_GROUPS: Mapping[str, str] = {
    "database": _PLACES,
    "api_database": _PLACES,
    "placement_database": _PLACES,
    "oslo_messaging_rabbit": _ONE_PROCESS,
    "keystone_authtoken": _HERE,
    "placement": _HERE,
    "nova": _HERE,
}
_OF_NEUTRON = ("metadata_proxy_shared_secret",)
"""The one option of [neutron] that is no credential."""


def read(path: Path, tables: Sequence[Options], defaults: Values, fixed: Values) -> Any:
    """Some parts' options: what the file says, else `defaults`; `fixed` goes before the file. Raises ConfigError."""
    config = cfg.ConfigOpts()
    _register(config, tables)
    for (group, name), value in defaults.items():
        if _has(tables, group, name):
            config.set_default(name, value, group=_section(group))
    try:
        config([], project="kilonova", default_config_files=[str(path)], default_config_dirs=[])
        for (group, name), value in fixed.items():
            if _has(tables, group, name):
                config.set_override(name, value, group=_section(group))
        # Only the file says which sections are back ends.
        tables = [*tables, backend_sections(config)]
        _register(config, tables[-1:])
        # Values are parsed when first read: read them all now, so that a bad one stops the start.
        for group, option in _of(tables):
            _value(config, group, option)
    except (cfg.Error, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    return config


def read_defaults(tables: Sequence[Options]) -> dict[str, Any]:
    """Name → default of each option of [DEFAULT], and group → name → default of the others."""
    config = cfg.ConfigOpts()
    _register(config, tables)
    config([], project="kilonova", default_config_files=[], default_config_dirs=[])
    found: dict[str, Any] = {}
    for group, option in _of(tables):
        place = found if group == "DEFAULT" else found.setdefault(group, {})
        place[option.dest] = _value(config, group, option)
    return found


def _register(config: Any, tables: Sequence[Options]) -> None:
    for table in tables:
        for group, options in table.items():
            config.register_opts(options, group=_section(group))


def _section(group: str) -> str | None:
    """Returns the group as oslo.config names it: [DEFAULT] is none."""
    return None if group == "DEFAULT" else group


def _value(config: Any, group: str, option: cfg.Opt) -> Any:
    return getattr(config if group == "DEFAULT" else config[group], option.dest)


def _has(tables: Sequence[Options], group: str, name: str) -> bool:
    return any(option.dest == name for table in tables for option in table.get(group, ()))


def read_up(path: Path) -> Any:
    """What the command line itself reads. Raises ConfigError."""
    return read(path, [COMMON, UP], {("libvirt", "connection_uri"): ""}, {})


def idle(path: Path) -> list[tuple[str, str]]:
    """(`[group] option`, reason) of each line of the file that changes nothing."""
    from kilonova.cli.daemons.files import entries_of

    found = []
    entries = list(entries_of(path))
    config = cfg.ConfigOpts()
    config.register_opt(ENABLED_BACKENDS)
    config([], project="kilonova", default_config_files=[str(path)], default_config_dirs=[])
    sections = backend_sections(config)
    with_drivers = {entry.group for entry in entries if entry.name == "volume_driver"}
    for entry in entries:
        reason = idle_reason(config, entry.group, entry.name, with_drivers)
        if reason is None and not any(entry.name == each.dest for each in sections.get(entry.group, ())):
            reason = _reason(entry.group, entry.name)
        if reason is not None:
            found.append((f"[{entry.group}] {entry.name}", reason))
    return found


def _reason(group: str, name: str) -> str | None:
    """Why an option changes nothing; None where it has its effect."""
    if group == "neutron" and name not in _OF_NEUTRON:
        return _HERE
    fixed = FIXED.get(f"{group}.{name}") or FIXED_GROUPS.get(group)
    if fixed is not None:
        return fixed
    tables = [COMMON, UP, *(table for tables in PROJECTS.values() for table in tables)]
    return None if any(_is_spelled(option, group, name, each) for each, option in _of(tables)) else "nothing reads it"


def _of(tables: Sequence[Options]) -> list[tuple[str, cfg.Opt]]:
    return [(group, option) for table in tables for group, options in table.items() for option in options]


def _is_spelled(option: cfg.Opt, group: str, name: str, own: str) -> bool:
    spellings = [(own, option.dest), *((old.group or own, old.name) for old in option.deprecated_opts)]
    return (group, name) in spellings
