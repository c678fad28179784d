"""What is checked before a change is taken? All steps below, or those named and what they need.

    .ci/run              everything, two steps at a time
    .ci/run lint wheel   these two

A step is a Bash script in .ci/steps. It runs in a copy of the checkout in which nothing was built
before, with virtual environments of its own, all in one temporary folder. Steps share only objects
of the compiler (.ci/cc). The commands that install and test are those of README.md, so the README
cannot drift from what works. What a step prints is shown when it ends, with its wall and processor
time; the first that fails ends the others. PYTHON chooses the interpreter (python3).
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

STEPS = {  # name: (what it checks, which steps come before it), what takes long first
    "demo": ("README: install and run the demo", []),
    "sanitizers": ("C core under the address, undefined-behaviour and thread sanitizers", []),
    "tests": ("README: install and run the tests", ["demo"]),
    "wheel": ("sdist and wheel, used in an empty environment", []),
    "oldest": ("what touches other packages, on the oldest versions allowed", ["wheel"]),
    "lint": ("lint, format and types", []),
    "no-compiler": ("install without a compiler", []),
    "windows": ("C core compiled for Windows", []),
    "arm": ("C core on 64-bit ARM, emulated", []),
    "guard": ("speed: the compiled core against NumPy", ["demo"]),
}
AT_A_TIME = 2
CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass
class Running:
    """A step that has been started."""

    name: str
    process: subprocess.Popen
    log: Path
    start: float = field(default_factory=time.monotonic)

    def ended(self) -> bool:
        """Whether it has. Then ``times`` says how long it took, and how much work that was."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if self.process.poll() is None:
            return False
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.times = f"{time.monotonic() - self.start:.0f} s, {worked:.0f} s of processor time"
        return True


def with_needs(names: list[str]) -> list[str]:
    """The steps named and all that they need, in the order of ``STEPS``."""
    wanted = set(names)
    for name in reversed(STEPS):  # a step stands after what it needs
        wanted |= set(STEPS[name][1]) if name in wanted else set()
    return [name for name in STEPS if name in wanted]


def copy_checkout(copy: Path) -> None:
    """Copy what Git tracks or would track, and link the data that some tests find beside it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, check=True).stdout
    for name in sorted(set(os.fsdecode(names).split("\0")) - {""}):
        if (CHECKOUT / name).is_file():  # not deleted since it was committed
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, copy / name)
    if (data := CHECKOUT.parent / "shared").is_dir():
        (copy.parent / "shared").symlink_to(data)


def environment(work: Path) -> dict[str, str]:
    """What steps find in their environment: the README's commands, not the caller's Python."""
    section = (CHECKOUT / "README.md").read_text().split("\n## Set up")[1].split("\n## ")[0]
    install, test = re.findall(r"```bash\n(.*)\n```", section)
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name == "PYTHON" or not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    return {
        "PYTHON": "python3",
        **inherited,
        "WORK": str(work),
        "CC": str(CHECKOUT / ".ci" / "cc"),
        "README_INSTALL": install,
        "README_TEST": test,
        "MPLBACKEND": "Agg",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_QUIET": "1",
        "PIP_COMPILE": "0",  # Python does that for what a step imports
    }


def start(name: str, work: Path, env: dict[str, str]) -> Running:
    print(f"--- {name}: {STEPS[name][0]}", flush=True)
    log = work / f"{name}.log"
    script = Path(".ci", "steps", f"{name}.sh")
    command = ["bash", "-euo", "pipefail", str(script)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=work / "fastnn",
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that it can be ended with all that it started
        )
    return Running(name, process, log)


def run(names: list[str], work: Path) -> str | None:
    """Run the steps; the name of the one that failed, or None."""
    copy_checkout(work / "fastnn")
    env = environment(work)
    waiting, running, done = list(names), [], []
    try:
        while waiting or running:
            for name in list(waiting):
                if len(running) < AT_A_TIME and {step.name for step in done} >= set(STEPS[name][1]):
                    waiting.remove(name)
                    running.append(start(name, work, env))
            time.sleep(0.1)
            for step in [step for step in running if step.ended()]:
                running.remove(step)
                done.append(step)
                print(f"\n=== {step.name}: {STEPS[step.name][0]}; {step.times}")
                print(step.log.read_text(errors="replace"), flush=True)
                if step.process.returncode:
                    return step.name
    finally:
        for step in running:
            os.killpg(step.process.pid, signal.SIGTERM)
            step.process.wait()
        for step in done:
            print(f"{step.name:12} {step.times}")
    return None


def main(arguments: list[str]) -> str | None:
    if unknown := [name for name in arguments if name not in STEPS]:
        return f"no such step: {', '.join(unknown)}; there are {', '.join(STEPS)}"
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fastnn-ci.") as work:
        failed = run(with_needs(arguments or list(STEPS)), Path(work))
    print(f"{'in all':12} {time.monotonic() - start:.0f} s")
    return f"FAILED: {failed}" if failed else print("All is well.")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
