"""The tests that are run, in which part, and those that are not, with the reason; pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

LATER = "is not among what is served so far"
OWNED = "a status on its way belongs to the operation that ends it: nobody writes it"
LEFT_OUT = {
    # identity
    r"\.test_(oauth_consumers|endpoint_groups|policies|domain_configuration)\.": f"this part of identity {LATER}",
    r"\.(Application|EC2)?Credentials\w*Test": f"credentials of other kinds: {LATER}",
    r"\.(ImageQuotaTest|test_compute_unified_limits)\.": f"limits kept by identity: {LATER}",
    r"\.test_inherits\.": f"roles inherited by what lies in a domain or project: {LATER}",
    r"\.test_create_is_domain_project$": "a domain is made at /v3/domains, never as a project",
    # image
    r"\.test_images_metadefs_": f"metadata definitions: {LATER}",
    # compute
    r"[Vv]olume": "part `volumes` runs it, or names it with its reason",
    r"\.test_instance_usage_audit_log\w*\.": f"this old part of compute {LATER}",
    r"\.test_live_migration_serial_console$": "the test gives its own WebSocket a text where that takes bytes",
    r"\.LiveMigrationManagerWorkflowTest\.": "its project manager has rights that only upstream's newer policies give",
    r"\.LiveMigrationWithVTPMTest\.": "keeps the secrets of TPMs in a key manager, which is no part of this cloud",
    r"\.test_\w*personality\w*(\.|$)": "files are not injected into guests: user data and the config drive bring them",
    r"\.test_verify_created_server_ephemeral_disk$": "asks the guest for lsblk, which the demo's does not have",
    r"\.ServerShowV263Test\.": "images are not signed here",
    # network
    r"\.ExtraDHCPOptionsIpV6TestJSON\.": "an option of DHCPv4 with an IPv6 address is refused: no server could send it",
    r"\.scenario\.test_network_v6\.": f"router advertisements to guests: {LATER}",
    r"\.(TagsExtTest|test_subnetpools_extensions)\.": f"subnet pools: {LATER}",
    r"\.test_live_migration_with_trunk$": f"trunks of ports: {LATER}",
    r"\.test_auto_allocate_network\.": f"networks that are made for a project by themselves: {LATER}",
    r"\.test_network_qos_placement\.": f"bandwidth that is kept for a port: {LATER}",
}
"""Pattern in a test's name → why it is not run; of tests of volumes see below."""
LEFT_OUT_OF_VOLUMES = {
    r"\.admin\.test_(groups|group_\w+|group_snapshots)\.|[Gg]roup": f"groups of volumes: {LATER}",
    r"[Ee]ncrypt": f"encrypted volumes: {LATER}",
    r"\.test_volume_(manage|snapshot_manage)|[Mm]anage|[Uu]nmanage": f"taking volumes over from a back end: {LATER}",
    r"\.test_volume_retype|[Mm]igrat|[Rr]etype": f"moving volumes between back ends: {LATER}",
    r"[Ss]wap": f"swapping a server's volume: {LATER}",
    r"[Mm]ultiattach": f"volumes of several servers at once: {LATER}",
    r"with_volume_in_use|create_offline_delete_online": f"snapshots while a server has the volume: {LATER}",
    r"test_volume_backup_export_import": "imports a backup that is here under another id: its content has one owner",
    r"test_backup_create_attached_volume|test_volume_backup_incremental": "a backup of a volume in use is one of its "
    "snapshot here",
    r"[Ee]xtend.*[Aa]ttached": f"larger volumes while a server has them: {LATER}",
    r"set_unset_qos_key": "its key iops_bytes is one that no host obeys",
    r"create_snapshot_without_passing_volume_id": "a snapshot of no volume is a bad request here",
    r"assisted_volume_snapshots": f"snapshots that a back end asks compute for: {LATER}",
    r"update_snapshot_status": OWNED,
    r"freeze_host|thaw_host": f"freezing a back end for its replication: {LATER}",
    r"volume_readonly_update": "a volume that is not read-only any more says nothing of it",
    r"without_passing_volume_id|with_empty_volume_id": "a path that ends in a slash is the one without it",
    r"reset_volume_status|force_delete_when_volume_is_|reset_snapshot_status|snapshot_force_delete": OWNED,
    r"[Ss]helve|[Rr]escue|[Rr]ebuild|[Rr]esize|image_from": f"these operations on servers with volumes: {LATER}",
}
"""The same of tests of volumes."""

Place = Literal["simulated", "host", "lab"]


@dataclass(frozen=True)
class Part:
    """Some of the tests, and the cloud they run against."""

    name: str
    pattern: str
    """The words in the ids of its tests; an id is `module.Class.test[id-…,tag,…]`."""
    place: Place
    """Simulated hosts, or real guests: on one host, or on several in a lab. Tempest logs in to real ones."""
    hosts: int
    """Those that carry servers."""
    workers: int
    left_out: Mapping[str, str] = field(default_factory=lambda: LEFT_OUT)


API = r"^tempest\.api\.(identity|image|compute|network)\."
SCENARIO = r"^tempest\.scenario\."
SMOKE = r"\[.*\bsmoke\b.*\]$"
LOGS_IN = (
    r"(\.test_(attach_interfaces|device_tagging|images_oneserver|server_rescue|spice)\.|\.ServerDiagnosticsV248Test\.|"
    r"\.test_(host_name_is_same_as_server_name|verify_created_server_(vcpus|ephemeral_disk)|create_server_with_fqdn_name|"
    r"verify_hostname_allows_fqdn|get_console_output_with_unlimited_size|novnc|novnc_bad_token|create_backup|"
    r"rebuild_server(_in_\w+)?|shelve_unshelve_server|shelve_paused_server)\[)"
)
"""Tests that need a guest, and are not tagged smoke."""
TWO_HOSTS = r"(\btest_server_multinode\.|_migration(_revert)?\[|\.test_(\w+_)?migrate(_\w+)?\[)"
"""Scenarios that need several hosts."""
PARTS = (
    Part("smoke", rf"({API}|{SCENARIO}(?!.*{TWO_HOSTS})).*{SMOKE}", "host", 1, 3),
    Part("guests", rf"{SCENARIO}(?!.*({SMOKE}|{TWO_HOSTS}))|{API}(?!.*{SMOKE}).*{LOGS_IN}", "host", 1, 3),
    Part("api", rf"{API}(?!.*({SMOKE}|{LOGS_IN}))|{SCENARIO}test_server_multinode\.", "simulated", 2, 3),
    Part(
        "volumes",
        r"^tempest\.api\.volume\.|^tempest\.api\.compute\..*[Vv]olume",
        "simulated",
        1,
        2,
        LEFT_OUT_OF_VOLUMES,
    ),
    Part("lab", rf"{API}.*\[.*\bmultinode\b|{SCENARIO}.*{TWO_HOSTS}", "lab", 2, 2),
)
"""The lab runs again what `api` runs on simulated hosts, where guests move or are spread over hosts."""


def missing(required: Collection[str], outcomes: Mapping[str, str]) -> dict[str, str]:
    """Required tests that did not pass, with what became of them, apart from those that LEFT_OUT names.

    `outcomes`: name → `passed`, `failed`, or why it was skipped.
    """
    wanted = (name for name in required if not any(re.search(pattern, name) for pattern in LEFT_OUT))
    became = {name: outcomes.get(name, "is in no part") for name in wanted}
    return {name: what for name, what in sorted(became.items()) if what != "passed"}
