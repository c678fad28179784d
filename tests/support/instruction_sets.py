"""Which instruction sets of this machine are tested?"""

from __future__ import annotations

# Only for tests: the wider registers, split by the compiler for machines that have none.
# And AMX's instructions, computed one by one.
STANDS_IN_FOR = {"avx512_lowered": "avx512", "amx_lowered": "amx"}


def tested(available: tuple[str, ...]) -> tuple[str, ...]:
    """All available, without those that stand in for another one that is there."""
    return tuple(name for name in available if STANDS_IN_FOR.get(name) not in available)
