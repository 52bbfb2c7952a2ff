"""Checked tokens, shared by the processes of one service through memcached.

What is stored is sealed with a key that only the service's processes have: whoever can write to memcached could
otherwise make itself an administrator. A server that does not answer is left alone for a while; identity is asked then.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Sequence

import aiomcache
import msgspec
from cryptography.fernet import Fernet, InvalidToken

from kilonova.kit.http.tokens import CheckedToken
from kilonova.kit.log import logger

log = logger(__name__)

ANSWER_SECONDS = 0.5
REST_SECONDS = 10.0
PREFIX = b"kilonova.token."
BROKEN = (OSError, TimeoutError, aiomcache.ClientException)


class SharedTokens:
    """A `TokenMemory`. `servers`: `host:port` each. `secret`: the same in every process of the service, and nowhere
    else. Raises ValueError for a server that is not of that form."""

    def __init__(self, servers: Sequence[str], secret: str) -> None:
        self._servers = [_Server(*_place(each)) for each in servers]
        key = hashlib.scrypt(secret.encode(), salt=b"kilonova tokens", n=2**14, r=8, p=1, dklen=32)
        self._seal = Fernet(base64.urlsafe_b64encode(key))
        # Without it, who can read memcached could see whether a token that was found elsewhere is in use.
        self._name = hashlib.sha256(b"name" + key).digest()

    async def get(self, token: str) -> CheckedToken | None:
        """None when it is not there, was written by somebody else, or memcached does not answer."""
        name = self._name_of(token)
        server = self._server_of(name)
        sealed = await server.get(name)
        if sealed is None:
            return None
        try:
            found = msgspec.msgpack.decode(self._seal.decrypt(sealed), type=CheckedToken)
        except (InvalidToken, msgspec.MsgspecError):
            log.warning("what memcached holds for a token is not this service's", server=server.place)
            return None
        # The token itself is not stored.
        return CheckedToken(msgspec.structs.replace(found.context, token=token), found.checked_at)

    async def put(self, token: str, checked: CheckedToken, seconds: int) -> None:
        bare = CheckedToken(msgspec.structs.replace(checked.context, token=""), checked.checked_at)
        name = self._name_of(token)
        await self._server_of(name).put(name, self._seal.encrypt(msgspec.msgpack.encode(bare)), seconds)

    async def close(self) -> None:
        for each in self._servers:
            await each.close()

    def _name_of(self, token: str) -> bytes:
        return PREFIX + hashlib.blake2b(token.encode(), key=self._name, digest_size=32).hexdigest().encode()

    def _server_of(self, name: bytes) -> "_Server":
        return self._servers[int(name[-8:], 16) % len(self._servers)]


class _Server:
    def __init__(self, host: str, port: int) -> None:
        self.place = f"{host}:{port}"
        self._client = aiomcache.Client(host, port)
        self._rests_until = 0.0

    async def get(self, name: bytes) -> bytes | None:
        if time.monotonic() < self._rests_until:
            return None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._client.get(name)
        except BROKEN as error:
            self._rest(error)
            return None

    async def put(self, name: bytes, value: bytes, seconds: int) -> None:
        if time.monotonic() < self._rests_until:
            return
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.set(name, value, exptime=seconds)
        except BROKEN as error:
            self._rest(error)

    def _rest(self, error: Exception) -> None:
        self._rests_until = time.monotonic() + REST_SECONDS
        log.warning("memcached does not answer", server=self.place, reason=f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        await self._client.close()


def _place(text: str) -> tuple[str, int]:
    """`controller:11211`, `controller`, `[::1]:11211`, `inet6:[::1]:11211`. Raises ValueError."""
    text = text.removeprefix("inet6:").removeprefix("inet:")
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), 11211
    return host.strip("[]"), int(port)
