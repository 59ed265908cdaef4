"""One contestant in a process of its own: JSON lines in, JSON lines out. Standard library only.

`{"do": "prepare"}` builds, compiles and warms up; `{"do": "step"}` runs one timed repetition; the end of its
input ends it.
"""

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path


def main() -> None:
    name, options = sys.argv[1], json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not end up among the answers
    sys.path.insert(0, str(Path(__file__).parent))
    step = None
    for line in sys.stdin:
        try:
            if json.loads(line)["do"] == "prepare":
                contestant = importlib.import_module(f"contestants.{name}").prepare(options)
                step, answer = contestant.pop("step"), contestant
                answer["warm_up"] = [timed(step, options) for _ in range(3)]
            else:
                answer = {"seconds": timed(step, options)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")


def timed(step, options) -> float:
    """Seconds of one repetition, or of one turn where a repetition is a loop of several."""
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) / options.get("loop", 1)


if __name__ == "__main__":
    main()
