"""The whole image API on one screen. Source: Image API v2 reference."""

from typing import Any

from kilonova.image.api import data, discovery, images, members, metadefs, queries, versions
from kilonova.image.api.bodies import (
    NEWEST_PATCH,
    OLDER_PATCH,
    ImageFields,
    MemberAnswer,
    NewMember,
    OlderPatch,
    Patch,
)
from kilonova.image.policy import RULES
from kilonova.image.service import Image
from kilonova.kit.auth import Policy
from kilonova.kit.errors import UnsupportedMediaType
from kilonova.kit.http.bounds import Free
from kilonova.kit.http.edge import Api, Authenticator, Edge, media_type_of
from kilonova.kit.http.formats import image_error, image_json_error
from kilonova.kit.http.routes import PUBLIC, Request, Route

IMAGE = "/v2/images/{image_id}"
MEMBER = f"{IMAGE}/members/{{member_id}}"

# fmt: off
ROUTES = [
    Route("GET", "/", versions.list_choices, PUBLIC, status=300),
    Route("GET", "/versions", versions.list_versions, PUBLIC),
    Route("GET", "/v2", versions.list_choices, PUBLIC, status=300),

    Route("GET", "/v2/images", images.list_images, "get_images", query=queries.QUERY),
    Route("POST", "/v2/images", images.create_image, "add_image", body=ImageFields, status=201),
    Route("GET", IMAGE, images.show_image, "get_image"),
    Route("PATCH", IMAGE, images.update_image, "modify_image", body=Patch, media_type=NEWEST_PATCH,
          also_read={OLDER_PATCH: OlderPatch}),
    Route("DELETE", IMAGE, images.delete_image, "delete_image", status=204),
    Route("PUT", f"{IMAGE}/file", data.upload, "upload_image", streams_body=True, status=204),
    Route("GET", f"{IMAGE}/file", data.download, "download_image"),
    Route("PUT", f"{IMAGE}/tags/{{tag_value}}", images.add_tag, "modify_image", status=204),
    Route("DELETE", f"{IMAGE}/tags/{{tag_value}}", images.delete_tag, "modify_image", status=204),
    Route("POST", f"{IMAGE}/actions/deactivate", images.deactivate, "deactivate", status=204),
    Route("POST", f"{IMAGE}/actions/reactivate", images.reactivate, "reactivate", status=204),
    Route("GET", f"{IMAGE}/tasks", discovery.list_tasks_of_image, "get_image"),

    Route("GET", f"{IMAGE}/members", members.list_members, "get_members"),
    Route("POST", f"{IMAGE}/members", members.add_member, "add_member", body=NewMember),
    Route("GET", MEMBER, members.show_member, "get_members"),
    Route("PUT", MEMBER, members.answer, "modify_member", body=MemberAnswer),
    Route("DELETE", MEMBER, members.delete_member, "delete_member", status=204),

    Route("GET", "/v2/schemas/{name}", discovery.show_schema, "default"),
    Route("GET", "/v2/info/import", discovery.show_import_methods, "default"),
    Route("GET", "/v2/info/stores", discovery.list_stores, "default"),
    Route("GET", "/v2/info/stores/detail", discovery.list_stores_in_detail, "stores_info_detail"),
    Route("GET", "/v2/info/usage", discovery.show_usage, "default"),
    Route("GET", "/v2/tasks", discovery.list_tasks, "default"),
    Route("POST", "/v2/tasks", discovery.create_task, "tasks_api_access", body=Free, status=201),
    Route("GET", "/v2/tasks/{task_id}", discovery.show_task, "default"),
    Route("DELETE", "/v2/tasks/{task_id}", discovery.show_task, "tasks_api_access"),

    Route("GET", "/v2/schemas/metadefs/{name}", metadefs.show_schema, "default"),
    Route("GET", metadefs.NAMESPACES, metadefs.list_namespaces, "get_metadef_namespaces", query=metadefs.QUERY),
    Route("POST", metadefs.NAMESPACES, metadefs.create_namespace, "add_metadef_namespace", body=Free, status=201),
    Route("GET", f"{metadefs.NAMESPACES}/{{namespace}}", metadefs.show_namespace, "get_metadef_namespace"),
    Route("DELETE", f"{metadefs.NAMESPACES}/{{namespace}}", metadefs.show_namespace, "delete_metadef_namespace"),
    Route("GET", "/v2/metadefs/resource_types", metadefs.list_resource_types, "list_metadef_resource_types"),
]
# fmt: on


def admit(request: Request[Any], route: Route) -> None:
    """Raises UnsupportedMediaType: a patch says by its type which draft it follows."""
    if route.method == "PATCH" and media_type_of(request.headers) not in (NEWEST_PATCH, OLDER_PATCH):
        allowed = f"{NEWEST_PATCH}, {OLDER_PATCH}"
        raise UnsupportedMediaType(f"An image is patched with {allowed}.", headers={"Accept-Patch": allowed})


def make_app(image: Image, authenticator: Authenticator, policy_overrides: dict[str, str] | None = None) -> Edge[Image]:
    """The ASGI app of the image service."""
    policy = Policy(RULES, policy_overrides)
    return Edge(
        Api(
            "image",
            image,
            ROUTES,
            policy,
            authenticator,
            image_error,
            render_json_error=image_json_error,
            admit=admit,
            exact_paths=True,
            check=image.check,
        )
    )
