"""A lab: hosts, their wires and the file that remembers them. `Lab.up(hosts=3)` builds, `Lab.open()` finds it again.

The rule: what `down` removes is what `up` recorded, by process id and start time; then it looks whether any process,
mount or file of the lab is left.
"""

import json
import os
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.lab import storage
from tools.lab.hosts import Anchor, Host, HostError, boot, namespaces_of, start_time, wait_for
from tools.lab.wires import UNDERLAY_PREFIX, Outside, Wires, lay
from tools.stages import ROOT, VENV, WORK
from tools.stock_clients import OPENSTACK

DIRECTORY = WORK / "lab"
CONTROLLER = "controller"
CONTROLLER_NUMBER = 9
FIRST_NUMBER = 11
QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
remember_owner = 0
stdio_handler = "logd"
migration_address = "{address}"
migration_host = "{address}"
"""
LIBVIRTD_CONF = """\
host_uuid = "{host_uuid}"
auth_unix_rw = "none"
auth_unix_ro = "none"
listen_tls = 0
listen_tcp = 1
auth_tcp = "none"
listen_addr = "{address}"
"""


def names_for(hosts: int) -> list[str]:
    """The controller and `hosts` more: the first carries networks, the others servers; a single one does both."""
    if hosts == 1:
        return [CONTROLLER, "compute1"]
    return [CONTROLLER, "network", *(f"compute{number}" for number in range(1, hosts))]


@dataclass
class Lab:
    directory: Path
    wires: Wires
    hosts: dict[str, Host] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=set)
    """Of every host there was, by the kernel's names, to see that they are gone."""

    # --- building and finding -----------------------------------------------------------------------------------------

    @classmethod
    def up(cls, hosts: int = 3, directory: Path = DIRECTORY) -> "Lab":
        """Bare hosts: a controller and `hosts` more (`names_for`)."""
        return cls.up_named(names_for(hosts), directory)

    @classmethod
    def up_named(cls, names: Sequence[str], directory: Path = DIRECTORY) -> "Lab":
        """Bare hosts of these names. Raises HostError when a lab is up in the directory already."""
        if (directory / "lab.json").exists():
            raise HostError(f"there is a lab in {directory} already: python -m tools.lab down")
        shutil.rmtree(directory, ignore_errors=True)
        _link_programs(directory / "programs")
        lab = cls(directory, lay())
        lab._note_namespaces(lab.wires.anchor)
        lab._record()
        try:
            for name in names:
                lab._boot(name, _number_of(name, lab))
        except BaseException:
            lab.down()
            raise
        return lab

    @classmethod
    def open(cls, directory: Path = DIRECTORY) -> "Lab":
        """The lab that is up. Raises HostError when there is none."""
        try:
            known = json.loads((directory / "lab.json").read_text())
        except FileNotFoundError:
            raise HostError(f"there is no lab in {directory}: python -m tools.lab up") from None
        hosts = {
            each["name"]: Host(
                each["name"],
                each["index"],
                each["address"],
                Path(each["directory"]),
                Anchor(**each["anchor"]),
            )
            for each in known["hosts"]
        }
        return cls(directory, Wires(Anchor(**known["wires"])), hosts, set(known["namespaces"]))

    def _note_namespaces(self, holder: Anchor) -> None:
        """Only those that are not the machine's own: the wires have but a network of their own."""
        self.namespaces |= namespaces_of(holder.pid) - namespaces_of(os.getpid())

    def _record(self) -> None:
        known = {
            "wires": asdict(self.wires.anchor),
            "hosts": [{**asdict(each), "directory": str(each.directory)} for each in self.hosts.values()],
            "namespaces": sorted(self.namespaces),
        }
        beside = self.directory / "lab.json.new"
        beside.write_text(json.dumps(known, indent=1))
        beside.replace(self.directory / "lab.json")

    def _boot(self, name: str, number: int) -> Host:
        address = f"{UNDERLAY_PREFIX}{number}"
        host = boot(name, number, address, self.directory / "hosts" / name, self.directory / "programs")
        self.hosts[name] = host
        self._note_namespaces(host.anchor)
        self._record()
        self.wires.plug(host)
        for other in self.hosts.values():
            other.write("/etc/hosts", self._hosts_file())
        host.write("/etc/hostname", f"{name}\n")
        host.write("/etc/machine-id", f"{number:032x}\n")
        return host

    def _hosts_file(self) -> str:
        lines = ["127.0.0.1 localhost", *(f"{each.address} {each.name}" for each in self.hosts.values())]
        return "\n".join(lines) + "\n"

    # --- using --------------------------------------------------------------------------------------------------------

    def host(self, name: str) -> Host:
        if name not in self.hosts:
            raise HostError(f"no host is called {name}; there are {', '.join(self.hosts)}")
        return self.hosts[name]

    @property
    def controller(self) -> Host:
        return self.host(CONTROLLER)

    @property
    def others(self) -> list[Host]:
        return [each for each in self.hosts.values() if each.name != CONTROLLER]

    def outside(self) -> Outside:
        """In front of the cloud: what runs there reaches the underlay and the outside network."""
        return Outside(self.wires)

    def power_cut(self, name: str) -> None:
        """The host and everything on it ends at once; `boot` starts it anew on the same disks."""
        self.host(name).anchor.kill()

    def boot(self, name: str) -> Host:
        return self._boot(name, self.host(name).index)

    def start_libvirtd(self, name: str) -> None:
        """The host's own virtlogd and libvirtd, as its guide's package would start them. Safe to repeat."""
        host = self.host(name)
        host.write("/etc/libvirt/qemu.conf", QEMU_CONF.format(address=host.address))
        host_uuid = f"10000000-0000-4000-8000-{host.index:012d}"
        host.write("/etc/libvirt/libvirtd.conf", LIBVIRTD_CONF.format(address=host.address, host_uuid=host_uuid))
        for daemon, options in (("virtlogd", []), ("libvirtd", ["--listen"])):
            if not host.is_running(daemon):
                host.start(daemon, [daemon, *options])
        wait_for(lambda: host.path("/run/libvirt/libvirt-sock").exists(), f"{name}: libvirtd answers")

    def add_disk(self, name: str, device: str, size_gib: int) -> None:
        """An empty disk for a host, at `device`."""
        storage.add_disk(self.directory, self.host(name), device, size_gib)

    def share(self, export: str, size_gib: int) -> None:
        """An export, `server:/directory`, that all hosts can mount as NFS."""
        storage.share(self.directory, self.hosts.values(), export, size_gib)

    def _loops(self) -> list[str]:
        return storage.loops_of(self.directory, self.hosts.values())

    def keep_logs(self, directory: Path) -> None:
        """Copies the daemons' logs of each host that is up, so that they outlive the lab."""
        for host in self.hosts.values():
            kept, logs = directory / host.name, host.path("/var/log/lab")
            kept.mkdir(parents=True, exist_ok=True)
            for path in logs.iterdir() if host.anchor.is_alive and logs.is_dir() else ():
                (kept / path.name).write_bytes(path.read_bytes())

    # --- removing -----------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Everything goes. Raises HostError with what is left; the lab is remembered then."""
        loops = self._loops()
        for host in self.hosts.values():
            host.anchor.kill()
        self.wires.anchor.kill()
        storage.detach(loops)
        wait_for(lambda: not self._loops(), "the disks are detached")
        if left := self.leftovers():
            raise HostError("the lab is down, but there is still: " + "; ".join(left))
        shutil.rmtree(self.directory)

    def leftovers(self) -> list[str]:
        """Processes in the lab's namespaces, and mounts of its directory in the machine's own."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or start_time(int(entry.name)) is None:
                continue
            try:
                shared = namespaces_of(int(entry.name)) & self.namespaces
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if shared:
                found.append(f"process {entry.name} in {', '.join(sorted(shared))}")
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        found += [f"mount {line.split()[4]}" for line in mounts if str(self.directory) in line]
        found += [f"loop device {each}" for each in self._loops()]
        return found


def _number_of(name: str, lab: Lab) -> int:
    if name == CONTROLLER:
        return CONTROLLER_NUMBER
    taken = {each.index for each in lab.hosts.values()}
    return next(number for number in range(FIRST_NUMBER, 254) if number not in taken)


def _link_programs(directory: Path) -> None:
    """The guides' executables and the stock client, as each host finds them in /usr/local/bin."""
    directory.mkdir(parents=True)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name in scripts:
        if (VENV / "bin" / name).exists():
            (directory / name).symlink_to(VENV / "bin" / name)
    if OPENSTACK.exists():
        (directory / "openstack").symlink_to(OPENSTACK)
