"""A real process whose connections strangers take: the APIs live, the log stays short, and health tells."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cloud import CloudUnderTest, demo_cache_dir
from tests.e2e.host import OwnHost
from tools.stages import ROOT

pytestmark = pytest.mark.root

DESCRIPTORS = 400
FLOOD = """
import http.client, json, resource, socket, sys, time

resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
ADDRESS = ("127.0.0.1", 5000)

def healthy(port=5000):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/healthcheck")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status == 200

def connect(source):
    one = socket.socket()
    one.settimeout(5)
    one.bind((source, 0))
    try:
        one.connect(ADDRESS)
    except OSError:
        return None
    return one

found = {"at first": healthy()}
# From many addresses, so that no one's share ends it: more than the process has descriptors.
silent = [connect(f"127.0.1.{number % 200 + 1}") for number in range(1100)]
found["with silent ones"] = [healthy(port) for port in (5000, 8774, 9292, 9696, 8778)]
for one in silent:
    if one is not None:
        one.close()
slow = [connect(f"127.0.2.{number % 200 + 1}") for number in range(600)]
for one in slow:
    try:
        one and one.sendall(b"GET / HTTP/1.1\\r\\nX-Slow: ")
    except OSError:
        pass
began = time.monotonic()
while time.monotonic() - began < 60:
    try:
        if healthy():
            break
    except OSError:
        time.sleep(0.5)
found["seconds until slow ones were given up"] = time.monotonic() - began
endless = connect("127.0.0.1")
sent = 0
try:
    endless.sendall(b"GET / HTTP/1.1\\r\\n")
    while sent < 64 << 20:
        endless.sendall(b"X-Endless: " + b"x" * 65536)
        sent += 65536
except OSError:
    pass
found["bytes of endless headers taken"] = sent
found["at the end"] = healthy()
print(json.dumps(found))
"""


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudUnderTest]:
    host = OwnHost("busy-host", tmp_path, {"KILONOVA_CACHE_DIR": demo_cache_dir()})
    host.start()
    cloud = CloudUnderTest(host, Path("openstack"))
    limited = ("prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}", "--", sys.executable, "-m", "kilonova.cli.main")
    words = ("up", "--state-dir", str(cloud.state.path), "--detach", "--fake", "1")
    try:
        done = host.attempt(*limited, *words, timeout_seconds=60, env={"PYTHONPATH": str(ROOT)})
        assert done.status == 0, str(done)
        yield cloud
    finally:
        cloud.close()
        host.power_off()


def test_connections_that_say_nothing_stop_nobody(cloud: CloudUnderTest) -> None:
    before = cloud.state.log_file.stat().st_size
    done = cloud.host.attempt(sys.executable, "-c", FLOOD, timeout_seconds=180)
    assert done.status == 0, f"{done}\n{cloud.log_end()}"
    found = json.loads(done.out)
    assert found["at first"]
    assert found["with silent ones"] == [True] * 5
    assert found["seconds until slow ones were given up"] < 45
    assert found["bytes of endless headers taken"] < 4 << 20
    assert found["at the end"]
    written = cloud.state.log_file.stat().st_size - before
    assert written < 64_000, cloud.log_end()
    status = cloud.host.run("cat", f"/proc/{cloud.pid()}/status")
    held_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert held_kib < 400 << 10
