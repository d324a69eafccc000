"""The commands `fit`, `evaluate`, `predict`, `rank`, `explain`, `whatif` and `effects`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
from click.core import ParameterSource

from traitcast.predictor.model.outcomes import GAIN, NAMES, OVER, outcome_of
from traitcast.warehouse.charts import plot_option
from traitcast.warehouse.console import (
    command,
    count,
    emit,
    emit_json,
    format_option,
    printable,
    progress,
    report_errors,
    say,
    some,
    table,
    warehouse_option,
    warn,
)
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    from traitcast.predictor.evaluation.evaluate import Evaluation
    from traitcast.predictor.explanation.shap import Explanation
    from traitcast.predictor.explanation.whatif import WhatIf
    from traitcast.predictor.latent.search import Latent
    from traitcast.predictor.model.predictor import Prediction, Predictor
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import LatentRecord

Command = TypeVar("Command", bound=Callable[..., Any])
_PROTOCOLS = ("new-target", "new-source", "new-pair", "random-cell")
_PREDICTION_COLUMNS = ("source", "target", "gain", "low", "high", "harm", "novel", "source_mean")
_BASES = OVER | {"target mean": f"{OVER['target mean']} (the matrix has no untuned score)"}


class FrontDoor(Protocol):
    """What the root command puts into `ctx.obj`."""

    def ensure_profiled(self, dataset: str, warehouse_path: str) -> str:
        """Name of the dataset in the warehouse; profiles a local file or hub id first if need be."""


def _predictor_option(decorated: Command) -> Command:
    return click.option("--predictor", default="default", show_default=True, help="Name of the fitted predictor.")(
        decorated
    )


def _save_option(decorated: Command) -> Command:
    return click.option("--save", is_flag=True, help="Also store the result in the warehouse.")(decorated)


def _metric_option(decorated: Command) -> Command:
    """--metric NAME: of the gains."""
    return click.option(
        "--metric", help="Metric of the gains, such as gold_nll  [default: the headline of the score set]"
    )(decorated)


def _outcome_option(decorated: Command) -> Command:
    return click.option(
        "--outcome",
        type=click.Choice(NAMES),
        default=GAIN.name,
        show_default=True,
        help="What to predict: the gain (pp), how many answers change their label (%), or tokens written more.",
    )(decorated)


def _matrix_options(decorated: Command) -> Command:
    for option in (
        click.option("--seed", default=0, show_default=True, help="Seed of folds, trees and bootstrap."),
        click.option(
            "--tier",
            type=click.Choice(("static", "probe")),
            default="static",
            show_default=True,
            help="static: traits of the data alone; probe: also numbers that need the base model.",
        ),
        click.option("--scores", "matrix", metavar="NAME", help="Score set  [default: your only one]"),
        click.option("--model", help="Use the cells of one model  [default: pool all]"),
    ):
        decorated = option(decorated)
    return decorated


@click.command()
@_matrix_options
@_outcome_option
@click.option("--name", help="Name under which it is stored  [default: default, or the outcome's name]")
@click.option("--restore", is_flag=True, help="Put the shipped predictor of that name back instead of fitting one.")
@warehouse_option
@format_option()
@report_errors
def fit(
    matrix: str | None,
    model: str | None,
    tier: str,
    seed: int,
    outcome: str,
    name: str | None,
    restore: bool,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Train the predictor on a transfer matrix of the warehouse.

    With --tier probe it also learns from what the untuned model makes of the datasets (`traitcast probe`). With
    --outcome it learns a side effect instead of the gain, under a name of its own: `traitcast predict A B --predictor
    length_shift`.

    \b
    Examples:
      traitcast fit --scores prompt_transferability
      traitcast fit --scores prompt_transferability --model T5 --name t5 --format json
      traitcast fit --restore
    """
    from traitcast.predictor.api import DEFAULT, fit_into
    from traitcast.warehouse.database.warehouse import Warehouse

    name = name or (DEFAULT if outcome == GAIN.name else outcome)
    if restore:
        if matrix is not None or model is not None:
            raise UserError("--restore fits nothing: leave out --scores and --model, or leave out --restore.")
        _restore(name, warehouse_path, output_format)
        return
    with Warehouse.open(warehouse_path) as warehouse:
        replaced = name in warehouse.shipped("predictors")
        predictor, observations = fit_into(
            warehouse, matrix=matrix, model=model, tier=tier, seed=seed, name=name, outcome=outcome_of(outcome)
        )
    for note in observations.notes:
        say(note)
    _introduce(predictor, name)
    if replaced:
        again = command("fit", "--restore", "--name", name, warehouse=warehouse_path)
        say(f"it takes the place of the shipped predictor {name!r} here. Have that one back: {again}")
    size = predictor.about["size"]
    row = {
        "predictor": name,
        "matrix": predictor.matrix.matrix,
        "model": model,
        "tier": tier,
        "outcome": outcome,
        "cells": len(observations),
        "sources": predictor.about["sources"],
        "targets": predictor.about["targets"],
        "traits": len(predictor.space.traits),
        "features": len(predictor.space.features),
        "half_width": predictor.half_width,
        "rmse_unseen": predictor.about["out_of_fold_rmse"],
        "fingerprint": predictor.about["fingerprint"],
    }
    if output_format == "json":
        emit_json(row | {"groups": predictor.about["groups"], "size": size, "settings": predictor.about["settings"]})
        return
    emit([{"what": key, "value": value} for key, value in row.items()], output_format)
    say(f"trees: depth {size['depth']}, {size['rounds']} rounds ({size['reason']})")
    say(f"How good is it? {command('evaluate', '--scores', predictor.matrix.matrix, warehouse=warehouse_path)}")


def _restore(name: str, warehouse_path: str, output_format: str) -> None:
    """Put the shipped predictor back."""
    from traitcast.warehouse.database.warehouse import Warehouse

    # Without a file the predictor is the shipped one, and a name that is not shipped is refused all the same.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        replaced = warehouse.restore("predictors", [name])
        found = warehouse.predictor(name)
    say(f"{name}: the shipped predictor is back" if replaced else f"{name}: it is the shipped predictor already")
    row = {"predictor": name, "matrix": found.matrix, "tier": found.tier, "fingerprint": found.fingerprint}
    emit_json(row) if output_format == "json" else emit([row], output_format)


@click.command()
@click.option("--protocol", type=click.Choice(_PROTOCOLS), default="new-target", show_default=True)
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Measure the baselines too.")
@click.option(
    "--ablations/--no-ablations",
    default=False,
    show_default=True,
    help="Measure each family of traits alone and left out, and with shuffled gains.",
)
@_save_option
@_outcome_option
@_metric_option
@_matrix_options
@warehouse_option
@format_option()
@report_errors
def evaluate(
    protocol: str,
    baselines: bool,
    ablations: bool,
    save: bool,
    outcome: str,
    metric: str | None,
    matrix: str | None,
    model: str | None,
    tier: str,
    seed: int,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Cross-validated quality of the predictor beside baselines and the noise ceiling.

    new-target: targets unseen, sources known. new-source: sources unseen. new-pair: both unseen. random-cell:
    random cells, which leaks and flatters; for comparison with papers that do so.

    \b
    Examples:
      traitcast evaluate --scores prompt_transferability --protocol new-pair
      traitcast evaluate --scores prompt_transferability --ablations
      traitcast evaluate --scores prompt_transferability --save
      traitcast evaluate --scores smollm2_cpu --metric gold_nll
      traitcast evaluate --scores prompt_transferability --format json
    """
    from traitcast.predictor.api import evaluate_matrix
    from traitcast.warehouse.database.warehouse import Warehouse

    if metric is not None and outcome != GAIN.name:
        raise UserError(f"--metric {metric} is of gains, and --outcome {outcome} is none. Leave one of the two out.")
    if save and (outcome != GAIN.name or metric is not None):
        what = outcome if metric is None else f"gains in {metric}"
        raise UserError(
            f"--save keeps the quality of gains in the headline only, not of {what}. Leave --save or the other out."
        )
    with Warehouse.open(warehouse_path, read_only=True) as warehouse, progress("folds", 0) as bar:
        result = evaluate_matrix(
            warehouse,
            protocol,
            matrix=matrix,
            model=model,
            tier=tier,
            with_baselines=baselines,
            with_ablations=ablations,
            seed=seed,
            outcome=outcome_of(outcome),
            metric=metric,
            on_progress=bar.reach,
        )
    if save:
        with Warehouse.open(warehouse_path) as warehouse:
            warehouse.save_evaluation(result.as_json(), model=model, tier=tier, seed=seed)
        say(f"saved in {warehouse_path}: table evaluations, which `traitcast report` shows")
    if output_format == "json":
        asked = {"outcome": outcome if outcome != GAIN.name else None, "metric": metric}
        emit_json(result.as_json() | {key: value for key, value in asked.items() if value is not None})
    else:
        _print_evaluation(result, outcome, metric)


def _print_evaluation(result: Evaluation, outcome: str, metric: str | None) -> None:
    of = outcome_of(outcome)
    for note in result.notes:
        say(note)
    leak = " LEAKY: the test cells' own rows and columns are in training." if result.leaky else ""
    say(
        f"{result.protocol} on {result.matrix}: {result.cells} cells, {result.targets} targets, "
        f"{result.candidates:.1f} sources ranked at a time. Kept together: {result.groups}.{leak}"
    )
    unit = "pp" if metric is None else f"hundredths of {metric}, more being better,"
    what = f"Gain in {unit} over {_BASES.get(result.base, result.base)}" if of.harmful else of.what.capitalize()
    say(f"{what}; value [95 % bootstrap over {result.resampled}] for the model.")
    click.echo(table(result.quality_rows()))
    click.echo()
    click.echo(table([{"model": key} | dict(value) for key, value in result.model.items()]))
    if result.advantage is not None:
        a = result.advantage
        say(
            f"Spearman against the best baseline, {a['baseline']}: {a['value']:+.3f} "
            f"[{a['low']:+.3f}, {a['high']:+.3f}]"
        )
    harm = result.harm
    width = f"90 % intervals are {result.interval_width:.2f} {of.unit} wide."
    if of.harmful:
        width += (
            f" Chance of harm: off by {harm['error']:.3f} on average, Brier {harm['brier']:.3f} "
            f"(always the overall share: {harm['base']:.3f})."
        )
    say(width)
    if result.noise is not None:
        n = result.noise
        say(
            f"Noise of one seed: {n['standard_deviation']:.2f} {of.unit}; {n['reliability']:.0%} of what tells the "
            f"sources of a target apart would come again, on the same test rows, so no correlation pooled over "
            f"targets can pass {n['attainable']:.2f}."
        )
    if result.ablations is not None and result.claim is not None:
        _print_ablations(result.ablations, result.claim)


def _print_ablations(ablations: Mapping[str, Mapping[str, Any]], claim: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        {"part": name, "spearman": part["spearman"]["value"], "rmse": part["rmse"]["value"]}
        | {"loss": part["loss"]["value"], "loss_low": part["loss"]["low"], "loss_high": part["loss"]["high"]}
        for name, part in ablations.items()
    ]
    click.echo()
    click.echo(table(rows))
    rows = []
    for row in claim:
        spearman, advantage = row["spearman"], row["advantage"] or {}
        rows.append(
            {"features": row["features"], "spearman": spearman["value"]}
            | {"low": spearman["low"], "high": spearman["high"], "share": row["share"]}
            | {"over_similarity": advantage.get("value")}
            | {"over_low": advantage.get("low"), "over_high": advantage.get("high")}
        )
    click.echo()
    click.echo(table(rows))
    say("loss: Spearman of everything minus that of the part; over_similarity: of the part minus that of similarity.")
    say("A part that carries much alone and costs nothing when left out is carried by others too.")


@click.command()
@click.argument("source")
@click.argument("target")
@_predictor_option
@_save_option
@plot_option
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def predict(
    ctx: click.Context,
    source: str,
    target: str,
    predictor: str,
    save: bool,
    plot: Path | None,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Predict what tuning on SOURCE does to TARGET, in percentage points.

    SOURCE and TARGET are profiled names, local files or folders, or hub ids.

    \b
    Examples:
      traitcast predict mnli rte
      traitcast predict mnli rte --plot mnli_rte.png
      traitcast predict examples/support_tickets sst2 --format json
    """
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    source, target = (_profiled(ctx, dataset, warehouse_path) for dataset in (source, target))
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = api.predictor_of(warehouse, predictor)
        found = api.predict_pair(warehouse, fitted, source, target)
        quality = api.known_quality(warehouse, fitted)
        measured = api.measured_gains(warehouse, fitted, [found])
    _introduce(fitted, predictor, quality)
    if save:
        _save(warehouse_path, [found], None, predictor)
    if plot is not None:
        _draw_intervals(plot, fitted, [(f"{source} on {target}", found)], f"{source} on {target}")
    if output_format == "json":
        emit_json(found.as_row())
    else:
        emit([found.as_row()], output_format, _PREDICTION_COLUMNS)
        _warn_novel([found])
        _say_measured(measured, fitted, [found], warehouse_path)


@click.command()
@click.argument("target")
@click.option("--sources", metavar="A,B,...", help="Candidates  [default: every other profiled dataset]")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Show the N best only.")
@_predictor_option
@_save_option
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
    predictor: str,
    save: bool,
    plot: Path | None,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Rank sources for TARGET by predicted gain, best first.

    TARGET and each source is a profiled name, a local file or folder, or a hub id. Without --sources, every other
    profiled dataset of 100 rows or more is a candidate, variants of others (`traitcast vary`) left out.

    \b
    Examples:
      traitcast rank rte --top 10
      traitcast rank rte --top 10 --plot rte.svg
      traitcast rank examples/support_tickets --sources sst2,mnli,ag_news --format json
    """
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.outdated import warn_outdated

    target = _profiled(ctx, target, warehouse_path)
    chosen = None
    if sources is not None:
        asked = [name.strip() for name in sources.split(",") if name.strip()]
        if not asked:
            raise UserError(f"--sources {sources!r} names no dataset. Example: --sources mnli,sst2")
        chosen = [_profiled(ctx, name, warehouse_path) for name in asked]
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        others = [name for name in warehouse.dataset_names() if name != target] if chosen is None else []
        warn_outdated(warehouse, others)
        fitted = api.predictor_of(warehouse, predictor)
        found = api.rank_sources(warehouse, fitted, target, chosen)
        quality = api.known_quality(warehouse, fitted)
        shown = found[:top]
        measured = api.measured_gains(warehouse, fitted, shown)
        same = set(api.same_rows(warehouse).get(target, ()))
    _introduce(fitted, predictor, quality)
    if save:
        _save(warehouse_path, shown, None, predictor)
    if plot is not None:
        _draw_intervals(plot, fitted, [(one.source, one) for one in shown], f"sources for {target}")
    if output_format == "json":
        emit_json([prediction.as_row() for prediction in shown])
        return
    emit([prediction.as_row() for prediction in shown], output_format, _PREDICTION_COLUMNS)
    _warn_novel(shown)
    _say_measured(measured, fitted, shown, warehouse_path)
    if twins := [prediction.source for prediction in shown if prediction.source in same]:
        say(f"the same rows as {target!r} under another name, so no find: {', '.join(twins)}")
    ranked = {prediction.source for prediction in found}
    if left := [name for name in others if name not in ranked]:
        why = f"not ranked, below {api.MIN_ROWS} rows or variants of another dataset"
        say(f"{why}: {some(left, 8)} (name them with --sources to see them)")
    named = () if predictor == api.DEFAULT else ("--predictor", predictor)
    say(f"Why? {command('explain', shown[0].source, target, *named, warehouse=warehouse_path)}")


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--top", type=click.IntRange(1), default=12, show_default=True, help="Traits shown in the table.")
@_predictor_option
@_save_option
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
) -> None:
    """Explain the prediction for SOURCE and TARGET: exact TreeSHAP per trait, by family and by side.

    \b
    Examples:
      traitcast explain mnli rte
      traitcast explain mnli rte --plot why.svg
      traitcast explain examples/support_tickets sst2 --format json
    """
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    source, target = (_profiled(ctx, dataset, warehouse_path) for dataset in (source, target))
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = api.predictor_of(warehouse, predictor)
        found = api.explain_pair(warehouse, fitted, source, target)
        quality = api.known_quality(warehouse, fitted)
    _introduce(fitted, predictor, quality)
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


def _draw_intervals(plot: Path, fitted: Predictor, named: Sequence[tuple[str, Prediction]], title: str) -> None:
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
    charts.write(charts.intervals(rows, title=title, axis=f"predicted {fitted.words} (line: 90 % interval)"), plot)
    say(f"drew {plot}")


def _print_explanation(found: Explanation, top: int) -> None:
    click.echo(found.sentence)
    click.echo()
    rows = [
        {"trait": c.trait, "side": c.side, "family": c.family, "value": c.value, "shap": c.shap}
        | {"spread": c.spread, "agreement": c.agreement}
        for c in found.contributions[:top]
    ]
    rest = sum(c.shap for c in found.contributions[top:])
    if len(found.contributions) > top:
        rows.append({"trait": f"{len(found.contributions) - top} more", "shap": rest})
    click.echo(table(rows, ("trait", "side", "family", "value", "shap", "spread", "agreement")))
    click.echo()
    sums = [
        {"sum of shap by": f"{what} {key}", "pp": value, "spread": spread.get(key)}
        for what, by, spread in (
            ("family", found.by_family, found.family_spread),
            ("side", found.by_side, found.side_spread),
        )
        for key, value in by.items()
    ]
    sums += [{"sum of shap by": "base value", "pp": found.base_value}]
    click.echo(table(sums, ("sum of shap by", "pp", "spread")))
    say("spread, agreement: over models fitted without a share of the datasets each; low agreement is no reason.")


@click.command()
@click.argument("source")
@click.argument("target")
@click.option(
    "--set",
    "changes",
    multiple=True,
    required=True,
    metavar="TRAIT=VALUE",
    help="A trait of the source and its new value; target:TRAIT=VALUE for the target. Repeatable.",
)
@_predictor_option
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
) -> None:
    """Predict SOURCE and TARGET again with traits changed, and say what that answer is worth.

    It says whether such a value was ever seen, which traits hang together with it, and whether measured interventions
    (datasets made from another one by changing that trait) support the direction.

    \b
    Examples:
      traitcast whatif mnli rte --set label_majority_share=0.9
      traitcast whatif gsm8k sst2 --set response_tokens_mean=4 --set target:prompt_tokens_mean=60 --format json
    """
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    settings = _settings(changes)
    source, target = (_profiled(ctx, dataset, warehouse_path) for dataset in (source, target))
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = api.predictor_of(warehouse, predictor)
        found = api.what_if_pair(warehouse, fitted, source, target, settings)
        quality = api.known_quality(warehouse, fitted)
    _introduce(fitted, predictor, quality)
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
                "Example: --set label_majority_share=0.9"
            )
        if (side, trait) in settings:
            raise UserError(f"--set {text!r}: {trait} of the {side} is set twice. Give it once.")
        settings[side, trait] = number
    return settings


def _print_what_if(found: WhatIf) -> None:
    rows = [{"": name} | p.as_row() for name, p in (("as it is", found.before), ("changed", found.after))]
    click.echo(table(rows, ("", "gain", "low", "high", "harm", "novel")))
    click.echo()
    click.echo(table([{key: row[key] for key in row if key != "evidence"} for row in found.change_rows()]))
    click.echo()
    for change in found.changes:
        click.echo(f"{change.side} {change.trait}: {change.evidence}.")
    for note in found.notes:
        say(note)
    say("effect: pp of that change alone; low to high: seen in training; share: training datasets at or below it.")


@click.command()
@click.argument("source")
@click.option("--target", metavar="NAME", help="Look at this target only, with its confusion matrices.")
@click.option("--scores", "matrix", metavar="NAME", help="Score set  [default: your only one]")
@click.option("--model", help="Model, where the score set has several.")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="Rows of each table.")
@warehouse_option
@format_option()
@report_errors
def effects(
    source: str,
    target: str | None,
    matrix: str | None,
    model: str | None,
    top: int,
    warehouse_path: str,
    output_format: str,
) -> None:
    """What tuning on SOURCE did beside the score, as measured: who gained and lost, and which answers changed.

    Gains and losses, shifts of the answers over labels, lengths, malformed answers, kinds of rows, and pairs that are
    not alike both ways; each with its standard error over rows and seeds, and q: the share of false finds to expect
    among all that are as sure, over everything its table looked at. JSON gives all of it, whatever --top.

    \b
    Examples:
      traitcast effects mnli --scores prompt_transferability --model T5
      traitcast effects gsm8k --target sst2
      traitcast effects gsm8k --format json
    """
    from traitcast.predictor.effects.side_effects import effects as find
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        found = find(warehouse, source, matrix=matrix, model=model, target=target)
    for note in found.notes:
        say(note)
    if output_format == "json":
        emit_json(found.as_row())
        return
    click.echo(printable(found.sentence))
    shown = found.tables(top)
    for title, rows in shown:
        click.echo(f"\n{printable(title)}")
        click.echo(table(rows))
    columns = {name for _, rows in shown for name in rows[0]}
    about = {"q": "over all that a table looked at"}
    if found.labels or found.lengths:  # scores alone tell of no rows: a note says what their errors are over
        over = "over rows and seeds, those of one row taken together; with one seed, given this adapter"
        about = {"standard_error": over} | about
    if words := [f"{name}: {text}" for name, text in about.items() if name in columns]:
        say("; ".join(words) + ".")


@click.command()
@click.option("--scores", "matrix", metavar="NAME", help="Score set  [default: the only one with variants]")
@click.option("--model", help="Model, where the score set has several.")
@_metric_option
@click.option("--change", metavar="NAME", help="Look at this change only, source by source.")
@warehouse_option
@format_option()
@report_errors
def interventions(
    matrix: str | None,
    model: str | None,
    metric: str | None,
    change: str | None,
    warehouse_path: str,
    output_format: str,
) -> None:
    """What changes made on purpose did: variants of datasets beside their parents, as measured.

    Of a matrix with variants (`traitcast vary`) among its sources: how much more, or less, a variant gained than its
    parent, on the parent's own test rows and on other targets, and how answers shifted. Errors and intervals (95 %) are
    over sources; q is the share of false finds to expect among all effects that are as sure.

    \b
    Examples:
      traitcast interventions
      traitcast interventions --scores smollm2_interventions --metric gold_nll
      traitcast interventions --scores smollm2_interventions --change permute_labels
    """
    from traitcast.predictor.effects.interventions import interventions as find
    from traitcast.warehouse.database.warehouse import Warehouse

    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        found = find(warehouse, matrix=matrix, model=model, metric=metric)
    rows = found.rows(change)
    for note in found.notes:
        say(note)
    if output_format == "json":
        emit_json(found.as_row() if change is None else rows)
        return
    emit(rows, output_format)
    unit = "pp" if metric is None else f"hundredths of {metric} (more is better)"
    say(f"gain in {unit}, label_shift in % of answers, length_shift in tokens; variant minus parent.")
    for what, value in found.noise.items():
        say(f"{what}: the same source differs by {value:.2f} between two seeds (root mean square)")


@click.command()
@click.option("--scores", "matrix", metavar="NAME", help="Score set  [default: your only one]")
@click.option("--model", help="Model, where the score set has several.")
@click.option(
    "--factors",
    default="auto",
    show_default=True,
    metavar="auto|N",
    help="auto: the smaller number of parallel analysis and cross-validation.",
)
@click.option(
    "--method",
    type=click.Choice(("pca", "varimax", "nmf")),
    default="pca",
    show_default=True,
    help="varimax: turned so that each target is on few factors; nmf: no factor takes away from another.",
)
@click.option(
    "--centre",
    type=click.Choice(("target", "double")),
    default="target",
    show_default=True,
    help="target: gains over the target's mean; double: also over the source's, so without good and bad sources.",
)
@click.option("--standardise", is_flag=True, help="Let every target count alike, however far its gains spread.")
@click.option("--seed", default=0, show_default=True, help="Seed of permutations, folds and bootstrap.")
@click.option("--top", type=click.IntRange(1), default=3, show_default=True, help="Datasets shown at each end.")
@_save_option
@plot_option
@warehouse_option
@format_option()
@report_errors
def latent(
    matrix: str | None,
    model: str | None,
    factors: str,
    method: str,
    centre: str,
    standardise: bool,
    seed: int,
    top: int,
    save: bool,
    plot: Path | None,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Latent factors of a transfer matrix: how many, how stable, which datasets and traits lie along them.

    A factor is a direction in which sources differ on many targets at once. It has a number, the datasets at its ends
    and the traits it correlates with, corrected for all that were asked; what ability it is, if any, is for you to say.
    The diagonal (source = target) is left out.

    \b
    Examples:
      traitcast latent --scores prompt_transferability --model T5
      traitcast latent --scores prompt_transferability --model T5 --factors 2 --method varimax
      traitcast latent --scores prompt_transferability --model T5 --plot map.svg
      traitcast latent --scores prompt_transferability --model T5 --centre double --format json
    """
    from traitcast.predictor.latent.search import latent_of
    from traitcast.warehouse.database.warehouse import Warehouse

    if plot is not None and factors == "1":
        raise UserError(
            "--plot draws two factors, and --factors 1 finds one. Ask for --factors 2, or leave out --plot."
        )
    with Warehouse.open(warehouse_path, read_only=True) as warehouse, progress("resamples", 0) as bar:
        found = latent_of(
            warehouse,
            matrix=matrix,
            model=model,
            factors=factors,
            method=method,
            centre=centre,
            standardise=standardise,
            seed=seed,
            on_progress=bar.reach,
        )
    if save:
        existed = Path(warehouse_path).exists()
        record = found.to_record()
        with Warehouse.open(warehouse_path) as warehouse:
            replaced = _other_form(warehouse, record)
            warehouse.save_latent(record)
        done = "saved in" if existed else "created and saved in"
        say(f"{done} {warehouse_path}: tables latents, latent_factors, latent_scores and latent_traits{replaced}")
    if output_format == "json":
        emit_json(found.as_row())
    else:
        _print_latent(found, top)
    if plot is not None:  # last: where too few factors hold up there is no map, and the rest is told all the same
        from traitcast.predictor.report.latent import biplot
        from traitcast.warehouse import charts

        charts.write(biplot(found), plot)
        say(f"drew {plot}")


def _other_form(warehouse: Warehouse, record: LatentRecord) -> str:
    """What to say of stored factors that were found otherwise, and that these replace."""
    try:
        before = warehouse.latent(record.matrix, record.model, record.method).about
    except UserError:  # none are stored
        return ""
    changed = [f"{name} {before[name]}" for name in ("centre", "unit") if before[name] != record.about[name]]
    return f", in place of those with {' and '.join(changed)}" if changed else ""


def _print_latent(found: Latent, top: int) -> None:
    for note in found.notes:
        say(note)
    click.echo(printable(found.sentence))
    for title, rows in found.tables(top):
        click.echo(f"\n{printable(title)}")
        click.echo(table(rows))
    for line in found.remarks:
        say(line)


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    show_default=True,
    help="The file to write.",
)
@click.option("--scores", "matrix", metavar="NAME", help="Show one score set only  [default: all]")
@click.option("--model", help="Show the cells of one model only  [default: all]")
@click.option("--pairs", metavar="A:B,...", help="Explain SOURCE:TARGET pairs  [default: the best and the worst]")
@_predictor_option
@warehouse_option
@format_option()
@click.pass_context
@report_errors
def report(
    ctx: click.Context,
    output: Path,
    matrix: str | None,
    model: str | None,
    pairs: str | None,
    predictor: str,
    warehouse_path: str,
    output_format: str,
) -> None:
    """Write everything that the warehouse knows into one HTML page.

    The page works without a network and without a server: send it, print it, open it on a phone. What is missing is
    named there with the command that adds it. The quality of a predictor of a large matrix comes from
    `traitcast evaluate --save`.

    \b
    Examples:
      traitcast report
      traitcast report -o mnli.html --pairs mnli:rte,mnli:sst2
      traitcast report --scores prompt_transferability --model T5 --format json
    """
    from traitcast.predictor.report.page import render
    from traitcast.predictor.report.sections import Request, gather
    from traitcast.warehouse.database.warehouse import Warehouse

    _check_writable(output)
    if model is not None and matrix is None:
        raise UserError(f"--model {model!r} needs the score set it belongs to. Example: --scores NAME --model {model}")
    chosen = tuple(
        (_profiled(ctx, s, warehouse_path), _profiled(ctx, t, warehouse_path)) for s, t in _pairs(pairs or "")
    )
    request = Request(matrix, model, predictor, chosen, _now(), _absent(ctx, warehouse_path))
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        found = gather(warehouse, request, say)
    page = render(found).encode()
    _write_page(output, page)
    if output_format != "json":
        for section in found.sections:
            for lack in section.missing:
                say(f"{section.key}: {lack.what} {lack.command}".rstrip())
    rows = [{"section": s.key, "state": s.state, "lacks": [m.what for m in s.missing]} for s in found.sections]
    if output_format == "json":
        emit_json({"file": str(output), "bytes": len(page), "sections": rows})
    else:
        # What is lacking would be cut in a column, so it is narrated above.
        emit(rows, output_format, ("section", "state"))
    say(f"wrote {output} ({len(page) / 1e6:.1f} MB): open it in a browser")


def _absent(ctx: click.Context, warehouse_path: str) -> str:
    """The name of a warehouse that the user named and that is not there, "" otherwise. Warns of it.

    Without --warehouse nobody expects a file: the shipped data are what a first report is made of.
    """
    named = ctx.get_parameter_source("warehouse_path") is not ParameterSource.DEFAULT
    if not named or Path(warehouse_path).exists():
        return ""
    warn(f"there is no warehouse {warehouse_path}: the report shows the data that came with traitcast.")
    return Path(warehouse_path).name


def _pairs(text: str) -> list[tuple[str, str]]:
    """(source, target) from `A:B,C:D`. Raises UserError."""
    made = []
    for part in (piece.strip() for piece in text.split(",")):
        source, _, target = (word.strip() for word in part.partition(":"))
        if part and not (source and target):
            raise UserError(f"--pairs {part!r} is not SOURCE:TARGET. Example: --pairs mnli:rte,gsm8k:sst2")
        if part and source == target:
            raise UserError(f"--pairs {part!r} names one dataset twice; a predictor compares two.")
        if part:
            made.append((source, target))
    return made


def _now() -> str:
    """The time for a reader; SOURCE_DATE_EPOCH stands in for the clock where the same bytes are wanted."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(fixed), UTC) if fixed and fixed.isdecimal() else datetime.now(UTC)
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _check_writable(output: Path) -> None:
    if not output.parent.is_dir():
        raise UserError(f"folder {output.parent} does not exist. Make it, or choose another file with --output FILE.")
    if output.exists() and output.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{output} is there already and no HTML file. Choose another file with --output FILE.")
    partial = _partial(output)
    try:
        partial.touch()
    except OSError as error:
        raise _unwritable(output, error) from error
    partial.unlink()


def _partial(output: Path) -> Path:
    """Beside the destination, so that a failure leaves no half page."""
    return output.with_name(f".{output.name}.partial")


def _unwritable(output: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {output}: {error.strerror or error}. Choose another file with --output FILE.")


def _write_page(output: Path, page: bytes) -> None:
    partial = _partial(output)
    try:
        partial.write_bytes(page)
        os.replace(partial, output)
    except OSError as error:
        raise _unwritable(output, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _profiled(ctx: click.Context, dataset: str, warehouse_path: str) -> str:
    """The dataset's name in the warehouse. Without a front door the argument is taken as a name."""
    door: FrontDoor | None = ctx.obj
    return dataset if door is None else door.ensure_profiled(dataset, warehouse_path)


def _introduce(predictor: Predictor, name: str, quality: Mapping[str, float] | None = None) -> None:
    """Say on stderr what the numbers rest on. quality: as `service.known_quality` gives it."""
    about = predictor.about
    models = ", ".join(about["models"])
    say(
        f"predictor {name!r}: {about['cells']} measured cells of matrix {predictor.matrix.matrix!r} ({models}), "
        f"{about['sources']} sources x {about['targets']} targets."
    )
    of, base = predictor.outcome, predictor.matrix.base
    what = f"Gain, low, high: pp over {_BASES.get(base, base)}" if of.harmful else f"Gain, low, high here: {of.what}"
    say(f"{what}, 90 % interval.")
    if quality is not None:
        say(
            f"On targets it has not seen it ranks sources with a Spearman of {quality['value']:.2f} "
            f"[{quality['low']:.2f}, {quality['high']:.2f}]; 0 is chance."
        )


def _warn_novel(found: list[Prediction]) -> None:
    novel = sum(prediction.novel for prediction in found)
    if novel:
        say(f"novel: {novel} of {count(len(found), 'pair')} outside what the predictor saw: read as extrapolation.")


def _say_measured(
    measured: Mapping[tuple[str, str], Sequence[float]],
    fitted: Predictor,
    shown: Sequence[Prediction],
    warehouse_path: str,
) -> None:
    """Say what was measured of the pairs shown, which is better evidence than a prediction of it."""
    if not measured:
        return
    matrix, target = fitted.matrix.matrix, shown[0].target
    if len(shown) == 1:
        gains = measured[shown[0].source, target]
        each = "" if len(gains) == 1 else f" (mean of {some([f'{gain:+.1f}' for gain in gains], 5)})"
        say(
            f"measured in {matrix!r}, and among what the predictor learnt from: {sum(gains) / len(gains):+.1f} pp{each}"
        )
        return
    # Names hold no quotes (`warehouse.names`).
    query = f"FROM transfer_matrix WHERE matrix = '{matrix}' AND target = '{target}' ORDER BY gain DESC"
    were = "was measured, and is" if len(measured) == 1 else "were measured, and are"
    say(
        f"{len(measured)} of these {len(shown)} pairs {were} among what the predictor learnt from: "
        f"{command('sql', query, warehouse=warehouse_path)}"
    )


def _save(warehouse_path: str, found: list[Prediction], explanation: Explanation | None, name: str) -> None:
    from traitcast.predictor import api
    from traitcast.warehouse.database.warehouse import Warehouse

    existed = Path(warehouse_path).exists()
    with Warehouse.open(warehouse_path) as warehouse:
        api.save(warehouse, found, explanation, name=name)
    say(f"{'saved in' if existed else 'created and saved in'} {warehouse_path}: tables predictions and attributions")


COMMANDS: tuple[click.Command, ...] = (
    fit,
    evaluate,
    predict,
    rank,
    explain,
    whatif,
    effects,
    interventions,
    latent,
    report,
)
