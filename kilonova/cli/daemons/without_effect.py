"""Options that files written for the guides hold and that change nothing here: project → `group.name` → the reason.

Each is named in the log once when a daemon starts that reads it, and by `kilonova config check`.
"""

from collections.abc import Mapping

_ONE_KIND = "there is only one kind here"
_ONE_WAY = "a password is the one way to log in"
_IN_CATALOG = "the catalog says where it is"
_ALWAYS_CHECKED = "callers are always checked at identity"
_NETWORKS = "networks are always the network service's"
_NOT_INJECTED = "nothing is written into a guest's disk: it asks for its metadata"
_SIGNED = "requests for metadata are signed: they need no user"

_STAY_OFF = "a server whose guest ended with its host is stopped, until somebody starts it"
_SPARSE = "disks take the room that guests have written to"
_FILES = "disks are files"
_NO_CEPH = "volumes are not kept in Ceph yet"
_WAITS = "a build waits for its volumes until its own deadline"
_NO_NOTICES = "no notifications are sent"
_NO_AUDITS = "usage is counted from the servers themselves when it is asked for"
_NO_KEYS = "there is no key manager"
_NO_DEVICES = "devices of a host are not passed through yet"
_NO_BARE_METAL = "hosts run guests"
_NO_METRICS = "hosts tell no metrics"

ANY_PROJECT: Mapping[str, str] = {
    "DEFAULT.auth_strategy": _ALWAYS_CHECKED,
    "DEFAULT.rpc_backend": "transport_url names the broker",
    "DEFAULT.verbose": "levels above DEBUG are always logged",
    "DEFAULT.rootwrap_config": "agents run with the rights they need",
    "DEFAULT.notification_driver": _NO_NOTICES,
    "DEFAULT.use_stderr": "log_file and log_dir say where the log goes",
    "api.auth_strategy": _ALWAYS_CHECKED,
    "keystone_authtoken.auth_type": _ONE_WAY,
    "keystone_authtoken.auth_plugin": _ONE_WAY,
    "keystone_authtoken.auth_strategy": _ALWAYS_CHECKED,
    "keystone_authtoken.service_token_roles_required": "nothing here needs it",
    "oslo_concurrency.lock_path": "nothing is locked in files",
    "paste_deploy.flavor": _ALWAYS_CHECKED,
}
OF_PROJECT: Mapping[str, Mapping[str, str]] = {
    "keystone": {
        "DEFAULT.admin_token": "the first records are made by `keystone-manage bootstrap`, with a password",
        "memcache.servers": "tokens are not stored",
        "revoke.driver": "revocations are always kept in the database",
        "token.driver": "tokens are not stored",
        "token.provider": "tokens are always Fernet tokens",
    },
    "glance": {
        "DEFAULT.registry_host": "there is no registry: the API reads the database itself",
        "DEFAULT.enabled_backends": "images are files in filesystem_store_datadir",
        "glance_store.stores": "images are files in filesystem_store_datadir",
        "glance_store.default_store": "images are files in filesystem_store_datadir",
        "glance_store.default_backend": "images are files in filesystem_store_datadir",
    },
    "nova": {
        "DEFAULT.use_neutron": _NETWORKS,
        "DEFAULT.network_api_class": _NETWORKS,
        "DEFAULT.security_group_api": "security groups are always the network service's",
        "DEFAULT.firewall_driver": "ports are filtered by the network agent",
        "DEFAULT.linuxnet_interface_driver": "interfaces are the network agent's",
        "placement.auth_type": _ONE_WAY,
        "placement.auth_plugin": _ONE_WAY,
        "placement.auth_uri": "auth_url says where identity is",
        "cinder.auth_plugin": _ONE_WAY,
        "cinder.auth_type": _ONE_WAY,
        "cinder.catalog_info": _IN_CATALOG,
        "cinder.http_retries": "a call is repeated until the deadline of the operation that makes it",
        "neutron.url": _IN_CATALOG,
        "neutron.auth_type": _ONE_WAY,
        "neutron.auth_plugin": _ONE_WAY,
        "neutron.auth_strategy": _ALWAYS_CHECKED,
        "neutron.service_metadata_proxy": "what is signed with metadata_proxy_shared_secret is always answered",
        "glance.host": _IN_CATALOG,
        "glance.port": _IN_CATALOG,
        "DEFAULT.block_device_allocate_retries": _WAITS,
        "DEFAULT.block_device_allocate_retries_interval": _WAITS,
        "DEFAULT.compute_monitors": _NO_METRICS,
        "DEFAULT.instance_usage_audit": _NO_AUDITS,
        "DEFAULT.instance_usage_audit_period": _NO_AUDITS,
        "notifications.bdms_in_notifications": "notifications do not tell of volumes yet",
        "notifications.default_level": "errors are told as errors, and everything else as information",
        "notifications.include_share_mapping": "servers have no shares",
        "oslo_messaging_notifications.retry": "a broker that is away is waited for",
        "oslo_messaging_notifications.topics": "[notifications] versioned_notifications_topics says where they go",
        "DEFAULT.resume_guests_state_on_host_boot": _STAY_OFF,
        "DEFAULT.config_drive_format": "config drives are ISO 9660",
        "DEFAULT.default_ephemeral_format": "ephemeral disks are ext4",
        "DEFAULT.force_raw_images": "cached images are always raw",
        "DEFAULT.mkisofs_cmd": "genisoimage writes config drives",
        "DEFAULT.pointer_model": "the image's hw_pointer_model says it",
        "DEFAULT.preallocate_images": _SPARSE,
        "DEFAULT.use_cow_images": "[libvirt] images_type says what disks are",
        "libvirt.disk_prefix": "the bus says what disks are called",
        "libvirt.images_rbd_ceph_conf": _FILES,
        "libvirt.images_rbd_pool": _FILES,
        "libvirt.images_volume_group": _FILES,
        "libvirt.rbd_secret_uuid": _NO_CEPH,
        "libvirt.rbd_user": _NO_CEPH,
        "libvirt.sparse_logical_volumes": _FILES,
        "libvirt.swtpm_group": "libvirt's own settings say who swtpm runs as",
        "libvirt.swtpm_user": "libvirt's own settings say who swtpm runs as",
        "libvirt.use_usb_tablet": "the image's hw_pointer_model says it",
        "libvirt.use_virtio_for_bridges": "the image's hw_vif_model says it, and without one it is virtio",
        "DEFAULT.scheduler_driver": _ONE_KIND,
        "scheduler.driver": _ONE_KIND,
        "scheduler.periodic_task_interval": "hosts are looked at when a server is placed",
        "scheduler.query_placement_for_availability_zone": "servers are always placed in the zone asked for",
        "filter_scheduler.cross_cell_move_weight_multiplier": "servers move within their cell",
        "filter_scheduler.pci_weight_multiplier": _NO_DEVICES,
        "filter_scheduler.pci_in_placement": _NO_DEVICES,
        "filter_scheduler.track_instance_changes": "servers are always counted as they come and go",
        "filter_scheduler.use_baremetal_filters": _NO_BARE_METAL,
        "filter_scheduler.baremetal_enabled_filters": _NO_BARE_METAL,
        "metrics.weight_multiplier": _NO_METRICS,
        "metrics.required": _NO_METRICS,
        "metrics.weight_of_unavailable": _NO_METRICS,
        "libvirt.inject_password": _NOT_INJECTED,
        "libvirt.inject_key": _NOT_INJECTED,
        "libvirt.inject_partition": _NOT_INJECTED,
    },
    "neutron": {
        "DEFAULT.core_plugin": _ONE_KIND,
        "DEFAULT.service_plugins": "routers are always served",
        "DEFAULT.allow_overlapping_ips": "addresses of different networks always may overlap",
        "DEFAULT.interface_driver": _ONE_KIND,
        "DEFAULT.dhcp_driver": _ONE_KIND,
        "DEFAULT.external_network_bridge": "the external network's own bridge is used",
        "DEFAULT.enable_isolated_metadata": "metadata is always served in the network's namespace",
        "DEFAULT.force_metadata": "metadata is always served in the network's namespace",
        "DEFAULT.notify_nova_on_port_status_changes": "compute is always told",
        "DEFAULT.notify_nova_on_port_data_changes": "compute is always told",
        "DEFAULT.nova_url": _IN_CATALOG,
        "DEFAULT.dhcp_agents_per_network": "one host serves a network's addresses",
        "DEFAULT.auth_uri": _SIGNED,
        "DEFAULT.auth_url": _SIGNED,
        "DEFAULT.auth_region": _SIGNED,
        "DEFAULT.auth_plugin": _SIGNED,
        "DEFAULT.auth_type": _SIGNED,
        "DEFAULT.project_domain_id": _SIGNED,
        "DEFAULT.project_domain_name": _SIGNED,
        "DEFAULT.user_domain_id": _SIGNED,
        "DEFAULT.user_domain_name": _SIGNED,
        "DEFAULT.project_name": _SIGNED,
        "DEFAULT.username": _SIGNED,
        "DEFAULT.password": _SIGNED,
        "nova.auth_type": _ONE_WAY,
        "nova.auth_plugin": _ONE_WAY,
        "agent.prevent_arp_spoofing": "no port can use an address that is not its own",
        "experimental.linuxbridge": "Linux bridges are what networks are made of",
        "ml2.extension_drivers": "port security and DNS names are always served",
        "securitygroup.enable_security_group": "ports are always filtered",
        "securitygroup.enable_ipset": "members are always kept in sets",
        "securitygroup.firewall_driver": _ONE_KIND,
    },
}
WHOLE_GROUPS: Mapping[str, str] = {
    "barbican": _NO_KEYS,
    "cache": "keystone_authtoken.memcached_servers names the shared cache",
    "guestfs": _NOT_INJECTED,
    "healthcheck": "/healthcheck is always served",
    "key_manager": _NO_KEYS,
    "notifications": _NO_NOTICES,
    "os_vif_linux_bridge": "interfaces are the network agent's",
    "os_vif_ovs": "interfaces are the network agent's",
    "oslo_messaging_notifications": _NO_NOTICES,
    "pci": _NO_DEVICES,
    "privsep_entrypoint": "agents run with the rights they need",
    "upgrade_levels": "all daemons are of one release",
    "workarounds": "there is nothing of upstream's to work around",
    "service_user": "services show their own tokens where they act for themselves",
}


def reason_for(project: str, group: str, name: str) -> str | None:
    """Why an option changes nothing; None when it is not one of these. Placement may stand in nova's files."""
    key = f"{group}.{name}"
    projects = ("placement", "nova") if project == "placement" else (project,)
    for table in (ANY_PROJECT, *(OF_PROJECT.get(each, {}) for each in projects)):
        if key in table:
            return table[key]
    return WHOLE_GROUPS.get(group)
