"""Guide 001: Nova and placement on CentOS (Ocata's files with Mitaka's and Liberty's spellings)."""

from tests.guides.steps import (
    COMPUTE,
    CONTROLLER,
    Check,
    Command,
    Excluded,
    Guide,
    Mended,
    Step,
    Substitution,
    commands,
    settings,
    statements,
)

NOVA_CONF = "/etc/nova/nova.conf"
AUTHTOKEN = (
    "auth_uri=http://ops-cont:5000",
    "auth_url=http://ops-cont:35357",
    "memcached_servers=ops-cont:11211",
    "auth_type=password",
    "project_domain_name=default",
    "user_domain_name=default",
    "project_name=service",
    "username=nova",
    "password=passwd",
)
PLACEMENT = (
    "auth_uri=http://ops-cont:5000/v3",
    "auth_url=http://ops-cont:35357/v3",
    "os_region_name=RegionOne",
    "project_domain_name=default",
    "user_domain_name=default",
    "project_name=service",
    "user_name=placement",
    "password=passwd",
)

STEPS: list[Step] = [
    *statements(
        CONTROLLER,
        {
            59: "create database nova_api",
            60: "create database nova",
            62: "grant all privileges on nova.* to 'nva_db'@'localhost' identified by 'passwd'",
            63: "grant all privileges on nova.* to 'nva_db'@'192.168.122.%' identified by 'passwd'",
            64: "grant all privileges on nova_api.* to 'nva_db'@'localhost' identified by 'passwd'",
            65: "grant all privileges on nova_api.* to 'nva_db'@'192.168.122.%' identified by 'passwd'",
        },
    ),
    Command(68, CONTROLLER, ". admin-openrc"),
    Command(72, CONTROLLER, "openstack user create --domain default --password-prompt nova", password="passwd"),
    *commands(
        CONTROLLER,
        {
            76: "openstack role add --project service --user nova admin",
            78: 'openstack service create --name nova --description "OpenStack Compute" compute',
            84: "openstack endpoint create --region RegionOne compute public"
            " http://ops-cont:8774/v2.1/%\\(tenant_id\\)s",
        },
    ),
    *statements(
        CONTROLLER,
        {
            97: "create database placement",
            99: "grant all privileges on placement.* to 'plc_db'@'localhost' identified by 'passwd'",
            100: "grant all privileges on placement.* to 'plc_db'@'192.168.122.%' identified by 'passwd'",
        },
    ),
    Command(105, CONTROLLER, "openstack user create --domain default --password-prompt placement", password="passwd"),
    *commands(
        CONTROLLER,
        {
            108: "openstack role add --project service --user placement admin",
            112: 'openstack service create --name placement --description "OpenStack Plancement" placement',
            119: "openstack endpoint create --region RegionOne placement public http://ops-cont:8778",
        },
    ),
    *settings(CONTROLLER, NOVA_CONF, "DEFAULT", {138: "enabled_apis=osapi_compute,metadata"}),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "api_database",
        {141: "connection=mysql+pymysql://nva_db:passwd@ops-cont/nova_api"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "database", {143: "connection=mysql+pymysql://nva_db:passwd@ops-cont/nova"}),
    *settings(CONTROLLER, NOVA_CONF, "DEFAULT", {146: "rpc_backend=rabbit"}),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "oslo_messaging_rabbit",
        {148: "rabbit_host=ops-cont", 149: "rabbit_userid=openstack", 150: "rabbit_password=passwd"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "DEFAULT", {153: "auth_strategy=keystone"}),
    *settings(CONTROLLER, NOVA_CONF, "keystone_authtoken", dict(enumerate(AUTHTOKEN, 155))),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "DEFAULT",
        {
            166: "my_ip=192.168.122.100",
            169: "use_neutron=True",
            170: "firewall_driver=nova.virt.firewall.NoopFirewallDriver",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "vnc",
        {173: "vncserver_listen=$my_ip", 174: "vncserver_proxyclient_address=$my_ip"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "glance", {177: "api_servers=http://ops-cont:9292"}),
    *settings(CONTROLLER, NOVA_CONF, "oslo_concurrency", {179: "lock_path=/var/lib/nova/tmp"}),
    *settings(CONTROLLER, NOVA_CONF, "placement", dict(enumerate(PLACEMENT, 182))),
    *settings(CONTROLLER, NOVA_CONF, "DEFAULT", {191: "transport_url=rabbit://openstack:passwd@ops-cont"}),
    *commands(
        CONTROLLER,
        {
            195: 'su -s /bin/sh -c "nova-manage api_db sync" nova',
            196: 'su -s /bin/sh -c "nova-manage db sync" nova',
            197: 'su -s /bin/sh -c "nova-manage cell_v2 map_cell0" nova',
            198: 'su -s /bin/sh -c "nova-manage cell_v2 create_cell" nova',
        },
    ),
    Check(200, CONTROLLER, "nova-manage cell_v2 list_cells", ("cell0", "00000000-0000-0000-0000-000000000000")),
    *commands(
        CONTROLLER,
        {
            205: "systemctl start openstack-nova-api openstack-nova-consoleauth openstack-nova-scheduler"
            " openstack-nova-conductor openstack-nova-novncproxy",
            207: "systemctl enable openstack-nova-api openstack-nova-consoleauth openstack-nova-scheduler"
            " openstack-nova-conductor openstack-nova-novncproxy",
        },
    ),
    # The guide's text goes back and forth between the hosts: these two come after the compute node's steps.
    *settings(
        COMPUTE,
        NOVA_CONF,
        "DEFAULT",
        {
            229: "rpc_backend=rabbit",
            230: "my_ip=192.168.0.100",
            231: "use_neutron=True",
            232: "firewall_driver = nova.virt.firewall.NoopFirewallDriver",
        },
    ),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "oslo_messaging_rabbit",
        {234: "rabbit_host=ops-cont", 235: "rabbit_userid=openstack", 236: "rabbit_password=passwd"},
    ),
    *settings(COMPUTE, NOVA_CONF, "keystone_authtoken", dict(enumerate(AUTHTOKEN, 239))),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "vnc",
        {
            249: "enabled=True",
            250: "vncserver_listen=0.0.0.0",
            251: "vncserver_proxyclient_address=$my_ip",
            252: "novncproxy_base_url=http://ops-cont:6080/vnc_auto.html",
        },
    ),
    *settings(COMPUTE, NOVA_CONF, "glance", {255: "api_servers=http://ops-cont:9292"}),
    *settings(COMPUTE, NOVA_CONF, "oslo_concurrency", {257: "lock_path=/var/lib/nova/tmp"}),
    *settings(COMPUTE, NOVA_CONF, "placement", dict(enumerate(PLACEMENT, 259))),
    *settings(COMPUTE, NOVA_CONF, "libvirt", {272: "virt_type=kvm"}),
    *commands(
        COMPUTE,
        {
            277: "systemctl start libvirtd openstack-nova-compute",
            279: "systemctl enable libvirtd openstack-nova-compute",
        },
    ),
    Command(212, CONTROLLER, "nova-manage cell_v2 discover_hosts"),
    Check(
        216,
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
    name="001",
    file="001_ca004ba2636dbea0.txt",
    steps=STEPS,
    substitutions=[
        Substitution("192.168.122.100", "{controller}", "address of the lab's controller"),
        Substitution("192.168.0.100", "{compute}", "address of the lab's compute host"),
        Substitution("192.168.122.%", "%", "hosts that may use the database: the lab's network"),
        Substitution("ops-cont", "controller", "name of the lab's controller"),
        Substitution("virt_type = kvm", "virt_type = qemu", "the lab's hosts have no hardware virtualization"),
    ],
    mended=[
        Mended(76, 76, "serice", "service", "typing error in the project's name"),
        Mended(84, 84, "ops-comp", "ops-cont", "compute's API runs on the controller, under its one name"),
        Mended(141, 143, "db_passwd", "passwd", "the password that the database was given in line 62"),
        Mended(147, 150, "[oslo_messageing_rabbit]", "[oslo_messaging_rabbit]", "typing error in the section"),
        Mended(168, 170, "[DEFULT]", "[DEFAULT]", "typing error in the section"),
        Mended(179, 179, "[glance]", "[oslo_concurrency]", "the section that the comment before names is not written"),
        Mended(191, 191, "[placement]", "[DEFAULT]", "the section that the comment before names is not written"),
        Mended(191, 191, "openstack_user:user_passwd", "openstack:passwd", "the broker's user of line 149"),
        Mended(243, 243, "project_domian_name", "project_domain_name", "typing error in the key"),
        Mended(245, 245, "server", "service", "typing error in the project's name"),
        Mended(249, 252, "[keystone_authtoken]", "[vnc]", "the section that the comment before names is not written"),
        Mended(257, 257, "[glance]", "[oslo_concurrency]", "the section that the comment before names is not written"),
        Mended(259, 266, "[glance]", "[placement]", "the section that the comment before names is not written"),
        Mended(272, 272, "[glance]", "[libvirt]", "the section that the comment before names is not written"),
    ],
    excluded=[
        Excluded(57, 57, "opens the database client: the statements follow", "mysql"),
        Excluded(95, 95, "opens the database client: the statements follow", "mysql"),
        Excluded(125, 132, "package manager: the one package is installed before", "yum"),
        Excluded(222, 222, "package manager: the one package is installed before", "yum"),
        Excluded(136, 136, "opens an editor: the settings follow", "i "),
        Excluded(270, 270, "opens an editor: the settings follow", "vi "),
        Excluded(209, 209, "firewall of CentOS: the lab's hosts have none", "firewall-cmd"),
    ],
)
