"""The whole identity API on one screen. Source: Identity API v3 reference."""

from kilonova.identity import tokens
from kilonova.identity.api import (
    assignments,
    credentials,
    domains,
    endpoints,
    groups,
    project_tags,
    projects,
    regions,
    roles,
    services,
    users,
    versions,
)
from kilonova.identity.api import tokens as auth
from kilonova.identity.authentication import AuthBody
from kilonova.identity.policy import RULES
from kilonova.identity.service import Identity
from kilonova.identity.views.tokens import token_view
from kilonova.kit.auth import Policy, RequestContext
from kilonova.kit.http.bounds import Free
from kilonova.kit.http.edge import Api, Edge
from kilonova.kit.http.formats import identity_error
from kilonova.kit.http.routes import PUBLIC, Route
from kilonova.kit.http.tokens import context_of

# fmt: off
ROUTES = [
    Route("GET", "/", versions.list_versions, PUBLIC, status=300),
    Route("GET", "/v3", versions.show_version, PUBLIC),

    Route("POST", "/v3/auth/tokens", auth.create_token, PUBLIC, body=AuthBody, status=201),
    Route("GET", "/v3/auth/tokens", auth.show_token, "identity:validate_token"),
    Route("DELETE", "/v3/auth/tokens", auth.revoke_token, "identity:revoke_token", status=204),
    Route("GET", "/v3/auth/catalog", auth.show_catalog, "identity:get_auth_catalog"),
    Route("GET", "/v3/auth/projects", auth.list_projects_in_reach, "identity:get_auth_projects",
          query=projects.REACH_LISTS.query),
    Route("GET", "/v3/auth/domains", auth.list_domains_in_reach, "identity:get_auth_domains",
          query=domains.REACH_LISTS.query),
    Route("GET", "/v3/auth/system", auth.show_system_in_reach, "identity:get_auth_system"),

    Route("GET", "/v3/users", users.list_users, "identity:list_users", query=users.LISTS.query),
    Route("POST", "/v3/users", users.create_user, "identity:create_user", body=users.NewUserBody,
          rule_first=True, status=201),
    Route("GET", "/v3/users/{user_id}", users.show_user, "identity:get_user"),
    Route("PATCH", "/v3/users/{user_id}", users.update_user, "identity:update_user",
          body=users.ChangedUserBody),
    Route("DELETE", "/v3/users/{user_id}", users.delete_user, "identity:delete_user", status=204),
    Route("POST", "/v3/users/{user_id}/password", users.change_password, PUBLIC, body=users.PasswordChangeBody,
          status=204),
    Route("GET", "/v3/users/{user_id}/projects", users.list_projects_of_user, "identity:list_user_projects",
          query=projects.REACH_LISTS.query),
    Route("GET", "/v3/users/{user_id}/groups", groups.list_groups_of_user, "identity:list_groups_for_user",
          query=groups.LISTS.query),
    *(
        route
        for plural, kind, variable, lists, query in (
            ("application_credentials", "application_credential", "application_credential_id",
             credentials.list_application_credentials, credentials.NAMED_LISTS.query),
            ("access_rules", "access_rule", "access_rule_id", credentials.list_access_rules,
             credentials.RULE_LISTS.query),
        )
        for route in (
            Route("GET", f"/v3/users/{{user_id}}/{plural}", lists, f"identity:list_{plural}", query=query),
            Route("GET", f"/v3/users/{{user_id}}/{plural}/{{{variable}}}", credentials.missing(kind, variable),
                  f"identity:get_{kind}"),
            Route("DELETE", f"/v3/users/{{user_id}}/{plural}/{{{variable}}}", credentials.missing(kind, variable),
                  f"identity:delete_{kind}"),
        )
    ),
    Route("POST", "/v3/users/{user_id}/application_credentials", credentials.create_application_credential,
          "identity:create_application_credential", body=Free, status=201),
    Route("GET", "/v3/credentials", credentials.list_credentials, "identity:list_credentials",
          query=credentials.LISTS.query),
    Route("POST", "/v3/credentials", credentials.create_credential, "identity:create_credential", body=Free,
          status=201),
    *(
        Route(method, "/v3/credentials/{credential_id}", credentials.missing("credential", "credential_id"),
              f"identity:{verb}_credential")
        for method, verb in (("GET", "get"), ("DELETE", "delete"))
    ),

    Route("GET", "/v3/groups", groups.list_groups, "identity:list_groups", query=groups.LISTS.query),
    Route("POST", "/v3/groups", groups.create_group, "identity:create_group", body=groups.NewGroupBody,
          rule_first=True, status=201),
    Route("GET", "/v3/groups/{group_id}", groups.show_group, "identity:get_group"),
    Route("PATCH", "/v3/groups/{group_id}", groups.update_group, "identity:update_group",
          body=groups.ChangedGroupBody),
    Route("DELETE", "/v3/groups/{group_id}", groups.delete_group, "identity:delete_group", status=204),
    Route("GET", "/v3/groups/{group_id}/users", groups.list_members, "identity:list_users_in_group",
          query=users.LISTS.query),
    Route("PUT", "/v3/groups/{group_id}/users/{user_id}", groups.add_member, "identity:add_user_to_group", status=204),
    Route("HEAD", "/v3/groups/{group_id}/users/{user_id}", groups.check_member, "identity:check_user_in_group",
          status=204),
    Route("DELETE", "/v3/groups/{group_id}/users/{user_id}", groups.remove_member, "identity:remove_user_from_group",
          status=204),

    Route("GET", "/v3/projects", projects.list_projects, "identity:list_projects", query=projects.LISTS.query),
    Route("POST", "/v3/projects", projects.create_project, "identity:create_project", body=projects.NewProjectBody,
          rule_first=True, status=201),
    Route("GET", "/v3/projects/{project_id}", projects.show_project, "identity:get_project",
          query=projects.HIERARCHY_QUERY),
    Route("PATCH", "/v3/projects/{project_id}", projects.update_project, "identity:update_project",
          body=projects.ChangedProjectBody),
    Route("DELETE", "/v3/projects/{project_id}", projects.delete_project, "identity:delete_project", status=204),
    Route("GET", "/v3/projects/{project_id}/tags", project_tags.list_tags, "identity:list_project_tags"),
    Route("PUT", "/v3/projects/{project_id}/tags", project_tags.replace_tags, "identity:update_project_tags",
          body=project_tags.TagsBody),
    Route("DELETE", "/v3/projects/{project_id}/tags", project_tags.delete_tags, "identity:delete_project_tags",
          status=204),
    Route("GET", "/v3/projects/{project_id}/tags/{tag}", project_tags.check_tag, "identity:get_project_tag",
          status=204),
    Route("PUT", "/v3/projects/{project_id}/tags/{tag}", project_tags.add_tag, "identity:create_project_tag",
          status=201),
    Route("DELETE", "/v3/projects/{project_id}/tags/{tag}", project_tags.delete_tag, "identity:delete_project_tag",
          status=204),

    Route("GET", "/v3/domains", domains.list_domains, "identity:list_domains", query=domains.LISTS.query),
    Route("POST", "/v3/domains", domains.create_domain, "identity:create_domain", body=domains.NewDomainBody,
          rule_first=True, status=201),
    Route("GET", "/v3/domains/{domain_id}", domains.show_domain, "identity:get_domain"),
    Route("PATCH", "/v3/domains/{domain_id}", domains.update_domain, "identity:update_domain",
          body=domains.ChangedDomainBody),
    Route("DELETE", "/v3/domains/{domain_id}", domains.delete_domain, "identity:delete_domain", status=204),

    Route("GET", "/v3/roles", roles.list_roles, "identity:list_roles", query=roles.LISTS.query),
    Route("POST", "/v3/roles", roles.create_role, "identity:create_role", body=roles.NewRoleBody,
          rule_first=True, status=201),
    Route("GET", "/v3/roles/{role_id}", roles.show_role, "identity:get_role"),
    Route("PATCH", "/v3/roles/{role_id}", roles.update_role, "identity:update_role",
          body=roles.ChangedRoleBody),
    Route("DELETE", "/v3/roles/{role_id}", roles.delete_role, "identity:delete_role", status=204),
    Route("GET", "/v3/role_inferences", roles.list_role_inferences, "identity:list_role_inference_rules"),
    Route("GET", "/v3/roles/{role_id}/implies", roles.list_implied, "identity:list_implied_roles"),
    Route("PUT", "/v3/roles/{role_id}/implies/{implied_role_id}", roles.create_implied,
          "identity:create_implied_role", status=201),
    Route("GET", "/v3/roles/{role_id}/implies/{implied_role_id}", roles.show_implied, "identity:get_implied_role"),
    Route("HEAD", "/v3/roles/{role_id}/implies/{implied_role_id}", roles.check_implied,
          "identity:check_implied_role", status=204),
    Route("DELETE", "/v3/roles/{role_id}/implies/{implied_role_id}", roles.delete_implied,
          "identity:delete_implied_role", status=204),

    Route("GET", "/v3/role_assignments", assignments.list_role_assignments, "identity:list_role_assignments",
          query=assignments.LISTING.query),
    *(
        route
        for place in ("/v3/projects/{project_id}", "/v3/domains/{domain_id}", "/v3/system")
        for target in (f"{place}/users/{{user_id}}", f"{place}/groups/{{group_id}}")
        for route in (
            Route("GET", target + "/roles", assignments.list_grants, "identity:list_grants"),
            Route("PUT", target + "/roles/{role_id}", assignments.create_grant,
                  "identity:create_grant", status=204),
            Route("HEAD", target + "/roles/{role_id}", assignments.check_grant,
                  "identity:check_grant", status=204),
            Route("GET", target + "/roles/{role_id}", assignments.check_grant,
                  "identity:check_grant", status=204),
            Route("DELETE", target + "/roles/{role_id}", assignments.revoke_grant,
                  "identity:delete_grant", status=204),
        )
    ),

    Route("GET", "/v3/services", services.list_services, "identity:list_services", query=services.LISTS.query),
    Route("POST", "/v3/services", services.create_service, "identity:create_service", body=services.NewServiceBody,
          rule_first=True, status=201),
    Route("GET", "/v3/services/{service_id}", services.show_service, "identity:get_service"),
    Route("PATCH", "/v3/services/{service_id}", services.update_service, "identity:update_service",
          body=services.ChangedServiceBody, rule_first=True),
    Route("DELETE", "/v3/services/{service_id}", services.delete_service, "identity:delete_service", status=204),
    Route("GET", "/v3/endpoints", endpoints.list_endpoints, "identity:list_endpoints", query=endpoints.LISTS.query),
    Route("POST", "/v3/endpoints", endpoints.create_endpoint, "identity:create_endpoint",
          body=endpoints.NewEndpointBody, rule_first=True, status=201),
    Route("GET", "/v3/endpoints/{endpoint_id}", endpoints.show_endpoint, "identity:get_endpoint"),
    Route("PATCH", "/v3/endpoints/{endpoint_id}", endpoints.update_endpoint, "identity:update_endpoint",
          body=endpoints.ChangedEndpointBody, rule_first=True),
    Route("DELETE", "/v3/endpoints/{endpoint_id}", endpoints.delete_endpoint, "identity:delete_endpoint", status=204),
    Route("GET", "/v3/regions", regions.list_regions, "identity:list_regions", query=regions.LISTS.query),
    Route("POST", "/v3/regions", regions.create_region, "identity:create_region", body=regions.NewRegionBody,
          rule_first=True, status=201),
    Route("GET", "/v3/regions/{region_id}", regions.show_region, "identity:get_region"),
    Route("PUT", "/v3/regions/{region_id}", regions.create_region_with_id, "identity:create_region",
          body=regions.NewRegionBody, rule_first=True, status=201),
    Route("PATCH", "/v3/regions/{region_id}", regions.update_region, "identity:update_region",
          body=regions.ChangedRegionBody, rule_first=True),
    Route("DELETE", "/v3/regions/{region_id}", regions.delete_region, "identity:delete_region", status=204),
]
# fmt: on


class LocalTokens:
    """Identity checks its own callers' tokens without asking over HTTP."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        valid = await tokens.check(self._identity, token)
        return context_of(token_view(valid, None)["token"], token)


def make_app(identity: Identity, policy_overrides: dict[str, str] | None = None) -> Edge[Identity]:
    """The ASGI app of the identity service."""
    policy = Policy(RULES, policy_overrides)
    return Edge(
        Api("identity", identity, ROUTES, policy, LocalTokens(identity), identity_error, check=identity.database.check)
    )
