"""What a host's agent and a guest are told of a server's ports."""

from kilonova.compute.servers.specs import PortDetails, planned_ports
from kilonova.network.client import FixedIp, Network, Port, Subnet


def test_a_guest_is_told_how_its_ipv6_address_comes_about() -> None:
    network = Network(id="n", name="lan", project_id="p", mtu=1450)
    port = Port(
        id="6a0f5b7e-11aa",
        network_id="n",
        project_id="p",
        mac_address="fa:16:3e:00:00:01",
        status="ACTIVE",
        fixed_ips=(FixedIp("four", "10.0.0.2"), FixedIp("six", "fd00::f816:3eff:fe00:1")),
        device_id="server",
        device_owner="compute:nova",
        security_groups=(),
        revision_number=1,
    )
    four = Subnet("four", "n", 4, "10.0.0.0/24", "10.0.0.1", True, [], [])
    six = Subnet("six", "n", 6, "fd00::/64", "fd00::1", True, [], [], "slaac", "slaac")
    planned = planned_ports([PortDetails(port, network, {"four": four, "six": six}, ())])
    told = [(each["ip_address"], each["ipv6_address_mode"]) for each in planned.metadata[0].fixed_ips]
    assert told == [("10.0.0.2", None), ("fd00::f816:3eff:fe00:1", "slaac")]
