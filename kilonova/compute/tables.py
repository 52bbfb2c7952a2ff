"""Compute's tables and row types.

Every database of compute has all tables; which of them hold rows is a matter of what it is (`cells.py`). At home in the
region's API database are flavors, keypairs, aggregates, server_groups, quotas, user_quotas, quota_classes, the three
mappings,
console_tokens and control_daemons; in a cell's database hosts, host_loads, takings, servers, server_history and the
tasks. A
server that is not placed yet is in the API database.

What an operation is doing to a server is not a column here: `task_state` is a view of the server's active task
(design §4). A deleted server's row moves to `server_history`.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from kilonova.kit.db import UtcDateTime
from kilonova.kit.tasks import ChoreTable, TaskTables

metadata = MetaData()
tasks = TaskTables(metadata)
chores = ChoreTable(metadata)

flavors = Table(
    "flavors",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("description", Text),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("root_gib", Integer, nullable=False),
    Column("ephemeral_gib", Integer, nullable=False),
    Column("swap_mib", Integer, nullable=False),
    Column("rxtx_factor", String(16), nullable=False),
    Column("is_public", Boolean, nullable=False),
    Column("extra_specs", JSON, nullable=False),
    Column("projects", JSON, nullable=False),
)

keypairs = Table(
    "keypairs",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("type", String(16), nullable=False),
    Column("fingerprint", String(255), nullable=False),
    Column("public_key", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("user_id", "name"),
)

servers = Table(
    "servers",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("hostname", String(255), nullable=False),
    Column("description", String(255)),
    Column("vm_state", String(32), nullable=False),
    Column("wanted_power", String(16), nullable=False),
    Column("power_state", Integer, nullable=False),
    Column("host", String(255)),
    Column("node_id", String(36)),
    Column("availability_zone", String(255)),
    Column("requested_zone", String(255)),
    Column("requested_host", String(255)),
    Column("group_id", String(36)),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("flavor", JSON, nullable=False),
    Column("image", JSON),
    Column("key_name", String(255)),
    Column("public_key", Text),
    Column("key_type", String(16)),
    Column("user_data", LargeBinary),
    Column("config_drive", Boolean, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("requested_networks", JSON, nullable=False),
    Column("ports", JSON, nullable=False),
    Column("security_groups", JSON, nullable=False),
    Column("scheduler_hints", JSON, nullable=False),
    Column("reservation_id", String(32), nullable=False),
    Column("launch_index", Integer, nullable=False),
    Column("random_seed", LargeBinary, nullable=False),
    Column("disk_config", String(8), nullable=False),
    Column("access_ip_v4", String(64), nullable=False),
    Column("access_ip_v6", String(64), nullable=False),
    Column("reboot_count", Integer, nullable=False),
    Column("reboot_type", String(8), nullable=False),
    Column("locked", Boolean, nullable=False),
    Column("locked_by", String(8)),
    Column("locked_reason", String(255)),
    Column("sealed_password", Text, nullable=False),
    Column("fault", JSON),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("launched_at", UtcDateTime),
    Column("rebuild_count", Integer, nullable=False, server_default="0"),
    Column("keeps_ephemeral", Boolean, nullable=False, server_default=false()),
    Column("rescue", JSON),
    Column("root_image", JSON),
    Column("left_at", UtcDateTime),
    Column("local_disks", JSON),
    Column("former_disks", String(8), nullable=False, server_default="gone"),
    Column("volumes", JSON),
    Index("servers_project", "project_id", "created_at"),
    Index("servers_host", "host", "vm_state"),
    Index("servers_group", "group_id"),
    Index("servers_left_at", "left_at"),
)

server_history = Table(
    "server_history",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("host", String(255)),
    Column("number", Integer, nullable=False, unique=True),
    Column("record", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime, nullable=False),
    Column("archived_at", UtcDateTime),
    Index("server_history_deleted_at", "deleted_at"),
    Index("server_history_project", "project_id", "deleted_at"),
)

migrations = Table(
    "migrations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("server_id", String(36), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("source_host", String(255), nullable=False),
    Column("source_node", String(255), nullable=False),
    Column("target_host", String(255)),
    Column("target_node", String(255)),
    Column("target_address", String(255)),
    Column("old_flavor_id", String(255), nullable=False),
    Column("new_flavor_id", String(255), nullable=False),
    Column("transfer", JSON),
    Column("is_cancelled", Boolean, nullable=False),
    Column("is_hastened", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("old_flavor", JSON),
    Column("new_flavor", JSON),
    Index("migrations_server", "server_id", "status"),
    Index("migrations_status", "status", "source_host"),
    Index("migrations_updated_at", "updated_at"),
)

hosts = Table(
    "hosts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("service_id", String(36), nullable=False, unique=True),
    Column("binary", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("hypervisor_hostname", String(255), nullable=False),
    Column("availability_zone", String(255), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("disabled_reason", String(255)),
    Column("forced_down", Boolean, nullable=False),
    Column("failed_builds", Integer, nullable=False),
    Column("inventory", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("binary", "host"),
)

host_loads = Table(
    "host_loads",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("servers", Integer, nullable=False),
    Column("building", Integer, nullable=False),
    Column("row_revision", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False, unique=True),
)

takings = Table(
    "takings",
    metadata,
    Column("server_id", String(36), primary_key=True),
    Column("host", String(255), primary_key=True),
    Column("flavor_id", String(255), primary_key=True),
    Column("placement", JSON, nullable=False),
    Index("takings_host", "host"),
)

aggregates = Table(
    "aggregates",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("hosts", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime),
)

server_groups = Table(
    "server_groups",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("policy", String(32), nullable=False),
    Column("most_on_a_host", Integer),
    Column("created_at", UtcDateTime, nullable=False),
    Index("server_groups_project", "project_id", "created_at"),
)

quotas = Table(
    "quotas",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("hard_limit", Integer, nullable=False),
)

user_quotas = Table(
    "user_quotas",
    metadata,
    Column("project_id", String(64), primary_key=True),
    Column("user_id", String(64), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("hard_limit", Integer, nullable=False),
)

quota_classes = Table(
    "quota_classes",
    metadata,
    Column("class_name", String(255), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("hard_limit", Integer, nullable=False),
)

cell_mappings = Table(
    "cell_mappings",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("transport_url", Text, nullable=False),
    Column("database_connection", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

host_mappings = Table(
    "host_mappings",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("cell_id", String(36), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

server_mappings = Table(
    "server_mappings",
    metadata,
    Column("server_id", String(36), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("cell_id", String(36)),
    Column("group_id", String(36)),
    Column("host", String(255)),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mib", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime),
    Index("server_mappings_use", "project_id", "deleted_at", "vcpus", "memory_mib"),
    Index("server_mappings_group", "group_id"),
    Index("server_mappings_cell", "cell_id", "deleted_at"),
)

console_tokens = Table(
    "console_tokens",
    metadata,
    Column("token_digest", String(64), primary_key=True),
    Column("server_id", String(36), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("user_id", String(64)),
    Column("project_id", String(64)),
    Column("audit_id", String(64)),
    Index("console_tokens_server", "server_id"),
    Index("console_tokens_expires_at", "expires_at"),
)

control_daemons = Table(
    "control_daemons",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("binary", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("binary", "host"),
)


class Flavor(Struct):
    id: str
    name: str
    description: str | None
    vcpus: int
    memory_mib: int
    root_gib: int
    ephemeral_gib: int
    swap_mib: int
    rxtx_factor: str
    is_public: bool
    extra_specs: dict[str, str]
    projects: list[str]
    """Projects that may use it when it is not public."""


class Keypair(Struct):
    number: int
    user_id: str
    name: str
    type: str
    fingerprint: str
    public_key: str
    created_at: datetime


class Server(Struct, kw_only=True):
    id: str
    number: int
    """Gives the domain its name: `instance-0000002a`."""
    project_id: str
    user_id: str
    name: str
    hostname: str
    description: str | None
    vm_state: str
    """`building`, `active`, `paused`, `suspended`, `stopped`, `resized`, `rescued`, `soft-delete`, `shelved`,
    `shelved_offloaded` or `error`."""
    wanted_power: str
    """`running`, `stopped`, `paused` or `suspended`: what the host agent converges to."""
    power_state: int
    """As last observed, in upstream's numbers (0 none, 1 running, 3 paused, 4 shut down, 6 crashed, 7 suspended)."""
    host: str | None
    node_id: str | None
    """The resource provider's id: `hosts.id`."""
    availability_zone: str | None
    requested_zone: str | None
    requested_host: str | None
    group_id: str | None
    """The server group it is a member of."""
    vcpus: int
    memory_mib: int
    """Of the flavor; beside it because a project's use is the sum of them."""
    flavor: dict[str, Any]
    """The flavor as it was at creation, or at the last resize (fields of `Flavor`)."""
    image: dict[str, Any] | None
    """`{"id", "disk_format", "size_bytes", "sha512", "min_disk_gib", "min_ram_mib", "properties"}` as they were at
    creation. One of the release before this has no `min_ram_mib`."""
    key_name: str | None
    public_key: str | None
    key_type: str | None
    user_data: bytes | None
    config_drive: bool
    metadata: dict[str, str]
    tags: list[str]
    requested_networks: list[dict[str, Any]]
    """`{"network_id"}` or `{"port_id"}`, with `fixed_ip` and `security_group_ids` where they were asked for."""
    ports: list[dict[str, Any]]
    """What the ports step has bound: `{"id", "preserve"}`, and once known the fields of `specs.port_entries`.
    `preserve`: the user brought the port; it is unbound, not deleted, with the server."""
    security_groups: list[str]
    scheduler_hints: dict[str, Any]
    reservation_id: str
    launch_index: int
    random_seed: bytes
    disk_config: str
    access_ip_v4: str
    access_ip_v6: str
    reboot_count: int
    reboot_type: str
    locked: bool
    locked_by: str | None
    """`owner`, or `admin`: what an administrator locked only one unlocks."""
    locked_reason: str | None
    sealed_password: str
    """What the guest left as its administrator's password, sealed for the key pair; empty when nothing."""
    fault: dict[str, Any] | None
    """`{"code", "message", "created", "details"}`; details are for administrators."""
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    rebuild_count: int = 0
    keeps_ephemeral: bool = False
    """Whether a rebuild leaves the disks that are neither the root nor the config drive."""
    rescue: dict[str, Any] | None = None
    """The image and device it is rescued with (`rescue_disks.Rescue`)."""
    root_image: dict[str, Any] | None = None
    """`{"image", "is_used"}`: what a shelved server comes back from. Used, it is what its root disk begins as."""
    left_at: datetime | None = None
    """When it was deleted softly, or shelved."""
    local_disks: list[dict[str, Any]] | None = None
    """Its local disks as the request described them (`disks.LocalDisk`); None: they are as image and flavor say."""
    former_disks: str = "gone"
    """The fate of the disks from before a resize on the same host (`spec.FormerDisks`)."""
    volumes: list[dict[str, Any]] | None = None
    """The volumes it has, gets and loses (`volumes.ServerVolume`)."""


class DeletedServer(Struct):
    id: str
    project_id: str
    user_id: str
    host: str | None
    number: int
    record: dict[str, Any]
    """The fields of `Server`."""
    created_at: datetime
    deleted_at: datetime
    archived_at: datetime | None = None
    """Set: the API tells nothing of it any more."""


class Migration(Struct, kw_only=True):
    """A server's way from one host to another; kept when it is over."""

    number: int
    id: str
    server_id: str
    project_id: str
    """The project of who asked for it."""
    user_id: str
    kind: str
    """`live-migration`, `migration`, `resize` or `evacuation`."""
    status: str
    """One of `migrations.UNDER_WAY`; then `completed`, `confirmed`, `reverted`, `cancelled` or `error`."""
    source_host: str
    source_node: str
    """The hypervisor there."""
    target_host: str | None
    target_node: str | None
    target_address: str | None
    old_flavor_id: str
    new_flavor_id: str
    transfer: dict[str, Any] | None
    """The fields of the agent's `Transfer`, as last seen."""
    is_cancelled: bool
    """Whether somebody wants it to end without effect."""
    is_hastened: bool
    """Whether somebody wants the guest to pause until it has moved."""
    created_at: datetime
    updated_at: datetime
    old_flavor: dict[str, Any] | None = None
    new_flavor: dict[str, Any] | None = None
    """The server's flavor before and after a resize or a cold migration; None of other kinds."""


class Host(Struct, kw_only=True):
    """A compute host: service, hypervisor and resource provider in one row, so none can exist without the others."""

    id: str
    number: int
    service_id: str
    binary: str
    host: str
    hypervisor_hostname: str
    availability_zone: str
    disabled: bool
    disabled_reason: str | None
    forced_down: bool
    failed_builds: int
    """Since the last that went well."""
    inventory: dict[str, Any]
    """`HostInventory` as the agent sent it."""
    created_at: datetime
    updated_at: datetime


class HostLoad(Struct):
    """How many servers a host has, and when it last changed: kept by `hosts/loads.py`, even when the host is gone."""

    host: str
    servers: int
    building: int
    """How many of these servers are being built."""
    row_revision: int
    """The revision of the last change of its row in `hosts`."""
    revision: int
    """The revision of the last change of that row or of the counts. Each is given once; the latest is the highest."""


class Taking(Struct):
    """The share that a server has taken of a host's NUMA nodes (`hosts/takings.py`)."""

    server_id: str
    host: str
    flavor_id: str
    """The flavor that it is taken for: a server that is resized where it is has taken for two."""
    placement: dict[str, Any]
    """The fields of the agent's `GuestPlacement`."""


class Aggregate(Struct, kw_only=True):
    """Hosts that belong together. Its metadata's `availability_zone` is the zone of those hosts."""

    number: int
    id: str
    name: str
    hosts: list[str]
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime | None


class ServerGroup(Struct, kw_only=True):
    """A rule for where its servers run: together or apart. Members carry its id (`Server.group_id`)."""

    id: str
    project_id: str
    user_id: str
    name: str
    policy: str
    """`affinity`, `anti-affinity`, `soft-affinity` or `soft-anti-affinity`."""
    most_on_a_host: int | None
    """Of an anti-affinity group, how many a host may hold (one when None)."""
    created_at: datetime


class QuotaLimit(Struct):
    resource: str
    hard_limit: int
    """-1: no limit."""


class CellMapping(Struct):
    """A part of the region with hosts, a database and a broker of its own. Cell0 has no hosts: it holds servers that
    could not be placed.
    """

    id: str
    name: str
    transport_url: str
    """`none:///` for cell0; empty: the process's own."""
    database_connection: str
    """Empty: the API database itself."""
    disabled: bool
    """Gets no new servers."""
    created_at: datetime


class HostMapping(Struct):
    host: str
    number: int
    """The host's in every API, so that no two cells number theirs alike."""
    cell_id: str
    created_at: datetime


class ServerMapping(Struct, kw_only=True):
    """Which cell a server is in, and what has to be known of it without asking that cell. Kept as long as the server
    is remembered, so that what was done to a deleted one can be found.
    """

    server_id: str
    number: int
    project_id: str
    user_id: str
    cell_id: str | None
    """None: not placed, it is in the API database."""
    group_id: str | None
    host: str | None
    """Where it was placed, kept for members of a server group only: their rule counts them in every cell."""
    vcpus: int
    memory_mib: int
    created_at: datetime
    deleted_at: datetime | None


class ConsoleToken(Struct):
    """Opens one kind of console of one server (`console_tokens.py`)."""

    token_digest: str
    server_id: str
    kind: str
    """`vnc`, `spice` or `serial`."""
    expires_at: datetime
    user_id: str | None = None
    project_id: str | None = None
    audit_id: str | None = None
    """Whose token asked for it, in which project, and which token: what is revoked ends this console too."""


class ControlDaemon(Struct):
    """A part of the control plane that is listed because it has said that it is there."""

    id: str
    binary: str
    host: str
    created_at: datetime
