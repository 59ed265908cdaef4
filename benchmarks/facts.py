"""What a measurement was taken on. Standard library only."""

import os
import platform
import sys
from pathlib import Path


def machine_facts(load: float) -> dict:
    """Cores, processor, system, interpreter, load average before the start, the command without folders."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_at_start": round(load, 2),
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(without_folder, sys.argv[1:])]),
    }


def load_average() -> float:
    """Of the last minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def without_folder(argument: str) -> str:
    """Where things lie on somebody's disk is nobody's business."""
    return f".../{Path(argument).name}" if argument.startswith(("/", "~")) else argument


def describe(facts: dict) -> list[str]:
    """The facts as lines of Markdown."""
    versions = ", ".join(f"{k} {v}" for k, v in sorted(facts.get("versions", {}).items()))
    line = (
        f"{facts['cores']} cores ({facts['processor']}), {facts['system']}, Python {facts['python']}; "
        f"load average before the start {facts['load_at_start']}."
    )
    return [line, *([f"Versions: {versions}."] if versions else []), "", f"`{facts['command']}`"]
