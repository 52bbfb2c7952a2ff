"""Identity and the other services as a daemon reaches them, from the sections of its files that say as whom."""

import re
import ssl
from typing import Any

import httpx

from kilonova.cli.daemons.refusals import check_identity
from kilonova.kit.bus import Bus
from kilonova.kit.config import ConfigError
from kilonova.kit.http.client import Credentials, RemoteService, ServiceSession, catalog_client
from kilonova.kit.http.shared_tokens import SharedTokens
from kilonova.kit.http.tokens import REVOCATIONS_TOPIC, TokenVerifier

_VERSION_SUFFIX = re.compile(r"/v\d+(\.\d+)?/?$")
TIMEOUT_SECONDS = 60.0


def identity_url(auth_url: str) -> str:
    """Without the version that some files name: requests say it themselves."""
    return _VERSION_SUFFIX.sub("", auth_url.rstrip("/"))


class Neighbours:
    """Identity and the other services, as this one's own user."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self._verify = certificates_of(group)
        self.identity = self._client(identity_url(group.auth_url))
        self.session = ServiceSession(self.identity, credentials_of(group))
        self._clients = [self.identity]
        self._sessions = {group_name(group): self.session}

    async def check(self) -> None:
        """Whether identity knows the users of the file. Raises ConfigError, NotReady; one that is away is no error."""
        await check_identity(self.identity, self._sessions)

    def verifier(self, bus: Bus) -> TokenVerifier:
        verifier = TokenVerifier(
            self.identity, self.session, shared=self._shared_tokens(), recheck_seconds=self._group.token_cache_time
        )
        bus.subscribe(REVOCATIONS_TOPIC, verifier.forget)
        return verifier

    def _client(self, url: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, verify=self._verify)

    def _shared_tokens(self) -> SharedTokens | None:
        """Without a key of its own the service's password seals them, which its processes share as well."""
        group = self._group
        if not group.memcached_servers:
            return None
        try:
            return SharedTokens(group.memcached_servers, group.memcache_secret_key or group.password)
        except ValueError as error:
            raise ConfigError(f"[keystone_authtoken] memcached_servers: {error}") from error

    def remote(self, service_type: str, url: str | None = None, group: Any = None) -> RemoteService:
        """Where the catalog says it is, or at `url`. A group of its own in the file (`[placement]`) says as whom."""
        session, region = self.session, self._group.region_name
        if group is not None and group.username:
            identity = self._client(identity_url(group.auth_url))
            self._clients.append(identity)
            session = self._sessions[group_name(group)] = ServiceSession(identity, credentials_of(group))
        if group is not None:
            region = group.region_name or region
        if url is not None:
            client = self._client(url)
        else:
            client = catalog_client(self.identity, session, service_type, region or None, self._verify)
        return RemoteService(service_type, client, session)

    async def close(self) -> None:
        for each in self._clients:
            await each.aclose()


def group_name(group: Any) -> str:
    """As it stands in the file."""
    name: str = group._group.name
    return name


def certificates_of(group: Any) -> ssl.SSLContext | bool:
    """What httpx checks other services' certificates with. Raises ConfigError."""
    if group.insecure:
        return False
    if not group.cafile:
        return True
    try:
        return ssl.create_default_context(cafile=group.cafile)
    except OSError as error:
        raise ConfigError(f"[keystone_authtoken] cafile: {group.cafile}: {error}") from error


def credentials_of(group: Any) -> Credentials:
    """Raises ConfigError naming what is missing."""
    for name in ("username", "password"):
        if not getattr(group, name):
            raise ConfigError(f"[{group_name(group)}] {name} is missing: it is this service's own user at identity")
    return Credentials(
        group.username,
        group.password,
        group.project_name,
        group.user_domain_id or _domain_id(group.user_domain_name),
        group.project_domain_id or _domain_id(group.project_domain_name),
    )


def _domain_id(name: str) -> str:
    """The guides write the one domain there always is with a small letter or a large one."""
    if name.lower() != "default":
        raise ConfigError(f"service users live in the domain Default, not in {name!r}")
    return "default"
