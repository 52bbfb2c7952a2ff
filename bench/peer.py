"""Kilonova and upstream's newest release on one machine, one after the other, under one load.

`make peer DIRECTORY=…`: the directory holds `peer-install.sh`, which brings upstream up from the package registry, and
`load.py`, which measures any cloud that speaks these APIs. Both are used as they are. Kilonova runs as separate daemons
on MariaDB and RabbitMQ, with simulated hosts, as upstream does. Needs root.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.many_hosts import CONTROL, controller_on, lift_quotas
from tests.daemons.controller import Controller, wait_for

ROOT = Path(__file__).parents[1]
STATE = ROOT / ".work/peer"
WORKERS = 2
"""Of each API, in both clouds."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--only", default="keystone,nova-boot,nova-read,placement", help="sections of load.py")
    parser.add_argument(
        "--load",
        default="--list-sizes 100 --providers 1000",
        help="further options of load.py, in one word; a thousand servers take upstream half an hour",
    )
    options = parser.parse_args()
    words = ["--only", options.only, *options.load.split()]
    load = [str(_python_with_aiohttp()), str(options.directory / "load.py"), *words]
    theirs = _measure_peer(options.directory / "peer-install.sh", load)
    ours = _measure_kilonova(load)
    _print(ours, theirs)
    return 0


def _python_with_aiohttp() -> Path:
    python = STATE / "load/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", STATE / "load"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "aiohttp"], check=True)
    return python


def _measure_peer(installer: Path, load: Sequence[str]) -> list[dict[str, Any]]:
    environment = {**os.environ, "STATE": str(STATE / "upstream"), "WORKERS": str(WORKERS)}
    began = time.perf_counter()
    subprocess.run(["bash", installer, "up"], env=environment, check=True, stdout=sys.stderr)
    print(f"upstream is up after {time.perf_counter() - began:.0f} s", file=sys.stderr)
    try:
        lines = (STATE / "upstream/openrc").read_text().splitlines()
        named = dict(line.removeprefix("export ").split("=", 1) for line in lines if line.startswith("export OS_"))
        return _figures(load, {name: value.strip("'\"") for name, value in named.items()})
    finally:
        subprocess.run(["bash", installer, "down"], env=environment, check=True, stdout=sys.stderr)


def _measure_kilonova(load: Sequence[str]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="kilonova-peer-") as scratch:
        with controller_on(
            "mariadb", Path(scratch), [each for each in CONTROL if each != "nova-conductor"], WORKERS
        ) as made:
            for name in ("nova-conductor", "nova-compute", "neutron-linuxbridge-agent"):
                made.start(name)
            wait_for(made.hosts, "the compute host is up")
            lift_quotas(made)
            return _figures(load, _credentials(made))


def _credentials(controller: Controller) -> dict[str, str]:
    return {
        "OS_AUTH_URL": controller.url("identity") + "/v3",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": "ADMIN_PASS",
        "OS_PROJECT_NAME": "admin",
    }


def _figures(load: Sequence[str], credentials: Mapping[str, str]) -> list[dict[str, Any]]:
    done = subprocess.run(
        load, env={"PATH": os.environ["PATH"], **credentials}, stdout=subprocess.PIPE, check=True, text=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _print(ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> None:
    """A figure a line: name and conditions that tell it from others, both values, their ratio."""
    others = {_key(each): each for each in theirs}
    print(f"{'figure':58} {'kilonova':>12} {'upstream':>12} {'ratio':>7}")
    for each in ours:
        other = others.get(_key(each), {})
        mine, value = each.get("value"), other.get("value")
        ratio = (
            f"{mine / value:.2f}" if isinstance(mine, int | float) and isinstance(value, int | float) and value else ""
        )
        name = f"{_key(each)} [{each.get('unit', '')}]"
        print(f"{name:58} {_shown(each):>12} {_shown(other):>12} {ratio:>7}")


def _key(figure: Mapping[str, Any]) -> str:
    conditions = figure.get("conditions", {})
    names = ("concurrency", "servers", "providers", "limit")
    return " ".join([figure["name"], *(f"{name}={conditions[name]}" for name in names if name in conditions)])


def _shown(figure: Mapping[str, Any]) -> str:
    if "error" in figure.get("conditions", {}):
        return "error"
    return str(figure.get("value", "-"))


if __name__ == "__main__":
    sys.exit(main())
