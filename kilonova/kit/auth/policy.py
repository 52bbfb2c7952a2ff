"""Policy rules: upstream's names and the syntax of policy.yaml, compiled once at start to closures.

Source: oslo.policy's documented rule language (`role:admin`, `rule:name`, `project_id:%(project_id)s`,
`'literal':%(target.key)s`, `@`, `!`, `and`, `or`, `not`, parentheses). A check that names an unknown rule, or cannot
be parsed, stops the start: a policy that silently denies or allows is worse than none.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kilonova.kit.auth.context import RequestContext

Target = Mapping[str, Any]
Check = Callable[[RequestContext, Target], bool]

_TOKEN = re.compile(r"\s*(\(|\)|(?:%\([^)]*\)s|'[^']*'|[^\s()'])+)")
_SUBSTITUTION = re.compile(r"^%\(([^)]+)\)s$")


class PolicyError(Exception):
    """A rule that cannot be used: the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One default rule. `description` is what the action does, in a line."""

    name: str
    check: str
    description: str = ""


class Policy:
    """Every rule of one service, defaults overridden by the operator's policy file."""

    def __init__(self, defaults: Iterable[Rule], overrides: Mapping[str, str] | None = None) -> None:
        self.checks: dict[str, str] = {rule.name: rule.check for rule in defaults}
        self.checks.update(overrides or {})
        self._compiled = _compiled(tuple(self.checks.items()))

    def __contains__(self, name: str) -> bool:
        return name in self._compiled

    def allows(self, name: str, context: RequestContext, target: Target) -> bool:
        """Whether `context` may do `name` to `target`. An unknown rule is a programming error, never an answer."""
        return self._compiled[name](context, target)


@functools.lru_cache(maxsize=16)
def _compiled(checks: tuple[tuple[str, str], ...]) -> Mapping[str, Check]:
    """Rule → its check. The same rules are compiled once a process, however many apps are made with them."""
    texts = dict(checks)
    compiled: dict[str, Check] = {}

    def compile_rule(name: str, path: tuple[str, ...]) -> Check:
        if name in compiled:
            return compiled[name]
        if name in path:
            raise PolicyError(f"policy rule {name!r} refers to itself: {' -> '.join([*path, name])}")
        if name not in texts:
            asker = f" (used by {path[-1]!r})" if path else ""
            raise PolicyError(f"policy rule {name!r} is not defined{asker}")
        parser = _Parser(name, texts[name], lambda other: compile_rule(other, (*path, name)))
        compiled[name] = parser.parse()
        return compiled[name]

    for name in texts:
        compile_rule(name, ())
    return compiled


class _Parser:
    """Recursive descent over one rule: or-expression → and-expression → not → atom."""

    def __init__(self, name: str, text: str, compile_rule: Callable[[str], Check]) -> None:
        self.name = name
        self.text = text
        self.compile_rule = compile_rule
        self.tokens = list(_tokens(text))
        self.position = 0

    def parse(self) -> Check:
        if not self.tokens:
            return _allow
        check = self._any_of()
        if self.position != len(self.tokens):
            raise self._error(f"unexpected {self.tokens[self.position]!r}")
        return check

    def _peek(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def _any_of(self) -> Check:
        checks = [self._all_of()]
        while (self._peek() or "").lower() == "or":
            self.position += 1
            checks.append(self._all_of())
        if len(checks) == 1:
            return checks[0]
        return lambda context, target: any(check(context, target) for check in checks)

    def _all_of(self) -> Check:
        checks = [self._negation()]
        while (self._peek() or "").lower() == "and":
            self.position += 1
            checks.append(self._negation())
        if len(checks) == 1:
            return checks[0]
        return lambda context, target: all(check(context, target) for check in checks)

    def _negation(self) -> Check:
        if (self._peek() or "").lower() == "not":
            self.position += 1
            check = self._negation()
            return lambda context, target: not check(context, target)
        return self._atom()

    def _atom(self) -> Check:
        token = self._peek()
        if token is None:
            raise self._error("ends too early")
        self.position += 1
        if token == "(":  # noqa: S105 - a parenthesis, not a password
            check = self._any_of()
            if self._peek() != ")":
                raise self._error("a parenthesis is not closed")
            self.position += 1
            return check
        return self._leaf(token)

    def _leaf(self, token: str) -> Check:
        if token == "@":  # noqa: S105
            return _allow
        if token == "!":  # noqa: S105
            return lambda context, target: False
        kind, separator, match = token.partition(":")
        if not separator:
            raise self._error(f"{token!r} is not of the form kind:match")
        if kind == "rule":
            return self.compile_rule(match)
        if kind == "role":
            role = match.lower()
            return lambda context, target: role in context.roles
        return _comparison(kind, match)

    def _error(self, reason: str) -> PolicyError:
        return PolicyError(f"policy rule {self.name!r}: {reason} in {self.text!r}")


def _allow(_context: RequestContext, _target: Target) -> bool:
    return True


def _comparison(kind: str, match: str) -> Check:
    """`user_id:%(user_id)s`, `is_admin:True`, `'public':%(visibility)s`: compares as text; absent is never equal."""
    substitution = _SUBSTITUTION.match(match)
    key = substitution.group(1) if substitution else None

    def check(context: RequestContext, target: Target) -> bool:
        if kind.startswith("'"):
            left: object = kind.strip("'")
        else:
            left = context.credentials().get(kind)
        right = target.get(key) if key is not None else match
        if left is None or right is None:
            return False
        return str(left) == str(right)

    return check


def _tokens(text: str) -> Iterator[str]:
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        found = _TOKEN.match(stripped, position)
        if found is None:
            raise PolicyError(f"cannot read {stripped[position:]!r}")
        position = found.end()
        yield found.group(1)
