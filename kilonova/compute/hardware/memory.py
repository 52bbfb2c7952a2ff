"""The memory of a guest, as far as the fitting of NUMA nodes does not decide it; pure."""

from dataclasses import dataclass

from kilonova.compute.hardware.asked import Asked


@dataclass(frozen=True)
class Memory:
    is_locked: bool = False
    """The host cannot swap it out."""


def memory_of(asked: Asked) -> Memory:
    """Raises UnusableSpec. Locked memory needs a page size, which says that the host has to account for the pages."""
    locked = asked.by_both("locked_memory")
    if locked is None or not locked.boolean():
        return Memory()
    if asked.by_flavor("hw:mem_page_size") is None and asked.by_image("hw_mem_page_size") is None:
        raise locked.unusable("which needs a size of pages: hw:mem_page_size, and small will do")
    return Memory(is_locked=True)
