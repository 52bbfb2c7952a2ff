"""The state directory: where one cloud keeps everything it owns.

kilonova.conf      configuration with the generated passwords    databases/   one SQLite file a service
clouds.yaml        for --os-cloud                                fernet-keys/ token keys (identity alone)
kilonova.pid       the running process                           images/      image data
provider.json      the bridge to the outside                     instances/   servers' disks, _base
log/               what a detached cloud prints                  demo/        the demo's private key
"""

import contextlib
import fcntl
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kilonova.cli.typed import typed

DEFAULT_AS_ROOT = Path("/var/lib/kilonova")
PASSWORD_USERS = ("admin", "demo", "nova", "glance", "placement", "neutron", "cinder")


class StateError(Exception):
    """The state directory cannot be used: the message says why and what to do."""


def default_path() -> Path:
    if os.geteuid() == 0:
        return DEFAULT_AS_ROOT
    home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(home) / "kilonova"


class StateDir:
    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def config_file(self) -> Path:
        return self.path / "kilonova.conf"

    @property
    def clouds_yaml(self) -> Path:
        return self.path / "clouds.yaml"

    @property
    def pid_file(self) -> Path:
        return self.path / "kilonova.pid"

    @property
    def provider_file(self) -> Path:
        return self.path / "provider.json"

    @property
    def log_file(self) -> Path:
        return self.path / "log/kilonova.log"

    @property
    def demo_key(self) -> Path:
        return self.path / "demo/demo.pem"

    @property
    def instances(self) -> Path:
        return self.path / "instances"

    def typed(self, command: str) -> str:
        """A command on this cloud, for a person to type."""
        return typed(command, None if self.path == default_path() else self.path)

    def database_url(self, service: str) -> str:
        return f"sqlite:///{self.path}/databases/{service}.db"

    @property
    def exists(self) -> bool:
        return self.config_file.exists()

    def ensure(self, *, host: str | None, address: str, driver: str, fake_hosts: int) -> None:
        """Makes the directory and its configuration on the first call; later ones keep what is there, and add the
        passwords of users that it does not name."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o711)
        if self.config_file.exists():
            self._add_passwords()
            return
        lines = [
            "[DEFAULT]",
            f"host = {host or socket.gethostname()}",
            f"my_ip = {address}",
            f"compute_driver = {driver}",
            f"fake_hosts = {fake_hosts}",
            "",
            "[passwords]",
            *map(_new_password, PASSWORD_USERS),
            "",
            "[neutron]",
            f"metadata_proxy_shared_secret = {secrets.token_urlsafe(24)}",
            "",
        ]
        write_private(self.config_file, "\n".join(lines))

    def _add_passwords(self) -> None:
        """Writes a password for each user that has none: a file of an older release names fewer users. Whoever has
        another password by now gets this one when the cloud comes up."""
        from kilonova.cli.daemons.files import entries_of

        named = {entry.name for entry in entries_of(self.config_file) if entry.group == "passwords"}
        lines = [_new_password(user) for user in PASSWORD_USERS if user not in named]
        if not lines:
            return
        text = self.config_file.read_text()
        section = re.search(r"(?m)^\[passwords\].*\n", text)
        if section is None:
            text = f"{text.rstrip()}\n\n[passwords]\n" + "\n".join(lines) + "\n"
        else:
            text = text[: section.end()] + "\n".join(lines) + "\n" + text[section.end() :]
        write_private(self.config_file, text)

    def write_clouds_yaml(self, *, auth_url: str, region: str, passwords: dict[str, str]) -> None:
        """`clouds.yaml` for `--os-cloud kilonova` (administrator) and `kilonova-demo`."""
        text = "clouds:\n"
        for cloud, user, project in (("kilonova", "admin", "admin"), ("kilonova-demo", "demo", "demo")):
            text += (
                f"  {cloud}:\n    region_name: {region}\n    identity_api_version: 3\n    auth:\n"
                f"      auth_url: {auth_url}\n      username: {user}\n      password: {passwords[user]}\n"
                f"      project_name: {project}\n      user_domain_name: Default\n      project_domain_name: Default\n"
            )
        write_private(self.clouds_yaml, text)

    def running_pid(self) -> int | None:
        """The process that holds this directory, if one does."""
        try:
            record = json.loads(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        pid, started = record.get("pid"), record.get("started")
        return pid if isinstance(pid, int) and process_start(pid) == started else None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the directory for one cloud process. Raises StateError when another one has it."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StateError(
                    f"{self.path} is in use by another kilonova process; `{self.typed('down')}` stops it"
                ) from error
            record = {"pid": os.getpid(), "started": process_start(os.getpid())}
            write_private(self.pid_file, json.dumps(record))
            yield
            self.pid_file.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _new_password(user: str) -> str:
    """Returns the line of kilonova.conf with a user's password."""
    return f"{user} = {secrets.token_urlsafe(18)}"


def process_start(pid: int) -> str | None:
    """When a process was started, in clock ticks since boot: with the pid it names one process for good (proc(5))."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def write_private(path: Path, text: str) -> None:
    """Writes a file its owner alone can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def read_config(state: StateDir) -> Any:
    """The configuration of a directory that has one. Raises StateError."""
    if not state.exists:
        raise StateError(f"{state.path} holds no cloud; `{state.typed('up')}` makes one")
    from kilonova.cli.settings import read_up

    return read_up(state.config_file)
