"""The commands of the compute service, but for those on servers."""

from tests.conformance.rows import ID, Row, Table
from tests.conformance.server_commands import LEFT_OUT as LEFT_OUT_ON_SERVERS
from tests.conformance.server_commands import SERVERS

FLAVORS = [
    Row("flavor create --ram 64 --disk 1 --vcpus 1 --id 42 tiny", shows="tiny"),
    Row(
        "flavor create --ram 128 --disk 2 --ephemeral 1 --swap 16 --vcpus 2 --private"
        " --property hw:cpu_policy=shared --project demo --project-domain default --description text small",
        shows="hw:cpu_policy='shared'",
    ),
    Row("flavor create --ram 64 --rxtx-factor 1.5 old", 1, "only supported until API microversion 2.101"),
    Row("flavor create --ram 64 --disk 0 --vcpus 1 --public --id 43 bare", shows="True"),
    Row("flavor create --ram 64 --vcpus 1 --public --project demo open", 1),
    Row("flavor create --ram 64 tiny", 1, "409"),
    Row("flavor create --ram 0 none", 1, "400"),
    Row("flavor create mine", 1, "403", user="demo"),
    Row("flavor list", shows="tiny"),
    Row("flavor list", shows="small", user="demo"),
    Row("flavor list --public", shows="bare"),
    Row("flavor list --private", shows="small"),
    Row("flavor list --all --long", shows="hw:cpu_policy"),
    Row("flavor list --min-disk 2 --min-ram 100 --all", shows="small"),
    Row("flavor list --limit 1 --marker 42 --max-items 1", shows="bare"),
    Row("flavor set --property hw:mem_page_size=small --description more tiny"),
    Row("flavor show tiny", shows="hw:mem_page_size='small'"),
    Row("flavor set --no-property --property hw_rng:allowed=true tiny"),
    Row("flavor unset --property hw_rng:allowed tiny"),
    # The client takes "not found" for done.
    Row("flavor unset --property nothing tiny"),
    Row("flavor set --project admin --project-domain default small"),
    Row("flavor set --project admin small", 1, "409"),
    Row("flavor unset --project admin --project-domain default small"),
    Row("flavor show small", shows="access_project_ids"),
    Row("flavor show nothing", 1, "nothing"),
    Row("flavor set --description mine tiny", 1, "403", user="demo"),
]

KEYPAIRS = [
    Row("keypair create --public-key key.pub --type ssh ada", shows="fingerprint", user="demo"),
    Row("keypair create --private-key generated.pem bob", shows="bob", user="demo"),
    Row("keypair create printed", shows="PRIVATE KEY", user="demo"),
    Row("keypair create --public-key key.pub ada", 1, "409", user="demo"),
    Row("keypair create --public-key user-data broken", 1, "400", user="demo"),
    Row("keypair create --public-key key.pub --user demo --user-domain default given", shows="given"),
    Row("keypair create --public-key key.pub --user admin mine", 1, user="demo"),
    Row("keypair list", shows="given", user="demo"),
    Row("keypair list --user demo --user-domain default", shows="given"),
    Row("keypair list --project demo --project-domain default", shows="given"),
    Row("keypair list --limit 1 --marker ada --max-items 1", user="demo"),
    Row("keypair show ada", shows="fingerprint", user="demo"),
    Row("keypair show --public-key ada", shows="ssh-ed25519", user="demo"),
    Row("keypair show --user demo --user-domain default given", shows="given"),
    Row("keypair show nothing", 1, "nothing", user="demo"),
    Row("keypair delete --user demo --user-domain default given"),
    Row("keypair delete bob printed", user="demo"),
    Row("keypair delete bob", 1, user="demo"),
]

SERVER_GROUPS = [
    Row(
        f"server group create --policy anti-affinity --rule max_server_per_host=2 {ID} apart", keep="apart", user="demo"
    ),
    Row("server group create --policy affinity together", shows="affinity", user="demo"),
    Row("server group create --policy soft-affinity near", shows="soft-affinity", user="demo"),
    Row("server group create --policy affinity --rule max_server_per_host=2 wrong", 1, "400", user="demo"),
    Row("server group list", shows="apart", user="demo"),
    Row("server group list --long", shows="Members", user="demo"),
    Row("server group list --all-projects --limit 1 --offset 1 --max-items 1"),
    Row("server group show apart", shows="anti-affinity", user="demo"),
    Row("server group show nothing", 1, "nothing", user="demo"),
    Row("server group delete near", user="demo"),
    Row("server group delete near", 1, user="demo"),
]

HOSTS = [
    Row("compute service list", shows="nova-compute"),
    Row("compute service list --host vm-1 --service nova-compute --long", shows="vm-1"),
    Row("compute service list", 1, "403", user="demo"),
    Row("compute service set --disable --disable-reason maintenance vm-2 nova-compute"),
    Row("compute service list --long", shows="maintenance"),
    Row("compute service set --enable vm-2 nova-compute"),
    Row("compute service set --down vm-2 nova-compute"),
    Row("compute service list --host vm-2", shows="down"),
    Row("compute service set --up vm-2 nova-compute"),
    Row("compute service set --enable nowhere nova-compute", 1),
    Row("compute service set --disable-reason why vm-2 nova-compute", 1, "--disable"),
    Row("compute service delete 7b5e4a52-9d51-4d7e-8a52-0d5c2f6a4e01", 1, "404"),
    Row("hypervisor list", shows="vm-1"),
    Row("hypervisor list --long", shows="fake"),
    Row("hypervisor list --matching vm-2", shows="vm-2"),
    Row("hypervisor list --limit 1 -f value -c ID", keep="hypervisor"),
    Row("hypervisor list --limit 1 --marker {hypervisor} --max-items 1", shows="vm-"),
    Row("hypervisor show vm-1", shows="fake"),
    Row("hypervisor show nowhere", 1, "nowhere"),
    Row("hypervisor list", 1, "403", user="demo"),
    Row("hypervisor stats show", shows="running_vms"),
    Row("availability zone list --compute", shows="nova", user="demo"),
    Row("availability zone list --compute --long", shows="vm-1"),
    Row("aggregate create --zone west --property rack=1 first", shows="west"),
    Row("aggregate create plain", shows="plain"),
    Row("aggregate create first", 1, "409"),
    Row("aggregate add host first vm-2", shows="vm-2"),
    Row("aggregate add host first vm-2", 1, "409"),
    Row("aggregate add host first nowhere", 1, "404"),
    Row("aggregate list", shows="first"),
    Row("aggregate list --long --availability-zone west --host vm-2", shows="rack"),
    Row("availability zone list", shows="west"),
    Row("aggregate set --name second --zone east --property rack=2 first"),
    Row("aggregate delete second", 1, "not empty"),
    Row("aggregate remove host second vm-2", shows="east"),
    Row("aggregate remove host second vm-2", 1, "404"),
    Row("aggregate set --no-property --property row=3 second"),
    Row("aggregate show second", shows="row"),
    Row("aggregate unset --property row second"),
    Row("aggregate show nothing", 1, "nothing"),
    Row("aggregate delete first", 1),
    Row("aggregate delete second plain"),
    Row("aggregate list", 1, "403", user="demo"),
]

USAGE = [
    Row("usage list", shows="Servers"),
    Row("usage list --start 2020-01-01 --end 2030-01-01"),
    Row("usage show --project demo --project-domain default", shows="CPU Hours"),
    Row("usage show --start 2020-01-01 --end 2030-01-01", user="demo"),
    Row("usage list", 1, "403", user="demo"),
    Row("limits show --absolute", shows="total_cores", user="demo"),
    Row("limits show --absolute --reserved --project demo --domain default", shows="total_cores"),
    Row("limits show --absolute --project demo --project-domain default", shows="total_cores"),
    Row("limits show --rate", user="demo"),
    Row("quota show --compute", shows="cores", user="demo"),
    Row("quota show --default --compute", shows="cores"),
    Row("quota show --usage --compute demo", shows="In Use"),
    Row("quota show --all demo", shows="routers"),
    Row(
        "quota set --cores 10 --instances 5 --key-pairs 6 --properties 7 --ram 8192 --server-groups 3"
        " --server-group-members 4 demo"
    ),
    Row("quota set --cores 12 --no-force demo"),
    Row("quota list --compute", shows="8192"),
    Row("server create --image plain --flavor tiny --network inside one", user="demo"),
    Row("quota set --instances 0 demo", 1, "must be greater than or equal to already used"),
    Row("quota set --instances 0 --force demo"),
    Row("server create --image plain --flavor tiny --network inside over", 1, "Quota exceeded", user="demo"),
    Row("server delete one", user="demo"),
    Row("quota set --cores 3 demo", 1, "403", user="demo"),
    Row("quota delete --compute demo"),
    Row("quota delete --all demo"),
    Row("quota delete demo"),
    Row("quota set --default --cores 30"),
    Row("quota set --class --cores 20 default"),
    Row("versions show --service compute", shows="2.104", user="demo"),
]

ENDS = [
    Row("server group delete apart together", user="demo"),
    Row("flavor delete tiny small bare"),
    Row("flavor delete tiny", 1, "tiny"),
    Row("keypair delete ada", user="demo"),
    # Not part of this API yet, or no longer: the client has to say so, and go on living.
    Row("host list", shows="vm-1"),
    Row("host list --zone nova", shows="compute"),
    Row("host show vm-1", shows="(total)"),
    Row("compute agent list", 1),
    Row("aggregate create --property purpose=cache ahead", shows="ahead"),
    Row("aggregate add host ahead vm-1", shows="vm-1"),
    Row("aggregate cache image ahead plain"),
    Row("aggregate cache image ahead nothing", 1, "nothing"),
    Row("console url show plain", 1, "plain"),
    Row("console connection show plain", 1),
]

LEFT_OUT = {
    **LEFT_OUT_ON_SERVERS,
    "compute agent *": "removed from the API",
    "host set": "removed from the API",
    "quota set --injected-*": "files are no longer injected",
}

TABLE = Table(
    "compute",
    ("openstack.compute.v2",),
    FLAVORS + KEYPAIRS + SERVER_GROUPS + HOSTS + SERVERS + USAGE + ENDS,
    LEFT_OUT,
)
