"""`make clients`: the clients people have, each in an environment of its own, against a simulated cloud.

What they ask is written down: `--record` keeps it as the corpus that `make test` replays
(`tests/clients/corpus.jsonl`), so that what one of them needs is not lost again. `--only NAME` runs one.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kilonova.cli.state import read_config
from tests.e2e.cloud import CloudUnderTest, demo_cache_dir
from tests.e2e.host import OwnHost
from tools import stock_clients
from tools.clients.environments import CLIENTS, OLD, Client
from tools.stages import ROOT, WORK, StageError, fail, is_root, run_logged

ENVIRONMENTS = WORK / "client-environments"
SCRIPTS = Path(__file__).with_name("scripts")
CORPUS = ROOT / "tests/clients/corpus.jsonl"
START_SECONDS = 30
CLIENT_SECONDS = 900
RALLYS_NAMES = re.compile(r"[cs]_rally_\w+")
NUMBERS = re.compile(r"\d+")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOmZ7eQwWzYkvBPcKfIfpnx0mzGHvPZqWDXDGCdQKsUZ clients"


def install(client: Client) -> Path:
    """The environment of a client, made when it is not there as it is meant to be. Raises StageError."""
    directory = ENVIRONMENTS / client.name
    stamp = directory / "packages"
    wanted = "\n".join((*client.packages, *client.debian, *client.unpacked))
    if not stamp.exists() or stamp.read_text() != wanted:
        uv = ROOT / ".venv/bin/uv"
        run_logged([uv, "venv", "--quiet", "--clear", "--python", sys.executable, directory])
        if client.packages:
            run_logged([uv, "pip", "install", "--quiet", "--python", directory / "bin/python", *client.packages])
        if client.debian:
            run_logged(["apt-get", "install", "--yes", "--no-install-recommends", *client.debian])
        for package in client.unpacked:
            run_logged(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], cwd=directory)
            (archive,) = directory.glob(f"{package}_*.deb")
            run_logged(["dpkg-deb", "--extract", archive, directory])
        stamp.write_text(wanted)
    if OLD[0] in client.packages:
        (place,) = directory.glob("lib/python3*/site-packages")
        shutil.copy(Path(__file__).with_name("old_python.py"), place / "sitecustomize.py")
    return directory


@contextmanager
def recorded_cloud(directory: Path) -> Iterator[tuple[OwnHost, CloudUnderTest]]:
    """A simulated cloud of two hosts with the demo's things in it; it writes `requests.jsonl` into the directory."""
    host = OwnHost("clients", directory, {"KILONOVA_CACHE_DIR": demo_cache_dir()})
    host.start()
    cloud = CloudUnderTest(host, stock_clients.OPENSTACK)
    (directory / "label").write_text("demo")
    command = [
        sys.executable,
        "-m",
        "tools.clients.recorded",
        "up",
        "--state-dir",
        str(cloud.state.path),
        "--fake",
        "2",
    ]
    environment = {"PYTHONPATH": str(ROOT), "KILONOVA_RECORD": str(directory / "requests.jsonl")}
    log = directory / "cloud.log"
    words = " ".join(f"'{word}'" for word in command)
    try:
        host.run("sh", "-c", f"setsid {words} > '{log}' 2>&1 < /dev/null &", env=environment)
        deadline = time.monotonic() + START_SECONDS
        while "kilonova is up" not in log.read_text():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the cloud did not come up: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        cloud.kilonova("demo", timeout_seconds=120)
        yield host, cloud
    finally:
        cloud.close()
        host.power_off()


def credentials(cloud: CloudUnderTest, user: str) -> dict[str, str]:
    config = read_config(cloud.state)
    url = f"http://{config.my_ip}:5000/v3"
    names = {
        "OS_USERNAME": user,
        "OS_PASSWORD": config.passwords[user],
        "OS_PROJECT_NAME": user,
        "OS_TENANT_NAME": user,
    }
    domains = {"OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default", "OS_USER_DOMAIN_ID": "default"}
    rest = {"OS_PROJECT_DOMAIN_ID": "default", "OS_AUTH_URL": url, "OS_IDENTITY_API_VERSION": "3"}
    return {**names, **domains, **rest, "OS_REGION_NAME": config.region_name}


def run(client: Client, host: OwnHost, cloud: CloudUnderTest, directory: Path) -> tuple[bool, str]:
    """Whether the client's script came to its end, and what it wrote."""
    environment = install(client)
    (directory / "label").write_text(client.name)
    place = directory / client.name
    place.mkdir()
    (place / "key.pub").write_text(KEY + "\n")
    networks = cloud.api("admin").get("network", "/v2.0/networks", name="demo-net")["networks"]
    (place / "net_id").write_text(networks[0]["id"])
    script = SCRIPTS / client.script
    python = "/usr/bin/python3" if client.debian else str(environment / "bin/python")
    program = {".sh": "bash", ".py": python, ".rb": "ruby"}[script.suffix]
    variables = {
        **credentials(cloud, "admin"),
        "DEMO_PASSWORD": read_config(cloud.state).passwords["demo"],
        "ENVIRONMENT": str(environment),
        "PATH": f"{environment / 'bin'}:{os.environ['PATH']}",
        "HOME": str(place),
        "PYTHONWARNINGS": "ignore",
        "LC_ALL": "C.UTF-8",
    }
    command = f"cd '{place}' && exec '{program}' '{script}'"
    try:
        done = host.attempt("bash", "-c", command, timeout_seconds=CLIENT_SECONDS, env=variables)
    except subprocess.TimeoutExpired as error:
        return False, f"{error}"
    return done.status == 0, f"{done.out}\n{done.err}"


def shape_of(asked: dict[str, Any]) -> str:
    """What is the same in two requests that differ only in names, numbers and times, whichever client sent them."""
    text = json.dumps([asked[part] for part in ("method", "service", "path", "query", "body")], sort_keys=True)
    text = RALLYS_NAMES.sub("{name}", text)
    for name in (asked["client"], asked["client"].replace(".", "-")):
        text = text.replace(name, "{name}")
    return NUMBERS.sub("0", text) + json.dumps(asked["headers"], sort_keys=True)


def keep(requests: Path) -> int:
    """Adds each request that succeeded, and has a shape of its own, to the corpus; returns the number of all in it."""
    lines: dict[str, str] = {}
    for line in [*(CORPUS.read_text().splitlines() if CORPUS.exists() else ()), *requests.read_text().splitlines()]:
        asked = json.loads(line)
        if asked["client"] != "demo" and asked["status"] < 400:
            lines.setdefault(shape_of(asked), json.dumps(asked, sort_keys=True))
    CORPUS.parent.mkdir(exist_ok=True)
    CORPUS.write_text("".join(f"{each}\n" for each in sorted(lines.values())))
    return len(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[each.name for each in CLIENTS])
    parser.add_argument("--record", action="store_true", help=f"add what they ask to {CORPUS.relative_to(ROOT)}")
    arguments = parser.parse_args()
    if not is_root():
        return fail(StageError("make clients needs root: the cloud is on a host of its own, out of namespaces"))
    directory = WORK / "clients-run"
    subprocess.run(["rm", "-rf", str(directory)], check=True)
    directory.mkdir(parents=True)
    failed = []
    with recorded_cloud(directory) as (host, cloud):
        for client in CLIENTS:
            if arguments.only and client.name not in arguments.only:
                continue
            began = time.monotonic()
            is_good, told = run(client, host, cloud, directory)
            (directory / f"{client.name}.log").write_text(told)
            print(f"{client.name:24} {'ok' if is_good else 'FAILED':8} {time.monotonic() - began:6.1f} s", flush=True)
            if not is_good:
                failed.append(client.name)
                print("    " + "\n    ".join(told.strip().splitlines()[-8:]))
    if arguments.record:
        print(f"{keep(directory / 'requests.jsonl')} different requests in the corpus")
    print(f"{len(failed)} failed{': ' + ', '.join(failed) if failed else ''}; logs in {directory.relative_to(ROOT)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
