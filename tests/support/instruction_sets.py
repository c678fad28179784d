"""Which instruction sets of this machine are tested?"""

from __future__ import annotations

# Only for tests: the wider registers, split by the compiler for machines that have none.
# And the instructions of bfloat16, computed by others.
STANDS_IN_FOR = {name + "_lowered": name for name in ("avx512", "avx512_bf16", "amx")}
# These differ from the vectors that they go with in bfloat16 alone.
VECTORS_OF = {
    tiles + kind: "avx512" + kind for tiles in ("amx", "avx512_bf16") for kind in ("", "_lowered")
}


def tested(available: tuple[str, ...]) -> tuple[str, ...]:
    """All available, without those that stand in for another one that is there."""
    return tuple(name for name in available if STANDS_IN_FOR.get(name) not in available)


def with_vectors(available: tuple[str, ...]) -> tuple[str, ...]:
    """Those tested, each vector once."""
    vectors = {name: {VECTORS_OF[name], STANDS_IN_FOR.get(VECTORS_OF[name])} for name in VECTORS_OF}
    found = tested(available)
    return tuple(name for name in found if not vectors.get(name, set()) & set(found))
