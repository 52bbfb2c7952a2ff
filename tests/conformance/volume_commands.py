"""The commands of block storage."""

from tests.conformance.identity_commands import LATER
from tests.conformance.rows import ID, Row, Table

V = "--os-volume-api-version 3.71"
BACKEND = "vm-1@fake"


def _status(name: str, status: str, kind: str = "volume", user: str = "demo") -> Row:
    return Row(f"{kind} show -f value -c status {name}", shows=status, user=user, eventually=True)


TYPES = [
    Row("volume type list", shows="__DEFAULT__", user="demo"),
    Row("volume type list --default", shows="__DEFAULT__", user="demo"),
    Row("volume type create --description text --public --property volume_backend_name=fake gold", shows="gold"),
    Row(
        f"{V} volume type create --private --project demo --project-domain default --multiattach --cacheable"
        " --replicated --availability-zone nova shared",
        shows="multiattach='<is> True'",
    ),
    Row("volume type create gold", 1, "409"),
    Row("volume type create mine", 1, "403", user="demo"),
    Row("volume type list --long", shows="volume_backend_name='fake'"),
    Row("volume type list --public", shows="gold"),
    Row("volume type list --private", shows="shared"),
    Row(f"{V} volume type list --property volume_backend_name=fake", shows="gold"),
    Row(f"{V} volume type list --private --multiattach --cacheable --replicated --availability-zone nova"),
    Row("volume type show gold", shows="volume_backend_name='fake'"),
    Row("volume type show -f value -c is_public shared", shows="False", user="demo"),
    Row("volume type show nothing", 1, "nothing", user="demo"),
    Row("volume type set --name silver --description more --property note=text --private gold"),
    Row("volume type set --public silver"),
    Row("volume type set --multiattach --cacheable --replicated --availability-zone nova silver"),
    Row("volume type show silver", shows="note='text'"),
    Row("volume type unset --property note --property multiattach --property cacheable silver"),
    Row("volume type unset --property replication_enabled --property RESKEY:availability_zones silver"),
    Row("volume type unset --project demo --project-domain default shared"),
    Row("volume type show shared", 1, "shared", user="demo"),
    Row("volume type set --project demo --project-domain default shared"),
    Row("volume type set --name __DEFAULT__ silver", 1, "409"),
    Row("volume type set --name mine silver", 1, "403", user="demo"),
    Row("volume type delete __DEFAULT__", 1, "is a default type"),
]

VOLUMES = [
    Row(f"image create --file disk.raw --public {ID} system", keep="system"),
    Row(
        "volume create --size 1 --description text --type silver --availability-zone nova --property a=b --property c=d"
        f" {ID} data",
        keep="data",
        user="demo",
    ),
    _status("data", "available"),
    Row("volume show data", shows="silver", user="demo"),
    Row("volume show {data}", shows="vm-1@fake#fake"),
    Row("volume create --size 1 --image system --bootable --read-only boot", shows="boot", user="demo"),
    _status("boot", "available"),
    Row("volume show boot", shows="readonly='True'", user="demo"),
    Row("volume create --source data copy", shows="copy", user="demo"),
    _status("copy", "available"),
    Row("volume create --size 2 --type silver --hint same_host={data} --non-bootable --read-write beside", user="demo"),
    _status("beside", "available"),
    Row("volume create none", 1, "--size", user="demo"),
    Row("volume create --size 1 --type nothing none", 1, "nothing", user="demo"),
    Row("volume create --size 1 --image nothing none", 1, "nothing", user="demo"),
    Row("volume create --size 1 --snapshot nothing none", 1, "nothing", user="demo"),
    Row("volume create --size 1 --availability-zone moon none", 1, "moon", user="demo"),
    Row("volume create --size 1 --hint query=x none", 1, "query", user="demo"),
    # Not part of this API yet: the client has to say so, and go on living.
    Row("volume create --backup nothing none", 1, user="demo"),
    Row("volume create --size 1 --consistency-group nothing none", 1, user="demo"),
    Row(f"volume create --remote-source source-name=x --host {BACKEND}#fake none", 1),
    Row(f"{V} volume create --remote-source source-name=x --cluster nothing none", 1),
    Row("volume delete --remote {data}", 1, "os-unmanage"),
    Row("volume create --size 9999 large", 1, "Quota exceeded for gigabytes", user="demo"),
    Row("volume list", shows="data", user="demo"),
    Row("volume list --long", shows="a='b'", user="demo"),
    Row("volume list --name data --status available --property a=b --limit 1", shows="data", user="demo"),
    Row("volume list --limit 1 --marker {data}", user="demo"),
    Row("volume list --marker {system}", 1, "marker", user="demo"),
    Row("volume list --all-projects", shows="data"),
    Row("volume list --project demo --project-domain default", shows="data"),
    Row("volume list --all-projects --user demo --user-domain default", shows="data"),
    Row(f"{V} volume summary", shows="Total Count", user="demo"),
    Row(f"{V} volume summary --all-projects", shows="Total Size"),
    Row("--os-volume-api-version 3.11 volume summary", 1, "3.12", user="demo"),
    Row(
        "volume set --name papers --description more --property e=f --image-property os_distro=debian data", user="demo"
    ),
    Row("volume set --size 2 papers", user="demo"),
    _status("papers", "available"),
    Row("volume set --size 1 papers", 1, "greater than", user="demo"),
    Row("volume set --bootable papers", user="demo"),
    Row("volume set --non-bootable papers", user="demo"),
    Row("volume set --read-only papers", user="demo"),
    Row("volume set --read-write papers", user="demo"),
    Row("volume set --type __DEFAULT__ --migration-policy never papers", user="demo"),
    Row("volume set --type nothing papers", 1, user="demo"),
    Row("volume show papers", shows="'os_distro': 'debian'", user="demo"),
    Row("volume unset --property a --image-property os_distro papers", user="demo"),
    Row("volume set --no-property --property g=h papers", user="demo"),
    Row("volume show papers", shows="g='h'", user="demo"),
    Row("volume set --state error {data}"),
    Row("volume list --status error --all-projects", shows="papers"),
    Row("volume set --state creating {data}", 1, "only while an operation is at work"),
    Row("volume set --state error papers", 1, "403", user="demo"),
    Row("volume set --state available {data}"),
    Row("volume set --detached {data}"),
    Row("volume set --attached {data}", 1, "attach_status"),
]

SNAPSHOTS = [
    Row(
        f"volume snapshot create --volume papers --description text --property a=b {ID} first",
        keep="first",
        user="demo",
    ),
    _status("first", "available", "volume snapshot"),
    Row(f"volume snapshot create --volume papers --force {ID} second", keep="second", user="demo"),
    _status("second", "available", "volume snapshot"),
    Row("volume snapshot create nothing", 1, "nothing", user="demo"),
    Row("volume snapshot create --volume {data} --remote-source source-name=x none", 1),
    Row("volume snapshot delete --remote {second}", 1),
    Row("volume snapshot list", shows="first", user="demo"),
    Row("volume snapshot list --long --name first --status available --volume papers", shows="a='b'", user="demo"),
    Row("volume snapshot list --limit 1 --marker {first} --max-items 1", user="demo"),
    Row("volume snapshot list --all-projects", shows="second"),
    Row("volume snapshot list --project demo --project-domain default", shows="second"),
    Row("volume snapshot set --name before --description more --property c=d first", user="demo"),
    Row("volume snapshot set --state error {first}"),
    Row("volume snapshot set --state deleting {first}", 1, "only while an operation is at work"),
    Row("volume snapshot set --state available before", 1, "403", user="demo"),
    Row("volume snapshot set --state available {first}"),
    Row("volume snapshot set --no-property --property e=f before", user="demo"),
    Row("volume snapshot unset --property e before", user="demo"),
    Row("volume snapshot show before", shows="more", user="demo"),
    Row("volume snapshot show nothing", 1, "nothing", user="demo"),
    Row("volume create --snapshot before restored", shows="restored", user="demo"),
    _status("restored", "available"),
    Row(f"{V} volume revert before", 1, "latest snapshot alone", user="demo"),
    Row(f"{V} volume revert second", user="demo"),
    _status("papers", "available"),
    Row("--os-volume-api-version 3.39 volume revert second", 1, "3.40", user="demo"),
    Row("volume delete papers", 1, user="demo"),
    Row("volume snapshot delete before", user="demo"),
    Row("volume snapshot delete --force second", 1, "403", user="demo"),
    Row("volume snapshot delete --force {second}"),
    Row("volume snapshot delete nothing", 1, user="demo"),
]

ATTACHMENTS = [
    Row(f"flavor create --ram 64 --disk 1 --vcpus 1 {ID} small"),
    Row(f"server create --image system --flavor small --no-network --wait {ID} holder", keep="holder", user="demo"),
    Row(f"{V} volume attachment create papers holder --no-connect --mode ro {ID}", keep="held", user="demo"),
    Row(f"{V} volume attachment create papers --server holder", 1, "is reserved", user="demo"),
    Row(f"{V} volume attachment create nothing --server holder", 1, "nothing", user="demo"),
    Row(f"{V} volume attachment list", shows="reserved", user="demo"),
    Row(
        f"{V} volume attachment list --volume-id {{data}} --server-id {{holder}} --status reserved --limit 1 --max-items 1",
        shows="{held}",
        user="demo",
    ),
    Row(f"{V} volume attachment list --limit 1 --marker {{held}}", user="demo"),
    Row(f"{V} volume attachment list --all-projects", shows="{held}"),
    Row(f"{V} volume attachment list --project demo --project-domain default", shows="{held}"),
    Row(f"{V} volume attachment complete {{held}}", 1, "has to be attaching", user="demo"),
    Row(
        f"{V} volume attachment set --initiator iqn.x --ip 10.0.0.9 --host vm-1 --platform x86_64 --os-type linux2"
        " --no-multipath --mountpoint /dev/vdb {held}",
        shows="/volume-",
        user="demo",
    ),
    Row(f"{V} volume attachment complete {{held}}", user="demo"),
    Row(f"{V} volume attachment show {{held}}", shows="attached", user="demo"),
    Row("volume show papers", shows="in-use", user="demo"),
    Row("volume delete papers", 1, user="demo"),
    Row("volume set --state available {data}", 1, "has 1 attachments"),
    Row(f"{V} volume attachment delete {{held}}", user="demo"),
    # The client takes "not found" for done.
    Row(f"{V} volume attachment delete {{held}}", user="demo"),
    Row(f"{V} volume attachment show {{held}}", 1, "No Attachment found", user="demo"),
    Row(
        f"{V} volume attachment create papers --server holder --connect --initiator iqn.x --ip 10.0.0.9 --host vm-1"
        f" --platform x86_64 --os-type linux2 --multipath --mountpoint /dev/vdb {ID}",
        keep="held",
        user="demo",
    ),
    Row(f"{V} volume attachment delete {{held}}", user="demo"),
    Row(
        f"{V} volume attachment create papers --server holder --connect --host vm-1 --no-multipath {ID}",
        keep="held",
        user="demo",
    ),
    Row(f"{V} volume attachment set --multipath {{held}}", shows="attaching", user="demo"),
    Row(f"{V} volume attachment delete {{held}}", user="demo"),
    Row("--os-volume-api-version 3.26 volume attachment list", 1, "3.27", user="demo"),
    Row("server delete --wait holder", user="demo"),
]

TRANSFERS = [
    Row(f"{V} volume transfer request create --name gift --snapshots {ID} papers", keep="gift", user="demo"),
    Row("volume transfer request create papers", 1, "awaiting-transfer", user="demo"),
    Row("volume transfer request list", shows="gift", user="demo"),
    Row("volume transfer request list --all-projects"),
    Row("volume transfer request show gift", shows="gift", user="demo"),
    Row("volume transfer request accept --auth-key wrong {gift}", 1, "auth key"),
    Row("volume transfer request delete {gift}", user="demo"),
    Row("volume transfer request delete {gift}", 1, "404", user="demo"),
    Row(f"{V} volume transfer request create --no-snapshots -f value -c auth_key papers", keep="key", user="demo"),
    Row("volume transfer request list -f value -c ID", keep="gift", user="demo"),
    Row("volume transfer request accept --auth-key {key} {gift}", shows="{gift}"),
    Row("volume show papers", 1, "papers", user="demo"),
    Row("volume show papers", shows="available"),
]

HOSTS = [
    Row("volume service list", shows="cinder-volume"),
    Row(f"{V} volume service list --host {BACKEND} --service cinder-volume --long", shows="fake"),
    Row("volume service list", 1, "403", user="demo"),
    Row(f"volume service set --disable --disable-reason maintenance {BACKEND} cinder-volume"),
    Row("volume service list --long", shows="maintenance"),
    Row("volume create --size 1 nowhere", user="demo"),
    _status("nowhere", "error"),
    Row(f"{V} volume message list", shows="No back end can take the volume", user="demo"),
    Row(f"{V} volume message list --limit 1 -f value -c ID", keep="message", user="demo"),
    Row(f"{V} volume message list --limit 1 --marker {{message}}", user="demo"),
    Row(f"{V} volume message list --project demo --project-domain default", shows="No back end can take"),
    Row(f"{V} volume message show {{message}}", shows="{message}", user="demo"),
    Row(f"{V} volume message delete {{message}}", user="demo"),
    Row(f"{V} volume message delete {{message}}", 1, user="demo"),
    Row("--os-volume-api-version 3.2 volume message list", 1, "3.3", user="demo"),
    Row("volume delete nowhere", user="demo"),
    Row(f"volume service set --enable {BACKEND} cinder-volume"),
    Row(f"volume service set --disable {BACKEND} cinder-volume", 1, "403", user="demo"),
    Row("volume service set --enable nowhere cinder-volume", 1, "No Service found"),
    Row("volume backend pool list", shows="vm-1@fake#fake"),
    Row("volume backend pool list --long", shows="20.0"),
    Row("volume backend pool list", 1, "403", user="demo"),
]

QUOTAS = [
    Row("availability zone list --volume", shows="nova", user="demo"),
    Row("extension list --volume", user="demo"),
    Row("limits show --absolute", shows="max_total_volumes", user="demo"),
    Row("quota show --volume", shows="gigabytes", user="demo"),
    Row("quota show --volume --default", shows="gigabytes", user="demo"),
    Row("quota show --volume --usage", shows="In Use", user="demo"),
    Row(
        "quota set --volumes 20 --gigabytes 500 --snapshots 30 --backups 5 --backup-gigabytes 50 --groups 3"
        " --per-volume-gigabytes 100 demo"
    ),
    Row("quota set --volumes 3 --volume-type silver demo"),
    Row("quota list --volume", shows="500"),
    Row("volume create --size 101 large", 1, "Quota exceeded for per_volume_gigabytes", user="demo"),
    Row("quota set --volumes 3 demo", 1, "403", user="demo"),
    Row("quota delete --volume demo"),
    Row("quota show --volume", shows="1000", user="demo"),
]

ENDS = [
    Row("volume set --read-write boot", user="demo"),
    Row("volume type delete silver", 1, "there are volumes of it"),
    Row("volume delete boot copy beside restored", user="demo"),
    Row("volume delete --cascade {data}"),
    Row(f"volume create --size 1 {ID} last", keep="last", user="demo"),
    Row("volume delete --force last", 1, "403", user="demo"),
    Row("volume delete --force {last}"),
    Row("volume delete nothing", 1, "nothing", user="demo"),
    Row("volume show beside", 1, "No Volume found", user="demo", eventually=True),
    Row("volume show copy", 1, "No Volume found", user="demo", eventually=True),
    Row("volume type delete silver"),
    Row("volume type delete nothing", 1, "nothing"),
]

LEFT_OUT = {
    "volume backup *": LATER,
    "volume group *": LATER,
    "consistency group *": LATER,
    "volume qos *": LATER,
    "volume migrate*": LATER,
    "volume host *": LATER,
    "block storage *": LATER,
    "volume backend capability show": LATER,
    "volume type * --encryption-*": "there is no key manager yet",
}

TABLE = Table(
    "block-storage",
    ("openstack.volume.v3",),
    TYPES + VOLUMES + SNAPSHOTS + ATTACHMENTS + TRANSFERS + HOSTS + QUOTAS + ENDS,
    LEFT_OUT,
)
