"""`kilonova up`: starts the cloud of a state directory, in the foreground or detached."""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kilonova.cli.state import StateDir, StateError, default_path, read_config
from kilonova.cli.typed import typed

START_SECONDS = 60.0
READY_VARIABLE = "KILONOVA_READY_FD"
"""The detached child writes a line to this descriptor when every API answers."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--detach", action="store_true", help="return once the cloud answers, and leave it running")
    parser.add_argument(
        "--host", metavar="ADDRESS", default=None, help="address the APIs listen on (default: 127.0.0.1)"
    )
    parser.add_argument("--name", metavar="NAME", default=None, help="name of this host (default: its host name)")
    parser.add_argument(
        "--fake",
        metavar="N",
        type=int,
        nargs="?",
        const=1,
        help="N simulated compute hosts and networks; needs no root",
    )


def run(arguments: argparse.Namespace) -> int:
    state = StateDir(arguments.state_dir or default_path())
    if arguments.fake is None and os.geteuid() != 0:
        raise StateError(
            "needs root to make network namespaces and bridges and to start virtual machines "
            f"(`{typed('up')} --fake` simulates both and needs none)"
        )
    running = state.running_pid()
    if running is not None:
        print(f"already up: process {running}, state in {state.path}")
        return 0
    state.ensure(
        host=arguments.name,
        address=arguments.host or "127.0.0.1",
        driver="libvirt" if arguments.fake is None else "fake",
        fake_hosts=arguments.fake or 1,
    )
    config = read_config(state)
    if arguments.host not in (None, config.my_ip):
        raise StateError(
            f"{state.config_file} says my_ip = {config.my_ip}; change it there to listen on {arguments.host}"
        )
    return _detach(state) if arguments.detach else _serve(state, config)


def _detach(state: StateDir) -> int:
    """Starts a process of its own session and waits until it says that it is ready."""
    began = time.monotonic()
    state.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    read_end, write_end = os.pipe()
    # -P: modules come from where Kilonova is installed, never from the directory it happens to be started in.
    command = [sys.executable, "-P", "-m", "kilonova.cli.main", "up", "--state-dir", str(state.path)]
    if _is_fake(state):
        command.append("--fake")
    descriptor = os.open(state.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[write_end],
            env={**os.environ, READY_VARIABLE: str(write_end)},
        )
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.readline()
    if answer == b"ready\n":
        print(f"kilonova is up in {time.monotonic() - began:.1f} s: process {child.pid}, state in {state.path}")
        return 0
    child.wait()
    print(f"kilonova did not come up; the end of {state.log_file}:", file=sys.stderr)
    print("\n".join(state.log_file.read_text().splitlines()[-8:]), file=sys.stderr)
    return 1


def _is_fake(state: StateDir) -> bool:
    return bool(read_config(state).compute_driver == "fake")


def _serve(state: StateDir, config: Any) -> int:
    from kilonova.kit import log
    from kilonova.kit.http.server import raise_descriptor_limit

    log.configure("DEBUG" if config.debug else config.log_level)
    raise_descriptor_limit()
    with state.held():
        try:
            asyncio.run(_run_cloud(state, config))
        except Exception as error:
            sentence = _start_error(error)
            if sentence is None:
                raise
            print(f"kilonova up: {sentence}", file=sys.stderr)
            return 1
    return 0


def _start_error(error: BaseException) -> str | None:
    """The sentence for a start that could not be; None for a defect, whose traceback is wanted."""
    from kilonova.cli.serving import PortTaken
    from kilonova.kit.config import ConfigError

    return str(error) if isinstance(error, ConfigError | PortTaken | StateError) else None


async def _run_cloud(state: StateDir, config: Any) -> None:
    from kilonova.cli import cloud as clouds
    from kilonova.cli.serving import listen
    from kilonova.cli.settings import idle
    from kilonova.kit import log, tracing

    tracing.configure("kilonova")
    for option, reason in idle(state.config_file):
        log.logger(__name__).warning("an option has no effect", option=option, reason=reason)
    cloud = clouds.Cloud(state, config)
    sockets = cloud.bind()
    await cloud.build(await _provider_mappings(state, config))
    if config.metrics.port:
        from kilonova.kit.metrics import make_metrics_app

        sockets["metrics"] = listen("metrics", config.metrics.listen, config.metrics.port)
        cloud.apps["metrics"] = make_metrics_app()
    auth_url = clouds.endpoint_url(config.my_ip, "identity") + "/v3"
    passwords = {"admin": config.passwords.admin, "demo": config.passwords.demo}
    state.write_clouds_yaml(auth_url=auth_url, region=config.region_name, passwords=passwords)
    running = asyncio.create_task(cloud.run(sockets, _say_ready))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        # Told to stop: guests and networks go on without this process.
        pass
    finally:
        await cloud.close()
        tracing.stop()


async def _provider_mappings(state: StateDir, config: Any) -> dict[str, str]:
    """The bridge that leads outside, made when it is not there yet."""
    if config.compute_driver == "fake":
        return {}
    from kilonova.cli.provider import ensure_provider_bridge

    provider = await ensure_provider_bridge(state)
    return {"provider": provider.bridge}


def _say_ready() -> None:
    descriptor = os.environ.pop(READY_VARIABLE, None)
    if descriptor is not None:
        with os.fdopen(int(descriptor), "wb") as pipe:
            pipe.write(b"ready\n")
    else:
        print(f"kilonova is up; stop it with Ctrl-C or `{typed('down')}`", flush=True)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls a condition; whether it came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def state_of(arguments: argparse.Namespace) -> StateDir:
    path: Path | None = arguments.state_dir
    return StateDir(path or default_path())
