"""A token's document, as POST and GET /v3/auth/tokens show it."""

from typing import Any

from kilonova.identity.tokens import ValidToken
from kilonova.kit.clock import iso8601_micro


def token_view(valid: ValidToken, catalog: list[dict[str, Any]] | None) -> dict[str, Any]:
    """`catalog` is None when it was not wanted."""
    payload = valid.payload
    shown: dict[str, Any] = {
        "methods": list(payload.methods),
        "user": {
            "id": valid.user.id,
            "name": valid.user.name,
            "domain": {"id": valid.user_domain.id, "name": valid.user_domain.name},
            "password_expires_at": None,
        },
        "audit_ids": list(payload.audit_ids),
        "expires_at": iso8601_micro(payload.expires_at) + "Z",
        "issued_at": iso8601_micro(payload.issued_at) + "Z",
    }
    if payload.scope_kind == "unscoped":
        return {"token": shown}
    shown["roles"] = [{"id": role.id, "name": role.name} for role in valid.roles]
    if valid.project is not None and valid.project_domain is not None:
        shown["project"] = {
            "id": valid.project.id,
            "name": valid.project.name,
            "domain": {"id": valid.project_domain.id, "name": valid.project_domain.name},
        }
        shown["is_domain"] = False
    elif valid.domain is not None:
        shown["domain"] = {"id": valid.domain.id, "name": valid.domain.name}
    else:
        shown["system"] = {"all": True}
    if catalog is not None:
        shown["catalog"] = catalog
    return {"token": shown}
