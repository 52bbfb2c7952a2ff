"""`kilonova demo`: a first network, image, flavor, key and server, made through the public APIs, until ssh answers.

Run again it finds everything in place and changes nothing. When something does not come about it says why, with the
server's fault or with the end of its console.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from kilonova.cli import demo_resources as resources
from kilonova.cli.demo_resources import SERVER, DemoError
from kilonova.cli.guest_image.build import default_cache_dir, ensure_guest_image, has_guest_image
from kilonova.cli.guest_image.commands import GuestImageError
from kilonova.cli.progress import Progress, Step
from kilonova.cli.provider import BRIDGE, CANDIDATES, Provider, read_provider
from kilonova.cli.rest import Fields, Session, login_from
from kilonova.cli.state import StateDir, default_path, read_config
from kilonova.cli.typed import typed
from kilonova.kit.http.client import RemoteFault, RemoteUnavailable

ACTIVE_SECONDS = 180.0
SSH_SECONDS = 240.0
POLL_SECONDS = 0.5
CONSOLE_LINES = 20
SSH_OPTIONS = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")
"""A demo guest's host key is new with every server that gets the same address."""


@dataclass(frozen=True, slots=True)
class Result:
    server_id: str
    address: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-wait", action="store_true", help="do not wait until the server answers ssh")


def run(arguments: argparse.Namespace) -> int:
    state = StateDir(arguments.state_dir or default_path())
    config = read_config(state)
    progress = Progress()
    admin, demo = (Session(login_from(config, user)) for user in ("admin", "demo"))
    with admin, demo:
        try:
            provider = _provider_of(state, config)
            result = _make(state, admin, demo, provider, progress)
            if config.compute_driver != "fake" and not arguments.no_wait:
                _wait_for_ssh(demo, result, state, progress)
        except RemoteUnavailable as fault:
            running = "" if state.running_pid() else f" The cloud does not run: start it with `{state.typed('up')}`."
            return _fail(f"{fault}.{running}")
        except (DemoError, RemoteFault, GuestImageError) as error:
            return _fail(str(error))
        print(_summary(state, admin, has_changed=progress.changes > 0))
        print(_login(state, config, result.address))
    return 0


def _fail(sentence: str) -> int:
    print(f"kilonova demo: {sentence}", file=sys.stderr)
    return 1


def _provider_of(state: StateDir, config: Any) -> Provider:
    provider = read_provider(state)
    if provider is not None:
        return provider
    if config.compute_driver == "fake":
        # Nothing is plugged into anything there: any range will do.
        return Provider(BRIDGE, str(CANDIDATES[0]), str(CANDIDATES[0][1]))
    raise DemoError(f"The cloud has no provider bridge: `{state.typed('up')}` makes it when it is run as root.")


def _make(state: StateDir, admin: Session, demo: Session, provider: Provider, progress: Progress) -> Result:
    with progress.step("guest") as step:
        step.doing("looking for the demo guest image; building one takes about 15 s")
        cache = default_cache_dir()
        was_there = has_guest_image(cache)
        file = ensure_guest_image(cache)
        step.told(file.name, has_changed=not was_there, verb="built")
    with progress.step("flavors") as step:
        resources.ensure_flavors(admin, step)
    with progress.step("image") as step:
        image_id = resources.ensure_image(admin, file, step)
    with progress.step("provider") as step:
        external_id = resources.ensure_provider_network(admin, provider, step)
    with progress.step("network") as step:
        demo.log_in()
        network_id = resources.ensure_network(demo, external_id, step)
    with progress.step("key") as step:
        resources.ensure_key_pair(demo, state.demo_key, step)
    with progress.step("rules") as step:
        resources.ensure_rules(demo, step)
    with progress.step("server") as step:
        server_id, has_changed = resources.ensure_server(demo, image_id, network_id)
        _wait_active(demo, server_id, step)
        step.told(f"{SERVER} is ACTIVE,", has_changed=has_changed)
    with progress.step("address") as step:
        address = resources.ensure_floating_ip(demo, server_id, external_id, step)
    return Result(server_id, address)


def _wait_active(demo: Session, server_id: str, step: Step) -> None:
    """Until the hypervisor runs it. Raises DemoError with the fault of a server that came to nothing."""
    deadline = time.monotonic() + ACTIVE_SECONDS
    status, task = "", ""
    while time.monotonic() < deadline:
        server = demo.get("compute", f"/servers/{server_id}")["server"]
        status, task = server["status"], server["OS-EXT-STS:task_state"] or "waiting"
        if status == "ACTIVE":
            return
        if status == "ERROR":
            raise DemoError(_fault_text(server))
        step.doing(f"{SERVER}: {status}, {task}")
        time.sleep(POLL_SECONDS)
    raise DemoError(
        f"{SERVER} was still {status} ({task}) after {ACTIVE_SECONDS:.0f} s; `{typed('status')}` shows more."
    )


def _fault_text(server: Fields) -> str:
    fault = server.get("fault") or {}
    reason = fault.get("message", "no reason was given")
    details = f"\n{fault['details']}" if fault.get("details") else ""
    advice = f"`openstack --os-cloud kilonova-demo server delete {SERVER}` and run the demo again"
    return f"{SERVER} ended in ERROR: {reason}{details}\nWhen the cause is gone: {advice}."


# --- until it answers ------------------------------------------------------------------------------------------------


def _wait_for_ssh(demo: Session, result: Result, state: StateDir, progress: Progress) -> None:
    with progress.step("ssh") as step:
        deadline = time.monotonic() + SSH_SECONDS
        while time.monotonic() < deadline:
            step.doing(f"waiting until {SERVER} has booted and answers on {result.address}")
            if _has_ssh_banner(result.address) and _can_log_in(result.address, state):
                step.text = f"{SERVER} answers on {result.address}"
                return
            time.sleep(POLL_SECONDS)
        raise DemoError(_silence_text(demo, result))


def _has_ssh_banner(address: str) -> bool:
    """Whether an ssh server introduces itself (RFC 4253, section 4.2)."""
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(64).startswith(b"SSH-")
    except OSError:
        return False


def _can_log_in(address: str, state: StateDir) -> bool:
    """Whether the demo key opens the guest; believed where this host has no ssh to try it with."""
    if shutil.which("ssh") is None:
        return True
    options = [*SSH_OPTIONS, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"]
    command = ["ssh", *options, "-i", str(state.demo_key), f"demo@{address}", "true"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _silence_text(demo: Session, result: Result) -> str:
    """Why it may not answer: what the guest printed last, and what the network says of its port."""
    body = {"os-getConsoleOutput": {"length": CONSOLE_LINES}}
    console = demo.call("compute", "POST", f"/servers/{result.server_id}/action", body)["output"]
    ports = demo.get("network", "/v2.0/ports", device_id=result.server_id)["ports"]
    lines = [f"{SERVER} did not answer ssh on {result.address} within {SSH_SECONDS:.0f} s."]
    lines += [f"Its port {port['id']} is {port['status']}." for port in ports]
    lines += [f"The last {CONSOLE_LINES} lines of its console:", console or "(nothing was printed)"]
    return "\n".join(lines)


# --- what to type next -----------------------------------------------------------------------------------------------


def _summary(state: StateDir, session: Session, *, has_changed: bool) -> str:
    env = state.typed("env")
    endpoints = "\n".join(f"  {kind:12} {url}" for kind, url in session.endpoints.items())
    ending = "" if has_changed else "Everything was in place: unchanged.\n\n"
    return f"""
{ending}The cloud runs. Its endpoints:
{endpoints}

Credentials, as administrator or as the demo user:
  eval "$({env})"
  eval "$({env} --user demo)"
  or export OS_CLIENT_CONFIG_FILE={state.clouds_yaml} and say --os-cloud kilonova or --os-cloud kilonova-demo

Next:
  openstack server list
  openstack console log show {SERVER}"""


def _login(state: StateDir, config: Any, address: str) -> str:
    if config.compute_driver == "fake":
        return "\nIts hosts are simulated: servers are ACTIVE, and nothing runs in them that one could log in to."
    return f"  ssh {' '.join(SSH_OPTIONS)} -i {state.demo_key} demo@{address}"
