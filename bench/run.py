"""`make bench`: brings clouds up, measures them, prints one table.

A simulated cloud, real guests (root), the scheduler's decision, the transports, a cloud of separate daemons on MariaDB
and RabbitMQ with simulated hosts, how the cost of one more server grows, what moves between the hosts of a lab, and
empty volumes by driver. As root all of it runs in namespaces of its own. The machine's other work is in the figures:
compare within one run, or with an earlier revision's in turn.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import decisions, growth, load, many_hosts, moves, transports, volumes
from bench.load import Figure, Target

ROOT = Path(__file__).parents[1]
KILONOVA = [sys.executable, "-m", "kilonova.cli.main"]
INSIDE = "KILONOVA_BENCH_INSIDE"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of each closed loop")
    parser.add_argument("--image-mib", type=int, default=512)
    parts = ["fake", "real", "decisions", "transports", "hosts", "growth", "moves", "volumes"]
    parser.add_argument("--only", choices=parts)
    parser.add_argument("--hosts", type=int, nargs="*", default=[100, 1000], help="simulated hosts of the daemons")
    parser.add_argument("--servers", type=int, default=750, help="servers booted to see what one more costs")
    parser.add_argument("--step", type=int, default=250, help="of them, between two figures")
    parser.add_argument("--where", choices=["one", "daemons"], help="only there, of what one more server costs")
    options = parser.parse_args()
    if os.geteuid() == 0 and INSIDE not in os.environ:
        return _again_in_namespaces()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="kilonova-bench-") as scratch:
        place = Path(scratch)
        if options.only in (None, "fake"):
            figures += _measure_fake(place / "fake", options)
        if options.only in (None, "real") and os.geteuid() == 0:
            figures += _measure_real(place / "real")
        if options.only in (None, "decisions"):
            figures += decisions.measure(place / "decisions")
        if options.only in (None, "transports"):
            figures += transports.measure(place / "transports", options.seconds)
        if options.only in (None, "hosts"):
            figures += many_hosts.measure(place, tuple(options.hosts))
        if options.only in (None, "growth"):
            figures += _measure_growth(place, options)
        if options.only in (None, "moves") and os.geteuid() == 0:
            figures += moves.measure(place)
        if options.only in (None, "volumes"):
            figures += volumes.measure(place / "volumes")
    _print(figures)
    return 0


def _again_in_namespaces() -> int:
    script = 'mount -t proc proc /proc && mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'
    namespaces = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    command = [*namespaces, "sh", "-c", script, "sh", sys.executable, "-m", "bench.run", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, INSIDE: "1"}).returncode


@contextmanager
def _cloud(state: Path, *options: str) -> Iterator[tuple[Target, float]]:
    """A running cloud, and how long it took to its first authenticated answer."""
    began = time.perf_counter()
    subprocess.run([*KILONOVA, "up", "--detach", "--state-dir", str(state), *options], check=True, cwd=ROOT)
    target = _target(state)
    asyncio.run(target.log_in())
    took = time.perf_counter() - began
    try:
        yield target, took
    finally:
        down = [*KILONOVA, "down", "--state-dir", str(state), *([] if options else ["--all"])]
        subprocess.run(down, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def _target(state: Path) -> Target:
    lines = (state / "clouds.yaml").read_text().splitlines()
    values = dict(line.strip().split(": ", 1) for line in reversed(lines) if ": " in line)
    pid = json.loads((state / "kilonova.pid").read_text())["pid"]
    return Target(values["auth_url"], values["username"], values["password"], values["project_name"], pid)


def _measure_fake(state: Path, options: argparse.Namespace) -> list[Figure]:
    with _cloud(state, "--fake", "20") as (target, started):
        figures = [
            Figure(
                "start to first authenticated answer", f"{started:.2f} s", "from `kilonova up` on an empty directory"
            ),
            Figure("memory, simulated cloud", f"{load.pss_mib([target.pid]):.0f} MiB", "PSS, 20 hosts, idle"),
        ]
        return figures + asyncio.run(_load(target, options))


def _measure_growth(place: Path, options: argparse.Namespace) -> list[Figure]:
    figures = []
    if options.where != "daemons":
        with _cloud(place / "growth", "--fake", str(growth.HOSTS)) as (target, _started):
            spent = growth.cpu_seconds_of(lambda: [target.pid])
            figures += growth.measure(target, spent, options.servers, options.step, "one process, SQLite")
    if options.where != "one":
        figures += many_hosts.measure_growth(place, options.servers, options.step)
    return figures


async def _load(target: Target, options: argparse.Namespace) -> list[Figure]:
    figures = await load.tokens(target, options.seconds)
    recipe = await load.make_recipe(target)
    figures += await load.boot(target, recipe)
    figures += await load.lists(target, recipe)
    figures.append(Figure("memory with 1000 servers", f"{load.pss_mib([target.pid]):.0f} MiB", "PSS"))
    figures += await load.images(target, options.image_mib)
    figures += await load.candidates(target)
    return figures


def _measure_real(state: Path) -> list[Figure]:
    with _cloud(state) as (target, started):
        figures = [Figure("start, with real agents", f"{started:.2f} s", "to the first authenticated answer")]
        subprocess.run([*KILONOVA, "demo", "--state-dir", str(state)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        everyone = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
        others = ("qemu-system-x86", "sh", "")
        control = [pid for pid in everyone if pid != os.getpid() and _command(pid) not in others]
        figures.append(
            Figure(
                "memory, control plane and agents",
                f"{load.pss_mib(control):.0f} MiB",
                f"PSS of {len(control)} processes, libvirtd and dnsmasq among them, one guest running",
            )
        )
        figures += _boot_real(state, target)
    return figures


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return ""


def _boot_real(state: Path, target: Target) -> list[Figure]:
    """A second server of the demo's kind: create → ACTIVE, and → ssh through a floating IP."""
    from kilonova.cli.rest import Session, login_from
    from kilonova.cli.state import StateDir, read_config

    directory = StateDir(state)
    with Session(login_from(read_config(directory), "demo")) as session:
        network = session.get("network", "/v2.0/networks", name="demo-net")["networks"][0]["id"]
        outside = session.get("network", "/v2.0/networks", name="provider")["networks"][0]["id"]
        flavors = session.get("compute", "/flavors")["flavors"]
        server = {
            "name": "bench",
            "imageRef": session.get("image", "/v2/images", name="demo-guest")["images"][0]["id"],
            "flavorRef": next(each["id"] for each in flavors if each["name"] == "m1.nano"),
            "networks": [{"uuid": network}],
            "key_name": "demo-key",
        }
        began = time.perf_counter()
        server_id = session.call("compute", "POST", "/servers", {"server": server})["server"]["id"]
        while session.get("compute", f"/servers/{server_id}")["server"]["status"] != "ACTIVE":
            time.sleep(0.02)
        active = time.perf_counter() - began
        port = session.get("network", "/v2.0/ports", device_id=server_id)["ports"][0]["id"]
        floating = {"floatingip": {"floating_network_id": outside, "port_id": port}}
        made = session.call("network", "POST", "/v2.0/floatingips", floating)["floatingip"]
        _wait_ssh(directory.demo_key, made["floating_ip_address"])
        ssh = time.perf_counter() - began
    return [
        Figure("real server, create to ACTIVE", f"{active:.2f} s", "image cached, polled every 20 ms; emulated CPU"),
        Figure("real server, create to ssh", f"{ssh:.1f} s", "a command run over ssh through a floating IP"),
    ]


def _wait_ssh(key: Path, address: str, limit_seconds: float = 120) -> None:
    options = (
        "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=1".split()
    )
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        command = [shutil.which("ssh") or "ssh", *options, "-i", str(key), f"demo@{address}", "true"]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{address} did not answer ssh within {limit_seconds:g} s")


def _print(figures: list[Figure]) -> None:
    name = max(len(each.name) for each in figures)
    value = max(len(each.value) for each in figures)
    for each in figures:
        print(f"{each.name:{name}}  {each.value:>{value}}  {each.how}")


if __name__ == "__main__":
    sys.exit(main())
