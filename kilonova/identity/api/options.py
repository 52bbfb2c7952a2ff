"""Resource options: what they may be. Source: Identity API v3, "Resource options"."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.kit.http.bounds import Word

MOST_RULES = 32
Rule = Annotated[list[Word], Meta(min_length=1, max_length=8)]


class Immutability(Struct, forbid_unknown_fields=True):
    """The option of projects, domains and roles; null removes it."""

    immutable: bool | None | UnsetType = UNSET


class UserOptions(Struct, forbid_unknown_fields=True):
    """Of users; null takes one away.

    Nobody here has to change a password at first use, or loses one by its age or by being away: whoever is to be left
    out of that is.
    """

    ignore_change_password_upon_first_use: bool | None | UnsetType = UNSET
    ignore_password_expiry: bool | None | UnsetType = UNSET
    ignore_user_inactivity: bool | None | UnsetType = UNSET
    ignore_lockout_failure_attempts: bool | None | UnsetType = UNSET
    lock_password: bool | None | UnsetType = UNSET
    multi_factor_auth_enabled: bool | None | UnsetType = UNSET
    multi_factor_auth_rules: Annotated[list[Rule], Meta(max_length=MOST_RULES)] | None | UnsetType = UNSET
