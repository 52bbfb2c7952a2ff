"""Block storage in guide 002: cinder on both hosts, LVM and iSCSI on the compute host, a volume in a server."""

from tests.guides.files_002 import AUTHTOKEN, RABBIT
from tests.guides.steps import COMPUTE, CONTROLLER, GUEST, Check, Command, Operation, Step, commands, settings, until

CINDER_CONF = "/etc/cinder/cinder.conf"
FIRST_SERVICES = "openstack-cinder-api.service openstack-cinder-scheduler.service"
LAST_SERVICES = "openstack-cinder-volume.service target.service"
STATUS = "openstack volume show -c status -f value "
BOOT = (
    "openstack server create --wait --flavor m1.tiny --nic net-id={network} --security-group default --key-name mykey"
)


def cinder_conf(host: str, lines: range) -> list[Step]:
    """Returns the settings that both hosts have; `lines` are those of the guide, in the order of the settings."""
    number = iter(lines)
    steps: list[Step] = []
    for section, texts in (
        ("DEFAULT", ("glance_host = 192.168.56.11", "auth_strategy = keystone")),
        *((("DEFAULT", ("enabled_backends = lvm",)),) if host == COMPUTE else ()),
        ("DEFAULT", ("rpc_backend = rabbit",)),
        ("database", ("connection = mysql://cinder:cinder@192.168.56.11/cinder",)),
        ("keystone_authtoken", (*AUTHTOKEN, "username = cinder", "password = cinder")),
        ("oslo_concurrency", ("lock_path = /var/lib/cinder/tmp",)),
        ("oslo_messaging_rabbit", RABBIT),
    ):
        steps += settings(host, CINDER_CONF, section, {next(number): text for text in texts})
    return steps


def _endpoints(first: int, service: str, version: str) -> dict[int, str]:
    url = f"http://192.168.56.11:8776/{version}/%\\(tenant_id\\)s"
    return {
        first + 14 * place: f"openstack endpoint create --region RegionOne {service} {interface} {url}"
        for place, interface in enumerate(("public", "internal", "admin"))
    }


def volumes() -> list[Step]:
    return [
        *cinder_conf(CONTROLLER, range(2197, 2214)),
        *settings(CONTROLLER, "/etc/nova/nova.conf", "cinder", {2218: "os_region_name = RegionOne"}),
        Command(2222, CONTROLLER, 'su -s /bin/sh -c "cinder-manage db sync" cinder'),
        Command(2259, CONTROLLER, "openstack user create --domain default --password-prompt cinder", password="cinder"),
        *commands(
            CONTROLLER,
            {
                2270: "openstack role add --project service --user cinder admin",
                2274: "systemctl restart openstack-nova-api.service",
                2275: f"systemctl enable {FIRST_SERVICES}",
                2278: f"systemctl start {FIRST_SERVICES}",
                2282: 'openstack service create --name cinder --description "OpenStack Block Storage" volume',
                2292: 'openstack service create --name cinderv2 --description "OpenStack Block Storage" volumev2',
                **_endpoints(2305, "volume", "v1"),
                **_endpoints(2347, "volumev2", "v2"),
            },
        ),
        *commands(COMPUTE, {2415: "pvcreate /dev/sdb", 2417: "vgcreate cinder-volumes /dev/sdb"}),
        Command(2431, CONTROLLER, "scp /etc/cinder/cinder.conf 192.168.56.12:/etc/cinder/cinder.conf"),
        *cinder_conf(COMPUTE, range(2433, 2451)),
        *settings(
            COMPUTE,
            CINDER_CONF,
            "lvm",
            {
                2452: "volume_driver = cinder.volume.drivers.lvm.LVMVolumeDriver",
                2453: "volume_group = cinder-volumes",
                2454: "iscsi_protocol = iscsi",
                2455: "iscsi_helper = lioadm",
            },
        ),
        *commands(COMPUTE, {2459: f"systemctl enable {LAST_SERVICES}", 2462: f"systemctl start {LAST_SERVICES}"}),
        Check(
            2466,
            CONTROLLER,
            "cinder service-list",
            (
                "| cinder-scheduler | controller | nova | enabled | up |",
                "| cinder-volume | compute@lvm | nova | enabled | up |",
            ),
        ),
        *in_a_server(),
    ]


def in_a_server() -> list[Step]:
    """The guide has a server by the dashboard, which it named before; it is one of the commands here."""
    return [
        Operation(2174, CONTROLLER, "launch instance", f"{BOOT} --image cirros data-instance"),
        Operation(2174, CONTROLLER, "launch instance", "openstack server list --name data-instance"),
        Operation(
            2474,
            CONTROLLER,
            "创建一个云硬盘",
            f"openstack volume create --size 3 data && {until(STATUS + 'data', 'available')}",
        ),
        Operation(
            2476,
            CONTROLLER,
            "将云硬盘挂载到虚拟机上",
            f"openstack server add volume data-instance data && {until(STATUS + 'data', 'in-use')}",
        ),
        Check(2480, GUEST, "sudo fdisk -l", ("Disk /dev/vdb", "3221225472 bytes")),
        Command(2496, GUEST, "sudo fdisk /dev/vdb"),
        Command(2517, GUEST, "sudo mkfs.ext4 /dev/vdb\\1"),
        Command(2561, GUEST, "sudo mkdir /data"),
        Command(2562, GUEST, "sudo mount /dev/vdb1 /data"),
        Check(2563, GUEST, "df -h", ("/dev/vdb1", "/data")),
        Operation(
            2571,
            CONTROLLER,
            "先创建一个demo2的云硬盘",
            f"openstack volume create --size 1 --image cirros demo2 && {until(STATUS + 'demo2', 'available')}",
        ),
        Operation(2571, CONTROLLER, "从云硬盘启动一个虚拟机", f"{BOOT} --volume demo2 demo2-instance"),
    ]
