"""The version documents: `/` lists what is served, `/v2.1` describes it."""

from typing import Any

from kilonova.compute.api.bodies import ComputeRequest
from kilonova.compute.versions import MAXIMUM, MINIMUM

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


async def list_versions(request: ComputeRequest) -> dict[str, Any]:
    return {"versions": [_document(request.base_url)]}


async def show_version(request: ComputeRequest) -> dict[str, Any]:
    document = _document(request.base_url)
    media = {"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}
    guide = {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/api-ref/compute/"}
    return {"version": {**document, "links": [*document["links"], guide], "media-types": [media]}}
