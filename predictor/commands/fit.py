"""The commands `fit` and `evaluate`."""

from __future__ import annotations

import math
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
from traitcast.predictor.model.outcomes import GAIN, Outcome, outcome_of
from traitcast.warehouse.console import (
    command,
    emit,
    emit_json,
    emit_table,
    format_option,
    progress,
    report_errors,
    say,
    tell,
    warehouse_option,
)
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    from traitcast.predictor.evaluation.evaluate import Evaluation

# As `predictor.model.observations` has them, which imports numpy: too slow for --help.
_PROTOCOLS = ("new-target", "one-target", "new-source", "two-sources", "new-pair", "random-cell")


@click.command()
@fit_options
@outcome_option
@metric_option
@click.option("--name", help="Name to store it under  [default: default, or the outcome's name]")
@click.option("--restore", is_flag=True, help="Fit nothing; bring the shipped predictor of that name back.")
@warehouse_option
@format_option()
@report_errors
def fit(
    outcome: str,
    metric: str | None,
    name: str | None,
    restore: bool,
    warehouse_path: str,
    output_format: str,
    **options: Any,
) -> None:
    """Fit the predictor to a transfer matrix of the warehouse.

    With --tier probe it also uses what the untuned model does with the datasets (`traitcast probe`). With --outcome it
    learns a side effect instead of the gain and is stored under that name: `traitcast predict A B --predictor
    length_shift`.

    \b
    Examples:
      traitcast fit --matrix prompt_transferability
      traitcast fit --matrix prompt_transferability --model T5 --name t5 --format json
      traitcast fit --matrix smollm2_cpu --metric gold_nll --name nll
      traitcast fit --restore
    """
    from traitcast.predictor.api import DEFAULT, evaluate_options, fit_into, outcome_in
    from traitcast.warehouse.database.warehouse import Warehouse

    of = outcome_of(outcome, metric)
    name = name or (DEFAULT if outcome == GAIN.name else outcome)
    if restore:
        if options["matrix"] is not None or options["model"] is not None:
            raise UserError("--restore fits nothing: leave out --matrix and --model, or leave out --restore.")
        _restore(name, warehouse_path, output_format)
        return
    # Nothing is made for what is refused.
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        every = [one.matrix for one in warehouse.matrices()]
        if options["matrix"] is None and every and set(every) <= set(warehouse.shipped("matrices")):
            raise UserError(
                f"no matrix here is your own, and the predictor that ships learnt from one already. Choose one with "
                f"--matrix: {', '.join(every)}. Or add one: {command('scores', 'import', 'FILE')}"
            )
        of = outcome_in(warehouse, of, options["matrix"])
    with Warehouse.open(warehouse_path) as warehouse:
        replaced = name in warehouse.shipped("predictors")
        predictor, observations = fit_into(warehouse, name=name, outcome=of, **options)
    for note in observations.notes:
        say(note)
    introduce(predictor, name)
    if replaced:
        again = command("fit", "--restore", "--name", name, warehouse=warehouse_path)
        say(f"it replaces the shipped predictor {name!r} in this warehouse. To bring that one back: {again}")
    size = predictor.about["size"]
    row = {
        "predictor": name,
        "matrix": predictor.matrix.matrix,
        "model": predictor.model,
        "tier": predictor.tier,
        "outcome": outcome,
        "metric": predictor.matrix.metric,
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
    say(f"How good is it? {command('evaluate', *evaluate_options(predictor), warehouse=warehouse_path)}")


def _restore(name: str, warehouse_path: str, output_format: str) -> None:
    """Bring the shipped predictor back."""
    from traitcast.warehouse.database.warehouse import Warehouse

    # Without a file the predictor is the shipped one already; a name that is not shipped is still refused.
    with Warehouse.open(warehouse_path, read_only=not Path(warehouse_path).exists()) as warehouse:
        replaced = warehouse.restore("predictors", [name])
        found = warehouse.predictor(name)
    say(f"{name}: the shipped predictor is back" if replaced else f"{name}: this is the shipped predictor already")
    row = {"predictor": name, "matrix": found.matrix, "tier": found.tier, "fingerprint": found.fingerprint}
    emit_json(row) if output_format == "json" else emit([row], output_format)


@click.command()
@click.option(
    "--protocol",
    type=click.Choice(_PROTOCOLS),
    default="new-target",
    show_default=True,
)
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Score the baselines as well.")
@click.option(
    "--ablations/--no-ablations",
    default=False,
    show_default=True,
    help="Also score each family of traits alone, all traits without it, and shuffled gains.",
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
    warehouse_path: str,
    output_format: str,
    **options: Any,
) -> None:
    """Cross-validate the predictor, against baselines and the noise ceiling.

    The protocols hold out targets with their families (new-target) or one at a time (one-target), sources (new-source)
    or two of them (two-sources), both (new-pair), or random cells (random-cell).
    The last one leaks and flatters: use it only to compare with papers that split this way.

    \b
    Examples:
      traitcast evaluate --matrix prompt_transferability --protocol new-pair
      traitcast evaluate --matrix prompt_transferability --ablations
      traitcast evaluate --matrix prompt_transferability --save
      traitcast evaluate --matrix smollm2_cpu --metric gold_nll
      traitcast evaluate --matrix prompt_transferability --format json
    """
    from traitcast.predictor.api import evaluate_matrix, outcome_in
    from traitcast.predictor.evaluation.verdict import verdict
    from traitcast.warehouse.database.warehouse import Warehouse

    of = outcome_of(outcome, metric)
    with Warehouse.open(warehouse_path, read_only=True) as warehouse, progress("folds", 0) as bar:
        of = outcome_in(warehouse, of, options["matrix"])
        result = evaluate_matrix(
            warehouse,
            protocol,
            outcome=of,
            with_baselines=baselines,
            with_ablations=ablations,
            on_progress=bar.reach,
            **options,
        )
    words = verdict(result, of)
    document = result.as_json() | {"verdict": words}
    if save:
        with Warehouse.open(warehouse_path) as warehouse:
            kept = {name: options[name] for name in ("model", "tier", "seed")}
            warehouse.save_evaluation(document, outcome=outcome, metric=of.metric, **kept)
        say(f"saved in {warehouse_path}, table evaluations; `traitcast report` shows it")
    if output_format == "json":
        asked = {"outcome": outcome if outcome != GAIN.name else None, "metric": metric}
        emit_json(document | {key: value for key, value in asked.items() if value is not None})
    else:
        _print_evaluation(result, of, words)


def _print_evaluation(result: Evaluation, of: Outcome, words: Sequence[str]) -> None:
    for note in result.notes:
        say(note)
    leak = " LEAKY: rows and columns of the test cells are in training." if result.leaky else ""
    say(
        f"{result.protocol} on {result.matrix}: {result.cells} cells, {result.targets} targets, "
        f"{result.candidates:.1f} sources ranked at a time. Kept together: {result.groups}.{leak}"
    )
    what = f"{of.what.capitalize()}{f', over {BASES.get(result.base, result.base)}' if of.harmful else ''}"
    tell(" ".join(words), hanging=0)
    say(f"{what}. Second table: the model's values with 95 % bootstrap intervals over {result.resampled}.")
    emit_table(
        result.quality_rows(),
        optional=("pairwise_accuracy", "regret_at_1", "sign_accuracy", "ndcg", "regret_at_5", "regret_at_3_spreads"),
    )
    click.echo()
    emit_table([{"model": key} | dict(value) for key, value in result.model.items()])
    if result.advantage is not None and math.isfinite(result.advantage["value"]):
        a = result.advantage
        say(
            f"Spearman minus that of the best baseline, {a['baseline']}: {a['value']:+.3f} "
            f"[{a['low']:+.3f}, {a['high']:+.3f}]"
        )
    used = ", ".join(f"{kind} in {n}" for kind, n in result.gate["used"].items())
    say(
        f"The gate used: {used} of {sum(result.gate['used'].values())} fits; it claimed no signal in "
        f"{result.gate['abstained']:.0%} of them."
    )
    harm = result.harm
    width = f"90 % intervals are {result.interval_width:.2f} {of.unit} wide "
    width += f"(around the mean of the training gains: {result.constant_width:.2f})."
    if of.harmful:
        width += (
            f" The chance of harm is off by {harm['error']:.3f} on average; its Brier score is {harm['brier']:.3f} "
            f"(always answering with the overall share: {harm['base']:.3f})."
        )
    say(width)
    if result.noise is not None:
        n = result.noise
        words = f"One seed of a cell has a standard deviation of {n['standard_deviation']:.2f} {of.unit}."
        if math.isfinite(n["reliability"]):
            words += (
                f" {n['reliability']:.0%} of the variance between the sources of a target would appear again with "
                "new seeds on the same test rows, so no predictor can be expected to correlate above "
                f"{n['attainable']:.2f}."
            )
        else:
            words += " Too few sources have two seeds to say what a predictor can reach at most."
        say(words)
    if result.ablations is not None and result.claim is not None:
        _print_ablations(result.ablations, result.claim)


def _print_ablations(ablations: Mapping[str, Mapping[str, Any]], claim: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        {"part": name, "spearman": part["spearman"]["value"], "rmse": part["rmse"]["value"]}
        | {"loss": part["loss"]["value"], "loss_low": part["loss"]["low"], "loss_high": part["loss"]["high"]}
        for name, part in ablations.items()
    ]
    click.echo()
    emit_table(rows)
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
    emit_table(rows)
    say("loss: Spearman of all features minus that of the part; over_similarity: of the part minus that of similarity.")
    say("If a part does well alone and costs nothing when left out, other parts carry the same information.")
