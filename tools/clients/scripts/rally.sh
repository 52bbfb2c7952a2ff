# Rally's scenarios for a cloud that exists, a few times each.
set -e
# Its records lie where temporary files do.
export HOME=$PWD TMPDIR=$PWD
rally db create
rally env create --name cloud --from-sysenv
rally env check
python - > task.json <<'TASK'
import json
image, flavor = {"name": "demo-guest"}, {"name": "m1.nano"}
guest = {"flavor": flavor, "image": image}
users = {"users": {"tenants": 1, "users_per_tenant": 1}}
scenarios = {
    "Authenticate.keystone": ({}, users),
    "Authenticate.validate_glance": ({"repetitions": 1}, users),
    "Authenticate.validate_neutron": ({"repetitions": 1}, users),
    "Authenticate.validate_nova": ({"repetitions": 1}, users),
    "NovaServers.boot_and_delete_server": ({**guest, "force_delete": False}, {**users, "network": {}}),
    "NovaServers.pause_and_unpause_server": (guest, {**users, "network": {}}),
    "NovaServers.boot_and_bounce_server": (
        {**guest, "actions": [{"stop_start": 1}, {"hard_reboot": 1}]}, {**users, "network": {}}),
    "NovaServers.boot_server_associate_and_dissociate_floating_ip": (
        {**guest, "floating_network": "provider"}, {**users, "network": {}}),
    "NovaKeypair.create_and_delete_keypair": ({}, users),
    "NovaFlavors.list_flavors": ({}, users),
    "NovaHypervisors.statistics_hypervisors": ({}, {}),
    "NovaServices.list_services": ({}, {}),
    "Quotas.nova_update": ({"max_quota": 64}, users),
    "Quotas.neutron_update": ({"max_quota": 64}, users),
    "NeutronNetworks.create_and_list_networks": ({}, {**users, "quotas": {"neutron": {"network": -1}}}),
    "NeutronNetworks.create_and_delete_routers": (
        {"subnets_per_network": 1}, {**users, "quotas": {"neutron": dict.fromkeys(("network", "subnet", "router", "port"), -1)}}),
    "NeutronSecurityGroup.create_and_delete_security_group_rule": ({}, users),
    "KeystoneBasic.create_and_list_users": ({}, {}),
    "KeystoneBasic.create_update_and_delete_tenant": ({}, {}),
    "KeystoneBasic.create_user_set_enabled_and_delete": ({"enabled": True}, {}),
    "KeystoneBasic.get_entities": ({}, {}),
    "GlanceImages.list_images": ({}, users),
}
runner = {"type": "constant", "times": 3, "concurrency": 2}
print(json.dumps({name: [{"args": args, "runner": runner, "context": context}] for name, (args, context) in scenarios.items()}))
TASK
rally task start task.json
rally task report --json --out report.json
python - <<'CHECK'
import json
report = json.load(open("report.json"))
loads = [load for task in report["tasks"] for sub in task["subtasks"] for load in sub["workloads"]]
failed = [f"{load['name']}: {each['error']}" for load in loads for each in load["data"] if each["error"]]
failed += [load["name"] for load in loads if len(load["data"]) < 3]
assert loads and not failed, "\n".join(failed)
CHECK
