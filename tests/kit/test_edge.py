"""The edge, driven through a small service of its own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from kilonova.kit.auth import Policy, RequestContext, Rule
from kilonova.kit.errors import BadRequest, Conflict, NotFound, ServiceUnavailable, Unauthorized, UnsupportedMediaType
from kilonova.kit.http.bounds import Int32, Open
from kilonova.kit.http.client import RemoteUnavailable
from kilonova.kit.http.edge import Api, Edge, RouteWithoutRule
from kilonova.kit.http.formats import compute_error
from kilonova.kit.http.routes import PUBLIC, Action, Reply, Request, Route
from kilonova.kit.http.versions import Change, Version, VersionEdge, refuse_fields_outside, since, without
from kilonova.kit.log import carried_request_id
from kilonova.kit.metrics import REGISTRY
from kilonova.kit.testing import asgi_client


class Thing(Struct, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=10)]
    kind: Annotated[str, Meta(pattern=r"^[a-z]+$(?!\n)", max_length=10)] = "plain"
    tag: Annotated[str | UnsetType, since("2.5")] = UNSET


class ThingBody(Struct, forbid_unknown_fields=True):
    thing: Thing


class Note(Open):
    text: Annotated[str, Meta(max_length=10)] = ""


async def keep_note(request: Request[None], body: Note) -> Any:
    return {"text": body.text, **body.extra}


Numbers = Annotated[list[Int32], Meta(max_length=3)]


async def keep_sum(request: Request[None], body: Note | list[int]) -> Any:
    request.authorize()
    return {"sum": sum(body)} if isinstance(body, list) else {"text": body.text}


async def create_thing(request: Request[None], body: ThingBody) -> Reply:
    request.authorize()
    tag = None if body.thing.tag is UNSET else body.thing.tag
    return Reply({"thing": {"name": body.thing.name, "tag": tag}}, headers={"Location": f"{request.base_url}/things/1"})


async def list_things(request: Request[None]) -> Any:
    request.authorize()
    return {"things": [{"name": "a", "tag": "t"}], "newer": request.allows("tags"), "known": request.known_queries}


async def show_thing(request: Request[None]) -> Any:
    request.authorize({"project_id": request.path["thing_id"]})
    return {"thing": {"name": request.path["thing_id"]}}


async def forget_to_authorize(request: Request[None]) -> Any:
    return {}


async def fail(request: Request[None]) -> Any:
    request.authorize()
    if request.query.get("how") == "fault":
        raise Conflict("it is taken")
    if request.query.get("how") == "away":
        raise RemoteUnavailable("image", 503, "cannot be reached: ConnectError")
    raise ZeroDivisionError("secret detail")


async def stop_thing(request: Request[None], body: Any) -> None:
    request.authorize()


async def find_kept(request: Request[None]) -> None:
    request.authorize()
    if request.path["thing_id"] != "there":
        raise NotFound("there is no such thing")


async def size_of_body(request: Request[None]) -> Any:
    request.authorize()
    return {"size": sum([len(chunk) async for chunk in request.stream()])}


async def versions(request: Request[None]) -> Any:
    return {"versions": []}


ROUTES = [
    Route("GET", "/", versions, PUBLIC),
    Route("GET", "/things", list_things, "things:list", query={"limit": None, "tag": "tags"}, shape="thing"),
    Route("POST", "/things", create_thing, "things:create", body=ThingBody, status=201, shape="thing"),
    Route("GET", "/things/{thing_id}", show_thing, "things:show", shape="thing"),
    Route("GET", "/things/detail", list_things, "things:list", shape="thing"),
    Route("GET", "/gone", list_things, "things:list", until="2.3"),
    Route("GET", "/bare", forget_to_authorize, "things:list"),
    Route("GET", "/fail", fail, "things:list"),
    Route("PUT", "/upload", size_of_body, "things:create", streams_body=True),
    Route("POST", "/things/{thing_id}/action", (Action("stop", stop_thing, "things:stop"),)),
    Route(
        "POST",
        "/kept/{thing_id}/action",
        (Action("stop", stop_thing, "things:stop"),),
        look_up=find_kept,
    ),
    Route("POST", "/notes", keep_note, "things:create", body=Note, rule_first=True),
    Route("PUT", "/notes", keep_sum, "things:create", body=Note, also_read={"text/numbers": Numbers}),
    Route("POST", "/free", stop_thing, "things:create", body=dict[str, Any]),
]
POLICY = [
    Rule("things:list", "@"),
    Rule("things:create", "role:member"),
    Rule("things:show", "project_id:%(project_id)s"),
    Rule("things:stop", "role:member"),
]


class Tokens:
    async def authenticate(self, token: str, service_token: str | None) -> RequestContext:
        if token == "bad":
            raise Unauthorized("The request you have made requires authentication.")
        now = datetime.now(UTC)
        return RequestContext(
            user_id="u",
            user_name="u",
            user_domain_id="default",
            project_id="p",
            roles=frozenset({token}),
            issued_at=now,
            expires_at=now + timedelta(hours=1),
        )


def make_edge(
    routes: list[Route] = ROUTES, *, exact_paths: bool = False, format_suffix: str | None = None
) -> Edge[None]:
    changes = [Change("2.3", "first", "a start"), Change("2.5", "tags", "things have tags", {"thing": without("tag")})]
    edge_versions = VersionEdge("thing", "2.1", "2.9", changes, "X-Thing-Version")
    return Edge(
        Api(
            "thing",
            None,
            routes,
            Policy(POLICY),
            Tokens(),
            compute_error,
            edge_versions,
            exact_paths=exact_paths,
            format_suffix=format_suffix,
        )
    )


@pytest.fixture
async def client() -> Any:
    async with asgi_client(make_edge()) as client:
        client.headers["x-auth-token"] = "member"
        yield client


async def test_a_public_route_needs_no_token(client: Any) -> None:
    del client.headers["x-auth-token"]
    response = await client.get("/")
    assert response.status_code == 200
    assert response.headers["x-openstack-request-id"].startswith("req-")


async def test_a_missing_or_bad_token_is_401(client: Any) -> None:
    client.headers["x-auth-token"] = "bad"
    assert (await client.get("/things")).status_code == 401
    del client.headers["x-auth-token"]
    response = await client.get("/things")
    assert response.status_code == 401
    assert response.json()["unauthorized"]["code"] == 401


async def test_an_unknown_path_is_404_and_a_wrong_method_is_405(client: Any) -> None:
    assert (await client.get("/nothing")).status_code == 404
    response = await client.delete("/things")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


async def test_literal_segments_win_over_variables(client: Any) -> None:
    assert "things" in (await client.get("/things/detail")).json()


async def test_policy_refuses_and_allows_by_role_and_target(client: Any) -> None:
    assert (await client.post("/things", json={"thing": {"name": "x"}})).status_code == 201
    client.headers["x-auth-token"] = "reader"
    response = await client.post("/things", json={"thing": {"name": "x"}})
    assert response.status_code == 403
    assert response.json()["forbidden"]["message"] == "Policy doesn't allow things:create to be performed."
    assert (await client.get("/things/p")).status_code == 200
    assert (await client.get("/things/other")).status_code == 403


@pytest.mark.parametrize("body", [b"", b"{", b'{"text": 5}', b"x" * 200_000])
async def test_a_rule_that_comes_first_is_asked_before_the_body_is_read(client: Any, body: bytes) -> None:
    client.headers["x-auth-token"] = "reader"
    response = await client.post("/notes", content=body)
    assert response.status_code == 403
    assert response.json()["forbidden"]["message"] == "Policy doesn't allow things:create to be performed."
    client.headers["x-auth-token"] = "member"
    assert (await client.post("/notes", content=body)).status_code in (400, 413)


async def test_an_open_body_reaches_the_handler_with_what_it_does_not_name(client: Any) -> None:
    answer = await client.post("/notes", json={"text": "x", "colour": ["red"]})
    assert answer.json() == {"text": "x", "colour": ["red"]}


async def test_a_body_is_decoded_as_its_media_type_says(client: Any) -> None:
    def kept(content: str, media_type: str) -> Any:
        return client.put("/notes", content=content, headers={"content-type": media_type})

    assert (await kept('{"text": "x"}', "application/json")).json() == {"text": "x"}
    assert (await kept("[1, 2]", "text/numbers; charset=utf-8")).json() == {"sum": 3}
    assert (await kept("[1, 2]", "application/json")).status_code == 400
    assert (await kept("[1, 2, 3, 4]", "text/numbers")).status_code == 400
    content = (await client.get("/openapi.json")).json()["paths"]["/notes"]["put"]["requestBody"]["content"]
    assert content["application/json"] == {"schema": {"$ref": "#/components/schemas/Note"}}
    assert content["text/numbers"]["schema"]["maxItems"] == 3


async def test_a_handler_that_forgets_to_authorize_answers_nothing(client: Any) -> None:
    assert (await client.get("/bare")).status_code == 500


def test_a_route_without_a_policy_rule_does_not_start() -> None:
    with pytest.raises(RouteWithoutRule, match="things:unknown"):
        make_edge([Route("GET", "/x", versions, "things:unknown")])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "A JSON body is required."),
        (b"{", "Malformed request body"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"thing": {"name": ""}}', "Expected `str` of length >= 1 - at `$.thing.name`"),
        (b'{"thing": {"name": 4}}', "Expected `str`, got `int`"),
        (b'{"thing": {"name": "a", "kind": "A"}}', "matching regex '^[a-z]+$' - at `$.thing.kind`"),
        (b'{"thing": {"name": "a", "colour": 1}}', "unknown field `colour`"),
        (b'{"thing": {"name": "a", "tag": "t"}}', "version 2.1 does not know it"),
    ],
)
async def test_a_bad_body_is_400_and_says_what_is_allowed(client: Any, body: bytes, sentence: str) -> None:
    response = await client.post("/things", content=body)
    assert response.status_code == 400
    assert sentence in response.json()["badRequest"]["message"]


async def test_a_body_over_its_limit_is_413_before_it_is_read(client: Any) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while True:
            read += 65536
            yield b"x" * 65536

    response = await client.post("/things", content=endless(), headers={"content-length": "99999999"})
    assert response.status_code == 413
    declared_only = read
    response = await client.post("/things", content=b"x" * 200_000)
    assert response.status_code == 413
    assert declared_only <= 65536


async def test_newer_fields_are_taken_out_for_an_older_version(client: Any) -> None:
    old = await client.get("/things")
    assert old.json()["things"] == [{"name": "a"}]
    assert old.json()["newer"] is False
    assert old.headers["openstack-api-version"] == "thing 2.1"
    new = await client.get("/things", headers={"OpenStack-API-Version": "thing 2.5"})
    assert new.json()["things"] == [{"name": "a", "tag": "t"}]
    assert new.headers["x-thing-version"] == "2.5"
    latest = await client.get("/things", headers={"X-Thing-Version": "latest"})
    assert latest.headers["openstack-api-version"] == "thing 2.9"


async def test_versions_outside_the_range_are_406_and_nonsense_is_400(client: Any) -> None:
    response = await client.get("/things", headers={"OpenStack-API-Version": "thing 2.10"})
    assert response.status_code == 406
    assert "Minimum is 2.1 and maximum is 2.9" in response.json()["notAcceptable"]["message"]
    assert (await client.get("/things", headers={"OpenStack-API-Version": "thing two"})).status_code == 400


async def test_a_route_that_ended_with_a_version_is_404_afterwards(client: Any) -> None:
    assert (await client.get("/gone")).status_code == 200
    assert (await client.get("/gone", headers={"OpenStack-API-Version": "thing 2.4"})).status_code == 404


@pytest.mark.parametrize("text", ["\0", "a\0b", "\\\0"])
async def test_nul_is_refused_wherever_it_stands(client: Any, text: str) -> None:
    bodies = [{"thing": {"name": text}}, {"thing": {text: "a"}}]
    for response in [
        *[await client.post("/things", json=body) for body in bodies],
        await client.get("/things", params={"name": text}),
        await client.get(f"/things/{quote(text)}"),
    ]:
        assert response.status_code == 400
        assert "NUL" in response.json()["badRequest"]["message"]


async def test_what_only_looks_like_nul_is_taken(client: Any) -> None:
    assert (await client.post("/things", json={"thing": {"name": "\\u0000"}})).status_code == 201


async def test_a_handler_knows_the_query_parameters_of_its_version(client: Any) -> None:
    for version, known in (("2.4", ["limit"]), ("2.5", ["limit", "tag"])):
        response = await client.get("/things", headers={"OpenStack-API-Version": f"thing {version}"})
        assert response.json()["known"] == known


async def test_health_is_told_without_a_token(client: Any) -> None:
    del client.headers["x-auth-token"]
    response = await client.get("/healthcheck")
    assert (response.status_code, response.text) == (200, "OK")

    async def is_missing() -> None:
        raise ServiceUnavailable("The database cannot be reached.", headers={"Retry-After": "5"})

    api = replace(
        make_edge().api, check=is_missing, request_id_headers=("x-openstack-request-id", "x-thing-request-id")
    )
    async with asgi_client(Edge(api)) as other:
        response = await other.get("/healthcheck")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.headers["x-thing-request-id"] == response.headers["x-openstack-request-id"]


async def test_the_document_is_served_without_a_token_as_each_version_sees_it(client: Any) -> None:
    del client.headers["x-auth-token"]
    newest = (await client.get("/openapi.json")).json()
    old = (await client.get("/openapi.json?version=2.3")).json()
    assert (newest["info"]["version"], old["info"]["version"]) == ("2.9", "2.3")
    asked = await client.get("/openapi.json", headers={"X-Thing-Version": "2.3"})
    assert asked.json() == old
    assert (await client.get("/openapi.json?version=3.1")).status_code == 406
    assert (await client.get("/openapi.json?version=x")).status_code == 400
    assert "/gone" in old["paths"] and "/gone" not in newest["paths"]
    names = [[each["name"] for each in each["paths"]["/things"]["get"]["parameters"]] for each in (old, newest)]
    assert names == [["limit"], ["limit", "tag"]]
    schemas = [each["components"]["schemas"]["Thing"]["properties"] for each in (old, newest)]
    assert ["tag" in each for each in schemas] == [False, True]


async def test_the_document_tells_of_variables_bodies_actions_statuses_and_rules(client: Any) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    create, act = paths["/things"]["post"], paths["/things/{thing_id}/action"]["post"]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ThingBody"}}}
    assert create["requestBody"] == {"required": True, "content": content}
    assert sorted(create["responses"]) == ["201", "default"]
    assert create["x-policy-rule"] == "things:create"
    assert paths["/"]["get"]["security"] == []
    assert act["parameters"] == [{"name": "thing_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    one_of = act["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    assert [each["required"] for each in one_of] == [["stop"]]
    assert act["x-policy-rule"] == {"stop": "things:stop"}
    assert list(paths["/upload"]["put"]["requestBody"]["content"]) == ["application/octet-stream"]


async def test_the_document_says_how_much_an_open_body_keeps(client: Any) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    note = {key: value for key, value in schemas["Note"].items() if key not in ("title", "type", "properties")}
    assert note == {
        "required": [],
        "additionalProperties": {"x-free": True},
        "propertyNames": {"minLength": 1, "maxLength": 255},
        "maxProperties": 65,
    }


async def test_an_action_is_found_by_its_key(client: Any) -> None:
    response = await client.post("/things/1/action", json={"stop": None})
    assert (response.status_code, response.content) == (202, b"")
    assert (await client.post("/things/1/action", json={"fly": None})).status_code == 400
    assert (await client.post("/things/1/action", json={"stop": 1, "go": 2})).status_code == 400


async def test_a_fault_keeps_its_sentence_and_a_defect_tells_no_detail(client: Any) -> None:
    fault = await client.get("/fail?how=fault")
    assert (fault.status_code, fault.json()["conflictingRequest"]["message"]) == (409, "it is taken")
    away = await client.get("/fail?how=away")
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")
    assert "The image service could not be asked: cannot be reached" in away.text
    defect = await client.get("/fail")
    assert defect.status_code == 500
    assert "secret detail" not in defect.text
    assert defect.headers["x-openstack-request-id"] in defect.text


async def test_a_streamed_body_reaches_the_handler_unlimited(client: Any) -> None:
    response = await client.put("/upload", content=b"x" * 1_000_000)
    assert response.json() == {"size": 1_000_000}


async def test_head_answers_like_get_and_a_trailing_slash_does_not_matter(client: Any) -> None:
    assert (await client.head("/things")).status_code == 200
    assert (await client.get("/things/")).status_code == 200


async def test_where_paths_are_exact_a_trailing_slash_names_something_else() -> None:
    async with asgi_client(make_edge(exact_paths=True)) as client:
        client.headers["x-auth-token"] = "member"
        assert [(await client.get(path)).status_code for path in ("/things", "/things/")] == [200, 404]


async def test_a_refusal_names_the_version_it_was_made_in(client: Any) -> None:
    refused = await client.get("/fail?how=fault", headers={"OpenStack-API-Version": "thing 2.4"})
    assert refused.status_code == 409
    assert refused.headers["openstack-api-version"] == "thing 2.4"
    assert refused.headers["x-thing-version"] == "2.4"


async def test_what_is_not_under_a_key_of_its_own_is_made_older_as_a_whole() -> None:
    changes = [Change("2.3", "first", "a start", {"thing": without("tag")})]
    body = {"name": "a", "tag": "t"}
    versions = VersionEdge("thing", "2.1", "2.9", changes)
    assert versions.as_of(Version(2, 1), "thing", body) == {"name": "a"}
    assert versions.as_of(Version(2, 3), "thing", body) is body
    assert body == {"name": "a", "tag": "t"}


async def test_a_service_may_refuse_by_headers_before_the_body_is_read() -> None:
    def admit(request: Request[Any], route: Route) -> None:
        if route.body is not None and request.headers.get("content-type") != "application/json":
            raise UnsupportedMediaType("application/json only")

    edge = Edge(replace(make_edge().api, admit=admit))
    async with asgi_client(edge) as client:
        client.headers["x-auth-token"] = "member"
        assert (await client.post("/things", content=b"nonsense")).status_code == 415
        assert (await client.post("/things", json={"thing": {"name": "a"}})).status_code == 201
        assert (await client.get("/things")).status_code == 200


def test_a_newer_field_is_refused_inside_a_mapping_too() -> None:
    with pytest.raises(BadRequest, match=r"'tag' was unexpected at \$\.first"):
        refuse_fields_outside({"first": Thing("a", tag="t")}, Version(2, 4))


async def test_requests_are_counted_by_route_and_never_by_id(client: Any) -> None:
    def count(method: str, route: str, status: int) -> float:
        labels = {"service": "thing", "method": method, "route": route, "status": str(status)}
        return REGISTRY.get_sample_value("kilonova_http_requests_total", labels) or 0.0

    before = count("GET", "/things/{thing_id}", 200), count("", "", 404)
    for path in ("/things/p", "/things/p", "/nowhere", "/elsewhere"):
        await client.get(path)
    assert (count("GET", "/things/{thing_id}", 200), count("", "", 404)) == (before[0] + 2, before[1] + 2)


@pytest.mark.parametrize(
    ("sent", "carried"),
    [
        ("req-0b1e2d3c-4f5a-6b7c-8d9e-0f1a2b3c4d5e", "req-0b1e2d3c-4f5a-6b7c-8d9e-0f1a2b3c4d5e"),
        ("req-<script>", None),
    ],
)
async def test_the_request_that_a_request_is_part_of_is_named_onwards(sent: str, carried: str | None) -> None:
    named: list[str | None] = []

    async def handler(request: Request[Any]) -> dict[str, Any]:
        named.append(carried_request_id())
        return {}

    edge = Edge(replace(make_edge().api, routes=[Route("GET", "/named", handler, PUBLIC)]))
    async with asgi_client(edge) as client:
        answer = await client.get("/named", headers={"X-OpenStack-Request-ID": sent})
    assert named == [carried or answer.headers["x-openstack-request-id"]]


@pytest.mark.parametrize("key", ["fly", "swim"])
async def test_an_action_on_what_is_not_there_is_a_404_whatever_it_is_called(client: Any, key: str) -> None:
    assert (await client.post("/kept/gone/action", json={key: None})).status_code == 404


async def test_an_action_that_there_is_not_says_so(client: Any) -> None:
    unknown = await client.post("/kept/there/action", json={"swim": None})
    assert unknown.json()["badRequest"]["message"] == "There is no such action: swim."


@pytest.mark.parametrize("path", ["//things", "/things//", "//things///"])
async def test_doubled_slashes_are_one(client: Any, path: str) -> None:
    assert (await client.get(f"http://x{path}")).status_code == 200


async def test_an_encoded_slash_makes_no_second_segment(client: Any) -> None:
    assert (await client.get("/things%2Fdetail")).status_code == 404
    assert (await client.get("/things/p%2fdetail")).status_code == 404


async def test_a_format_behind_the_path_is_read_as_if_it_were_not_there() -> None:
    async with asgi_client(make_edge(format_suffix=".json")) as client:
        client.headers["x-auth-token"] = "member"
        assert (await client.get("/things.json")).status_code == 200
        assert (await client.get("/things/p.json")).json() == {"thing": {"name": "p"}}
        assert (await client.get("/openapi.json")).json()["openapi"]


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"\xff\xfe", "Malformed"),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "nested deeper"),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper"),
        (b'{"a": ' + b"9" * 30 + b"}", "beyond 64 bits"),
        (b'{"a": ' + b"9" * 5000 + b"}", "out of range"),
        (b'{"a": 1e999}', "out of range"),
        (b'{"a": [' + b"1," * 5000 + b"1]}", "more than 4096 values"),
        (b'{"a": "\\ud800"}', "Malformed"),
        (b"", "required"),
    ],
)
@pytest.mark.parametrize("path", ["/free", "/notes"])
async def test_json_without_measure_is_refused(client: Any, path: str, raw: bytes, sentence: str) -> None:
    answer = await client.post(path, content=raw)
    assert answer.status_code == 400
    assert sentence in answer.json()["badRequest"]["message"]


async def test_bytes_that_are_not_utf8_are_refused_in_an_action_too(client: Any) -> None:
    answer = await client.post("/kept/there/action", content=b'{"stop": "\xff"}')
    assert (answer.status_code, "not UTF-8" in answer.text) == (400, True)
    answer = await client.post("/kept/there/action", content=b'{"\xff": 1}')
    assert answer.status_code == 400


@pytest.mark.parametrize("header", ["x-auth-token", "x-service-token"])
async def test_a_token_that_is_not_ascii_is_no_token(client: Any, header: str) -> None:
    answer = await client.get("/things", headers={"x-auth-token": b"member", header: "é".encode()})
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/things?x=" + "y" * 40_000, "/things/" + "y" * 5000])
async def test_what_is_too_long_to_ask_for_is_refused(client: Any, path: str) -> None:
    assert (await client.get(path)).status_code == 414


@pytest.mark.parametrize("host", ["a b", "x/y", 'x"y', "x<y", "a:b:c", "javascript:alert(1)//", "x@y", "x?y"])
async def test_a_host_header_that_is_no_host_gets_into_no_link(client: Any, host: str) -> None:
    answer = await client.post("/things", json={"thing": {"name": "a"}}, headers={"host": host})
    assert answer.status_code == 400


@pytest.mark.parametrize("host", ["cloud.example.org", "10.0.0.1:8774", "[fd00::1]:8774", "controller"])
async def test_links_are_built_on_the_host_that_was_asked(client: Any, host: str) -> None:
    answer = await client.post("/things", json={"thing": {"name": "a"}}, headers={"host": host})
    assert answer.headers["location"] == f"http://{host}/things/1"


async def test_what_a_stranger_says_of_the_scheme_does_not_count(client: Any) -> None:
    headers = {"x-forwarded-proto": "javascript"}
    answer = await client.post("/things", json={"thing": {"name": "a"}}, headers=headers)
    assert answer.headers["location"].startswith("http://")
