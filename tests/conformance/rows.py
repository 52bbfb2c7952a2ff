"""One row of a table of commands: what is typed at the stock client, and how it has to end.

Rows of a table run in order on one fresh simulated cloud of two hosts, `vm-1` and `vm-2`, that has no networks, images
and flavors yet. A command may use what an earlier row kept, as `{name}`, and the files in `files.FILES`.
"""

import re
from dataclasses import dataclass, field

ID = "-f value -c id"


@dataclass(frozen=True)
class Row:
    command: str
    status: int = 0
    """0: it is carried out; anything else: it is refused."""
    shows: str = ""
    """Text that the output (or, of a refused command, the error) must hold."""
    keep: str = ""
    """Name for the first word of the output, for later rows."""
    user: str = "admin"
    """`admin` or `demo`: in whose name it is typed."""
    eventually: bool = False
    """Typed again until it ends so: what it looks at takes its time."""

    def written(self) -> str:
        """The command for readers: what was kept is a variable of a shell, and options for keeping it are left out."""
        return "openstack " + re.sub(r"{(\w+)}", r"$\1", self.command.replace(f" {ID}", ""))


@dataclass(frozen=True)
class Table:
    """The commands of one service."""

    service: str
    groups: tuple[str, ...]
    """The client's command groups that belong to the service; every command in them has a row or a reason."""
    rows: list[Row]
    left_out: dict[str, str] = field(default_factory=dict)
    """Command, or command and option, that no row uses → the reason. `*` stands for any text."""
