"""How long the host has been up, in the words of uptime(1). Source: proc(5), `/proc/uptime` and `/proc/loadavg`."""

from datetime import datetime
from pathlib import Path


def render_uptime(up_seconds: float, loads: list[str], now: datetime) -> str:
    """One line; users are not counted. `loads` are the averages of 1, 5 and 15 minutes."""
    days, rest = divmod(int(up_seconds) // 60, 24 * 60)
    hours, minutes = divmod(rest, 60)
    word = "day" if days == 1 else "days"
    since = f"{days} {word}, " if days else ""
    since += f"{hours}:{minutes:02}" if hours else f"{minutes} min"
    return f" {now:%H:%M:%S} up {since},  0 users,  load average: {', '.join(loads)}"


def read_uptime() -> str:
    """The line for this host."""
    up_seconds = float(Path("/proc/uptime").read_text().split()[0])
    return render_uptime(up_seconds, Path("/proc/loadavg").read_text().split()[:3], datetime.now().astimezone())
