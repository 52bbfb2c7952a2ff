"""Every program of every service is run by its service's runner, and goes through the crash harness step by step."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import kilonova
from kilonova.kit.tasks import Program
from kilonova.kit.tasks.programs import step_name


def every_program() -> dict[tuple[str, str], Program[Any, Any]]:
    """(service, name) → each program that is made anywhere in the package."""
    found = {}
    for module_name in _module_names(kilonova.__path__, "kilonova."):
        for name, value in vars(importlib.import_module(module_name)).items():
            # What is registered is what is compared with.
            several = value.values() if isinstance(value, Mapping) and name != "PROGRAMS" else [value]
            for each in several:
                if isinstance(each, Program):
                    found[_service_of(each), each.name] = each
    return found


def _module_names(path: list[str], prefix: str) -> Iterator[str]:
    for each in pkgutil.iter_modules(path, prefix):
        if each.name.endswith(".migrations"):
            continue
        yield each.name
        if each.ispkg:
            yield from _module_names(importlib.import_module(each.name).__path__, each.name + ".")


def _service_of(program: Program[Any, Any]) -> str:
    return program.steps[0].__module__.split(".")[1]


EVERY = every_program()
SERVICES = sorted({service for service, _ in EVERY})


def test_there_are_programs_to_look_at() -> None:
    assert {("compute", "build"), ("compute", "destroy"), ("compute", "reboot")} <= set(EVERY)


@pytest.mark.parametrize("service", SERVICES)
def test_each_program_is_registered(service: str) -> None:
    registered = importlib.import_module(f"kilonova.{service}.programs").PROGRAMS
    assert {name for of, name in EVERY if of == service} == set(registered)


@pytest.mark.parametrize("service", SERVICES)
def test_each_step_of_each_program_is_in_a_crash_story(service: str) -> None:
    """A service tells its stories in tests/<service>/programs/stories.py, and its crash tests go through them."""
    stories = importlib.import_module(f"tests.{service}.programs.stories").STORIES
    told = {(story.program, step) for story in stories for step in story.steps}
    there = {
        (name, step_name(step))
        for (of, name), program in EVERY.items()
        if of == service
        for step in program.all_steps()
    }
    assert there - told == set(), "steps that no story goes through"
    assert told - there == set(), "steps that are no longer there"
