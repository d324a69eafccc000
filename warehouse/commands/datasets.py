"""Commands that look at profiles: datasets, show, compare, card."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse.charts import plot_option
from traitcast.warehouse.commands.restore import restore as restore_shipped
from traitcast.warehouse.console import (
    command,
    count,
    default_warehouse,
    emit,
    emit_json,
    emit_table,
    format_option,
    inline,
    report_errors,
    say,
    tell,
    warehouse_option,
)
from traitcast.warehouse.errors import UserError, some

if TYPE_CHECKING:
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.percentiles import Standing
    from traitcast.warehouse.records import Profile, TraitDefinition, TraitMatrix, TraitValue

_INDENT = 8
_OTHER_OUTPUT = "Choose another file with --output."
_COMPARED = ("trait", "first", "second", "standardised_difference", "unit", "family")
_FILE_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


@click.command()
@click.option(
    "--restore",
    multiple=True,
    metavar="NAME",
    help="First bring the shipped profile of that name back in place of yours.",
)
@warehouse_option
@format_option("table", "json", "csv", "jsonl")
@report_errors
def datasets(restore: tuple[str, ...], warehouse_path: str, output_format: str) -> None:
    """List the profiled datasets.

    \b
    Examples:
      traitcast datasets
      traitcast datasets --format csv
      traitcast datasets --restore sst2
    """
    from traitcast.warehouse.database.profiles import warn_outdated
    from traitcast.warehouse.database.warehouse import Warehouse

    if restore:
        restore_shipped("datasets", restore, "profile", warehouse_path)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        rows = warehouse.datasets()
        warn_outdated(warehouse)
    columns = [
        "name",
        "task_type",
        "family",
        "rows",
        "classes",
        "majority",
        "prompt_words",
        "response_words",
        "reference",
    ]
    emit(rows, output_format, columns, optional=("classes", "family", "reference"))
    if output_format == "table":
        place = "" if Path(warehouse_path).exists() else f" (the shipped data: {warehouse_path} does not exist yet)"
        say(
            f"{count(len(rows), 'dataset')}{place}. Show one: {command('show', 'NAME')}. "
            f"Compare two: {command('compare', 'A', 'B')}"
        )


@click.command()
@click.argument("name")
@click.option("--traits", is_flag=True, help="Every trait, with its standard error and n.")
@click.option("--family", help="Only traits of one family, for example class_balance.")
@plot_option
@warehouse_option
@format_option()
@report_errors
def show(
    name: str, traits: bool, family: str | None, plot: Path | None, warehouse_path: str, output_format: str
) -> None:
    """Show one profile: its findings and what is unusual about it.

    A percentile is the share of reference datasets with a lower value: 50 is usual, 0 and 100 are the extremes. The
    reference are the public datasets of the same task type, or all of them where fewer than ten are. The unusual
    traits are those farthest from their median, one from each group of correlated traits.

    \b
    Examples:
      traitcast show sst2
      traitcast show gsm8k --family generation_length
      traitcast show gsm8k --plot gsm8k.png
    """
    from traitcast.warehouse.database.profiles import warn_outdated
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.errors import nearest
    from traitcast.warehouse.percentiles import among, kin, most_unusual, standings

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        profile = warehouse.profile(name)
        catalogue = {d.trait: d for d in warehouse.catalogue()}
        reference = _reference(warehouse)
        warn_outdated(warehouse, [name])
    families = list(dict.fromkeys(d.family for d in catalogue.values()))
    if family and family not in families:
        raise UserError(f"no trait family {family!r}{nearest(family, families)} There are: {', '.join(families)}.")
    alike = kin(profile, reference)
    places = standings(profile, alike)
    rows = [
        {
            "trait": t.trait,
            "value": t.value,
            "standard_error": t.standard_error,
            "n": t.n,
            "percentile": round(places[t.trait].percentile, 1) if t.trait in places else None,
            "unit": catalogue[t.trait].unit if t.trait in catalogue else None,
            "family": catalogue[t.trait].family if t.trait in catalogue else None,
        }
        for t in profile.traits
    ]
    rows = [row for row in rows if not family or row["family"] == family]
    wanted = {t: s for t, s in places.items() if not family or s.trait.family == family}
    unusual = most_unusual(profile, wanted, reference)
    if plot is not None:
        drawn = {s.trait.trait: s for s in (wanted.values() if family else unusual)}
        _draw(plot, [(name, drawn)], [] if family else [profile])
    if output_format == "json":
        told = {"compared_with": list(alike.names), "unusual": [_unusual_json(standing) for standing in unusual]}
        emit_json({**_profile_json(profile, rows), **told})
        return
    tell(_heading(profile), _INDENT)
    if profile.findings:
        tell(_findings_text(profile), _INDENT)
        finding = profile.findings[0].finding
        query = f"SELECT unnest(rows) FROM findings WHERE dataset = '{name}' AND finding = '{finding}'"
        say(f"Rows of a finding, as far as they are kept: {command('sql', query)}")
    if places:
        tell(_unusual_text(unusual, family, among(profile, alike)), _INDENT)
    if not (traits or family):
        say(f"All {len(rows)} traits: {command('show', name, '--traits')}")
        return
    emit_table(rows)
    shown = {row["trait"] for row in rows}
    if words := _exact_words(profile, [t for t in profile.traits if t.trait in shown], catalogue):
        say(words)


def _reference(warehouse: Warehouse) -> TraitMatrix:
    """The traits of the shipped datasets, against which percentiles are taken."""
    return warehouse.trait_matrix(warehouse.shipped("datasets"))


def _draw(plot: Path, places: Sequence[tuple[str, Mapping[str, Standing]]], profiles: Sequence[Profile] = ()) -> None:
    """Lengths, turns and classes of one or two profiles, and the percentiles of the same traits of them."""
    from traitcast.warehouse import charts
    from traitcast.warehouse.percentiles import MIN_PROFILES, in_unit
    from traitcast.warehouse.profiled import distribution_charts

    parts = distribution_charts(profiles)

    rows = [
        {"name": trait, "dataset": name, "percentile": s.percentile, "order": order, "dataset_order": which}
        | {"shown": in_unit(s.value, s.trait.unit)}
        for which, (name, standing) in enumerate(places)
        for order, (trait, s) in enumerate(standing.items())
    ]
    if rows:
        parts.append(charts.percentiles(rows))
    if not parts:
        raise UserError(
            f"nothing to draw: no trait has a percentile, which takes {MIN_PROFILES} reference datasets that have it. "
            "Omit --plot."
        )
    charts.write(charts.stacked(parts, title=" and ".join(name for name, _ in places)), plot)
    say(f"drew {plot}")


def _shared_text(warehouse: Warehouse, profiles: Sequence[Profile]) -> str:
    """How many texts two datasets share by their sketches, and the command that names the rows."""
    import numpy as np

    from traitcast.warehouse.overlap import shared_texts

    sketches = warehouse.sketches().get(("prompt", "texts_bottom"), {})
    a, b = (sketches.get(profile.name) for profile in profiles)
    if a is None or b is None:
        return "Texts in common: not known, since one has no prompt of four words or more.\n"
    share = float(shared_texts(a[None], b[None])[0])
    seen = min(int(np.isfinite(vector).sum()) for vector in (a, b))
    words = "none found" if share == 0 else f"about {share:.1%} of those of the smaller one"
    text = f"Texts of the prompts in common: {words}, by up to {seen:,} texts of each."
    places = [str(profile.details.get("origin") or "") for profile in profiles]
    if all(os.path.exists(place) for place in places):
        text += f" Row by row: {command('check', places[0], '--against', places[1], warehouse=default_warehouse())}"
    return text + "\n"


def _exact_words(profile: Profile, shown: Sequence[TraitValue], catalogue: Mapping[str, TraitDefinition]) -> str:
    """Why some traits have a value but no standard error; "" when all have one."""
    bare = [t.trait for t in shown if t.value is not None and t.standard_error is None]
    if not bare:
        return ""
    # Of a small dataset, the sample is all there is.
    whole = profile.details.get("sample_rows", profile.rows) >= profile.rows
    unknown = 0 if whole else sum(t not in catalogue or catalogue[t].tier != "all rows" for t in bare)
    rows = count(profile.rows, "row")
    words = f"Without a standard error: {count(len(bare) - unknown, 'trait')} counted over all {rows} (exact)"
    return words + (f", and {unknown:,} of the sample for which no simple formula exists" if unknown else "")


def _unusual_json(standing: Standing) -> dict[str, Any]:
    from traitcast.warehouse.percentiles import in_words

    return {
        "trait": standing.trait.trait,
        "value": standing.value,
        "median": standing.median,
        "percentile": round(standing.percentile, 1),
        "words": in_words(standing),
    }


def _unusual_text(unusual: Sequence[Standing], family: str | None, others: str) -> str:
    """The most extreme traits in words, a line each. family: the only one that was looked at. others: the reference."""
    from traitcast.warehouse.percentiles import TAIL, in_words, meaning

    if not unusual:
        of = "" if family is None else f" of {family}"
        return f"Nothing about it is unusual: no trait{of} lies in the outer {TAIL:.0%} of {others}.\n"
    lines = [f"  {s.trait.trait}: {in_words(s)}. {meaning(s.trait)}." for s in unusual]
    return "\n".join([f"What is unusual about it, among {others}:", *lines, ""])


def _findings_text(profile: Profile) -> str:
    """What is wrong with the dataset, a line for each finding, worst first."""
    kinds = Counter(found.severity for found in profile.findings)
    counts = ", ".join(count(kinds[kind], kind) for kind in ("error", "warning") if kinds[kind])
    if kinds["info"]:
        counts += f"{', ' if counts else ''}{kinds['info']} to look at"
    lines = [
        f"  {found.severity.upper():<8}{found.finding}{found.where}: {inline(found.message)}"
        for found in profile.findings
    ]
    return "\n".join([f"Findings ({counts}):", *lines, ""])


def _profile_json(profile: Profile, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": profile.name,
        "fingerprint": profile.fingerprint,
        "task_type": profile.task_type,
        "rows": profile.rows,
        "family": profile.family,
        "language": profile.language,
        "licence": profile.licence,
        "parent": profile.parent,
        "changed": profile.changed,
        "details": dict(profile.details),
        "label_counts": dict(profile.label_counts),
        "findings": [asdict(found) for found in profile.findings],
        "traits": rows,
    }


def _heading(profile: Profile) -> str:
    facts = [f"{inline(profile.name)}: {profile.task_type}, {count(profile.rows, 'row')}"]
    facts += [
        f"{key} {inline(value)}"
        for key, value in (("language", profile.language), ("licence", profile.licence))
        if value
    ]
    lines = [", ".join(facts)]
    if profile.label_counts:
        shown = [f"{inline(label)} {n:,} ({n / profile.rows:.0%})" for label, n in profile.label_counts]
        lines.append(f"labels: {some(shown, 6)}")
    if lengths := _lengths(profile):
        lines.append(lengths)
    if len(languages := profile.details.get("languages") or {}) > 1:
        frequent = sorted(languages.items(), key=lambda one: -one[1])
        lines.append(f"languages of the prompts: {some([f'{name} {n:,}' for name, n in frequent], 6)}")
    if pairs := _pairs(profile):
        lines.append(pairs)
    if published := profile.details.get("published"):
        lines.append(f"published: {some([inline(at) for at in published], 3)}")
    lines += [f"warning: {inline(warning)}" for warning in profile.details.get("warnings", [])]
    return "\n".join([*lines, ""])


def _pairs(profile: Profile) -> str:
    """In what the better responses of a preference differ from the worse ones."""
    start = "response_preference_"
    found = {t.trait.removeprefix(start): t.value for t in profile.traits if t.trait.startswith(start)}
    longer, gap, overlap, margin = map(found.get, ("longer_share", "length_gap", "rejected_overlap", "margin_mean"))
    if longer is None or gap is None:
        return ""
    more = "more" if gap >= 0 else "fewer"
    facts = [f"the chosen response has {abs(gap):.1f} characters {more} on average, and is longer in {longer:.0%}"]
    facts += [] if overlap is None else [f"{overlap:.0%} of the words are in both"]
    facts += [] if margin is None else [f"mean margin {margin:.3g}"]
    return f"pairs: {'; '.join(facts)}"


def _lengths(profile: Profile) -> str:
    """The lengths of nine in ten prompts and responses."""
    values = {t.trait: t.value for t in profile.traits}
    told = []
    for part in ("prompt", "response"):
        low, middle, high = (values.get(f"{part}_words_{q}") for q in ("q05", "q50", "q95"))
        if low is not None and middle is not None and high is not None:
            told.append(f"{part} {middle:,.0f} ({low:,.0f} to {high:,.0f})")
    return f"words, median (5 % to 95 %): {', '.join(told)}" if told else ""


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option(
    "--top", type=click.IntRange(0), default=30, show_default=True, help="Rows to print in a table; 0 for all."
)
@plot_option
@warehouse_option
@format_option()
@report_errors
def compare(first: str, second: str, top: int, plot: Path | None, warehouse_path: str, output_format: str) -> None:
    """Compare two profiles, the largest differences first.

    A difference is standardised by the spread of the trait over all profiled datasets, so that 1.0 means "as
    far apart as two datasets usually are". After the others come traits that repeat one above, and last those that
    differ by less than two standard errors.

    \b
    Examples:
      traitcast compare sst2 gsm8k
      traitcast compare sst2 gsm8k --plot both.svg
    """
    from traitcast.warehouse.database.profiles import warn_outdated
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.percentiles import compare_profiles, standings

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        profiles = [warehouse.profile(first), warehouse.profile(second)]
        if first == second:
            raise UserError(f"{first!r} is one dataset; give two to compare. Show it: {command('show', first)}")
        rows = compare_profiles(warehouse.trait_matrix(), profiles[0], profiles[1])
        shared = _shared_text(warehouse, profiles)
        warn_outdated(warehouse, [first, second])
        if plot is not None:
            reference = _reference(warehouse)
            both = [(profile.name, standings(profile, reference)) for profile in profiles]
    if plot is not None:
        drawn = [row["trait"] for row in rows if all(row["trait"] in places for _, places in both)][: top or None]
        _draw(plot, [(name, {trait: places[trait] for trait in drawn}) for name, places in both], profiles)
    if output_format == "json":
        emit_json(rows)
        return
    for profile in profiles:
        tell(_heading(profile), _INDENT)
    tell(shared)
    if top > 0:
        say(
            f"{min(top, len(rows))} of {count(len(rows), 'trait')}: the largest differences, one of each group of "
            "correlated traits (--top 0 for all)"
        )
        rows = rows[:top]
    emit_table(rows, list(_COMPARED), headings={"first": first, "second": second}, optional=("unit", "family"))


@click.command()
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE; in an existing README.md, only the section and missing metadata.",
)
@warehouse_option
@format_option("markdown", "json")
@report_errors
def card(name: str, output: Path | None, warehouse_path: str, output_format: str) -> None:
    """Write a profile as a section of a Hugging Face dataset card, with its metadata.

    In an existing file the section goes between two marks and is replaced when the command runs again. The rest of the
    text and all existing metadata stay as they are.

    \b
    Examples:
      traitcast card sst2
      traitcast card sst2 --output README.md
    """
    from traitcast.warehouse.database.profiles import warn_outdated
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.dataset_card import card as made_of
    from traitcast.warehouse.dataset_card import write

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        made = made_of(warehouse.profile(name), _reference(warehouse))
        warn_outdated(warehouse, [name])
    there = write(output, made) if output else False
    if output_format == "json":
        emit_json({"name": made.name, "metadata": dict(made.metadata), "markdown": made.section})
    elif output is None:
        click.echo(made.whole(), nl=False)
    if output:
        say(f"{'put the section into' if there else 'wrote'} {output}")
