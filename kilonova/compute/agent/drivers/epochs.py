"""Refuses callers whose claim on a server is older than one already obeyed (design §4); used by every driver."""

from kilonova.compute.agent.driver import StaleEpoch


class Tombstones:
    """Epochs of released servers, for as long as the process lives: nothing else is left of them to compare with."""

    def __init__(self) -> None:
        self._released: dict[str, int] = {}

    def admit(self, server_id: str, epoch: int, recorded: int | None) -> None:
        """Raises StaleEpoch when `epoch` is lower than the recorded one or than that of a release."""
        newest = max(recorded or 0, self._released.get(server_id, 0))
        if epoch < newest:
            raise StaleEpoch(server_id, epoch, newest)

    def bury(self, server_id: str, epoch: int) -> None:
        """Remembers a release."""
        self._released[server_id] = max(epoch, self._released.get(server_id, 0))
