"""Find rings of modules that import each other, from syntax trees alone.

An import inside a function closes a ring as much as one at the top of a file, and so does one under
`if TYPE_CHECKING:`: whoever reads one of the two modules has to know the other.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, order=True)
class Link:
    """One import: who imports, what, and where that is written."""

    importer: str
    imported: str
    path: str
    line: int


def module_name(path: str) -> str:
    """`kilonova/kit/db/__init__.py` is `kilonova.kit.db`."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def import_nodes(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        else:
            yield from import_nodes(child)


def imported_names(node: ast.Import | ast.ImportFrom, path: str) -> Iterator[str]:
    """Dotted names an import may stand for: `from a import b` is `a.b`, which may be a module or a name in one."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    origin = node.module or ""
    if node.level:
        package = PurePosixPath(path).parts[: -node.level]
        origin = ".".join([*package, *([node.module] if node.module else [])])
    yield from (f"{origin}.{alias.name}" for alias in node.names)


def find_links(trees: Mapping[str, ast.Module]) -> list[Link]:
    """Every import of one of these modules by another."""
    modules = {module_name(path) for path in trees}
    links = []
    for path, tree in trees.items():
        importer = module_name(path)
        for node in import_nodes(tree):
            for name in imported_names(node, path):
                imported = name if name in modules else name.rpartition(".")[0]
                if imported in modules and imported != importer:
                    links.append(Link(importer, imported, path, node.lineno))
    return sorted(links)


def shortest_ring(start: str, links_from: Mapping[str, list[Link]]) -> list[Link] | None:
    """The shortest way from a module back to itself, or None."""
    reached: dict[str, list[Link]] = {start: []}
    queue = [start]
    for module in queue:
        for link in links_from.get(module, []):
            way = [*reached[module], link]
            if link.imported == start:
                return way
            if link.imported not in reached:
                reached[link.imported] = way
                queue.append(link.imported)
    return None


def find_cycles(trees: Mapping[str, ast.Module]) -> list[list[Link]]:
    """The shortest ring through each module that is in one; a ring is reported once."""
    links_from: dict[str, list[Link]] = {}
    for link in find_links(trees):
        links_from.setdefault(link.importer, []).append(link)
    rings: list[list[Link]] = []
    seen: set[str] = set()
    for module in sorted(links_from):
        if module in seen:
            continue
        ring = shortest_ring(module, links_from)
        if ring is not None:
            seen |= {link.importer for link in ring}
            rings.append(ring)
    return rings
