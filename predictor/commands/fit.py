"""The commands `fit` and `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.predictor.commands.options import (
    BASES,
    fit_options,
    introduce,
    metric_option,
    outcome_option,
    save_option,
)
from traitcast.predictor.model.outcomes import GAIN, outcome_of
from traitcast.warehouse.console import (
    command,
    emit,
    emit_json,
    format_option,
    progress,
    report_errors,
    say,
    table,
    warehouse_option,
)
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    from traitcast.predictor.evaluation.evaluate import Evaluation

# As `predictor.model.observations` has them, which imports numpy: too slow for --help.
_PROTOCOLS = ("new-target", "new-source", "new-pair", "random-cell")


@click.command()
@fit_options
@outcome_option
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
      traitcast fit --matrix prompt_transferability
      traitcast fit --matrix prompt_transferability --model T5 --name t5 --format json
      traitcast fit --restore
    """
    from traitcast.predictor.api import DEFAULT, fit_into
    from traitcast.warehouse.database.warehouse import Warehouse

    name = name or (DEFAULT if outcome == GAIN.name else outcome)
    if restore:
        if matrix is not None or model is not None:
            raise UserError("--restore fits nothing: leave out --matrix and --model, or leave out --restore.")
        _restore(name, warehouse_path, output_format)
        return
    with Warehouse.open(warehouse_path) as warehouse:
        replaced = name in warehouse.shipped("predictors")
        predictor, observations = fit_into(
            warehouse, matrix=matrix, model=model, tier=tier, seed=seed, name=name, outcome=outcome_of(outcome)
        )
    for note in observations.notes:
        say(note)
    introduce(predictor, name)
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
    say(f"How good is it? {command('evaluate', '--matrix', predictor.matrix.matrix, warehouse=warehouse_path)}")


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
@click.option(
    "--protocol",
    type=click.Choice(_PROTOCOLS),
    default="new-target",
    show_default=True,
)
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Measure the baselines too.")
@click.option(
    "--ablations/--no-ablations",
    default=False,
    show_default=True,
    help="Measure each family of traits alone and left out, and with shuffled gains.",
)
@save_option
@outcome_option
@metric_option
@fit_options
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
      traitcast evaluate --matrix prompt_transferability --protocol new-pair
      traitcast evaluate --matrix prompt_transferability --ablations
      traitcast evaluate --matrix prompt_transferability --save
      traitcast evaluate --matrix smollm2_cpu --metric gold_nll
      traitcast evaluate --matrix prompt_transferability --format json
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
    what = f"Gain in {unit} over {BASES.get(result.base, result.base)}" if of.harmful else of.what.capitalize()
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
