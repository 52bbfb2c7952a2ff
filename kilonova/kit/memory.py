"""Memory that a thread has no more use for, and that the C library keeps for what comes."""

import ctypes
import threading
from typing import Any

_libc: Any = ctypes.CDLL(None)
_IS_GLIBC = hasattr(_libc, "mallopt")
"""Other libraries give back what is free by themselves."""

_TRIM_THRESHOLD = -1
"""The parameter of `mallopt`: how much free memory at the end of a heap makes `free` give it back."""
_LEAST, _USUAL = 128 << 10, 64 << 20
_LOOKS_AT = 256 << 10
"""The size of a block whose `free` compares with the threshold: small ones do not."""

_one_at_a_time = threading.Lock()

if _IS_GLIBC:
    _libc.malloc.restype, _libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    _libc.free.restype, _libc.free.argtypes = None, [ctypes.c_void_p]


def give_back() -> None:
    """Gives the free memory at the end of the calling thread's heap back to the system. `malloc_trim` does so for the
    main thread's heap alone.
    """
    if not _IS_GLIBC:
        return
    with _one_at_a_time:
        _libc.mallopt(_TRIM_THRESHOLD, _LEAST)
        _libc.free(_libc.malloc(_LOOKS_AT))
        _libc.mallopt(_TRIM_THRESHOLD, _USUAL)
