"""Asks glibc's allocator to keep memory from photograph to photograph, and to waste none on large pictures.

Elsewhere nothing is asked, and rendering takes a tenth more time and some more memory.
"""

import ctypes

LARGE_PIXELS = 1 << 24  # decoding such a picture may take hundreds of MiB, a progressive JPEG's even for a small part
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 64 << 20
# What is larger than this goes back at once. A photograph is decoded to up to 13 MiB, which come from what was kept:
# to take them anew, page by page, would be a tenth of its time. Of a large picture only its rows, 2 MiB at a time, do.
_USUAL, _SPARING = 13 << 20, 4 << 20

_libc = ctypes.CDLL(None)


def arrange_memory(pixels: int) -> None:
    """Prepares this process for a picture of so many pixels; for a large one what was kept is given back first."""
    if not hasattr(_libc, "malloc_trim"):
        return
    is_large = pixels > LARGE_PIXELS
    _libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)
    _libc.mallopt(_M_MMAP_THRESHOLD, _SPARING if is_large else _USUAL)
    if is_large:
        _libc.malloc_trim(0)
