"""A caller's words never become more than an id in a call to another service, and what those answer is looked at."""

from typing import Any

import msgspec
import pytest

from kilonova.image.client import ImageClient
from kilonova.network.client import NetworkClient

MISSING = "0b6c9f0e-0000-4000-8000-000000000000"
CROOKED = (
    "{id}%2Ffile",
    "{id}/file",
    "{id}?x=",
    "{id}#",
    "{id}\n",
    "../images/{id}x",
    "..",
    ".",
    "%2e%2e",
    " {id}",
    "{id} ",
    "{{{id}}}",
    "é",
)
"""With another id than a whole one at their end."""


@pytest.fixture
async def ready(nova: Any) -> Any:
    await nova.flavor(id="1")
    await nova.register_host()
    nova.image_id = await nova.image()
    nova.base = {"name": "web", "flavorRef": "1", "imageRef": nova.image_id, "networks": "none"}
    return nova


class Recorder:
    """A service in front of another one that notes what it is asked for, and may answer otherwise."""

    def __init__(self, app: Any = None, answer: Any = None) -> None:
        self.app, self.answer = app, answer
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        if self.answer is None:
            await self.app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": msgspec.json.encode(self.answer)})


@pytest.mark.parametrize("crooked", CROOKED)
async def test_what_is_no_id_is_refused_before_any_other_service_is_asked(ready: Any, crooked: str) -> None:
    images, networks = Recorder(ready.imaging.app), Recorder(ready.networking.app)
    ready.service.image = ImageClient(ready.identity.remote("image", images, "nova"))
    ready.service.network = NetworkClient(ready.identity.remote("network", networks, "nova"))
    text = crooked.format(id=MISSING)
    server = await ready.insert_server()
    mapped = {"source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": text}
    for change in (
        {"imageRef": text},
        {"imageRef": None, "block_device_mapping_v2": [mapped]},
        {"networks": [{"uuid": text}]},
        {"networks": [{"port": text}]},
    ):
        await ready.refused("POST", "/servers", 400, json={"server": {**ready.base, **change}})
    for wanted in ({"net_id": text}, {"port_id": text}):
        url = f"/servers/{server.id}/os-interface"
        await ready.refused("POST", url, 400, json={"interfaceAttachment": wanted})
    for rule in ({"parent_group_id": text}, {"parent_group_id": MISSING, "group_id": text}):
        body = {"security_group_rule": {"ip_protocol": "tcp", "from_port": 22, "to_port": 22, **rule}}
        await ready.refused("POST", "/os-security-group-rules", 400, version="2.35", json=body)
    assert images.paths == networks.paths == []


@pytest.mark.parametrize("crooked", ["%2e%2e", "x%252Ffile", "7", f"{MISSING}%0A", f"{MISSING}%3Fx"])
async def test_an_id_in_a_path_is_looked_at_too(ready: Any, crooked: str) -> None:
    networks = Recorder(ready.networking.app)
    ready.service.network = NetworkClient(ready.identity.remote("network", networks, "nova"))
    body = {"security_group": {"name": "web"}}
    for method, url, json in (
        ("GET", f"/os-security-groups/{crooked}", None),
        ("PUT", f"/os-security-groups/{crooked}", body),
        ("DELETE", f"/os-security-groups/{crooked}", None),
        ("DELETE", f"/os-security-group-rules/{crooked}", None),
    ):
        response = await (await ready.api("demo")).request(method, f"/v2.1{url}", json=json)
        assert response.status_code in (400, 404), response.text
    assert networks.paths == []


async def test_links_to_images_are_taken_by_their_last_part(ready: Any) -> None:
    for link in (f"http://controller:9292/v2/images/{ready.image_id}", f"/images/{ready.image_id}/"):
        server = {**ready.base, "imageRef": link}
        made = (await ready.call("POST", "/servers", 202, json={"server": server}))["server"]
        assert (await ready.server(made["id"])).image["id"] == ready.image_id


async def test_an_image_and_a_mapping_of_another_one_are_refused(ready: Any) -> None:
    mapped = {"source_type": "image", "destination_type": "local", "boot_index": 0, "uuid": MISSING}
    server = {**ready.base, "block_device_mapping_v2": [mapped]}
    assert "different images" in await ready.refused("POST", "/servers", 400, json={"server": server})


FORGED: list[Any] = [
    [],
    {"id": MISSING},
    {"id": 7, "status": "active"},
    "text",
]


@pytest.mark.parametrize("answer", FORGED)
async def test_an_answer_of_another_kind_is_a_service_that_cannot_be_understood(ready: Any, answer: Any) -> None:
    ready.service.image = ImageClient(ready.identity.remote("image", Recorder(answer=answer), "nova"))
    told = await ready.refused("POST", "/servers", 503, json={"server": ready.base})
    assert "answered something else" in told


async def test_an_answer_about_another_thing_is_not_taken_for_the_one_asked_for(ready: Any) -> None:
    imaging = await ready.imaging("demo")
    record = (await imaging.get(f"/v2/images/{ready.image_id}")).json()
    forged = {**record, "id": MISSING, "os_hash_value": "0" * 128, "size": 1}
    ready.service.image = ImageClient(ready.identity.remote("image", Recorder(answer=forged), "nova"))
    told = await ready.refused("POST", "/servers", 503, json={"server": ready.base})
    assert f"asked for {ready.image_id}, and answered with {MISSING}" in told
    assert (await ready.call("GET", "/servers"))["servers"] == []
