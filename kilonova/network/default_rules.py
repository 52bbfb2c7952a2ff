"""The rules that a new security group begins with: those of projects' default groups, and those of all others.

Source: Networking API v2.0 reference, "Default security group rules".
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, select, true

from kilonova.kit.db import Tx
from kilonova.kit.http.queries import TRUE
from kilonova.network import records, rules
from kilonova.network.errors import DefaultSecurityGroupRuleExists, DefaultSecurityGroupRuleNotFound, InvalidInput
from kilonova.network.selections import NAMELESS, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import DefaultRule, SecurityGroup, default_rules
from kilonova.network.visibility import Visibility

PARENT = "PARENT"
"""As `remote_group_id`: the new group itself."""
FIELDS = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")


def _is_used_in(column: str) -> Any:
    def condition(values: list[str]) -> ColumnElement[bool]:
        is_used = default_rules.c[column].is_not(None)
        return is_used if values[-1].lower() in TRUE else ~is_used

    return condition


LISTING = listing(
    default_rules,
    {
        **{name: column for name, column in NAMELESS.items() if column != "project_id"},
        **{name: name for name in (*FIELDS, "remote_group_id")},
    },
    special={
        "used_in_default_sg": _is_used_in("in_default_groups"),
        "used_in_non_default_sg": _is_used_in("in_other_groups"),
    },
    is_tagged=False,
)
VISIBILITY = Visibility(default_rules, DefaultRule, DefaultSecurityGroupRuleNotFound, (true(),))


def new(service: NetworkService, wanted: Mapping[str, Any]) -> DefaultRule:
    """Returns a new rule. Raises InvalidInput for one that contradicts itself, or that no group would begin with."""
    if wanted.get("remote_group_id") not in (None, PARENT):
        raise InvalidInput(f"remote_group_id can only be {PARENT}, which stands for the new group itself.")
    rule = DefaultRule(
        **records.standard("", "", wanted.get("description") or "", service.clock.now()),
        **rules.stated(wanted),
    )
    rules.check(rule)
    meaning = rules.meaning_of(rule)
    rule.in_default_groups = meaning if wanted.get("used_in_default_sg", False) else None
    rule.in_other_groups = meaning if wanted.get("used_in_non_default_sg", True) else None
    if rule.in_default_groups is None and rule.in_other_groups is None:
        raise InvalidInput("A default rule is used in default groups, in others, or in both; this one in neither.")
    return rule


async def insert(tx: Tx, rule: DefaultRule) -> None:
    """Raises DefaultSecurityGroupRuleExists when groups of that kind begin with one that says the same."""
    if not await tx.insert_new(default_rules, rule):
        raise DefaultSecurityGroupRuleExists


async def of_new(tx: Tx, group: SecurityGroup) -> list[dict[str, Any]]:
    """What the rules of a new group say."""
    used = default_rules.c.in_other_groups if group.default_of_project is None else default_rules.c.in_default_groups
    statement = select(default_rules).where(used.is_not(None)).order_by(default_rules.c.created_at, default_rules.c.id)
    return [
        {
            **{name: getattr(each, name) for name in FIELDS},
            "description": each.description,
            "remote_group_id": group.id if each.remote_group_id == PARENT else None,
        }
        for each in await tx.all(DefaultRule, statement)
    ]


async def delete(tx: Tx, rule: DefaultRule) -> None:
    """Groups that there are keep what they began with."""
    await records.remove(tx, default_rules, rule.id)
