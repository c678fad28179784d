"""What can be wrong in a file, and how is it counted how programs take it?"""

from __future__ import annotations

import collections
import random
import sys
import traceback

ODD = [
    "", " ", '"', '""', '"a', 'a"', ",", ";", "\t", "|", "\n", "\r\n", "\r", "\0", "\x1a", "\ufeff",
    "\u00a0", "\u200b", "\u2212", "nan", "inf", "-inf", "1e999", "-1e999", "1e-999", "9" * 30,
    "9" * 400, "-", "--", "+", ".", ",5", "1.", "1e", "1,2,3", "1.2.3", "(1", "1)", "()", "$", "%",
    "$%", "1_0", "0x10", "NULL", "None", "NA", "#N/A", "true", "01", "1e5", "=1+1", "31.02.2024",
    "99/99/9999", "0000-00-00", "2024-01-01T25:61", "24:00", "12:60", "\U0001f600", "\u0130",
    "\u00df",
    "a" * 10000, "{", "[", "{}", "\ud7ff", "9999-12-31", "0001-01-01", "1" + "0" * 200, "-999",
]  # fmt: skip


def with_odd_bytes(rng: random.Random, raw: bytes) -> bytes:
    """Return ``raw`` with something odd in place of up to five bytes, wherever they are."""
    start = rng.randrange(len(raw))
    return raw[:start] + rng.choice(ODD).encode() + raw[start + rng.randrange(6) :]


class Outcomes(collections.Counter):
    """How many files ended how; a traceback is shown when it is counted."""

    def traceback(self, what: str) -> None:
        """Count and show the exception that is being handled; ``what`` names the file."""
        self["traceback"] += 1
        print(f"--- {what}")
        traceback.print_exc(limit=-4, file=sys.stdout)

    def __str__(self) -> str:
        return ", ".join(f"{outcome} {n}" for outcome, n in sorted(self.items()))
