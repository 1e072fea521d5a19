"""No processor computes faster than its instruction set allows.

A table by CPU flags: operations per cycle and core that the instruction set documents. A fused multiply-add
is 2 operations. Two vector units on x86, four on Arm: no core has more. Deliberately generous (what
stands around the products is free): it refuses the impossible, not the unlikely.

============ ================================= =============================================
flags        float32                           int8
============ ================================= =============================================
avx512f      2 units x 16 lanes x 2       = 64 2 x 64 x 2 = 256, with avx512_vnni or without
avx2, fma    2 x 8 x 2                    = 32 2 x 32 x 2 = 128, with avx_vnni or without
avx          1 multiply + 1 add, 8 lanes  = 16 as sse2
sse2         1 multiply + 1 add, 4 lanes  =  8 2 x 16 x 2 = 64
amx_int8     -                                 16 x 16 x 64 x 2 in 16 cycles = 2048
asimd, neon  4 x 4 x 2                    = 32 4 x 8 x 2 = 64; asimddp 128; i8mm 256
============ ================================= =============================================

Sources: Intel 64 and IA-32 Architectures Optimization Reference Manual; Arm Neoverse V1 and V2 Software
Optimization Guides. A processor with none of these flags, or with sve (whose width the flag does not say), is not
checked. Virtual machines hide the clock: it is then taken for one that no processor on sale exceeds, and so
is a clock that is said to be higher.
"""

from __future__ import annotations

from collections.abc import Collection

_FP32 = (("avx512f", 64), ("fma", 32), ("avx2", 32), ("avx", 16), ("sse2", 8), ("asimd", 32), ("neon", 32))
_INT8 = (
    ("amx_int8", 2048),
    ("i8mm", 256),
    ("avx512_vnni", 256),
    ("avx512f", 256),
    ("asimddp", 128),
    ("avx_vnni", 128),
    ("avx2", 128),
    ("sse2", 64),
    ("asimd", 64),
    ("neon", 64),
)
_UNKNOWN_WIDTH = frozenset(("sve", "sve2", "sme"))
HIGHEST_MHZ = (
    6500.0  # the highest boost clock on sale was 6200 (Intel Core i9-14900KS, product specifications)
)
_TABLES = {"fp32": _FP32, "int8": _INT8}


def operations_per_cycle(flags: Collection[str], precision: str) -> int | None:
    """The most one core can do in a cycle; None where the flags or the precision are not in the table."""
    table = _TABLES.get(precision)
    if table is None or _UNKNOWN_WIDTH & set(flags):
        return None
    return next((count for flag, count in table if flag in flags), None)


def peak_flops(flags: Collection[str], precision: str, max_mhz: float | None, cores: int) -> float | None:
    """FLOP/s of ``cores`` cores at their highest clock, at ``HIGHEST_MHZ`` where that is not known; None where the
    table has no such processor."""
    per_cycle = operations_per_cycle(flags, precision)
    if per_cycle is None or cores < 1:
        return None
    clock = min(max_mhz, HIGHEST_MHZ) if max_mhz is not None and max_mhz > 0 else HIGHEST_MHZ
    return per_cycle * clock * 1e6 * cores
