"""What the stock client types at the network service, row by row, and how each command has to end.

Rows run in order, on a fresh simulated cloud of two hosts, `vm-1` and `vm-2`. `keep` names what the command prints, for
later rows to use as `{name}`; `shows` is text the output (or, of a refused command, the error) must hold.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    command: str
    status: int = 0
    shows: str = ""
    keep: str = ""
    user: str = "admin"


ID = "-f value -c id"

NETWORKS = [
    Row(f"network create {ID} plain", keep="plain", user="demo"),
    Row(
        "network create --share --enable --description text --mtu 1400 --enable-port-security --internal"
        " --availability-zone-hint nova --dns-domain example.org. --tag red --tag blue full",
        shows="example.org.",
    ),
    Row(
        "network create --external --default --provider-network-type flat --provider-physical-network provider"
        " --no-share --disable-port-security outside",
        shows="flat",
    ),
    Row("network create --provider-network-type vxlan --provider-segment 900 tunnel", shows="900"),
    Row("network create --provider-network-type local --disable --project demo local", shows="DOWN"),
    Row("network create --provider-network-type vxlan --provider-segment 900 again", 1, "tunnel ID 900 is in use"),
    Row("network create --external --default second", 1, "default external network already exists"),
    Row("network create --availability-zone-hint mars far", 1, "AvailabilityZone mars could not be found"),
    Row("network create --share mine", 1, "403", user="demo"),
    Row("network list", shows="plain"),
    Row("network list --external --long", shows="outside"),
    Row("network list --internal"),
    Row("network list --name full", shows="full"),
    Row("network list --enable"),
    Row("network list --disable", shows="local"),
    Row("network list --project demo", shows="local"),
    Row("network list --share", shows="full"),
    Row("network list --no-share"),
    Row("network list --status ACTIVE", shows="plain"),
    Row("network list --provider-network-type flat --provider-physical-network provider", shows="outside"),
    Row("network list --provider-segment 900", shows="tunnel"),
    Row("network list --tags red,blue", shows="full"),
    Row("network list --any-tags red,green", shows="full"),
    Row("network list --not-tags red,blue", shows="plain"),
    Row("network list --not-any-tags red", shows="plain"),
    Row("network list --limit 1"),
    Row("network list --limit 2 --max-items 3 --marker {plain}"),
    Row("network list --sort-column Name --sort-descending"),
    Row(
        "network set --name fuller --disable --no-share --description more --mtu 1300 --disable-port-security"
        " --dns-domain example.com. --tag green full",
    ),
    Row("network show -f value -c mtu -c dns_domain fuller", shows="1300"),
    Row("network set --enable --share --enable-port-security --internal --no-tag --tag one fuller"),
    Row("network set --provider-network-type gre fuller", 1, "does not support updating"),
    Row("network set --no-default outside"),
    Row("network set --default outside"),
    Row("network unset --tag one fuller"),
    Row("network unset --all-tag fuller"),
    Row("network show outside", shows="provider:physical_network"),
    Row("network show nothing", 1, "No Network found for nothing"),
    Row("network show plain", shows="plain", user="demo"),
    Row("network delete tunnel local"),
    Row("network delete nothing", 1),
]

SUBNETS = [
    Row(f"subnet create --network plain --subnet-range 10.1.0.0/24 {ID} first", keep="first", user="demo"),
    Row(
        "subnet create --network plain --subnet-range 10.2.0.0/24 --no-dhcp --gateway 10.2.0.254 --ip-version 4"
        " --description text --allocation-pool start=10.2.0.10,end=10.2.0.20 --dns-nameserver 9.9.9.9"
        " --host-route destination=10.9.0.0/16,gateway=10.2.0.3 --service-type compute:nova --tag red"
        " --dns-publish-fixed-ip second",
        shows="10.2.0.10-10.2.0.20",
        user="demo",
    ),
    Row("subnet create --network plain --subnet-range 10.3.0.0/24 --gateway none third", user="demo"),
    Row(
        "subnet create --network plain --ip-version 6 --subnet-range fd00:1::/64 --ipv6-ra-mode slaac"
        " --ipv6-address-mode slaac six",
        shows="slaac",
        user="demo",
    ),
    Row(
        "subnet create --network outside --subnet-range 172.24.4.0/24 --no-dhcp --gateway 172.24.4.1"
        " --allocation-pool start=172.24.4.10,end=172.24.4.99 outside-v4"
    ),
    Row("subnet create --network plain --subnet-range 10.1.0.128/25 clash", 1, "overlaps", user="demo"),
    Row("subnet create --network plain --prefix-length 26 pool", 1, "subnet pools are not served", user="demo"),
    Row("subnet list", shows="first"),
    Row("subnet list --long --ip-version 6", shows="six"),
    Row("subnet list --dhcp"),
    Row("subnet list --no-dhcp", shows="second"),
    Row("subnet list --service-type compute:nova", shows="second"),
    Row("subnet list --project demo --network plain --gateway 10.1.0.1 --name first", shows="first"),
    Row("subnet list --subnet-range 10.3.0.0/24", shows="third"),
    Row("subnet list --tags red", shows="second"),
    Row("subnet list --any-tags red --limit 1"),
    Row("subnet list --not-tags red"),
    Row("subnet list --not-any-tags red"),
    Row(
        "subnet set --name renamed --dhcp --gateway 10.2.0.1 --description more --allocation-pool"
        " start=10.2.0.30,end=10.2.0.40 --dns-nameserver 8.8.8.8 --host-route destination=10.8.0.0/16,gateway=10.2.0.4"
        " --service-type compute:foo --tag green --no-dns-publish-fixed-ip second",
    ),
    Row("subnet show -f value -c allocation_pools renamed", shows="10.2.0.40"),
    Row("subnet set --no-allocation-pool --allocation-pool start=10.2.0.50,end=10.2.0.60 renamed"),
    Row("subnet set --no-dns-nameservers --no-host-route --no-tag renamed"),
    Row("subnet set --dns-nameserver 8.8.4.4 --host-route destination=10.8.0.0/16,gateway=10.2.0.4 --tag x renamed"),
    Row(
        "subnet unset --allocation-pool start=10.2.0.50,end=10.2.0.60 --dns-nameserver 8.8.4.4"
        " --host-route destination=10.8.0.0/16,gateway=10.2.0.4 --service-type compute:foo --tag x renamed",
    ),
    Row("subnet unset --gateway --all-tag renamed"),
    Row("subnet show renamed", shows="compute:nova"),
    Row("subnet delete renamed third"),
]

GROUPS = [
    Row("security group list", shows="default", user="demo"),
    Row(f"security group create --description text --stateful --tag red {ID} web", keep="web", user="demo"),
    Row("security group create --stateless --project demo loose", shows="False"),
    Row("security group create default", 1, "Default security group already exists", user="demo"),
    Row("security group list --project demo", shows="loose"),
    Row("security group list --share"),
    Row("security group list --no-share", shows="web"),
    Row("security group list --tags red --limit 5", shows="web"),
    Row("security group list --any-tags red"),
    Row("security group list --not-tags red"),
    Row("security group list --not-any-tags red"),
    Row("security group set --name www --description more --tag green web", user="demo"),
    Row("security group set --stateful loose"),
    Row("security group set --no-tag www", user="demo"),
    Row("security group unset --all-tag www", user="demo"),
    Row("security group show www", shows="www", user="demo"),
    Row(
        f"security group rule create --protocol tcp --dst-port 80:81 --remote-ip 10.0.0.0/8 --ingress {ID} www",
        keep="rule",
        user="demo",
    ),
    Row("security group rule create --protocol tcp --dst-port 80:81 --remote-ip 10.0.0.0/8 www", 1, "already exists"),
    Row("security group rule create --protocol icmp --icmp-type 8 --icmp-code 0 --egress www", user="demo"),
    Row("security group rule create --ethertype IPv6 --protocol ipv6-icmp --remote-group www www", user="demo"),
    Row("security group rule create --protocol 89 --description text www", shows="89", user="demo"),
    Row("security group rule create --protocol any www", user="demo"),
    Row("security group rule create --dst-port 80 --protocol ospf www", 1, "400", user="demo"),
    Row("security group rule list www", shows="80:81", user="demo"),
    Row("security group rule list --protocol tcp --ethertype IPv4 --ingress --long www", shows="80:81", user="demo"),
    Row("security group rule list --egress", user="demo"),
    Row("security group rule list --project demo --limit 3"),
    Row("security group rule show {rule}", shows="10.0.0.0/8", user="demo"),
    Row("security group rule delete {rule}", user="demo"),
    Row("security group rule show {rule}", 1, user="demo"),
    Row("security group delete loose"),
    Row("security group delete default", 1, user="demo"),
]

PORTS = [
    Row("port create --network plain --fixed-ip subnet=first,ip-address=10.1.0.5 eth0", shows="10.1.0.5", user="demo"),
    Row(
        "port create --network plain --description text --device dev --device-owner test:owner --vnic-type normal"
        " --mac-address fa:16:3e:00:00:42 --fixed-ip subnet=first,ip-address=10.1.0.42 --dns-name web"
        " --dns-domain example.org. --binding-profile key=value --enable --extra-dhcp-option name=mtu,value=1400"
        " --extra-dhcp-option name=x,value=y,ip-version=6 --security-group www --enable-port-security"
        " --allowed-address ip-address=10.1.0.50,mac-address=fa:16:3e:00:00:43 --tag red --project demo eth1",
        shows="10.1.0.42",
    ),
    Row("port create --network plain --no-fixed-ip --no-security-group --disable bare", user="demo"),
    Row("port create --network plain --disable-port-security --host vm-1 open", shows="bridge"),
    Row("port create --network plain --host nowhere lost", shows="binding_failed"),
    Row("port create --network plain --fixed-ip ip-address=10.1.0.42 taken", 1, "already allocated", user="demo"),
    Row("port create --network plain --host vm-1 mine", 1, "403", user="demo"),
    Row("port list", shows="eth1"),
    Row("port list --device-owner test:owner --long", shows="eth1"),
    Row("port list --host vm-1", shows="open"),
    Row("port list --network plain --mac-address fa:16:3e:00:00:42", shows="eth1"),
    Row("port list --device-id dev --name eth1 --project demo", shows="eth1"),
    Row("port list --security-group {web}", shows="eth1"),
    Row("port list --status DOWN", shows="bare"),
    Row("port list --fixed-ip subnet=first,ip-address=10.1.0.42", shows="eth1"),
    Row("port list --fixed-ip ip-substring=1.0.42", shows="eth1"),
    Row("port list --tags red", shows="eth1"),
    Row("port list --any-tags red,green --limit 1"),
    Row("port list --not-tags red --max-items 1"),
    Row("port list --not-any-tags red"),
    Row(
        "port set --description more --device other --device-owner test:else --vnic-type direct --dns-name www"
        " --dns-domain example.com. --disable --name eth2 --fixed-ip subnet=first,ip-address=10.1.0.43"
        " --binding-profile a=b --security-group default --allowed-address ip-address=10.1.0.51"
        " --extra-dhcp-option name=mtu,value=1300 --tag green eth1",
        1,
        "More than one SecurityGroup exists with the name 'default'",
    ),
    Row(
        "port set --description more --device other --device-owner test:else --vnic-type direct --dns-name www"
        " --dns-domain example.com. --disable --name eth2 --fixed-ip subnet=first,ip-address=10.1.0.43"
        " --binding-profile a=b --allowed-address ip-address=10.1.0.51"
        " --extra-dhcp-option name=mtu,value=1300 --tag green eth1",
    ),
    Row("port show eth2", shows="10.1.0.43"),
    Row("port set --host vm-2 --mac-address fa:16:3e:00:00:44 eth2"),
    Row("port set --no-fixed-ip --fixed-ip subnet=first eth2"),
    Row("port unset --allowed-address ip-address=10.1.0.51,mac-address=fa:16:3e:00:00:42 --binding-profile a eth2"),
    Row("port unset --security-group www --tag green --host --device --device-owner eth2"),
    Row("port set --no-security-group --no-allowed-address --no-binding-profile --no-tag eth2"),
    Row("port set --disable-port-security eth2"),
    Row("port set --enable-port-security --security-group www --enable eth2"),
    Row("port unset --all-tag eth2"),
    Row("port delete bare", user="demo"),
    Row("port delete open lost"),
    Row("port delete nothing", 1),
    Row("server list --all-projects"),
]

ROUTERS = [
    Row(
        "router create --enable --description text --availability-zone-hint nova --tag red --external-gateway outside"
        " --fixed-ip subnet=outside-v4,ip-address=172.24.4.50 --disable-snat --project demo edge",
        shows="172.24.4.50",
    ),
    Row("router create --disable --centralized --no-ha spare", shows="DOWN"),
    Row("router create --distributed far", 1, "not served"),
    Row("router create --ha far", 1, "not served"),
    Row("router list", shows="edge"),
    Row("router list --name edge --enable --long --project demo", shows="edge"),
    Row("router list --disable", shows="spare"),
    Row("router list --tags red --limit 1", shows="edge"),
    Row("router list --any-tags red"),
    Row("router list --not-tags red", shows="spare"),
    Row("router list --not-any-tags red", shows="spare"),
    Row("router add subnet edge first"),
    Row("router add subnet edge first", 1, "already has a port"),
    Row("port create --network plain --fixed-ip subnet=six leg", user="demo"),
    Row("router add port edge leg"),
    Row("router set --route destination=10.99.0.0/16,gateway=10.1.0.77 edge"),
    Row("router add route --route destination=10.98.0.0/16,gateway=10.1.0.77 edge"),
    Row("router show edge", shows="10.98.0.0/16"),
    Row("router set --route destination=10.97.0.0/16,gateway=10.200.0.1 edge", 1, "not connected with router"),
    Row("router remove subnet edge first", 1, "required by one or more routes"),
    Row("router remove route --route destination=10.98.0.0/16,gateway=10.1.0.77 edge"),
    Row("router unset --route destination=10.99.0.0/16,gateway=10.1.0.77 edge"),
    Row("router set --no-route edge"),
    Row("router set --name rim --description more --disable --tag green edge"),
    Row("router set --enable --no-tag --enable-snat --external-gateway outside rim"),
    Row("router unset --external-gateway rim"),
    Row("router set --external-gateway outside --fixed-ip ip-address=172.24.4.51 rim"),
    Row("router show rim", shows="172.24.4.51"),
    Row("router unset --all-tag rim"),
    Row("router remove gateway rim outside", 1),
    Row("router set --external-gateway plain rim", 1, "400"),
    Row("router list --name rim", shows="rim", user="demo"),
]

FLOATING_IPS = [
    Row(
        f"floating ip create --subnet outside-v4 --port eth0 --fixed-ip-address 10.1.0.5 --description text"
        f" --dns-domain example.org. --dns-name www --tag red {ID} outside",
        keep="floating",
        user="demo",
    ),
    Row("floating ip create --floating-ip-address 172.24.4.77 --project demo outside", shows="172.24.4.77"),
    Row("floating ip create --floating-ip-address 172.24.4.77 outside", 1, "already allocated"),
    Row("floating ip create plain", 1, "400"),
    Row("floating ip list", shows="172.24.4.77"),
    Row("floating ip list --network outside --long", shows="172.24.4.77"),
    Row("floating ip list --port eth0 --fixed-ip-address 10.1.0.5 --router rim", shows="10.1.0.5"),
    Row("floating ip list --floating-ip-address 172.24.4.77 --status DOWN --project demo", shows="172.24.4.77"),
    Row("floating ip list --tags red --limit 3", shows="10.1.0.5"),
    Row("floating ip list --any-tags red"),
    Row("floating ip list --not-tags red", shows="172.24.4.77"),
    Row("floating ip list --not-any-tags red"),
    Row("floating ip show 172.24.4.77", shows="172.24.4.77"),
    Row("floating ip show {floating}", shows="10.1.0.5", user="demo"),
    Row("router unset --external-gateway rim", 1, "required by one or more floating IPs"),
    Row("floating ip unset --port {floating}", user="demo"),
    Row("floating ip set --port eth0 --description more --tag green {floating}", user="demo"),
    Row("floating ip set --port eth0 --fixed-ip-address 10.1.0.5 --no-tag {floating}", user="demo"),
    Row("floating ip unset --all-tag {floating}", user="demo"),
    Row("floating ip set --port eth0 172.24.4.77", 1, "already has a floating IP", user="demo"),
    Row("floating ip delete {floating} 172.24.4.77", user="demo"),
    Row("floating ip delete {floating}", 1, user="demo"),
]

AGENTS = [
    Row("network agent list", shows="neutron-l3-agent"),
    Row("network agent list --long"),
    Row("network agent list --agent-type dhcp --host vm-1", shows="DHCP agent"),
    Row("network agent list --network plain", shows="DHCP agent"),
    Row("network agent list --router rim", shows="L3 agent"),
    Row("network agent list --router rim --long", shows="L3 agent"),
    Row("network agent list --agent-type l3 --host vm-1 -f value -c ID", keep="l3"),
    Row("network agent list --agent-type l3 --host vm-2 -f value -c ID", keep="other_l3"),
    Row("network agent list --agent-type dhcp --host vm-1 -f value -c ID", keep="dhcp"),
    Row("network agent list --agent-type dhcp --host vm-2 -f value -c ID", keep="other_dhcp"),
    Row("network agent show {l3}", shows="vm-1"),
    Row("network agent set --description text --disable {l3}"),
    Row("network agent set --enable {l3}"),
    Row("network list --agent {dhcp}"),
    Row("network agent remove network --dhcp {dhcp} plain"),
    Row("network agent add network --dhcp {other_dhcp} fuller"),
    Row("router list --agent {l3}"),
    Row("router list --name rim -f value -c ID", keep="rim"),
    Row("network list --name plain -f value -c ID", keep="plain_id"),
    Row("network agent set --disable {other_l3}"),
    Row("network agent set --disable {other_dhcp}"),
    Row("network agent remove router --l3 {l3} rim"),
    Row("network agent set --enable {other_l3}"),
    Row("network agent set --enable {other_dhcp}"),
    Row("network agent list", 1, "403", user="demo"),
    Row("availability zone list --network --long", shows="nova"),
    Row("network service provider list"),
    Row("extension list --network", shows="standard-attr-tag"),
    Row("extension show quotas", shows="quotas"),
    Row("ip availability list", shows="plain"),
    Row("ip availability list --ip-version 6", shows="plain"),
    Row("ip availability list --project demo", shows="plain"),
    Row("ip availability show plain", shows="used_ips"),
]

QUOTAS = [
    Row("quota show --network", shows="routers"),
    Row("quota show --network --default demo"),
    Row("quota show --network --usage demo", shows="In Use"),
    Row(
        "quota set --networks 20 --subnets 21 --ports 22 --routers 3 --floating-ips 4 --secgroups 5"
        " --secgroup-rules 60 --router-routes 7 demo"
    ),
    Row("quota show --network demo", shows="22"),
    Row("quota list --network", shows="22"),
    Row("quota set --ports 1 demo", 1, "must be greater than or equal to already used"),
    Row("quota set --ports 1 --force demo"),
    Row("port create --network plain over", 1, "Quota exceeded for resources: ['port']", user="demo"),
    Row("quota set --ports 2 demo", 1, user="demo"),
    Row("quota show --network", shows="routers", user="demo"),
    Row("quota delete --network demo"),
    Row("port create --network plain under", user="demo"),
]

ENDS = [
    Row("router remove port rim leg"),
    Row("router remove subnet rim first"),
    Row("router remove subnet rim first", 1),
    Row("router delete rim spare"),
    Row("port delete eth0 eth2 under", user="demo"),
    Row("security group delete www", user="demo"),
    Row("subnet delete first six", user="demo"),
    Row("subnet delete outside-v4"),
    Row("network delete plain", user="demo"),
    Row("network delete outside fuller"),
    Row("port list -f value", shows=""),
    # Not part of this API yet: the client has to say so, and go on living.
    Row("address group list", 1),
    Row("network rbac list", 1),
    Row("network qos policy list", 1),
    Row("network trunk list", 1),
    Row("subnet pool list", 1),
    Row("network segment list", 1),
]

ROWS = NETWORKS + SUBNETS + GROUPS + PORTS + ROUTERS + FLOATING_IPS + AGENTS + QUOTAS + ENDS
