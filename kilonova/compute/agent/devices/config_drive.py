"""Makes the config drive: an ISO 9660 image labelled `config-2`, which cloud-init and its like look for.

The rule: it is made once in a server's life; what guests are told later comes from the metadata service. It may hold
a password, so the file is its owner's alone. Format: config drive version 2 of the compute user guide.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kilonova.kit import host_commands
from kilonova.kit.host_commands import HostError

LABEL = "config-2"
TIMEOUT_SECONDS = 60.0


async def ensure_config_drive(path: Path, files: Mapping[str, bytes]) -> None:
    """Writes the drive unless it is there. `files`: relative path → content. Raises HostError."""
    if path.exists():
        return
    partial, tree = path.with_name(path.name + ".part"), path.with_name(path.name + ".tree")
    try:
        await asyncio.to_thread(_write_tree, tree, files)
        await host_commands.run(
            [
                *("genisoimage", "-quiet", "-o", partial, "-V", LABEL, "-publisher", "Kilonova"),
                *("-J", "-r", "-l", "-ldots", "-allow-lowercase", "-allow-multidot", tree),
            ],
            timeout_seconds=TIMEOUT_SECONDS,
        )
        partial.chmod(0o600)
        partial.replace(path)
    except OSError as error:
        raise HostError(f"Cannot make {path}: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)
        await asyncio.to_thread(shutil.rmtree, tree, ignore_errors=True)


def _write_tree(tree: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(mode=0o700)
    for name, content in files.items():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
