"""Fuzz parsers: `make fuzz` or python -m tests.fuzz [TARGET ...] [--runs N] [--seed N]; see --help.

With `atheris` (coverage-guided, LLVM's libFuzzer), each target runs in a process of its own. Inputs that reach new code
are kept in build/fuzz, and a further run continues with them.
"""

import argparse
import os
import random
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NoReturn

SHARES = {
    "omm_record": 530,
    "elements": 250,
    "status": 100,
    "journal": 50,
    "orientation": 30,
    "checkpoint": 30,
    "toml": 25,
    "sentences": 10,
    "requests": 4,
    "assembler": 2,
    "range": 2,
    "sense": 2,
    "sense_unterminated": 1,
    "sense_one_sensor": 1,
    "parameters": 1,
    "slots": 1,
    "trial": 1,
}
"""Share of each target in the executions; quick parsers have more."""
BUILD = Path("build", "fuzz")
INSTRUMENTED = [f"pygnc.{name}" for name in ("bus", "common", "configuration", "formats", "host", "inputs")]
TIMEOUT_S = 10
MEMORY_MB = 1000
"""Limit of a process; comparisons of NumPy numbers that atheris observes leak 10 kB for each record."""


def main() -> int:
    """Fuzz each target in a process of its own and print a table of executions and failures."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"Parsers: {', '.join(SHARES)} (default: all).")
    parser.add_argument("--runs", type=int, default=100_000, help="Executions of all targets together.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the mutations.")
    parser.add_argument("--single", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.single:
        run_target(chosen.targets[0], chosen.runs, chosen.seed)
    names = chosen.targets or list(SHARES)
    total = sum(SHARES[name] for name in names)
    print("| target | executions | processor time, s | failures |\n|---|---|---|---|", flush=True)
    return max([run_process(name, chosen.runs * SHARES[name] // total, chosen.seed) for name in names])


def run_process(name: str, runs: int, seed: int) -> int:
    """Fuzz a target in another process; return 1 after a failure, otherwise 0."""
    (BUILD / name).mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "tests.fuzz", name, "--single", "--runs", str(runs), "--seed", str(seed)]
    path = BUILD / f"{name}.log"
    before_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with path.open("w") as log:
        subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, check=False)
    text = path.read_text(errors="replace")
    has_failed = re.search("^Done ", text, re.MULTILINE) is None
    count = max(map(int, re.findall(r"^(?:#|Done )(\d+)\b", text, re.MULTILINE)), default=0)
    used_s = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before_s
    print(f"| {name} | {count} | {used_s:.0f} | {int(has_failed)} |", flush=True)
    if has_failed:
        print(f"{name}: see {path}, which names the file with the input", file=sys.stderr)
    return int(has_failed)


def run_target(name: str, runs: int, seed: int) -> NoReturn:
    """Fuzz a target by atheris, which ends the process."""
    import atheris  # noqa: PLC0415 - in the environment of `make fuzz` only

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import make_targets  # noqa: PLC0415 - after the instrumentation began
    target = make_targets()[name]
    seeds = BUILD / f"{name}-seeds"
    seeds.mkdir(exist_ok=True)
    for number, content in enumerate(target.seeds):
        (seeds / str(number)).write_bytes(content)

    def mutate(data: bytes, size_max: int, number: int) -> bytes:
        dice = random.Random(number)  # noqa: S311 - repeatable
        kind = dice.randrange(8)
        changed = atheris.Mutate(data, size_max) if kind < 2 else data
        return bytes(target.mutate(changed, dice) if kind else changed)[:size_max]

    def cross(data: bytes, other: bytes, size_max: int, number: int) -> bytes:
        dice = random.Random(number)  # noqa: S311 - repeatable
        joined = data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other) + 1) :]
        return target.mutate(joined, dice)[:size_max]

    warnings.simplefilter("error")
    options = [
        f"-atheris_runs={runs}",
        f"-seed={seed}",
        f"-max_len={target.size_max}",
        f"-timeout={TIMEOUT_S}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={BUILD}/{name}-",
        "-len_control=0",
        str(BUILD / name),
        str(seeds),
    ]
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    atheris.Setup([sys.argv[0], *options], target.check, custom_mutator=mutate, custom_crossover=cross)
    atheris.Fuzz()
    raise AssertionError("atheris has returned")


if __name__ == "__main__":
    sys.exit(main())
