"""Role assignments as GET /v3/role_assignments shows them."""

from typing import Any

from kilonova.identity.assignment_lists import Listed, Parts


def assignment_view(each: Listed, base_url: str, parts: Parts | None) -> dict[str, Any]:
    """With `parts` the names are shown beside the ids. A target that was deleted meanwhile is left nameless."""
    kind, actor_id = ("user", each.user_id) if each.user_id is not None else ("group", each.group_id)
    actor: dict[str, Any] = {"id": actor_id}
    role: dict[str, Any] = {"id": each.role_id}
    target: dict[str, Any] = {"id": each.target_id}
    if parts is not None:
        known = parts.users if kind == "user" else parts.groups
        found = known[str(actor_id)]
        actor.update(name=found.name, domain=_domain(parts, found.domain_id))
        found_role = parts.roles[each.role_id]
        role["name"] = found_role.name
        if found_role.domain_id:
            role["domain"] = _domain(parts, found_role.domain_id)
        project = parts.projects.get(each.target_id)
        if each.target_kind == "domain":
            target = _domain(parts, each.target_id)
        elif project is not None:
            target.update(name=project.name, domain=_domain(parts, project.domain_id))
    scope = {"system": {"all": True}} if each.target_kind == "system" else {each.target_kind: target}
    return {kind: actor, "role": role, "scope": scope, "links": _links(each, base_url)}


def _links(each: Listed, base_url: str) -> dict[str, str]:
    """Where the grant is; for a user's role through a group also what makes him its member."""
    place = "system" if each.target_kind == "system" else f"{each.target_kind}s/{each.target_id}"
    given_to = f"users/{each.user_id}" if each.group_id is None else f"groups/{each.group_id}"
    links = {"assignment": f"{base_url}/v3/{place}/{given_to}/roles/{each.role_id}"}
    if each.group_id is not None and each.user_id is not None:
        links["membership"] = f"{base_url}/v3/groups/{each.group_id}/users/{each.user_id}"
    return links


def _domain(parts: Parts, domain_id: str) -> dict[str, Any]:
    domain = parts.domains.get(domain_id)
    return {"id": domain_id} if domain is None else {"id": domain.id, "name": domain.name}
