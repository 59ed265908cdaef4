"""Race the library against its peers: one process each, their repetitions interleaved, one running at a time.

    python benchmarks/race.py --peer-python ../peers/bin/python --released ../Stable-Neural-SDEs
    python benchmarks/race.py --table networks --peer-python ../peers/bin/python

Needs the standard library only; see README.md beside this file for the environments.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from facts import load_average, machine_facts
from rows import TABLES, Race, Row
from tables import summarise, write_markdown

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
QUIET = 0.3


class Worker:
    """A contestant's process, asleep until it is asked."""

    def __init__(self, row: Row, options: dict, python: str):
        self.row, self.options = row, options
        threads = str(options.get("threads", os.cpu_count()))
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_COMPILATION_CACHE": "false",
            "JAX_ENABLE_X64": "false",
            # PyTorch's threads must not spin while another contestant runs.
            "OMP_WAIT_POLICY": "PASSIVE",
            "KMP_BLOCKTIME": "0",
        }
        if row.torch:
            environment |= {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        command = [python, str(HERE / "worker.py"), row.contestant, json.dumps(options)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
        )
        self.seconds: list[float] = []
        self.every, self.prepared = 1, {}

    def ask(self, what: str) -> dict:
        """Send one request and wait for its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"do": what}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": f"{self.row.contestant} ended without an answer"}
        if "error" in answer:
            raise RuntimeError(f"{self.row.name} {self.options}: {answer['error']}")
        return answer

    def prepare(self, rounds: int, budget: float) -> None:
        """Build, compile, warm up; a slow contestant then runs in every k-th round only, in five at least."""
        self.prepared = self.ask("prepare")
        wanted = math.ceil(min(self.prepared["warm_up"]) * rounds / budget)
        self.every = max(1, min(wanted, rounds // 5))

    def close(self) -> None:
        """End of input ends the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)


def start_workers(race: Race, arguments: argparse.Namespace) -> tuple[list[Worker], list[str]]:
    """Workers of one race, prepared one after another, and a note for every row left out."""
    workers, notes = [], []
    for row in race.rows:
        why = reason_to_skip(row, arguments)
        if why:
            notes.append(f"{row.name}: left out, {why}.")
            continue
        python = arguments.peer_python if row.torch or row.elsewhere else arguments.python
        for options in row.variants:
            extra = {"released": str(arguments.released.resolve())} if row.needs_released else {}
            worker = Worker(row, {**options, **extra, "compiles": arguments.compiles}, python)
            try:
                worker.prepare(arguments.rounds, arguments.budget)
            except RuntimeError as error:
                say(str(error))
                reasons = [line for line in str(error).splitlines() if "Error" in line]
                notes.append(f"{row.name} {options}: failed, {(reasons or [str(error)])[-1].strip()}")
                worker.close()
                continue
            workers.append(worker)
            say(f"  {row.name} {options or ''}: {1e3 * min(worker.prepared['warm_up']):.1f} ms when warm")
    return workers, notes


def reason_to_skip(row: Row, arguments: argparse.Namespace) -> str | None:
    """Why a row cannot run here."""
    if (row.torch or row.elsewhere) and not arguments.peer_python:
        return "no --peer-python"
    if row.needs_released and not arguments.released:
        return "no --released"
    return None


def run_race(race: Race, arguments: argparse.Namespace) -> dict:
    """One race: prepare all, then rounds in each of which every contestant runs once, in random order."""
    say(race.title)
    workers: list[Worker] = []
    try:
        workers, notes = start_workers(race, arguments)
        shuffle = random.Random(0)
        for number in range(arguments.rounds):
            for worker in shuffle.sample(workers, len(workers)):
                if number % worker.every == 0:
                    worker.seconds.append(worker.ask("step")["seconds"])
    finally:
        for worker in workers:
            worker.close()
    return summarise(race, workers, notes)


def wait_for_quiet(force: bool) -> float:
    """The load average; refuse a busy machine, on which a peer's threads suffer most."""
    load = load_average()
    if load > QUIET and not force:
        raise SystemExit(
            f"The load average is {load:.2f}, above {QUIET}: something else is running, and peers\n"
            "with threads suffer most from it. Wait until the machine is quiet, or say --force."
        )
    return load


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="interpreter with cadlag's dependencies")
    parser.add_argument("--peer-python", help="interpreter with the peers of a table; without it no such rows")
    parser.add_argument("--released", type=Path, help="a checkout of yongkyung-oh/Stable-Neural-SDEs")
    parser.add_argument("--rounds", type=int, default=60, help="repetitions of each contestant")
    parser.add_argument("--budget", type=float, default=15.0, help="seconds one contestant may take in all")
    parser.add_argument("--compiles", type=int, default=3, help="how often compiling is timed")
    parser.add_argument("--table", choices=list(TABLES), default="sde", help="which races")
    every = [r.id for races in TABLES.values() for r in races]
    parser.add_argument("--race", choices=every, action="append", help="only this race of the table")
    parser.add_argument("--force", action="store_true", help="race on a busy machine")
    parser.add_argument("--out", type=Path, help="by default results/benchmarks/TABLE")
    arguments = parser.parse_args()
    arguments.out = arguments.out or ROOT / "results/benchmarks" / arguments.table
    return arguments


def main() -> None:
    """Race, write JSON and Markdown."""
    arguments = parse()
    load = wait_for_quiet(arguments.force)
    start = time.perf_counter()
    chosen = [r for r in TABLES[arguments.table] if not arguments.race or r.id in arguments.race]
    races = [run_race(race, arguments) for race in chosen]
    facts = machine_facts(load) | {
        "rounds": arguments.rounds,
        "seconds": round(time.perf_counter() - start),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": facts, "races": races}
    arguments.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    write_markdown(arguments.out.with_suffix(".md"), result)
    say(arguments.out.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
