"""Runs the command of one job to its end and writes down how it ended; run as a script by `jobs.py`, never imported.

    python job_runner.py DIRECTORY LOCK

LOCK is the descriptor of the job's lock, which is held as long as this process or the command lives. Only the standard
library, because it runs isolated from the environment of whoever started it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def main(directory: Path, lock: int) -> None:
    write(directory / "group", str(os.getpid()))
    job = json.loads((directory / "job.json").read_text())
    write(directory / "ended.json", json.dumps(carry_out(job, directory, lock)))


def carry_out(job: dict[str, Any], directory: Path, lock: int) -> dict[str, Any]:
    """How the command ended: `status`, None when it was cut off, and `reason`, empty when it ended by itself."""
    account = job["account"]
    identity: dict[str, Any] = {}
    if account is not None:
        identity = {"user": account["user_id"], "group": account["group_id"], "extra_groups": []}
    with (directory / "output").open("wb") as output:
        try:
            process = subprocess.Popen(
                job["arguments"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=job["environment"],
                pass_fds=(lock,),
                cwd="/",
                **identity,
            )
        except OSError as error:
            return {"status": None, "reason": f"it cannot be started: {error.strerror}"}
        try:
            return {"status": process.wait(job["timeout_seconds"]), "reason": ""}
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return {"status": None, "reason": f"it did not end within {job['timeout_seconds']:.0f} seconds"}


def write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text)
    partial.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
