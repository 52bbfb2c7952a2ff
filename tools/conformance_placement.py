"""Check placement against upstream's own request stories: `python -m tools.conformance_placement [NAME…]`.

The stories come from inside the openstack-placement package, which is installed with gabbi into an environment of its
own under `.work`; nothing of either is part of ours. The service answers on a loopback port. Exit code 0 when nothing
fails but what KNOWN lists, with the reason.
"""

import json
import subprocess
import sys
import venv
from pathlib import Path

from tools.stages import ROOT, VENV

ENVIRONMENT = ROOT / ".work/conformance-placement"
PACKAGES = ["gabbi==4.2.3", "openstack-placement==16.0.0", "oslotest==6.1.1"]
SUITES = ROOT / "tests/conformance/placement/suites.py"

ORDER = "a body that is wrong is refused (400) before one looks who sent it (403) or where it went (404)"
JSON_ONLY = "errors are JSON whatever Accept says"
KNOWN = {
    "cors": "CORS is left to the proxy in front",
    "microversion_root_has_microversion_header": "Vary names the header in another case",
    "microversion_latest_microversion_is": "Vary names the header in another case",
    "microversion_other_accept_header_bad_version": JSON_ONLY,
    "bug-1674694_404_with_other_accept": JSON_ONLY,
    "basic-http_bad_content_length_not_int": "the story's own client refuses to send it",
    "aggregate_put_aggregates_for_bad_resource_provider": ORDER,
    "reshaper_reshaper_requires_admin_not_user": ORDER,
    "reshaper-legacy-rbac_project_member_cannot_reshape": ORDER,
    "reshaper-secure-rbac_project_reader_cannot_reshape": ORDER,
    "reshaper-secure-rbac_project_member_cannot_reshape": ORDER,
    "reshaper-secure-rbac_system_reader_cannot_reshape": ORDER,
    "allocations-mappings_put_allocation_mapping_bad_form": "worded differently",
    "allocations-mappings_put_allocation_mapping_empty": "worded differently",
}
"""Part of a test's name → why it fails."""


def make_environment() -> Path:
    python = ENVIRONMENT / "bin/python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def reason_of(test: str) -> str | None:
    return next((reason for part, reason in KNOWN.items() if part in test), None)


def main() -> int:
    result_path = ENVIRONMENT / "result.json"
    command: list[str | Path] = [make_environment(), SUITES, VENV / "bin/python", result_path, *sys.argv[1:]]
    subprocess.run(command, check=True)
    result = json.loads(result_path.read_text())
    unknown = {test: text for test, text in result["failed"].items() if reason_of(test) is None}
    for test, text in unknown.items():
        print(f"FAILED {test}\n{text.strip()[-1000:]}\n")
    for test in sorted(result["failed"].keys() - unknown.keys()):
        print(f"known  {test}: {reason_of(test)}")
    passed = result["run"] - len(result["failed"])
    print(f"{passed} of {result['run']} passed, {len(result['wording'])} of them worded differently")
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
