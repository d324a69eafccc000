"""The report: everything in one warehouse, measured and predicted, section by section, ready for a page.

Owns the sections, what each of them needs, and what it says where that is missing, with the command that adds it. The
parts of a section are in the other modules of this folder; the page is in `page`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.predictor import api
from traitcast.predictor.model.features import ProfileSet
from traitcast.predictor.model.outcomes import GAIN, OVER
from traitcast.predictor.model.probes import base_in, unprobed
from traitcast.predictor.report import datasets as report_datasets
from traitcast.predictor.report import latent as report_latent
from traitcast.predictor.report import predictor as report_predictor
from traitcast.predictor.report import transfer as report_transfer
from traitcast.predictor.report.headlines import headline, tiles
from traitcast.warehouse.console import command, count
from traitcast.warehouse.errors import ScoresError, UserError, nearest, some
from traitcast.warehouse.percentiles import MIN_PROFILES

if TYPE_CHECKING:
    from traitcast.predictor.model.predictor import Predictor
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.records import Matrix

# Each takes a second.
_LATENT_MAPS = 1
_EFFECT_SOURCES = 3
_YOURS = 6
# Datasets without probes that are named.
_FEW = 5


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing, and the command that adds it ("" if there is none)."""

    what: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the page.

    data: JSON for its charts and tables; None where nothing can be shown. more: what to look at elsewhere, with the
    command. headline: what it comes to.
    """

    key: str
    short: str
    title: str
    data: Mapping[str, Any] | list[dict[str, Any]] | None
    missing: tuple[Missing, ...] = ()
    notes: tuple[str, ...] = ()
    more: tuple[Missing, ...] = ()
    headline: str = ""

    @property
    def state(self) -> str:
        if self.data is None:
            return "missing"
        return "partial" if self.missing else "complete"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a page needs. warehouse: the name of the file. made: when, as text."""

    warehouse: str
    made: str
    version: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What to report on.

    matrix, model: only these; None for all. pairs: (source, target) to explain; the most instructive ones if empty.
    made: when, as text. absent: name of a warehouse that was asked for but does not exist.
    """

    matrix: str | None = None
    model: str | None = None
    predictor: str = api.DEFAULT
    pairs: tuple[tuple[str, str], ...] = ()
    made: str = ""
    absent: str = ""


@dataclass(slots=True)
class _Desk:
    """What the sections share. matrices: those that are shown, the user's own first."""

    warehouse: Warehouse
    request: Request
    say: Callable[[str], None]
    matrices: list[Matrix]
    own: list[str]
    profiles: ProfileSet | None
    predictor: Predictor | None
    no_predictor: Missing
    names: list[str] = field(default_factory=list)

    def command(self, *words: str) -> str:
        return command(*words, warehouse=self.warehouse.place)

    @property
    def predicting(self) -> tuple[Predictor, ProfileSet] | Missing:
        """The predictor and the profiles it reads, or what is missing."""
        if self.profiles is None:
            return _no_profiles(self)
        return self.no_predictor if self.predictor is None else (self.predictor, self.profiles)

    @property
    def other(self) -> tuple[Missing, ...]:
        """A hint if the predictor learnt from another matrix than the one asked for."""
        asked, predictor = self.request.matrix, self.predictor
        if predictor is None or asked in (None, predictor.matrix.matrix):
            return ()
        words = ("fit", "--matrix", str(asked), *(("--model", self.request.model) if self.request.model else ()))
        what = f"This predictor learnt from {predictor.matrix.matrix}, not from {asked}. To predict from {asked}:"
        return (Missing(what, self.command(*words)),)


def gather(warehouse: Warehouse, request: Request, say: Callable[[str], None] = lambda text: None) -> Report:
    """Collect the report of a warehouse.

    Parameters
    ----------
    warehouse
        An open warehouse.
    request
        What to report on.
    say
        Called with a line about what is being done.

    Raises
    ------
    ScoresError
        For an unknown matrix or model.
    UserError
        For an unknown predictor other than the default one.
    NotProfiledError
        For a pair of datasets that are not profiled.
    """
    desk = _desk(warehouse, request, say)
    transfer = _transfer(desk)
    ranking, explanations = _predictions(desk)
    quality, reasons = _quality(desk), _reasons(desk)
    datasets, effects = _datasets(desk, explanations.data), _effects(desk, transfer.data, explanations.data)
    latent = _latent(desk, transfer.data)
    overview = _overview(desk, transfer.data, quality.data)
    made = (
        *(overview, *_yours(desk), transfer, ranking, explanations, quality, reasons),
        *(datasets, latent, effects, _recipe(desk)),
    )
    sections = tuple(replace(section, headline=headline(section.key, section.data)) for section in made)
    name = warehouse.path.name if warehouse.path is not None else "the data that come with traitcast"
    return Report(name, request.made, _version(), sections)


def _desk(warehouse: Warehouse, request: Request, say: Callable[[str], None]) -> _Desk:
    matrices = warehouse.matrices()
    if request.matrix is not None:
        names = [m.matrix for m in matrices]
        if request.matrix not in names:
            known = f" There are: {', '.join(names)}." if names else " There are none."
            raise ScoresError(f"no matrix named {request.matrix!r}{nearest(request.matrix, names)}{known}")
        matrices = [m for m in matrices if m.matrix == request.matrix]
        warehouse.cells(request.matrix, request.model)  # refuses an unknown model
    desk = _Desk(warehouse, request, say, matrices, report_datasets.own_names(warehouse), None, None, Missing(""))
    try:
        desk.predictor = api.predictor_of(warehouse, request.predictor)
    except UserError as error:
        # A new warehouse may lack the default predictor, but not one that was asked for by name.
        if request.predictor != api.DEFAULT:
            raise
        desk.no_predictor = Missing(f"There is no predictor: {error}", desk.command("fit"))
    if warehouse.dataset_names():
        asked = [name for pair in request.pairs for name in pair]
        found = desk.predictor
        desk.profiles = api.profiles_of(warehouse) if found is None else api.profiles_for(warehouse, found, asked)
        desk.profiles.rows_of(asked)
        learnt = [*desk.predictor.levels, *desk.predictor.measured] if desk.predictor is not None else []
        desk.names = sorted(report_datasets.chosen(warehouse, asked, learnt))
    # The user's own matrices come first; among the others, the one behind the predictions.
    shipped = set(warehouse.shipped("matrices"))
    learnt_from = desk.predictor.matrix.matrix if desk.predictor else ""
    desk.matrices.sort(key=lambda m: (m.matrix in shipped, m.matrix != learnt_from))
    return desk


def _version() -> str:
    try:
        return version("traitcast")
    except PackageNotFoundError:
        # A checkout that was never installed.
        project = Path(__file__).resolve().parents[2] / "pyproject.toml"
        return tomllib.loads(project.read_text())["project"]["version"] if project.exists() else "unknown"


def _transfer(desk: _Desk) -> Section:
    key, short, title = "transfer", "Measured", "Measured transfer"
    desk.say("reading the measured cells")
    maps = report_transfer.heatmaps(desk.warehouse, desk.matrices, desk.request.model)
    if not maps:
        what = "No transfer was measured or imported yet, so there is no heatmap. To import scores:"
        return Section(key, short, title, None, (Missing(what, _import(desk)),))
    kept: list[dict[str, Any]] = []
    cells = 0
    for entry in maps:
        cells += entry["count"] * max(1, entry["seeds"])
        if not kept or cells <= report_transfer.MAX_CELLS:
            kept.append(entry)
    more: tuple[Missing, ...] = ()
    if left := maps[len(kept) :]:
        what = f"{len(left)} more heatmaps would make this page too large. To see another one:"
        more = (Missing(what, desk.command("report", "--matrix", left[0]["matrix"])),)
    kept = [entry | {"own": [name for name in desk.own if name in entry["sources"]]} for entry in kept]
    return Section(key, short, title, kept, more=more)


def _import(desk: _Desk) -> str:
    return desk.command("scores", "import", "FILE")


def _predictions(desk: _Desk) -> tuple[Section, Section]:
    ranking = ("ranking", "Ranking", "Which source for a target")
    why = ("explanations", "Why", "Why: one prediction taken apart")
    if isinstance(desk.predicting, Missing):
        return Section(*ranking, None, (desk.predicting,)), Section(*why, None, (desk.predicting,))
    predictor, profiles = desk.predicting
    bare = set(unprobed(predictor, profiles, desk.names))
    names = [name for name in desk.names if name not in bare]
    lacks = _no_probes(desk, predictor, bare)
    desk.say(f"predicting {predictor.outcome.name.replace('_', ' ')} between {count(len(names), 'dataset')}")
    sources = [name for name in api.candidates(desk.warehouse, profiles) if name in names]
    found = report_predictor.rankings(predictor, profiles, names, sources, _measured(desk, predictor))
    if not found["targets"]:
        what = f"Fewer than two datasets with {api.MIN_ROWS} rows are profiled, so there is nothing to rank."
        lacks = lacks or (Missing(what, desk.command("profile", "DATASET")),)
        return Section(*ranking, None, lacks), Section(*why, None, lacks)
    same = {name: others for name, others in api.same_rows(desk.warehouse).items() if name in names}
    found |= {"own": [name for name in desk.own if name in found["targets"]], "same": same}
    explained = report_predictor.explanations(predictor, profiles, desk.request.pairs, found)
    found["first"] = explained[0]["target"]
    return Section(*ranking, found, lacks, more=desk.other), Section(*why, explained, more=desk.other)


def _no_probes(desk: _Desk, predictor: Predictor, names: Collection[str]) -> tuple[Missing, ...]:
    """Datasets that lack the probes of a predictor, the user's own first."""
    base = base_in(predictor)
    if base is None or not names:
        return ()
    first = sorted(names, key=lambda name: (name not in desk.own, name))
    what = (
        f"{count(len(names), 'dataset')} without probes of {base.base}, and so without predictions: "
        f"{some(first, _FEW)}. To probe those you need:"
    )
    return (Missing(what, desk.command("probe", *first[:_FEW], "--base", base.base)),)


def _measured(desk: _Desk, predictor: Predictor) -> report_predictor.Measured:
    """Measured gains to show with the predicted ones: of the matrix asked for, or of the predictor's own."""
    request, learnt = desk.request, predictor.matrix
    if request.matrix is None or (request.matrix == learnt.matrix and request.model is None):
        gains: dict[str, dict[str, float]] = {}
        for source, by in predictor.measured.items():
            for target, gain in by.items():
                gains.setdefault(target, {})[source] = gain
        name, base = _named(learnt.matrix, predictor.about["models"]), learnt.base
        return report_predictor.Measured(name, OVER.get(base, base), gains)
    matrix = desk.matrices[0]
    cells = desk.warehouse.cells(matrix.matrix, request.model)
    named, base = _named(matrix.matrix, list(dict.fromkeys(cells.models))), OVER.get(matrix.base, matrix.base)
    if predictor.outcome != GAIN:
        try:
            of = predictor.outcome
            cells = desk.warehouse.cells(matrix.matrix, request.model, outcome=of.name, metric=of.metric)
        except ScoresError:  # a matrix of scores alone
            return report_predictor.Measured(named, base, {})
    return report_predictor.Measured(named, base, report_transfer.measured(cells))


def _named(matrix: str, models: Sequence[str]) -> str:
    """A matrix with the models behind its numbers."""
    return f"{matrix} ({'mean of ' if len(models) > 1 else ''}{', '.join(models)})"


def _no_profiles(desk: _Desk) -> Missing:
    return Missing("No dataset is profiled yet.", desk.command("profile", "DATASET"))


def _quality(desk: _Desk) -> Section:
    key, short, title = "quality", "Quality", "How good the predictor is"
    if isinstance(desk.predicting, Missing):
        return Section(key, short, title, None, (desk.predicting,))
    predictor, _ = desk.predicting
    again = ["evaluate", *api.evaluate_options(predictor)]
    try:
        found = report_predictor.quality(desk.warehouse, predictor, desk.say, desk.request.predictor)
    except UserError as error:
        return Section(key, short, title, None, (Missing(f"The quality cannot be measured: {error}"),))
    if found is None and predictor.outcome == GAIN:
        what = "Its quality was not measured yet. To measure and store it (minutes), before the next report:"
        return Section(key, short, title, None, (Missing(what, desk.command(*again, "--save")),))
    if found is None:
        what = "Its quality takes minutes to measure, and only that of gains can be stored. To see it in a terminal:"
        return Section(key, short, title, None, (Missing(what, desk.command(*again)),))
    return Section(key, short, title, found, more=desk.other)


def _reasons(desk: _Desk) -> Section:
    key, short, title = "reasons", "Traits", "What the predictor uses"
    if isinstance(desk.predicting, Missing):
        return Section(key, short, title, None, (desk.predicting,))
    desk.say("explaining a sample of predictions")
    found = report_predictor.summary(*desk.predicting)
    if not found["pairs"]:
        what = "None of the datasets that the predictor learnt from are profiled here."
        return Section(key, short, title, None, (Missing(what, desk.command("profile", "DATASET")),))
    if not found["traits"]:
        what = "No trait moves a prediction: on datasets that were left out, traits did not help to order sources."
        return Section(key, short, title, None, (Missing(what),))
    return Section(key, short, title, found)


def _yours(desk: _Desk) -> tuple[Section, ...]:
    """The user's own datasets, if there are any."""
    names = [name for name in desk.own if name in desk.names]
    if not names:
        return ()
    shown = names[:_YOURS]
    more: tuple[Missing, ...] = ()
    if left := names[_YOURS:]:
        more = (Missing(f"{count(len(left), 'more dataset')} of yours. To see one:", desk.command("show", left[0])),)
    return (Section("yours", "Your data", "Your data", report_datasets.yours(desk.warehouse, shown), more=more),)


def _datasets(desk: _Desk, explained: Any) -> Section:
    key, short, title = "datasets", "Datasets", "Profiled datasets"
    if not desk.names:
        return Section(key, short, title, None, (_no_profiles(desk),))
    desk.say(f"comparing {count(len(desk.names), 'profile')} with the reference")
    found = report_datasets.profiles(desk.warehouse, desk.names)
    found["datasets"].sort(key=lambda entry: (not entry["yours"], entry["name"]))
    first = [name for name in desk.own if name in desk.names] + desk.names
    pair = [explained[0]["source"], explained[0]["target"]] if explained else (first * 2)[:2]
    notes: tuple[str, ...] = ()
    if found["reference"] <= MIN_PROFILES:
        notes = (f"No percentiles are shown: they need more than {MIN_PROFILES} reference datasets.",)
    return Section(key, short, title, {**found, "pair": pair}, notes=notes)


def _latent(desk: _Desk, shown: Any) -> Section:
    key, short, title = "latent", "Latent map", "Latent factors"
    if not isinstance(shown, list):
        return Section(key, short, title, None, (Missing("Factors need a measured matrix.", _import(desk)),))
    desk.say("looking for latent factors")
    wanted = [(entry["matrix"], entry["model"]) for entry in shown]
    found, notes, left = report_latent.maps(desk.warehouse, wanted, _LATENT_MAPS)
    more: tuple[Missing, ...] = ()
    if left:
        matrix, model = left[0]
        what = f"{count(len(left), 'more map')}. To see one:"
        more = (Missing(what, desk.command("latent", "--matrix", matrix, "--model", model)),)
    return Section(key, short, title, found or None, notes=tuple(notes), more=more)


def _effects(desk: _Desk, shown: Any, explained: Any) -> Section:
    key, short, title = "effects", "Side effects", "Side effects"
    if not isinstance(shown, list):
        return Section(key, short, title, None, (Missing("Side effects need a measured matrix.", _import(desk)),))
    desk.say("collecting side effects")
    found = report_transfer.shifts(desk.warehouse, desk.matrices, desk.request.model)
    missing: tuple[Missing, ...] = ()
    if not found:
        what = (
            "None of the matrices has predicted labels or answer lengths: imported scores do not, a matrix that was "
            "run does. To add one:"
        )
        missing = (Missing(what, desk.command("matrix", "ingest", "--pack", "PACK")),)
    first = shown[0]
    wanted = [pair["source"] for pair in explained or ()] + [row["source"] for row in first["extremes"]]
    wanted = [name for name in dict.fromkeys([*desk.own, *wanted]) if name in first["sources"]]
    sources = wanted[:_EFFECT_SOURCES]
    tables = [report_transfer.of_source(desk.warehouse, first, source) for source in sources]
    other = desk.command("effects", "SOURCE", "--matrix", first["matrix"], "--model", first["model"])
    more = (Missing("To see any other source:", other),)
    return Section(key, short, title, {"shifts": found, "sources": tables}, missing, more=more)


def _overview(desk: _Desk, maps: Any, quality: Any) -> Section:
    rows = desk.warehouse.datasets()
    own = sum(not row["reference"] for row in rows)
    facts = [(f"{len(rows):,}", "datasets profiled" + (f", {own:,} of them yours" if own else ""))]
    facts += [(f"{len(desk.warehouse.catalogue()):,}", "traits each")]
    facts += tiles(maps or (), quality)
    notes: tuple[str, ...] = ()
    if desk.request.absent:
        notes = (f"{desk.request.absent!r} does not exist: this page shows the data that come with traitcast.",)
    words = _introduction(desk, maps or ())
    return Section("overview", "Overview", "Overview", {"facts": facts, "words": words}, notes=notes, more=desk.other)


def _introduction(desk: _Desk, maps: Sequence[Mapping[str, Any]]) -> list[str]:
    named: dict[str, list[str]] = {}
    for entry in maps:
        names = named.setdefault(entry["base"], [])
        names += [entry["matrix"]] if entry["matrix"] not in names else []
    over = "; ".join(f"in {', '.join(names)}, that of {base}" for base, names in named.items())
    words = [
        "A gain is the score after tuning on a source minus the score it is compared with, on the same test rows of a "
        f"target, in percentage points (pp){': ' + over if over else ''}. \u00b1 is one standard error. In heatmaps "
        "and bars, blue is a gain and orange a loss."
    ]
    if desk.predictor is not None:
        about = desk.predictor.about
        base = report_transfer.BASES.get(desk.predictor.matrix.base, desk.predictor.matrix.base)
        of = desk.predictor.outcome
        predicted = (
            f"It predicts gains over {base}" if of.metric is None and of.harmful else f"It predicts the {of.what}"
        )
        words.append(
            f"Predictions come from the predictor {desk.request.predictor!r}, which learnt from {about['cells']:,} "
            f"measured cells of {desk.predictor.matrix.matrix} ({', '.join(about['models'])}; {about['sources']} "
            f"sources, {about['targets']} targets). {predicted}, with 90 % intervals for unseen targets that are "
            f"{2 * desk.predictor.half_width:.1f} {of.unit} wide on average. Measured pairs show their measurement."
        )
    return words


def _recipe(desk: _Desk) -> Section:
    catalogue = desk.warehouse.catalogue_version()
    versions = [("traitcast", _version()), ("trait catalogue", catalogue if catalogue is not None else "none")]
    tables = [_table("Versions", ("what", "value"), versions)]
    learnt = desk.predictor.matrix if desk.predictor is not None else None
    matrices = [
        *desk.matrices,
        *([learnt] if learnt and learnt.matrix not in {m.matrix for m in desk.matrices} else []),
    ]
    if matrices:
        rows = [(m.matrix, m.metric, report_transfer.BASES.get(m.base, m.base), m.description) for m in matrices]
        tables.append(_table("Matrices", ("matrix", "metric", "gain over", "origin"), rows))
    if desk.predictor is not None:
        keys = ("fingerprint", "settings", "size", "versions", "groups")
        settings = [pair for key in keys for pair in _flat(key, desk.predictor.about[key])]
        tables.append(_table(f"Predictor {desk.request.predictor}", ("setting", "value"), settings))
    return Section("recipe", "Recipe", "Recipe and versions", {"tables": tables})


def _table(title: str, head: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    return {"title": title, "head": head, "rows": rows}


def _flat(name: str, value: Any) -> Sequence[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flat(f"{name}.{key}", item)]
    return [(name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else value)]
