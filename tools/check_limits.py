"""Check the limits that keep the code simple: sizes, names, import cycles, the number of a service's options.

Reads syntax trees only, imports nothing. Sizes hold for what is shipped and for the tools; names hold for the tests
too. A line that is over says where, how much, and what is allowed.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.import_cycles import find_cycles

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 60
MAX_STEP_LINES = 40
MAX_PARAMETERS = 8
MAX_OPTIONS = 120
"""Of a service: each declares its options in a file of its own."""

BANNED_WORDS = {"utils", "common", "helpers", "misc", "base", "core", "manager", "mixin", "plugin"}
SINGULARS = {"util", "helper", "plugins", "managers", "mixins"}
CHECKED_DIRECTORIES = ["kilonova", "tools", "bench", "tests"]
PACKAGE = "kilonova"
OPTION_CLASS = re.compile(
    r"(Bool|Dict|Float|HostAddress|HostDomain|Hostname|IP|Int|List|Multi|MultiString|MultiStr|Port|Str|URI)?Opt"
)

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True)
class Source:
    """One parsed file; `path` is relative to the checked tree and has forward slashes."""

    path: str
    line_count: int
    tree: ast.Module

    @property
    def parts(self) -> tuple[str, ...]:
        return Path(self.path).parts

    @property
    def is_test(self) -> bool:
        return self.parts[0] == "tests"

    @property
    def is_edge(self) -> bool:
        """Handlers and views: they may know what a row looks like, never the table it lies in."""
        return self.parts[0] == PACKAGE and bool({"api", "views"} & set(self.parts[:-1]))

    @property
    def is_migration(self) -> bool:
        """One list of statements that never changes again: it is as long as the schema."""
        return "migrations" in self.parts[:-1]

    @property
    def is_program(self) -> bool:
        return "programs" in self.parts[:-1]


def read_sources(root: Path) -> list[Source]:
    sources = []
    for directory in CHECKED_DIRECTORIES:
        for path in sorted((root / directory).rglob("*.py")):
            text = path.read_text()
            name = path.relative_to(root).as_posix()
            sources.append(Source(name, text.count("\n"), ast.parse(text, filename=name)))
    return sources


def check_names(source: Source) -> Iterator[Finding]:
    for part in source.parts:
        stem = part.removesuffix(".py").removeprefix("test_").lstrip("_")
        word = stem.rsplit("_", 1)[-1]
        if word in BANNED_WORDS | SINGULARS:
            yield Finding(source.path, 1, f"{part!r} is named {word!r}: name it after what it holds")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            words = {word.lower() for word in re.findall(r"[A-Z][a-z0-9]*", node.name)}
            for word in sorted(words & (BANNED_WORDS | SINGULARS)):
                yield Finding(source.path, node.lineno, f"class {node.name} is named {word!r}: name it after its state")


def parameter_count(node: FunctionNode) -> int:
    """Parameters a caller sees: without `self` or `cls`; `*args` and `**kwargs` count one each."""
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    if named and named[0].arg in ("self", "cls"):
        named = named[1:]
    return len(named) + len(arguments.kwonlyargs) + bool(arguments.vararg) + bool(arguments.kwarg)


def line_span(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def decorator_names(node: FunctionNode) -> Iterator[str]:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(called, ast.Attribute):
            yield called.attr
        elif isinstance(called, ast.Name):
            yield called.id


def step_names(tree: ast.Module) -> set[str]:
    """Functions of a program that are steps: decorated with a `step`, or handed over by name at module level."""
    functions = [node for node in tree.body if isinstance(node, FunctionNode)]
    decorated = {node.name for node in functions if "step" in decorator_names(node)}
    others = [node for node in tree.body if not isinstance(node, FunctionNode | ast.ClassDef)]
    mentioned = {
        name.id
        for statement in others
        for name in ast.walk(statement)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Load)
    }
    return decorated | {node.name for node in functions if node.name in mentioned}


def check_sizes(source: Source) -> Iterator[Finding]:
    if source.line_count > MAX_FILE_LINES:
        yield Finding(source.path, source.line_count, f"file has {source.line_count} lines, allowed {MAX_FILE_LINES}")
    steps = step_names(source.tree) if source.is_program else set()
    for node in ast.walk(source.tree):
        if not isinstance(node, FunctionNode):
            continue
        kind, allowed = ("step", MAX_STEP_LINES) if node.name in steps else ("function", MAX_FUNCTION_LINES)
        lines = line_span(node)
        if lines > allowed and not source.is_migration:
            yield Finding(source.path, node.lineno, f"{kind} {node.name} has {lines} lines, allowed {allowed}")
        count = parameter_count(node)
        if count > MAX_PARAMETERS:
            text = f"function {node.name} has {count} parameters, allowed {MAX_PARAMETERS}: make them a dataclass"
            yield Finding(source.path, node.lineno, text)


def check_row_types(source: Source) -> Iterator[Finding]:
    """What handlers and views import from `tables` are row types, which are named like classes."""
    if not source.is_edge:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(".tables"):
            names = [alias.name for alias in node.names if not re.match(r"[A-Z].*[a-z]", alias.name)]
            if names:
                text = f"imports the tables {', '.join(names)}: only row types are allowed here, ask the domain"
                yield Finding(source.path, node.lineno, text)
        elif isinstance(node, ast.Import | ast.ImportFrom) and any(
            alias.name.rpartition(".")[2] == "tables" for alias in node.names
        ):
            yield Finding(source.path, node.lineno, "imports all tables: only row types are allowed here, by name")


def count_options(sources: Iterable[Source]) -> dict[str, int]:
    """Constructions of oslo.config options, by file."""
    counts: dict[str, int] = {}
    for source in sources:
        if source.parts[0] != PACKAGE:
            continue
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if OPTION_CLASS.fullmatch(name):
                counts[source.path] = counts.get(source.path, 0) + 1
    return counts


def check_options(counts: dict[str, int]) -> Iterator[Finding]:
    for path, count in counts.items():
        if count > MAX_OPTIONS:
            yield Finding(path, 1, f"{count} options; allowed {MAX_OPTIONS} a service")


def check_cycles(sources: Iterable[Source]) -> Iterator[Finding]:
    trees = {source.path: source.tree for source in sources}
    for cycle in find_cycles(trees):
        first = cycle[0]
        way = " → ".join([link.importer for link in cycle] + [first.importer])
        yield Finding(first.path, first.line, f"import cycle {way}: move what both need below them")


def check(root: Path) -> list[Finding]:
    sources = read_sources(root)
    findings = [finding for source in sources for finding in check_names(source)]
    findings += [finding for source in sources if not source.is_test for finding in check_sizes(source)]
    findings += [finding for source in sources for finding in check_row_types(source)]
    findings += check_options(count_options(sources))
    findings += check_cycles(sources)
    return sorted(findings)


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    findings = check(root)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
