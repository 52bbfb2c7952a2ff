"""The operator's options for the servers of a region."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerOptions:
    non_inheritable_image_properties: tuple[str, ...] = ("cache_in_nova", "bittorrent")
    """Properties that an image made of a server does not have from the server's image."""
    reclaim_seconds: int = 0
    """The time in which a deleted server can be restored; 0: it cannot."""
    shelved_offload_seconds: int = 0
    """The time for which a shelved server keeps its host; -1: until somebody offloads it."""
    resize_confirm_seconds: int = 0
    """The time after which a resize that nobody has confirmed is; 0: it waits."""
    may_resize_in_place: bool = True
    """Whether a server may get its new flavor on the host that it is on."""
