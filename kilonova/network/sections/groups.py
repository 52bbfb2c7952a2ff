"""The rules of the security groups that guests on the host are in."""

from collections.abc import Collection, Mapping

from kilonova.network import concerns, rules, security_groups
from kilonova.network.sections.interest import Interest
from kilonova.network.sections.section import Asking, Single, Spot
from kilonova.network.tables import SecurityGroupRule
from kilonova.network.wanted import WantedRule, WantedSecurityGroup


class Groups(Single):
    name = "groups"

    def names(self, owner: str, _interest: Interest) -> list[str]:
        return [concerns.group(owner)]

    async def read(self, asking: Asking, spots: Collection[Spot]) -> Mapping[Spot, WantedSecurityGroup]:
        found = await security_groups.rules_of(asking.tx, sorted(spot.owner for spot in spots))
        return {
            Spot(group_id, group_id): WantedSecurityGroup(group_id, tuple(_rule(each) for each in its_rules), ())
            for group_id, its_rules in found.items()
        }


def _rule(rule: SecurityGroupRule) -> WantedRule:
    return WantedRule(
        direction="ingress" if rule.direction == "ingress" else "egress",
        ethertype="IPv4" if rule.ethertype == "IPv4" else "IPv6",
        protocol=rule.protocol,
        port_range_min=rule.port_range_min,
        port_range_max=rule.port_range_max,
        remote_ip_prefix=rules.normal_prefix(rule.remote_ip_prefix),
        remote_group_id=rule.remote_group_id,
    )
