# mypy: ignore-errors
"""Apache Libcloud's OpenStack driver, in the version of the API that it takes by default."""

import os
import time
from pathlib import Path

from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

N = Path.cwd().name.replace(".", "-")
driver = get_driver(Provider.OPENSTACK)(
    os.environ["OS_USERNAME"],
    os.environ["OS_PASSWORD"],
    ex_force_auth_url=os.environ["OS_AUTH_URL"].removesuffix("/v3"),
    ex_force_auth_version="3.x_password",
    ex_tenant_name=os.environ["OS_PROJECT_NAME"],
    ex_force_service_region=os.environ.get("OS_REGION_NAME"),
)
sizes, images, networks = driver.list_sizes(), driver.list_images(), driver.ex_list_networks()
print([each.name for each in sizes], [each.name for each in images], [each.name for each in networks])
size = next(each for each in sizes if each.name == "m1.nano")
image = next(each for each in images if each.name == "demo-guest")
network = next(each for each in networks if each.name == "demo-net")
node = driver.create_node(name=f"{N}-node", size=size, image=image, networks=[network])
for _ in range(50):
    found = next(each for each in driver.list_nodes() if each.id == node.id)
    if found.state == "running":
        break
    time.sleep(0.2)
assert found.state == "running", found.state
print(
    driver.ex_list_security_groups(), driver.ex_list_floating_ips() if hasattr(driver, "ex_list_floating_ips") else ""
)
print(driver.list_key_pairs(), driver.ex_get_node_details(node.id).name)
assert driver.destroy_node(node)
