"""Runs the request stories shipped inside upstream's own placement package against our service.

Runs in an environment of its own that holds gabbi and openstack-placement (see tools/conformance_placement.py); the
service runs in ours, as a process started afresh for every story file. Upstream's fixtures are used as they are; what
they would write into upstream's database goes over HTTP instead.

A difference in the wording of an error alone is counted on its own: sentences are no part of the API.

`python suites.py SERVER-PYTHON RESULT-FILE [NAME…]`
"""

import importlib.resources
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import placement.policies
from gabbi import driver
from gabbi.handlers import core
from oslo_utils.fixture import uuidsentinel
from placement.tests.functional.fixtures import gabbits as fixtures

OLD_DEFAULTS = {"placement:reshaper:reshape": "rule:admin_or_service_api"}
"""What most stories count on: before upstream's present defaults an administrator might do everything."""

PORT = int(os.environ.get("CONFORMANCE_PORT", "18778"))
HERE = Path(__file__).parent
wording: set[str] = set()


class Server:
    """The service under test."""

    def __init__(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, overrides: dict[str, str] | None = None) -> None:
        self.stop()
        command = [SERVER_PYTHON, str(HERE / "server.py"), str(PORT), self.directory.name]
        self.process = subprocess.Popen([*command, json.dumps(overrides)] if overrides else command)
        for _ in range(200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/", timeout=2).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the service does not answer")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


def call(method: str, path: str, body: Any = None) -> Any:
    headers = {
        "x-auth-token": "admin",
        "openstack-api-version": "placement 1.37",
        "content-type": "application/json",
        "accept": "application/json",
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data, headers, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {path}: {error.code} {error.read()!r}") from error
    return json.loads(content) if content else None


class Provider:
    """A provider as upstream's fixtures handle one."""

    _context = None

    def __init__(self, provider_id: str) -> None:
        self.uuid = provider_id

    @property
    def generation(self) -> int:
        found: int = call("GET", f"/resource_providers/{self.uuid}")["generation"]
        return found

    def set_aggregates(self, aggregates: Any) -> None:
        body = {"resource_provider_generation": self.generation, "aggregates": list(aggregates)}
        call("PUT", f"/resource_providers/{self.uuid}/aggregates", body)


def create_provider(context: Any, name: str, *aggregates: str, **options: Any) -> Provider:
    body = {"name": name, "uuid": options.get("uuid") or getattr(uuidsentinel, name)}
    if options.get("parent"):
        body["parent_provider_uuid"] = options["parent"]
    provider = Provider(call("POST", "/resource_providers", body)["uuid"])
    if aggregates:
        provider.set_aggregates(aggregates)
    return provider


def add_inventory(provider: Provider, resource_class: str, total: int, **options: Any) -> None:
    if resource_class.startswith("CUSTOM_"):
        call("PUT", f"/resource_classes/{resource_class}")
    body = {"resource_class": resource_class, "total": total, "max_unit": total, **options}
    call("POST", f"/resource_providers/{provider.uuid}/inventories", body)


def set_traits(provider: Provider, *names: str) -> None:
    for name in names:
        if name.startswith("CUSTOM_"):
            call("PUT", f"/traits/{name}")
    body = {"resource_provider_generation": provider.generation, "traits": list(names)}
    call("PUT", f"/resource_providers/{provider.uuid}/traits", body)


def ensure_consumer(context: Any, user: Any, project: Any, consumer_id: str | None = None) -> Any:
    return SimpleNamespace(uuid=consumer_id or str(uuid.uuid4()), user=user, project=project)


def set_allocation(context: Any, provider: Provider, consumer: Any, resources: dict[str, int]) -> None:
    body = {
        "allocations": {provider.uuid: {"resources": resources}},
        "consumer_generation": None,
        "project_id": consumer.project.external_id,
        "user_id": consumer.user.external_id,
    }
    call("PUT", f"/allocations/{consumer.uuid}", body)


class Named:
    """A user, project or resource class: what the fixtures make by name."""

    def __init__(self, context: Any, external_id: str = "", name: str = "") -> None:
        self.external_id = external_id
        self.name = name

    def create(self) -> None:
        if self.name:
            call("PUT", f"/resource_classes/{self.name}")


def create_user_and_project(context: Any, prefix: str) -> tuple[Named, Named]:
    return Named(context, f"{prefix}-user"), Named(context, f"{prefix}-project")


def start_fixture(self: Any) -> None:
    self.context = None
    self.server = Server()
    self.server.start(None if self._secure_rbac else OLD_DEFAULTS)
    # CORS is the proxy's business, and what is not there cannot be switched on.
    self.conf_fixture = SimpleNamespace(config=lambda **_: None)
    self.policy_fixture = SimpleNamespace(set_rules=self.server.start)
    for name in (
        "RP_UUID RP_NAME RP_UUID1 RP_NAME1 RP_UUID2 RP_NAME2 PROJECT_ID ADMIN_PROJECT_ID SERVICE_PROJECT_ID USER_ID "
        "PROJECT_ID_ALT USER_ID_ALT INSTANCE_UUID MIGRATION_UUID CONSUMER_UUID PARENT_PROVIDER_UUID "
        "ALT_PARENT_PROVIDER_UUID"
    ).split():
        os.environ[name] = str(uuid.uuid4())
    for suffix in ("", "1", "2"):
        os.environ[f"CUSTOM_RES_CLASS{suffix}"] = f"CUSTOM_IRON_NFV{suffix}"


def stop_fixture(self: Any) -> None:
    self.server.stop()


class Wording(core.StringResponseHandler):
    """Notes a sentence that is worded differently, and goes on."""

    def action(self, test: Any, expected: Any, value: Any = None) -> None:
        try:
            super().action(test, expected, value)
        except AssertionError:
            wording.add(test.id())


def prepare() -> None:
    fixtures.tb = SimpleNamespace(
        create_provider=create_provider,
        add_inventory=add_inventory,
        set_traits=set_traits,
        ensure_consumer=ensure_consumer,
        set_allocation=set_allocation,
        create_user_and_project=create_user_and_project,
    )
    fixtures.user_obj = SimpleNamespace(User=Named)
    fixtures.project_obj = SimpleNamespace(Project=Named)
    fixtures.rc_obj = SimpleNamespace(ResourceClass=Named)
    fixtures.policies = SimpleNamespace(
        list_rules=lambda: [rule for rule in placement.policies.list_rules() if rule.name.startswith("placement:")]
    )
    fixtures.APIFixture.start_fixture = start_fixture
    fixtures.APIFixture.stop_fixture = stop_fixture
    core.StringResponseHandler = Wording
    import gabbi.handlers

    gabbi.handlers.RESPONSE_HANDLERS = [
        Wording if each.__name__ == "StringResponseHandler" else each for each in gabbi.handlers.RESPONSE_HANDLERS
    ]


def main() -> None:
    prepare()
    stories = importlib.resources.files("placement") / "tests/functional/gabbits"
    suite = driver.build_tests(
        str(stories), unittest.TestLoader(), host="127.0.0.1", port=PORT, fixture_module=fixtures, test_loader_name="p"
    )
    wanted = sys.argv[3:]
    if wanted:
        suite = unittest.TestSuite(
            each for each in suite if any(name in str(getattr(each, "_tests", [""])[0].id()) for name in wanted)
        )
    result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(suite)
    failed = {test.id(): text for test, text in [*result.failures, *result.errors]}
    Path(sys.argv[2]).write_text(
        json.dumps(
            {
                "run": result.testsRun,
                "skipped": [[test.id(), reason] for test, reason in result.skipped],
                "wording": sorted(wording - failed.keys()),
                "failed": failed,
            }
        )
    )


if __name__ == "__main__":
    SERVER_PYTHON = sys.argv[1]
    main()
