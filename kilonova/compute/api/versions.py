"""The version documents: `/` lists what is served, `/v2` and `/v2.1` describe it."""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.versions import MAXIMUM, MINIMUM
from kilonova.kit.errors import NotFound

UPDATED = "2013-07-23T11:33:21Z"


def _document(base_url: str) -> dict[str, Any]:
    return {
        "id": "v2.1",
        "status": "CURRENT",
        "version": MAXIMUM,
        "min_version": MINIMUM,
        "updated": UPDATED,
        "links": [{"rel": "self", "href": f"{base_url}/v2.1/"}],
    }


def _first_document(base_url: str) -> dict[str, Any]:
    """Of the version before microversions: it has none."""
    return {
        "id": "v2.0",
        "status": "SUPPORTED",
        "version": "",
        "min_version": "",
        "updated": "2011-01-21T11:33:21Z",
        "links": [{"rel": "self", "href": f"{base_url}/v2/"}],
    }


async def list_versions(request: ComputeRequest) -> dict[str, Any]:
    return {"versions": [_first_document(request.base_url), _document(request.base_url)]}


async def show_first_version(request: ComputeRequest) -> dict[str, Any]:
    return {"version": _described(_first_document(request.base_url), "2")}


async def show_version(request: ComputeRequest) -> dict[str, Any]:
    return {"version": _described(_document(request.base_url), "2.1")}


async def show_named_version(request: ComputeRequest) -> dict[str, Any]:
    """GET /versions/{id}. Raises NotFound."""
    match request.path["version"]:
        case "v2.0":
            return await show_first_version(request)
        case "v2.1":
            return await show_version(request)
        case unknown:
            raise NotFound(f"There is no version {unknown[:64]}.")


def _described(document: dict[str, Any], version: str) -> dict[str, Any]:
    media = {"base": "application/json", "type": f"application/vnd.openstack.compute+json;version={version}"}
    guide = {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"}
    return {**document, "links": [*document["links"], guide], "media-types": [media]}
