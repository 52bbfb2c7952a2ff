"""A private RabbitMQ or NATS server for tests and measurements, in a directory of its own, gone after."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from kilonova.kit.testing.certificates import Certificates
from kilonova.kit.testing.database_servers import ServerMissing
from kilonova.kit.testing.ports import free_ports, wait_for_port

SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
ERLANG = Path("/usr/lib/erlang")
READY_SECONDS = 60.0


class RabbitMq:
    """Start, stop and start again, on the same port. With certificates it speaks TLS and nothing else."""

    def __init__(self, directory: Path, certificates: Certificates | None = None) -> None:
        if not SCRIPT.exists():
            raise ServerMissing("RabbitMQ is not installed: the Debian package is rabbitmq-server")
        self.port, self._distribution_port, self._mapper_port = free_ports(3)
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "plugins").write_text("[].\n")
        settings = ["vm_memory_high_watermark.absolute = 512MB"]
        if certificates is None:
            settings.append(f"listeners.tcp.1 = 127.0.0.1:{self.port}")
        else:
            settings += ["listeners.tcp = none", f"listeners.ssl.1 = 127.0.0.1:{self.port}"]
            settings.append(f"ssl_options.cacertfile = {certificates.authority}")
            settings.append(f"ssl_options.certfile = {certificates.certificate}")
            settings.append(f"ssl_options.keyfile = {certificates.key}")
        (directory / "rabbitmq.conf").write_text("\n".join(settings) + "\n")
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
        wait_for_port(self.port, READY_SECONDS)

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


class NatsServer:
    """Start, stop and start again, on the same port. With certificates it speaks TLS and nothing else."""

    def __init__(self, directory: Path, certificates: Certificates | None = None) -> None:
        if shutil.which("nats-server") is None:
            raise ServerMissing("NATS is not installed: the Debian package is nats-server")
        (self.port,) = free_ports(1)
        self._log = directory / "nats.log"
        self._options: list[str] = []
        if certificates is not None:
            self._options = ["--tls", f"--tlscert={certificates.certificate}", f"--tlskey={certificates.key}"]
        directory.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when the port answers."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                ["nats-server", "--addr", "127.0.0.1", "--port", str(self.port), *self._options],
                stdout=output,
                stderr=output,
            )
        wait_for_port(self.port, READY_SECONDS)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        self.kill()
