"""Guide 002: a whole cloud of two hosts (Liberty): Keystone, Glance, Nova, Neutron with one flat network, a server."""

from tests.guides.files_002 import (
    DHCP_AGENT,
    GLANCE_API,
    KEYSTONE_CONF,
    LINUXBRIDGE,
    METADATA_AGENT,
    ML2,
    NEUTRON_CONF,
    NOVA_NEUTRON,
    nova_conf,
)
from tests.guides.steps import (
    COMPUTE,
    CONTROLLER,
    GUEST,
    OUTSIDE,
    Check,
    Command,
    Excluded,
    Guide,
    Instead,
    Mended,
    NotYet,
    Operation,
    Setting,
    Step,
    Substitution,
    commands,
    settings,
    statements,
    until,
)
from tests.guides.volumes_002 import volumes

ADMIN = "source admin-openrc.sh"
NOVA_SERVICES = (
    "openstack-nova-api.service openstack-nova-cert.service openstack-nova-consoleauth.service"
    " openstack-nova-scheduler.service openstack-nova-conductor.service openstack-nova-novncproxy.service"
)
NEUTRON_SERVICES = (
    "neutron-server.service neutron-linuxbridge-agent.service neutron-dhcp-agent.service neutron-metadata-agent.service"
)


FLAVORS = (
    "| m1.tiny | 512 | 1 |",
    "| m1.small | 2048 | 20 |",
    "| m1.medium | 4096 | 40 |",
    "| m1.large | 8192 | 80 |",
    "| m1.xlarge | 16384 | 160 |",
)
CONTROLLER_ROWS = tuple(f"| controller | {name} | internal |" for name in ("conductor", "consoleauth", "scheduler"))
AGENTS = (
    *(f"| {kind} agent | controller |" for kind in ("Linux bridge", "DHCP", "Metadata")),
    *(f"| :-) | UP | neutron-{name}-agent |" for name in ("linuxbridge", "dhcp", "metadata")),
)

SERVER = "hello-instance"
SHOWN = f"openstack server show {SERVER} -c status -f value"


def _changed(words: str, status: str) -> tuple[str, str]:
    return f"openstack server {words} {SERVER}", until(SHOWN, status)


DASHBOARD = {
    2159: ("编辑云主机", (f"openstack server set --property guide=002 {SERVER}",)),
    2161: ("控制台", (f"openstack console url show --novnc {SERVER}",)),
    2162: ("查看日志", (f"openstack console log show {SERVER}",)),
    2163: ("中止实例", (*_changed("stop", "SHUTOFF"), *_changed("start", "ACTIVE"))),
    2164: ("挂起实例", (*_changed("suspend", "SUSPENDED"), *_changed("resume", "ACTIVE"))),
    2165: ("废弃实例", (*_changed("shelve", "SHELVED_OFFLOADED"), *_changed("unshelve", "ACTIVE"))),
    2166: (
        "调整云主机大小",
        (*_changed("resize --flavor m1.small", "VERIFY_RESIZE"), *_changed("resize confirm", "ACTIVE")),
    ),
    2167: ("锁定/解锁实例", (f"openstack server lock {SERVER}", f"openstack server unlock {SERVER}")),
    2168: ("软重启实例", _changed("reboot --soft", "ACTIVE")),
    2169: ("硬重启实例", _changed("reboot --hard", "ACTIVE")),
    2170: ("关闭实例", (*_changed("stop", "SHUTOFF"), *_changed("start", "ACTIVE"))),
    2171: ("重建云主机", _changed("rebuild", "ACTIVE")),
    2172: ("终止实例", (f"openstack server delete --wait {SERVER}", f"! {SHOWN}")),
}
"""The guide's line → what it calls an operation of the dashboard, and the commands that stand for it here."""


def _grants(first: int, *names: str) -> dict[int, str]:
    """A database and two grants for each name, on consecutive lines."""
    lines = {}
    for place, name in enumerate(names):
        line = first + 3 * place
        lines[line] = f"CREATE DATABASE {name}"
        for offset, host in ((1, "localhost"), (2, "%")):
            grant = f"GRANT ALL PRIVILEGES ON {name}.* TO '{name}'@'{host}' IDENTIFIED BY '{name}'"
            lines[line + offset] = grant
    return lines


def _endpoints(lines: tuple[int, int, int], service: str, url: str, admin_url: str = "") -> list[Command]:
    urls = zip(lines, ("public", "internal", "admin"), (url, url, admin_url or url), strict=True)
    return commands(
        CONTROLLER,
        {line: f"openstack endpoint create --region RegionOne {service} {name} {each}" for line, name, each in urls},
    )


def _openrc(first: int, project: str, port: int) -> dict[int, str]:
    values = {
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_NAME": project,
        "OS_TENANT_NAME": project,
        "OS_USERNAME": project,
        "OS_PASSWORD": project,
        "OS_AUTH_URL": f"http://192.168.56.11:{port}/v3",
        "OS_IDENTITY_API_VERSION": "3",
    }
    return {line: f"export {key}={value}" for line, (key, value) in enumerate(values.items(), first)}


def _sync(line: int, words: str, user: str) -> Command:
    return Command(line, CONTROLLER, f'su -s /bin/sh -c "{words}" {user}')


def _identity() -> list[Step]:
    return [
        *statements(CONTROLLER, _grants(260, "keystone", "glance", "nova", "neutron", "cinder")),
        *commands(
            CONTROLLER,
            {
                282: "systemctl enable rabbitmq-server.service",
                284: "systemctl start rabbitmq-server.service",
                288: "rabbitmqctl add_user openstack openstack",
                289: 'rabbitmqctl set_permissions openstack ".*" ".*" ".*"',
                293: "rabbitmq-plugins enable rabbitmq_management",
                297: "systemctl restart rabbitmq-server.service",
            },
        ),
        Check(301, CONTROLLER, "netstat -lntup |grep 5672", (":25672 ", ":15672 ", ":5672 ")),
        *KEYSTONE_CONF,
        _sync(324, "keystone-manage db_sync", "keystone"),
        *commands(
            CONTROLLER,
            {
                443: "systemctl enable memcached httpd",
                446: "systemctl start memcached httpd",
            },
        ),
        Check(450, CONTROLLER, "netstat -lntup|grep httpd", (":5000 ",)),
        *commands(
            CONTROLLER,
            {
                457: "export OS_TOKEN=863d35676a5632e846d9",
                458: "export OS_URL=http://192.168.56.11:35357/v3",
                459: "export OS_IDENTITY_API_VERSION=3",
                463: 'openstack project create --domain default --description "Admin Project" admin',
            },
        ),
        Command(478, CONTROLLER, "openstack user create --domain default --password-prompt admin", password="admin"),
        *commands(
            CONTROLLER,
            {
                492: "openstack role create admin",
                502: "openstack role add --project admin --user admin admin",
                506: 'openstack project create --domain default --description "Demo Project" demo',
                518: "openstack user create --domain default --password=demo demo",
                527: "openstack role create user",
                534: "openstack role add --project demo --user demo user",
                538: 'openstack project create --domain default --description "Service Project" service',
            },
        ),
        Check(553, CONTROLLER, "openstack user list", ("admin", "demo")),
        Check(560, CONTROLLER, "openstack project list", ("admin", "demo", "service")),
        Check(568, CONTROLLER, "openstack role list", ("admin", "user")),
        Command(
            579, CONTROLLER, 'openstack service create --name keystone --description "OpenStack Identity" identity'
        ),
        *_endpoints((592, 606, 620), "identity", "http://192.168.56.11:5000/v2.0", "http://192.168.56.11:35357/v2.0"),
        Check(637, CONTROLLER, "openstack endpoint list", ("RegionOne", "keystone", "identity")),
        *commands(CONTROLLER, {648: "unset OS_TOKEN", 649: "unset OS_URL"}),
        Command(
            650,
            CONTROLLER,
            "openstack --os-auth-url http://192.168.56.11:35357/v3 --os-project-domain-id default"
            " --os-user-domain-id default --os-project-name admin --os-username admin --os-auth-type password"
            " token issue",
            password="admin",
        ),
        *commands(
            CONTROLLER,
            {
                **_openrc(665, "admin", 35357),
                **_openrc(674, "demo", 5000),
                682: "chmod +x demo-openrc.sh",
                683: "chmod +x admin-openrc.sh",
                684: ADMIN,
            },
        ),
        Check(685, CONTROLLER, "openstack token issue", ("expires", "project_id", "user_id")),
    ]


def _image() -> list[Step]:
    return [
        Setting(
            700,
            CONTROLLER,
            "/etc/glance/glance-api.conf",
            "database",
            "connection",
            "mysql://glance:glance@192.168.56.11/glance",
        ),
        _sync(705, "glance-manage db_sync", "glance"),
        *commands(
            CONTROLLER,
            {
                741: ADMIN,
                742: "openstack user create --domain default --password=glance glance",
                751: "openstack role add --project service --user glance admin",
            },
        ),
        *GLANCE_API,
        *commands(
            CONTROLLER,
            {
                819: "systemctl enable openstack-glance-api",
                823: "systemctl start openstack-glance-api",
            },
        ),
        Check(828, CONTROLLER, 'netstat -lntup|egrep "9191|9292"', (":9292 ",)),
        *commands(
            CONTROLLER,
            {
                834: ADMIN,
                835: 'openstack service create --name glance --description "OpenStack Image service" image',
            },
        ),
        *_endpoints((845, 859, 873), "image", "http://192.168.56.11:9292"),
        Command(890, CONTROLLER, 'echo "export OS_IMAGE_API_VERSION=2" | tee -a admin-openrc.sh demo-openrc.sh'),
        Check(892, CONTROLLER, "tail -1 admin-openrc.sh", ("export OS_IMAGE_API_VERSION=2",)),
        Check(894, CONTROLLER, "tail -1 demo-openrc.sh", ("export OS_IMAGE_API_VERSION=2",)),
        Check(899, CONTROLLER, "glance image-list", ("ID", "Name")),
        Command(
            919,
            CONTROLLER,
            'glance image-create --name "cirros" --file cirros-0.3.4-x86_64-disk.img --disk-format qcow2'
            " --container-format bare --visibility public --progress",
        ),
        Check(945, CONTROLLER, "glance image-list", ("| 4b36361f-1946-4026-b0cb-0f7073d48ade | cirros |",)),
        Command(951, CONTROLLER, "cd /var/lib/glance/images/"),
        Check(952, CONTROLLER, "ls", ("4b36361f-1946-4026-b0cb-0f7073d48ade",)),
    ]


def _compute() -> list[Step]:
    return [
        *commands(
            CONTROLLER,
            {
                959: "source admin-openrc.sh .",
                960: "openstack user create --domain default --password=nova nova",
                969: "openstack role add --project service --user nova admin",
            },
        ),
        *nova_conf(974, CONTROLLER),
        _sync(1004, "nova-manage db sync", "nova"),
        *commands(
            CONTROLLER,
            {
                1121: f"systemctl enable {NOVA_SERVICES}",
                1122: f"systemctl start {NOVA_SERVICES}",
                1126: 'openstack service create --name nova --description "OpenStack Compute" compute',
            },
        ),
        *_endpoints((1136, 1150, 1164), "compute", "http://192.168.56.11:8774/v2/%\\(tenant_id\\)s"),
        Check(1178, CONTROLLER, "openstack host list", CONTROLLER_ROWS),
        Command(1223, CONTROLLER, "scp /etc/nova/nova.conf 192.168.56.12:/etc/nova/"),
        *nova_conf(1228, COMPUTE),
        *commands(
            COMPUTE,
            {
                1262: "systemctl enable libvirtd openstack-nova-compute",
                1264: "systemctl start libvirtd openstack-nova-compute",
            },
        ),
        Check(1266, CONTROLLER, "openstack host list", (*CONTROLLER_ROWS, "| compute | compute | nova |")),
        Check(1279, CONTROLLER, "nova image-list", ("cirros", "active")),
        Check(1285, CONTROLLER, "nova endpoints", ("keystone", "nova", "glance")),
    ]


def _network() -> list[Step]:
    return [
        *commands(
            CONTROLLER,
            {
                1375: ADMIN,
                1376: 'openstack service create --name neutron --description "OpenStack Networking" network',
            },
        ),
        *_endpoints((1386, 1400, 1414), "network", "http://192.168.56.11:9696"),
        *commands(
            CONTROLLER,
            {
                1429: "openstack user create --domain default --password=neutron neutron",
                1438: "openstack role add --project service --user neutron admin",
            },
        ),
        *NEUTRON_CONF,
        *ML2,
        *LINUXBRIDGE,
        *DHCP_AGENT,
        *METADATA_AGENT,
        *settings(CONTROLLER, "/etc/nova/nova.conf", "neutron", dict(enumerate(NOVA_NEUTRON, 1518))),
        Command(1532, CONTROLLER, "ln -s /etc/neutron/plugins/ml2/ml2_conf.ini /etc/neutron/plugin.ini"),
        _sync(
            1536,
            "neutron-db-manage --config-file /etc/neutron/neutron.conf"
            " --config-file /etc/neutron/plugins/ml2/ml2_conf.ini upgrade head",
            "neutron",
        ),
        *commands(
            CONTROLLER,
            {
                1703: "systemctl restart openstack-nova-api",
                1704: f"systemctl enable {NEUTRON_SERVICES}",
                1705: f"systemctl start {NEUTRON_SERVICES}",
            },
        ),
        Check(
            1709,
            CONTROLLER,
            "neutron agent-list",
            AGENTS,
        ),
        *commands(
            CONTROLLER,
            {
                1720: "scp /etc/neutron/neutron.conf 192.168.56.12:/etc/neutron/",
                1721: "scp /etc/neutron/plugins/ml2/linuxbridge_agent.ini 192.168.56.12:/etc/neutron/plugins/ml2/",
            },
        ),
        *settings(COMPUTE, "/etc/nova/nova.conf", "neutron", dict(enumerate(NOVA_NEUTRON, 1725))),
        Command(
            1740,
            CONTROLLER,
            "scp /etc/neutron/plugins/ml2/linuxbridge_agent.ini 192.168.56.12:/etc/neutron/plugins/ml2/",
        ),
        *commands(
            COMPUTE,
            {
                1741: "ln -s /etc/neutron/plugins/ml2/ml2_conf.ini /etc/neutron/plugin.ini",
                1745: "systemctl restart openstack-nova-compute.service",
                1749: "systemctl restart openstack-nova-compute.service",
                1750: "systemctl enable neutron-linuxbridge-agent.service",
                1752: "systemctl start neutron-linuxbridge-agent.service",
            },
        ),
        Check(1756, CONTROLLER, "neutron agent-list", (*AGENTS, "| Linux bridge agent | compute |")),
    ]


def _server() -> list[Step]:
    return [
        *commands(
            CONTROLLER,
            {
                1772: ADMIN,
                1773: "neutron net-create flat --shared --provider:physical_network physnet1"
                " --provider:network_type flat",
                1795: "neutron subnet-create flat 192.168.56.0/24 --name flat-subnet"
                " --allocation-pool start=192.168.56.100,end=192.168.56.200 --dns-nameserver 192.168.56.2"
                " --gateway 192.168.56.2",
            },
        ),
        Check(1818, CONTROLLER, "neutron net-list", ("flat", "192.168.56.0/24")),
        *commands(
            CONTROLLER,
            {
                1828: "source demo-openrc.sh",
                1829: 'ssh-keygen -q -N ""',
                1831: "nova keypair-add --pub-key .ssh/id_rsa.pub mykey",
            },
        ),
        Check(1832, CONTROLLER, "nova keypair-list", ("mykey",)),
        Check(1838, CONTROLLER, "ls .ssh/", ("id_rsa", "id_rsa.pub")),
        *commands(
            CONTROLLER,
            {
                1843: "nova secgroup-add-rule default icmp -1 -1 0.0.0.0/0",
                1849: "nova secgroup-add-rule default tcp 22 22 0.0.0.0/0",
            },
        ),
        Check(1858, CONTROLLER, "nova flavor-list", FLAVORS),
        Check(1868, CONTROLLER, "nova image-list", ("cirros", "active")),
        Check(1874, CONTROLLER, "neutron net-list", ("flat",)),
        Check(1880, CONTROLLER, "nova secgroup-list", ("default",)),
        Command(
            1889,
            CONTROLLER,
            "nova boot --flavor m1.tiny --image cirros --nic net-id=7a3c7391-cea7-47eb-a0ef-f7b18010c984"
            " --security-group default --key-name mykey hello-instance",
        ),
        Check(1923, CONTROLLER, "nova list", ("hello-instance", "ACTIVE", "flat=192.168.56.1")),
        Check(1932, OUTSIDE, "ssh cirros@192.168.56.101", ("hello-instance",)),
        Check(
            1936,
            CONTROLLER,
            "nova get-vnc-console hello-instance novnc",
            ("| novnc |", "http://192.168.56.11:6080/vnc_auto.html?", "token"),
        ),
        Check(1981, CONTROLLER, "brctl show", ("brq7a3c7391-ce", "tap")),
        Command(2032, COMPUTE, "cd /var/lib/nova/instances/"),
        Check(2033, COMPUTE, "ls", ("_base", "bb71867c-4078-4984-bf5a-f10bd84ba72b")),
        Check(2038, COMPUTE, "file disk", ("disk", "/var/lib/nova/instances/_base/")),
        Check(2040, COMPUTE, "qemu-img info disk", ("file format: qcow2", "/var/lib/nova/instances/_base/")),
        Check(
            2069,
            GUEST,
            "curl http://169.254.169.254/2009-04-04/meta-data",
            ("ami-id", "hostname", "instance-id", "local-ipv4", "public-keys/", "security-groups"),
        ),
        Check(2088, GUEST, "ip ro li", ("default via 192.168.56.2", "169.254.169.254 via 192.168.56.100")),
        Check(2093, CONTROLLER, "ip netns li", ("qdhcp-7a3c7391-cea7-47eb-a0ef-f7b18010c984",)),
        Check(
            2096,
            CONTROLLER,
            "ip netns exec qdhcp-7a3c7391-cea7-47eb-a0ef-f7b18010c984 ip ad li",
            ("ns-", "192.168.56.100/24", "169.254.169.254/16"),
        ),
        Check(
            2112,
            CONTROLLER,
            "ip netns exec qdhcp-7a3c7391-cea7-47eb-a0ef-f7b18010c984 netstat -lntup",
            (":80", ":53", ":67"),
        ),
        *(Operation(line, CONTROLLER, wish, " && ".join(words)) for line, (wish, words) in DASHBOARD.items()),
        *volumes(),
        *settings(COMPUTE, "/etc/nova/nova.conf", "libvirt", {2709: "inject_password=true"}),
        Command(2710, COMPUTE, "systemctl restart openstack-nova-compute.service"),
    ]


_BOOTSTRAP = "the first records are bootstrap's: admin_token does not exist"
_GONE = "the services' own clients are gone: one client does it"
_NETSTAT = "netstat is gone: ss shows the same"
_ONE_LINE = "no terminal asks"
INSTEAD = [
    *(Instead(line, "", _BOOTSTRAP) for line in (457, 458, 502, 648, 649)),
    Instead(301, "ss -lntup | grep 5672", _NETSTAT),
    Instead(450, "ss -lntup | grep keystone", "`keystone` listens by itself; the port of httpd's pages is nobody's"),
    Instead(828, 'ss -lntup | egrep "9191|9292"', _NETSTAT),
    Instead(463, 'openstack project create --domain default --or-show --description "Admin Project" admin', _BOOTSTRAP),
    Instead(478, "openstack user create --domain default --or-show --password admin admin", _BOOTSTRAP),
    Instead(492, "openstack role create --or-show admin", _BOOTSTRAP),
    Instead(
        538, 'openstack project create --domain default --or-show --description "Service Project" service', _BOOTSTRAP
    ),
    Instead(579, "openstack service show keystone", _BOOTSTRAP),
    Instead(899, "openstack image list -f csv", _GONE),
    Instead(
        919,
        'openstack image create "cirros" --file cirros-0.3.4-x86_64-disk.img --disk-format qcow2'
        " --container-format bare --public",
        _GONE,
    ),
    *(Instead(line, "openstack image list", _GONE) for line in (945, 1868)),
    Instead(951, "", "the lines after the next are typed elsewhere again"),
    Instead(952, "ls /var/lib/glance/images/", "where the line before would have gone"),
    Instead(1279, "openstack image list --status active --long", _GONE),
    Instead(1285, "openstack catalog list", _GONE),
    *(Instead(line, "openstack network agent list", _GONE) for line in (1709, 1756)),
    Instead(
        1773,
        "openstack network create flat --share --provider-physical-network physnet1 --provider-network-type flat",
        _GONE,
    ),
    Instead(
        1795,
        "openstack subnet create --network flat --subnet-range 192.168.56.0/24"
        " --allocation-pool start=192.168.56.100,end=192.168.56.200 --dns-nameserver 192.168.56.2"
        " --gateway 192.168.56.2 flat-subnet",
        _GONE,
    ),
    Instead(1818, "openstack subnet list -c Name -c Subnet -c Network", _GONE),
    Instead(1829, 'mkdir -p .ssh && ssh-keygen -q -N "" -f .ssh/id_rsa', _ONE_LINE),
    Instead(1831, "openstack keypair create --public-key .ssh/id_rsa.pub mykey", _GONE),
    Instead(1832, "openstack keypair list", _GONE),
    Instead(1843, "openstack security group rule create --proto icmp default", _GONE),
    Instead(1849, "openstack security group rule create --proto tcp --dst-port 22 default", _GONE),
    Instead(1858, "openstack flavor list --all", _GONE),
    Instead(1874, "openstack network list", _GONE),
    Instead(1880, "openstack security group list", _GONE),
    Instead(
        1889,
        "openstack server create --flavor m1.tiny --image cirros"
        " --nic net-id=7a3c7391-cea7-47eb-a0ef-f7b18010c984 --security-group default --key-name mykey hello-instance",
        _GONE,
    ),
    Instead(1923, "openstack server list", _GONE),
    Instead(
        1932,
        "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=5 -i .ssh/id_rsa"
        " demo@{server_address} hostname",
        _ONE_LINE,
    ),
    Instead(1936, "openstack console url show --novnc hello-instance", _GONE),
    Instead(1981, "ip -o link", "brctl is gone: ip shows what is in a bridge"),
    *(Instead(line, "qemu-img info -U {server}/disk", "the server runs, and holds its disk") for line in (2038, 2040)),
    Instead(2466, "openstack volume service list", _GONE),
    Instead(
        2496, "printf 'n\\np\\n1\\n\\n\\nw\\n' | sudo fdisk /dev/vdb", "types what the guide answers to its questions"
    ),
    Instead(2517, "sudo mkfs.ext4 -q /dev/vdb1", "the shell takes the backslash away"),
    Instead(2069, "wget -q -O - http://169.254.169.254/2009-04-04/meta-data/", "the tests' image has no curl"),
    Instead(
        2112,
        "ip netns exec qdhcp-7a3c7391-cea7-47eb-a0ef-f7b18010c984 ss -lntu",
        _NETSTAT,
    ),
]

SHOWN_AGAIN = "the guide shows again what it has set"
LOOKING = "looks around by hand: nothing to install and nothing to compare"
EDITOR = "opens an editor: the settings are listed"
PACKAGES = "package manager: the one package is installed before"
REGISTRY = "there is no glance-registry: glance-api reads the database itself"
DATABASE_CLIENT = "another program's tables are no part of an API"

GUIDE = Guide(
    name="002",
    file="002_b3472a2548c05438.txt",
    sections_shown=False,
    prompted=True,
    steps=[*_identity(), *_image(), *_compute(), *_network(), *_server()],
    substitutions=[
        Substitution("192.168.56.11:35357/v2.0", "{controller}:5000/v3", "identity's second version is gone"),
        Substitution("192.168.56.11:35357", "{controller}:5000", "identity has one port; 35357 only when asked for"),
        Substitution("192.168.56.11:5000/v2.0", "{controller}:5000/v3", "identity's second version is gone"),
        Substitution("192.168.56.11", "{controller}", "address of the lab's controller"),
        Substitution("192.168.57.11", "{controller}", "address of the lab's controller"),
        Substitution("192.168.56.12", "{compute}", "address of the lab's compute host"),
        Substitution("192.168.56.", "{provider_prefix}", "the lab's provider network"),
        Substitution("physnet1:eth0", "physnet1:{interface}", "interface of the lab's hosts to that network"),
        Substitution("virt_type = kvm", "virt_type = qemu", "the lab's hosts have no hardware virtualization"),
        Substitution("7a3c7391-cea7-47eb-a0ef-f7b18010c984", "{network}", "the id that line 1773 printed"),
        Substitution("4b36361f-1946-4026-b0cb-0f7073d48ade", "{image_id}", "the id that line 919 printed"),
        Substitution("brq7a3c7391-ce", "brq{network_prefix}", "the bridge of that network"),
        Substitution("cirros-0.3.4-x86_64-disk.img", "{image}", "image that the tests build; nothing is downloaded"),
        Substitution("lioadm", "tgtadm", "the lab's kernel serves no targets: tgtd does, without a kernel"),
        Substitution("cirros@", "demo@", "the user of that image"),
        Substitution("bb71867c-4078-4984-bf5a-f10bd84ba72b", "{server}", "the id that line 1889 printed"),
        Substitution("169.254.169.254/16", "169.254.169.254/32", "the prefix length is 32 in later releases"),
    ],
    mended=[
        Mended(700, 700, "mysql://glance:glance@192.168.", "mysql://glance:glance@192.168.56.11/glance", "broken line"),
        Mended(
            650,
            650,
            "35357/v3",
            "35357/v3 --os-project-domain-id default --os-user-domain-id default --os-project-name admin"
            " --os-username admin --os-auth-type password token issue",
            "the command goes on in the next line, without a backslash",
        ),
        Mended(2069, 2069, "2009-04-04/meta", "2009-04-04/meta-data", "broken line"),
    ],
    excluded=[
        Excluded(161, 189, PACKAGES, "yum"),
        Excluded(195, 225, "time synchronization: the lab's hosts share one clock"),
        Excluded(229, 256, "settings and start of the database server: the lab brings it up"),
        Excluded(316, 318, EDITOR, "vim"),
        Excluded(325, 328, LOOKING),
        Excluded(335, 386, SHOWN_AGAIN),
        Excluded(388, 439, "httpd's settings: `keystone` serves its API itself"),
        Excluded(664, 664, "prints the file that lines 665 to 672 make", "cat"),
        Excluded(673, 673, "prints the file that lines 674 to 681 make", "cat"),
        Excluded(699, 699, EDITOR, "vim"),
        Excluded(702, 704, REGISTRY),
        Excluded(708, 737, DATABASE_CLIENT),
        Excluded(755, 755, EDITOR, "vim"),
        Excluded(771, 785, REGISTRY),
        Excluded(786, 816, SHOWN_AGAIN),
        Excluded(821, 821, REGISTRY, "systemctl enable openstack-glance-registry"),
        Excluded(824, 824, REGISTRY, "systemctl start openstack-glance-registry"),
        Excluded(891, 891, "output of the line before", "export"),
        Excluded(893, 893, "output of the line before", "export"),
        Excluded(895, 895, "output of the line before", "export"),
        Excluded(905, 915, "downloads an image: the tests build their own"),
        Excluded(973, 973, "prints the settings that follow", "grep"),
        Excluded(1005, 1117, DATABASE_CLIENT),
        Excluded(1194, 1220, "time synchronization: the lab's hosts share one clock"),
        Excluded(1227, 1227, "prints the settings that follow", "grep"),
        Excluded(1442, 1442, "prints the settings that follow", "grep"),
        Excluded(1477, 1477, "prints the settings that follow", "grep"),
        Excluded(1487, 1487, "prints the settings that follow", "grep"),
        Excluded(1496, 1496, "prints the settings that follow", "grep"),
        Excluded(1503, 1503, "prints the settings that follow", "grep"),
        Excluded(1537, 1699, DATABASE_CLIENT),
        Excluded(1945, 1977, LOOKING),
        Excluded(2017, 2022, "repeats two settings of dhcp_agent.ini"),
        Excluded(2050, 2062, "files of the hypervisor driver that nothing else reads"),
        Excluded(2191, 2191, PACKAGES, "yum"),
        Excluded(2196, 2196, "prints the settings that follow", "grep"),
        Excluded(2217, 2217, EDITOR, "vim"),
        Excluded(2226, 2226, DATABASE_CLIENT, "mysql"),
        Excluded(2397, 2411, LOOKING),
        Excluded(2422, 2423, "LVM's own settings: the ground writes them"),
        Excluded(2427, 2427, PACKAGES, "yum"),
        Excluded(2432, 2432, "prints the settings that follow", "grep"),
        Excluded(2481, 2495, "output of the line before"),
        Excluded(2518, 2536, "output of the line before"),
        Excluded(2537, 2560, "a typing error and its correction: the line before them has done it"),
        Excluded(2708, 2708, EDITOR, "vim"),
    ],
    instead=INSTEAD,
    not_yet=[
        NotYet(80, 120, "Swift"),
        NotYet(2127, 2158, "Horizon"),
        NotYet(2160, 2160, "Horizon"),
        NotYet(2609, 2692, "LBaaS"),
        NotYet(2698, 2704, "Horizon"),
    ],
)
