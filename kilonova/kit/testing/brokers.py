"""A private RabbitMQ for tests and measurements, in a directory of its own, gone after."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from kilonova.kit.testing.database_servers import ServerMissing

SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
ERLANG = Path("/usr/lib/erlang")
READY_SECONDS = 60.0


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class RabbitMq:
    """Start, stop and start again, on the same port."""

    def __init__(self, directory: Path) -> None:
        if not SCRIPT.exists():
            raise ServerMissing("RabbitMQ is not installed: the Debian package is rabbitmq-server")
        self.port, self._distribution_port, self._mapper_port = _free_ports(3)
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "plugins").write_text("[].\n")
        (directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nvm_memory_high_watermark.absolute = 512MB\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Returns when the port answers."""
        directory = str(self._directory)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": directory,
            "RABBITMQ_NODENAME": f"kilonova{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{directory}/data",
            "RABBITMQ_LOG_BASE": f"{directory}/log",
            "RABBITMQ_CONFIG_FILE": f"{directory}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/plugins",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # So that it may be ended while it still remembers the broker that was killed.
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",
        }
        with (self._directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [SCRIPT], env=environment, stdout=output, stderr=output, cwd=directory, start_new_session=True
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL, as a crash would: nothing is written, nobody is told."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Ends it and the port mapper that its start left behind."""
        self.kill()
        mapper = next(ERLANG.glob("erts-*/bin/epmd"))
        subprocess.run([mapper, "-port", str(self._mapper_port), "-kill"], capture_output=True, check=False, cwd="/")
