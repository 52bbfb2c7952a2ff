"""The tests that are run, in which part, and those that are not, with the reason; pure."""

from dataclasses import dataclass

LATER = "is not among what is served so far"
LEFT_OUT = {
    # identity
    r"\.test_(oauth_consumers|endpoint_groups|policies|domain_configuration)\.": f"this part of identity {LATER}",
    r"\.(Application|EC2)?Credentials\w*Test": f"credentials of other kinds: {LATER}",
    r"\.ImageQuotaTest\.": f"limits kept by identity: {LATER}",
    r"\.test_inherits\.": f"roles inherited by what lies in a domain or project: {LATER}",
    r"\.test_create_is_domain_project$": "a domain is made at /v3/domains, never as a project",
    # image
    r"\.test_images_metadefs_": f"metadata definitions: {LATER}",
    r"\.test_nova_image_snapshot_dependency$": f"snapshots of servers: {LATER}",
    # compute
    r"\.test_update_host_\w+$": "a host is disabled as a service, and put into maintenance by nobody",
    r"\.test_instance_usage_audit_log\w*\.": f"this old part of compute {LATER}",
    r"\.test_migrations\.": f"migrations: {LATER}",
    r"\.test_\w*rebuild\w*$": f"rebuilding a server: {LATER}",
    r"\.test_(inject_network_info|migrate_non_existent_server|restore_\w+)$": f"this action on servers: {LATER}",
    r"\.UnshelveToHostMultiNodesTest\.": f"shelving a server: {LATER}",
    r"\.QuotasAdmin\w*\.test_get_updated_quotas$": "quotas of single users are refused with 400, in words",
    # network
    r"\.ExtraDHCPOptionsIpV6TestJSON\.": "an option of DHCPv4 with an IPv6 address is refused: no server could send it",
    r"\.scenario\.test_network_v6\.": f"router advertisements to guests: {LATER}",
    r"\.TagsExtTest\.": f"subnet pools: {LATER}",
}
"""Pattern in a test's name → why it is not run."""


@dataclass(frozen=True)
class Part:
    """Some of the tests, and the cloud they run against."""

    name: str
    pattern: str
    """What the ids of its tests have; an id is `module.Class.test[id-…,tag,…]`."""
    fake_hosts: int
    """Simulated compute hosts; none: real guests, and Tempest logs in to them."""
    workers: int


API = r"^tempest\.api\.(identity|image|compute|network)\."
SCENARIO = r"^tempest\.scenario\.(?!test_server_multinode\.)"
SMOKE = r"\[.*\bsmoke\b.*\]$"
LOGS_IN = (
    r"(\.test_(attach_interfaces|device_tagging)\.|\.ServerDiagnosticsV248Test\.|\.test_(host_name_is_same_as_server_name|"
    r"verify_created_server_vcpus|create_server_with_fqdn_name|verify_hostname_allows_fqdn|"
    r"get_console_output_with_unlimited_size|novnc|novnc_bad_token)\[)"
)
"""What needs a guest, and is not tagged smoke."""
TWO_HOSTS = r"^tempest\.scenario\.test_server_multinode\."
PARTS = (
    Part("smoke", rf"({API}|{SCENARIO}).*{SMOKE}", 0, 3),
    Part("guests", rf"{SCENARIO}(?!.*{SMOKE})|{API}(?!.*{SMOKE}).*{LOGS_IN}", 0, 3),
    Part("api", rf"{API}(?!.*({SMOKE}|{LOGS_IN}))|{TWO_HOSTS}", 2, 3),
)
