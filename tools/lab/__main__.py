"""`python -m tools.lab up --hosts 3 [--bare]`, `down`, `status`, `exec HOST -- COMMAND`, `chaos --seconds 600`."""

import argparse
import sys
import time
from pathlib import Path

from tools.lab import engines
from tools.lab.hosts import HostError
from tools.lab.lab import DIRECTORY, Lab
from tools.stages import StageError, fail, is_root, run_stage


def bring_up(options: argparse.Namespace) -> int:
    began = time.monotonic()

    def hosts() -> str:
        lab = Lab.up(options.hosts, options.directory)
        return f"hosts {', '.join(lab.hosts)}"

    def engines_on_controller() -> str:
        engines.start(Lab.open(options.directory).controller)
        return "MariaDB and RabbitMQ on the controller"

    def cloud_on_hosts() -> str:
        from tools.lab import cloud

        cloud.install(Lab.open(options.directory))
        return "a cloud, installed as the guides do"

    run_stage("hosts", hosts)
    if not options.bare:
        run_stage("engines", engines_on_controller)
        run_stage("cloud", cloud_on_hosts)
    print(f"up after {time.monotonic() - began:.1f} s; python -m tools.lab status, exec, down")
    return 0


def take_down(options: argparse.Namespace) -> int:
    def down() -> str:
        Lab.open(options.directory).down()
        return "nothing of the lab is left"

    run_stage("down", down)
    return 0


def show_status(options: argparse.Namespace) -> int:
    lab = Lab.open(options.directory)
    for host in lab.hosts.values():
        state = "up" if host.anchor.is_alive else "DOWN"
        memory = host.memory_mib() if host.anchor.is_alive else {}
        print(f"{host.name:12}{host.address:14}{state:6}{sum(memory.values()):7.0f} MiB")
        for name, runs in (host.daemons() if host.anchor.is_alive else {}).items():
            print(f"    {name:28}{'runs' if runs else 'ENDED'}")
        if options.memory:
            for program, mebibytes in sorted(memory.items(), key=lambda item: -item[1]):
                print(f"        {program:40}{mebibytes:7.1f} MiB")
    return 0


def run_there(options: argparse.Namespace) -> int:
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    done = Lab.open(options.directory).host(options.host).run(words, check=False, timeout_seconds=3600)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def break_things(options: argparse.Namespace) -> int:
    from tools.lab import chaos

    directory = options.directory if options.directory != DIRECTORY else DIRECTORY.with_name("chaos")
    return chaos.run(
        directory,
        seconds=options.seconds,
        seed=options.seed,
        hosts=options.hosts,
        lossy=options.lossy,
        keep=options.keep,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.lab", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DIRECTORY, help="where everything of the lab is kept")
    commands = parser.add_subparsers(dest="name", required=True)
    up = commands.add_parser("up", help="build hosts, start the engines and install a cloud")
    up.add_argument("--hosts", type=int, default=3, help="hosts beside the controller")
    up.add_argument("--bare", action="store_true", help="nothing on the hosts")
    up.set_defaults(act=bring_up)
    commands.add_parser("down", help="remove everything").set_defaults(act=take_down)
    status = commands.add_parser("status", help="hosts, what runs on them, memory")
    status.add_argument("--memory", action="store_true", help="by program")
    status.set_defaults(act=show_status)
    there = commands.add_parser("exec", help="run a command on a host")
    there.add_argument("host")
    there.add_argument("command", nargs=argparse.REMAINDER)
    there.set_defaults(act=run_there)
    chaos = commands.add_parser("chaos", help="break everything under load, then look whether all is well")
    chaos.add_argument("--seconds", type=float, default=600)
    chaos.add_argument("--seed", type=int, default=None, help="of an earlier run; its logs are in .work/chaos-logs")
    chaos.add_argument("--hosts", type=int, default=3)
    chaos.add_argument("--lossy", action="store_true", help="lose a fifth of the messages all the time")
    chaos.add_argument("--keep", action="store_true", help="leave the lab up at the end: --directory .work/chaos")
    chaos.set_defaults(act=break_things)
    options = parser.parse_args()
    if not is_root():
        return fail(StageError("the lab needs root: it is made of namespaces"))
    try:
        code: int = options.act(options)
    except (HostError, TimeoutError) as error:
        return fail(StageError(str(error)))
    return code


if __name__ == "__main__":
    sys.exit(main())
