"""What the cog blocks of README.md and docs/ print: tables from the code, figures from the shipped data, and what
commands print when they are run.

`make docs` writes the blocks anew, `make check` fails where they differ from what the code prints today.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from traitcast.predictor.effects.interventions import Effect

__all__ = [
    "calibration",
    "changes",
    "command_line",
    "findings",
    "interventions",
    "metric_definitions",
    "planted_findings",
    "probe_definitions",
    "public_findings",
    "quality",
    "readable_columns",
    "readable_files",
    "readable_languages",
    "readable_tasks",
    "readable_turns",
    "reference_matrix",
    "shell",
    "trait_catalogue",
    "warehouse_tables",
]

NOWHERE = "no-such-file.duckdb"
WIDTH = 116
# The default predictor learns this metric of this matrix; the box in README.md is about it.
DEFAULT_MATRIX, DEFAULT_METRIC = "smollm2_84", "gold_nll_calibrated"


def _table(head: str, rows: list[tuple[str, ...]]) -> str:
    names = head.split(" | ")
    lines = [f"| {head} |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


# -- the code ---------------------------------------------------------------------------------------------------


def trait_catalogue() -> str:
    """The trait catalogue, one table per family; a trait of the prompt and its twin of the response share a line."""
    from traitcast.profiler.traits.catalogue import CATALOGUE, PAIRS

    names: dict[tuple[str, ...], list[str]] = {}
    for d in CATALOGUE:
        stem = d.trait.removeprefix(f"{d.part}_")
        names.setdefault((d.family, stem, d.unit, d.tier, d.definition, d.source), []).append(d.trait)
    families = list(dict.fromkeys(d.family for d in CATALOGUE))
    pairs = sum(d.family == PAIRS for d in CATALOGUE)
    parts = [f"{len(CATALOGUE)} traits in {len(families)} families, {pairs} of them of preference pairs only."]
    for family in families:
        of = {what: traits for what, traits in names.items() if what[0] == family}
        sources = list(dict.fromkeys(what[-1] for what in of))
        rows = [
            ("<br>".join(f"`{name}`" for name in traits), unit, tier, _cell(definition), str(sources.index(source) + 1))
            for (_, _, unit, tier, definition, source), traits in of.items()
        ]
        numbered = "; ".join(f"{number}: {_cell(source)}" for number, source in enumerate(sources, 1))
        title = family.replace("_", " ").capitalize()
        parts += [f"## {title}", _table("trait | unit | rows | definition | source", rows), f"Sources: {numbered}."]
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def command_line() -> str:
    """The --help of every command, without the options that all of them share."""
    from traitcast.cli import cli

    root = click.Context(cli, info_name="traitcast", max_content_width=100, terminal_width=100)
    lines: list[str] = []
    for name in cli.list_commands(root):
        lines += _command(cli.commands[name], root)
    return "\n".join(lines).rstrip()


def _command(command: click.Command, parent: click.Context) -> list[str]:
    shown = copy.copy(command)
    shown.params = [param for param in command.params if not _common(param)]
    shown.add_help_option = False
    context = click.Context(shown, info_name=command.name, parent=parent, max_content_width=100, terminal_width=100)
    # The commands of a group follow, each under its own heading.
    text = shown.get_help(context).removeprefix("Usage: ").partition("\n\nCommands:")[0]
    lines = [f"## {context.command_path}", "", "```text", text, "```", ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            lines += _command(command.commands[name], context)
    return lines


def _common(param: click.Parameter) -> bool:
    """Whether docs/reference/cli.md states an option once for all commands."""
    formats = getattr(param.type, "choices", ("table", "json"))
    return bool({"--warehouse", "--format"} & set(param.opts)) and set(formats) == {"table", "json"}


def findings() -> str:
    """The checks of `traitcast check`, worst first."""
    from traitcast.profiler.findings.checks import CHECKS, SEVERITIES

    limits = {"over_context": "`--context`"}
    said = {check.name: check.sentence.format(limit=limits.get(check.name, 5), words=5) for check in CHECKS}
    checks = sorted(CHECKS, key=lambda check: SEVERITIES.index(check.severity))
    rows = [(f"`{check.name}`", check.severity, said[check.name], _cell(check.cure)) for check in checks]
    return _table("check | severity | rows that ... | what to do", rows)


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def readable_files() -> str:
    """File endings, and the words of file and folder names that name a split."""
    from traitcast.profiler.reading.files import FORMATS
    from traitcast.profiler.reading.formats.text_lines import COMPRESSIONS
    from traitcast.profiler.reading.shards import COPY_WORDS
    from traitcast.profiler.reading.source import HELD_OUT, SPLIT_WORDS

    endings = {kind: [ending for ending, of in FORMATS.items() if of == kind] for kind in FORMATS.values()}
    splits = {split: [word for word, of in SPLIT_WORDS.items() if of == split] for split in SPLIT_WORDS.values()}
    rows = [(f"{kind} file", _names(found)) for kind, found in endings.items()]
    rows += [("the same, packed", _names(list(COMPRESSIONS)))]
    rows += [(f"split {split}", _names(found)) for split, found in splits.items()]
    rows += [("splits to test on, in this order", _names(HELD_OUT)), ("copies, read once", _names(sorted(COPY_WORDS)))]
    return _table("what | in the name", rows)


def readable_columns() -> str:
    """The usual names of columns, by what they hold."""
    from traitcast.profiler.roles import column_names as names

    heads: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for head, others, answers in names.GENERATION:
        heads.setdefault((others, answers), []).append(head)
    rows = [
        ("text of a classification", _names(sorted(names.SINGLE))),
        ("pair of texts", "; ".join(_names(pair) for pair in names.PAIRS)),
        ("label", _names(["label", *sorted(names.LABELS)])),
        ("score with fractions", _names(sorted(names.SCORES))),
        ("several labels", _names(sorted(names.LABEL_LISTS))),
        ("tokens that have tags", _names(names.TOKENS)),
        ("spans of a text", _names(sorted(names.SPANS))),
        ("options, as a list", _names(names.OPTIONS)),
        ("options, a column each", f"`{names.OPTION_COLUMN.pattern}`".replace("|", "\\|")),
        ("the right option", _names(names.MC_ANSWERS)),
        ("lists of texts that read as one", _names(sorted(names.TEXT_LISTS))),
        ("instructions of a system", _names(names.SYSTEM)),
        ("better and worse response", "; ".join(_names(pair) for pair in names.CHOSEN)),
        ("their scores", "; ".join(_names(pair) for pair in names.CHOSEN_SCORES)),
        ("two responses, with `_a` and `_b`, 0 and 1, or 1 and 2 behind", _names(names.COMPARED_STEMS)),
        ("which of them is better", f"{_names(names.VERDICTS)}; {_names(names.WEAK_VERDICTS)}"),
        ("scores of them, with the same ending", _names(names.COMPARED_SCORES)),
        ("response with a label of true and false", _names(names.JUDGED)),
        ("ranked responses, and their grades", f"{_names(names.RANKED)}; {_names(names.GRADES)}"),
    ]
    of_prompts = [(_names(found), _names(others), _names(answers)) for (others, answers), found in heads.items()]
    return f"{_table('what | columns', rows)}\n\n{_table('prompt | may go with it | response', of_prompts)}"


def readable_languages() -> str:
    """Usual names of columns in other languages than English."""
    from traitcast.profiler.roles.column_names import IN_ENGLISH

    ours: dict[str, list[str]] = {}
    for theirs, name in IN_ENGLISH.items():
        ours.setdefault(name, []).append(theirs)
    return _table("read as | columns", [(f"`{name}`", _names(theirs)) for name, theirs in ours.items()])


def readable_turns() -> str:
    """The layouts of conversations, and what an assistant is called."""
    from traitcast.profiler.roles import chat

    rows = [
        ("a turn: who, and what is said", "; ".join(_names(keys) for keys in chat.LAYOUTS)),
        ("a question and its answer", "; ".join(_names(keys) for keys in chat.EXCHANGES)),
        ("the assistant is called", _names(chat.ASSISTANTS)),
    ]
    return _table("what | keys", rows)


def readable_tasks() -> str:
    """Task types with their metrics, and the short names of roles."""
    from traitcast.profiler.roles.short_roles import ROLE_WORDS
    from traitcast.profiler.roles.spec import METRICS

    rows = [(f"`{kind}`", _names(metrics)) for kind, metrics in METRICS.items()]
    words = [(f"`{word}=`", ", ".join(f"`{key}`" for key in keys if key)) for word, keys in ROLE_WORDS.items()]
    return f"{_table('task type | metrics', rows)}\n\n{_table('in --roles | in a spec', words)}"


def planted_findings() -> str:
    """How many planted faults each check finds, and what it marks besides."""
    from benchmarks.findings import measure, table

    return _table("check | datasets | planted rows | rows found | precision | recall", list(table(measure())))


def public_findings() -> str:
    """What was found in the public datasets that ship."""
    found = _query(
        "WITH each AS (SELECT finding, severity, dataset, sum(count)::BIGINT AS n FROM findings "
        "WHERE dataset IN (SELECT name FROM datasets WHERE reference) GROUP BY ALL) "
        "SELECT finding, severity, count(*) AS datasets, sum(n)::BIGINT AS rows, "
        "string_agg(dataset || ' ' || n, ', ' ORDER BY n DESC, dataset) AS most FROM each GROUP BY ALL "
        "ORDER BY min(list_position(['error', 'warning', 'info'], severity)), rows DESC"
    )
    rows = [
        (f"`{f['finding']}`", f["severity"], str(f["datasets"]), f"{f['rows']:,}", ", ".join(f["most"].split(", ")[:4]))
        for f in found
    ]
    return _table("check | severity | datasets | rows | most in", rows)


def warehouse_tables() -> str:
    """Tables and views of an empty warehouse with their columns, the natural key in bold."""
    from traitcast.warehouse.database.schema import NATURAL_KEYS

    found = _query(
        "SELECT table_name AS name, list(column_name ORDER BY ordinal_position) AS columns "
        "FROM information_schema.columns WHERE table_schema = 'main' "
        "AND table_name NOT IN ('profiles', 'traitcast_meta') GROUP BY table_name ORDER BY table_name"
    )
    rows = []
    for row in found:
        key = NATURAL_KEYS.get(row["name"], ())
        columns = ", ".join(f"**`{name}`**" if name in key else f"`{name}`" for name in row["columns"])
        rows.append((f"`{row['name']}`" + ("" if key else " (view)"), columns))
    return _table("table or view | columns, the natural key in bold", rows)


def metric_definitions() -> str:
    """Metrics and baselines of `evaluate`, from the docstrings of the functions."""
    from traitcast.predictor.evaluation import baselines, metrics

    about: dict[str, Callable[..., Any]] = {
        "spearman": metrics.spearman,
        "pairwise_accuracy": metrics.pairwise_accuracy,
        "ndcg": metrics.ndcg,
        "regret_at_1, _3, _5": metrics.regret_at,
        "sign_accuracy": metrics.sign_accuracy,
    }
    rows = [(f"`{name}`", _summary(function)) for name, function in about.items()]
    rows += [
        ("`rmse`", "Root of the mean squared error over all predicted cells."),
        ("`coverage_90`", "Share of measured gains inside their 90 % interval."),
    ]
    known = (
        baselines.zero,
        baselines.mean,
        baselines.target_mean,
        baselines.source_mean,
        baselines.additive,
        baselines.ridge,
        baselines.nearest_profiles,
    )
    compared = [(f"`{function.__name__}`", _summary(function)) for function in known]
    compared.append(("each similarity", "One pair similarity alone, scaled by least squares on the training cells."))
    return f"{_table('metric | definition', rows)}\n\n{_table('baseline | definition', compared)}"


def _summary(function: Callable[..., Any]) -> str:
    """The docstring up to its first section, on one line."""
    text = re.split(r"\n\s*\w+\n\s*---", function.__doc__ or "")[0]
    return " ".join(text.split())


def probe_definitions() -> str:
    """The probes with their definitions."""
    from traitcast.warehouse.probes import PROBES

    return _table("probe | unit | definition", [(f"`{d.trait}`", d.unit, d.definition) for d in PROBES])


def changes() -> str:
    """The changes that `traitcast vary` makes."""
    from traitcast.profiler.variants import CHANGES

    rows = []
    for change in CHANGES.values():
        kinds = ", ".join(kind.replace("_", " ") for kind in change.kinds) if len(change.kinds) < 3 else "all"
        rows.append((f"`{change.name}`", change.does, f"`{change.traits}`", kinds))
    return _table("change | what it does | moves | of", rows)


# -- the shipped data -------------------------------------------------------------------------------------------


def _query(sql: str) -> list[dict[str, Any]]:
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(NOWHERE, read_only=True) as warehouse:
        return list(warehouse.query(sql).to_pylist())


def reference_matrix() -> str:
    """What the shipped matrix that was measured says."""
    from benchmarks.reference_matrix import markdown
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(NOWHERE, read_only=True) as warehouse:
        return markdown(warehouse, DEFAULT_MATRIX)


@cache
def _evaluations() -> dict[tuple[str, str | None, str], dict[str, Any]]:
    """The stored results of `evaluate --save` by matrix, metric and protocol."""
    rows = _query(
        "SELECT matrix, metric, protocol, result FROM evaluations WHERE tier = 'static' AND outcome = 'gain' "
        "ORDER BY matrix, metric, protocol"
    )
    return {(row["matrix"], row["metric"], row["protocol"]): json.loads(row["result"]) for row in rows}


def quality() -> str:
    """How good the predictor is, as `evaluate --save` of `make reference` stored it."""
    rows = []
    for (matrix, metric, protocol), found in _evaluations().items():
        ranked = {name: m["spearman"]["value"] for name, m in found["baselines"].items()}
        best = max((name for name in ranked if ranked[name] is not None), key=lambda name: ranked[name])
        rows.append(
            (
                f"`{matrix}`" + (f", `{metric}`" if metric else ""),
                protocol,
                _interval(found["model"]["spearman"]),
                _interval((found["over_source_mean"] or {}).get("spearman"), sign="+"),
                f"{best.removeprefix('similarity:').replace('_', ' ')} {ranked[best]:.2f}",
                _ceiling(found),
                f"{found['model']['rmse']['value']:.1f}",
                f"{found['baselines']['zero']['rmse']['value']:.1f}",
                f"{found['interval_width']:.0f}, {100 * found['model']['coverage_90']['value']:.0f} %",
                f"{found['harm']['brier']:.2f} ({found['harm']['base']:.2f})",
            )
        )
    head = (
        "matrix | protocol | Spearman | over the source mean | best baseline | ceiling | rmse | rmse of no change | "
        "90 % interval: width, coverage | Brier score of harm (of a constant)"
    )
    return _table(head, rows)


def _ceiling(found: dict[str, Any]) -> str:
    value = (found["ceiling"] or {}).get("spearman", {}).get("value")
    return "unknown" if value is None else f"{value:.2f} ({found['ceiling_kind']})"


def _interval(estimate: dict[str, float] | None, sign: str = "") -> str:
    if estimate is None or estimate["value"] is None:
        return ""
    value, low, high = (f"{estimate[name]:{sign}.2f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def calibration() -> str:
    """What a ranking of the shipped predictor can be trusted for, as a quotation: a verdict and four lines."""
    found = _evaluations()[DEFAULT_MATRIX, DEFAULT_METRIC, "new-target"]
    model, harm = found["model"], found["harm"]
    chance, mean = (found["baselines"][name] for name in ("mean", "source_mean"))
    rows = [
        (
            "rank correlation with the measured gains",
            _interval(model["spearman"]),
            f"0 is chance; the mean gain of a source on other targets {mean['spearman']['value']:.2f}",
        ),
        ("pairs of sources in the right order", f"{100 * model['pairwise_accuracy']['value']:.0f} %", "50 % is chance"),
        (
            "gain missed by trying its three best sources",
            f"{model['regret_at_3']['value']:.1f} cnat",
            f"the three best on average miss {mean['regret_at_3']['value']:.1f}, three random ones "
            f"{chance['regret_at_3']['value']:.1f} cnat",
        ),
        (
            "measured gains inside the 90 % interval",
            f"{100 * model['coverage_90']['value']:.0f} %",
            f"the interval is {found['interval_width']:.0f} cnat wide, of a constant {found['constant_width']:.0f}",
        ),
        (
            "error of the chance of harm (Brier score)",
            f"{harm['brier']:.2f}",
            f"always saying the overall share of harms gives {harm['base']:.2f}",
        ),
    ]
    if model["spearman"]["low"] > 0:
        verdict = "**Take this ranking as a hint.** On targets that it has not seen it ranks better than chance:"
    else:
        verdict = (
            "**Do not choose a dataset by this ranking yet.** "
            "On targets that it has not seen it ranks sources no better than chance:"
        )
    text = f"{verdict}\n\n{_table('on targets it has not seen | measured | for comparison', rows)}"
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def interventions(metric: str | None = None) -> str:
    """What the variants in the shipped matrix did."""
    from traitcast.predictor.effects.interventions import interventions as find
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(NOWHERE, read_only=True) as warehouse:
        found = find(warehouse, matrix="smollm2_interventions", metric=metric)
    shown = [("gain", "own"), ("gain", "others"), ("label_shift", "others"), ("length_shift", "others")]
    by = {(e.change, e.outcome, e.on): e for e in found.effects}
    rows = [
        (f"`{change}`", *(_effect(by.get((change, *what))) for what in shown))
        for change in dict.fromkeys(e.change for e in found.effects)
    ]
    head = " | ".join(["change", *(f"{outcome.replace('_', ' ')}, {on}" for outcome, on in shown)])
    notes = [f"{note[0].upper()}{note[1:].removesuffix('.')}." for note in found.notes]
    return "\n".join([*notes, "", _table(head, rows)])


def _effect(effect: Effect | None) -> str:
    """A difference with its interval and the number of sources, in bold where it is a find; an interval over the
    targets of one source says so."""
    if effect is None:
        return ""
    known = "" if effect.low != effect.low else f" [{effect.low:+.1f}, {effect.high:+.1f}]"
    rests = f"n = {effect.sources}" if effect.over == "sources" else "one source"
    text = f"{effect.difference:+.1f}{known}, {rests}"
    return f"**{text}**" if effect.q <= 0.05 else text


# -- commands ---------------------------------------------------------------------------------------------------


@cache
def _folder() -> str:
    """A folder that holds the example, where commands run one after the other, as a reader would run them."""
    folder = Path(tempfile.mkdtemp(prefix="traitcast-docs-"))
    shutil.copytree(ROOT / "examples" / "support_tickets", folder / "support_tickets")
    return str(folder)


@cache
def _run(command: str) -> str:
    words = shlex.split(command)
    if words[0] != "traitcast":
        raise ValueError(f"{command!r}: only traitcast is run")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRAITCAST_")}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=_folder(),
        env=environment | {"COLUMNS": "80", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{command!r} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def shell(*commands: str, lines: int | Sequence[int] = 0) -> str:
    """The commands with what each prints on stdout: the first `lines` of it (a number for each, or one), or all."""
    limits = [lines] * len(commands) if isinstance(lines, int) else lines
    shown = []
    for command, limit in zip(commands, limits, strict=True):
        printed = _run(command).rstrip().splitlines()
        cut = [*printed[:limit], "..."] if limit and len(printed) > limit else printed
        shown.append("\n".join([f"$ {command}", *(_wrapped(line) for line in cut)]))
    return "```console\n" + "\n\n".join(shown) + "\n```"


def _wrapped(line: str) -> str:
    """A long sentence over several lines; a row of a table as it is."""
    if len(line) <= WIDTH or "  " in line.strip():
        return line.rstrip()
    indent = "    " if line.startswith(" ") else ""
    return textwrap.fill(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
