"""What the C library does with the memory of arrays that are no longer needed."""

import os
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # parameters of glibc's mallopt
MOST = 2**30, 2**25  # bytes; an older glibc takes no more than 32 MiB


def keep_freed_memory():
    """Let the process keep the memory of freed arrays, so that new ones cost less.

    A training step makes and drops the same arrays again and again. By default glibc,
    the C library of most Linux systems, hands the megabytes that are dropped back to
    the kernel, and the kernel clears each page (4 KiB) before it lends it out again:
    10 to 40 % of a step in NumPy or PyTorch on the CPU goes into that. Two calls of
    `mallopt` turn it off for the whole process.

    The price: the process holds its largest use of memory until it ends, so another
    program may lack it. The environment variable ``DLBOOK_KEEP_MEMORY=0`` forbids it.
    On Windows, macOS and Linux with another C library nothing is done.

    Returns
    -------
    bool
        Whether freed memory stays from now on.

    Source: the manual page mallopt(3), `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD`.

    >>> keep_freed_memory()  # doctest: +SKIP
    True
    """
    if os.environ.get("DLBOOK_KEEP_MEMORY") == "0" or sys.platform != "linux":
        return False
    import ctypes

    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    from_heap = any(libc.mallopt(MMAP_THRESHOLD, most) for most in MOST)
    return from_heap and bool(libc.mallopt(TRIM_THRESHOLD, 2**31 - 1))
