"""What becomes of a warehouse, and of who reads it, when bits of the file flip.

    python benchmarks/flips.py --copies 200 --seed 1

Changes a bit, a byte or a run of bytes anywhere in copies of a warehouse, or a bit of its headers, and reads every copy
by the command line and by the checksums of its tables. An answer must be that of the whole file, or a refusal: exit
code 2, nothing on stdout, no traceback. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from reliability import NAMES, fork, inputs, joined, matrix_warehouse  # noqa: E402

COMMANDS = (
    ("datasets",),
    ("show", NAMES[0]),
    ("compare", NAMES[0], NAMES[1]),
    ("sql", "SELECT sum(score), count(*) FROM scores"),
    ("sql", "SELECT * FROM transfer_matrix ORDER BY ALL"),
    ("scores", "list"),
)


def answers(file: Path) -> dict[str, Any]:
    """What every command says of a file: (exit code, stdout), and "raised" for what no command may do."""
    import click.testing

    import traitcast.cli
    from traitcast.warehouse.database.checksums import check_tables
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.errors import WarehouseError

    found: dict[str, Any] = {}
    for argv in COMMANDS:
        words = [*argv, "--format", "json", "--warehouse", str(file)]
        result = click.testing.CliRunner().invoke(traitcast.cli.cli, words)
        odd = result.exception is not None and not isinstance(result.exception, SystemExit)
        found[" ".join(argv)] = [result.exit_code, result.stdout, repr(result.exception) if odd else ""]
    try:
        with Warehouse.open(file, read_only=True) as warehouse:
            found["tables"] = [0, {one.table: one.checksum or "damaged" for one in check_tables(warehouse)}, ""]
    except WarehouseError as error:
        found["tables"] = [2, str(error), ""]
    return found


def flip(raw: bytearray, draw: random.Random) -> str:
    """Damage one place of a file; how."""
    at, kind = draw.randrange(len(raw)), draw.choice(("bit", "byte", "run", "header"))
    if kind == "header":
        at %= 3 * 4096
    size = draw.randrange(2, 4096) if kind == "run" else 1
    for place in range(at, min(at + size, len(raw))):
        raw[place] ^= 1 << draw.randrange(8) if kind in ("bit", "header") else draw.randrange(1, 256)
    return kind


def judged(right: dict[str, Any], found: dict[str, Any]) -> Counter[str]:
    """How many answers are right, refused, or neither."""
    outcomes: Counter[str] = Counter()
    for name, (code, said, raised) in found.items():
        if raised:
            outcomes["raised"] += 1
            print(f"{name}: {raised}", file=sys.stderr)
        elif name == "tables" and code == 0:
            wrong = {t for t, checksum in said.items() if checksum not in (right[name][1].get(t), "damaged")}
            outcomes["wrong" if wrong or set(said) != set(right[name][1]) else "right"] += 1
        elif code == 0:
            outcomes["right" if said == right[name][1] else "wrong"] += 1
        else:
            outcomes["refused" if code == 2 and not (name != "tables" and said) else "odd"] += 1
    return outcomes


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw, total, files = random.Random(arguments.seed), Counter[str](), Counter[str]()
    longest = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["TRAITCAST_REFERENCE"] = str(folder / "no_reference")
        inputs(folder)
        joined(*fork(lambda: matrix_warehouse(folder)))
        whole = folder / "w.duckdb"
        right = joined(*fork(lambda: answers(whole)))
        size = whole.stat().st_size
        for _ in range(arguments.copies):
            copy = folder / "copy.duckdb"
            shutil.copy(whole, copy)
            raw = bytearray(copy.read_bytes())
            flip(raw, draw)
            copy.write_bytes(raw)
            began = time.monotonic()
            found = joined(*fork(partial(answers, copy)))
            longest = max(longest, time.monotonic() - began)
            outcomes = judged(right, found) if found is not None else Counter({"killed": 1})
            total += outcomes
            worst = next(kind for kind in ("killed", "raised", "wrong", "odd", "refused", "right") if outcomes[kind])
            files[worst] += 1
    print(json.dumps({"copies": arguments.copies, "bytes": size, "files": files, "answers": total,
                      "longest_s": round(longest, 1)}))  # fmt: skip
    sys.exit(bool(total["wrong"] + total["raised"] + total["odd"] + total["killed"]))


if __name__ == "__main__":
    main()
