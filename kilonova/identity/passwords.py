"""Password hashes: argon2id, 19 MiB and two passes (RFC 9106; measured at 20 ms, a tenth of bcrypt's twelve rounds).

Hashing holds a core for that long, so both functions run in threads of their own, two at a time: each thread that has
ever hashed keeps those 19 MiB. Who comes next is decided in `turns.py`. Who needs more logins a second starts more
workers.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2
MAX_LENGTH = 4096
"""Of a password, in characters: upstream's limit."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Compared with when there is no such user, so that the answer takes as long as for one there is.
_nobody = _hasher.hash("nobody has this password")
_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")


async def hash_password(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Whether it matches. With no hash it takes just as long and is False."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, password, password_hash)


def _verify(password: str, password_hash: str | None) -> bool:
    try:
        _hasher.verify(password_hash or _nobody, password)
    except (VerificationError, InvalidHashError):
        return False
    return password_hash is not None
