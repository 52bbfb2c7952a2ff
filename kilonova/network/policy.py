"""Network's default rules, under upstream's names."""

from kilonova.kit.auth import Rule

ADMIN = "rule:admin_only"
MEMBER = "rule:admin_or_project_member"
READER = "rule:admin_or_project_reader"
SHARED = READER + " or 'True':%(shared)s or 'True':%(router:external)s"

RULES = [
    Rule("admin_only", "role:admin", "Administrators of the cloud"),
    Rule("admin_or_project_member", "rule:admin_only or (role:member and project_id:%(project_id)s)"),
    Rule("admin_or_project_reader", "rule:admin_only or (role:reader and project_id:%(project_id)s)"),
    Rule("get_network", SHARED),
    Rule("create_network", MEMBER),
    Rule("update_network", MEMBER),
    Rule("delete_network", MEMBER),
    Rule("create_network:shared", ADMIN, "Also sharing a network later"),
    Rule("create_network:router:external", ADMIN, "Also making a network external later"),
    Rule("create_network:provider", ADMIN, "Naming type, physical network and segmentation id"),
    Rule("get_network:provider", ADMIN, "Seeing them"),
    Rule("create_network:project_id", ADMIN, "Creating resources for another project"),
    Rule("get_subnet", SHARED),
    Rule("create_subnet", MEMBER),
    Rule("update_subnet", MEMBER),
    Rule("delete_subnet", MEMBER),
    Rule("get_port", READER + " or 'True':%(own_network)s"),
    Rule("create_port", MEMBER),
    Rule("update_port", MEMBER),
    Rule("delete_port", MEMBER),
    Rule("create_port:binding", ADMIN, "Binding a port to a host"),
    Rule("create_port:network_owner", "rule:admin_only or 'True':%(own_network)s", "Choosing MAC and fixed IPs"),
    Rule("create_port:device_owner_network", ADMIN, "Device owners of the network service itself"),
    Rule("create_port:shared_network", "rule:admin_only or 'True':%(own_network)s or 'True':%(shared)s"),
    Rule("get_security_group", READER + " or 'True':%(shared)s"),
    Rule("create_security_group", MEMBER),
    Rule("update_security_group", MEMBER),
    Rule("delete_security_group", MEMBER),
    Rule("get_security_group_rule", READER),
    Rule("create_security_group_rule", MEMBER),
    Rule("delete_security_group_rule", MEMBER),
    Rule("get_router", READER),
    Rule("create_router", MEMBER),
    Rule("update_router", MEMBER),
    Rule("delete_router", MEMBER),
    Rule("add_router_interface", MEMBER),
    Rule("remove_router_interface", MEMBER),
    Rule("create_router:external_gateway_info:enable_snat", ADMIN),
    Rule("create_router:external_gateway_info:external_fixed_ips", ADMIN),
    Rule("get_floatingip", READER),
    Rule("create_floatingip", MEMBER),
    Rule("create_floatingip:floating_ip_address", ADMIN, "Choosing the address"),
    Rule("update_floatingip", MEMBER),
    Rule("delete_floatingip", MEMBER),
    Rule("get_agent", ADMIN),
    Rule("update_agent", ADMIN),
    Rule("delete_agent", ADMIN),
    Rule("get_extension", "@"),
]
