"""Password hashes: argon2id, 19 MiB and two passes (RFC 9106; measured at 20 ms, a tenth of bcrypt's twelve rounds).

Hashing holds a core for that long, so both functions run in threads of their own, two at a time. Each thread that has
hashed keeps its 19 MiB for the next password, which would take half as long again with new ones, and gives them back
when none has come for a while. Who comes next is decided in `turns.py`. Who needs more logins a second starts more
workers.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kilonova.kit import memory

ResultT = TypeVar("ResultT")

AT_ONCE = 2
KEPT_SECONDS = 1.0
"""The time after a password for which the memory for the next one is kept."""
GATHERED_SECONDS = 0.05
MAX_LENGTH = 4096
"""Of a password, in characters: upstream's limit."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Compared with when there is no such user, so that the answer takes as long as for one there is.
_nobody = _hasher.hash("nobody has this password")
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")


async def hash_password(password: str) -> str:
    return await _in_thread(lambda: _hasher.hash(password))


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether it matches. With no hash it takes just as long and is False."""
    return await _in_thread(lambda: _verify(password, password_hash))


async def _in_thread(work: Callable[[], ResultT]) -> ResultT:
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_threads, work)
    finally:
        _keeper.keep(loop)


class _Keeper:
    def __init__(self) -> None:
        self._ending: asyncio.TimerHandle | None = None

    def keep(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._ending is not None:
            self._ending.cancel()
        self._ending = loop.call_later(KEPT_SECONDS, self._give_back)

    def _give_back(self) -> None:
        """In all threads: each waits until the others are here, too, or busy with a password that came in between."""
        gathering = threading.Barrier(AT_ONCE)

        def give_back() -> None:
            memory.give_back()
            with contextlib.suppress(threading.BrokenBarrierError):
                gathering.wait(GATHERED_SECONDS)

        for _ in range(AT_ONCE):
            _threads.submit(give_back)


_keeper = _Keeper()


def _verify(password: str, password_hash: str | None) -> bool:
    try:
        _hasher.verify(password_hash or _nobody, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
