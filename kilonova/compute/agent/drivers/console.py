"""Reads what a guest wrote to its serial console, from the files in which virtlogd keeps it; blocking."""

from pathlib import Path

from kilonova.kit.host_commands import HostError


def read_tail(path: Path, length_lines: int | None) -> str:
    """The last lines (all when None) of a console log and of the older file it was rolled over from; empty when none.

    The files are bounded by virtlogd, so they are read whole. Bytes that are not UTF-8 are replaced.
    """
    content = b"".join(_read(part) for part in (path.with_name(path.name + ".0"), path))
    text = content.decode(errors="replace")
    if length_lines is None:
        return text
    lines = text.splitlines(keepends=True)
    return "".join(lines[-length_lines:]) if length_lines > 0 else ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise HostError(f"Cannot read {path}: {error.strerror}.") from error
