"""Has the compiled core become slower?

``python -m benchmarks.guard`` compares cython with numpy in one run, never with stored seconds.

The two train the same networks in turns on one thread, and the least processor time of each counts,
so that a busy machine does not matter. Exits with status 1 if any ratio is below its bound. The
bounds are half of what was measured with AVX-512 and eight tenths of it with AVX2: ten repeats
beside eight other processes passed, and the generic kernels do not.
"""

from __future__ import annotations

import sys
from time import process_time

from threadpoolctl import threadpool_limits

from benchmarks.peers.fastnn_peer import Peer
from benchmarks.peers.sections import SHAPES

# How many times as fast as numpy a fit must be, on these of the anchors.
BOUNDS = {"tiny": 16, "default": 4, "digits": 2.4, "deep": 2, "mnist": 1.4}
_ROUNDS, _SECONDS = 7, 0.15  # of fits that take numpy so long


def ratio(shape: str) -> float:
    """Least processor time of a fit on numpy over that on cython."""
    contenders = {backend: Peer(1, backend=backend) for backend in ("cython", "numpy")}
    for peer in contenders.values():
        peer.load(SHAPES[shape])
        peer.fit(1)
    n_epochs = max(1, round(_SECONDS / _processor_time(contenders["numpy"], 1)))
    times = [
        [_processor_time(peer, n_epochs) for peer in contenders.values()] for _ in range(_ROUNDS)
    ]
    cython, numpy = map(min, zip(*times, strict=True))
    return numpy / cython


def _processor_time(peer: Peer, n_epochs: int) -> float:
    start = process_time()
    peer.fit(n_epochs)
    return process_time() - start


def main() -> None:
    failed = False
    with threadpool_limits(1):
        for shape, bound in BOUNDS.items():
            found = ratio(shape)
            verdict = "ok" if found >= bound else "TOO SLOW"
            print(
                f"{shape:8} cython is {found:5.2f} times as fast as numpy, at least {bound} is"
                f" asked: {verdict}"
            )
            failed |= found < bound
    if failed:
        sys.exit(
            "The compiled core has become slower. benchmarks/README.md says how to find out where."
        )


if __name__ == "__main__":
    main()
