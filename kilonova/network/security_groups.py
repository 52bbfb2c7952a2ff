"""Security groups and their rules. Source: Networking API, "Security groups"."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select

from kilonova.kit.db import Tx
from kilonova.kit.db.statements import rows_among
from kilonova.kit.http.queries import TRUE
from kilonova.network import concerns, default_rules, quotas, records, rules, tags
from kilonova.network.errors import (
    DuplicateSecurityGroupRuleInPost,
    InvalidInput,
    SecurityGroupCannotRemoveDefault,
    SecurityGroupInUse,
    SecurityGroupNotFound,
    SecurityGroupRuleExists,
    SecurityGroupRuleNotFound,
)
from kilonova.network.selections import NAMELESS, STANDARD, listing
from kilonova.network.service import NetworkService
from kilonova.network.tables import (
    SecurityGroup,
    SecurityGroupRule,
    port_security_groups,
    security_group_rules,
    security_groups,
)
from kilonova.network.visibility import PROJECT, Visibility


def _of_default_groups(values: Sequence[str]) -> ColumnElement[bool]:
    """Filter by whether a rule's group is a project's default one."""
    default = select(security_groups.c.id).where(security_groups.c.default_of_project.is_not(None))
    is_default = security_group_rules.c.security_group_id.in_(default)
    return is_default if values[-1].lower() in TRUE else ~is_default


LISTING = listing(security_groups, {**STANDARD, "stateful": "stateful", "shared": "shared"})
RULES_LISTING = listing(
    security_group_rules,
    {
        **NAMELESS,
        "security_group_id": "security_group_id",
        "direction": "direction",
        "ethertype": "ethertype",
        "protocol": "protocol",
        "port_range_min": "port_range_min",
        "port_range_max": "port_range_max",
        "remote_ip_prefix": "remote_ip_prefix",
        "remote_group_id": "remote_group_id",
    },
    special={"belongs_to_default_sg": _of_default_groups},
    is_tagged=False,
)


VISIBILITY = Visibility(security_groups, SecurityGroup, SecurityGroupNotFound, (security_groups.c.shared.is_(True),))
_OWN_GROUPS = select(security_groups.c.id).where(security_groups.c.project_id == PROJECT)
RULE_VISIBILITY = Visibility(
    security_group_rules,
    SecurityGroupRule,
    SecurityGroupRuleNotFound,
    # Rules that somebody else has made for groups of one's own.
    (security_group_rules.c.security_group_id.in_(_OWN_GROUPS),),
)


async def find(tx: Tx, group_id: str) -> SecurityGroup:
    return await records.find(tx, security_groups, SecurityGroup, group_id, SecurityGroupNotFound)


async def default_ids(tx: Tx, group_ids: Sequence[str]) -> set[str]:
    """Which of the groups are a project's default one."""
    default = select(security_groups.c.id).where(security_groups.c.default_of_project.is_not(None))
    found: set[str] = set()
    for piece in records.chunks(group_ids):
        found.update(group_id for (group_id,) in await tx.tuples(default.where(security_groups.c.id.in_(piece))))
    return found


def refuse_stateless(stateful: bool) -> None:
    """Raises InvalidInput for a group that would not track connections: its rules would be for one direction each, and
    the hosts' firewalls have no such groups."""
    if not stateful:
        raise InvalidInput("stateful: false is not served here yet: security groups track connections.")


async def change(tx: Tx, service: NetworkService, group: SecurityGroup, values: Mapping[str, Any]) -> SecurityGroup:
    """Raises SecurityGroupInUse when a group that ports have would change whether it tracks connections."""
    if values.get("stateful", group.stateful) != group.stateful and await _is_in_use(tx, group):
        raise SecurityGroupInUse(group.id)
    await records.change(tx, security_groups, group, service.clock.now(), values)
    await records.raise_revision(tx, concerns.group(group.id))
    return await find(tx, group.id)


async def _is_in_use(tx: Tx, group: SecurityGroup) -> bool:
    member = select(port_security_groups.c.port_id).where(port_security_groups.c.security_group_id == group.id)
    return await tx.scalar(member.limit(1)) is not None


async def has_default(tx: Tx, project_id: str) -> bool:
    return await _find_default(tx, project_id) is not None


async def _find_default(tx: Tx, project_id: str) -> SecurityGroup | None:
    return await tx.find(SecurityGroup, security_groups, default_of_project=project_id)


async def ensure_default(tx: Tx, service: NetworkService, project_id: str) -> SecurityGroup:
    """The project's default group, made when it is first needed."""
    known = await _find_default(tx, project_id)
    if known is not None:
        return known
    standard = records.standard(project_id, "default", "Default security group", service.clock.now())
    group = SecurityGroup(**standard, stateful=True, shared=False, default_of_project=project_id)
    await _insert(tx, service, group)
    return group


async def create(tx: Tx, service: NetworkService, project_id: str, wanted: Mapping[str, Any]) -> SecurityGroup:
    """Makes a group of the project's, within its quota, and its default group if it has none yet.

    Raises OverQuota, and InvalidInput for a group that would not track connections.
    """
    tags.check(wanted["tags"])
    refuse_stateless(wanted["stateful"])
    await ensure_default(tx, service, project_id)
    await quotas.claim(tx, project_id, "security_group")
    standard = records.standard(project_id, wanted["name"], wanted["description"], service.clock.now())
    group = SecurityGroup(
        **{**standard, "tags": wanted["tags"]}, stateful=wanted["stateful"], shared=False, default_of_project=None
    )
    await _insert(tx, service, group)
    return group


async def _insert(tx: Tx, service: NetworkService, group: SecurityGroup) -> None:
    """Inserts a group with the rules that groups of its kind begin with (`default_rules`)."""
    await tx.insert(security_groups, group)
    for wanted in await default_rules.of_new(tx, group):
        await tx.insert(security_group_rules, new_rule(service, group, wanted))


async def delete(tx: Tx, group: SecurityGroup, *, is_admin: bool) -> None:
    """Raises SecurityGroupInUse, SecurityGroupCannotRemoveDefault."""
    if group.default_of_project is not None and not is_admin:
        raise SecurityGroupCannotRemoveDefault
    if await _is_in_use(tx, group):
        raise SecurityGroupInUse(group.id)
    named_by = select(security_group_rules.c.security_group_id).where(
        security_group_rules.c.remote_group_id == group.id
    )
    others = [each for (each,) in await tx.tuples(named_by.distinct())]
    await records.remove(tx, security_groups, group.id)
    # Rules of other groups that named it go with it.
    await records.raise_revision(tx, *(concerns.group(each) for each in (group.id, *others)))


async def rules_of(tx: Tx, group_ids: Sequence[str]) -> dict[str, list[SecurityGroupRule]]:
    """Group id → its rules."""
    found: dict[str, list[SecurityGroupRule]] = {each: [] for each in group_ids}
    for piece in records.chunks(group_ids):
        statement = rows_among(security_group_rules, "security_group_id", order="created_at")
        for rule in await tx.all(SecurityGroupRule, statement, security_group_id=piece):
            found[rule.security_group_id].append(rule)
    return found


async def find_rule(tx: Tx, rule_id: str) -> SecurityGroupRule:
    return await records.find(tx, security_group_rules, SecurityGroupRule, rule_id, SecurityGroupRuleNotFound)


def new_rule(service: NetworkService, group: SecurityGroup, wanted: Mapping[str, Any]) -> SecurityGroupRule:
    """Returns a new rule of the group. Raises InvalidInput for one that contradicts itself."""
    rule = SecurityGroupRule(
        **records.standard(group.project_id, "", wanted.get("description") or "", service.clock.now()),
        security_group_id=group.id,
        **rules.stated(wanted),
    )
    rules.check(rule)
    rule.meaning = rules.meaning_of(rule)
    return rule


async def insert_rule(tx: Tx, rule: SecurityGroupRule) -> None:
    """Raises OverQuota, and SecurityGroupRuleExists when the group has one that says the same."""
    await quotas.claim(tx, rule.project_id, "security_group_rule")
    if not await tx.insert_new(security_group_rules, rule):
        same = select(security_group_rules.c.id).where(
            security_group_rules.c.security_group_id == rule.security_group_id,
            security_group_rules.c.meaning == rule.meaning,
        )
        raise SecurityGroupRuleExists(str(await tx.scalar(same)))
    await _touch(tx, rule.security_group_id)


def refuse_repeated(wanted: Sequence[SecurityGroupRule]) -> None:
    """Raises DuplicateSecurityGroupRuleInPost when one request says the same twice."""
    if len({(each.security_group_id, each.meaning) for each in wanted}) < len(wanted):
        raise DuplicateSecurityGroupRuleInPost


async def delete_rule(tx: Tx, rule: SecurityGroupRule) -> None:
    await records.remove(tx, security_group_rules, rule.id)
    await _touch(tx, rule.security_group_id)


async def _touch(tx: Tx, group_id: str) -> None:
    raised = security_groups.c.revision_number + 1
    await tx.change(security_groups, {"id": group_id}, revision_number=raised)
    await records.raise_revision(tx, concerns.group(group_id))
