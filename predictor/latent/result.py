"""The result of a search for latent factors: the factors of one transfer matrix in numbers, words, rows and HTML.

Owns the result and its presentation. It never names an ability: a factor has a number, datasets at its ends, and traits
it correlates with.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from traitcast.predictor.latent.associations import MIN_DATASETS, Association
from traitcast.predictor.latent.count import CrossValidation, Parallel
from traitcast.predictor.latent.factors import Centre, Method, per_direction
from traitcast.warehouse.console import command, count, html_table
from traitcast.warehouse.records import LatentRecord

# A factor that becomes another one under resampling has no meaning of its own (Lorenzo-Seva and ten Berge 2006 call
# .85 to .94 fairly similar).
STABLE = 0.85
_ENDS = 3
# What centring leaves, which is what shares are shares of.
_LEFT: dict[Centre, str] = {
    "target": "the differences between sources",
    "double": "the differences beyond the levels of sources and targets",
}


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor, by number from 1, largest first.

    share: of the squared centred gains of the measured cells, 0..1; interval by jackknife over sources and targets.
    source_congruence: Tucker's congruence of its source scores with those from resampled targets, median and
    percentiles of the bootstraps. target_congruence: of its loadings with those from resampled sources.
    """

    number: int
    share: Interval
    source_congruence: Interval
    target_congruence: Interval

    @property
    def name(self) -> str:
        return f"factor {self.number}"

    @property
    def stable(self) -> bool:
        """Whether nearly every resample of sources and of targets yields this factor again."""
        return min(self.source_congruence.low, self.target_congruence.low) >= STABLE


@dataclass(frozen=True, slots=True)
class Point:
    """One dataset on one factor. score: of a source, in standard deviations; of a target, its loading."""

    side: str
    dataset: str
    score: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Latent:
    """The factors of one transfer matrix: centred gain of (source, target) is about scores[source] @ loadings[target].

    Attributes
    ----------
    sources, targets
        Names in the order of the rows of `scores` and `loadings`.
    scores, loadings
        float64, (sources, k) and (targets, k). A column of scores has root mean square 1 (and mean 0 unless method is
        "nmf"), so a loading says, in `unit`, how much more a target gains from a source one standard deviation up.
    score_errors, loading_errors
        Their bootstrap standard errors.
    unit
        "pp", or "sd" when every target was scaled to a standard deviation of 1.
    factors
        k of them, possibly none; `latent_of(..., factors=2)` returns two in any case.
    explained
        Share of the centred gains that all factors explain together.
    source_space, target_space
        How far resampling keeps the space of the factors, however its axes are rotated (mean squared cosine).
    noise
        Share of the centred gains that is noise of the seeds; None with one seed.
    measured, filled, diagonal
        Cells measured and filled in, without the diagonal; diagonal cells left out.
    associations
        Every trait that was tested, smallest q first.
    profiled
        Numbers of (sources, targets) with a profile.
    asked, most
        Number of factors asked for (None for "auto"), and the largest number that this matrix allows.
    """

    matrix: str
    model: str
    base: str
    method: Method
    centre: Centre
    unit: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    scores: np.ndarray
    loadings: np.ndarray
    score_errors: np.ndarray
    loading_errors: np.ndarray
    factors: tuple[Factor, ...]
    explained: Interval
    source_space: Interval
    target_space: Interval
    noise: float | None
    measured: int
    filled: int
    diagonal: int
    parallel: Parallel
    cross_validation: CrossValidation
    asked: int | None
    most: int
    associations: tuple[Association, ...]
    profiled: tuple[int, int]
    seed: int
    notes: tuple[str, ...]

    @property
    def found(self) -> tuple[Association, ...]:
        """The traits that survive the correction for multiple tests."""
        return tuple(a for a in self.associations if a.found)

    def points(self, number: int, side: str) -> tuple[Point, ...]:
        """All datasets of a side ("source" or "target") on one factor, highest first."""
        names, values, errors = (
            (self.sources, self.scores, self.score_errors)
            if side == "source"
            else (self.targets, self.loadings, self.loading_errors)
        )
        k = number - 1
        order = sorted(range(len(names)), key=lambda i: (-values[i, k], names[i]))
        return tuple(Point(side, names[i], float(values[i, k]), float(errors[i, k])) for i in order)

    @property
    def left(self) -> str:
        """What the shares are shares of, in words."""
        return _LEFT[self.centre]

    @property
    def sentence(self) -> str:
        """The result in plain words."""
        p, c = self.parallel.factors, self.cross_validation.factors
        text = (
            f"{count(len(self.factors), 'factor')} in the {len(self.sources)} x {len(self.targets)} gains of "
            f"{self.model} on {self.matrix}"
        )
        if self.factors:
            e = self.explained
            text += f", {e.value:.0%} [{e.low:.0%}, {e.high:.0%}] of {self.left}"
        rules = f"Parallel analysis finds {p}, cross-validation {c}"
        beyond = len(self.factors) - min(p, c) * per_direction(self.method)
        last = "the last one" if beyond == 1 else f"the last {beyond}"
        doubt = f": treat {last} as noise" if beyond < len(self.factors) else ": treat all of them as noise"
        if self.asked is not None:
            return f"{text}, as many as requested. {rules}{doubt if beyond > 0 else ''}."
        if beyond > 0:
            return f"{text}. {rules}; one more than that is shown{doubt}."
        twice = ", with two non-negative factors for each" if self.method == "nmf" and self.factors else ""
        return f"{text}. {rules}; the smaller number is used{twice}."

    def factor_rows(self) -> list[dict[str, Any]]:
        """One row per factor."""
        return [
            {"factor": f.number}
            | _flat("share", f.share)
            | _flat("source_congruence", f.source_congruence)
            | _flat("target_congruence", f.target_congruence)
            | {"stable": f.stable}
            for f in self.factors
        ]

    def score_rows(self) -> list[dict[str, Any]]:
        """One row per factor, side and dataset."""
        return [
            {"factor": f.number} | asdict(point)
            for f in self.factors
            for side in ("source", "target")
            for point in self.points(f.number, side)
        ]

    def end_rows(self, top: int = _ENDS) -> list[dict[str, Any]]:
        """The datasets at both ends of every factor, of each side the `top` highest and lowest."""
        rows = []
        for f in self.factors:
            for side in ("source", "target"):
                points = self.points(f.number, side)
                half = min(top, len(points) // 2)
                ends = [("highest", points[:half]), ("lowest", points[::-1][:half])]
                if self.method == "nmf" and side == "source":
                    # Their lowest score is 0, and many share it.
                    ends = ends[:1]
                rows += [{"factor": f.number, "end": end} | asdict(p) for end, some in ends for p in some]
        return rows

    def tables(self, top: int = _ENDS) -> list[tuple[str, list[dict[str, Any]]]]:
        """(title, rows) for people: the factors, the datasets at their ends, the traits that survive the correction."""
        if not self.factors:
            return []
        made = [
            (
                "Factors: share of the centred gains [95 % jackknife]; congruence with resampled factors [95 %]",
                [_in_words(f) for f in self.factors],
            ),
            (
                f"Datasets at both ends: sources in standard deviations, targets in {self.unit} per standard deviation",
                self.end_rows(top),
            ),
        ]
        if self.found:
            shown = [a for f in self.factors for a in self._strongest(f.number, top)]
            title = f"Traits that survive the correction: {len(self.found)} of {len(self.associations):,} tested"
            made.append((title + f", {len(shown)} shown" * (len(shown) < len(self.found)), [asdict(a) for a in shown]))
        return made

    def _strongest(self, number: int, top: int) -> list[Association]:
        some = [a for a in self.found if a.factor == number]
        return [a for side in ("source", "target") for a in [b for b in some if b.side == side][:top]]

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader of the tables must know: held-out cells, noise, unstable factors, missing traits."""
        said = []
        k = -(-len(self.factors) // per_direction(self.method))
        error = self.cross_validation.error
        if 0 < k < len(error):
            explained = max(0.0, 1 - error[k] / error[0])
            said.append(f"On held-out cells, the factors predict {explained:.0%} of {self.left}.")
        if self.noise is not None:
            said.append(
                f"Noise of the seeds makes up {self.noise:.0%} of the centred gains, so at most {1 - self.noise:.0%} "
                "can be explained."
            )
        shaky = [f.name for f in self.factors if not f.stable]
        if shaky:
            said.append(
                f"Not stable: {', '.join(shaky)}. Resampling changes {'it' if len(shaky) == 1 else 'them'} "
                f"(congruence below {STABLE}), so the ends hold for this matrix only. Together, all factors keep "
                f"{min(self.source_space.low, self.target_space.low):.0%} of their space."
            )
        if self.factors and not self.found:
            said.append(self._no_trait())
        if not self.factors:
            number = min(2, self.most)
            again = command("latent", "--matrix", self.matrix, "--model", self.model, "--factors", str(number))
            these = "two" if number == 2 else "one"
            said.append(f"No factor both beats chance and predicts held-out cells. To see {these} anyway: {again}")
        return tuple(said)

    def _no_trait(self) -> str:
        if not self.associations:
            return (
                f"No trait was tested: {self.profiled[0]} sources and {self.profiled[1]} targets have a profile, and "
                f"at least {MIN_DATASETS} are needed. Profile them with: {command('profile', 'DATASET')}"
            )
        best = self.associations[0]
        families = "1 family" if best.families == 1 else f"{best.families} families"
        return (
            f"No trait survives the correction for {len(self.associations):,} tests. The closest one is {best.trait} "
            f"of the {best.side}s with factor {best.factor}: Spearman {best.spearman:+.2f} on {best.n} datasets of "
            f"{families}, p {best.p:.2g}, q {best.q:.2g}."
        )

    def as_row(self) -> dict[str, Any]:
        """The JSON contract of `latent`."""
        about = {key: getattr(self, key) for key in ("matrix", "model", "base", "method", "centre", "unit")}
        return {
            **about,
            "sources": len(self.sources),
            "targets": len(self.targets),
            "measured": self.measured,
            "filled": self.filled,
            "diagonal": self.diagonal,
            "asked": self.asked,
            "parallel_analysis": asdict(self.parallel),
            "cross_validation": asdict(self.cross_validation),
            "explained": asdict(self.explained),
            "noise": self.noise,
            "source_space": asdict(self.source_space),
            "target_space": asdict(self.target_space),
            "factors": [
                {**asdict(f), "name": f.name, "stable": f.stable}
                | {"ends": [row for row in self.end_rows() if row["factor"] == f.number]}
                | {"traits": [asdict(a) for a in self.found if a.factor == f.number]}
                for f in self.factors
            ],
            "scores": self.score_rows(),
            "traits": [asdict(a) for a in self.associations],
            "profiled": {"sources": self.profiled[0], "targets": self.profiled[1]},
            "seed": self.seed,
            "sentence": self.sentence,
            "remarks": list(self.remarks),
            "notes": list(self.notes),
        }

    def to_record(self) -> LatentRecord:
        """The record that the warehouse stores."""
        about = {
            "centre": self.centre,
            "unit": self.unit,
            "sources": len(self.sources),
            "targets": len(self.targets),
            "measured": self.measured,
            "filled": self.filled,
            "factors": len(self.factors),
            "asked": self.asked,
            "parallel_factors": self.parallel.factors,
            "cross_validated_factors": self.cross_validation.factors,
            **_flat("explained", self.explained),
            "noise": self.noise,
            "seed": self.seed,
        }
        return LatentRecord(
            matrix=self.matrix,
            model=self.model,
            method=self.method,
            about=about,
            factors=tuple(self.factor_rows()),
            scores=tuple(self.score_rows()),
            traits=tuple(asdict(a) for a in self.associations),
        )

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{escape(line)}</p>" for line in (self.sentence, *self.remarks))
        return said + "".join(html_table(rows, caption=title) for title, rows in self.tables())


def _flat(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _in_words(factor: Factor) -> dict[str, Any]:
    """A factor for people: every estimate and its interval in one cell."""

    def cell(i: Interval, form: str) -> str:
        return f"{i.value:{form}} [{i.low:{form}}, {i.high:{form}}]"

    return {
        "factor": factor.number,
        "share": cell(factor.share, ".0%"),
        "congruence of sources": cell(factor.source_congruence, ".2f"),
        "congruence of targets": cell(factor.target_congruence, ".2f"),
        "stable": factor.stable,
    }
