"""The operations on a server, one row each: when one may begin, what it shows while it runs, and where it ends.

Task states, status filters, the names of instance actions and what the agent should want all derive from these rows. An
operation that only changes power is a row here and a line in `app.py`; any other one has its steps in `programs/`, too.

Source: Compute API guide, "Server concepts"; Compute API reference, "Servers run an action".
"""

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct, structs

from kilonova.compute.agent.spec import WantedPower

WAY_BACK_SECONDS = 600.0
"""A host that was silent while a guest was on its way has so long to answer again."""


class Operation(Struct, frozen=True, kw_only=True):
    program: str
    """The program that carries it out; it has the same name."""
    action: str
    """The name of the instance action, and of what is refused."""
    begins_in: tuple[str, ...] = ()
    """The vm_states it may begin in; none for a build, which begins with its server, and a delete, which always may."""
    replaces: tuple[str, ...] = ()
    """Programs whose place it takes while they run."""
    shows: str | Mapping[str, str]
    """The task_state while it runs: one, or one for each step."""
    is_shown: bool = True
    """Whether the API shows the task_state; where it does not, only refusals name it."""
    status: str | None = None
    """The status while it runs, of servers in the states `status_in`; None: that of the state."""
    status_in: tuple[str, ...] = ("active",)
    events: Mapping[str, str] = {}
    """Step → the event of the instance action, where that is not `compute_` and the step's name."""
    ends_in: str | None = None
    """The vm_state of one that only changes power."""
    wants: WantedPower | None = None
    """The power that the host is to bring about, of one that only changes power."""
    reboots: Literal["SOFT", "HARD"] | None = None
    """How the guest is started anew on its way there."""
    needs_own_root: bool = False
    """Whether it is about the server's root disk, which one that boots from a volume does not have."""
    leaves_host: bool = False
    """Whether the server leaves its host by it, which servers with volumes do not do yet."""
    way_back: str = ""
    """The step that makes the server what it was before, of one whose end alone would leave things on two hosts."""
    way_back_seconds: float = 0
    deadline_seconds: float = 180
    """Of one that only changes power. Longer than a lease: a runner that dies holds its task for so long."""

    def task_state(self, step: str) -> str:
        return self.shows if isinstance(self.shows, str) else self.shows[step]


BUILD = Operation(
    program="build",
    action="create",
    shows={
        "schedule": "scheduling",
        "enter_cell": "scheduling",
        "ports": "networking",
        "spawn": "spawning",
        "wait_active": "spawning",
        "hold_volumes": "block_device_mapping",
        "complete_volumes": "spawning",
        "leave_host": "scheduling",
        "roll_back": "deleting",
    },
    events={
        "schedule": "conductor_schedule_and_build_instances",
        "spawn": "compute__do_build_and_run_instance",
    },
)
DESTROY = Operation(
    program="destroy", action="delete", shows="deleting", events={"stop_guest": "compute_terminate_instance"}
)
START = Operation(
    program="start", action="start", begins_in=("stopped",), shows="powering-on", ends_in="active", wants="running"
)
STOP = Operation(
    program="stop",
    action="stop",
    begins_in=("active", "error"),
    shows="powering-off",
    ends_in="stopped",
    wants="stopped",
)
REBOOT = Operation(
    program="reboot",
    action="reboot",
    begins_in=("active",),
    shows="rebooting",
    status="REBOOT",
    ends_in="active",
    wants="running",
    reboots="SOFT",
    deadline_seconds=300,
)
REBOOT_HARD = Operation(
    # The way out of what does not come to its end, so it takes the place of most operations.
    program="reboot_hard",
    action="reboot",
    begins_in=("active", "stopped", "paused", "suspended", "error"),
    replaces=("reboot", "reboot_hard", "pause", "unpause", "suspend", "resume"),
    shows="rebooting_hard",
    status="HARD_REBOOT",
    ends_in="active",
    wants="running",
    reboots="HARD",
    deadline_seconds=300,
)
PAUSE = Operation(
    program="pause", action="pause", begins_in=("active",), shows="pausing", ends_in="paused", wants="paused"
)
UNPAUSE = Operation(
    program="unpause", action="unpause", begins_in=("paused",), shows="unpausing", ends_in="active", wants="running"
)
SUSPEND = Operation(
    program="suspend",
    action="suspend",
    begins_in=("active",),
    shows="suspending",
    ends_in="suspended",
    wants="suspended",
    deadline_seconds=300,
)
RESUME = Operation(
    program="resume", action="resume", begins_in=("suspended",), shows="resuming", ends_in="active", wants="running"
)
ATTACH_INTERFACE = Operation(
    program="attach_interface",
    action="attach_interface",
    begins_in=("active", "paused", "stopped"),
    shows="attaching_interface",
    is_shown=False,
)
DETACH_INTERFACE = Operation(
    program="detach_interface",
    action="detach_interface",
    begins_in=("active", "paused", "stopped"),
    shows="detaching_interface",
    is_shown=False,
)
ATTACH_VOLUME = Operation(
    program="attach_volume",
    action="attach_volume",
    begins_in=("active", "paused", "stopped"),
    shows="attaching_volume",
    is_shown=False,
    events={"plug_volume": "compute_attach_volume"},
)
DETACH_VOLUME = Operation(
    program="detach_volume",
    action="detach_volume",
    begins_in=("active", "paused", "stopped"),
    shows="detaching_volume",
    is_shown=False,
    events={"unplug_volume": "compute_detach_volume"},
)
INJECT_NETWORK = Operation(
    program="inject_network",
    action="inject_network_info",
    begins_in=("active", "paused", "suspended", "rescued"),
    shows="injecting_network_info",
    is_shown=False,
)
SNAPSHOT = Operation(
    program="snapshot",
    action="createImage",
    begins_in=("active", "stopped", "paused", "suspended"),
    needs_own_root=True,
    shows={
        "capture": "image_snapshot",
        "prepare": "image_pending_upload",
        "upload": "image_uploading",
        "discard": "image_uploading",
    },
    events={"capture": "compute_snapshot_instance"},
)
BACKUP = Operation(
    program="backup",
    action="createBackup",
    begins_in=("active", "stopped", "paused", "suspended"),
    needs_own_root=True,
    shows={
        "back_up": "image_backup",
        "describe": "image_pending_upload",
        "send": "image_uploading",
        "rotate": "image_uploading",
        "withdraw": "image_uploading",
    },
    events={"back_up": "compute_backup_instance"},
)
REBUILD = Operation(
    program="rebuild",
    action="rebuild",
    begins_in=("active", "stopped", "error"),
    needs_own_root=True,
    shows={"remake": "rebuilding", "wait_rebuilt": "rebuild_spawning"},
    status="REBUILD",
    status_in=("active", "stopped", "error"),
    events={"remake": "compute_rebuild_instance"},
)
RESCUE = Operation(
    program="rescue",
    action="rescue",
    begins_in=("active", "stopped", "error"),
    needs_own_root=True,
    shows="rescuing",
    ends_in="rescued",
    wants="running",
    reboots="HARD",
    deadline_seconds=900,
)
UNRESCUE = Operation(
    program="unrescue",
    action="unrescue",
    begins_in=("rescued",),
    shows="unrescuing",
    ends_in="active",
    wants="running",
    reboots="HARD",
    deadline_seconds=300,
)
SOFT_DELETE = Operation(
    # Where deleted servers are kept for a while. Like a delete it always may begin.
    program="soft_delete",
    action="delete",
    shows="soft-deleting",
    ends_in="soft-delete",
    wants="stopped",
)
RESTORE = Operation(
    program="restore",
    action="restore",
    begins_in=("soft-delete",),
    shows="restoring",
    ends_in="active",
    wants="running",
)
SHELVE = Operation(
    program="shelve",
    action="shelve",
    begins_in=("active", "stopped", "paused", "suspended"),
    leaves_host=True,
    shows={
        "power_down": "shelving",
        "copy_disk": "shelving",
        "describe_copy": "shelving_image_pending_upload",
        "send_copy": "shelving_image_uploading",
        "offload": "shelving_offloading",
        "take_down": "shelving",
    },
    events={"power_down": "compute_shelve_instance", "offload": "compute_shelve_offload_instance"},
)
SHELVE_OFFLOAD = Operation(
    program="shelve_offload",
    action="shelveOffload",
    begins_in=("shelved",),
    shows="shelving_offloading",
    leaves_host=True,
)
UNSHELVE = Operation(
    program="unshelve",
    action="unshelve",
    begins_in=("shelved", "shelved_offloaded"),
    shows={
        "find_host": "unshelving",
        "bind_ports": "unshelving",
        "power_up": "spawning",
        "forget_image": "spawning",
        "put_back": "unshelving",
    },
    events={"find_host": "conductor_schedule_instances", "power_up": "compute_unshelve_instance"},
)

LIVE_MIGRATE = Operation(
    program="live_migrate",
    action="live-migration",
    begins_in=("active", "paused"),
    leaves_host=True,
    shows="migrating",
    status="MIGRATING",
    status_in=("active", "paused"),
    events={
        "choose_target": "conductor_live_migrate_instance",
        "expect_guest": "compute_pre_live_migration",
        "move_guest": "compute_live_migration",
        "switch": "compute_post_live_migration_at_destination",
        "bring_home": "compute_rollback_live_migration_at_destination",
    },
    way_back="bring_home",
    way_back_seconds=WAY_BACK_SECONDS,
)

_RESIZED = {
    "choose_host": "resize_prep",
    "bring_disks": "resize_migrating",
    "change_over": "resize_migrated",
    "start_changed": "resize_finish",
    "undo_change": "resize_reverting",
}
_RESIZE_EVENTS = {
    "choose_host": "compute_prep_resize",
    "bring_disks": "compute_resize_instance",
    "start_changed": "compute_finish_resize",
    "undo_change": "compute_revert_resize",
}
RESIZE = Operation(
    program="resize",
    action="resize",
    begins_in=("active", "stopped"),
    leaves_host=True,
    shows=_RESIZED,
    status="RESIZE",
    status_in=("active", "stopped"),
    events=_RESIZE_EVENTS,
    way_back="undo_change",
    way_back_seconds=WAY_BACK_SECONDS,
)
COLD_MIGRATE = structs.replace(RESIZE, program="cold_migrate", action="migrate")
CONFIRM_RESIZE = Operation(
    program="confirm_resize",
    action="confirmResize",
    begins_in=("resized",),
    shows="resize_confirming",
    is_shown=False,
    events={"forget_former": "compute_confirm_resize"},
)
REVERT_RESIZE = Operation(
    program="revert_resize",
    action="revertResize",
    begins_in=("resized",),
    shows="resize_reverting",
    status="REVERT_RESIZE",
    status_in=("resized",),
    events={"leave_target": "compute_revert_resize", "start_former": "compute_finish_revert_resize"},
)
EVACUATE = Operation(
    # Whatever was being done when the host went down waits for it in vain.
    program="evacuate",
    action="evacuate",
    begins_in=("active", "stopped", "error", "paused", "suspended"),
    replaces=(
        "live_migrate", "start", "stop", "reboot", "reboot_hard", "pause", "unpause", "suspend", "resume", "snapshot",
        "backup", "attach_interface", "detach_interface", "rebuild",
    ),
    leaves_host=True,
    shows={
        "find_refuge": "rebuilding",
        "bring_ports": "rebuilding",
        "make_anew": "rebuild_spawning",
        "stay": "rebuilding",
    },
    status="REBUILD",
    status_in=("active", "stopped", "error"),
    events={"find_refuge": "conductor_rebuild_server", "make_anew": "compute_rebuild_instance"},
)  # fmt: skip

OPERATIONS: Mapping[str, Operation] = {
    each.program: each
    for each in (
        BUILD,
        DESTROY,
        START,
        STOP,
        REBOOT,
        REBOOT_HARD,
        PAUSE,
        UNPAUSE,
        SUSPEND,
        RESUME,
        ATTACH_INTERFACE,
        DETACH_INTERFACE,
        ATTACH_VOLUME,
        DETACH_VOLUME,
        SNAPSHOT,
        BACKUP,
        REBUILD,
        RESCUE,
        UNRESCUE,
        SOFT_DELETE,
        RESTORE,
        SHELVE,
        SHELVE_OFFLOAD,
        UNSHELVE,
        INJECT_NETWORK,
        LIVE_MIGRATE,
        RESIZE,
        COLD_MIGRATE,
        CONFIRM_RESIZE,
        REVERT_RESIZE,
        EVACUATE,
    )
}
"""Program → its operation."""

EVENTS: Mapping[str, str] = {step: event for each in OPERATIONS.values() for step, event in each.events.items()}


def steps_shown_as(task_state: str) -> Iterator[tuple[str, str | None]]:
    """The (program, step) that show a task_state; step None: every one of the program."""
    for each in OPERATIONS.values():
        if each.shows == task_state:
            yield each.program, None
        elif not isinstance(each.shows, str):
            for step, shown in each.shows.items():
                if shown == task_state:
                    yield each.program, step
