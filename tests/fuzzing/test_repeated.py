"""Each parameter of every list, once, ten, a hundred and a thousand times: the answer costs little, and is no 500.

What may be asked for comes from the service's own OpenAPI document, so a parameter that is added is tried.
"""

import functools
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.databases import Databases
from tests.fuzzing.test_fuzz import SERVICES, document, operations
from tests.fuzzing.test_raw_bytes import NEWEST
from tests.fuzzing.worlds import World, one_of_everything

TIMES, MOST_TIMES = (1, 10, 100), 1000
SECONDS = 1.0
"""Of processor time, for one answer about one of everything: some milliseconds is what it takes."""
TRIES = 3
LONGEST = 32_000
"""Of a query: what is longer is not read at all."""
UUID = "5a6b9b56-8f52-4f9c-a1b1-4d0c8c7c0f11"
MEANT = {
    "sort_key": ("id", "name", "display_name", "created_at"),
    "sort": ("id:asc", "name:desc", "display_name"),
    "sort_dir": ("asc", "desc"),
    "limit": ("1", "2"),
    "marker": (UUID,),
    "resources": ("VCPU:1", "MEMORY_MB:2"),
    "required": ("HW_CPU_X86_VMX", "!HW_CPU_X86_SVM", "in:HW_CPU_X86_VMX,HW_CPU_X86_SVM"),
    "root_required": ("HW_CPU_X86_VMX",),
    "member_of": (UUID, f"in:{UUID}"),
    "in_tree": (UUID,),
    "fixed_ips": ("ip_address=10.0.0.1", "ip_address_substr=1", f"subnet_id={UUID}"),
    "status": ("ACTIVE", "ERROR"),
}
"""Parameter → values that are understood; others get words that may be names, numbers and ids."""
ANYTHING = ("x", "1", UUID)


@pytest.fixture(scope="module")
def world(identity_template: Any, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with one_of_everything(identity_template, databases, tmp_path_factory.mktemp("repeated")) as made:
        yield made


def lists(world: World, service: str) -> Iterator[tuple[str, list[str]]]:
    """(path, its parameters) of each operation that only reads."""
    for method, template, operation in operations(document(world, service, ""), with_body=False):
        names = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
        if method != "GET" or not names:
            continue
        path = template
        for name, value in world.ids[service].items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        yield path, names


@functools.cache
def queries_of(name: str) -> list[tuple[str, str]]:
    """(its parameter and how many there are of it, encoded) for each query that repeats one parameter."""
    values = MEANT.get(name, ANYTHING)
    repeated = [[(name, values[place % len(values)]) for place in range(times)] for times in TIMES]
    repeated += [[(name, value)] * MOST_TIMES for value in (values if name in MEANT else values[:1])]
    repeated.append([(name, f"{values[0]}{place}") for place in range(MOST_TIMES)])
    repeated.append([(name, ",".join(values * MOST_TIMES))])
    return [(f"{query[0]} repeated to {len(query)}", urlencode(query)[:LONGEST]) for query in repeated]


UNKNOWN = urlencode([(f"{number:x}", "") for number in range(6000)])[:LONGEST]


def queries(names: list[str]) -> Iterator[tuple[str, str]]:
    """(description, encoded) of each query that a list with these parameters is asked."""
    for name in names:
        yield from queries_of(name)
    yield "unknown parameters", UNKNOWN
    together = urlencode([(name, value) for name in names for value in MEANT.get(name, ANYTHING)] * 10)
    yield "all parameters", together[:LONGEST]


def ask(world: World, service: str, path: str) -> tuple[int, float]:
    """Status, and seconds of this process. What took too long is asked again: beside other work, a second of a
    processor does half as much."""
    taken = []
    while True:
        began = time.process_time()
        answer = world.ask(service, "GET", path, NEWEST)
        taken.append(time.process_time() - began)
        if min(taken) <= SECONDS or len(taken) == TRIES:
            return answer.status, min(taken)


@pytest.mark.parametrize("service", SERVICES)
def test_no_parameter_costs_more_for_being_repeated(world: World, service: str) -> None:
    failed = []
    for path, names in lists(world, service):
        for description, query in queries(names):
            status, taken = ask(world, service, f"{path}?{query}")
            if status >= 500 or taken > SECONDS:
                failed.append(f"{path} {description}: {status} in {taken:.2f} s")
    assert not failed, "\n".join(failed)
