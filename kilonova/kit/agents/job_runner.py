"""Runs the command of one job to its end and writes down how it ended; run as a script by `jobs.py`, never imported.

    python job_runner.py DIRECTORY LOCK

LOCK is the descriptor of the job's lock, which is held as long as this process or the command lives. What is written
goes into files that have their size already, because a job may end just because the file system is full. Only the
standard library, because it runs isolated from the environment of whoever started it.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

CHUNK_BYTES = 4096


def main(directory: Path, lock: int) -> None:
    fill(directory / "group", str(os.getpid()).encode())
    job = json.loads((directory / "job.json").read_text())
    end = json.dumps(carry_out(job, directory, lock))
    fill(directory / "end", end.encode())
    (directory / "end").replace(directory / "ended.json")


def carry_out(job: dict[str, Any], directory: Path, lock: int) -> dict[str, Any]:
    """How the command ended: `status`, None when it was cut off, and `reason`, empty when it ended by itself."""
    account = job["account"]
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account["user_id"], "group": account["group_id"], "extra_groups": []}
    try:
        process = subprocess.Popen(
            job["arguments"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=job["environment"],
            pass_fds=(lock,),
            cwd="/",
            **identity,
        )
    except OSError as error:
        return {"status": None, "reason": f"cannot be started: {error.strerror}"}
    reading = threading.Thread(target=keep_end, args=(process.stdout, directory / "output"), daemon=True)
    reading.start()
    try:
        status = process.wait(job["timeout_seconds"])
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return {"status": None, "reason": f"did not end within {job['timeout_seconds']:.0f} seconds"}
    # A process that the command has left behind may have the pipe open for as long as it likes.
    reading.join(1)
    return {"status": status, "reason": ""}


def keep_end(source: IO[bytes], path: Path) -> None:
    """Keeps the end of what comes in a file."""
    size, end = path.stat().st_size, b""
    while chunk := os.read(source.fileno(), CHUNK_BYTES):
        end = (end + chunk)[-size:]
        fill(path, end)


def fill(path: Path, content: bytes) -> None:
    """Writes into a file that has room for it; the rest of it is blank."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, content.ljust(os.fstat(descriptor).st_size), 0)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
