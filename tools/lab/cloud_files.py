"""The configuration files of a cloud in the lab, as the guides write them: path on the host → text. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

PASSWORDS = {
    "keystone": "KEYSTONE_DBPASS",
    "glance": "GLANCE_PASS",
    "placement": "PLACEMENT_PASS",
    "nova": "NOVA_PASS",
    "neutron": "NEUTRON_PASS",
}
"""A service's user, of the database and of identity → its password."""

ADMIN_PASSWORD = "ADMIN_PASS"
RABBIT_USER, RABBIT_PASSWORD = "openstack", "RABBIT_PASS"
METADATA_SECRET = "METADATA_SECRET"
PROVIDER = "provider"
VNI_RANGE = "1:1000"


@dataclass(frozen=True, slots=True)
class Place:
    """The host that a file is for."""

    name: str
    address: str
    carries_servers: bool = False
    carries_networks: bool = False


def _sections(**sections: Mapping[str, str]) -> str:
    """`DEFAULT` first; an ini file."""
    lines = []
    for name, entries in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in entries.items()), ""]
    return "\n".join(lines)


def _transport() -> dict[str, str]:
    return {"transport_url": f"rabbit://{RABBIT_USER}:{RABBIT_PASSWORD}@controller"}


def _database(name: str, user: str) -> dict[str, str]:
    return {"connection": f"mysql+pymysql://{user}:{PASSWORDS[user]}@controller/{name}"}


def _authtoken(user: str) -> dict[str, str]:
    return {
        "www_authenticate_uri": "http://controller:5000",
        "auth_url": "http://controller:5000",
        "auth_type": "password",
        "project_domain_name": "Default",
        "user_domain_name": "Default",
        "project_name": "service",
        "username": user,
        "password": PASSWORDS[user],
    }


def _client(user: str) -> dict[str, str]:
    """How a service speaks to another one."""
    wanted = {key: value for key, value in _authtoken(user).items() if key != "www_authenticate_uri"}
    return {**wanted, "region_name": "RegionOne"}


def controller_files(place: Place) -> dict[str, str]:
    vxlan = {"vni_ranges": VNI_RANGE}
    return {
        "/etc/keystone/keystone.conf": _sections(
            database=_database("keystone", "keystone"), token={"provider": "fernet"}
        ),
        "/etc/glance/glance-api.conf": _sections(
            database=_database("glance", "glance"),
            keystone_authtoken=_authtoken("glance"),
            paste_deploy={"flavor": "keystone"},
            glance_store={"stores": "file,http", "filesystem_store_datadir": "/var/lib/glance/images/"},
        ),
        "/etc/placement/placement.conf": _sections(
            placement_database=_database("placement", "placement"),
            api={"auth_strategy": "keystone"},
            keystone_authtoken=_authtoken("placement"),
        ),
        "/etc/nova/nova.conf": _nova_conf(place),
        "/etc/neutron/neutron.conf": _neutron_conf(),
        "/etc/neutron/plugins/ml2/ml2_conf.ini": _sections(
            ml2={
                "type_drivers": "flat,vxlan",
                "tenant_network_types": "vxlan",
                "mechanism_drivers": "linuxbridge,l2population",
                "extension_drivers": "port_security",
            },
            ml2_type_flat={"flat_networks": PROVIDER},
            ml2_type_vxlan=vxlan,
            securitygroup={"enable_ipset": "true"},
        ),
    }


def _nova_conf(place: Place) -> str:
    default = {**_transport(), "my_ip": place.address}
    if not place.carries_servers:
        default["enabled_apis"] = "osapi_compute,metadata"
    sections: dict[str, Mapping[str, str]] = {
        "DEFAULT": default,
        "api": {"auth_strategy": "keystone"},
        "keystone_authtoken": _authtoken("nova"),
        "glance": {"api_servers": "http://controller:9292"},
        "oslo_concurrency": {"lock_path": "/var/lib/nova/tmp"},
        "placement": _client("placement"),
        "neutron": {
            **_client("neutron"),
            "service_metadata_proxy": "true",
            "metadata_proxy_shared_secret": METADATA_SECRET,
        },
        "vnc": {
            "enabled": "true",
            "server_listen": "0.0.0.0",
            "server_proxyclient_address": "$my_ip",
            "novncproxy_base_url": "http://controller:6080/vnc_auto.html",
        },
    }
    if place.carries_servers:
        sections["libvirt"] = {"virt_type": "qemu"}
    else:
        sections["api_database"] = _database("nova_api", "nova")
        sections["database"] = _database("nova", "nova")
    return _sections(**sections)


def _neutron_conf() -> str:
    return _sections(
        database=_database("neutron", "neutron"),
        DEFAULT={
            "core_plugin": "ml2",
            "service_plugins": "router",
            **_transport(),
            "auth_strategy": "keystone",
            "notify_nova_on_port_status_changes": "true",
            "notify_nova_on_port_data_changes": "true",
        },
        keystone_authtoken=_authtoken("neutron"),
        nova=_client("nova"),
        oslo_concurrency={"lock_path": "/var/lib/neutron/tmp"},
    )


def agent_files(place: Place) -> dict[str, str]:
    """Of a host that carries servers, networks or both."""
    files = {
        "/etc/neutron/neutron.conf": _sections(
            DEFAULT=_transport(), oslo_concurrency={"lock_path": "/var/lib/neutron"}
        ),
        "/etc/neutron/plugins/ml2/linuxbridge_agent.ini": _sections(
            linux_bridge={"physical_interface_mappings": f"{PROVIDER}:eth1"},
            vxlan={"enable_vxlan": "true", "local_ip": place.address, "l2_population": "true"},
            securitygroup={"enable_security_group": "true"},
        ),
    }
    if place.carries_servers:
        files["/etc/nova/nova.conf"] = _nova_conf(place)
    if place.carries_networks:
        metadata = {"nova_metadata_host": "controller", "metadata_proxy_shared_secret": METADATA_SECRET}
        dhcp = {
            "interface_driver": "linuxbridge",
            "dhcp_driver": "neutron.agent.linux.dhcp.Dnsmasq",
            "enable_isolated_metadata": "true",
        }
        files["/etc/neutron/metadata_agent.ini"] = _sections(DEFAULT=metadata)
        files["/etc/neutron/dhcp_agent.ini"] = _sections(DEFAULT=dhcp)
        files["/etc/neutron/l3_agent.ini"] = _sections(DEFAULT={"interface_driver": "linuxbridge"})
    return files
