# mypy: ignore-errors
"""shade, the library that was before openstacksdk's cloud layer."""

from pathlib import Path

import shade

N = Path.cwd().name.replace(".", "-")

cloud = shade.openstack_cloud()
print([each.name for each in cloud.list_images()], [each.name for each in cloud.list_flavors()])
cloud.create_network(f"{N}-net")
cloud.create_subnet(f"{N}-net", cidr="10.58.0.0/24", subnet_name=f"{N}-subnet")
server = cloud.create_server(
    f"{N}-server", image="demo-guest", flavor="m1.nano", network=f"{N}-net", wait=True, auto_ip=False
)
print(server["status"], [each["name"] for each in cloud.list_servers()])
cloud.create_keypair(f"{N}-key")
cloud.delete_keypair(f"{N}-key")
cloud.delete_server(f"{N}-server", wait=True)
cloud.delete_network(f"{N}-net")
