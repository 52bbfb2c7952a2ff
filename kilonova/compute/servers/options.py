"""What an operator decides about the servers of a region."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerOptions:
    non_inheritable_image_properties: tuple[str, ...] = ("cache_in_nova", "bittorrent")
    """Properties that an image made of a server does not have from the server's image."""
    reclaim_seconds: int = 0
    """How long a deleted server can be restored; 0: not at all."""
    shelved_offload_seconds: int = 0
    """How long a shelved server keeps its host; -1: as long as nobody says otherwise."""
