"""Which kind of machine measures? Seconds compare among machines of one kind only."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from pathlib import Path

from fastnn.backends.threads import available_cpus


def kind() -> str:
    """The processor's model, and how many threads this process may keep busy."""
    n = available_cpus()
    return f"{_processor()}, {n} thread{'s' * (n > 1)}"


@functools.cache
def _processor() -> str:
    try:
        if sys.platform == "darwin":
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True).stdout.strip()
        return named_in(Path("/proc/cpuinfo").read_text())
    except OSError:
        return platform.processor() or platform.machine()


def named_in(cpuinfo: str) -> str:
    """The processor of Linux's /proc/cpuinfo; ARM's has numbers for a name."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    fields = {name.strip(): value.strip() for name, _, value in lines}
    numbers = [fields[name] for name in ("CPU implementer", "CPU part") if name in fields]
    return fields.get("model name") or " ".join([platform.machine(), *numbers])
