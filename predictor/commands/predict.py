"""The commands `predict`, `rank`, `explain` and `whatif`."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.predictor.commands.lists import (
    doubts,
    foundation,
    measured_words,
    print_impact,
    print_prediction,
    print_ranking,
    warn_novel,
)
from traitcast.predictor.commands.options import (
    introduce,
    predictor_option,
    profiled,
    save_option,
)
from traitcast.predictor.commands.trainers import WRITERS, print_snippet
from traitcast.warehouse.charts import plot_option
from traitcast.warehouse.console import (
    command,
    count,
    emit,
    emit_json,
    emit_table,
    format_option,
    inline,
    quoted,
    report_errors,
    say,
    tell,
    warehouse_option,
)
from traitcast.warehouse.errors import UserError, some
from traitcast.warehouse.reading_options import reading_options

if TYPE_CHECKING:
    from traitcast.predictor.explanation.shap import Explanation
    from traitcast.predictor.explanation.whatif import WhatIf
    from traitcast.predictor.model.prediction import Prediction
    from traitcast.predictor.model.predictor import Predictor

# Sources that `--as` writes unless --top is given.
_TO_TRAIN = 3


@click.command()
@click.argument("source")
@click.argument("target", required=False, metavar="TARGET")
@reading_options
@predictor_option
@save_option
@plot_option
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def predict(
    ctx: click.Context,
    source: str,
    target: str | None,
    predictor: str,
    save: bool,
    plot: Path | None,
    warehouse_path: str,
    output_format: str,
    **reading: Any,
) -> None:
    """Predict what tuning on SOURCE does to TARGET.

    SOURCE and TARGET are profiled names, local files or folders, or hub ids.

    \b
    Examples:
      traitcast predict mnli rte
      traitcast predict mnli rte --plot mnli_rte.png
      traitcast predict examples/support_tickets sst2 --format json
    """
    if target is None:
        raise UserError(f"predict lacks a TARGET. What {source} does to all: {command('impact', source)}")
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    source, target = profiled(ctx, (source, target), warehouse_path, reading)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = api.predictor_of(warehouse, predictor)
        found = api.predict_pair(warehouse, fitted, source, target)
        quality = api.known_quality(warehouse, fitted, [found])
        doubted = doubts(warehouse, target, [source])
    introduce(fitted, predictor, quality, doubted, intervals=True)
    if save:
        _save(warehouse_path, [found], None, predictor)
    if plot is not None:
        _draw_intervals(plot, fitted, [(f"{source} on {target}", found)], f"{source} on {target}", quality)
    if output_format == "json":
        emit_json(found.as_row())
    else:
        print_prediction(found, fitted)
        warn_novel([found])
        if found.measured is not None:
            say(f"{measured_words(found)}; gain: that, shrunk towards the prediction by its noise.")


@click.command()
@click.argument("target")
@click.option("--sources", metavar="A,B,...", help="Sources to rank  [default: every other profiled dataset]")
@click.option(
    "--top",
    type=click.IntRange(1),
    metavar="N",
    help="Show only the N best  [default: all that were measured on TARGET and 20 others]",
)
@click.option(
    "--as",
    "trainer",
    type=click.Choice(tuple(WRITERS)),
    help="Print what this trainer needs to train on the best sources (3, or --top N).",
)
@reading_options
@predictor_option
@save_option
@plot_option
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def rank(
    ctx: click.Context,
    target: str,
    sources: str | None,
    top: int | None,
    trainer: str | None,
    predictor: str,
    save: bool,
    plot: Path | None,
    warehouse_path: str,
    output_format: str,
    **reading: Any,
) -> None:
    """Rank sources for TARGET by predicted gain, best first.

    TARGET and each source is a profiled name, a local file or folder, or a hub id. Without --sources, all other
    profiled datasets of at least 100 rows are ranked, except variants (`traitcast vary`).

    \b
    Examples:
      traitcast rank rte --top 10
      traitcast rank rte --top 10 --plot rte.svg
      traitcast rank examples/support_tickets --sources sst2,mnli,ag_news --format json
      traitcast rank rte --top 2 --as axolotl
    """
    from traitcast.predictor import api
    from traitcast.predictor.commands.next_plan import next_plan
    from traitcast.predictor.model.prediction import Ranking
    from traitcast.warehouse.database.warehouse import Warehouse

    if trainer is not None and output_format != "table":
        raise UserError(f"--as {trainer} prints what {trainer} reads, without --format. Leave one of the two out.")
    asked: list[str] = []
    if sources is not None:
        asked = [name.strip() for name in sources.split(",") if name.strip()]
        if not asked:
            raise UserError(f"--sources {sources!r} names no dataset. Example: --sources mnli,sst2")
    target, *named_sources = profiled(ctx, (target, *asked), warehouse_path, reading)
    chosen = None if sources is None else named_sources
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        others = [name for name in warehouse.dataset_names() if name != target] if chosen is None else []
        fitted = api.predictor_of(warehouse, predictor)
        found = api.rank_sources(warehouse, fitted, target, chosen)
        shared = [] if chosen is None else api.parts_of(warehouse, target, [one.source for one in found])
        plan = next_plan(warehouse, fitted, Ranking(p for p in found if p.source not in shared), target)
        shown = found.to_train(top or _TO_TRAIN) if trainer else found.top(top or len(found))
        quality = api.known_quality(warehouse, fitted, shown)
        profiles = [warehouse.profile(one.source) for one in shown] if trainer else []
        places = warehouse.places()
        doubted = doubts(warehouse, target, [one.source for one in found], shared)
    introduce(fitted, predictor, quality, doubted, intervals=output_format != "table")
    if save:
        _save(warehouse_path, shown, None, predictor)
    if plot is not None:
        _draw_intervals(plot, fitted, [(one.source, one) for one in shown], f"sources for {target}", quality)
    if trainer is not None:
        if not fitted.abstains:
            say(foundation(fitted, shown, quality))
        print_snippet(trainer, profiles, places, ctx.obj)
        return
    if output_format != "table":
        emit([prediction.as_row() for prediction in shown], output_format)
        return
    print_ranking(shown, fitted, target, quality, every=top is not None)
    if found.to_try:
        say(f"To try first: {', '.join(found.to_try)}. One may do well where the others do not.")
    warn_novel(shown)
    ranked = {prediction.source for prediction in found}
    if left := [name for name in others if name not in ranked]:
        why = (
            f"not ranked, because they have fewer than {api.MIN_ROWS} rows, share most prompts with {target}, or are "
            "variants of another dataset"
        )
        say(f"{why}: {some(left, 8)} (rank them with --sources)")
    if not fitted.abstains:
        named = () if predictor == api.DEFAULT else ("--predictor", predictor)
        say(f"Why? {command('explain', shown[0].source, target, *named, warehouse=warehouse_path)}")
    if isinstance(plan, str):
        say(plan)
    elif plan is not None:
        fetch = ""
        if plan.to_fetch:
            away = [f"{name} ({inline(at)})" if at else name for name, at in plan.to_fetch.items()]
            fetch = f" First put the rows of {some(away, 4)} into folders of these names here."
        how = f"about {count(max(round(plan.minutes), 1), 'minute')} on one CPU core with SmolLM2-135M"
        if fitted.about["models"] != ["smollm2"]:
            how = f"with {some(fitted.about['models'], 2)}, the model of {fitted.matrix.matrix!r} (name it with --base)"
        say(
            f"Next best measurement, {how}.{fetch} After this command come `matrix run` and `matrix ingest`, then rank "
            "again:"
        )
        say(f"  traitcast matrix plan {' '.join(map(quoted, plan.words))}")


@click.command()
@click.argument("source")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Show only the N most harmed.")
@reading_options
@predictor_option
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def impact(
    ctx: click.Context,
    source: str,
    top: int | None,
    predictor: str,
    warehouse_path: str,
    output_format: str,
    **reading: Any,
) -> None:
    """Show what tuning on SOURCE does to every measured target, the most harmed first.

    The targets are those of the matrix that the predictor was fitted to. SOURCE is a profiled name, a local file or
    folder, or a hub id.

    \b
    Examples:
      traitcast impact gsm8k
      traitcast impact examples/support_tickets --top 5
      traitcast impact mnli --format json
    """
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    (source,) = profiled(ctx, (source,), warehouse_path, reading)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = api.predictor_of(warehouse, predictor)
        found = api.impact(warehouse, fitted, source)
        quality = api.known_quality(warehouse, fitted, found)
    introduce(fitted, predictor, quality, intervals=output_format != "table")
    shown = found.top(top or len(found))
    if output_format != "table":
        emit([prediction.as_row() for prediction in shown], output_format)
        return
    print_impact(shown, fitted, source, quality)
    warn_novel(shown)


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--top", type=click.IntRange(1), default=12, show_default=True, help="Traits shown in the table.")
@reading_options
@predictor_option
@save_option
@plot_option
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def explain(
    ctx: click.Context,
    source: str,
    target: str,
    top: int,
    predictor: str,
    save: bool,
    plot: Path | None,
    warehouse_path: str,
    output_format: str,
    **reading: Any,
) -> None:
    """Explain the prediction for SOURCE and TARGET: what each trait adds to it.

    Contributions are in the unit of the prediction and, with the base value, add up to it; those of traits are exact
    TreeSHAP values. They say what the predictor used, not what would happen if a trait were changed.

    \b
    Examples:
      traitcast explain mnli rte
      traitcast explain mnli rte --plot why.svg
      traitcast explain examples/support_tickets sst2 --format json
    """
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    source, target = profiled(ctx, (source, target), warehouse_path, reading)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = api.predictor_of(warehouse, predictor)
        found = api.explain_pair(warehouse, fitted, source, target)
        quality = api.known_quality(warehouse, fitted, [found.prediction])
        doubted = doubts(warehouse, target, [source])
    introduce(fitted, predictor, quality, doubted)
    if save:
        _save(warehouse_path, [found.prediction], found, predictor)
    if plot is not None:
        from traitcast.warehouse import charts

        charts.write(found.waterfall(top), plot)
        say(f"drew {plot}")
    if output_format == "json":
        emit_json(found.as_row())
    else:
        _print_explanation(found, top)


def _draw_intervals(
    plot: Path,
    fitted: Predictor,
    named: Sequence[tuple[str, Prediction]],
    title: str,
    quality: Mapping[str, Any] | None,
) -> None:
    """Predictions with their 90 % intervals, in the order given."""
    from traitcast.warehouse import charts

    of = fitted.outcome
    rows = [
        {
            "name": name,
            "value": p.gain,
            "low": p.low,
            "high": p.high,
            "order": order,
            "shown": f"{p.gain:+.1f} {of.unit}",
        }
        | {"group": "extrapolation" if p.novel else "predicted"}
        for order, (name, p) in enumerate(named)
    ]
    words = textwrap.wrap(foundation(fitted, [p for _, p in named], quality), 100)
    axis = f"predicted {fitted.words} (line: 90 % interval)"
    charts.write(charts.intervals(rows, title=title, axis=axis, words=words), plot)
    say(f"drew {plot}")


def _print_explanation(found: Explanation, top: int) -> None:
    of = found.outcome
    tell(found.sentence)
    if not found.contributions:
        tell("No trait moves this prediction: on datasets that were left out, traits did not help to order sources.")
        return
    click.echo()
    rows = [
        {"trait": c.trait, "side": c.side, "family": c.family, "value": c.value, "shap": c.shap}
        | {"spread": c.spread, "agreement": c.agreement}
        for c in found.contributions[:top]
    ]
    rest = sum(c.shap for c in found.contributions[top:])
    if len(found.contributions) > top:
        rows.append({"trait": f"{len(found.contributions) - top} others", "shap": rest})
    emit_table(rows, ("trait", "side", "family", "value", "shap", "spread", "agreement"))
    click.echo()
    sums = [
        {"sum of shap": f"{what} {key}", of.unit: value, "spread": spread.get(key)}
        for what, by, spread in (
            ("family", found.by_family, found.family_spread),
            ("side", found.by_side, found.side_spread),
        )
        for key, value in by.items()
    ]
    sums += [{"sum of shap": "base value", of.unit: found.base_value}]
    emit_table(sums, ("sum of shap", of.unit, "spread"))
    say(
        "spread, agreement: standard deviation, and share with the same sign, over models that were each fitted "
        "without some of the datasets. Do not rely on a trait with low agreement."
    )


@click.command()
@click.argument("source")
@click.argument("target")
@click.option(
    "--set",
    "changes",
    multiple=True,
    required=True,
    metavar="TRAIT=VALUE",
    help="New value of a trait of the source, or target:TRAIT=VALUE for the target. Repeatable.",
)
@reading_options
@predictor_option
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def whatif(
    ctx: click.Context,
    source: str,
    target: str,
    changes: tuple[str, ...],
    predictor: str,
    warehouse_path: str,
    output_format: str,
    **reading: Any,
) -> None:
    """Predict SOURCE and TARGET again with some traits changed, and say how far to trust the answer.

    For each change it reports whether such a value was seen in training, which traits usually change with it, and
    whether measured interventions (variants of datasets in which this trait was changed) support the direction.

    \b
    Examples:
      traitcast whatif mnli rte --set prompt_words_sd=2
      traitcast whatif gsm8k sst2 --set response_tokens_mean=4 --set target:prompt_tokens_mean=60 --format json
    """
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    settings = _settings(changes)
    source, target = profiled(ctx, (source, target), warehouse_path, reading)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = api.predictor_of(warehouse, predictor)
        found = api.what_if_pair(warehouse, fitted, source, target, settings)
        quality = api.known_quality(warehouse, fitted, [found.after])
    introduce(fitted, predictor, quality, intervals=True)
    if output_format == "json":
        emit_json(found.as_row())
    else:
        _print_what_if(found)


def _settings(changes: tuple[str, ...]) -> dict[tuple[str, str], float]:
    """(side, trait) -> value from `trait=value`, `source:trait=value` or `target:trait=value`."""
    from traitcast.predictor.explanation.whatif import addressed

    settings: dict[tuple[str, str], float] = {}
    for text in changes:
        name, equals, value = text.partition("=")
        side, trait = addressed(name)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not equals or not trait or side not in ("source", "target") or not math.isfinite(number):
            raise UserError(
                f"--set {text!r} is not TRAIT=NUMBER, source:TRAIT=NUMBER or target:TRAIT=NUMBER. "
                "Example: --set prompt_words_sd=2"
            )
        if (side, trait) in settings:
            raise UserError(f"--set {text!r}: {trait} of the {side} is set twice. Set it once.")
        settings[side, trait] = number
    return settings


def _print_what_if(found: WhatIf) -> None:
    named = {"as it is": found.now, "as if never measured": found.before, "changed": found.after}
    if found.now.as_row() == found.before.as_row():
        del named["as if never measured"]
    harm = ("harm",) if any(map(math.isfinite, (p.harm for p in named.values()))) else ()
    emit_table([{"": name} | p.as_row() for name, p in named.items()], ("", "gain", "low", "high", *harm, "novel"))
    click.echo()
    emit_table([{key: row[key] for key in row if key != "evidence"} for row in found.change_rows()])
    click.echo()
    for change in found.changes:
        tell(f"{change.side} {change.trait}: {change.evidence}.")
    for note in found.notes:
        say(note)
    say(
        f"effect: of this change alone, in {found.before.unit}; low to high: range in training; share: training "
        "datasets at or below the new value."
    )


def _save(warehouse_path: str, found: list[Prediction], explanation: Explanation | None, name: str) -> None:
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    existed = Path(warehouse_path).exists()
    with Warehouse.open(warehouse_path) as warehouse:
        api.save(warehouse, found, explanation, name=name)
    say(f"{'saved in' if existed else 'created and saved in'} {warehouse_path}: tables predictions and attributions")
