"""A lab host sees the checkout wherever that lies, and of the machine's /tmp nothing else."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.lab import hosts


@pytest.fixture
def below_tmp() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="lab-host-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory)


@pytest.mark.root
def test_a_checkout_below_tmp_is_where_it_was_and_tmp_is_the_hosts_own(
    below_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, programs, other = below_tmp / "checkout", below_tmp / "programs", below_tmp / "other"
    for each in (checkout, programs, other):
        each.mkdir()
        (each / "file").write_text("from outside")
    monkeypatch.setattr(hosts, "ROOT", checkout)
    host = hosts.boot("probe", 1, "10.254.0.1", below_tmp / "hosts/probe", programs)
    try:
        assert host.run(["cat", checkout / "file"]).stdout == "from outside"
        assert host.run(["ls", other], check=False).returncode != 0
        host.run(["touch", "/tmp/its-own"])
        assert not Path("/tmp/its-own").exists()
    finally:
        host.anchor.kill()
