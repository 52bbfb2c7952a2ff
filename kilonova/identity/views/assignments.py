"""Role assignments as GET /v3/role_assignments shows them."""

from typing import Any

from kilonova.identity.assignments import Parts
from kilonova.identity.tables import NO_DOMAIN, Assignment


def assignment_view(each: Assignment, base_url: str, parts: Parts | None) -> dict[str, Any]:
    """With `parts` the names are shown beside the ids. A target that was deleted meanwhile is left nameless."""
    user: dict[str, Any] = {"id": each.user_id}
    role: dict[str, Any] = {"id": each.role_id}
    target: dict[str, Any] = {"id": each.target_id}
    if parts is not None:
        found = parts.users[each.user_id]
        user.update(name=found.name, domain=_domain(parts, found.domain_id))
        found_role = parts.roles[each.role_id]
        role["name"] = found_role.name
        if found_role.domain_id != NO_DOMAIN:
            role["domain"] = _domain(parts, found_role.domain_id)
        project = parts.projects.get(each.target_id)
        if each.target_kind == "domain":
            target = _domain(parts, each.target_id)
        elif project is not None:
            target.update(name=project.name, domain=_domain(parts, project.domain_id))
    scope = {"system": {"all": True}} if each.target_kind == "system" else {each.target_kind: target}
    place = "system" if each.target_kind == "system" else f"{each.target_kind}s/{each.target_id}"
    links = {"assignment": f"{base_url}/v3/{place}/users/{each.user_id}/roles/{each.role_id}"}
    return {"user": user, "role": role, "scope": scope, "links": links}


def _domain(parts: Parts, domain_id: str) -> dict[str, Any]:
    domain = parts.domains.get(domain_id)
    return {"id": domain_id} if domain is None else {"id": domain.id, "name": domain.name}
