# Rally's scenarios for a cloud that exists, a few times each.
set -e
export HOME=$PWD
rally db create || rally db ensure
rally env create --name cloud --from-sysenv
rally env check
cat > task.json <<'TASK'
{
  "Authenticate.keystone": [{"runner": {"constant": {"times": 5, "concurrency": 2}}, "contexts": {"users": {"tenants": 1, "users_per_tenant": 1}}}],
  "NovaServers.boot_and_delete_server": [{"args": {"flavor": {"name": "m1.nano"}, "image": {"name": "demo-guest"}, "force_delete": false},
    "runner": {"constant": {"times": 3, "concurrency": 2}}, "contexts": {"users": {"tenants": 1, "users_per_tenant": 1}, "network": {}}}],
  "NeutronNetworks.create_and_list_networks": [{"runner": {"constant": {"times": 3, "concurrency": 2}}, "contexts": {"users": {"tenants": 1, "users_per_tenant": 1}, "quotas": {"neutron": {"network": -1}}}}],
  "KeystoneBasic.create_and_list_users": [{"args": {}, "runner": {"constant": {"times": 3, "concurrency": 2}}}],
  "GlanceImages.list_images": [{"runner": {"constant": {"times": 3, "concurrency": 2}}, "contexts": {"users": {"tenants": 1, "users_per_tenant": 1}}}]
}
TASK
rally task start task.json
rally task report --json --out report.json
python - <<'CHECK'
import json
report = json.load(open("report.json"))
failed = [each for task in report["tasks"] for sub in task["subtasks"] for load in sub["workloads"]
          for each in load["data"] if each["error"]]
assert not failed, failed[0]["error"]
CHECK
