"""The OpenAPI document of a service, made from its route table as one microversion sees it.

The table is the only source: paths, variables, query parameters, bodies, statuses and policy rules come from the
routes, the schemas from the types the edge checks with. Source: OpenAPI 3.1.0; JSON Schema 2020-12.
"""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from kilonova.kit.http.bounds import MAX_NAME, Open, open_types
from kilonova.kit.http.routes import PUBLIC, Action, Route
from kilonova.kit.http.versions import SINCE, UNTIL, Version, VersionEdge

JsonObject = dict[str, Any]

TOKEN = {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}
_VARIABLE = re.compile(r"{(\w+)(?::\w+)?}")


@dataclass(frozen=True, slots=True)
class View:
    """One microversion's view of a table; without versions there is only one."""

    versions: VersionEdge | None
    version: Version | None

    def has(self, each: Route | Action) -> bool:
        if self.versions is None or self.version is None:
            return True
        return self.versions.in_range(self.version, each.since, each.until)

    def allows(self, change: str | None) -> bool:
        if change is None or self.versions is None or self.version is None:
            return True
        return self.versions.allows(self.version, change)

    def actions(self, route: Route) -> list[Action]:
        if not isinstance(route.handler, tuple):
            return []
        return [action for action in route.handler if self.has(action)]


def document(
    service_type: str, routes: Sequence[Route], versions: VersionEdge | None = None, version: Version | None = None
) -> JsonObject:
    """Returns the document of one version; of everything, when the service has no versions."""
    view = View(versions, version)
    chosen = [route for route in routes if view.has(route)]
    bodies = [_body_types(route, view) for route in chosen]
    schemas, components = msgspec.json.schema_components(
        [each for body in bodies for each in body.values()], ref_template="#/components/schemas/{name}"
    )
    for each in {cls for body in bodies for body_type in body.values() for cls in open_types(body_type)}:
        components[each.__name__] |= _open_schema(each)
    in_order = iter(schemas)
    paths: dict[str, JsonObject] = {}
    for route, body in zip(chosen, bodies, strict=True):
        operation = _operation(route, {key: next(in_order) for key in body}, view)
        # The first route that fits is the one the edge takes.
        paths.setdefault(_VARIABLE.sub(r"{\1}", route.path), {}).setdefault(route.method.lower(), operation)
    shown: JsonObject = {
        "openapi": "3.1.0",
        "info": {"title": f"Kilonova {service_type} API", "version": "newest" if version is None else str(version)},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components, "securitySchemes": {"token": TOKEN}},
        "security": [{"token": []}],
    }
    if version is not None:
        _leave_out_fields(shown, version)
    return shown


def _body_types(route: Route, view: View) -> dict[str, Any]:
    """Of an action route: key of the body → type of what is under it; of others: media type → type of the body."""
    if isinstance(route.handler, tuple):
        return {action.key: Any if action.body is None else action.body for action in view.actions(route)}
    return {} if route.body is None else {route.media_type: route.body, **route.also_read}


def _open_schema(cls: type[Open]) -> JsonObject:
    """What the schema of an Open part says besides the fields that it names."""
    return {
        "additionalProperties": msgspec.json.schema(cls.extra_type),
        "propertyNames": {"minLength": 1, "maxLength": MAX_NAME},
        "maxProperties": len(cls.__struct_fields__) + cls.most_extra,
    }


def _operation(route: Route, body: dict[str, JsonObject], view: View) -> JsonObject:
    actions = view.actions(route)
    statuses = {action.status for action in actions} or {route.status, *route.also}
    shown: JsonObject = {
        "operationId": f"{route.method} {route.path}",
        "summary": _summary(route, actions),
        "tags": [_module(route)],
        "parameters": _parameters(route, view),
        "responses": {
            **{str(status): {"description": "Done."} for status in sorted(statuses)},
            "default": {"description": "Refused: what was wrong and what is allowed, in the service's error format."},
        },
    }
    if content := _content(route, body):
        shown["requestBody"] = {"required": True, "content": content}
    if route.rule == PUBLIC:
        shown["security"] = []
    else:
        shown["x-policy-rule"] = {action.key: action.rule for action in actions} if actions else route.rule
    return shown


def _parameters(route: Route, view: View) -> list[JsonObject]:
    text = {"type": "string"}
    variables = [
        {"name": name, "in": "path", "required": True, "schema": text} for name in _VARIABLE.findall(route.path)
    ]
    queries = [
        {"name": name, "in": "query", "schema": text} for name, change in route.query.items() if view.allows(change)
    ]
    return variables + queries


def _content(route: Route, body: dict[str, JsonObject]) -> JsonObject:
    if route.streams_body:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    if not body:
        return {}
    if isinstance(route.handler, tuple):
        one_of = [{"type": "object", "properties": {key: schema}, "required": [key]} for key, schema in body.items()]
        return {route.media_type: {"schema": {"oneOf": one_of}}}
    return {media_type: {"schema": schema} for media_type, schema in body.items()}


def _module(route: Route) -> str:
    handler = route.handler[0].handler if isinstance(route.handler, tuple) else route.handler
    return handler.__module__.rpartition(".")[2]


def _summary(route: Route, actions: Sequence[Action]) -> str:
    if isinstance(route.handler, tuple):
        return f"One of: {', '.join(sorted({action.key for action in actions}))}."
    sentence = (inspect.getdoc(route.handler) or "").split("\n\n")[0].replace("\n", " ")
    return sentence or f"{route.handler.__name__.replace('_', ' ').capitalize()}."


def _leave_out_fields(schema: Any, version: Version) -> None:
    """Takes out what `version` does not know: the edge refuses such a field as if it did not exist."""
    if isinstance(schema, list):
        for item in schema:
            _leave_out_fields(item, version)
    elif isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            schema["properties"] = {name: each for name, each in properties.items() if _knows(each, version)}
            if "required" in schema:
                schema["required"] = [name for name in schema["required"] if name in schema["properties"]]
        for value in schema.values():
            _leave_out_fields(value, version)


def _knows(schema: Any, version: Version) -> bool:
    low, high = schema.get(SINCE), schema.get(UNTIL)
    return (low is None or version >= Version.parse(low)) and (high is None or version <= Version.parse(high))
