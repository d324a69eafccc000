"""What the cog blocks in docs/*.md call: tables and help texts taken from the code itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent.parent))

import click

if TYPE_CHECKING:
    from traitcast.predictor.effects.interventions import Effect


def trait_catalogue() -> str:
    """The trait catalogue as Markdown, one table per family."""
    from traitcast.profiler.traits.catalogue import CATALOGUE

    families = list(dict.fromkeys(d.family for d in CATALOGUE))
    lines = [f"{len(CATALOGUE)} traits in {len(families)} families.", ""]
    for family in families:
        lines += [f"## {family.replace('_', ' ')}", "", "| trait | unit | range | rows | definition | source |"]
        lines.append("|---|---|---|---|---|---|")
        for d in (d for d in CATALOGUE if d.family == family):
            span = f"{_bound(d.low, '-∞')} … {_bound(d.high, '∞')}"
            cells = (f"`{d.trait}`", d.unit, span, d.tier, d.definition, d.source)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _bound(value: float | None, unbounded: str) -> str:
    return unbounded if value is None else f"{value:g}"


def command_line() -> str:
    """The --help of every command as Markdown."""
    from traitcast import cli

    root = click.Context(cli, info_name="traitcast", max_content_width=100, terminal_width=100)
    lines: list[str] = []
    for name in cli.list_commands(root):
        lines += _command(cli.commands[name], root)
    return "\n".join(lines)


def _command(command: click.Command, parent: click.Context) -> list[str]:
    context = click.Context(command, info_name=command.name, parent=parent, max_content_width=100, terminal_width=100)
    lines = [f"## {context.command_path}", "", "```text", command.get_help(context), "```", ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            lines += _command(command.commands[name], context)
    return lines


def warehouse_tables() -> str:
    """Tables and views of an empty warehouse with their columns, as Markdown."""
    from traitcast.warehouse.database.schema import NATURAL_KEYS
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open("no-such-file.duckdb", read_only=True) as warehouse:
        rows = warehouse.query(
            "SELECT table_name, string_agg('`' || column_name || '` ' || data_type, ', ' ORDER BY ordinal_position) "
            "AS columns FROM information_schema.columns WHERE table_name NOT IN ('profiles', 'traitcast_meta') "
            "GROUP BY table_name ORDER BY table_name"
        ).to_pylist()
    lines = ["| table or view | natural key | columns |", "|---|---|---|"]
    for row in rows:
        key = ", ".join(NATURAL_KEYS.get(row["table_name"], ("(view)",)))
        lines.append(f"| `{row['table_name']}` | {key} | {row['columns']} |")
    return "\n".join(lines)


def metric_definitions() -> str:
    """Metrics and baselines of `evaluate` with their definitions, from the docstrings of the functions."""
    from traitcast.predictor.evaluation import baselines, metrics

    about = {
        "spearman": metrics.spearman,
        "pairwise_accuracy": metrics.pairwise_accuracy,
        "ndcg": metrics.ndcg,
        "regret_at_1, _3, _5": metrics.regret_at,
        "sign_accuracy": metrics.sign_accuracy,
    }
    lines = ["| metric | definition |", "|---|---|"]
    lines += [f"| `{name}` | {_flat(function.__doc__)} |" for name, function in about.items()]
    lines.append("| `rmse` | Root of the mean squared error over all predicted cells, pp. |")
    lines.append("| `coverage_90` | Share of measured gains inside their 90 % interval. |")
    lines += ["", "| baseline | definition |", "|---|---|"]
    for function in (
        baselines.zero,
        baselines.mean,
        baselines.target_mean,
        baselines.source_mean,
        baselines.additive,
        baselines.ridge,
        baselines.nearest_profiles,
    ):
        lines.append(f"| `{function.__name__}` | {_flat(function.__doc__)} |")
    lines.append("| each similarity | One pair similarity alone, scaled by least squares on the training cells. |")
    return "\n".join(lines)


def reference_matrix() -> str:
    """What the shipped matrix that was measured says, as Markdown."""
    from benchmarks.reference_matrix import NOWHERE, markdown
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(NOWHERE, read_only=True) as warehouse:
        return markdown(warehouse, "smollm2_cpu")


def probe_definitions() -> str:
    """The probes with their definitions, as Markdown."""
    from traitcast.warehouse.probes import PROBES

    lines = ["| probe | unit | definition |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{d.trait}` | {d.unit} | {d.definition} |" for d in PROBES)])


def changes() -> str:
    """The changes that `traitcast vary` makes, as Markdown."""
    from traitcast.profiler.variants import CHANGES

    lines = ["| change | what it does | moves | of |", "|---|---|---|---|"]
    for change in CHANGES.values():
        kinds = ", ".join(kind.replace("_", " ") for kind in change.kinds) if len(change.kinds) < 3 else "all"
        lines.append(f"| `{change.name}` | {change.does} | `{change.traits}` | {kinds} |")
    return "\n".join(lines)


def interventions(metric: str | None = None) -> str:
    """What the variants in the shipped matrix did, as Markdown."""
    from benchmarks.reference_matrix import NOWHERE
    from traitcast.predictor.effects.interventions import interventions as find
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(NOWHERE, read_only=True) as warehouse:
        found = find(warehouse, matrix="smollm2_interventions", metric=metric)
    shown = [("gain", "own"), ("gain", "others"), ("label_shift", "others"), ("length_shift", "others")]
    heads = ["change", *(f"{outcome.replace('_', ' ')}, {on}" for outcome, on in shown)]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    by = {(e.change, e.outcome, e.on): e for e in found.effects}
    for change in dict.fromkeys(e.change for e in found.effects):
        cells = [_effect(by.get((change, *what))) for what in shown]
        lines.append(f"| `{change}` | {' | '.join(cells)} |")
    return "\n".join([*(f"{note[0].upper()}{note[1:]}." for note in found.notes), "", *lines])


def _effect(effect: Effect | None) -> str:
    """A difference with its interval and the number of sources, in bold where it is a find; an interval over the
    targets of one source says so."""
    if effect is None:
        return ""
    known = "" if effect.low != effect.low else f" [{effect.low:+.1f}, {effect.high:+.1f}]"
    rests = f"n = {effect.sources}" if effect.over == "sources" else "one source"
    text = f"{effect.difference:+.1f}{known}, {rests}"
    return f"**{text}**" if effect.q <= 0.05 else text


def _flat(docstring: str | None) -> str:
    return " ".join((docstring or "").split())
