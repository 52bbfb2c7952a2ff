"""What each guide takes for granted or leaves to a package: the ground it is run on, and what stands for httpd.

The guides that begin with Nova stand on a cloud with identity, images and a broker's user; those that run placement in
httpd get placement-api at the line where httpd is restarted. Passwords are the guide's own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tools.guide_run import Run, start_memcached
from tools.lab import engines
from tools.lab.hosts import Host

OPENRC = """\
export OS_PROJECT_DOMAIN_NAME=Default
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_NAME={name}
export OS_USERNAME={name}
export OS_PASSWORD={password}
export OS_AUTH_URL=http://controller:5000/v3
export OS_IDENTITY_API_VERSION=3
export OS_IMAGE_API_VERSION=2
"""
KEYSTONE_CONF = """\
[database]
connection = mysql+pymysql://keystone:KEYSTONE_DBPASS@controller/keystone
[eventlet_server]
admin_port = 35357
"""
AUTHTOKEN = """\
[keystone_authtoken]
www_authenticate_uri = http://controller:5000
auth_url = http://controller:5000
username = {user}
password = {password}
project_name = service
user_domain_name = Default
project_domain_name = Default
"""
FLAVORS_OF_002 = (
    ("m1.tiny", 512, 1, 1),
    ("m1.small", 2048, 20, 1),
    ("m1.medium", 4096, 40, 2),
    ("m1.large", 8192, 80, 4),
    ("m1.xlarge", 16384, 160, 8),
)
LVM_CONF = """\
devices {
    filter = ["a/sdb/", "r/.*/"]
    use_devicesfile = 0
    obtain_device_list_from_udev = 0
    external_device_info_source = "none"
}
global { activation = 0 }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
"""
COMPUTE_DAEMONS = ("nova-api", "nova-conductor", "nova-scheduler")
ENDPOINTS = ("public", "internal", "admin")
READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What is made before the first line, and before a line of the guide (`before`)."""

    admin_password: str = "ADMIN_PASS"
    broker_password: str = "RABBIT_PASS"
    is_empty: bool = False
    """Nothing but the engines: the guide begins with identity."""
    has_placement: bool = False
    """The guide says nothing of placement but how it is reached."""
    before: Mapping[int, Callable[[Run], None]] = field(default_factory=dict)


def lay_ground(run: Run, ground: Ground) -> None:
    host = run.controller
    engines.start(host)
    if ground.is_empty:
        return
    engines.add_user(host, "openstack", ground.broker_password)
    start_memcached(host)
    install_identity(run, ground.admin_password)
    for name in ("admin-openrc", "keystone-admin"):
        host.write(f"/root/{name}", OPENRC.format(name="admin", password=ground.admin_password))
    install_image(run)
    if ground.has_placement:
        for words in _user_words("placement", "PLACEMENT_PASS", "placement", "http://controller:8778"):
            run.openstack(words)
        install_placement(run)


def make_database(host: Host, name: str, password: str) -> None:
    grants = [
        f"GRANT ALL PRIVILEGES ON {name}.* TO '{name}'@'{place}' IDENTIFIED BY '{password}';"
        for place in ("localhost", "%")
    ]
    engines.run_sql(host, "\n".join([f"CREATE DATABASE IF NOT EXISTS {name};", *grants]))


def install_identity(run: Run, admin_password: str) -> None:
    host = run.controller
    make_database(host, "keystone", "KEYSTONE_DBPASS")
    host.write("/etc/keystone/keystone.conf", KEYSTONE_CONF)
    host.run(["keystone-manage", "db_sync"])
    bootstrap_identity(run, admin_password)


def bootstrap_identity(run: Run, admin_password: str) -> None:
    """From an empty schema to an API that answers."""
    host = run.controller
    host.run(["keystone-manage", "fernet_setup"])
    words = ["keystone-manage", "bootstrap", "--bootstrap-password", admin_password]
    for interface in ENDPOINTS:
        words += [f"--bootstrap-{interface}-url", "http://controller:5000/v3/"]
    host.run(words)
    run.start(host.name, "keystone")


def _user_words(user: str, password: str, service_type: str, url: str) -> list[list[str]]:
    return [
        ["user", "create", "--domain", "default", "--password", password, user],
        ["role", "add", "--project", "service", "--user", user, "admin"],
        ["service", "create", "--name", user, service_type],
        *(["endpoint", "create", "--region", "RegionOne", service_type, each, url] for each in ENDPOINTS),
    ]


def install_image(run: Run) -> None:
    host = run.controller
    make_database(host, "glance", "GLANCE_DBPASS")
    for words in _user_words("glance", "GLANCE_PASS", "image", "http://controller:9292"):
        run.openstack(words)
    connection = "[database]\nconnection = mysql+pymysql://glance:GLANCE_DBPASS@controller/glance\n"
    host.write("/etc/glance/glance-api.conf", connection + AUTHTOKEN.format(user="glance", password="GLANCE_PASS"))
    host.run(["glance-manage", "db_sync"])
    run.start(host.name, "glance-api")


def install_placement(run: Run, password: str = "PLACEMENT_PASS", connection: str = "") -> None:
    """placement.conf, its schema and its API. `connection` names a database that the guide has made."""
    host = run.controller
    if not connection:
        make_database(host, "placement", "PLACEMENT_DBPASS")
        connection = "mysql+pymysql://placement:PLACEMENT_DBPASS@controller/placement"
    text = f"[placement_database]\nconnection = {connection}\n"
    host.write("/etc/placement/placement.conf", text + AUTHTOKEN.format(user="placement", password=password))
    host.run(["placement-manage", "db", "sync"])
    run.start(host.name, "placement-api")


# --- where a line stands for more than it says ------------------------------------------------------------------------


def _placement_of_001(run: Run) -> None:
    install_placement(run, "passwd", "mysql+pymysql://plc_db:passwd@controller/placement")


def _keystone_of_002(run: Run) -> None:
    """In httpd's place. Records that the guide makes with admin_token are bootstrap's."""
    bootstrap_identity(run, "admin")
    for name in ("admin", "demo"):
        run.controller.write(f"/root/{name}-openrc.sh", OPENRC.format(name=name, password=name))
    run.controller.write("/root/admin-openrc", OPENRC.format(name="admin", password="admin"))
    run.use_openrc("controller", OPENRC.format(name="admin", password="admin"))


def _flavors_of_002(run: Run) -> None:
    """Which the release made by itself."""
    for number, (name, ram_mib, disk_gib, vcpus) in enumerate(FLAVORS_OF_002, 1):
        size = ["--ram", str(ram_mib), "--disk", str(disk_gib), "--vcpus", str(vcpus)]
        run.openstack(["flavor", "create", "--id", str(number), *size, name])


def _placement_of_002(run: Run) -> None:
    """Liberty's nova had no placement: a user, a service, and the section that names them, on both hosts."""
    for words in _user_words("placement", "PLACEMENT_PASS", "placement", "http://controller:8778"):
        run.openstack(words)
    install_placement(run)
    for host in ("controller", "compute"):
        for key, value in {
            "auth_url": "http://controller:5000",
            "username": "placement",
            "password": "PLACEMENT_PASS",
        }.items():
            run.set(host, "/etc/nova/nova.conf", "placement", key, value)


def _admin_shell(run: Run) -> None:
    """The guide does not say that its shell has the administrator's environment."""
    run.use_openrc("controller", run.controller.read("/root/admin-openrc"))


def _libvirtd(run: Run) -> None:
    run.lab.start_libvirtd("compute")


def _agents_of_004(run: Run) -> None:
    """The guide sets one file and says that it belongs on both hosts, each with its own address."""
    for name in ("controller", "compute"):
        address = run.lab.host(name).address
        run.set(name, "/etc/neutron/plugins/ml2/linuxbridge_agent.ini", "vxlan", "local_ip", address)
        run.set(name, "/etc/neutron/plugins/ml2/linuxbridge_agent.ini", "vxlan", "enable_vxlan", "True")
        run.set(name, "/etc/neutron/plugins/ml2/linuxbridge_agent.ini", "vxlan", "l2_population", "True")
        run.set(name, "/etc/neutron/metadata_agent.ini", "DEFAULT", "nova_metadata_host", "controller")
        run.set(name, "/etc/neutron/metadata_agent.ini", "DEFAULT", "metadata_proxy_shared_secret", "METADATA_SECRET")
    mapping = f"provider:{run.interface}"
    run.set(
        "compute",
        "/etc/neutron/plugins/ml2/linuxbridge_agent.ini",
        "linux_bridge",
        "physical_interface_mappings",
        mapping,
    )
    run.set(
        "compute", "/etc/neutron/neutron.conf", "DEFAULT", "transport_url", "rabbit://openstack:RABBIT_PASS@controller"
    )
    run.set("controller", "/etc/nova/nova.conf", "neutron", "metadata_proxy_shared_secret", "METADATA_SECRET")
    # What the packages bring along, empty.
    run.set("controller", "/etc/neutron/plugins/ml2/ml2_conf.ini", "ml2", "type_drivers", "flat,vxlan")
    run.set("controller", "/etc/neutron/l3_agent.ini", "DEFAULT", "interface_driver", "linuxbridge")


def _compute_of_004(run: Run) -> None:
    """Its packages start what they install; the guide starts again only what it changes later."""
    for daemon in COMPUTE_DAEMONS:
        run.start("controller", daemon)
    run.lab.start_libvirtd("compute")


def _after_agents_of_004(run: Run) -> None:
    run.start("compute", "neutron-linuxbridge-agent")
    for daemon in COMPUTE_DAEMONS:
        run.restart("controller", daemon)


def _filer_of_004(run: Run) -> None:
    """Another machine's export, and the file that names it. No line starts what reads it: its package does."""
    export = f"{run.lab.host('compute').address}:/export/cinder"
    run.lab.share(export, size_gib=4)
    run.lab.host("compute").write("/etc/cinder/nfs_shares", f"{export}\n")
    run.start("compute", "cinder-volume")


def _cinder_api_of_004(run: Run) -> None:
    """In httpd's place."""
    run.start("controller", "cinder-api")


def _admin_of_002(run: Run) -> None:
    """The guide is the administrator again, in a shell that it does not show."""
    run.use_openrc("controller", run.controller.read("/root/admin-openrc.sh"))


def _demo_of_002(run: Run) -> None:
    """Whoever has the key pair makes the server."""
    run.use_openrc("controller", run.controller.read("/root/demo-openrc.sh"))


def _disk_of_002(run: Run) -> None:
    """A second disk, and LVM's settings: the kernel need not have device-mapper, nor the host udev."""
    run.lab.add_disk("compute", "/dev/sdb", size_gib=10)
    run.lab.host("compute").write("/etc/lvm/lvm.conf", LVM_CONF)


def _pings_of_004(run: Run) -> None:
    """The guide opens port 22 alone, and then sends a ping."""
    run.openstack(["security", "group", "rule", "create", "--proto", "icmp", "default"])


GROUNDS: Mapping[str, Ground] = {
    "000": Ground(before={298: install_placement}),
    "001": Ground(broker_password="passwd", before={195: _placement_of_001}),
    "002": Ground(
        is_empty=True,
        before={
            443: _keystone_of_002,
            1004: _placement_of_002,
            1858: _flavors_of_002,
            2174: _demo_of_002,
            2259: _admin_of_002,
            2415: _disk_of_002,
        },
    ),
    "003": Ground(admin_password="Welcome123", has_placement=True, before={456: _libvirtd}),
    "004": Ground(
        has_placement=True,
        before={
            21: _admin_shell,
            202: _compute_of_004,
            341: _agents_of_004,
            350: _after_agents_of_004,
            441: _cinder_api_of_004,
            490: _filer_of_004,
            556: _pings_of_004,
        },
    ),
}
