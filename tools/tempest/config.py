"""tempest.conf: what the cloud is, and what it does; pure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.lab.lab import names_for
from tools.tempest.chosen import Part, Place
from tools.tempest.ground import Prepared

NETWORK = {
    "floating_network_name": "public",
    "project_networks_reachable": False,
    "build_interval": 1,
    "build_timeout": 60,
}
VOLUME = {
    "min_microversion": "3.0",
    "max_microversion": "latest",
    "build_interval": 1,
    "build_timeout": 60,
    "storage_protocol": "file",
    "vendor_name": "Kilonova",
    "disk_format": "raw",
}


def plan_config(
    part: Part, prepared: Prepared, identity_url: str, admin_password: str, directory: Path
) -> dict[str, dict[str, Any]]:
    """tempest.conf as groups of options."""
    absent = ("swift", "horizon", "heat")
    has_volumes = part.name == "volumes"
    return {
        "DEFAULT": {"log_dir": directory, "log_file": "tempest.log"},
        "oslo_concurrency": {"lock_path": directory / "locks"},
        "auth": {
            "use_dynamic_credentials": True,
            "create_isolated_networks": True,
            "tempest_roles": "member",
            "admin_username": "admin",
            "admin_project_name": "admin",
            "admin_domain_name": "Default",
            "admin_password": admin_password,
        },
        "identity": {
            "uri_v3": identity_url,
            "auth_version": "v3",
            "v3_endpoint_type": "public",
        },
        "identity-feature-enabled": plan_identity_features(),
        "service_available": {
            "glance": True,
            "nova": True,
            "neutron": True,
            "cinder": has_volumes,
            **dict.fromkeys(absent, False),
        },
        # Contents are inspected: only a raw image may hold what Tempest draws.
        "image": {"http_image": "", "build_interval": 1, "disk_formats": "raw", "container_formats": "bare,ovf"},
        "image-feature-enabled": {"import_image": False, "image_format_enforcement": False},
        "compute": {
            "image_ref": prepared.images[0],
            "image_ref_alt": prepared.images[1],
            "flavor_ref": prepared.flavors[0],
            "flavor_ref_alt": prepared.flavors[1],
            "min_compute_nodes": part.hosts,
            "max_microversion": "latest",
            "build_interval": 1,
            "build_timeout": 300,
            **plan_moves(part),
        },
        "compute-feature-enabled": plan_compute_features(part.place),
        "volume": VOLUME,
        "volume-feature-enabled": plan_volume_features(),
        "network": {"public_network_id": prepared.public_network, **NETWORK},
        "network-feature-enabled": {
            "api_extensions": ",".join(prepared.network_extensions),
            "ipv6": True,
            "ipv6_subnet_attributes": True,
            "port_security": True,
            "floating_ips": True,
        },
        "validation": plan_validation(is_real=part.place != "simulated"),
        # The guest keeps /tmp in memory, and what is written there is in no image of its disk.
        "scenario": {"dhcp_client": "udhcpc", "target_dir": "/home/demo"},
    }


def plan_moves(part: Part) -> dict[str, str]:
    """The hosts between which servers are moved that are to go to a named one."""
    if part.place != "lab":
        return {}
    source, target, *_ = names_for(part.hosts + 1)[-part.hosts :]
    return {"migration_source_host": source, "migration_dest_host": target}


def plan_validation(*, is_real: bool) -> dict[str, Any]:
    """Returns how Tempest logs in to servers, where there is anything to log in to."""
    return {
        "run_validation": is_real,
        "connect_method": "floating",
        "auth_method": "keypair",
        "ssh_key_type": "ecdsa",
        "image_ssh_user": "demo",
        "image_alt_ssh_user": "demo",
        # Guests are emulated, and start in six seconds on an idle machine, in a minute on one that is busy.
        "ssh_timeout": 240,
        "ping_timeout": 240,
    }


def plan_identity_features() -> dict[str, bool]:
    return dict.fromkeys(("trust", "access_rules", "domain_specific_drivers", "security_compliance"), False)


def plan_compute_features(place: Place) -> dict[str, Any]:
    """Returns what compute does, and what it does not do yet."""
    present = (
        "console_output",
        "vnc_console",
        "pause",
        "suspend",
        "metadata_service",
        "config_drive",
        "hostname_fqdn_sanitization",
        "interface_attach",
        *("change_password", "snapshot", "shelve", "rescue", "stable_rescue", "ide_bus", "serial_console"),
        *("resize", "cold_migration", "shelve_migrate"),
        *("live_migration", "block_migration_for_live_migration", "live_migrate_back_and_forth"),
    )
    absent = (
        *("personality", "unified_limits", "vtpm_live_migration"),
        *("swap_volume", "attach_encrypted_volume", "volume_multiattach", "volume_backed_live_migration"),
    )
    return {
        **dict.fromkeys(present, True),
        **dict.fromkeys(absent, False),
        # Simulated guests have no screens that speak SPICE.
        "spice_console": place == "host",
        "scheduler_enabled_filters": "all",
    }


def plan_volume_features() -> dict[str, Any]:
    """Returns what block storage does, and what it does not do yet."""
    present = ("backup", "clone", "snapshot", "volume_revert", "volume_image_dep_tree")
    absent = (
        *("multi_backend", "manage_volume", "manage_snapshot", "consistency_group"),
        *("extend_attached_volume", "extend_attached_encrypted_volume", "instance_locality_enabled"),
    )
    return {**dict.fromkeys(present, True), **dict.fromkeys(absent, False), "api_extensions": "all"}


def render_config(groups: Mapping[str, Mapping[str, Any]]) -> str:
    lines: list[str] = []
    for group, options in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in options.items()), ""]
    return "\n".join(lines)
