"""A storage host for tests: a volume group on a file, a tgtd of its own, and a guest's view of its targets."""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kilonova.block_storage.agent.drivers.lvm.tgt import TgtTargets
from kilonova.block_storage.agent.drivers.lvm.volume_group import WITHOUT_MAPPER, VolumeGroup
from kilonova.kit.connectors import IscsiConnection

GROUP_BYTES = 8 << 30


def run(*words: str | Path, **environment: str) -> str:
    """Returns the command's output."""
    return subprocess.run(words, check=True, capture_output=True, text=True, env={**os.environ, **environment}).stdout


@contextlib.contextmanager
def volume_group(directory: Path) -> Iterator[VolumeGroup]:
    """Makes a volume group on a loop device that LVM is shown alone."""
    image = directory / "group.img"
    with image.open("wb") as file:
        file.truncate(GROUP_BYTES)
    loop = run("losetup", "--find", "--show", image).strip()
    name = f"kilonova-{os.getpid()}-{loop.rpartition('/')[2]}"
    settings = directory / "etc" / "lvm.conf"
    settings.parent.mkdir()
    settings.write_text(
        f'devices {{ filter = ["a|^{loop}$|", "r|.*|"] global_filter = ["a|^{loop}$|", "r|.*|"] }}\n'
        f'global {{ locking_dir = "{directory}/lock" }}\nbackup {{ backup = 0 archive = 0 }}\n'
    )
    try:
        for words in (("pvcreate", loop), ("vgcreate", name, loop)):
            run(*words, "--config", WITHOUT_MAPPER, LVM_SYSTEM_DIR=str(settings.parent))
        yield VolumeGroup(name, settings, has_mapper=False)
    finally:
        run("losetup", "--detach", loop)


@dataclass
class Tgtd:
    """A tgtd with its own socket and port. `restart` loses all that it was told."""

    directory: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def portal(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def targets(self) -> TgtTargets:
        return TgtTargets(self.directory / "tgt.0")

    def start(self) -> None:
        words = ["tgtd", "-f", "-C", "0", "--iscsi", f"portal={self.portal}"]
        environment = {**os.environ, "TGT_IPC_SOCKET": str(self.directory / "tgt")}
        with (self.directory / "tgtd.log").open("ab") as output:
            self.process = subprocess.Popen(words, env=environment, stdout=output, stderr=output)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, self._log()
            time.sleep(0.02)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            with socket.socket(socket.AF_UNIX) as control:
                control.connect(str(self.directory / "tgt.0"))
                return True
        return False

    def _log(self) -> str:
        return (self.directory / "tgtd.log").read_text()

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def show(self, mode: str) -> str:
        """Returns what tgt's own program shows of it."""
        words = ("tgtadm", "-C", "0", "--lld", "iscsi", "--op", "show", "--mode", mode)
        return run(*words, TGT_IPC_SOCKET=str(self.directory / "tgt"))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Initiator:
    """QEMU's own initiator, as a guest has it, at the disk of a connection."""

    def __init__(self, connection: IscsiConnection, secret: str | None = None) -> None:
        assert connection.chap is not None
        self._secret = connection.chap.secret if secret is None else secret
        self._options = (
            f"driver=iscsi,transport=tcp,portal={connection.portals[0]},target={connection.target},"
            f"lun={connection.unit},user={connection.chap.username},password-secret=chap"
        )

    def io(self, command: str) -> str:
        return self._run("qemu-io", "--image-opts", "-c", command)

    def info(self) -> str:
        return self._run("qemu-img", "info", "--image-opts")

    @contextlib.contextmanager
    def session(self) -> "Iterator[subprocess.Popen[bytes]]":
        """Keeps the disk open."""
        with self._secret_file() as secret:
            words = ["qemu-io", "--object", secret, "--image-opts", self._options]
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            try:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(b"read 0 1\n")
                process.stdin.flush()
                assert b"read 1/1 bytes" in process.stdout.readline()
                yield process
            finally:
                process.kill()
                process.communicate()

    def _run(self, program: str, *words: str) -> str:
        with self._secret_file() as secret:
            head, tail = ([program, *words[:1]], words[1:]) if program == "qemu-img" else ([program], words)
            return run(*head, "--object", secret, *tail, self._options)

    @contextlib.contextmanager
    def _secret_file(self) -> Iterator[str]:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(self._secret)
            file.flush()
            yield f"secret,id=chap,file={file.name}"
