"""Calls to the cloud from in front of it, as an administrator: what a person would type, without the wait for a client.

The rule: what cannot be reached and what is refused are two kinds of failure, and neither is hidden.
"""

import threading
from collections.abc import Mapping
from typing import Any

import httpx

from tools.lab.wires import Outside

PORTS = {"identity": 5000, "image": 9292, "placement": 8778, "compute": 8774, "network": 9696}
VERSIONS = {"openstack-api-version": "compute 2.90, placement 1.36", "x-openstack-nova-api-version": "2.90"}


class Refused(Exception):
    """The API answered with an error."""

    def __init__(self, status: int, text: str, what: str) -> None:
        super().__init__(f"{what}: {status} {text[:500]}")
        self.status = status
        self.text = text


class Unreachable(Exception):
    """Nothing answered."""


class Api:
    def __init__(self, outside: Outside, address: str, password: str, timeout_seconds: float = 30.0) -> None:
        self._outside = outside
        self._address = address
        self._password = password
        self._client = httpx.Client(timeout=timeout_seconds, limits=httpx.Limits(max_keepalive_connections=0))
        self._token = ""
        self._logging_in = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def call(
        self,
        service: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's body. Raises Refused for a status of 300 and more, Unreachable."""
        if not self._token:
            self._log_in("")
        used = self._token
        response = self._send(service, method, path, body, content, {**(headers or {}), "x-auth-token": used})
        if response.status_code == 401:
            self._log_in(used)
            response = self._send(
                service, method, path, body, content, {**(headers or {}), "x-auth-token": self._token}
            )
        if response.status_code >= 300:
            raise Refused(response.status_code, response.text, f"{method} {service} {path}")
        return response.json() if response.content and "json" in response.headers.get("content-type", "") else {}

    def _send(
        self,
        service: str,
        method: str,
        path: str,
        body: Any,
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> httpx.Response:
        url = f"http://{self._address}:{PORTS[service]}{path}"
        sent = {**VERSIONS, **headers}
        if content is not None:
            sent["content-type"] = "application/octet-stream"

        def request() -> httpx.Response:
            return self._client.request(method, url, json=body, content=content, headers=sent)

        try:
            return self._outside.call(request)
        except httpx.TransportError as error:
            raise Unreachable(f"{method} {url}: {error!r}") from error

    def _log_in(self, stale: str) -> None:
        """A new token, unless another thread has got one meanwhile."""
        with self._logging_in:
            if self._token != stale:
                return
            user = {"name": "admin", "domain": {"name": "Default"}, "password": self._password}
            scope = {"project": {"name": "admin", "domain": {"name": "Default"}}}
            body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
            response = self._send("identity", "POST", "/v3/auth/tokens", body, None, {})
            if response.status_code != 201:
                raise Refused(response.status_code, response.text, "log in")
            self._token = response.headers["x-subject-token"]

    def is_ready(self, service: str) -> bool:
        """Whether the API says of itself that it can work."""
        try:
            return self._send(service, "GET", "/healthcheck", None, None, {}).status_code == 200
        except Unreachable:
            return False
