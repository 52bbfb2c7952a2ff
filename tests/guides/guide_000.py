"""Guide 000: Nova with placement and cells, a controller and a compute node (Ocata)."""

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

STEPS: list[Step] = [
    *statements(
        CONTROLLER,
        {
            38: "CREATE DATABASE nova_api",
            39: "CREATE DATABASE nova",
            40: "CREATE DATABASE nova_cell0",
            41: "GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'localhost' IDENTIFIED BY 'NOVA_DBPASS'",
            42: "GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_DBPASS'",
            43: "GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'localhost' IDENTIFIED BY 'NOVA_DBPASS'",
            44: "GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_DBPASS'",
            45: "GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'localhost' IDENTIFIED BY 'NOVA_DBPASS'",
            46: "GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_DBPASS'",
        },
    ),
    Command(52, CONTROLLER, "source keystone-admin"),
    Command(56, CONTROLLER, "openstack user create --domain default --password-prompt nova", password="NOVA_PASS"),
    *commands(
        CONTROLLER,
        {
            73: "openstack role add --project service --user nova admin",
            77: 'openstack service create --name nova --description "OpenStack Compute" compute',
            91: "openstack endpoint create --region RegionOne compute public http://controller:8774/v2.1",
            107: "openstack endpoint create --region RegionOne compute internal http://controller:8774/v2.1",
            123: "openstack endpoint create --region RegionOne compute admin http://controller:8774/v2.1",
        },
    ),
    Command(
        141, CONTROLLER, "openstack user create --domain default --password-prompt placement", password="PLACEMENT_PASS"
    ),
    *commands(
        CONTROLLER,
        {
            158: "openstack role add --project service --user placement admin",
            162: 'openstack service create --name placement --description "Placement API" placement',
            175: "openstack endpoint create --region RegionOne placement public http://controller:8778",
            190: "openstack endpoint create --region RegionOne placement internal http://controller:8778",
            205: "openstack endpoint create --region RegionOne placement admin http://controller:8778",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "DEFAULT",
        {
            230: "enabled_apis = osapi_compute,metadata",
            231: "my_ip = 10.0.0.11",
            232: "use_neutron = True",
            233: "firewall_driver = nova.virt.firewall.NoopFirewallDriver",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "api_database",
        {236: "connection = mysql+pymysql://nova:NOVA_DBPASS@controller/nova_api"},
    ),
    *settings(
        CONTROLLER, NOVA_CONF, "database", {239: "connection = mysql+pymysql://nova:NOVA_DBPASS@controller/nova"}
    ),
    *settings(CONTROLLER, NOVA_CONF, "DEFAULT", {242: "transport_url = rabbit://openstack:RABBIT_PASS@controller"}),
    *settings(CONTROLLER, NOVA_CONF, "api", {245: "auth_strategy = keystone"}),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "keystone_authtoken",
        {
            248: "auth_uri = http://controller:5000",
            249: "auth_url = http://controller:35357",
            250: "memcached_servers = controller:11211",
            251: "auth_type = password",
            252: "project_domain_name = default",
            253: "user_domain_name = default",
            254: "project_name = service",
            255: "username = nova",
            256: "password = NOVA_PASS",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "vnc",
        {259: "enabled = true", 260: "vncserver_listen = $my_ip", 261: "vncserver_proxyclient_address = $my_ip"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "glance", {264: "api_servers = http://controller:9292"}),
    *settings(CONTROLLER, NOVA_CONF, "oslo_concurrency", {267: "lock_path = /var/lib/nova/tmp"}),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "placement",
        {
            270: "os_region_name = RegionOne",
            271: "project_domain_name = Default",
            272: "project_name = service",
            273: "auth_type = password",
            274: "user_domain_name = Default",
            275: "auth_url = http://controller:35357/v3",
            276: "username = placement",
            277: "password = PLACEMENT_PASS",
        },
    ),
    *commands(
        CONTROLLER,
        {
            298: 'su -s /bin/sh -c "nova-manage api_db sync" nova',
            302: 'su -s /bin/sh -c "nova-manage cell_v2 map_cell0" nova',
            306: 'su -s /bin/sh -c "nova-manage cell_v2 create_cell --name=cell1 --verbose" nova',
            311: 'su -s /bin/sh -c "nova-manage db sync" nova',
        },
    ),
    Check(
        315,
        CONTROLLER,
        "nova-manage cell_v2 list_cells",
        (
            "| Name | UUID |",
            "| cell1 | 109e1d4b-536a-40d0-83c6-5f121b82b650 |",
            "| cell0 | 00000000-0000-0000-0000-000000000000 |",
        ),
    ),
    *commands(
        CONTROLLER,
        {
            325: "systemctl enable openstack-nova-api.service openstack-nova-consoleauth.service"
            " openstack-nova-scheduler.service openstack-nova-conductor.service openstack-nova-novncproxy.service",
            326: "systemctl start openstack-nova-api.service openstack-nova-consoleauth.service"
            " openstack-nova-scheduler.service openstack-nova-conductor.service openstack-nova-novncproxy.service",
        },
    ),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "DEFAULT",
        {
            338: "enabled_apis = osapi_compute,metadata",
            339: "transport_url = rabbit://openstack:RABBIT_PASS@controller",
            340: "my_ip = MANAGEMENT_INTERFACE_IP_ADDRESS",
            341: "use_neutron = True",
            342: "firewall_driver = nova.virt.firewall.NoopFirewallDriver",
        },
    ),
    *settings(COMPUTE, NOVA_CONF, "api", {345: "auth_strategy = keystone"}),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "keystone_authtoken",
        {
            348: "auth_uri = http://controller:5000",
            349: "auth_url = http://controller:35357",
            350: "memcached_servers = controller:11211",
            351: "auth_type = password",
            352: "project_domain_name = default",
            353: "user_domain_name = default",
            354: "project_name = service",
            355: "username = nova",
            356: "password = NOVA_PASS",
        },
    ),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "vnc",
        {
            359: "enabled = True",
            360: "vncserver_listen = 0.0.0.0",
            361: "vncserver_proxyclient_address = $my_ip",
            362: "novncproxy_base_url = http://controller:6080/vnc_auto.html",
        },
    ),
    *settings(COMPUTE, NOVA_CONF, "glance", {365: "api_servers = http://controller:9292"}),
    *settings(COMPUTE, NOVA_CONF, "oslo_concurrency", {368: "lock_path = /var/lib/nova/tmp"}),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "placement",
        {
            371: "os_region_name = RegionOne",
            372: "project_domain_name = Default",
            373: "project_name = service",
            374: "auth_type = password",
            375: "user_domain_name = Default",
            376: "auth_url = http://controller:35357/v3",
            377: "username = placement",
            378: "password = PLACEMENT_PASS",
        },
    ),
    *settings(COMPUTE, NOVA_CONF, "libvirt", {381: "virt_type = qemu"}),
    *commands(
        COMPUTE,
        {
            385: "systemctl enable libvirtd.service openstack-nova-compute.service",
            386: "systemctl start libvirtd.service openstack-nova-compute.service",
        },
    ),
    Command(392, CONTROLLER, "source keystone-admin"),
    Check(
        396,
        CONTROLLER,
        "openstack compute service list --service nova-compute",
        ("ID", "Updated At", "| nova-compute | node1 | nova | enabled | up |"),
    ),
    Check(
        405,
        CONTROLLER,
        'su -s /bin/sh -c "nova-manage cell_v2 discover_hosts --verbose" nova',
        (
            "Found 2 cell mappings.",
            "Skipping cell0 since it does not contain hosts.",
            "from cell 'cell1': 109e1d4b-536a-40d0-83c6-5f121b82b650",
            "computes in cell: 109e1d4b-536a-40d0-83c6-5f121b82b650",
        ),
    ),
    *settings(CONTROLLER, NOVA_CONF, "scheduler", {418: "discover_hosts_in_cells_interval = 300"}),
]

GUIDE = Guide(
    name="000",
    file="000_814105030bfbe3e1.txt",
    prompted=True,
    steps=STEPS,
    substitutions=[
        Substitution("10.0.0.11", "{controller}", "address of the lab's controller"),
        Substitution("MANAGEMENT_INTERFACE_IP_ADDRESS", "{compute}", "address of the lab's compute host"),
        Substitution("node1", "compute", "name of the lab's compute host"),
        Substitution("109e1d4b-536a-40d0-83c6-5f121b82b650", "{cell1}", "the id that line 306 printed"),
        Substitution("keystone-admin", "admin-openrc", "the file that the lab writes for the administrator"),
    ],
    mended=[
        Mended(239, 239, "novsapi_compute,metadata", "nova", "two lines run together: the database is nova"),
    ],
    excluded=[
        Excluded(224, 224, "package manager: the one package is installed before", "yum"),
        Excluded(332, 332, "package manager: the one package is installed before", "yum"),
        Excluded(281, 290, "httpd's settings: placement is served by placement-api"),
        Excluded(294, 294, "httpd is not needed: placement is served by placement-api", "systemctl restart httpd"),
    ],
)
