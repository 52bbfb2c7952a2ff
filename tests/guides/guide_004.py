"""Guide 004: Nova, Neutron with linuxbridge and vxlan, Cinder, and a test up to the floating IP (current release)."""

from tests.guides.steps import (
    COMPUTE,
    CONTROLLER,
    OUTSIDE,
    Check,
    Command,
    Excluded,
    Guide,
    Instead,
    Mended,
    Operation,
    Step,
    Substitution,
    commands,
    settings,
    statements,
    until,
)

NOVA_CONF = "/etc/nova/nova.conf"
NEUTRON_CONF = "/etc/neutron/neutron.conf"
CINDER_CONF = "/etc/cinder/cinder.conf"
LINUXBRIDGE = "/etc/neutron/plugins/ml2/linuxbridge_agent.ini"
DATA_STATUS = "openstack volume show data -c status -f value"
INTO_SERVER = (
    "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -i mykey.pem"
    " demo@{floating_ip}"
)


def _cinder_authtoken(first: int) -> dict[int, str]:
    values = (
        "www_authenticate_uri = http://controller:5000",
        "auth_url = http://controller:5000",
        "memcached_servers = controller:11211",
        "auth_type = password",
        "project_domain_name = default",
        "user_domain_name = default",
        "project_name = service",
        "username = cinder",
        "password = CINDER_PASS",
    )
    return dict(enumerate(values, first))


STEPS: list[Step] = [
    *statements(
        CONTROLLER,
        {
            7: "create database nova_api",
            9: "create database nova",
            11: "create database nova_cell0",
            13: "GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'localhost' IDENTIFIED BY 'NOVA_API_PASS'",
            14: "GRANT ALL PRIVILEGES ON nova_api.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_API_PASS'",
            15: "GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'localhost' IDENTIFIED BY 'NOVA_PASS'",
            16: "GRANT ALL PRIVILEGES ON nova.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_PASS'",
            17: "GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'localhost' IDENTIFIED BY 'NOVA_CELL0_PASS'",
            18: "GRANT ALL PRIVILEGES ON nova_cell0.* TO 'nova'@'%' IDENTIFIED BY 'NOVA_CELL0_PASS'",
        },
    ),
    Command(21, CONTROLLER, "openstack user create --domain default --password-prompt nova", password="NOVA_PASS"),
    *commands(
        CONTROLLER,
        {
            23: "openstack role add --project service --user nova admin",
            25: 'openstack service create --name nova --description "Openstack Compute" compute',
            27: "openstack endpoint create --region RegionOne compute public http://controller:8774/v2.1",
            42: "openstack endpoint create --region RegionOne compute internal http://controller:8774/v2.1",
            57: "openstack endpoint create --region RegionOne compute admin http://controller:8774/v2.1",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "api_database",
        {78: "connection = mysql+pymysql://nova:NOVA_API_PASS@controller/nova_api"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "database", {81: "connection = mysql+pymysql://nova:NOVA_PASS@controller/nova"}),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "DEFAULT",
        {83: "transport_url = rabbit://openstack:RABBIT_PASS@controller:5672/", 84: "my_ip = 1.1.1.1"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "api", {88: "auth_strategy = keystone"}),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "keystone_authtoken",
        {
            91: "www_authenticate_uri = http://controller:5000/",
            92: "auth_url = http://controller:5000/",
            93: "memcached_servers = controller:11211",
            94: "auth_type = password",
            95: "project_domain_name = Default",
            96: "user_domain_name = Default",
            97: "project_name = service",
            98: "username = nova",
            99: "password = NOVA_PASS",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "service_user",
        {
            101: "send_service_user_token = true",
            102: "auth_url = http://controller:5000/v3",
            103: "auth_strategy = keystone",
            104: "auth_type = password",
            105: "project_domain_name = Default",
            106: "project_name = service",
            107: "user_domain_name = Default",
            108: "username = nova",
            109: "password = NOVA_PASS",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "vnc",
        {112: "enabled = true", 113: "server_listen = $my_ip", 114: "server_proxyclient_address = $my_ip"},
    ),
    *settings(CONTROLLER, NOVA_CONF, "glance", {116: "api_servers = http://controller:9292"}),
    *settings(CONTROLLER, NOVA_CONF, "oslo_concurrency", {118: "lock_path = /var/lib/nova/tmp"}),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "placement",
        {
            120: "region_name = RegionOne",
            121: "project_domain_name = Default",
            122: "project_name = service",
            123: "auth_type = password",
            124: "user_domain_name = Default",
            125: "auth_url = http://controller:5000/v3",
            126: "username = placement",
            127: "password = PLACEMENT_PASS",
        },
    ),
    *commands(
        CONTROLLER,
        {
            130: 'su -s /bin/sh -c "nova-manage api_db sync" nova',
            132: 'su -s /bin/sh -c "nova-manage cell_v2 map_cell0" nova',
            134: 'su -s /bin/sh -c "nova-manage cell_v2 create_cell --name=cell1 --verbose" nova',
            136: 'su -s /bin/sh -c "nova-manage db sync" nova',
        },
    ),
    Check(
        138,
        CONTROLLER,
        'su -s /bin/sh -c "nova-manage cell_v2 list_cells" nova',
        ("| cell0 | 00000000-0000-0000-0000-000000000000 |", "| cell1 | {cell1} |"),
    ),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "DEFAULT",
        {150: "transport_url = rabbit://openstack:RABBIT_PASS@controller", 151: "my_ip = 2.2.2.2"},
    ),
    *settings(COMPUTE, NOVA_CONF, "api", {153: "auth_strategy = keystone"}),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "keystone_authtoken",
        {
            155: "www_authenticate_uri = http://controller:5000/",
            156: "auth_url = http://controller:5000/",
            157: "memcached_servers = controller:11211",
            158: "auth_type = password",
            159: "project_domain_name = Default",
            160: "user_domain_name = Default",
            161: "project_name = service",
            162: "username = nova",
            163: "password = NOVA_PASS",
        },
    ),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "service_user",
        {
            165: "send_service_user_token = true",
            166: "auth_url = http://controller:5000/v3",
            167: "auth_strategy = keystone",
            168: "auth_type = password",
            169: "project_domain_name = Default",
            170: "project_name = service",
            171: "user_domain_name = Default",
            172: "username = nova",
            173: "password = NOVA_PASS",
        },
    ),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "vnc",
        {
            175: "enabled = true",
            176: "server_listen = 0.0.0.0",
            177: "server_proxyclient_address = $my_ip",
            178: "novncproxy_base_url = http://controller:6080/vnc_auto.html",
        },
    ),
    *settings(COMPUTE, NOVA_CONF, "glance", {180: "api_servers = http://controller:9292"}),
    *settings(COMPUTE, NOVA_CONF, "oslo_concurrency", {182: "lock_path = /var/lib/nova/tmp"}),
    *settings(
        COMPUTE,
        NOVA_CONF,
        "placement",
        {
            184: "region_name = RegionOne",
            185: "project_domain_name = Default",
            186: "project_name = service",
            187: "auth_type = password",
            188: "user_domain_name = Default",
            189: "auth_url = http://controller:5000/v3",
            190: "username = placement",
            191: "password = PLACEMENT_PASS",
        },
    ),
    Command(192, COMPUTE, "egrep -c '(vmx|svm)' /proc/cpuinfo"),
    *settings(COMPUTE, "/etc/nova/nova-compute.conf", "libvirt", {198: "virt_type = qemu"}),
    Command(202, COMPUTE, "service nova-compute restart"),
    Check(
        205,
        CONTROLLER,
        "openstack compute service list --service nova-compute",
        ("| nova-compute | compute | nova | enabled | up |",),
    ),
    Check(
        207,
        CONTROLLER,
        'su -s /bin/sh -c "nova-manage cell_v2 discover_hosts --verbose" nova',
        ("Found 0 unmapped computes in cell: {cell1}",),
    ),
    *statements(
        CONTROLLER,
        {
            216: "create database neutron",
            217: "GRANT ALL PRIVILEGES ON neutron.* TO 'neutron'@'localhost' IDENTIFIED BY 'NEUTRON_PASS'",
            218: "GRANT ALL PRIVILEGES ON neutron.* TO 'neutron'@'%' IDENTIFIED BY 'NEUTRON_PASS'",
        },
    ),
    Command(
        221, CONTROLLER, "openstack user create --domain default --password-prompt neutron", password="NEUTRON_PASS"
    ),
    *commands(
        CONTROLLER,
        {
            223: "openstack role add --project service --user neutron admin",
            225: 'openstack service create --name neutron --description "OpenStack Networking" network',
            227: "openstack endpoint create --region RegionOne network public http://controller:9696",
            242: "openstack endpoint create --region RegionOne network internal http://controller:9696",
            257: "openstack endpoint create --region RegionOne network admin http://controller:9696",
        },
    ),
    *settings(
        CONTROLLER,
        NEUTRON_CONF,
        "database",
        {282: "connection = mysql+pymysql://neutron:NEUTRON_PASS@controller/neutron"},
    ),
    *settings(
        CONTROLLER,
        NEUTRON_CONF,
        "DEFAULT",
        {
            284: "core_plugin = ml2",
            285: "service_plugins = router",
            286: "transport_url = rabbit://openstack:RABBIT_PASS@controller",
            287: "auth_strategy = keystone",
            288: "notify_nova_on_port_status_changes = true",
            289: "notify_nova_on_port_data_changes = true",
        },
    ),
    *settings(
        CONTROLLER,
        NEUTRON_CONF,
        "keystone_authtoken",
        {
            291: "www_authenticate_uri = http://controller:5000",
            292: "auth_url = http://controller:5000",
            293: "memcached_servers = controller:11211",
            294: "auth_type = password",
            295: "project_domain_name = Default",
            296: "user_domain_name = Default",
            297: "project_name = service",
            298: "username = neutron",
            299: "password = NEUTRON_PASS",
        },
    ),
    *settings(
        CONTROLLER,
        NEUTRON_CONF,
        "nova",
        {
            301: "auth_url = http://controller:5000",
            302: "auth_type = password",
            303: "project_domain_name = Default",
            304: "user_domain_name = Default",
            305: "region_name = RegionOne",
            306: "project_name = service",
            307: "username = nova",
            308: "password = NOVA_PASS",
        },
    ),
    *settings(CONTROLLER, NEUTRON_CONF, "oslo_concurrency", {310: "lock_path = /var/lib/neutron/tmp"}),
    *settings(CONTROLLER, NEUTRON_CONF, "experimental", {313: "linuxbridge = true"}),
    *settings(
        CONTROLLER,
        LINUXBRIDGE,
        "vxlan",
        {317: "enable_vxlan = True", 318: "local_ip = 192.168.20.8", 319: "l2_population = True"},
    ),
    *settings(CONTROLLER, LINUXBRIDGE, "linux_bridge", {322: "physical_interface_mappings = provider:eno1"}),
    *settings(
        CONTROLLER,
        "/etc/neutron/dhcp_agent.ini",
        "DEFAULT",
        {
            325: "interface_driver = linuxbridge",
            326: "dhcp_driver = neutron.agent.linux.dhcp.Dnsmasq",
            327: "enable_isolated_metadata = True",
        },
    ),
    *settings(
        CONTROLLER,
        NOVA_CONF,
        "neutron",
        {
            330: "url = http://controller:9696",
            331: "auth_url = http://controller:5000",
            332: "auth_type = password",
            333: "project_domain_name = default",
            334: "user_domain_name = default",
            335: "region_name = RegionOne",
            336: "project_name = service",
            337: "username = neutron",
            338: "password = NEUTRON_PASS",
        },
    ),
    # The guide restarts the service one line before it makes its database.
    Command(
        341,
        CONTROLLER,
        'su -s /bin/sh -c "neutron-db-manage --config-file /etc/neutron/neutron.conf'
        ' --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade head" neutron',
    ),
    Command(340, CONTROLLER, "service neutron-* restart"),
    *statements(
        CONTROLLER,
        {
            350: "create database cinder",
            351: "GRANT ALL PRIVILEGES ON cinder.* TO 'cinder'@'localhost' IDENTIFIED BY 'CINDER_DBPASS'",
            352: "GRANT ALL PRIVILEGES ON cinder.* TO 'cinder'@'%' IDENTIFIED BY 'CINDER_DBPASS'",
        },
    ),
    Command(355, CONTROLLER, "openstack user create --domain default --password-prompt cinder", password="CINDER_PASS"),
    *commands(
        CONTROLLER,
        {
            357: "openstack role add --project service --user cinder admin",
            359: 'openstack service create --name cinderv3 --description "OpenStack Block Storage" volumev3',
            **{
                line: f"openstack endpoint create --region RegionOne volumev3 {interface}"
                " http://controller:8776/v3/%\\(project_id\\)s"
                for line, interface in ((361, "public"), (376, "internal"), (391, "admin"))
            },
        },
    ),
    *settings(
        CONTROLLER,
        CINDER_CONF,
        "database",
        {414: "connection = mysql+pymysql://cinder:CINDER_DBPASS@controller/cinder"},
    ),
    *settings(CONTROLLER, CINDER_CONF, "keystone_authtoken", _cinder_authtoken(417)),
    *settings(
        CONTROLLER,
        CINDER_CONF,
        "DEFAULT",
        {427: "transport_url = rabbit://openstack:RABBIT_PASS@controller", 428: "my_ip = 1.1.1.1"},
    ),
    *settings(CONTROLLER, CINDER_CONF, "oslo_concurrency", {430: "lock_path = /var/lib/cinder/tmp"}),
    *settings(CONTROLLER, NOVA_CONF, "cinder", {433: "os_region_name = RegionOne"}),
    *commands(
        CONTROLLER,
        {
            435: 'su -s /bin/sh -c "cinder-manage db sync" cinder',
            438: "service nova-api restart",
            440: "service cinder-scheduler restart",
            441: "service apache2 restart",
        },
    ),
    *settings(
        COMPUTE,
        CINDER_CONF,
        "database",
        {451: "connection = mysql+pymysql://cinder:CINDER_DBPASS@controller/cinder"},
    ),
    *settings(
        COMPUTE,
        CINDER_CONF,
        "DEFAULT",
        {
            454: "transport_url = rabbit://openstack:RABBIT_PASS@controller",
            455: "auth_strategy = keystone",
            456: "my_ip = 1.1.1.1",
            457: "enabled_backends = nfs",
            458: "glance_api_servers = http://controller:9292",
        },
    ),
    *settings(COMPUTE, CINDER_CONF, "keystone_authtoken", _cinder_authtoken(460)),
    *settings(COMPUTE, CINDER_CONF, "oslo_concurrency", {470: "lock_path = /var/lib/cinder/tmp"}),
    *settings(
        COMPUTE,
        CINDER_CONF,
        "nfs",
        {
            473: "volume_driver = cinder.volume.drivers.nfs.NfsDriver",
            474: "volume_backend_name = nfs-storage",
            476: "nfs_shares_config = /etc/cinder/nfs_shares",
            478: "nfs_mount_point_base = /var/lib/cinder/volumes",
        },
    ),
    *commands(
        CONTROLLER,
        {
            490: "openstack network create --share --external --provider-physical-network provider"
            " --provider-network-type flat provider",
            495: "openstack subnet create --network provider"
            " --allocation-pool start=220.92.114.8,end=220.92.114.40 --dns-nameserver 8.8.8.8"
            " --gateway 220.92.114.1 --subnet-range 220.92.114.0/24 provider-subnet",
            506: "openstack network create selfservice",
            508: "openstack subnet create --network selfservice --dns-nameserver 8.8.8.8 --gateway 172.16.1.1"
            " --subnet-range 172.16.1.0/24 selfservice",
            517: "openstack router create router",
            519: "openstack router add subnet router selfservice",
            521: "openstack router set router --external-gateway provider",
            527: 'openstack image create "cirros" --file cirros-0.5.2-x86_64-disk.img --disk-format qcow2'
            " --container-format bare --public",
            533: "openstack keypair create --private-key mykey.pem mykey",
            534: "chmod 600 mykey.pem",
            536: "openstack security group rule create --proto tcp --dst-port 22 default",
            541: "openstack flavor create --ram 512 --disk 1 --vcpus 1 m1.tiny",
            544: "openstack server create --flavor m1.tiny --image cirros"
            " --nic net-id=$(openstack network show selfservice -f value -c id)"
            " --security-group default --key-name mykey test-instance",
        },
    ),
    Check(547, CONTROLLER, "openstack server list", ("test-instance", "ACTIVE", "selfservice=172.16.1.")),
    *commands(
        CONTROLLER,
        {
            551: "openstack floating ip create provider",
            554: "openstack server add floating ip test-instance [FLOATING_IP]",
        },
    ),
    Check(556, OUTSIDE, "ping <floating_ip>", ("bytes from <floating_ip>",)),
    Check(559, OUTSIDE, "ssh -i mykey.pem cirros@<floating_ip>", ("test-instance",)),
    # The guide's own test is silent about volumes: what it says they are good for is carried out.
    Operation(
        346,
        CONTROLLER,
        "Cinder로 볼륨을 생성하고",
        f"openstack volume create --size 1 data && {until(DATA_STATUS, 'available')}",
    ),
    Operation(
        346,
        CONTROLLER,
        "Server 에 Attach하면",
        f"openstack server add volume test-instance data && {until(DATA_STATUS, 'in-use')}",
    ),
    Operation(
        346,
        OUTSIDE,
        "mount하는것과 같다",
        f"{INTO_SERVER} 'sudo mkfs.ext4 -q /dev/vdb && sudo mkdir /data && sudo mount /dev/vdb /data && df /data'",
    ),
]

GUIDE = Guide(
    name="004",
    file="004_b8e50f38764964dd.txt",
    steps=STEPS,
    substitutions=[
        Substitution("1.1.1.1", "{controller}", "address of the lab's controller"),
        Substitution("2.2.2.2", "{compute}", "address of the lab's compute host"),
        Substitution("192.168.20.8", "{controller}", "underlay address of the lab's controller"),
        Substitution("provider:eno1", "provider:{interface}", "interface of the lab's hosts to the provider network"),
        Substitution("220.92.114.", "{provider_prefix}", "the lab's provider network"),
        Substitution("cirros-0.5.2-x86_64-disk.img", "{image}", "image that the tests build; nothing is downloaded"),
        Substitution("--disk-format qcow2", "--disk-format {image_format}", "format of that image"),
        Substitution("cirros@", "demo@", "the user of that image"),
        Substitution("[FLOATING_IP]", "{floating_ip}", "the address that line 551 printed"),
        Substitution("<floating_ip>", "{floating_ip}", "the address that line 551 printed"),
        Substitution("ping ", "ping -c 3 -W 2 ", "ends by itself"),
        Substitution("NOVA_API_PASS", "NOVA_PASS", "one account of the database server has one password"),
        Substitution("NOVA_CELL0_PASS", "NOVA_PASS", "one account of the database server has one password"),
    ],
    mended=[
        Mended(102, 102, "https://", "http://", "everything else speaks to identity without TLS"),
        Mended(340, 340, "service restart neutron-*", "service neutron-* restart", "words in the wrong order"),
    ],
    excluded=[
        Excluded(73, 73, "package manager (and typed `api`): the one package is installed before", "api"),
        Excluded(146, 146, "package manager (and typed `api`): the one package is installed before", "api"),
        Excluded(273, 276, "package manager: the one package is installed before", "apt"),
        Excluded(408, 410, "package manager: the one package is installed before", "apt"),
        Excluded(437, 439, "headings", "on "),
        Excluded(445, 447, "package manager: the one package is installed before", "apt"),
        Excluded(139, 139, "mentioned, not run", "nova-manage db sync"),
        Excluded(226, 226, "a heading", "neutron API"),
        Excluded(141, 142, "a repair, only for the case that line 136 fails; a test of its own runs delete_cell"),
        Excluded(525, 525, "downloads an image: the tests build their own", "wget"),
    ],
    instead=[
        Instead(192, "egrep -c '(vmx|svm)' /proc/cpuinfo || true", "a count of 0 is an answer, no failure"),
        Instead(559, f"{INTO_SERVER} hostname", "asks nothing, and says where it is"),
    ],
)
