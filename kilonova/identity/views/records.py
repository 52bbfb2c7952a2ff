"""Identity's resources as its API shows them."""

from typing import Any

from kilonova.identity.roles import Inference
from kilonova.identity.tables import Domain, Endpoint, Group, Project, Region, Role, Service, User


def user_view(user: User, base_url: str) -> dict[str, Any]:
    shown = {
        **user.extra,
        "id": user.id,
        "name": user.name,
        "domain_id": user.domain_id,
        "enabled": user.enabled,
        "password_expires_at": None,
        "options": user.extra.get("options", {}),
        "links": {"self": f"{base_url}/v3/users/{user.id}"},
    }
    if user.default_project_id is not None:
        shown["default_project_id"] = user.default_project_id
    return shown


def project_view(project: Project, base_url: str) -> dict[str, Any]:
    return {
        **project.extra,
        "id": project.id,
        "name": project.name,
        "domain_id": project.domain_id,
        "parent_id": project.parent_id or project.domain_id,
        "description": project.description,
        "enabled": project.enabled,
        "is_domain": False,
        "tags": project.tags,
        "options": project.extra.get("options", {}),
        "links": {"self": f"{base_url}/v3/projects/{project.id}"},
    }


def chain_view(project: Project, above: list[Project]) -> dict[str, Any] | None:
    """What a project lies in, as `{nearest: {next: …}}`, up to its domain. `above`: the projects, nearest first."""
    chain: dict[str, Any] | None = {project.domain_id: None}
    for each in reversed(above):
        chain = {each.id: chain}
    return chain


def tree_view(project_id: str, below: list[Project]) -> dict[str, Any] | None:
    """What lies in a project, as `{child: {grandchild: …}}`; None for nothing."""
    return {each.id: tree_view(each.id, below) for each in below if each.parent_id == project_id} or None


def domain_view(domain: Domain, base_url: str) -> dict[str, Any]:
    return {
        **domain.extra,
        "id": domain.id,
        "name": domain.name,
        "description": domain.description,
        "enabled": domain.enabled,
        "tags": [],
        "options": domain.extra.get("options", {}),
        "links": {"self": f"{base_url}/v3/domains/{domain.id}"},
    }


def group_view(group: Group, base_url: str) -> dict[str, Any]:
    return {
        **group.extra,
        "id": group.id,
        "name": group.name,
        "domain_id": group.domain_id,
        "description": group.description,
        "links": {"self": f"{base_url}/v3/groups/{group.id}"},
    }


def role_view(role: Role, base_url: str) -> dict[str, Any]:
    return {
        **role.extra,
        "id": role.id,
        "name": role.name,
        "domain_id": role.domain_id or None,
        "description": role.description or None,
        "options": role.extra.get("options", {}),
        "links": {"self": f"{base_url}/v3/roles/{role.id}"},
    }


def _short_role(role: Role, base_url: str) -> dict[str, Any]:
    return {"id": role.id, "name": role.name, "links": {"self": f"{base_url}/v3/roles/{role.id}"}}


def inference_view(inference: Inference, base_url: str) -> dict[str, Any]:
    """A role and the list of what it implies."""
    implied = [_short_role(each, base_url) for each in inference.implied]
    return {"prior_role": _short_role(inference.prior, base_url), "implies": implied}


def rule_view(inference: Inference, base_url: str) -> dict[str, Any]:
    """One rule: a role and the one it implies."""
    (implied,) = inference.implied
    return {"prior_role": _short_role(inference.prior, base_url), "implies": _short_role(implied, base_url)}


def region_view(region: Region, base_url: str) -> dict[str, Any]:
    return {
        **(region.extra or {}),
        "id": region.id,
        "description": region.description,
        "parent_region_id": region.parent_region_id,
        "links": {"self": f"{base_url}/v3/regions/{region.id}"},
    }


def service_view(service: Service, base_url: str) -> dict[str, Any]:
    return {
        **(service.extra or {}),
        "id": service.id,
        "type": service.type,
        "name": service.name,
        "description": service.description,
        "enabled": service.enabled,
        "links": {"self": f"{base_url}/v3/services/{service.id}"},
    }


def endpoint_view(endpoint: Endpoint, base_url: str) -> dict[str, Any]:
    return {
        **(endpoint.extra or {}),
        "id": endpoint.id,
        "service_id": endpoint.service_id,
        "interface": endpoint.interface,
        "region": endpoint.region_id,
        "region_id": endpoint.region_id,
        "url": endpoint.url,
        "enabled": endpoint.enabled,
        "links": {"self": f"{base_url}/v3/endpoints/{endpoint.id}"},
    }
