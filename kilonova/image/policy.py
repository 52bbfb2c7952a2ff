"""The image service's default rules, under upstream's names.

A target is an image: `project_id` and `owner` are its owner's project, `visibility` its own, and `member_id` the
caller's project where the image is shared with it.
"""

from kilonova.kit.auth import Rule

ADMIN = "rule:context_is_admin"
OWNER = "role:member and project_id:%(project_id)s"
MEMBER = f"{ADMIN} or ({OWNER})"
READER = f"{ADMIN} or (role:reader and project_id:%(project_id)s)"
VISIBLE = (
    "project_id:%(project_id)s or project_id:%(member_id)s or 'community':%(visibility)s or 'public':%(visibility)s"
)
SHARED_WITH = "project_id:%(member_id)s and 'shared':%(visibility)s"

RULES = [
    Rule("default", "@", "What describes the service rather than an image"),
    Rule("context_is_admin", "role:admin", "Administrators of the cloud"),
    Rule("service_api", "role:service or role:admin", "Other services"),
    Rule("add_image", f"{ADMIN} or ({OWNER} and project_id:%(owner)s)"),
    Rule("delete_image", MEMBER),
    Rule("get_image", f"{ADMIN} or (role:reader and ({VISIBLE}))"),
    Rule("get_images", READER),
    Rule("modify_image", MEMBER),
    Rule("publicize_image", ADMIN),
    Rule("communitize_image", MEMBER),
    Rule("download_image", f"{ADMIN} or (role:member and ({VISIBLE}))"),
    Rule("upload_image", MEMBER),
    Rule("deactivate", MEMBER),
    Rule("reactivate", MEMBER),
    Rule("add_member", MEMBER),
    Rule("delete_member", MEMBER),
    Rule("get_member", f"{ADMIN} or (role:reader and (project_id:%(project_id)s or {SHARED_WITH}))"),
    Rule("get_members", f"{ADMIN} or (role:reader and (project_id:%(project_id)s or {SHARED_WITH}))"),
    Rule("modify_member", f"{ADMIN} or (role:member and {SHARED_WITH})"),
    Rule("stores_info_detail", ADMIN),
    Rule("tasks_api_access", ADMIN),
    Rule("get_metadef_namespace", "@"),
    Rule("get_metadef_namespaces", "@"),
    Rule("add_metadef_namespace", ADMIN),
    Rule("delete_metadef_namespace", ADMIN),
    Rule("list_metadef_resource_types", "@"),
]
