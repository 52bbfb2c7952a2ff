"""The cloud's public APIs as `demo` and `status` call them: a password, a token, the catalog's addresses, JSON.

The one rule: these commands see what any user's client sees; nothing here reaches into a service. Blocking.
Source: Identity API v3 reference, "Password authentication with scoped authorization".
"""

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from kilonova.cli.state import StateDir, default_path, read_config
from kilonova.kit.config import ConfigError
from kilonova.kit.http.client import RemoteUnavailable, fault_of, whole

TIMEOUT_SECONDS = 60.0
CHUNK_BYTES = 1 << 20

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """Who calls: a user of the domain Default on a project of the same."""

    auth_url: str
    """Identity's address with its version, like `http://127.0.0.1:5000/v3`."""
    region: str
    user: str
    project: str
    password: str


class Session:
    """One user's calls. Answers are decoded; refusals raise `RemoteFault` with the service's own sentence, a service
    that cannot be reached `RemoteUnavailable`."""

    def __init__(self, login: Login) -> None:
        self._login = login
        # Loopback is never behind a proxy, whatever the environment of the shell says.
        self._http = httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False)
        self._token = ""
        self.endpoints: dict[str, str] = {}
        """Service type → public address, in catalog order; filled by the first call."""
        self.project_id = ""
        self.versions: dict[str, str] = {}
        """Service type → microversion to speak; without one the service's oldest."""
        self.issued_at = datetime.fromtimestamp(0, UTC)
        """When identity made the token, by its clock."""

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def log_in(self) -> None:
        """Fetches a token and the catalog; calls do it by themselves."""
        login = self._login
        who = {"name": login.user, "domain": {"name": "Default"}, "password": login.password}
        scope = {"project": {"name": login.project, "domain": {"name": "Default"}}}
        auth = {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": scope}
        request = self._http.build_request("POST", f"{login.auth_url}/auth/tokens", json={"auth": auth})
        response = self._send("identity", request)
        token = response.json()["token"]
        self.project_id = token["project"]["id"]
        self.issued_at = datetime.fromisoformat(token["issued_at"])
        for entry in token["catalog"]:
            for endpoint in entry["endpoints"]:
                if endpoint["interface"] == "public" and endpoint["region"] == login.region:
                    self.endpoints[entry["type"]] = endpoint["url"].rstrip("/")
        self._token = response.headers["x-subject-token"]

    def call(self, service: str, method: str, path: str, body: Fields | None = None, **query: Any) -> Any:
        """One request to a service by its type; `path` follows the catalog's address. None when the answer is empty."""
        return self._call(service, method, path, query, json=body)

    def get(self, service: str, path: str, **query: Any) -> Any:
        return self.call(service, "GET", path, **query)

    def upload(self, path: str, file: Path) -> None:
        """Sends a file as the data of an image, in pieces."""
        headers = {"Content-Type": "application/octet-stream"}
        self._call("image", "PUT", path, {}, content=_pieces(file), headers=headers)

    def _call(self, service: str, method: str, path: str, query: Fields, **content: Any) -> Any:
        if not self._token:
            self.log_in()
        address = self.endpoints.get(service)
        if address is None:
            raise RemoteUnavailable(service, 503, "is not in the catalog of this region")
        request = self._http.build_request(method, address + path, params=query or None, **content)
        request.headers["X-Auth-Token"] = self._token
        if service in self.versions:
            request.headers["OpenStack-API-Version"] = f"{service} {self.versions[service]}"
        response = self._send(service, request)
        return response.json() if response.content else None

    def _send(self, service: str, request: httpx.Request) -> httpx.Response:
        try:
            response = self._http.send(request)
        except httpx.HTTPError as error:
            raise RemoteUnavailable(service, 503, f"cannot be reached: {error or type(error).__name__}") from error
        if response.status_code >= 400:
            raise fault_of(service, whole(response))
        return response


def _pieces(file: Path) -> Iterable[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(CHUNK_BYTES):
            yield piece


def login_from(config: Any, user: str) -> Login:
    """How `admin` or `demo` logs in to the cloud of a configuration; each has a project of the same name."""
    return Login(auth_url_of(config), config.region_name, user, user, getattr(config.passwords, user))


def login_of(arguments: argparse.Namespace) -> Login:
    """The administrator by the OS_* variables of the environment, where they name a cloud; else of this machine's."""
    env = os.environ
    if not env.get("OS_AUTH_URL") or arguments.state_dir is not None:
        return login_from(read_config(StateDir(arguments.state_dir or default_path())), "admin")
    try:
        user, project, password = env["OS_USERNAME"], env["OS_PROJECT_NAME"], env["OS_PASSWORD"]
    except KeyError as missing:
        raise ConfigError(f"OS_AUTH_URL is set, and {missing.args[0]} is not") from None
    return Login(env["OS_AUTH_URL"].rstrip("/"), env.get("OS_REGION_NAME", "RegionOne"), user, project, password)


def auth_url_of(config: Any) -> str:
    address = f"[{config.my_ip}]" if ":" in config.my_ip else config.my_ip
    return f"http://{address}:5000/v3"
