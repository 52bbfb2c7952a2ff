"""`kilonova why-not` asks for ids where it is given names, and prints what it was told."""

import argparse
from typing import Any

import pytest

from kilonova.cli import why_not
from kilonova.kit.http.client import RemoteFault

DECISION = {
    "said": "No valid host was found. 3 hosts considered.",
    "considered": 3,
    "chosen": None,
    "stages": [
        {
            "name": "placement",
            "before": 3,
            "after": 1,
            "refused": [{"host": "node1", "reason": "512 MEMORY_MB wanted, 192 free", "lacking": {}}],
            "untold": 1,
        },
        {
            "name": "ComputeFilter",
            "before": 1,
            "after": 0,
            "refused": [{"host": "node3", "reason": "is disabled"}],
            "untold": 0,
        },
    ],
}


class Cloud:
    """Answers as the APIs do, and keeps what it was asked."""

    def __init__(self) -> None:
        self.versions: dict[str, str] = {}
        self.asked: dict[str, Any] = {}

    def get(self, service: str, path: str, **query: Any) -> Any:
        answers: dict[str, Any] = {
            "/flavors": {"flavors": [{"id": "1", "name": "m1.tiny"}, {"id": "2", "name": "1"}]},
            "/v2/images": {
                "images": [{"id": "i1", "name": "demo"}, {"id": "i2", "name": "two"}, {"id": "i3", "name": "two"}]
            },
            "/v3/projects": {"projects": [{"id": "p1", "name": "demo"}]},
            "/servers/detail": {"servers": [{"id": "s1", "name": "web"}]},
        }
        return answers[path]

    def call(self, service: str, method: str, path: str, body: Any) -> Any:
        assert (service, method, path) == ("compute", "POST", "/os-placing-decisions")
        self.asked = body["decision"]
        return {"decision": DECISION}


def ask(cloud: Cloud, *words: str) -> Any:
    parser = argparse.ArgumentParser()
    why_not.add_arguments(parser)
    return why_not.ask(cloud, parser.parse_args(words))  # type: ignore[arg-type]


def test_names_become_ids_and_an_id_goes_before_a_name() -> None:
    cloud = Cloud()
    words = "m1.tiny --image demo --zone west --host node2 --project demo --server web".split()
    hints = ["--hint", "same_host=a", "--hint", "same_host=b", "--hint", 'query=["=", 1, 1]']
    assert ask(cloud, *words, *hints) == DECISION
    assert cloud.asked == {
        "flavorRef": "1",
        "imageRef": "i1",
        "availability_zone": "west",
        "host": "node2",
        "project_id": "p1",
        "server_id": "s1",
        "scheduler_hints": {"same_host": ["a", "b"], "query": '["=", 1, 1]'},
    }
    ask(cloud, "1")
    assert cloud.asked == {"flavorRef": "1", "scheduler_hints": {}}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("m1.huge",), "there is no flavor m1.huge"),
        (("1", "--image", "two"), "2 of kind image are called two; give an id"),
        (("1", "--project", "none"), "there is no project none"),
    ],
)
def test_what_is_not_there_or_not_one_is_said(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(RemoteFault, match=told):
        ask(Cloud(), *words)


def test_the_answer_is_a_sentence_and_two_tables() -> None:
    lines = why_not.render(DECISION).splitlines()
    assert lines[0] == DECISION["said"]
    assert [" ".join(line.split()) for line in lines[2:]] == [
        "Stage Hosts before After",
        "placement 3 1",
        "ComputeFilter 1 0",
        "",
        "Host Refused by Because it",
        "node1 placement 512 MEMORY_MB wanted, 192 free",
        "node3 ComputeFilter is disabled",
        "and 1 more",
    ]
    chosen = {**DECISION, "chosen": "node1", "said": "host node1: 1 host considered", "stages": []}
    assert why_not.render(chosen).startswith("It would go to host node1: 1 host considered.")
