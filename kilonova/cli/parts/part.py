"""A part of a cloud: one program of the guides, whichever process it runs in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp

from kilonova.cli.grounds.ground import Ground
from kilonova.cli.parts.options import Options

Work = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Api:
    name: str
    app: ASGIApp
    address: str
    port: int
    takes_websockets: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """What a part serves, what it does beside that until it is cancelled, and what ends it."""

    apis: Sequence[Api] = ()
    work: Sequence[Work] = ()
    closing: Sequence[Callable[[], object]] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """`program` and `project` say which files a daemon reads, `options` what it reads from them."""

    program: str
    project: str
    options: Sequence[Options]
    build: Callable[[Ground], Awaitable[Running]]
