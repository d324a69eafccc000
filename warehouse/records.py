"""The records that go into the warehouse and come out: plain frozen dataclasses that do not touch DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

PARTS = ("prompt", "response", "label", "dataset")


@dataclass(frozen=True, slots=True)
class TraitDefinition:
    """One entry of the trait catalogue.

    Parameters
    ----------
    trait
        Full unique name, part first ("response_tokens_mean").
    part
        One of `PARTS`.
    family
        As in the catalogue: class_balance, generation_length, linguistic, ...
    unit
        "tokens", "share", "bits", ...
    definition
        One or two sentences with the formula.
    source
        Paper, book or library whose definition is followed.
    low, high
        Valid closed range; None means unbounded on that side.
    tier
        Which rows it is computed on: "all rows", "sample" or "entity sample".
    """

    trait: str
    part: str
    family: str
    unit: str
    definition: str
    source: str
    low: float | None
    high: float | None
    tier: str


@dataclass(frozen=True, slots=True)
class TraitValue:
    """A measured trait.

    Parameters
    ----------
    value
        None where the trait is undefined for the dataset, never 0.
    standard_error
        None where the trait was not sampled, or where no estimate exists.
    n
        The rows (documents) that it was computed on.
    """

    trait: str
    value: float | None
    standard_error: float | None
    n: int


@dataclass(frozen=True, slots=True)
class LengthBin:
    """One bin of a length histogram: low <= length < high."""

    part: str
    unit: str
    low: int
    high: int
    n: int


@dataclass(frozen=True, slots=True)
class Sketch:
    """A fixed-size float32 vector by which two datasets are compared without their text."""

    part: str
    kind: str
    vector: np.ndarray


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Rows of a dataset with one fault.

    Parameters
    ----------
    finding
        Name of the check.
    part
        "prompt", "response", "label" or "row".
    severity
        "error", "warning" or "info".
    count
        Rows found.
    looked_at
        Rows that were looked at.
    rows
        The first of them, counted from 1 in the order of reading.
    """

    finding: str
    part: str
    severity: str
    count: int
    looked_at: int
    message: str
    rows: tuple[int, ...]

    @property
    def where(self) -> str:
        """ " in the prompt" or " in the response", empty for whole rows."""
        return f" in the {self.part}" if self.part in ("prompt", "response") else ""


@dataclass(frozen=True, slots=True)
class Profile:
    """All traits of one dataset at one fingerprint.

    Parameters
    ----------
    details
        What is stored as JSON with the profile: roles, split, origin, revision, sample size, seed, versions, warnings.
    """

    name: str
    fingerprint: str
    task_type: str
    rows: int
    traits: tuple[TraitValue, ...]
    label_counts: tuple[tuple[str, int], ...] = ()
    length_histograms: tuple[LengthBin, ...] = ()
    sketches: tuple[Sketch, ...] = ()
    family: str | None = None
    language: str | None = None
    licence: str | None = None
    parent: str | None = None
    changed: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[FoundRows, ...] = ()


@dataclass(frozen=True, slots=True)
class TraitMatrix:
    """Traits of many datasets.

    Parameters
    ----------
    values
        float64 (datasets, traits), NaN where undefined.
    """

    names: tuple[str, ...]
    task_types: tuple[str, ...]
    families: tuple[str | None, ...]
    rows: tuple[int, ...]
    definitions: tuple[TraitDefinition, ...]
    values: np.ndarray

    @property
    def traits(self) -> tuple[str, ...]:
        return tuple(d.trait for d in self.definitions)


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is known of one imported or measured transfer matrix.

    Parameters
    ----------
    metric
        The headline metric of `transfer_matrix`.
    base
        What gain is measured against: "untuned" (the base model's own score) or "target mean" (the mean score of all
        sources on that target, for matrices published without a base score).
    """

    matrix: str
    metric: str
    base: str
    description: str


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one matrix on one metric, column by column and of equal length, the diagonal included.

    Parameters
    ----------
    seeds
        int64.
    gain, standard_error
        float64, pp; NaN where unknown.
    score, base_score
        float64, the metric itself, a share of 1.
    """

    matrix: Matrix
    models: tuple[str, ...]
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    seeds: np.ndarray
    gain: np.ndarray
    standard_error: np.ndarray
    score: np.ndarray
    base_score: np.ndarray


@dataclass(frozen=True, slots=True)
class Target:
    """What is known of the test rows of one target of a matrix.

    Parameters
    ----------
    fingerprint
        Hash of task and rows.
    labels
        Class names of a classification, by position; empty otherwise.
    gold
        int64 (rows,), position of the right label or option; None for a generation.
    catalogue_version
        Version of the trait catalogue that the traits of its rows were measured under; None without such traits.
    parsed
        Whether these traits include those that need the parser.
    """

    target: str
    task_type: str
    metric: str
    fingerprint: str
    rows: int
    labels: tuple[str, ...]
    gold: np.ndarray | None
    catalogue_version: int | None
    parsed: bool | None


@dataclass(frozen=True, slots=True)
class RowResults:
    """One cell row by row: float64 (rows,) each, None where a cell has no such result.

    Parameters
    ----------
    source
        "" for the untuned model.
    score
        The target's metric, a share of 1 (0 or 1 but for rouge_l).
    predicted
        Position of the chosen label or option, -1 for none.
    output_tokens, finished, has_number
        Of generated texts. has_number: whether the answer holds a number, for targets that are scored by one.
    """

    source: str
    target: str
    seed: int
    score: np.ndarray
    predicted: np.ndarray | None
    output_tokens: np.ndarray | None
    finished: np.ndarray | None
    has_number: np.ndarray | None


@dataclass(frozen=True, slots=True)
class PredictorRecord:
    """A fitted predictor as the warehouse keeps it: a JSON document, never a pickle.

    Parameters
    ----------
    fingerprint
        Hash of everything that shaped it (cells, traits, settings, versions).
    """

    name: str
    matrix: str
    model: str | None
    tier: str
    fingerprint: str
    bundle: str


@dataclass(frozen=True, slots=True)
class LatentRecord:
    """The latent factors of one matrix, model and method as the warehouse keeps them: rows of the latent tables.

    Parameters
    ----------
    about
        The columns of `latents` beyond its key.
    factors, scores, traits
        Rows of `latent_factors`, `latent_scores` and `latent_traits`, without the key.
    """

    matrix: str
    model: str
    method: str
    about: Mapping[str, Any]
    factors: tuple[Mapping[str, Any], ...]
    scores: tuple[Mapping[str, Any], ...]
    traits: tuple[Mapping[str, Any], ...]


def pipeline_name(stored: str) -> str:
    """The package or folder in "NAME VERSION, spacy VERSION", as a profile keeps its spaCy pipeline; "" for none."""
    return stored.rpartition(", spacy ")[0].rpartition(" ")[0]
