"""/v2.0/default-security-group-rules: what new security groups begin with."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from kilonova.kit.db import Tx
from kilonova.kit.http.bounds import Word
from kilonova.network import default_rules
from kilonova.network.api.bodies import Body, NetworkRequest, created, one_or_many
from kilonova.network.api.fields import MOST_AT_ONCE, Fields, Flag, given
from kilonova.network.api.resource import Resource
from kilonova.network.api.security_groups import StatedRule
from kilonova.network.tables import DefaultRule
from kilonova.network.views.resources import default_rule_view

QUERY = default_rules.LISTING.query


class NewDefaultRule(StatedRule):
    remote_group_id: Word | None = None
    used_in_default_sg: Flag = False
    used_in_non_default_sg: Flag = True


class NewDefaultRuleBody(Fields):
    default_security_group_rule: NewDefaultRule | UnsetType = UNSET
    default_security_group_rules: Annotated[list[NewDefaultRule], Meta(max_length=MOST_AT_ONCE)] | UnsetType = UNSET


async def _views(_tx: Tx, _request: NetworkRequest, found: list[DefaultRule]) -> list[Body]:
    return [default_rule_view(each) for each in found]


RULES = Resource(
    "default_security_group_rule",
    "default-security-group-rules",
    "default_rule_id",
    default_rules.VISIBILITY,
    default_rules.LISTING,
    _views,
)


async def list_rules(request: NetworkRequest) -> Body:
    return await RULES.list(request)


async def show_rule(request: NetworkRequest) -> Body:
    return await RULES.show(request)


async def create_rule(request: NetworkRequest, body: NewDefaultRuleBody) -> Body:
    request.authorize()
    name = RULES.name
    wanted = one_or_many(body.default_security_group_rule, body.default_security_group_rules, name)
    made = [default_rules.new(request.service, given(each)) for each in wanted]
    async with request.service.database.transaction() as tx:
        for rule in made:
            await default_rules.insert(tx, rule)
    return created(name, [default_rule_view(each) for each in made], body.default_security_group_rules)


async def delete_rule(request: NetworkRequest) -> None:
    async with request.service.database.transaction() as tx:
        await default_rules.delete(tx, await RULES.fetch_to_change(tx, request))
