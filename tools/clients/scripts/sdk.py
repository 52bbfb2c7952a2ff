# mypy: ignore-errors
"""openstacksdk: its cloud layer, which Ansible and Nodepool use, and its proxies."""

from pathlib import Path

import openstack

N = Path.cwd().name.replace(".", "-")

cloud = openstack.connect()
print([each.name for each in cloud.list_images()], [each.name for each in cloud.list_flavors()])
network = cloud.create_network(f"{N}-net")
subnet = cloud.create_subnet(f"{N}-net", cidr="10.57.0.0/24", subnet_name=f"{N}-subnet")
router = cloud.create_router(f"{N}-router")
cloud.add_router_interface(router, subnet_id=subnet["id"])
group = cloud.create_security_group(f"{N}-group", "rules")
cloud.create_security_group_rule(f"{N}-group", port_range_min=22, port_range_max=22, protocol="tcp")
server = cloud.create_server(
    f"{N}-server",
    image="demo-guest",
    flavor="m1.nano",
    network=f"{N}-net",
    security_groups=[f"{N}-group"],
    wait=True,
    auto_ip=False,
)
print(server["status"], [each["name"] for each in cloud.list_servers()])
print(len(cloud.list_ports()), len(cloud.list_security_groups()), len(cloud.list_floating_ips()))
print([each.name for each in cloud.compute.servers()], [each.name for each in cloud.network.networks()])
print([each.name for each in cloud.identity.projects()], len(list(cloud.compute.hypervisors())))
cloud.get_compute_quotas("demo")
cloud.get_network_quotas("demo")
cloud.get_compute_limits()
cloud.delete_server(f"{N}-server", wait=True)
cloud.remove_router_interface(router, subnet_id=subnet["id"])
for delete, name in (
    (cloud.delete_router, f"{N}-router"),
    (cloud.delete_network, f"{N}-net"),
    (cloud.delete_security_group, f"{N}-group"),
):
    assert delete(name), name
