"""The bundle: a predictor as one JSON document, and back.

Owns its schema, and a digest by which a document that was changed is known. Reads and writes no pickle, and refuses a
document that does not follow this schema (`bundle_check`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

import numpy as np

from traitcast.predictor.model import trees
from traitcast.predictor.model.bundle_check import check
from traitcast.predictor.model.evidence import Gains
from traitcast.predictor.model.features import Feature, PairSpace
from traitcast.predictor.model.fitting import SCHEMA
from traitcast.predictor.model.gain_model import GainModel, Layer, Prior
from traitcast.predictor.model.gate import Verdict
from traitcast.predictor.model.intervals import Residuals
from traitcast.predictor.model.likeness import LikenessScale
from traitcast.predictor.model.novelty import Seen
from traitcast.predictor.model.prediction import Measurement
from traitcast.predictor.model.predictor import Predictor
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import Matrix, PredictorRecord, TraitDefinition

_KIND = "traitcast-predictor"


def to_record(predictor: Predictor, name: str = "default") -> PredictorRecord:
    """The record that the warehouse keeps."""
    return PredictorRecord(
        name=name,
        matrix=predictor.matrix.matrix,
        model=predictor.model,
        tier=predictor.tier,
        fingerprint=predictor.about["fingerprint"],
        bundle=to_json(predictor),
    )


def to_json(predictor: Predictor) -> str:
    """One JSON document with everything a prediction needs."""
    space, model, scale = predictor.space, predictor.gains, predictor.scale
    seen = {"sources": predictor.seen_sources, "targets": predictor.seen_targets}
    document = {
        "kind": _KIND,
        "schema": SCHEMA,
        "matrix": asdict(predictor.matrix),
        "model": predictor.model,
        "about": predictor.about,
        "names": list(predictor.names),
        "likeness": _arrays(predictor.like),
        "likeness_scale": {name: _arrays(getattr(scale, name)) for name in _SCALES},
        "traits": [asdict(d) for d in space.definitions],
        "centres": _arrays(space.centres),
        "scales": _arrays(space.scales),
        "word_weights": {part: _arrays(w) for part, w in space.word_weights.items()},
        "dropped": dict(space.dropped),
        "features": [asdict(f) for f in space.features],
        "fills": _arrays(space.fills),
        "gains": {name: _arrays(getattr(model.gains, name)) for name in _GAINS},
        "layers": {
            regime: {"kind": layer.kind, "slope": layer.slope}
            | ({} if layer.booster is None else {"booster": trees.to_json(layer.booster)})
            for regime, layer in model.layers.items()
        },
        "level": _prior(model.level),
        "spread": _prior(model.spread),
        "source_noise": _arrays(model.source_noise),
        "verdicts": {regime: verdict.as_json() for regime, verdict in predictor.verdicts.items()},
        "measured": {
            source: {target: [m.gain, m.error, m.runs] for target, m in by.items()}
            for source, by in predictor.measurements.items()
        },
        "residuals": {
            regime: {"values": _arrays(r.values), "share": _arrays(r.share), "n": r.n}
            for regime, r in predictor.residuals.items()
        },
        "flat": predictor.flat,
        "seen": {
            role: {"names": list(s.names), "profiles": _arrays(s.profiles), "limit": s.limit}
            for role, s in seen.items()
        },
        "folds": {regime: list(folds) for regime, folds in predictor.folds.items()},
    }
    return _text({**document, "digest": _digest(document)})


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _digest(document: dict[str, Any]) -> str:
    return blake2b(_text(document).encode(), digest_size=16).hexdigest()


_SCALES = ("trait_centre", "trait_spread", "centre", "spread", "own_spread")
_GAINS = ("z", "level", "spread", "reliability")


def from_json(text: str, again: str = "traitcast fit --matrix NAME", name: str | None = None) -> Predictor:
    """A predictor back from its bundle.

    Parameters
    ----------
    text
        The bundle.
    again, name
        The command that fits such a predictor again, and what it is called, for the message of an error.

    Raises
    ------
    UserError
        For anything that is not a bundle of this schema, or not as it was written.
    """
    what = "the stored predictor" if name is None else f"the stored predictor {name!r}"
    cure = f"Fit a new one with: {again}"
    document = _parsed(text, what, cure)
    try:
        check(document)
        return _built(document)
    except ValueError as error:  # XGBoost's own is one too
        raise UserError(f"{what} is damaged ({error}). {cure}") from error


def _built(document: dict[str, Any]) -> Predictor:
    space = PairSpace(
        features=tuple(Feature(**f) for f in document["features"]),
        definitions=tuple(TraitDefinition(**d) for d in document["traits"]),
        centres=_array(document["centres"]),
        scales=_array(document["scales"]),
        word_weights={part: _array(w) for part, w in document["word_weights"].items()},
        dropped=document["dropped"],
        fills=_array(document["fills"]),
    )
    seen = {
        role: Seen(tuple(s["names"]), _array(s["profiles"]), float(s["limit"])) for role, s in document["seen"].items()
    }
    scale = document["likeness_scale"]
    return Predictor(
        matrix=Matrix(**document["matrix"]),
        model=document["model"],
        names=tuple(document["names"]),
        like=_array(document["likeness"]),
        space=space,
        scale=LikenessScale(
            trait_centre=_array(scale["trait_centre"]),
            trait_spread=_array(scale["trait_spread"]),
            centre=_array(scale["centre"]),
            spread=_array(scale["spread"]),
            own_spread=float(scale["own_spread"]),
            word_weights=space.word_weights,
        ),
        gains=GainModel(
            Gains(**{name: _array(document["gains"][name]) for name in _GAINS}),
            {
                regime: Layer(of["kind"], of["slope"], trees.from_json(of["booster"]) if "booster" in of else None)
                for regime, of in document["layers"].items()
            },
            _as_prior(document["level"]),
            _as_prior(document["spread"]),
            _array(document["source_noise"]),
        ),
        verdicts={regime: Verdict(**of) for regime, of in document["verdicts"].items()},
        measurements={
            source: {target: Measurement(*of) for target, of in by.items()}
            for source, by in document["measured"].items()
        },
        residuals={
            regime: Residuals(_array(r["values"]), _array(r["share"]), r["n"])
            for regime, r in document["residuals"].items()
        },
        flat={regime: None if flat is None else float(flat) for regime, flat in document["flat"].items()},
        seen_sources=seen["sources"],
        seen_targets=seen["targets"],
        about={**document["about"], "versions": {**document["about"]["versions"]}},
        folds={regime: tuple(folds) for regime, folds in document["folds"].items()},
    )


def _parsed(text: str, what: str, cure: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{what} is not JSON ({error}). {cure}") from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        stored = what.replace("predictor", "document", 1)
        raise UserError(f"{stored} is not a predictor. {cure}")
    if document.get("schema") != SCHEMA:
        raise UserError(
            f"{what} has schema {ascii(document.get('schema'))[:40]}; this version of traitcast reads schema {SCHEMA}. "
            f"{cure}"
        )
    # Older ones have none.
    stated = document.pop("digest", None)
    try:
        same = stated is None or stated == _digest(document)
    except (ValueError, RecursionError):  # no number, half of a character, or nested too deeply to be written
        same = False
    if not same:
        raise UserError(f"{what} was changed after it was fitted. {cure}")
    return document


def _prior(prior: Prior) -> dict[str, Any]:
    return {"mean": _arrays(prior.mean), "variance": _arrays(prior.variance), "by_likeness": prior.by_likeness}


def _as_prior(document: dict[str, Any]) -> Prior:
    return Prior(_array(document["mean"]), _array(document["variance"]), document["by_likeness"])


def _arrays(values: Any) -> Any:
    """Nested lists with None for NaN: JSON has no NaN. Exact, so that a loaded bundle predicts the same."""
    numbers = np.asarray(values, dtype=np.float64)
    listed = numbers.astype(object)
    listed[np.isnan(numbers)] = None
    return listed.tolist()


def _array(values: list[Any]) -> np.ndarray:
    return np.array(values, dtype=np.float64)
