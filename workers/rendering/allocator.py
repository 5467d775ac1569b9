"""Makes glibc's allocator keep memory between photographs, and release it before a large image.

With another C library nothing is set: rendering then takes a tenth more time and some more memory.
"""

import ctypes

LARGE_PIXELS = 1 << 24  # above this, decoding may take hundreds of MiB
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT_BYTES = 64 << 20
# A block above this size is returned to the system when it is freed. A decoded photograph has up to 13 MiB and comes
# from kept memory: new pages would cost a tenth of its time. A large image keeps only its bands of rows, 2 MiB each.
_USUAL_THRESHOLD, _LARGE_THRESHOLD = 13 << 20, 4 << 20

_libc = ctypes.CDLL(None)


def tune_allocator(pixels: int) -> None:
    """Prepares this process to decode an image of that size; before a large one it releases the kept memory."""
    if not hasattr(_libc, "malloc_trim"):
        return
    is_large = pixels > LARGE_PIXELS
    _libc.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    _libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_THRESHOLD if is_large else _USUAL_THRESHOLD)
    if is_large:
        _libc.malloc_trim(0)
