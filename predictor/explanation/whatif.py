"""What if: the same pair with some traits changed, and how far to trust the answer.

Owns changing traits of a profile, whether such a value was seen in training, and which traits move a prediction where
those that were changed do not. It refuses values that no dataset can have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from traitcast.predictor.effects.interventions import Lineage, roots_of
from traitcast.predictor.explanation.support import Intervention, evidence, interventions
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.gain_model import KNOWN, NEW
from traitcast.predictor.model.novelty import Seen
from traitcast.predictor.model.prediction import Prediction
from traitcast.predictor.model.predictor import Predictor
from traitcast.warehouse.console import command, html_table
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import TraitDefinition

SIDES = ("source", "target")
# How the catalogue names what is counted; numbers of rows are counted too.
_COUNT = "_count"
# Traits whose rank correlation over the training datasets reaches this usually change together.
_TOGETHER = 0.7
_SHOWN = 4
# Smaller effects are rounding, in the unit of the prediction.
_EFFECT = 1e-3
_ZERO = 1e-9
_NO_TREES = "this predictor orders sources by likeness and measured gains, not by single traits"


@dataclass(frozen=True, slots=True)
class Change:
    """One changed trait.

    effect: of this change alone, in the unit of the prediction. used: whether the predictor uses this trait; if not,
    `note` says why. low, high: its range over the training datasets in that role, None where it was never seen. share:
    of those datasets, how many are at or below the new value. seen: whether the new value is inside the range.
    together: traits that usually change with it and were kept, with their rank correlation. evidence: what
    interventions in the matrix say about the direction. interventions: each of them.
    """

    trait: str
    side: str
    before: float | None
    after: float
    effect: float
    used: bool
    low: float | None
    high: float | None
    share: float | None
    seen: bool
    together: tuple[tuple[str, float], ...]
    evidence: str
    interventions: tuple[Intervention, ...]
    note: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A prediction before and after some traits were changed.

    now: the answer of `predict` for the pair as it is. before: what the change is compared with, which leaves out what
    was measured of the pair, and of the source if its traits change. notes: what limits the answer.
    """

    now: Prediction
    before: Prediction
    after: Prediction
    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    @property
    def difference(self) -> float:
        """New gain minus old gain, in the unit of both."""
        return self.after.gain - self.before.gain

    def as_row(self) -> dict[str, Any]:
        """The JSON contract of `whatif`."""
        changes = [asdict(c) | {"together": dict(c.together)} for c in self.changes]
        return {
            "source": self.before.source,
            "target": self.before.target,
            "gain_before": self.before.gain,
            "gain_after": self.after.gain,
            "difference": self.difference,
            "now": self.now.as_row(),
            "before": self.before.as_row(),
            "after": self.after.as_row(),
            "changes": changes,
            "notes": list(self.notes),
        }

    def change_rows(self) -> list[dict[str, Any]]:
        """One row per changed trait, for a table."""
        columns = ("trait", "side", "before", "after", "effect", "low", "high", "share", "seen", "evidence")
        return [{name: getattr(c, name) for name in columns} for c in self.changes]

    def _repr_html_(self) -> str:
        old, new = self.before, self.after
        title = f"{old.source} on {old.target}: {old.gain:+.2f} to {new.gain:+.2f} {old.unit}"
        return html_table(self.change_rows(), caption=title)


def what_if(
    predictor: Predictor,
    profiles: ProfileSet,
    source: str,
    target: str,
    settings: Mapping[tuple[str, str], float],
    lineage: Sequence[Lineage] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> WhatIf:
    """Predict a pair again with some traits changed.

    Everything derived from a trait (gaps, ratios, distances of families) is computed again.

    Parameters
    ----------
    predictor
        A fitted predictor.
    profiles
        Profiles of both datasets.
    source, target
        Their names.
    settings
        (side, trait) -> new value in the trait's unit.
    lineage
        Variants of datasets, for the evidence of measured interventions.
    elsewhere
        Trait, or trait family, of a source -> what interventions in another matrix found, in words.

    Raises
    ------
    UserError
        For an unknown trait, or a value that no dataset can have.
    NotProfiledError
        For an unknown dataset.
    """
    if not settings:
        example = command("whatif", source, target, "--set", "prompt_words_sd=2")
        raise UserError(f"nothing to change. Example: {example}")
    names = {"source": source, "target": target}
    as_new = any(side == "source" for side, _ in settings)
    before = _predict(predictor, profiles, names, {}, as_new=as_new)
    for (side, trait), value in settings.items():
        if side not in SIDES:
            raise UserError(f"unknown side {side!r} in {side}:{trait}. Allowed: {', '.join(SIDES)}.")
        _check(profiles, trait, value)
    after = _predict(predictor, profiles, names, settings, as_new=as_new)
    changes = tuple(
        _change(predictor, profiles, names, side, trait, value, before, lineage, elsewhere or {}, as_new)
        for (side, trait), value in settings.items()
    )
    now = predictor.predict(profiles, [source], [target])[0]
    silent = {side: [c.trait for c in changes if c.side == side and not c.effect] for side in SIDES}
    notes = [
        _instead(predictor, profiles, names, side, before, silent[side], as_new=as_new)
        for side in SIDES
        if silent[side]
    ]
    return WhatIf(now, before, after, changes, (*_notes(profiles, names, settings, changes, after), *notes))


def addressed(name: str) -> tuple[str, str]:
    """(side, trait) from "trait", "source:trait" or "target:trait"; the source if no side is given."""
    side, colon, trait = name.rpartition(":")
    return side.strip() if colon else "source", trait.strip()


def set_traits(profiles: ProfileSet, name: str, values: Mapping[str, float]) -> tuple[ProfileSet, str]:
    """The profiles with one more dataset, a copy of `name` with these traits, and its name. Its sketches stay."""
    made = f"{name} (changed)"
    return _copies(profiles, name, {made: values}), made


def _copies(profiles: ProfileSet, name: str, made: Mapping[str, Mapping[str, float]]) -> ProfileSet:
    """The profiles with copies of `name`. made: the name of each -> its traits."""
    traits = profiles.traits
    row = int(profiles.rows_of([name])[0])
    columns = {trait: at for at, trait in enumerate(traits.traits)}
    changed = np.tile(traits.values[row], (len(made), 1))
    for at, values in enumerate(made.values()):
        for trait, value in values.items():
            changed[at, columns[trait]] = value
    grown = replace(
        traits,
        names=(*traits.names, *made),
        task_types=(*traits.task_types, *[traits.task_types[row]] * len(made)),
        families=(*traits.families, *[traits.families[row]] * len(made)),
        rows=(*traits.rows, *(int(values.get("dataset_rows", traits.rows[row])) for values in made.values())),
        values=np.vstack([traits.values, changed]),
    )
    sketches = {
        key: {**by, **dict.fromkeys(made, by[name])} if name in by else by for key, by in profiles.sketches.items()
    }
    labels = dict(profiles.label_counts)
    if name in labels:
        labels |= dict.fromkeys(made, labels[name])
    return replace(profiles, traits=grown, sketches=sketches, label_counts=labels)


def _instead(
    predictor: Predictor,
    profiles: ProfileSet,
    names: Mapping[str, str],
    side: str,
    before: Prediction,
    silent: Sequence[str],
    *,
    as_new: bool,
) -> str:
    """Which traits of one side move a prediction most, set to an end of their range in training, in words."""
    tried: list[tuple[str, float]] = []
    for definition in profiles.traits.definitions:
        values = _training_values(predictor, profiles, side, definition.trait)
        if values.size:
            low, high = (_inside(float(values[at]), definition, to) for at, to in ((0, math.ceil), (-1, math.floor)))
            tried += [(definition.trait, end) for end in sorted({low, high})]
    made = {f"{names[side]} {at}": {trait: value} for at, (trait, value) in enumerate(tried)}
    pairs = {which: [*made] if which == side else [names[which]] * len(tried) for which in SIDES}
    known_as = dict.fromkeys(made, names[side])
    if as_new:
        known_as |= dict.fromkeys(pairs["source"], "")
    found = predictor.expect(_copies(profiles, names[side], made), pairs["source"], pairs["target"], known_as)
    effects = {(trait, value): p.gain - before.gain for (trait, value), p in zip(tried, found, strict=True)}
    best: dict[str, tuple[float, float]] = {}
    for (trait, value), effect in sorted(effects.items(), key=lambda item: -abs(item[1])):
        if abs(effect) < _EFFECT or len(best) == _SHOWN:
            break
        if not _impossible_labels(profiles, names[side], side, {trait: value}):
            best.setdefault(trait, (value, effect))
    if not best:
        return f"no trait of the {side} moves this prediction: changing one does nothing"
    moves = (f"{side}:{trait}={value:g} ({effect:+.2g} {before.unit})" for trait, (value, effect) in best.items())
    do = "does" if len(silent) == 1 else "do"
    return f"{' and '.join(silent)} of the {side} {do} not move this prediction; what does: {', '.join(moves)}"


def _inside(value: float, definition: TraitDefinition, towards: Callable[[float], int]) -> float:
    """An end of a range in three digits, inside of it. towards: `math.ceil` for the lower end, `math.floor`."""
    if abs(value) < _ZERO:
        return 0.0
    step = 1.0 if _is_whole(definition) else 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    # Ends are those of scaled values, so that 2 may be 1.9999999999999991.
    return float(f"{towards(round(value / step, 6)) * step:.12g}")


def _is_whole(definition: TraitDefinition) -> bool:
    return definition.trait.endswith(_COUNT) or definition.unit == "rows"


def _predict(
    predictor: Predictor,
    profiles: ProfileSet,
    names: Mapping[str, str],
    settings: Mapping[tuple[str, str], float],
    *,
    as_new: bool,
) -> Prediction:
    """The pair with its settings. as_new: the source counts as never measured."""
    pair, known_as = dict(names), {}
    for side in SIDES:
        values = {trait: value for (where, trait), value in settings.items() if where == side}
        if values:
            profiles, pair[side] = set_traits(profiles, names[side], values)
            # The level of a target is its own, whatever its changed traits.
            known_as[pair[side]] = names[side]
    if as_new:
        # What a source was measured to do belongs to the data it was tuned on, not to others with other traits.
        known_as[pair["source"]] = ""
    return predictor.expect(profiles, [pair["source"]], [pair["target"]], known_as)[0]


def _check(profiles: ProfileSet, trait: str, value: float) -> None:
    known = profiles.traits.traits
    if trait not in known:
        close = get_close_matches(trait, known, n=3, cutoff=0.5)
        hint = f" Nearest: {', '.join(close)}." if close else ""
        raise UserError(
            f"unknown trait {trait!r}.{hint} See them all with: "
            f"{command('sql', 'SELECT trait, unit, definition FROM trait_catalogue')}"
        )
    definition = profiles.traits.definitions[known.index(trait)]
    low, high = definition.low, definition.high
    whole = _is_whole(definition)
    if definition.unit == "rows":
        # Nobody tunes on an empty file.
        low = 1.0
    if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
        span = f"{'-∞' if low is None else f'{low:g}'} to {'∞' if high is None else f'{high:g}'}"
        kind = f"whole {definition.unit}" if whole else definition.unit or "no unit"
        raise UserError(f"{trait}={value:g} is impossible: it ranges from {span} ({kind}).")
    if whole and value != int(value):
        near = f"{trait}={math.floor(value)} or {trait}={math.ceil(value)}"
        raise UserError(f"{trait}={value:g} is impossible: it counts {definition.unit}. Set {near}.")


def _change(
    predictor: Predictor,
    profiles: ProfileSet,
    names: Mapping[str, str],
    side: str,
    trait: str,
    value: float,
    before: Prediction,
    lineage: Sequence[Lineage],
    elsewhere: Mapping[str, str],
    as_new: bool,
) -> Change:
    column = profiles.traits.traits.index(trait)
    old = float(profiles.traits.values[int(profiles.rows_of([names[side]])[0]), column])
    effect = _predict(predictor, profiles, names, {(side, trait): value}, as_new=as_new).gain - before.gain
    effect = effect if abs(effect) >= _EFFECT else 0.0
    used, note = _used(predictor, side, trait)
    values = _training_values(predictor, profiles, side, trait)
    low, high = (float(values.min()), float(values.max())) if values.size else (None, None)
    definition = profiles.traits.definitions[column]
    found = interventions(predictor, profiles, side, definition, lineage)
    words = evidence(found, roots_of(lineage), value - old, effect, before.unit)
    others = [elsewhere[word] for word in (trait, definition.family) if word in elsewhere and side == "source"]
    if not found and others:
        words = f"no intervention in this matrix; {others[0]}"
    return Change(
        trait=trait,
        side=side,
        before=None if math.isnan(old) else old,
        after=value,
        effect=effect,
        used=used,
        low=low,
        high=high,
        share=float(np.mean(values <= value)) if values.size else None,
        seen=low is not None and high is not None and low <= value <= high,
        together=_together(predictor, side, trait),
        evidence=words,
        interventions=found,
        note=note,
    )


def _used(predictor: Predictor, side: str, trait: str) -> tuple[bool, str]:
    space = predictor.space
    if all(predictor.booster(regime) is None for regime in (KNOWN, NEW)):
        return False, _NO_TREES
    if trait == "dataset_rows":
        sized = side == "source" and any(f.trait == "rows_log10" for f in space.features)
        return sized, "" if sized else "the predictor uses the number of rows of the source only"
    if trait not in space.traits:
        reason = space.dropped.get(trait, "it was not in the catalogue when the predictor was fitted")
        return False, f"the predictor does not use it: {reason}"
    family = next(d.family for d in space.definitions if d.trait == trait)
    kinds = {f.name for f in space.features}
    if not kinds & {f"{side}:{trait}", f"gap:{trait}", f"distance:{family}"}:
        return False, f"the predictor has no feature of the {side} that contains it"
    if f"{side}:{trait}" not in kinds:
        return True, "the predictor uses it only in comparisons of the two datasets"
    return True, ""


def _training_values(predictor: Predictor, profiles: ProfileSet, side: str, trait: str) -> np.ndarray:
    """Defined values of the trait over the training datasets in that role, sorted."""
    seen = _seen(predictor, side)
    if trait in predictor.space.traits:
        j = predictor.space.traits.index(trait)
        values = seen.profiles[:, j] * predictor.space.scales[j] + predictor.space.centres[j]
    else:
        here = [name for name in seen.names if name in set(profiles.traits.names)]
        values = profiles.traits.values[profiles.rows_of(here), profiles.traits.traits.index(trait)]
    return np.sort(values[~np.isnan(values)])


def _seen(predictor: Predictor, side: str) -> Seen:
    return predictor.seen_sources if side == "source" else predictor.seen_targets


def _together(predictor: Predictor, side: str, trait: str) -> tuple[tuple[str, float], ...]:
    """Used traits with a strong positive or negative rank correlation with this one, the strongest first."""
    from scipy.stats import spearmanr

    traits = predictor.space.traits
    if trait not in traits:
        return ()
    values = _seen(predictor, side).profiles
    own = values[:, traits.index(trait)]
    found = []
    for j, other in enumerate(traits):
        both = ~np.isnan(own) & ~np.isnan(values[:, j])
        if other == trait or both.sum() < 3 or not np.ptp(own[both]) or not np.ptp(values[both, j]):
            continue
        rho = float(spearmanr(own[both], values[both, j]).statistic)
        if abs(rho) >= _TOGETHER:
            found.append((other, rho))
    return tuple(sorted(found, key=lambda pair: -abs(pair[1]))[:_SHOWN])


def _notes(
    profiles: ProfileSet,
    names: Mapping[str, str],
    settings: Mapping[tuple[str, str], float],
    changes: Sequence[Change],
    after: Prediction,
) -> list[str]:
    notes = [f"{c.side} {c.trait}: {c.note}" for c in changes if c.note not in ("", _NO_TREES)]
    set_here = {(c.side, c.trait) for c in changes}
    for c in changes:
        left = [f"{other} ({rho:+.2f})" for other, rho in c.together if (c.side, other) not in set_here]
        if c.effect and left:
            notes.append(
                f"{c.side} {c.trait} rarely changes on its own; these traits usually change with it and were kept "
                f"(rank correlation): {', '.join(left)}"
            )
        if not c.seen and c.low is not None:
            notes.append(
                f"{c.side} {c.trait}={c.after:g} is outside the training range, {c.low:.4g} to {c.high:.4g}: an "
                "extrapolation"
            )
    for side in SIDES:
        values = {trait: value for (where, trait), value in settings.items() if where == side}
        if values:
            notes += _impossible_labels(profiles, names[side], side, values)
    if after.novel:
        notes.append("the changed pair is unlike those in training: an extrapolation")
    if any(side == "source" for side, _ in settings):
        notes.append(
            f"{names['source']} counts as never measured where traits are changed: what was measured belongs to its "
            "unchanged rows"
        )
    notes.append("text similarities and label overlap are those of the unchanged datasets")
    return notes


def _impossible_labels(profiles: ProfileSet, name: str, side: str, values: Mapping[str, float]) -> list[str]:
    """Notes on label (or response) distributions that cannot exist with the new and the kept values."""
    made, changed = set_traits(profiles, name, values)
    row = made.traits.values[int(made.rows_of([changed])[0])]
    value = dict(zip(made.traits.traits, row.tolist(), strict=True))
    notes = []
    for part, classes in (("label", "label_class_count"), ("response", "response_distinct_count")):
        share, bits = f"{part}_majority_share", f"{part}_entropy_bits"
        if not {share, bits, classes} & set(values) or not {share, bits, classes} <= set(value):
            continue
        if math.isnan(value[classes]):
            notes.append(f"{name} has no {classes}, so no {share} or {bits} describes it: an extrapolation")
            continue
        low, high = entropy_bounds(value[share], value[classes])
        if value[bits] < low - 0.05 or value[bits] > high + 0.05:
            notes.append(
                f"no dataset can have {share}={value[share]:.3g} over {value[classes]:.0f} values with {bits}="
                f"{value[bits]:.3g} (possible: {low:.3g} to {high:.3g}): set them together on the {side}"
            )
        elif math.isnan(low) and not math.isnan(value[share]):
            notes.append(f"{share}={value[share]:.3g} is too small for {value[classes]:.0f} values: set them together")
    return notes


def entropy_bounds(majority: float, values: float) -> tuple[float, float]:
    """Smallest and largest entropy (bits) of a distribution over `values` values whose largest share is `majority`.

    Largest: the rest is spread evenly. Smallest: as many values as possible have the largest share, and one the rest.
    NaN for both where no such distribution exists.
    """
    if not (majority > 0 and values >= 1 and majority * values >= 1 - 1e-9) or majority > 1:
        return math.nan, math.nan
    rest = 1 - majority
    even = rest * math.log2(rest / (values - 1)) if rest > 0 and values > 1 else 0.0
    whole = math.floor(1 / majority + 1e-9)
    left = max(1 - whole * majority, 0.0)
    least = -whole * majority * math.log2(majority) - (left * math.log2(left) if left > 1e-12 else 0.0)
    return least, -majority * math.log2(majority) - even
