"""Identity's default rules, under upstream's names."""

from kilonova.kit.auth import Rule

ADMIN = "rule:admin_required"
READERS = "rule:admin_required or (role:reader and system_scope:all)"
OWN_CREDENTIAL = "user_id:%(target.credential.user_id)s"

RULES = [
    Rule("admin_required", "role:admin or is_admin:1", "The cloud's administrators"),
    Rule("identity:validate_token", "rule:admin_required or role:service or user_id:%(target.token.user_id)s"),
    Rule("identity:revoke_token", "rule:admin_required or user_id:%(target.token.user_id)s"),
    Rule("identity:get_auth_catalog", "@"),
    Rule("identity:get_auth_projects", "@"),
    Rule("identity:get_auth_domains", "@"),
    Rule("identity:get_auth_system", "@"),
    *(
        Rule(f"identity:{verb}_{noun}", ADMIN)
        for noun in "user group project domain role service endpoint region grant implied_role".split()
        for verb in ("create", "update", "delete")
        if (verb, noun) != ("update", "grant")
    ),
    Rule("identity:get_user", f"{READERS} or user_id:%(target.user.id)s"),
    Rule("identity:list_users", READERS),
    *(
        Rule(f"identity:{rule}", f"{READERS} or user_id:%(user_id)s")
        for rule in "list_application_credentials get_application_credential list_access_rules get_access_rule".split()
    ),
    *(
        Rule(f"identity:{rule}", f"{ADMIN} or user_id:%(user_id)s")
        for rule in ("create_application_credential", "delete_application_credential", "delete_access_rule")
    ),
    *(
        Rule(f"identity:{verb}_credential{'s' if verb == 'list' else ''}", f"{who} or {OWN_CREDENTIAL}")
        for verb, who in (("list", READERS), ("get", READERS), ("create", ADMIN), ("delete", ADMIN))
    ),
    Rule("identity:get_group", READERS),
    Rule("identity:list_groups", READERS),
    Rule("identity:list_groups_for_user", f"{READERS} or user_id:%(target.user.id)s"),
    Rule("identity:list_users_in_group", READERS),
    Rule("identity:check_user_in_group", READERS),
    Rule("identity:add_user_to_group", ADMIN),
    Rule("identity:remove_user_from_group", ADMIN),
    Rule("identity:list_user_projects", f"{READERS} or user_id:%(target.user.id)s"),
    Rule("identity:get_project", f"{READERS} or project_id:%(target.project.id)s"),
    Rule("identity:list_projects", READERS),
    Rule("identity:list_project_tags", f"{READERS} or project_id:%(target.project.id)s"),
    Rule("identity:get_project_tag", f"{READERS} or project_id:%(target.project.id)s"),
    *(
        Rule(f"identity:{what}", ADMIN)
        for what in ("update_project_tags", "create_project_tag", "delete_project_tags", "delete_project_tag")
    ),
    Rule(
        "identity:get_domain", f"{READERS} or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s"
    ),
    Rule("identity:list_domains", READERS),
    Rule("identity:get_role", READERS),
    Rule("identity:list_roles", READERS),
    Rule("identity:list_implied_roles", READERS),
    Rule("identity:list_role_inference_rules", READERS),
    Rule("identity:get_implied_role", READERS),
    Rule("identity:check_implied_role", READERS),
    Rule("identity:check_grant", READERS),
    Rule("identity:list_grants", READERS),
    Rule("identity:list_role_assignments", READERS),
    Rule("identity:get_service", READERS),
    Rule("identity:list_services", READERS),
    Rule("identity:get_endpoint", READERS),
    Rule("identity:list_endpoints", READERS),
    Rule("identity:get_region", "@"),
    Rule("identity:list_regions", "@"),
]
