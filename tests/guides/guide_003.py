"""Guide 003: Nova's controller and compute configuration on Ubuntu (Ocata with Mitaka's broker options)."""

from tests.guides.steps import (
    COMPUTE,
    CONTROLLER,
    Check,
    Excluded,
    Guide,
    Instead,
    Step,
    Substitution,
    commands,
    settings,
    statements,
)

NOVA_CONF = "/etc/nova/nova.conf"
AUTHTOKEN = {
    "auth_uri": "http://controller:5000",
    "auth_url": "http://controller:35357",
    "memcached_servers": "controller:11211",
    "auth_type": "password",
    "project_domain_name": "default",
    "user_domain_name": "default",
    "project_name": "service",
    "username": "nova",
    "password": "NOVA_PASS",
}
PLACEMENT = {
    "os_region_name": "RegionOne",
    "project_domain_name": "Default",
    "project_name": "service",
    "auth_type": "password",
    "user_domain_name": "Default",
    "auth_url": "http://controller:35357/v3",
    "username": "placement",
    "password": "PLACEMENT_PASS",
}
NEUTRON = {
    "url": "http://controller:9696",
    "auth_url": "http://controller:35357",
    "auth_type": "password",
    "project_domain_name": "default",
    "user_domain_name": "default",
    "region_name": "RegionOne",
    "project_name": "service",
    "username": "neutron",
    "password": "NEUTRON_PASS",
}


def _numbered(first: int, values: dict[str, str], *, skip: tuple[int, ...] = ()) -> dict[int, str]:
    """Settings on consecutive lines, some of which are comments."""
    lines = (line for line in range(first, first + len(values) + len(skip)) if line not in skip)
    return {line: f"{key} = {value}" for line, (key, value) in zip(lines, values.items(), strict=True)}


STEPS: list[Step] = [
    *statements(
        CONTROLLER,
        {
            126: "CREATE DATABASE nova_api",
            127: "CREATE DATABASE nova",
            129: "GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'localhost' IDENTIFIED BY 'Welcome123'",
            130: "GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'%' IDENTIFIED BY 'Welcome123'",
            131: "GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'localhost' IDENTIFIED BY 'Welcome123'",
            132: "GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'%' IDENTIFIED BY 'Welcome123'",
            134: "FLUSH PRIVILEGES",
        },
    ),
    *commands(
        CONTROLLER,
        {
            140: "source admin-openrc",
            147: "openstack user create nova --domain default --password Welcome123",
            151: "openstack role add --project service --user nova admin",
        },
    ),
    Check(156, CONTROLLER, "openstack role list --user nova --project service", ("admin", "service", "nova")),
    *commands(
        CONTROLLER,
        {
            160: 'openstack service create --name nova --description "OpenStack Compute" compute',
            164: "openstack endpoint create --region RegionOne compute public"
            " http://controller:8774/v2.1/%\\(tenant_id\\)s",
            166: "openstack endpoint create --region RegionOne compute internal"
            " http://controller:8774/v2.1/%\\(tenant_id\\)s",
            168: "openstack endpoint create --region RegionOne compute admin"
            " http://controller:8774/v2.1/%\\(tenant_id\\)s",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "api_database",
        {185: "connection = mysql+pymysql://nova:NOVA_DBPASS@controller/nova_api"},
    ),
    *settings(
        CONTROLLER, NOVA_CONF, "database", {189: "connection = mysql+pymysql://nova:NOVA_DBPASS@controller/nova"}
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "DEFAULT",
        {
            198: "rpc_backend = rabbit",
            199: "auth_strategy = keystone",
            200: "rootwrap_config = /etc/nova/rootwrap.conf",
            201: "transport_url = rabbit://openstack:RABBIT_PASS@controller",
        },
    ),
    *settings(CONTROLLER, NOVA_CONF, "api", {210: "auth_strategy = keystone"}),
    *settings(CONTROLLER, NOVA_CONF, "keystone_authtoken", _numbered(214, AUTHTOKEN)),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "DEFAULT",
        {
            234: "my_ip = 10.0.0.11",
            243: "use_neutron = True",
            244: "firewall_driver = nova.virt.firewall.NoopFirewallDriver",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "vnc",
        {253: "enabled = true", 255: "vncserver_listen = $my_ip", 256: "vncserver_proxyclient_address = $my_ip"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "glance", {263: "api_servers = http://controller:9292"}),
    *settings(CONTROLLER, NOVA_CONF, "oslo_concurrency", {270: "lock_path = /var/lib/nova/tmp"}),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "oslo_messaging_rabbit",
        {276: "rabbit_host = controller", 277: "rabbit_userid = openstack", 278: "rabbit_password = PASS_"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "placement", _numbered(287, PLACEMENT)),
    *settings(CONTROLLER, NOVA_CONF, "neutron", _numbered(302, NEUTRON)),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "neutron",
        {312: "service_metadata_proxy = True", 313: "metadata_proxy_shared_secret = NEUTRON_PASS"},
    ),
    *commands(
        CONTROLLER,
        {
            318: 'su -s /bin/sh -c "nova-manage api_db sync" nova',
            319: 'su -s /bin/sh -c "nova-manage db sync" nova',
            324: "service nova-api restart",
            326: "service nova-consoleauth restart",
            327: "service nova-scheduler restart",
            328: "service nova-conductor restart",
            329: "service nova-novncproxy restart",
            333: "rm -f /var/lib/nova/nova.sqlite",
        },
    ),
    *settings(COMPUTE, NOVA_CONF, "DEFAULT", {342: "transport_url = rabbit://openstack:RABBIT_PASS@controller"}),
    *settings(COMPUTE, NOVA_CONF, "api", {351: "auth_strategy = keystone"}),
    *settings(COMPUTE, NOVA_CONF, "keystone_authtoken", _numbered(355, AUTHTOKEN, skip=(356,))),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "DEFAULT",
        {
            376: "rpc_backend = rabbit",
            377: "auth_strategy = keystone",
            378: "rootwrap_config = /etc/nova/rootwrap.conf",
            379: "my_ip = MANAGEMENT_INTERFACE_IP_ADDRESS",
            380: "enabled_apis=osapi_compute,metadata",
            389: "rpc_backend = rabbit",
            390: "auth_strategy = keystone",
            391: "use_neutron = True",
            392: "firewall_driver = nova.virt.firewall.NoopFirewallDriver",
        },
    ),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "vnc",
        {
            402: "enabled = True",
            404: "vncserver_listen = 0.0.0.0",
            405: "vncserver_proxyclient_address = $my_ip",
            406: "novncproxy_base_url = http://controller:6080/vnc_auto.html",
        },
    ),
    *settings(COMPUTE, NOVA_CONF, "glance", {413: "api_servers = http://controller:9292"}),
    *settings(COMPUTE, NOVA_CONF, "oslo_concurrency", {420: "lock_path = /var/lib/nova/tmp"}),
    *settings(COMPUTE, NOVA_CONF, "placement", _numbered(429, PLACEMENT)),
    *settings(COMPUTE, NOVA_CONF, "neutron", _numbered(444, NEUTRON)),
    *commands(COMPUTE, {456: "service nova-compute restart", 460: "rm -f /var/lib/nova/nova.sqlite"}),
    *commands(
        CONTROLLER,
        {
            464: "export OS_PROJECT_DOMAIN_NAME=default",
            465: "export OS_USER_DOMAIN_NAME=default",
            466: "export OS_PROJECT_NAME=admin",
            467: "export OS_USERNAME=admin",
            468: "export OS_PASSWORD=Welcome123",
            469: "export OS_AUTH_URL=http://controller:35357/v3",
            470: "export OS_IDENTITY_API_VERSION=3",
            471: "export OS_IMAGE_API_VERSION=2",
            475: "source admin-openrc",
        },
    ),
    Check(
        479,
        CONTROLLER,
        "openstack compute service list",
        (
            "| nova-compute | compute | nova | enabled | up |",
            "| nova-conductor | controller | internal | enabled | up |",
            "| nova-consoleauth | controller | internal | enabled | up |",
            "| nova-scheduler | controller | internal | enabled | up |",
        ),
    ),
]

GUIDE = Guide(
    name="003",
    file="003_767c9dbe740cf43a.txt",
    steps=STEPS,
    substitutions=[
        Substitution("10.0.0.11", "{controller}", "address of the lab's controller"),
        Substitution("MANAGEMENT_INTERFACE_IP_ADDRESS", "{compute}", "address of the lab's compute host"),
        Substitution("NOVA_DBPASS", "Welcome123", "the password that the database was given in line 129"),
        Substitution("NOVA_PASS", "Welcome123", "the password that the user was given in line 147"),
        Substitution("PASS_", "RABBIT_PASS", "one password of the broker's user in both places"),
    ],
    instead=[
        Instead(
            156,
            "openstack role assignment list --user nova --project service --names",
            "the client lists a user's roles by their assignments",
        ),
    ],
    excluded=[
        Excluded(122, 122, "opens the database client: the statements follow", "mysql"),
        Excluded(136, 136, "leaves the database client", "exit"),
        Excluded(172, 172, "package manager: the one package is installed before", "apt-get"),
        Excluded(176, 176, "keeps the package's file: there is none", "cp"),
        Excluded(325, 325, "there is no certificate service any more", "service nova-cert"),
    ],
)
