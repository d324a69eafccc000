"""The commands `fit`, `evaluate`, `predict`, `rank`, `explain` and `whatif`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from warehouse.console import (
    command,
    count,
    emit,
    emit_json,
    format_option,
    progress,
    report_errors,
    say,
    table,
    warehouse_option,
)
from warehouse.errors import UserError

if TYPE_CHECKING:
    from predictor.evaluate import Evaluation
    from predictor.explain import Explanation
    from predictor.model import Prediction, Predictor
    from predictor.whatif import WhatIf

Command = TypeVar("Command", bound=Callable[..., Any])
_PROTOCOLS = ("new-target", "new-source", "new-pair", "random-cell")
_PREDICTION_COLUMNS = ("source", "target", "gain", "low", "high", "harm", "novel", "source_mean")
_BASES = {
    "untuned": "the untuned model",
    "target mean": "an average source on the same target (the matrix has no untuned score)",
}


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
@click.option("--name", default="default", show_default=True, help="Name under which the predictor is stored.")
@warehouse_option
@format_option()
@report_errors
def fit(
    matrix: str | None, model: str | None, tier: str, seed: int, name: str, warehouse_path: str, output_format: str
) -> None:
    """Train the predictor on a transfer matrix of the warehouse.

    \b
    Examples:
      traitcast fit --scores prompt_transferability
      traitcast fit --scores prompt_transferability --model T5 --name t5 --format json
    """
    from predictor.service import fit_into
    from warehouse.store import Warehouse

    with Warehouse.open(warehouse_path) as warehouse:
        replaced = warehouse.predictor(name) if name in warehouse.shipped("predictors") else None
        predictor, observations = fit_into(warehouse, matrix=matrix, model=model, tier=tier, seed=seed, name=name)
    for note in observations.notes:
        say(note)
    _introduce(predictor, name)
    if replaced is not None:
        again = command("fit", "--scores", replaced.matrix, "--name", name, warehouse=warehouse_path)
        say(f"it takes the place of the shipped predictor {name!r} here. Have that one back: {again}")
    size = predictor.about["size"]
    row = {
        "predictor": name,
        "matrix": predictor.matrix.matrix,
        "model": model,
        "tier": tier,
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


@click.command()
@click.option("--protocol", type=click.Choice(_PROTOCOLS), default="new-target", show_default=True)
@click.option("--baselines/--no-baselines", default=True, show_default=True, help="Measure the baselines too.")
@click.option(
    "--ablations/--no-ablations",
    default=False,
    show_default=True,
    help="Measure each family of traits alone and left out, and with shuffled gains.",
)
@_matrix_options
@warehouse_option
@format_option()
@report_errors
def evaluate(
    protocol: str,
    baselines: bool,
    ablations: bool,
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
      traitcast evaluate --scores prompt_transferability --format json
    """
    from predictor.service import evaluate_matrix
    from warehouse.store import Warehouse

    with Warehouse.open(warehouse_path, read_only=True) as warehouse, progress("folds", 0) as bar:

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.advance(done - bar.done)

        result = evaluate_matrix(
            warehouse,
            protocol,
            matrix=matrix,
            model=model,
            tier=tier,
            with_baselines=baselines,
            with_ablations=ablations,
            seed=seed,
            on_progress=advance,
        )
    if output_format == "json":
        emit_json(result.as_json())
    else:
        _print_evaluation(result)


def _print_evaluation(result: Evaluation) -> None:
    for note in result.notes:
        say(note)
    leak = " LEAKY: the test cells' own rows and columns are in training." if result.leaky else ""
    say(
        f"{result.protocol} on {result.matrix}: {result.cells} cells, {result.targets} targets, "
        f"{result.candidates:.1f} sources ranked at a time. Kept together: {result.groups}.{leak}"
    )
    say(f"Gain in pp over {_BASES.get(result.base, result.base)}; value [95 % bootstrap over targets] for the model.")
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
    say(
        f"90 % intervals are {result.interval_width:.2f} pp wide. Chance of harm: off by {harm['error']:.3f} on "
        f"average, Brier {harm['brier']:.3f} (always the overall share: {harm['base']:.3f})."
    )
    if result.noise is not None:
        n = result.noise
        say(
            f"Noise of one seed: {n['standard_deviation']:.2f} pp; {n['reliability']:.0%} of what tells the sources of "
            f"a target apart would come again, so nobody can pass a correlation of {n['attainable']:.2f}."
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
    warehouse_path: str,
    output_format: str,
) -> None:
    """Predict what tuning on SOURCE does to TARGET, in percentage points.

    SOURCE and TARGET are profiled names, local files or folders, or hub ids.

    \b
    Examples:
      traitcast predict mnli rte
      traitcast predict examples/support_tickets sst2 --format json
    """
    from predictor import service
    from warehouse.store import Warehouse

    source, target = (_profiled(ctx, dataset, warehouse_path) for dataset in (source, target))
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = service.predictor_of(warehouse, predictor)
        found = service.predict_pair(warehouse, fitted, source, target)
    _introduce(fitted, predictor)
    if save:
        _save(warehouse_path, [found], None, predictor)
    if output_format == "json":
        emit_json(found.as_row())
    else:
        emit([found.as_row()], output_format, _PREDICTION_COLUMNS)
        _warn_novel([found])


@click.command()
@click.argument("target")
@click.option("--sources", metavar="A,B,...", help="Candidates  [default: every other profiled dataset]")
@click.option("--top", type=click.IntRange(1), metavar="N", help="Show the N best only.")
@_predictor_option
@_save_option
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
    warehouse_path: str,
    output_format: str,
) -> None:
    """Rank sources for TARGET by predicted gain, best first.

    TARGET and each source is a profiled name, a local file or folder, or a hub id. Without --sources, every other
    profiled dataset of 100 rows or more is a candidate.

    \b
    Examples:
      traitcast rank rte --top 10
      traitcast rank examples/support_tickets --sources sst2,mnli,ag_news --format json
    """
    from predictor import service
    from warehouse.outdated import warn_outdated
    from warehouse.store import Warehouse

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
        fitted = service.predictor_of(warehouse, predictor)
        found = service.rank_sources(warehouse, fitted, target, chosen)
    _introduce(fitted, predictor)
    shown = found if top is None else found[:top]
    if save:
        _save(warehouse_path, shown, None, predictor)
    if output_format == "json":
        emit_json([prediction.as_row() for prediction in shown])
        return
    emit([prediction.as_row() for prediction in shown], output_format, _PREDICTION_COLUMNS)
    _warn_novel(shown)
    ranked = {prediction.source for prediction in found}
    if small := [name for name in others if name not in ranked]:
        say(f"not ranked, below {service.MIN_ROWS} rows: {', '.join(small)} (name them with --sources to see them)")
    named = () if predictor == service.DEFAULT else ("--predictor", predictor)
    say(f"Why? {command('explain', shown[0].source, target, *named, warehouse=warehouse_path)}")


@click.command()
@click.argument("source")
@click.argument("target")
@click.option("--top", type=click.IntRange(1), default=12, show_default=True, help="Traits shown in the table.")
@_predictor_option
@_save_option
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
    warehouse_path: str,
    output_format: str,
) -> None:
    """Explain the prediction for SOURCE and TARGET: exact TreeSHAP per trait, by family and by side.

    \b
    Examples:
      traitcast explain mnli rte
      traitcast explain examples/support_tickets sst2 --format json
    """
    from predictor import service
    from warehouse.store import Warehouse

    source, target = (_profiled(ctx, dataset, warehouse_path) for dataset in (source, target))
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = service.predictor_of(warehouse, predictor)
        found = service.explain_pair(warehouse, fitted, source, target)
    _introduce(fitted, predictor)
    if save:
        _save(warehouse_path, [found.prediction], found, predictor)
    if output_format == "json":
        emit_json(found.as_row())
    else:
        _print_explanation(found, top)


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
    from predictor import service
    from warehouse.store import Warehouse

    settings = _settings(changes)
    source, target = (_profiled(ctx, dataset, warehouse_path) for dataset in (source, target))
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        fitted = service.predictor_of(warehouse, predictor)
        found = service.what_if_pair(warehouse, fitted, source, target, settings)
    _introduce(fitted, predictor)
    if output_format == "json":
        emit_json(found.as_row())
    else:
        _print_what_if(found)


def _settings(changes: tuple[str, ...]) -> dict[tuple[str, str], float]:
    """(side, trait) -> value from `trait=value`, `source:trait=value` or `target:trait=value`."""
    from predictor.whatif import addressed

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


def _profiled(ctx: click.Context, dataset: str, warehouse_path: str) -> str:
    """The dataset's name in the warehouse. Without a front door the argument is taken as a name."""
    door: FrontDoor | None = ctx.obj
    return dataset if door is None else door.ensure_profiled(dataset, warehouse_path)


def _introduce(predictor: Predictor, name: str) -> None:
    """Say on stderr what the numbers rest on."""
    about = predictor.about
    models = ", ".join(about["models"])
    say(
        f"predictor {name!r}: {about['cells']} measured cells of matrix {predictor.matrix.matrix!r} ({models}), "
        f"{about['sources']} sources x {about['targets']} targets."
    )
    say(f"Gain, low, high: pp over {_BASES.get(predictor.matrix.base, predictor.matrix.base)}, 90 % interval.")


def _warn_novel(found: list[Prediction]) -> None:
    novel = sum(prediction.novel for prediction in found)
    if novel:
        say(f"novel: {novel} of {count(len(found), 'pair')} outside what the predictor saw: read as extrapolation.")


def _save(warehouse_path: str, found: list[Prediction], explanation: Explanation | None, name: str) -> None:
    from predictor import service
    from warehouse.store import Warehouse

    existed = Path(warehouse_path).exists()
    with Warehouse.open(warehouse_path) as warehouse:
        service.save(warehouse, found, explanation, name=name)
    say(f"{'saved in' if existed else 'created and saved in'} {warehouse_path}: tables predictions and attributions")


COMMANDS: tuple[click.Command, ...] = (fit, evaluate, predict, rank, explain, whatif)
