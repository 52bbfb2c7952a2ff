"""Writes `docs/not-yet.md`: what users of other clouds know, what Kilonova says instead, and with what it comes.

The sentences are the program's own: those that refuse with "here yet", and the options that change nothing "yet". The
table below says with which part of Kilonova each comes; one that it does not know stops the writing, so a new refusal
gets its line. `python -m tools.not_yet` writes the file, its test compares.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from kilonova.cli.daemons.without_effect import ANY_PROJECT, OF_PROJECT, WHOLE_GROUPS
from tools.stages import ROOT

DOCUMENT = ROOT / "docs/not-yet.md"
VOLUMES, GUESTS, MOVES, IDENTITY, NETWORK = (
    "block storage",
    "what a guest is made of",
    "every operation on servers",
    "the whole of identity and images",
    "the whole of networking",
)
COMES_WITH = (
    (r"[Vv]olume|block storage", VOLUMES),
    (
        r"asks for|scheduler hint|boot loader|properties of aggregates",
        GUESTS,
    ),
    (r"[Ss]ervers?\b|Crash dump|Images cannot be made|passed through|[Ff]lavor|[Ee]xtra spec", MOVES),
    (r"[Pp]assword|[Ff]actor|[Dd]omain|[Ff]ederat|[Tt]rust|[Ii]mport|[Tt]ask|[Cc]redential|[Mm]etadata def", IDENTITY),
    (r"[Pp]ort|[Nn]etwork|[Ss]egment|[Rr]outer|[Ss]ubnet|stateful|IPv6", NETWORK),
)
HEAD = """\
# Not yet

What other clouds of this kind have and Kilonova has not yet. A request is refused with the sentence below, and an
option is named in the log with its reason when a daemon starts. What is still accepted without its effect stands at the
end. `python -m tools.not_yet` writes this page, the first two tables from the program itself.

"""
ACCEPTED = (
    ("compute", "no `adminPass`, and no config drive", "one is made up and shown, and set in no guest", MOVES),
    ("compute", "`OS-DCF:diskConfig: AUTO`", "kept and shown: guests grow their root by themselves", MOVES),
    (
        "compute",
        "quotas of floating IPs, fixed IPs, security groups and injected files",
        "kept and shown: the network service counts its own",
        MOVES,
    ),
    (
        "block_storage",
        "microversions of groups, clusters, managing and replication",
        "negotiated up to 3.71; their requests answer 404",
        VOLUMES,
    ),
)
"""(service, what is accepted, what becomes of it, the part it comes with). A row goes when it is done or refused."""


def refusals() -> Iterator[tuple[str, str]]:
    """(module, sentence) of every sentence in the program that says "here yet", in the order of the files."""
    for path in sorted((ROOT / "kilonova").rglob("*.py")):
        tree = ast.parse(path.read_text())
        documented = {
            id(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        pieces = {id(each) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for each in node.values}
        for node in ast.walk(tree):
            if id(node) in documented | pieces:
                continue
            sentence = _text(node)
            if sentence is not None and re.search(r"\bhere yet\b", sentence):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts), sentence


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def idle_options() -> Iterator[tuple[str, str]]:
    """(option, reason) of those that change nothing yet."""
    for name, reason in (*ANY_PROJECT.items(), *(each for table in OF_PROJECT.values() for each in table.items())):
        if "yet" in reason.split():
            group, _, option = name.partition(".")
            yield f"[{group}] {option}", reason
    for group, reason in WHOLE_GROUPS.items():
        if "yet" in reason.split():
            yield f"[{group}]", reason


def comes_with(sentence: str) -> str:
    """The part that a sentence waits for. Raises LookupError for one that no row of the table fits."""
    for pattern, part in COMES_WITH:
        if re.search(pattern, sentence):
            return part
    raise LookupError(f"tools/not_yet.py does not know with what this comes: {sentence}")


def render() -> str:
    lines = [HEAD, "## Requests\n", "| service | what is said | comes with |", "|---|---|---|"]
    rows = {(module.split(".")[1], sentence) for module, sentence in refusals()}
    lines += [f"| {service} | {sentence} | {comes_with(sentence)} |" for service, sentence in sorted(rows)]
    lines += ["\n## Options\n", "| option | why it changes nothing | comes with |", "|---|---|---|"]
    lines += [f"| `{name}` | {reason} | {comes_with(reason)} |" for name, reason in sorted(set(idle_options()))]
    lines += [
        "\n## Accepted without its effect\n",
        "| service | what | what becomes of it | comes with |",
        "|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in ACCEPTED]
    return "\n".join(lines) + "\n"


def main() -> int:
    Path(DOCUMENT).write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
