"""Every part of a body that names a thing, with who may name it; and what comes of naming somebody else's.

`REFERENCES` is that table. Each text of each body is in it or in `PLAIN`: whoever adds one says which it is. Each line
is tried by a member of the project `other`: with a thing of his own, with one of the project `demo`, and with one that
is nowhere; and by an administrator. Whatever comes of it, nothing of `demo` changes.
"""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest
from msgspec import inspect

from kilonova.image.api.bodies import ImageFields
from kilonova.image.app import IMAGE, ROUTES
from tests.image.api.test_images import PATCH, make
from tests.references import NOWHERE, Place, places_of, texts_of

TAKEN = 0


class Reference(msgspec.Struct, frozen=True):
    who: str
    """Who may name what."""
    own: int
    """What a member hears of a thing of his own; 0: it is taken."""
    theirs: int
    """Of one of demo's."""
    nowhere: int
    """Of one that does not exist."""
    administrators: int = TAKEN
    """What an administrator hears of one of demo's."""


OWNER = "one's own; administrators any text: upstream does not ask identity whether there is such a project"
REFERENCES: Mapping[Place, Reference] = {
    ("POST", "/v2/images", "id"): Reference(
        "anybody the id of no image there is or was: it is the new one's", TAKEN, 409, TAKEN, 409
    ),
    ("POST", "/v2/images", "owner"): Reference(OWNER, TAKEN, 403, 403),
    ("PATCH", IMAGE, "/id"): Reference("nobody: an id stays", 403, 403, 403, 403),
    ("PATCH", IMAGE, "/owner"): Reference("administrators any text, as above", 403, 403, 403),
    ("POST", f"{IMAGE}/members", "member"): Reference(
        "the image's owner any text: only a project that has this id comes to see the image, and lists it when it has "
        "accepted it; upstream does not ask identity either",
        TAKEN,
        TAKEN,
        TAKEN,
    ),
}
PLAIN = {"name", "tags[]", "disk_format", "container_format"}
"""Texts and words of their own."""
NOT_SERVED = {("POST", "/v2/tasks", ""), ("POST", "/v2/metadefs/namespaces", "")}
"""Bodies that may hold anything and are always refused."""
BY_OPERATION = {("PATCH", IMAGE, f"[].{member}") for member in ("path", "value", "add", "replace", "remove")}
"""How a patch spells its fields: each is in the table as its path."""
PROPERTIES = ("kernel_id", "ramdisk_id", "instance_uuid", "base_image_ref", "owner_specified.openstack.object")
"""Properties whose names say that they name something. They are texts like all others: nothing here acts on them."""


def test_the_table_is_complete() -> None:
    fields = {("PATCH", IMAGE, f"/{part}") for part in texts_of(inspect.type_info(ImageFields))}
    plain = PLAIN | {f"/{part}" for part in PLAIN}
    found = places_of(ROUTES)
    assert found >= NOT_SERVED | BY_OPERATION
    found = found - NOT_SERVED - BY_OPERATION | fields
    assert {place for place in found if place[2] not in plain} == REFERENCES.keys()
    assert {part for _, _, part in found} >= plain


@pytest.fixture
async def world(client: httpx.AsyncClient, other: httpx.AsyncClient, identity: Any) -> dict[Place | str, Any]:
    """What is named in which place, as (own, demo's); and the image of `other` that paths name."""
    theirs, own = [await make(each, name="private", visibility="private") for each in (client, other)]
    projects = [await identity.project_id(who) for who in ("other", "demo")]
    ids = (str(uuid4()), theirs["id"])
    named = {place: ids if place[2].endswith("id") else tuple(projects) for place in REFERENCES}
    shared = await make(other, name="shared")
    await make(client, name="to be seen", visibility="community")
    return {**named, "image": shared["id"], "own": own["id"], "theirs": theirs["id"]}


async def attempt(by: httpx.AsyncClient, world: Any, place: Place, value: str) -> httpx.Response:
    method, path, part = place
    url = path.format(image_id=world["image"])
    if method == "PATCH":
        return await by.patch(url, json=[{"op": "replace", "path": part, "value": value}], headers=PATCH)
    return await by.post(url, json={part: value})


async def everything_of_demo(client: httpx.AsyncClient, project_id: str) -> Any:
    """The images of demo's own, with their members, and what it is offered and has accepted."""
    listed = (await client.get("/v2/images?visibility=all&sort_key=id")).json()["images"]
    members = [
        (await client.get(f"{each['self']}/members")).text for each in listed if each["owner"] == project_id
    ]  # fmt: skip
    return listed, members


@pytest.mark.parametrize("place", REFERENCES, ids=" ".join)
async def test_nobody_names_what_is_not_for_him(
    client: httpx.AsyncClient, other: httpx.AsyncClient, identity: Any, world: Any, place: Place
) -> None:
    reference, (own, theirs) = REFERENCES[place], world[place]
    project_id = await identity.project_id("demo")
    before = await everything_of_demo(client, project_id)
    answers = []
    for value, status in ((theirs, reference.theirs), (NOWHERE, reference.nowhere), (own, reference.own)):
        answer = await attempt(other, world, place, value)
        assert answer.status_code in ([status] if status else [200, 201]), f"{value}: {answer.text}"
        assert await everything_of_demo(client, project_id) == before
        answers.append(answer.text.replace(value, "…"))
    if reference.theirs == reference.nowhere != TAKEN:
        assert answers[0] == answers[1], "what is refused says whether it is there"


@pytest.mark.parametrize("place", REFERENCES, ids=" ".join)
async def test_administrators_name_whatever_may_be_named(admin: httpx.AsyncClient, world: Any, place: Place) -> None:
    reference, (_own, theirs) = REFERENCES[place], world[place]
    answer = await attempt(admin, world, place, theirs)
    assert answer.status_code in ([reference.administrators] if reference.administrators else [200, 201]), answer.text
    if reference.administrators == TAKEN:
        key = "member_id" if place[2] == "member" else place[2].removeprefix("/")
        assert answer.json()[key] == theirs
        longest = await attempt(admin, world, place, "x" * 255)
        assert longest.status_code in (200, 201), longest.text
        assert (await attempt(admin, world, place, "x" * 256)).status_code == 400


async def test_a_project_that_is_nowhere_lets_nobody_in(
    client: httpx.AsyncClient, other: httpx.AsyncClient, admin: httpx.AsyncClient, world: Any
) -> None:
    url = f"/v2/images/{world['image']}"
    assert (await other.post(f"{url}/members", json={"member": NOWHERE})).status_code == 200
    assert (await client.get(url)).status_code == 404
    operation = {"op": "replace", "path": "/owner", "value": NOWHERE}
    assert (await admin.patch(url, json=[operation], headers=PATCH)).status_code == 200
    assert [(await each.get(url)).status_code for each in (client, other, admin)] == [404, 404, 200]


async def test_a_project_that_is_named_a_member_has_its_say(
    client: httpx.AsyncClient, other: httpx.AsyncClient, identity: Any, world: Any
) -> None:
    """It may look at the image, changes nothing of it, and sees it in no list before it says so."""
    url, project_id = f"/v2/images/{world['image']}", await identity.project_id("demo")
    assert (await other.post(f"{url}/members", json={"member": project_id})).status_code == 200
    assert (await client.get(url)).status_code == 200
    assert world["image"] not in [each["id"] for each in (await client.get("/v2/images")).json()["images"]]
    assert (await client.delete(url)).status_code == 403
    operation = {"op": "replace", "path": "/name", "value": "mine"}
    assert (await client.patch(url, json=[operation], headers=PATCH)).status_code == 403
    assert (await client.post(f"{url}/members", json={"member": NOWHERE})).status_code == 403


@pytest.mark.parametrize("name", PROPERTIES)
async def test_a_property_names_nothing(
    client: httpx.AsyncClient, other: httpx.AsyncClient, world: Any, name: str
) -> None:
    before = (await client.get(f"/v2/images/{world['theirs']}")).json()
    image = await make(other, name="i", **{name: world["theirs"]})
    assert image[name] == world["theirs"]
    assert (await other.get(f"/v2/images/{world['theirs']}")).status_code == 404
    assert (await other.delete(image["self"])).status_code == 204
    assert (await client.get(f"/v2/images/{world['theirs']}")).json() == before
