"""Each limit is held: what is just inside passes, what is just outside is named with its place."""

from pathlib import Path

import pytest

from tools.check_limits import MAX_OPTIONS, check, parameter_count, read_sources, step_names


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "kilonova").mkdir()
    return tmp_path


def write(tree: Path, name: str, text: str) -> None:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def findings(tree: Path) -> list[str]:
    return [str(finding) for finding in check(tree)]


def function(name: str, lines: int, prefix: str = "") -> str:
    return f"{prefix}def {name}():\n" + "    x = 1\n" * (lines - 1)


def test_a_file_of_800_lines_passes_and_one_more_does_not(tree: Path) -> None:
    write(tree, "kilonova/short.py", "x = 1\n" * 800)
    write(tree, "kilonova/long.py", "x = 1\n" * 801)
    assert findings(tree) == ["kilonova/long.py:801: file has 801 lines, allowed 800"]


def test_a_function_of_60_lines_passes_and_one_more_does_not(tree: Path) -> None:
    write(tree, "kilonova/a.py", function("fits", 60) + function("wide", 61, prefix="async "))
    assert findings(tree) == ["kilonova/a.py:61: function wide has 61 lines, allowed 60"]


def test_a_method_inside_a_class_is_a_function_too(tree: Path) -> None:
    body = "".join(f"        x = {n}\n" for n in range(60))
    write(tree, "kilonova/a.py", f"class Thing:\n    def act(self):\n{body}")
    assert findings(tree) == ["kilonova/a.py:2: function act has 61 lines, allowed 60"]


@pytest.mark.parametrize(
    "registration",
    ["BUILD = Program('build', steps=[schedule])", "STEPS = {'schedule': schedule}", "register(first=schedule)"],
)
def test_a_registered_step_of_a_program_may_have_40_lines(tree: Path, registration: str) -> None:
    write(tree, "kilonova/compute/programs/build.py", function("schedule", 41) + f"\n{registration}\n")
    write(tree, "kilonova/compute/programs/resize.py", function("schedule", 40) + f"\n{registration}\n")
    assert findings(tree) == ["kilonova/compute/programs/build.py:1: step schedule has 41 lines, allowed 40"]


@pytest.mark.parametrize("decorator", ["@step", "@build.step", "@step(deadline_seconds=5)", "@build.step('schedule')"])
def test_a_decorated_step_of_a_program_may_have_40_lines(tree: Path, decorator: str) -> None:
    write(tree, "kilonova/compute/programs/build.py", f"{decorator}\n" + function("schedule", 41))
    assert findings(tree) == ["kilonova/compute/programs/build.py:2: step schedule has 41 lines, allowed 40"]


def test_a_function_beside_the_steps_of_a_program_is_no_step(tree: Path) -> None:
    write(tree, "kilonova/compute/programs/build.py", function("render", 60))
    (source,) = read_sources(tree)
    assert step_names(source.tree) == set()
    assert findings(tree) == []


def test_a_migration_may_be_as_long_as_its_schema(tree: Path) -> None:
    write(tree, "kilonova/compute/migrations/versions/0001_initial.py", function("upgrade", 200))
    assert findings(tree) == []


@pytest.mark.parametrize("directory", ["api", "views"])
def test_handlers_and_views_import_row_types_and_no_tables(tree: Path, directory: str) -> None:
    name = f"kilonova/compute/{directory}/servers.py"
    write(tree, name, "from kilonova.compute.tables import Server, ServerAddress\n")
    assert findings(tree) == []
    write(tree, name, "from kilonova.compute.tables import Server, METADATA, servers\n")
    (finding,) = findings(tree)
    assert finding.startswith(f"{name}:1: imports the tables METADATA, servers: only row types are allowed here")
    for line in ("from kilonova.compute import tables", "import kilonova.compute.tables", "from .. import tables"):
        write(tree, name, f"{line}\n")
        assert findings(tree) == [f"{name}:1: imports all tables: only row types are allowed here, by name"]


def test_the_domain_imports_its_tables(tree: Path) -> None:
    write(tree, "kilonova/compute/servers/servers.py", "from kilonova.compute.tables import servers\n")
    assert findings(tree) == []


def test_parameters_count_without_self_and_with_stars(tree: Path) -> None:
    write(tree, "kilonova/a.py", "def f(a, b, /, c, d, *, e, f, g, h): ...\ndef g(a, b, c, d, e, f, g, *h, **i): ...\n")
    assert findings(tree) == [
        "kilonova/a.py:2: function g has 9 parameters, allowed 8: make them a dataclass",
    ]
    write(tree, "kilonova/a.py", "class A:\n    def f(self, a, b, c, d, e, f, g, h): ...\n")
    assert findings(tree) == []
    (source,) = read_sources(tree)
    assert parameter_count(source.tree.body[0].body[0]) == 8


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("kilonova/utils.py", "utils"),
        ("kilonova/volume_manager.py", "manager"),
        ("kilonova/common/locks.py", "common"),
        ("kilonova/_base.py", "base"),
        ("tests/kit/helpers.py", "helpers"),
        ("tests/kit/test_core.py", "core"),
    ],
)
def test_a_banned_file_or_directory_name_is_found_in_code_and_tests(tree: Path, name: str, word: str) -> None:
    write(tree, name, "")
    (finding,) = findings(tree)
    assert finding.startswith(f"{name}:1: ")
    assert f"is named {word!r}" in finding


@pytest.mark.parametrize("name", ["kilonova/base_images.py", "kilonova/core_dumps.py", "kilonova/managers_of_state.py"])
def test_a_banned_word_that_only_describes_something_else_is_allowed(tree: Path, name: str) -> None:
    write(tree, name, "")
    assert findings(tree) == []


@pytest.mark.parametrize(
    ("name", "word"), [("TaskManager", "manager"), ("BaseStore", "base"), ("_AddressMixin", "mixin")]
)
def test_a_banned_class_name_is_found_even_in_tests(tree: Path, name: str, word: str) -> None:
    write(tree, "tests/test_a.py", f"x = 1\nclass {name}: ...\n")
    assert findings(tree) == [f"tests/test_a.py:2: class {name} is named {word!r}: name it after its state"]


def test_a_class_name_that_only_begins_like_a_banned_word_is_allowed(tree: Path) -> None:
    write(tree, "kilonova/a.py", "class Baseline: ...\nclass Base64Text: ...\nclass Score: ...\n")
    assert findings(tree) == []


def test_tests_are_held_to_no_size(tree: Path) -> None:
    write(tree, "tests/test_a.py", function("test_a_long_story", 900))
    assert findings(tree) == []


def test_modules_that_import_each_other_are_a_cycle_wherever_the_import_stands(tree: Path) -> None:
    write(tree, "kilonova/a.py", "from kilonova import b\n")
    write(tree, "kilonova/b.py", "x = 1\ndef f():\n    from kilonova.c import y\n")
    write(tree, "kilonova/c.py", "import kilonova.a\n")
    assert findings(tree) == [
        "kilonova/a.py:1: import cycle kilonova.a → kilonova.b → kilonova.c → kilonova.a: "
        "move what both need below them"
    ]


def test_a_package_that_imports_a_module_which_imports_the_package_is_a_cycle(tree: Path) -> None:
    write(tree, "kilonova/db/__init__.py", "from .engine import Engine\n")
    write(tree, "kilonova/db/engine.py", "from . import transaction\n")
    (finding,) = findings(tree)
    assert "import cycle kilonova.db → kilonova.db.engine → kilonova.db:" in finding


def test_an_import_for_type_checking_closes_a_cycle_too(tree: Path) -> None:
    write(tree, "kilonova/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from kilonova.b import B\n")
    write(tree, "kilonova/b.py", "from kilonova.a import A\n")
    (finding,) = findings(tree)
    assert "import cycle kilonova.a → kilonova.b → kilonova.a:" in finding


def test_the_options_of_each_service_are_counted(tree: Path) -> None:
    opts = "from oslo_config import cfg\nOPTS = [\n" + "    cfg.StrOpt('x'),\n" * MAX_OPTIONS + "]\n"
    write(tree, "kilonova/a.py", opts)
    write(tree, "kilonova/b.py", "from oslo_config.cfg import IntOpt\nx = IntOpt('y')\n")
    assert findings(tree) == []
    write(tree, "kilonova/a.py", opts + "y = cfg.Opt('z')\n")
    assert findings(tree) == ["kilonova/a.py:1: 121 options; allowed 120 a service"]


def test_the_rules_hold_for_the_tools_themselves(tree: Path) -> None:
    (tree / "tools").symlink_to(Path(__file__).parents[2] / "tools")
    assert "tools/check_limits.py" in [source.path for source in read_sources(tree)]
    assert findings(tree) == []
