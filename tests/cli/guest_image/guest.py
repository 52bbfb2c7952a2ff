"""A guest under plain QEMU, driven from its serial console as a person would."""

import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROMPT = "demo@"
AGENT = "agent"
"""Name of the socket of the guest's agent, beside the monitor's."""
KERNEL_LINE = re.compile(r"\[ *\d+\.\d{6}\] .*\n")


class Guest:
    """A running QEMU with its console's text so far."""

    def __init__(self, process: subprocess.Popen[bytes], monitor_path: Path) -> None:
        self.process = process
        self.monitor_path = monitor_path
        self.text = ""
        self._logged_out_at = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        while chunk := self.process.stdout.read1(4096):
            self.text += chunk.decode(errors="replace").replace("\r", "")

    def wait_for(self, pattern: str, timeout_seconds: float, start: int = 0) -> re.Match[str]:
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if found := re.compile(pattern).search(self.text, start):
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} did not appear within {timeout_seconds} s; the console:\n{self.text}")

    def ask_agent(self, command: dict[str, object]) -> dict[str, object]:
        """Returns the answer of QEMU's agent in the guest; it may have yet to start."""
        deadline = time.monotonic() + 60
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.monitor_path.with_name(AGENT)))
            connection.settimeout(1)
            while time.monotonic() < deadline:
                connection.sendall(json.dumps(command).encode() + b"\n")
                try:
                    answer: dict[str, object] = json.loads(connection.makefile().readline())
                except TimeoutError:
                    continue
                return answer
        raise AssertionError("the guest's agent does not answer")

    def type(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def log_in(self, password: str = "demo") -> None:
        start = self.wait_for("login: ", 240, self._logged_out_at).end()
        self.type("demo")
        start = self.wait_for("Password: ", 60, start).end()
        self.type(password)
        self.wait_for(re.escape(PROMPT), 60, start)

    def log_out(self) -> None:
        self._logged_out_at = len(self.text)
        self.type("exit")

    def run(self, command: str, timeout_seconds: float = 60) -> str:
        """A command's output, as its lines stand on the console."""
        start = len(self.text)
        # The shell echoes what is typed, broken into lines at the terminal's width; the sums appear in output alone.
        self.type(f"echo begin-$((40 + 1)); {command}; echo end-$((40 + 2))")
        output = self.wait_for(r"(?s)begin-41\n(.*)end-42\n", timeout_seconds, start)[1]
        # The kernel writes to the same console whenever it likes: that an interrupt took long, on a busy machine.
        return KERNEL_LINE.sub("", output).strip()

    def command_monitor(self, *commands: dict[str, object]) -> None:
        """Send QMP commands; each must be answered without an error."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.monitor_path))
            with connection.makefile("rw") as stream:
                stream.readline()
                for command in ({"execute": "qmp_capabilities"}, *commands):
                    stream.write(json.dumps(command) + "\n")
                    stream.flush()
                    answer = json.loads(stream.readline())
                    while "event" in answer:
                        answer = json.loads(stream.readline())
                    assert "return" in answer, answer


@contextmanager
def started_guest(directory: Path, image: Path, arguments: Sequence[str], disk_size: str = "1G") -> Iterator[Guest]:
    """Boot a throw-away overlay of `image` without hardware virtualization; QEMU is gone afterwards."""
    overlay, monitor = directory / "disk.qcow2", directory / "monitor"
    backing = ["-b", str(image), "-F", "qcow2"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *backing, str(overlay), disk_size], check=True)
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-display", "none", "-serial", "stdio"]
    command += ["-qmp", f"unix:{monitor},server=on,wait=off"]
    channel = f"socket,id=agent,path={directory / AGENT},server=on,wait=off"
    command += ["-device", "virtio-serial-pci", "-chardev", channel]
    command += ["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"]
    command += ["-drive", f"file={overlay},if=virtio,format=qcow2", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    guest = Guest(process, monitor)
    try:
        yield guest
    finally:
        process.kill()
        process.wait()
        guest._reader.join()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
