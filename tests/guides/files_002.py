"""The settings of guide 002, which prints each file without its sections, here with the section they stand in."""

from tests.guides.steps import COMPUTE, CONTROLLER, Setting, settings

AUTHTOKEN = (
    "auth_uri = http://192.168.56.11:5000",
    "auth_url = http://192.168.56.11:35357",
    "auth_plugin = password",
    "project_domain_id = default",
    "user_domain_id = default",
    "project_name = service",
)
RABBIT = (
    "rabbit_host=192.168.56.11",
    "rabbit_port=5672",
    "rabbit_userid=openstack",
    "rabbit_password=openstack",
)
NOVA_NEUTRON = (
    "url = http://192.168.56.11:9696",
    "auth_url = http://192.168.56.11:35357",
    "auth_plugin = password",
    "project_domain_id = default",
    "user_domain_id = default",
    "region_name = RegionOne",
    "project_name = service",
    "username = neutron",
    "password = neutron",
    "service_metadata_proxy = True",
    "metadata_proxy_shared_secret = neutron",
)


def _authtoken(first: int, user: str) -> dict[int, str]:
    return dict(enumerate((*AUTHTOKEN, f"username = {user}", f"password = {user}"), first))


_KEYSTONE = "/etc/keystone/keystone.conf"
KEYSTONE_CONF = [
    *settings(CONTROLLER, _KEYSTONE, "DEFAULT", {317: "admin_token = 863d35676a5632e846d9"}),
    *settings(
        CONTROLLER, _KEYSTONE, "database", {319: "connection = mysql://keystone:keystone@192.168.56.11/keystone"}
    ),
    *settings(CONTROLLER, _KEYSTONE, "DEFAULT", {329: "verbose = true"}),
    *settings(CONTROLLER, _KEYSTONE, "memcache", {330: "servers = 192.168.57.11:11211"}),
    *settings(CONTROLLER, _KEYSTONE, "revoke", {331: "driver = sql"}),
    *settings(CONTROLLER, _KEYSTONE, "token", {332: "provider = uuid", 333: "driver = memcache"}),
]

_GLANCE = "/etc/glance/glance-api.conf"
GLANCE_API = [
    *settings(CONTROLLER, _GLANCE, "keystone_authtoken", _authtoken(756, "glance")),
    *settings(CONTROLLER, _GLANCE, "paste_deploy", {764: "flavor=keystone"}),
    *settings(CONTROLLER, _GLANCE, "DEFAULT", {765: "notification_driver = noop"}),
    *settings(
        CONTROLLER,
        _GLANCE,
        "glance_store",
        {766: "default_store=file", 767: "filesystem_store_datadir=/var/lib/glance/images/"},
    ),
    *settings(CONTROLLER, _GLANCE, "DEFAULT", {769: "verbose=True"}),
]

_NOVA = "/etc/nova/nova.conf"


def nova_conf(first: int, host: str) -> list[Setting]:
    """The file of the controller (line 974) and of the compute node (line 1228), which has five lines more."""
    is_compute = host == COMPUTE
    default = [
        "rpc_backend=rabbit",
        f"my_ip=192.168.56.{12 if is_compute else 11}",
        "enabled_apis=osapi_compute,metadata",
        "auth_strategy=keystone",
        "network_api_class=nova.network.neutronv2.api.API",
        "linuxnet_interface_driver=nova.network.linux_net.NeutronLinuxBridgeInterfaceDriver",
        "security_group_api=neutron",
        "debug=true",
        "verbose=True",
        "firewall_driver = nova.virt.firewall.NoopFirewallDriver",
    ]
    if is_compute:
        default.append("novncproxy_base_url=http://192.168.56.11:6080/vnc_auto.html")
    default += [
        f"vncserver_listen={'0.0.0.0' if is_compute else '$my_ip'}",
        "vncserver_proxyclient_address=$my_ip",
    ]
    if is_compute:
        default += ["vnc_enabled=true", "vnc_keymap=en-us"]
    sections = [
        ("DEFAULT", default),
        ("database", ["connection=mysql://nova:nova@192.168.56.11/nova"]),
        ("glance", [f"host={'192.168.56.11' if is_compute else '$my_ip'}"]),
        ("keystone_authtoken", [*AUTHTOKEN, "username = nova", "password = nova"]),
        ("libvirt", ["virt_type=kvm"] if is_compute else []),
        ("oslo_concurrency", ["lock_path=/var/lib/nova/tmp"]),
        ("oslo_messaging_rabbit", list(RABBIT)),
    ]
    found: list[Setting] = []
    for section, lines in sections:
        found += settings(host, _NOVA, section, dict(enumerate(lines, first + len(found))))
    return found


_NEUTRON = "/etc/neutron/neutron.conf"
NEUTRON_CONF = [
    *settings(
        CONTROLLER,
        _NEUTRON,
        "DEFAULT",
        {
            1443: "state_path = /var/lib/neutron",
            1444: "core_plugin = ml2",
            1445: "service_plugins = router",
            1446: "auth_strategy = keystone",
            1447: "notify_nova_on_port_status_changes = True",
            1449: "notify_nova_on_port_data_changes = True",
            1450: "nova_url = http://192.168.56.11:8774/v2",
            1451: "rpc_backend=rabbit",
        },
    ),
    *settings(CONTROLLER, _NEUTRON, "keystone_authtoken", _authtoken(1452, "neutron")),
    *settings(
        CONTROLLER, _NEUTRON, "database", {1460: "connection = mysql://neutron:neutron@192.168.56.11:3306/neutron"}
    ),
    *settings(
        CONTROLLER,
        _NEUTRON,
        "nova",
        {
            1461: "auth_url = http://192.168.56.11:35357",
            1462: "auth_plugin = password",
            1463: "project_domain_id = default",
            1464: "user_domain_id = default",
            1465: "region_name = RegionOne",
            1466: "project_name = service",
            1467: "username = nova",
            1468: "password = nova",
        },
    ),
    *settings(CONTROLLER, _NEUTRON, "oslo_concurrency", {1469: "lock_path = $state_path/lock"}),
    *settings(CONTROLLER, _NEUTRON, "oslo_messaging_rabbit", dict(enumerate(RABBIT, 1470))),
]

_ML2 = "/etc/neutron/plugins/ml2/ml2_conf.ini"
ML2 = [
    *settings(
        CONTROLLER,
        _ML2,
        "ml2",
        {
            1478: "type_drivers = flat,vlan,gre,vxlan,geneve",
            1479: "tenant_network_types = vlan,gre,vxlan,geneve",
            1480: "mechanism_drivers = openvswitch,linuxbridge",
            1481: "extension_drivers = port_security",
        },
    ),
    *settings(CONTROLLER, _ML2, "ml2_type_flat", {1482: "flat_networks = physnet1"}),
    *settings(CONTROLLER, _ML2, "securitygroup", {1483: "enable_ipset = True"}),
]

_BRIDGE = "/etc/neutron/plugins/ml2/linuxbridge_agent.ini"
LINUXBRIDGE = [
    *settings(CONTROLLER, _BRIDGE, "linux_bridge", {1488: "physical_interface_mappings = physnet1:eth0"}),
    *settings(CONTROLLER, _BRIDGE, "vxlan", {1489: "enable_vxlan = false"}),
    *settings(CONTROLLER, _BRIDGE, "agent", {1490: "prevent_arp_spoofing = True"}),
    *settings(
        CONTROLLER,
        _BRIDGE,
        "securitygroup",
        {
            1491: "firewall_driver = neutron.agent.linux.iptables_firewall.IptablesFirewallDriver",
            1492: "enable_security_group = True",
        },
    ),
]

DHCP_AGENT = settings(
    CONTROLLER,
    "/etc/neutron/dhcp_agent.ini",
    "DEFAULT",
    {
        1497: "interface_driver = neutron.agent.linux.interface.BridgeInterfaceDriver",
        1498: "dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq",
        1499: "enable_isolated_metadata = true",
    },
)

METADATA_AGENT = settings(
    CONTROLLER,
    "/etc/neutron/metadata_agent.ini",
    "DEFAULT",
    {
        1504: "auth_uri = http://192.168.56.11:5000",
        1505: "auth_url = http://192.168.56.11:35357",
        1506: "auth_region = RegionOne",
        1507: "auth_plugin = password",
        1508: "project_domain_id = default",
        1509: "user_domain_id = default",
        1510: "project_name = service",
        1511: "username = neutron",
        1512: "password = neutron",
        1513: "nova_metadata_ip = 192.168.56.11",
        1514: "metadata_proxy_shared_secret = neutron",
    },
)
