"""What Debian ships and a cloud of many hosts stands on: MariaDB and RabbitMQ on the controller, configured and started
as the guides' packages would.
"""

import signal
from pathlib import Path

from tools.lab.hosts import Host, HostError, wait_for

MARIADB, RABBITMQ = "mariadb", "rabbitmq-server"
MARIADB_CONF = """\
[mysqld]
bind-address = {address}
default-storage-engine = innodb
innodb_file_per_table = on
max_connections = 4096
collation-server = utf8_general_ci
character-set-server = utf8
# A lab's host loses its power, but the machine keeps what was written.
innodb_flush_log_at_trx_commit = 2
innodb_buffer_pool_size = 64M
"""
READY_SECONDS = 60.0


def start_mariadb(host: Host) -> None:
    """Returns when it answers. Its files are made at the first start, with root let in by the socket."""
    if not Path("/usr/sbin/mariadbd").exists():
        raise HostError("MariaDB is not installed: python3 -m tools.setup --for test --with mariadb")
    if not host.path("/var/lib/mysql/mysql").is_dir():
        host.write("/etc/mysql/mariadb.conf.d/99-openstack.cnf", MARIADB_CONF.format(address=host.address))
        host.run(["mariadb-install-db", "--user=mysql", "--skip-test-db"])
    host.start(MARIADB, ["mariadbd", "--user=mysql"])

    def answers() -> bool:
        if not host.is_running(MARIADB):
            raise HostError(f"MariaDB does not start:\n{host.log_end(MARIADB)}")
        return host.run(["mariadb-admin", "ping"], check=False).returncode == 0

    wait_for(answers, "MariaDB answers", READY_SECONDS)


def run_sql(host: Host, text: str) -> str:
    return host.run(["mariadb", "--batch"], stdin=text).stdout


def start_rabbitmq(host: Host) -> None:
    """Returns when it takes connections."""
    if not Path("/usr/sbin/rabbitmq-server").exists():
        raise HostError("RabbitMQ is not installed: python3 -m tools.setup --for test --with rabbit")
    host.write("/etc/rabbitmq/rabbitmq.conf", "vm_memory_high_watermark.absolute = 512MB\n")
    host.start(RABBITMQ, ["/usr/sbin/rabbitmq-server"])
    wait_for(lambda: is_listening(host, 5672), "RabbitMQ answers", READY_SECONDS)


def kill_rabbitmq(host: Host) -> None:
    """SIGKILL to the broker itself: what started it ends by itself."""
    for pid, words in host.processes().items():
        if Path(words[0]).name == "beam.smp":
            host.signal(pid, signal.SIGKILL)
    wait_for(lambda: not host.is_running(RABBITMQ), "RabbitMQ is gone", 30)


def is_listening(host: Host, port: int) -> bool:
    wanted = f":{port:04X}"
    lines = [line.split() for name in ("tcp", "tcp6") for line in host.read(f"/proc/1/net/{name}").splitlines()[1:]]
    return any(words[1].endswith(wanted) and words[3] == "0A" for words in lines)


def start(host: Host) -> None:
    """Both, and the broker's user as the guides add it."""
    start_mariadb(host)
    start_rabbitmq(host)


def add_user(host: Host, name: str, password: str) -> None:
    """As the guides do; the broker asks for nothing else."""
    host.run(["rabbitmqctl", "add_user", name, password])
    host.run(["rabbitmqctl", "set_permissions", name, ".*", ".*", ".*"])
