"""What a server asks of a filter is refused where it makes no sense, or where the filter is not enabled."""

from typing import Any

import pytest

from kilonova.compute.scheduling.requirements import UnusableSpec
from kilonova.compute.scheduling.rules import Rules
from kilonova.compute.scheduling.unasked import OF_FILTER, refuse_unasked_hints, refuse_unasked_specs
from tests.compute.scheduling.worlds import with_all_filters


@pytest.mark.parametrize("hint", OF_FILTER)
def test_a_hint_needs_the_filter_that_goes_by_it(hint: str) -> None:
    with pytest.raises(UnusableSpec, match=f"hint {hint} is obeyed by {OF_FILTER[hint]}, which is not enabled"):
        refuse_unasked_hints({hint: "x"}, Rules(filters=("ComputeFilter",)))


DEEP = '["not",' * 12 + '["=", 1, 1]' + "]" * 12


@pytest.mark.parametrize(
    ("hints", "told"),
    [
        ({"query": ["=", 1, 1]}, "query is a text that holds JSON"),
        ({"query": "[" * 2000}, "query has 1000 characters at most"),
        ({"query": "{"}, "query is no JSON"),
        ({"query": "{}"}, "query is a list that begins with an operator"),
        ({"query": "[]"}, "query is a list that begins with an operator"),
        ({"query": '["like", 1, 2]'}, "query knows =, <, >, <=, >=, in, and, or, not, not 'like'"),
        ({"query": '["and"]'}, "query gives and nothing to go by"),
        ({"query": '["and", 1]'}, "query is a list that begins with an operator"),
        ({"query": '["=", 1]'}, "query compares two values or more with ="),
        ({"query": '["=", 1, [1]]'}, "query compares two values or more with ="),
        ({"query": DEEP}, "query goes deeper than 10 lists"),
        ({"cidr": "/24"}, "cidr says how far from build_near_host_ip, which is not given"),
        ({"build_near_host_ip": "here"}, "build_near_host_ip and cidr make no network: 'here/24'"),
        ({"build_near_host_ip": "10.0.0.1", "cidr": "/33"}, "build_near_host_ip and cidr make no network"),
        ({"target_cell": "a"}, "target_cell cannot be obeyed"),
    ],
)
def test_a_hint_that_makes_no_sense_is_refused(hints: dict[str, Any], told: str) -> None:
    with pytest.raises(UnusableSpec) as refused:
        refuse_unasked_hints(hints, with_all_filters())
    assert told in str(refused.value)


def test_hints_that_make_sense_and_notes_are_let_in() -> None:
    hints = {"query": '["=", "$host", "a"]', "build_near_host_ip": "10.0.0.1", "cidr": "/16", "colour": "red"}
    refuse_unasked_hints(hints, with_all_filters())
    refuse_unasked_hints({"same_host": ["a"], "group": "g"}, Rules())


def test_a_flavor_asks_aggregates_only_where_the_filter_is_enabled() -> None:
    specs = {"aggregate_instance_extra_specs:ssd": "true", "ssd": "true"}
    refuse_unasked_specs(specs, with_all_filters())
    with pytest.raises(UnusableSpec, match="AggregateInstanceExtraSpecsFilter goes by: it is not enabled"):
        refuse_unasked_specs(specs, Rules())
    refuse_unasked_specs({"ssd": "true"}, Rules())
