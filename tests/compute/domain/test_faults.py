"""What a server's owner reads of a failure, and what only administrators do."""

from datetime import UTC, datetime

import pytest

from kilonova.compute.servers import servers

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("nova-compute on host node1 does not answer", "nova-compute on the host does not answer"),
        (
            "The file system of /var/lib/nova/instances/_base is full; image 5f5a cannot be kept there.",
            "The file system of a file of the host is full; image 5f5a cannot be kept there.",
        ),
        ("qemu-img: Could not open '/srv/x/disk.part': No", "qemu-img: Could not open 'a file of the host': No"),
        ("3 hosts failed. The last said: node1 is full", "3 hosts failed. The last said: the host is full"),
        ("Wanted 10/20, see http://cloud/v2 and/or ask", "Wanted 10/20, see http://cloud/v2 and/or ask"),
        ("node11 is another one", "node11 is another one"),
    ],
)
def test_an_owner_reads_no_path_and_no_host(said: str, shown: str) -> None:
    fault = servers.fault(said, NOW, hosts=("node1", ""))
    assert fault["message"] == shown
    assert fault["details"] == ("" if said == shown else said)


def test_details_follow_what_was_left_out() -> None:
    fault = servers.fault("node1 is full", NOW, details="account", hosts=("node1",))
    assert fault["details"] == "node1 is full\naccount"


def test_a_fault_without_a_reason_is_a_defect() -> None:
    with pytest.raises(ValueError, match="reason"):
        servers.fault("", NOW)
