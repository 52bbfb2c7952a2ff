"""The JSON home of identity: where each of its resources is, as clients that ask for it look them up.

Source: draft-nottingham-json-home, and the relation names of the Identity API v3 reference.
"""

import re
from typing import Any

MEDIA_TYPE = "application/json-home"
PREFIX = "https://docs.openstack.org/api/openstack-identity/3"

RELATIONS = {
    "/auth/tokens": "auth_tokens",
    "/auth/catalog": "auth_catalog",
    "/auth/projects": "auth_projects",
    "/auth/domains": "auth_domains",
    "/auth/system": "auth_system",
    "/users": "users",
    "/users/{user_id}": "user",
    "/users/{user_id}/password": "user_change_password",
    "/users/{user_id}/projects": "user_projects",
    "/users/{user_id}/groups": "user_groups",
    "/users/{user_id}/application_credentials": "application_credentials",
    "/users/{user_id}/application_credentials/{application_credential_id}": "application_credential",
    "/users/{user_id}/access_rules": "access_rules",
    "/users/{user_id}/access_rules/{access_rule_id}": "access_rule",
    "/credentials": "credentials",
    "/credentials/{credential_id}": "credential",
    "/groups": "groups",
    "/groups/{group_id}": "group",
    "/groups/{group_id}/users": "group_users",
    "/groups/{group_id}/users/{user_id}": "group_user",
    "/projects": "projects",
    "/projects/{project_id}": "project",
    "/projects/{project_id}/tags": "project_tags",
    "/projects/{project_id}/tags/{tag}": "project_tag",
    "/domains": "domains",
    "/domains/{domain_id}": "domain",
    "/roles": "roles",
    "/roles/{role_id}": "role",
    "/role_inferences": "role_inferences",
    "/roles/{role_id}/implies": "implied_roles",
    "/roles/{role_id}/implies/{implied_role_id}": "implied_role",
    "/role_assignments": "role_assignments",
    "/services": "services",
    "/services/{service_id}": "service",
    "/endpoints": "endpoints",
    "/endpoints/{endpoint_id}": "endpoint",
    "/regions": "regions",
    "/regions/{region_id}": "region",
    **{
        f"{place}/{actor}s/{{{actor}_id}}/roles{role}": f"{kind}_{actor}_role{'' if role else 's'}"
        for kind, place in (
            ("project", "/projects/{project_id}"),
            ("domain", "/domains/{domain_id}"),
            ("system", "/system"),
        )
        for actor in ("user", "group")
        for role in ("", "/{role_id}")
    },
}
"""Path below the version → the last part of its relation's name."""

_VARIABLE = re.compile(r"{(\w+)}")


def json_home(prefix: str) -> dict[str, Any]:
    """`prefix` stands before each path in the document."""
    return {"resources": {f"{PREFIX}/rel/{name}": _place(f"{prefix}{path}") for path, name in RELATIONS.items()}}


def _place(path: str) -> dict[str, Any]:
    variables = _VARIABLE.findall(path)
    if not variables:
        return {"href": path}
    return {"href-template": path, "href-vars": {name: f"{PREFIX}/param/{name}" for name in variables}}
