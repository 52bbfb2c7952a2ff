"""Each guide's list holds every command, statement and setting of the guide, and nothing that is not in it."""

from pathlib import Path

import pytest

from tests.guides.guides import GUIDES
from tests.guides.reading import Found, find, squeezed, typed_lines
from tests.guides.steps import Check, Command, Excluded, Guide, Mended, NotYet, Operation, Setting, Sql, Step, written

DIRECTORY = Path(__file__).parents[3] / "shared" / "guides"
pytestmark = pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)


def text_of(guide: Guide) -> str:
    path = DIRECTORY / guide.file
    if not path.exists():
        pytest.skip(f"the guides are not beside this checkout: {path} is missing")
    return path.read_text()


def is_left_out(guide: Guide, found: Found) -> bool:
    left_out: list[Excluded | NotYet] = [*guide.excluded, *guide.not_yet]
    for each in left_out:
        begins = squeezed(each.written) if isinstance(each, Excluded) else ""
        if each.first <= found.line <= each.last and squeezed(found.text).startswith(begins):
            return True
    return False


def mend(guide: Guide, line: int, text: str) -> str:
    for each in guide.mended:
        if each.first <= line <= each.last:
            text = text.replace(each.wrong, each.right)
    return text


def is_the_value(wanted: str, written: str) -> bool:
    """Explanations stand behind some values, in another script or after a #, at times without a space between."""
    if not written.startswith(wanted):
        return False
    rest = written.removeprefix(wanted)
    return not rest or not rest[0].isascii() or (rest[0] in " #(" and ("#" in rest or not rest.isascii()))


def is_the_same(guide: Guide, step: Step, found: Found) -> bool:
    if step.line != found.line:
        return False
    text = mend(guide, found.line, found.text)
    match step:
        case Setting():
            key, _, value = text.partition("=")
            place = mend(guide, found.line, f"[{found.section}]") == f"[{step.section}]" and found.file == step.file
            same = key == step.key and is_the_value(step.value, value.strip())
            return found.kind == "setting" and same and (place or not guide.sections_shown)
        case Sql():
            return found.kind == "statement" and squeezed(text).lower() == squeezed(step.statement).lower()
        case _:
            return found.kind == "command" and squeezed(text) == squeezed(step.words)


def test_nothing_of_the_guide_is_missing(guide: Guide) -> None:
    missing = [
        found
        for found in find(guide, text_of(guide))
        if not is_left_out(guide, found) and not any(is_the_same(guide, step, found) for step in guide.steps)
    ]
    assert missing == []


def test_every_line_that_looks_typed_is_understood(guide: Guide) -> None:
    """Guards the reading of guides without prompts: a command that it does not know would otherwise pass unseen."""
    text = text_of(guide)
    if guide.prompted:
        assert {found.kind for found in find(guide, text)} >= {"command", "setting", "statement"}
        return
    known = {found.line for found in find(guide, text)}
    unknown = [
        (line, typed)
        for line, typed in typed_lines(guide, text)
        if line not in known and not is_left_out(guide, Found(line, "", typed))
    ]
    assert unknown == []


def is_named(lines: list[str], step: Operation) -> bool:
    return squeezed(step.wish) in squeezed(lines[step.line - 1])


def test_nothing_is_listed_that_the_guide_does_not_have(guide: Guide) -> None:
    text = text_of(guide)
    present, lines = find(guide, text), text.splitlines()
    invented = [
        step
        for step in guide.steps
        if not (
            is_named(lines, step)
            if isinstance(step, Operation)
            else any(is_the_same(guide, step, found) for found in present)
        )
    ]
    assert invented == []


def test_every_exclusion_and_correction_concerns_something(guide: Guide) -> None:
    text = text_of(guide)
    present = find(guide, text)
    lines = text.splitlines()
    ranges: list[Excluded | Mended] = [*guide.excluded, *guide.mended]
    idle: list[object] = [
        each
        for each in ranges
        if not any(each.first <= found.line <= each.last for found in present)
        # A passage left out as a whole may be settings of another program, in a form of their own.
        and not (isinstance(each, Excluded) and not each.written and each.last > each.first)
    ]
    listed = "\n".join(written(step) for step in guide.steps)
    listed += "\n".join(shown for step in guide.steps if isinstance(step, Check) for shown in step.shows)
    idle += [each for each in guide.substitutions if each.written not in listed]
    idle += [each for each in guide.instead if each.line not in {step.line for step in guide.steps}]
    assert idle == []
    assert all(0 < step.line <= len(lines) for step in guide.steps)


def test_what_asks_for_a_password_has_one(guide: Guide) -> None:
    asking = [step for step in guide.steps if isinstance(step, Command) and "--password-prompt" in step.words]
    assert all(step.password for step in asking)
