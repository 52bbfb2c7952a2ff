"""Multi-factor rules of users: which methods a log-in has to go by together.

Source: Identity API v3, the user options `multi_factor_auth_enabled` and `multi_factor_auth_rules`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kilonova.identity.errors import InvalidReference
from kilonova.identity.methods import METHODS
from kilonova.identity.tables import User


def refuse_unknown(extra: Mapping[str, Any]) -> None:
    """Raises InvalidReference for a rule that asks for a method nobody can log in by: it would lock the user out."""
    rules = (extra.get("options") or {}).get("multi_factor_auth_rules") or []
    unknown = sorted({method for rule in rules for method in rule if method not in METHODS})
    if unknown:
        raise InvalidReference(
            f"Factors of the methods {', '.join(unknown)} cannot be asked for here yet; "
            f"the methods are {', '.join(METHODS)}."
        )


def are_enough(user: User, methods: Iterable[str]) -> bool:
    """Whether these methods together satisfy one of the user's rules, or there is none."""
    options = user.extra.get("options", {})
    rules = options.get("multi_factor_auth_rules") or []
    if not options.get("multi_factor_auth_enabled") or not rules:
        return True
    used = set(methods)
    return any(set(rule) <= used for rule in rules)
