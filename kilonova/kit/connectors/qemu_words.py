"""The words that name a connected disk to qemu-img and qemu-nbd."""

import shutil
from pathlib import Path

from kilonova.kit.connectors import Connected, ConnectedDisk
from kilonova.kit.host_commands import Account


def disk_words(connected: Connected, directory: Path, account: Account | None) -> list[str]:
    """Returns the options and the disk, in that order.

    A secret is written to a file in the directory, which is the reader's own; `account` reads it. Raises OSError.
    """
    if isinstance(connected, ConnectedDisk):
        return ["-f", connected.disk_format, str(connected.path)]
    portal = f"[{connected.host}]:{connected.port}" if ":" in connected.host else f"{connected.host}:{connected.port}"
    options = {"driver": "raw", "file.driver": "iscsi", "file.transport": "tcp", "file.portal": portal}
    options |= {"file.target": connected.target, "file.lun": str(connected.unit)}
    words: list[str] = []
    if connected.chap is not None:
        secret = directory / "secret"
        secret.write_text(connected.chap.secret)
        secret.chmod(0o600)
        if account is not None:
            shutil.chown(secret, account.user_id, account.group_id)
        words = ["--object", f"secret,id=chap,file={secret}"]
        options |= {"file.user": connected.chap.username, "file.password-secret": "chap"}
    return [*words, "--image-opts", ",".join(f"{name}={value.replace(',', ',,')}" for name, value in options.items())]
