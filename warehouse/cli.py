"""Commands that look into the warehouse: datasets, show, compare, card, sql; and scores: import, restore, drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse.charts import plot_option
from traitcast.warehouse.console import (
    as_csv,
    as_json,
    as_jsonl,
    command,
    count,
    emit,
    emit_json,
    format_option,
    number,
    printable,
    report_errors,
    say,
    some,
    table,
    warehouse_option,
    warn,
)
from traitcast.warehouse.errors import QueryError, UserError
from traitcast.warehouse.files import check_output, replaced

if TYPE_CHECKING:
    import pyarrow as pa

    from traitcast.warehouse.database.shipped import Kind
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.percentiles import Standing
    from traitcast.warehouse.records import Profile, TraitDefinition, TraitMatrix, TraitValue

_OTHER_OUTPUT = "Choose another file with --output."
_FILE_SUFFIXES = (".csv", ".json", ".jsonl", ".parquet")


@click.command()
@click.option(
    "--restore",
    multiple=True,
    metavar="NAME",
    help="First put the shipped profile of that name back in place of yours.",
)
@warehouse_option
@format_option("table", "json", "csv", "jsonl")
@report_errors
def datasets(restore: tuple[str, ...], warehouse_path: str, output_format: str) -> None:
    """List what is profiled.

    \b
    Examples:
      traitcast datasets
      traitcast datasets --format csv
      traitcast datasets --restore sst2
    """
    from traitcast.warehouse.database.profiles import warn_outdated
    from traitcast.warehouse.database.warehouse import Warehouse

    if restore:
        _restore("datasets", restore, "profile", warehouse_path)
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
    emit(rows, output_format, columns)
    if output_format == "table":
        place = "" if Path(warehouse_path).exists() else f" (the reference data: there is no {warehouse_path} yet)"
        say(
            f"{count(len(rows), 'dataset')}{place}. One whole: {command('show', 'NAME')}. "
            f"Two side by side: {command('compare', 'A', 'B')}"
        )


def _restore(kind: Kind, names: Sequence[str], what: str, warehouse_path: str) -> None:
    """Put back what was shipped, and say so."""
    from traitcast.warehouse.database.warehouse import Warehouse

    # Without a file everything is as it was shipped, and a name that is not shipped is refused all the same.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        replaced = warehouse.restore(kind, names)
    for name in names:
        say(f"{name}: the shipped {what} is back" if name in replaced else f"{name}: it is the shipped {what} already")


@click.command()
@click.argument("name")
@click.option("--family", help="Only traits of one family, for example class_balance.")
@plot_option
@warehouse_option
@format_option()
@report_errors
def show(name: str, family: str | None, plot: Path | None, warehouse_path: str, output_format: str) -> None:
    """Show one profile: what is unusual about it, then every trait with its standard error and n.

    A percentile says how many of the reference datasets have a lower value: 50 is usual, 0 and 100 are the extremes.
    The unusual traits are those farthest from the median of the reference, one for each group that goes together.

    \b
    Examples:
      traitcast show sst2
      traitcast show gsm8k --family generation_length
      traitcast show gsm8k --plot gsm8k.png
    """
    from traitcast.warehouse.database.profiles import warn_outdated
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.errors import nearest
    from traitcast.warehouse.percentiles import most_unusual, standings

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        profile = warehouse.profile(name)
        catalogue = {d.trait: d for d in warehouse.catalogue()}
        reference = _reference(warehouse)
        warn_outdated(warehouse, [name])
    families = list(dict.fromkeys(d.family for d in catalogue.values()))
    if family and family not in families:
        raise UserError(f"no trait family {family!r}{nearest(family, families)} There are: {', '.join(families)}.")
    places = standings(profile, reference)
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
        _draw(plot, [(name, {s.trait.trait: s for s in (wanted.values() if family else unusual)})])
    if output_format == "json":
        emit_json({**_profile_json(profile, rows), "unusual": [_unusual_json(standing) for standing in unusual]})
        return
    click.echo(printable(_heading(profile)))
    if places:
        click.echo(_unusual_text(unusual, family))
    click.echo(table(rows))
    shown = {row["trait"] for row in rows}
    if words := _exact_words(profile, [t for t in profile.traits if t.trait in shown], catalogue):
        say(words)


def _reference(warehouse: Warehouse) -> TraitMatrix:
    """The traits of the shipped datasets, against which percentiles are taken."""
    return warehouse.trait_matrix(warehouse.shipped("datasets"))


def _draw(plot: Path, places: Sequence[tuple[str, Mapping[str, Standing]]]) -> None:
    """The percentiles of the same traits of one or two datasets."""
    from traitcast.warehouse import charts
    from traitcast.warehouse.percentiles import MIN_PROFILES

    rows = [
        {"name": trait, "dataset": name, "percentile": s.percentile, "order": order, "dataset_order": which}
        | {"shown": f"{number(s.value)} {s.trait.unit}"}
        for which, (name, standing) in enumerate(places)
        for order, (trait, s) in enumerate(standing.items())
    ]
    if not rows:
        raise UserError(
            f"nothing to draw: no trait has a percentile, which takes {MIN_PROFILES} reference datasets that have it. "
            "Leave --plot out."
        )
    charts.write(charts.percentiles(rows, title=" and ".join(name for name, _ in places)), plot)
    say(f"drew {plot}")


def _exact_words(profile: Profile, shown: Sequence[TraitValue], catalogue: Mapping[str, TraitDefinition]) -> str:
    """Why traits that have a value have no standard error, "" when all have one."""
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


def _unusual_text(unusual: Sequence[Standing], family: str | None) -> str:
    """The most extreme traits in words, a line each. family: the only one that was looked at."""
    from traitcast.warehouse.percentiles import TAIL, in_words, meaning

    if not unusual:
        of = "" if family is None else f" of {family}"
        return f"Nothing about it is unusual: no trait{of} lies in the outer {TAIL:.0%} of the reference datasets.\n"
    lines = [f"  {s.trait.trait}: {in_words(s)}. {meaning(s.trait)}." for s in unusual]
    return "\n".join(["What is unusual about it:", *lines, ""])


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
        "traits": rows,
    }


def _heading(profile: Profile) -> str:
    facts = [f"{profile.name}: {profile.task_type}, {count(profile.rows, 'row')}"]
    facts += [
        f"{key} {value}" for key, value in (("language", profile.language), ("licence", profile.licence)) if value
    ]
    lines = [", ".join(facts)]
    if profile.label_counts:
        shown = [f"{printable(label)} {n:,} ({n / profile.rows:.0%})" for label, n in profile.label_counts]
        lines.append(f"labels: {some(shown, 6)}")
    lines += [f"warning: {warning}" for warning in profile.details.get("warnings", [])]
    return "\n".join([*lines, ""])


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
    far apart as two datasets usually are".

    \b
    Examples:
      traitcast compare sst2 gsm8k
      traitcast compare sst2 gsm8k --plot both.svg
    """
    from traitcast.warehouse.database.profiles import warn_outdated
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.percentiles import compare_profiles, standings

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        warehouse.profile(first), warehouse.profile(second)
        if first == second:
            raise UserError(f"{first!r} is one dataset; give two to compare. See it whole: {command('show', first)}")
        rows = compare_profiles(warehouse.trait_matrix(), first, second)
        warn_outdated(warehouse, [first, second])
        if plot is not None:
            reference = _reference(warehouse)
            both = [(name, standings(warehouse.profile(name), reference)) for name in (first, second)]
    if plot is not None:
        drawn = [row["trait"] for row in rows if all(row["trait"] in places for _, places in both)][: top or None]
        _draw(plot, [(name, {trait: places[trait] for trait in drawn}) for name, places in both])
    if output_format == "json":
        emit_json(rows)
        return
    if top > 0:
        say(f"{min(top, len(rows))} of {count(len(rows), 'trait')}, by standardised difference (--top 0 for all)")
        rows = rows[:top]
    click.echo(table(rows, headings={"first": first, "second": second}))


@click.command()
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE; in a README.md that is there, only the section and the missing keys.",
)
@warehouse_option
@format_option("markdown", "json")
@report_errors
def card(name: str, output: Path | None, warehouse_path: str, output_format: str) -> None:
    """Write a profile as a section of a Hugging Face dataset card, with the metadata on top.

    In a file that exists, the section stands between two marks and is replaced when the command is run again; the
    rest of the text stays as it is, and so does every key of the metadata that is there.

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


@click.command()
@click.argument("query")
@click.option("--output", type=click.Path(dir_okay=False), help="Write to FILE (.csv, .json, .jsonl or .parquet).")
@click.option("--allow-external", is_flag=True, help="Let the query read other files, such as FROM 'mine.csv'.")
@warehouse_option
@format_option("table", "csv", "json", "jsonl")
@report_errors
def sql(query: str, output: str | None, allow_external: bool, warehouse_path: str, output_format: str) -> None:
    """Run one read-only SQL statement over the warehouse.

    \b
    Examples:
      traitcast sql "SELECT * FROM profiles" --output profiles.parquet
      traitcast sql "SELECT name, label_majority_share FROM profiles
                     WHERE label_majority_share > .8 AND response_tokens_mean < 3"
      traitcast sql "SELECT trait, unit, definition FROM trait_catalogue" --format csv
    """
    from traitcast.warehouse.database.warehouse import Warehouse

    destination = Path(output) if output else None
    if destination and destination.suffix not in _FILE_SUFFIXES:
        raise QueryError(f"cannot write {destination.name!r}: --output ends in one of {', '.join(_FILE_SUFFIXES)}.")
    if destination:
        check_output(destination, cure=_OTHER_OUTPUT)
    with Warehouse.open(warehouse_path, read_only=True, external=allow_external) as warehouse:
        result = warehouse.query(query, text=destination is None or destination.suffix != ".parquet")
    if destination:
        _write(result, destination)
        say(f"wrote {count(result.num_rows, 'row')} to {destination}")
    else:
        emit(_rows(result), output_format, result.column_names)
        if output_format == "table":
            say(count(result.num_rows, "row"))


def _write(result: pa.Table, destination: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with replaced(destination, cure=_OTHER_OUTPUT, error=QueryError) as file:
            if destination.suffix == ".parquet":
                pq.write_table(result, file)
            else:
                file.write(_text(result, destination.suffix).encode())
    except pa.ArrowException as error:  # lists of NULLs, before pyarrow 25
        raise QueryError(
            f"cannot write {destination} ({error}). CAST the column to VARCHAR, or choose a .json file with --output."
        ) from error


def _text(result: pa.Table, suffix: str) -> str:
    rows = _rows(result)
    if suffix == ".csv":
        return as_csv(rows, result.column_names)
    return as_jsonl(rows) if suffix == ".jsonl" else as_json(rows) + "\n"


def _rows(result: pa.Table) -> list[dict[str, Any]]:
    return result.to_pylist(maps_as_pydicts="strict")


@click.group()
def scores() -> None:
    """Bring existing results into the warehouse."""


@scores.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--spec", type=click.Path(dir_okay=False, path_type=Path), help="Import recipe: columns, names, base (YAML)."
)
@click.option("--name", help="Name of the matrix  [default: the recipe's, else the file's name]")
@click.option("--source", help="For a result file of a harness: the dataset the model was tuned on (none: the base).")
@click.option(
    "--source-from",
    metavar="ARGUMENT",
    help="For result files of a harness: the model argument that names that dataset, such as peft.",
)
@click.option("--model", help="For a result file of a harness: the name of the base model, if the file has another.")
@warehouse_option
@format_option()
@report_errors
def import_scores(
    file: Path,
    spec: Path | None,
    name: str | None,
    source: str | None,
    source_from: str | None,
    model: str | None,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Import a long results file (model, source, target, seed, metric, score; empty source = base model).

    Reads CSV, TSV, Parquet, JSON and JSONL; tables with a column per benchmark; and result files of
    lm-evaluation-harness and lighteval, one by one in any order or a whole folder. Importing the same file twice
    changes nothing, and an import never changes the base or the headline metric of a matrix that is there.

    \b
    Examples:
      traitcast scores import results.csv
      traitcast scores import published.csv --spec recipe.yaml
      traitcast scores import base.json --name harness
      traitcast scores import tuned.json --name harness --source gsm8k
      traitcast scores import results/ --name harness --source-from peft
    """
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.import_scores import Stored, load_recipe, read_scores, without_profile

    recipe = load_recipe(spec) if spec else None
    # Opened for writing where it exists, which upgrades an older file; bad input makes no new one.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        profiled = set(warehouse.dataset_names())
        known = {one.matrix: Stored(one, warehouse.base_cells(one.matrix)) for one in warehouse.own_matrices()}
    found = read_scores(
        file,
        recipe,
        name=name,
        source=source,
        source_from=source_from,
        model=model,
        profiled=profiled,
        stored=known.get,
    )
    for warning in found.warnings:
        warn(warning)
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.check_import(found.matrix.matrix, found.rows)
        if found.matrix.matrix in warehouse.shipped("matrices"):
            warn(
                f"{found.matrix.matrix!r} came with traitcast; this matrix takes its place in {warehouse_path}. Get "
                f"it back: {command('scores', 'restore', found.matrix.matrix)}; to keep both give another --name"
            )
        warehouse.save_scores(found.matrix, found.rows)
    sources = {s for s in found.rows["source"].to_pylist() if s}
    targets = set(found.rows["target"].to_pylist())
    missing = sorted((sources | targets) - profiled)
    summary = {
        "matrix": found.matrix.matrix,
        "rows": found.rows.num_rows,
        "left_out": found.filtered,
        "models": len(set(found.rows["model"].to_pylist())),
        "sources": len(sources),
        "targets": len(targets),
        "metric": found.matrix.metric,
        "base": found.matrix.base,
        "not_profiled": missing,
    }
    emit([{**summary, "not_profiled": ", ".join(missing)}] if output_format == "table" else [summary], output_format)
    for note in found.notes:
        say(note)
    if missing:
        hinted = without_profile(found.rows.to_pylist(), profiled)
        say(f"`fit` leaves out the cells of {count(len(missing), 'name')} without a profile: {', '.join(hinted)}")
    say(f"Next: {command('fit', '--matrix', found.matrix.matrix)}")


@scores.command("restore")
@click.argument("name", nargs=-1, required=True)
@warehouse_option
@format_option()
@report_errors
def restore_scores(name: tuple[str, ...], warehouse_path: str, output_format: str) -> None:
    """Put the shipped matrix NAME back in place of yours; prints the matrices that there are then.

    \b
    Example:
      traitcast scores restore prompt_transferability
    """
    from traitcast.warehouse.database.warehouse import Warehouse

    _restore("matrices", name, "matrix", warehouse_path)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        emit(_score_sets(warehouse), output_format)


@scores.command("drop")
@click.argument("name", nargs=-1, required=True)
@warehouse_option
@format_option()
@report_errors
def drop_scores(name: tuple[str, ...], warehouse_path: str, output_format: str) -> None:
    """Remove your matrix NAME with all that was measured and found on it; prints the matrices that are left.

    Its results on single rows, evaluations, latent factors and probes go too; to have them again, import its file or
    ingest its pack again. Predictors that learnt from it stay.

    \b
    Example:
      traitcast scores drop results
    """
    from traitcast.warehouse.database.warehouse import Warehouse

    # Without a file there is nothing of the user's, and the refusal makes none.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        predictors = warehouse.drop_scores(name)
        rows = _score_sets(warehouse)
    for dropped in dict.fromkeys(name):
        say(f"{dropped}: dropped, with all that was measured and found on it")
    if predictors:
        say(f"learnt from what was dropped, and kept: {count(len(predictors), 'predictor')} ({', '.join(predictors)})")
    emit(rows, output_format)


def _score_sets(warehouse: Warehouse) -> list[dict[str, Any]]:
    shipped = warehouse.shipped("matrices")
    return [
        {"matrix": m.matrix, "metric": m.metric, "base": m.base, "shipped": m.matrix in shipped}
        for m in warehouse.matrices()
    ]


COMMANDS: tuple[click.Command, ...] = (datasets, show, compare, card, sql, scores)
