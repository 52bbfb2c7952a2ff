# mypy: ignore-errors
"""openstacksdk: its cloud layer, which Ansible and Nodepool use, and its proxies."""

import time
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
compute, server_id = cloud.compute, server["id"]
image_id = cloud.get_image("demo-guest")["id"]


def reached(status, task_state=None):
    """The server, once it has the status and nothing is going on."""
    for _ in range(120):
        shown = compute.get_server(server_id)
        assert shown.status != "ERROR", shown
        if shown.status == status and shown.task_state == task_state:
            return shown
        time.sleep(0.5)
    raise AssertionError((status, shown.status, shown.task_state))


def act(action, status, /, *arguments, **options):
    """One action on the server, up to the state that it leads to."""
    print(action)
    getattr(compute, action)(server_id, *arguments, **options)
    return reached(status)


compute.create_server_image(server_id, f"{N}-image", metadata={"made": "of a server"})
reached("ACTIVE")
act("backup_server", "ACTIVE", f"{N}-backup", "daily", 1)
act("pause_server", "PAUSED")
act("unpause_server", "ACTIVE")
act("suspend_server", "SUSPENDED")
act("resume_server", "ACTIVE")
act("rescue_server", "RESCUE")
act("unrescue_server", "ACTIVE")
# The older one names them otherwise.
if hasattr(compute, "trigger_server_crash_dump"):
    act("rebuild_server", "ACTIVE", image_id, name=f"{N}-server", metadata={"built": "twice"})
else:
    act("rebuild_server", "ACTIVE", f"{N}-server", "secret-1234", image=image_id)
act("shelve_server", "SHELVED_OFFLOADED")
act("unshelve_server", "ACTIVE")
(larger, *_) = [each for each in compute.flavors() if each.ram > 128 and each.ram < 4096]
for end in ("revert_server_resize", "confirm_server_resize"):
    act("resize_server", "VERIFY_RESIZE", larger.id)
    act(end, "ACTIVE")
act("migrate_server", "VERIFY_RESIZE")
act("confirm_server_resize", "ACTIVE")
act("lock_server", "ACTIVE")
act("unlock_server", "ACTIVE")
before = compute.get_server(server_id)
compute.live_migrate_server(server_id, block_migration="auto")
after = reached("ACTIVE")
assert after.hypervisor_hostname != before.hypervisor_hostname, after
if hasattr(compute, "migrations"):
    moves = [each.migration_type for each in compute.migrations() if each.server_id == server_id]
    assert moves == ["live-migration", "migration", "resize", "resize"], moves
    assert list(compute.server_migrations(server_id)) == []
    act("trigger_server_crash_dump", "ACTIVE")
    act("shelve_server", "SHELVED_OFFLOADED")
    act("unshelve_server", "ACTIVE", host=after.hypervisor_hostname)
    assert {each.action for each in compute.server_actions(server_id)} >= {"create", "rebuild", "live-migration"}
    print(compute.get_quota_set("demo").instances)
for name in (f"{N}-image", f"{N}-backup"):
    assert cloud.delete_image(name), name
cloud.delete_server(f"{N}-server", wait=True)
cloud.remove_router_interface(router, subnet_id=subnet["id"])
for delete, name in (
    (cloud.delete_router, f"{N}-router"),
    (cloud.delete_network, f"{N}-net"),
    (cloud.delete_security_group, f"{N}-group"),
):
    assert delete(name), name
