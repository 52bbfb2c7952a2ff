# mypy: ignore-errors
"""Horizon: every panel of the services that exist, everything that its pages link to, and what people do there first.

As admin and as a member: the panels, the pages and forms behind them, what the pages' scripts ask of Horizon, and then
the usual things by forms and by scripts. A page that is not 200, shows an error, or hides a failed request, fails it.
"""

import os
import re
import sys
import time
import traceback
from html import unescape
from pathlib import Path

import dashboard

dashboard.start()

N = Path.cwd().name.replace(".", "-")
KEY = Path("key.pub").read_text().strip()
ID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
PANEL = re.compile(r'<a class="[^"]*openstack-panel[^"]*" href="([^"]+)"')
LINK = re.compile(r'href="(/(?:project|admin|identity|settings)[^"#]*)"|data-update-url="([^"]+)"')
PROJECT = {
    f"/project/{each}"
    for each in (
        "",
        *("api_access/", "instances/", "images/", "key_pairs/", "server_groups/", "network_topology/", "networks/"),
        *("routers/", "security_groups/", "floating_ips/"),
    )
}
ADMIN = {
    f"/admin/{each}"
    for each in (
        "",
        *("hypervisors/", "aggregates/", "instances/", "flavors/", "images/", "networks/", "routers/"),
        *("floating_ips/", "defaults/", "metadata_defs/", "info/"),
    )
} | {"/identity/groups/", "/identity/roles/"}
IDENTITY = {f"/identity/{each}" for each in ("", "users/", "application_credentials/")}
ABSENT = re.compile(r"volume|backup|snapshot|containers|trunks|qos|rbac|portforwarding|identity_providers|mappings")
HORIZONS_OWN = (
    # It tries the domain first that a user was made in, and takes a project when there is no role there.
    (r"/auth/login/", r"asked POST /v3/auth/tokens: 401"),
    # Shown after a credential was made, from what is in the session.
    (r"application_credentials/success/", r"status 500"),
    # A row that changes is fetched without the name of its network, which the column takes for granted.
    (r"routers/.*action=row_update", r"status 500"),
    # 27.0 takes the answer's place instead of the quotas out of it.
    (r"/update_quotas/", r"Unable to retrieve Neutron quota.*invalid literal for int"),
    # 27.0 cannot fetch the definitions of no namespace at all.
    (r"/metadefs/namespaces/\?resource_type", r"max_workers must be greater than zero"),
    # A member's page of the project asks for the administrator's session.
    (r"/identity/[0-9a-f]{32}/detail/", r"Unauthorized"),
)
"""What is wrong whatever the cloud answers: pairs of patterns, of the page and of what is said."""


def walk(browser, page: str) -> None:
    """Opens every page that can be reached by links, one of each shape."""
    seen, waiting = set(), PANEL.findall(page)
    while waiting:
        path = waiting.pop(0)
        shape = re.sub(r"next=[^&]*", "", ID.sub("{}", path))
        if shape in seen or "logout" in path:
            continue
        seen.add(shape)
        waiting += [unescape(each) for found in LINK.findall(browser.open(path)) for each in found if each]
    print(f"{len(seen)} pages")


def check_panels(browser, page: str, wanted: set[str]) -> None:
    panels = set(PANEL.findall(page))
    for missing in sorted(wanted - panels):
        browser.note("the menu", f"has no {missing}")
    for each in sorted(panels):
        if ABSENT.search(each):
            browser.note("the menu", f"has {each}, which there is no service for")


def ask(browser, project_id: str, *, is_admin: bool) -> None:
    """What the scripts of the pages fetch."""
    parts = """nova/keypairs/ nova/availzones/ nova/limits/ nova/servers/ nova/flavors/ nova/flavors/?get_extras=true
        nova/servergroups/ nova/quota-sets/editable/ nova/features/locked_attribute/ neutron/networks/ neutron/ports/
        neutron/extensions/ network/securitygroups/ network/floatingips/ network/floatingippools/ keystone/version/
        keystone/default_domain/ keystone/svc-catalog/ keystone/user-session/ glance/version/
        glance/images/ glance/images/?paginate=true&sort_dir=asc&sort_key=name
        glance/metadefs/namespaces/?resource_type=OS::Nova::Server glance/metadefs/resourcetypes/ settings/
        timezones/""".split()
    if is_admin:
        parts += """nova/services/ nova/quota-sets/defaults/ nova/flavors/?is_public=null neutron/agents/
            keystone/users/ keystone/roles/ keystone/domains/ keystone/services/
            keystone/groups/ keystone/projects/""".split()
    for part in parts:
        browser.rest("GET", f"/api/{part}")
    network = browser.rest("GET", "/api/neutron/networks/")["items"][0]
    browser.rest("GET", f"/api/neutron/subnets/?network_id={network['id']}")
    image = browser.rest("GET", "/api/glance/images/")["items"][0]
    browser.rest("GET", f"/api/glance/images/{image['id']}/")
    browser.rest("GET", f"/api/glance/images/{image['id']}/properties/")
    flavor = browser.rest("GET", "/api/nova/flavors/")["items"][0]
    browser.rest("GET", f"/api/nova/flavors/{flavor['id']}/extra-specs/")
    rules = [["compute", "os_compute_api:servers:create"], ["network", "create_network"]]
    browser.rest("POST", "/api/policy/", {"rules": rules})
    browser.rest("GET", f"/api/keystone/projects/{project_id}") if is_admin else None


def act(browser, path: str, table: str, action: str, thing: str) -> None:
    """A button of a row of a table."""
    page = browser.post(path, {"action": f"{table}__{action}__{thing}"})
    if not re.search(r'class="alert alert-(success|info)', page):
        browser.note(f"POST {path}", f"{action} of {table} {thing} was not confirmed")


def thing_of(browser, part: str, name: str) -> dict:
    (found,) = (each for each in browser.rest("GET", f"/api/{part}/")["items"] if each["name"] == name)
    return found


def wait_for(browser, server_id: str, status: str) -> None:
    deadline = time.monotonic() + 30
    while (found := browser.rest("GET", f"/api/nova/servers/{server_id}")["status"]) != status:
        if time.monotonic() > deadline or found == "ERROR":
            browser.note("the server", f"is {found}, not {status}")
            return
        time.sleep(0.2)


def use_network(browser) -> tuple[str, str]:
    """A network with a router, a group with a rule, a floating IP; ids of the network and of the router."""
    network = {"net_name": f"{N}-net", "with_subnet": "on", "subnet_name": f"{N}-subnet", "cidr": "10.61.0.0/24"}
    browser.submit("/project/networks/create", {**network, "enable_dhcp": "on", "admin_state": "on"})
    network_id = thing_of(browser, "neutron/networks", f"{N}-net")["id"]
    browser.submit(f"/project/networks/{network_id}/update", {"name": f"{N}-net", "admin_state": "on"})
    external = max(browser.form("/project/routers/create/", {"external_network"}).choices["external_network"])
    browser.submit("/project/routers/create/", {"name": f"{N}-router", "external_network": external})
    page = browser.open("/project/routers/")
    (router_id,) = re.findall(rf'href="/project/routers/({ID.pattern})/"[^>]*>\s*{N}-router', page)
    interface = browser.form(f"/project/routers/{router_id}/addinterface", {"subnet_id"})
    (subnet,) = (each for each, text in interface.choices["subnet_id"].items() if f"{N}-subnet" in text)
    browser.submit(f"/project/routers/{router_id}/addinterface", {"subnet_id": subnet})
    browser.submit("/project/security_groups/create/", {"name": f"{N}-group", "description": "of a dashboard"})
    group_id = thing_of(browser, "network/securitygroups", f"{N}-group")["id"]
    add_rule = f"/project/security_groups/{group_id}/add_rule/"
    for rule in (
        {"rule_menu": "tcp", "port_or_range": "port", "port": "22", "cidr": "0.0.0.0/0"},
        {"rule_menu": "tcp", "port_or_range": "range", "from_port": "80", "to_port": "90"},
        {"rule_menu": "icmp", "icmp_type": "8", "icmp_code": "0"},
        {"rule_menu": "custom", "ip_protocol": "47", "direction": "egress"},
        {"rule_menu": "udp", "port_or_range": "all", "remote": "sg", "security_group": group_id},
    ):
        browser.submit(add_rule, {"direction": "ingress", "remote": "cidr", "cidr": "10.0.0.0/8", **rule})
    browser.open(f"/project/security_groups/{group_id}/")
    browser.submit("/project/floating_ips/allocate/", {"description": "of a dashboard"})
    for page in ("", "json", f"router/{router_id}/", f"network/{network_id}/"):
        browser.open(f"/project/network_topology/{page}")
    return network_id, router_id


def use_server(browser, network_id: str) -> None:
    """A key, a server from the wizard, its pages and its buttons."""
    for key in ({"name": f"{N}-key", "public_key": KEY}, {"name": f"{N}-made"}):
        browser.rest("POST", "/api/nova/keypairs/", {**key, "key_type": "ssh"})
    browser.open(f"/project/key_pairs/{N}-key/")
    flavor, image = thing_of(browser, "nova/flavors", "m1.nano"), thing_of(browser, "glance/images", "demo-guest")
    wizard = {
        "name": f"{N}-server",
        "source_id": image["id"],
        "flavor_id": flavor["id"],
        "key_name": f"{N}-key",
        "user_data": "",
        "security_groups": [f"{N}-group"],
        "nics": [{"net-id": network_id, "v4-fixed-ip": ""}],
        "availability_zone": "nova",
        "config_drive": False,
        "instance_count": 1,
        "disk_config": "AUTO",
        "description": "of a dashboard",
        "meta": {"a": "b"},
        "scheduler_hints": {},
        "admin_pass": None,
    }
    server_id = browser.rest("POST", "/api/nova/servers/", wizard)["id"]
    wait_for(browser, server_id, "ACTIVE")
    for part in ("actions/", "security-groups/", "volumes/", "metadata"):
        browser.rest("GET", f"/api/nova/servers/{server_id}/{part}")
    browser.rest("PATCH", f"/api/nova/servers/{server_id}/metadata", {"updated": {"c": "d"}, "removed": ["a"]})
    browser.rest("POST", f"/api/nova/servers/{server_id}/console-output/", {"length": 10})
    browser.rest("POST", f"/api/nova/servers/{server_id}/console-info/", {"console_type": "AUTO"})
    for tab in ("overview", "interfaces", "log", "console", "audit"):
        browser.open(f"/project/instances/{server_id}/?tab=instance_details__{tab}")
    browser.submit(f"/project/instances/{server_id}/update", {"name": f"{N}-renamed"})
    attach = {"specification_method": "network", "network": network_id}
    browser.submit(f"/project/instances/{server_id}/attach_interface", attach)
    choices = browser.form(f"/project/instances/{server_id}/detach_interface", {"port"}).choices["port"]
    browser.submit(f"/project/instances/{server_id}/detach_interface", {"port": max(choices)})
    associate = f"/project/floating_ips/associate/?instance_id={server_id}"
    form = browser.form(associate, {"ip_id", "port_id"})
    address_id, port = (max(form.choices[each], key=ID.findall) for each in ("ip_id", "port_id"))
    browser.submit(associate, {"ip_id": address_id, "port_id": port})
    browser.open("/project/instances/")
    act(browser, "/project/floating_ips/", "floating_ips", "disassociate", address_id)
    for action, status in (
        *(("stop", "SHUTOFF"), ("start", "ACTIVE"), ("reboot", "ACTIVE"), ("soft_reboot", "ACTIVE")),
        *(("pause", "PAUSED"), ("pause", "ACTIVE"), ("suspend", "SUSPENDED"), ("suspend", "ACTIVE")),
        *(("lock", "ACTIVE"), ("unlock", "ACTIVE")),
    ):
        act(browser, "/project/instances/", "instances", action, server_id)
        wait_for(browser, server_id, status)
    for operation, status in (("stop", "SHUTOFF"), ("start", "ACTIVE"), ("hard_reboot", "ACTIVE")):
        browser.rest("POST", f"/api/nova/servers/{server_id}", {"operation": operation})
        wait_for(browser, server_id, status)
    act(browser, "/project/floating_ips/", "floating_ips", "release", address_id)
    act(browser, "/project/instances/", "instances", "delete", server_id)


def use_images(browser) -> None:
    fields = {"name": f"{N}-image", "disk_format": "raw", "visibility": "private", "min_disk": 0, "min_ram": 0}
    browser.rest("PUT", "/api/glance/images/", {**fields, "protected": False, "description": "of a dashboard"})
    image_id = thing_of(browser, "glance/images", f"{N}-image")["id"]
    browser.rest("PATCH", f"/api/glance/images/{image_id}/", {**fields, "name": f"{N}-renamed", "protected": False})
    properties = {"updated": {"hw_disk_bus": "virtio"}, "removed": ["description"]}
    browser.rest("PATCH", f"/api/glance/images/{image_id}/properties/", properties)
    browser.rest("DELETE", f"/api/glance/images/{image_id}/")
    made = browser.rest("POST", "/api/nova/servergroups/", {"name": f"{N}-servers", "policies": ["soft-anti-affinity"]})
    browser.rest("GET", f"/api/nova/servergroups/{made['id']}/")
    browser.rest("DELETE", f"/api/nova/servergroups/{made['id']}/")


def clear(browser, network_id: str, router_id: str) -> None:
    act(browser, "/project/routers/", "routers", "clear", router_id)
    page = browser.open(f"/project/routers/{router_id}/?tab=router_details__interfaces")
    (port_id,) = re.findall(rf"interfaces__delete__({ID.pattern})", page)
    act(browser, f"/project/routers/{router_id}/?tab=router_details__interfaces", "interfaces", "delete", port_id)
    act(browser, "/project/routers/", "routers", "delete", router_id)
    for _ in range(50):
        if f"{N}-renamed" not in browser.open("/project/instances/"):
            break
        time.sleep(0.2)
    act(browser, "/project/networks/", "networks", "delete", network_id)
    group_id = thing_of(browser, "network/securitygroups", f"{N}-group")["id"]
    act(browser, "/project/security_groups/", "security_groups", "delete", group_id)
    for name in (f"{N}-key", f"{N}-made"):
        browser.rest("DELETE", f"/api/nova/keypairs/{name}")


def administer(browser) -> None:
    """Flavors, aggregates, defaults, networks and quotas, by the forms of the admin dashboard."""
    flavor = {"name": f"{N}-flavor", "vcpus": 1, "memory_mb": 64, "disk_gb": 1, "eph_gb": 0, "swap_mb": 0}
    browser.submit("/admin/flavors/create/", flavor)
    flavor_id = thing_of(browser, "nova/flavors", f"{N}-flavor")["id"]
    browser.rest("PATCH", f"/api/nova/flavors/{flavor_id}/extra-specs/", {"updated": {"a:b": "c"}, "removed": []})
    browser.rest("GET", f"/api/nova/flavors/{flavor_id}/?get_extras=true&get_access_list=true")
    act(browser, "/admin/flavors/", "flavors", "delete", flavor_id)
    browser.submit("/admin/aggregates/create/", {"name": f"{N}-aggregate", "availability_zone": f"{N}-zone"})
    page = browser.open("/admin/aggregates/")
    (number,) = re.findall(rf'data-display="{N}-aggregate"[^>]*data-object-id="(\d+)"', page)
    hosts = browser.form(f"/admin/aggregates/{number}/manage_hosts/")
    browser.submit(f"/admin/aggregates/{number}/update/", {"name": f"{N}-renamed"})
    browser.rest("PATCH", f"/api/nova/aggregates/{number}/extra-specs/", {"updated": {"a": "b"}, "removed": []})
    browser.rest("GET", f"/api/nova/aggregates/{number}/extra-specs/")
    assert hosts.names, "the form of an aggregate's hosts has no field"
    act(browser, "/admin/aggregates/", "host_aggregates", "delete", number)
    browser.submit("/admin/defaults/update_defaults", {"instances": 11, "server_group_members": 11})
    browser.rest("PATCH", "/api/nova/quota-sets/defaults/", {"instances": 10, "server_group_members": 10})
    tenant = thing_of(browser, "keystone/projects", "admin")["id"]
    network = {"name": f"{N}-admin", "tenant_id": tenant, "network_type": "vxlan", "segmentation_id": 4061}
    network["with_subnet"] = None
    browser.submit("/admin/networks/create/", network)
    network_id = thing_of(browser, "neutron/networks", f"{N}-admin")["id"]
    browser.open(f"/admin/networks/{network_id}/detail?tab=network_tabs__agents_tab")
    act(browser, "/admin/networks/", "networks", "delete", network_id)
    for tab in ("nova_services", "network_agents"):
        browser.open(f"/admin/info/?tab=system_info__{tab}")
    (host, *_) = re.findall(r'"/admin/hypervisors/([\w-]+)/disable_service"', browser.open("/admin/hypervisors/"))
    browser.submit(f"/admin/hypervisors/{host}/disable_service", {"reason": "of a dashboard"})
    act(browser, "/admin/hypervisors/?tab=hypervisor_info__compute_host", "compute_host", "enable", host)


def administer_identity(browser) -> None:
    """A project, a user, a group and a role, and the user's own log-in and password."""
    browser.submit("/identity/create", {"name": f"{N}-project", "description": "of a dashboard"})
    project_id = thing_of(browser, "keystone/projects", f"{N}-project")["id"]
    browser.submit(f"/identity/{project_id}/update/", {"name": f"{N}-project", "description": "again"})
    browser.submit(f"/identity/{project_id}/update_quotas/", {**dict.fromkeys(QUOTAS, 9), "cores": 21})
    browser.rest("PATCH", f"/api/neutron/quotas-sets/{project_id}", dict.fromkeys(QUOTAS, 8))
    roles = browser.form("/identity/users/create/", {"role_id"}).choices["role_id"]
    (member,) = (each for each, text in roles.items() if text == "member")
    user = {"name": f"{N}-user", "password": "first-1234", "confirm_password": "first-1234", "role_id": member}
    browser.submit("/identity/users/create/", {**user, "project": project_id, "email": "user@example.org"})
    user_id = thing_of(browser, "keystone/users", f"{N}-user")["id"]
    browser.submit(f"/identity/users/{user_id}/update/", {"name": f"{N}-user", "description": "of a dashboard"})
    browser.open(f"/identity/users/{user_id}/detail/")
    second = {"password": "second-1234", "confirm_password": "second-1234"}
    browser.submit(f"/identity/users/{user_id}/change_password/", second)
    own = dashboard.Browser(HORIZONS_OWN)
    own.log_in(f"{N}-user", "second-1234")
    third = {"current_password": "second-1234", "new_password": "third-1234", "confirm_password": "third-1234"}
    own.submit("/settings/password/", third)
    browser.faults += own.faults
    browser.submit("/identity/groups/create", {"name": f"{N}-group", "description": "of a dashboard"})
    group_id = thing_of(browser, "keystone/groups", f"{N}-group")["id"]
    add = f"/identity/groups/{group_id}/add_members/"
    act(browser, add, "group_non_members", "add", user_id)
    browser.open(f"/identity/groups/{group_id}/manage_members/")
    role_id = browser.rest("POST", "/api/keystone/roles/", {"name": f"{N}-role"})["id"]
    browser.rest("PATCH", f"/api/keystone/roles/{role_id}", {"name": f"{N}-renamed"})
    browser.rest("DELETE", f"/api/keystone/roles/{role_id}")
    for path, table, thing in (
        ("/identity/groups/", "groups", group_id),
        ("/identity/users/", "users", user_id),
        ("/identity/", "tenants", project_id),
    ):
        act(browser, path, table, "delete", thing)


QUOTAS = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")


def visit(browser, page: str, *, is_admin: bool) -> None:
    check_panels(browser, page, PROJECT | IDENTITY | (ADMIN if is_admin else set()))
    ask(browser, browser.rest("GET", "/api/keystone/user-session/")["project_id"], is_admin=is_admin)
    if is_admin:
        administer(browser)
        administer_identity(browser)
    else:
        network_id, router_id = use_network(browser)
        use_server(browser, network_id)
        use_images(browser)
        clear(browser, network_id, router_id)
    walk(browser, page)


def main() -> int:
    faults = []
    for user, password in (("demo", os.environ["DEMO_PASSWORD"]), ("admin", os.environ["OS_PASSWORD"])):
        is_admin = user == "admin"
        browser = dashboard.Browser(HORIZONS_OWN)
        try:
            visit(browser, browser.log_in(user, password), is_admin=is_admin)
        except Exception:  # noqa: BLE001 (what was found until then is told all the same)
            browser.faults.append(traceback.format_exc())
        faults += [f"{user}: {each}" for each in browser.faults]
    print("\n".join(faults))
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
