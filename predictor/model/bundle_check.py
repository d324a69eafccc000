"""The form of a bundle: what each value of a stored predictor may be, from its keys to the nodes of its trees.

Owns every rule by which a document is refused before anything is built from it. A digest shows that a document was
changed; this shows that one which carries none, or a new one, cannot fail later. Refuses numbers out of all reason as
well: a spread of 0 or a gain of 1e300 ends in an error far from its cause.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from traitcast.predictor.model.features import SIMILARITIES
from traitcast.predictor.model.gain_model import CANDIDATES, FULL, KNOWN
from traitcast.predictor.model.likeness import CURATED, KINDS
from traitcast.predictor.model.outcomes import GAIN, NAMES
from traitcast.warehouse.records import PARTS

Check = Callable[[str, Any], None]
# Any gain, trait or count is far below; squares and sums stay finite.
MOST = 1e15
# Of what is divided by.
LEAST = 1e-20
# Of the logarithm of a spread: its exponential, squared, stays finite.
_MOST_LOG = 100.0
_COMPARED = {"rows_log10", "same_task_type", "label_overlap", *(s.trait for s in SIMILARITIES)}
# XGBoost walks trees by recursion; ours have a depth of 2 or 3.
_DEEPEST = 64
_ROOT = (2**31 - 1, -1)
_FLOAT = re.compile(r"\[?-?\d+(\.\d+)?(E-?\d{1,2})?\]?")


class MisfitError(ValueError):
    """A value of the document that cannot be."""

    def __init__(self, at: str, value: Any, wanted: str) -> None:
        shown = f"a list of {len(value)}" if isinstance(value, list) else ascii(value)[:40]
        super().__init__(f"{at} is {'an object' if isinstance(value, dict) else shown}, not {wanted}")


def check(document: Mapping[str, Any]) -> None:
    """Raise MisfitError unless a predictor can be built from the document and used."""
    record(_FRAME)("", document)
    names, traits = document["names"], [d["trait"] for d in document["traits"]]
    n, models, features = len(names), len(document["about"]["models"]), len(document["features"])
    per_trait, known = numbers(len(traits), low=LEAST), chosen(names)
    of_model = {"mean": numbers(models), "variance": numbers(models, low=0)}
    of_spread = of_model | {"mean": numbers(models, low=-_MOST_LOG, high=_MOST_LOG)}
    scale = {
        "trait_centre": numbers(len(CURATED)),
        "trait_spread": numbers(len(CURATED), low=LEAST),
        "centre": numbers(len(KINDS)),
        "spread": numbers(len(KINDS), low=LEAST),
        "own_spread": number(low=LEAST),
    }
    measured = numbers(models, n, gaps=True)
    gains = {"z": numbers(models, n, n, gaps=True), "level": measured, "spread": measured}
    profiles = {"limit": number(low=0), "names": listed(known, least=1), "profiles": listed(_any)}
    seen = record(profiles)
    sized = {
        "traits": listed(_any, distinct=traits),
        "centres": numbers(len(traits)),
        "scales": per_trait,
        "features": listed(_feature(traits), distinct=[f["name"] for f in document["features"]]),
        "fills": numbers(features, gaps=True),
        "likeness": numbers(len(KINDS), n, n),
        "likeness_scale": record(scale),
        "gains": record(gains | {"reliability": numbers(models, n, low=0, high=1, gaps=True)}),
        "layers": record({regime: _layer(kinds, features) for regime, kinds in CANDIDATES.items()}),
        "level": record(of_model | {"by_likeness": flag}),
        "spread": record(of_spread | {"by_likeness": flag}),
        "source_noise": numbers(n, low=LEAST),
        "measured": table(table(_measurement, known), known),
        "seen": record({"sources": seen, "targets": seen}),
        "folds": table(listed(_booster(features)), chosen(CANDIDATES)),
        "flat": record(dict.fromkeys(document["residuals"], optional(number(low=LEAST)))),
    }
    for name, of in sized.items():
        of(name, document[name])
    for role, about in document["seen"].items():
        numbers(len(about["names"]), len(traits), gaps=True)(f"seen.{role}.profiles", about["profiles"])
    _check_gains(document["gains"])


def _check_gains(document: Mapping[str, Any]) -> None:
    """What was measured has a level, a spread and a reliability of its target."""
    z, *about = (np.array(document[name], dtype=np.float64) for name in ("z", "level", "spread", "reliability"))
    there = ~np.isnan(z).all(axis=1)
    if not there.any():
        raise MisfitError("gains.z", document["z"], "a table with measured gains")
    for name, of, low in zip(("level", "spread", "reliability"), about, (-np.inf, LEAST, 0.0), strict=True):
        if not (of[there] >= low).all():
            raise MisfitError(f"gains.{name}", document[name], "known, in range, of every measured target")


# Leaves. `at` is the place in the document, for the message.


def _any(at: str, value: Any) -> None:
    """Checked elsewhere."""


def text(at: str, value: Any) -> None:
    try:
        value.encode()
    except (AttributeError, UnicodeEncodeError):  # no text, or half of a character
        raise MisfitError(at, value, "a text") from None


def flag(at: str, value: Any) -> None:
    if type(value) is not bool:
        raise MisfitError(at, value, "true or false")


def number(low: float = -MOST, high: float = MOST) -> Check:
    """A finite number of that range, its ends included."""

    def check_number(at: str, value: Any) -> None:
        if type(value) not in (int, float) or not low <= value <= high:
            raise MisfitError(at, value, f"a number of {low:g} to {high:g}")

    return check_number


def whole(low: int = 0, high: int = int(MOST)) -> Check:
    """A whole number of that range."""

    def check_whole(at: str, value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise MisfitError(at, value, f"a whole number from {low}")

    return check_whole


def chosen(allowed: Collection[Any]) -> Check:
    """One of a few values."""
    of = [*allowed]

    def check_chosen(at: str, value: Any) -> None:
        if not any(type(value) is type(one) and value == one for one in of):
            raise MisfitError(at, value, f"one of {', '.join(map(ascii, of[:6]))}" if of else "allowed")

    return check_chosen


def optional(of: Check) -> Check:
    """That, or null."""
    return lambda at, value: None if value is None else of(at, value)


# Compounds.


def record(required: Mapping[str, Check], extra: Mapping[str, Check] | None = None, *, loose: bool = False) -> Check:
    """An object with these keys. extra: keys that it may have. loose: and any others."""
    known = {**required, **(extra or {})}

    def check_record(at: str, value: Any) -> None:
        _be(dict, at, value)
        for name in required:
            if name not in value:
                raise MisfitError(at or "the document", value, f"complete: it lacks {name!r}")
        for name, item in value.items():
            if name in known:
                known[name](f"{at}.{name}".lstrip("."), item)
            elif not loose:
                raise MisfitError(at or "the document", value, f"one with a {ascii(name)[:40]}")

    return check_record


def table(of: Check, keys: Check = text) -> Check:
    """An object of like values. keys: what its keys may be."""

    def check_table(at: str, value: Any) -> None:
        _be(dict, at, value)
        for name, item in value.items():
            keys(f"a key of {at}", name)
            of(f"{at}[{ascii(name)[:40]}]", item)

    return check_table


def listed(of: Check, *, length: int | None = None, least: int = 0, distinct: Collection[Any] = ()) -> Check:
    """A list of like values. distinct: values that may not repeat, and are taken from the list already."""

    def check_list(at: str, value: Any) -> None:
        _be(list, at, value)
        if len(value) < least or length not in (None, len(value)):
            raise MisfitError(at, value, f"of length {least if length is None else length}")
        for place, item in enumerate(value):
            of(f"{at}[{place}]", item)
        if len(set(distinct)) != len(distinct):
            raise MisfitError(at, value, "without repetitions")

    return check_list


def numbers(*shape: int, low: float = -MOST, high: float = MOST, gaps: bool = False) -> Check:
    """Nested lists of finite numbers of that range. gaps: null for what is not known."""
    length, *inner = shape
    if inner:
        return listed(numbers(*inner, low=low, high=high, gaps=gaps), length=length)
    allowed = {int, float, type(None)} if gaps else {int, float}
    one = optional(number(low, high)) if gaps else number(low, high)

    def check_numbers(at: str, value: Any) -> None:
        # At once, and one by one only to say which is wrong: there may be millions.
        _be(list, at, value)
        if len(value) == length and set(map(type, value)) <= allowed:
            known = [item for item in value if item is not None]
            if not known or (min(known) >= low and max(known) <= high and not any(item != item for item in known)):
                return
        listed(one, length=length)(at, value)

    return check_numbers


def _be(kind: type, at: str, value: Any) -> None:
    if type(value) is not kind:
        raise MisfitError(at or "the document", value, "an object" if kind is dict else "a list")


# What a predictor is made of.


def _distinct_names(at: str, value: Any) -> None:
    listed(text, least=2)(at, value)
    listed(text, distinct=value)(at, value)


def _feature(traits: Collection[str]) -> Check:
    def check_feature(at: str, value: Any) -> None:
        kind = value["name"].split(":", 1)[0]
        of_trait = kind in ("source", "target", "gap") and value["trait"] in traits
        if not of_trait and kind != "distance" and value["trait"] not in _COMPARED:
            raise MisfitError(f"{at}.trait", value["trait"], f"anything that {kind!a} can be taken of")

    return check_feature


def _measurement(at: str, value: Any) -> None:
    listed(_any, length=3)(at, value)
    for of, item in zip((number(), optional(number(low=0)), whole(1)), value, strict=True):
        of(at, item)


def _residuals(at: str, value: Any) -> None:
    record({"values": listed(number(), least=1), "share": listed(number(low=0, high=1)), "n": whole(1)})(at, value)
    if value["values"] != sorted(value["values"]):
        raise MisfitError(f"{at}.values", value["values"], "in order")
    if len(value["share"]) != len(value["values"]) or not 0.99 < sum(value["share"]) < 1.01:
        raise MisfitError(f"{at}.share", value["share"], "as long as its values, with a sum of 1")


def _residuals_by_regime(at: str, value: Any) -> None:
    table(_residuals, chosen(CANDIDATES))(at, value)
    if KNOWN not in value:
        raise MisfitError(at, value, f"complete: it lacks {KNOWN!r}")


def _layer(kinds: Collection[str], features: int) -> Check:
    def check_layer(at: str, value: Any) -> None:
        record({"kind": chosen(kinds), "slope": number()}, {"booster": _booster(features)})(at, value)
        if ("booster" in value) != (value["kind"] == FULL):
            raise MisfitError(f"{at}.kind", value["kind"], f"in agreement with its trees: {FULL!r} alone has some")

    return check_layer


def _about(at: str, value: Any) -> None:
    tier, seed = {"tier": chosen(("static", "probe"))}, {"seed": whole()}
    settings = {"features": record(tier, loose=True), "trees": record(seed, loose=True)}
    versions = {"catalogue": optional(whole()), "bundle": whole(), "xgboost": text}
    probes = record({"base": text, "fingerprint": optional(text), "matrix": text})
    record(
        {
            **dict.fromkeys(("cells", "sources", "targets"), whole(1)),
            **dict.fromkeys(("groups", "fingerprint"), text),
            **dict.fromkeys(("out_of_fold_rmse", "half_width"), number(low=0)),
            "models": listed(text, least=1),
            "settings": record(settings),
            "size": record({"depth": whole(), "rounds": whole(), "learning_rate": number(low=0), "reason": text}),
            "gate": _verdicts,
            "harm_known": flag,
            "versions": record(versions),
        },
        {"probes": probes, "metric": text, "outcome": chosen(NAMES)},
    )(at, value)
    for part in value["settings"].values():
        table(_setting)(f"{at}.settings", part)
    if "metric" in value and value.get("outcome", GAIN.name) != GAIN.name:
        raise MisfitError(f"{at}.metric", value["metric"], "there for a side effect")


def _setting(at: str, value: Any) -> None:
    """A setting is only shown: a text, a number, or a list of them."""
    for item in value if isinstance(value, list) else [value]:
        if type(item) in (int, float):
            number()(at, item)
        elif type(item) is not bool:
            text(at, item)


_verdicts = record(
    {
        regime: record(
            {
                "kind": chosen(kinds),
                "chance": number(low=0, high=1),
                "scores": table(number(), chosen(kinds)),
                "resolution": optional(number(low=0)),
            },
            {"complement": flag},
        )
        for regime, kinds in CANDIDATES.items()
    }
)
_FRAME: dict[str, Check] = {
    "kind": text,
    "schema": whole(),
    "matrix": record(dict.fromkeys(("matrix", "metric", "base", "description"), text)),
    "model": optional(text),
    "about": _about,
    "names": _distinct_names,
    "traits": listed(
        record(
            {
                **dict.fromkeys(("trait", "family", "unit", "definition", "source", "tier"), text),
                **dict.fromkeys(("low", "high"), optional(number())),
                "part": chosen(PARTS),
            }
        )
    ),
    "features": listed(
        record({**dict.fromkeys(("name", "trait", "family"), text), "side": chosen(("source", "target", "pair"))})
    ),
    "dropped": table(text),
    "word_weights": table(listed(number(low=0), least=1), chosen(PARTS)),
    "verdicts": _verdicts,
    "residuals": _residuals_by_regime,
    "flat": table(optional(number(low=LEAST)), chosen(CANDIDATES)),
    **dict.fromkeys(("centres", "scales", "fills", "likeness", "likeness_scale", "gains", "layers", "level"), _any),
    **dict.fromkeys(("spread", "source_noise", "measured", "seen", "folds"), _any),
}


# Trees, as XGBoost writes them. It checks little of a tree that it loads: a child or a feature that is not there is
# read from wherever it would lie.


def _booster(features: int) -> Check:
    def check_booster(at: str, value: Any) -> None:
        record({"learner": learner}, {"version": listed(whole(), length=3)}, loose=True)(at, value)
        model = value["learner"]["gradient_booster"]["model"]
        trees = model["trees"]
        at = f"{at}.trees"
        if not trees:
            raise MisfitError(at, trees, "of any length")
        chosen([str(len(trees))])(f"{at}: num_trees", model["gbtree_model_param"]["num_trees"])
        numbers(len(trees), low=0, high=0)(f"{at}: tree_info", model["tree_info"])
        if model["iteration_indptr"] != list(range(len(trees) + 1)):
            raise MisfitError(f"{at}: iteration_indptr", model["iteration_indptr"], "one tree a round")
        for number_, tree in enumerate(trees):
            _check_tree(f"{at}[{number_}]", tree, number_, features)

    width, digits = chosen([str(features)]), chosen(("0", "1"))
    empty = listed(_any, length=0)
    parameters = {"num_trees": text, "num_parallel_tree": chosen(("1",))}
    cats = record({}, dict.fromkeys(("enc", "feature_segments", "sorted_idx"), empty), loose=True)
    model = record(
        {
            "gbtree_model_param": record(parameters, loose=True),
            "iteration_indptr": listed(whole()),
            "tree_info": listed(whole()),
            "trees": listed(_any),
        },
        {"cats": cats},
        loose=True,
    )
    learnt = {
        "base_score": _base_score,
        "boost_from_average": digits,
        "num_class": chosen(("0",)),
        "num_feature": width,
        "num_target": chosen(("1",)),
    }
    objective = {
        "name": chosen(("reg:squarederror",)),
        "reg_loss_param": record({"scale_pos_weight": chosen(("1",))}, loose=True),
    }
    learner = record(
        {
            "attributes": table(text),
            "feature_names": empty,
            "feature_types": empty,
            "gradient_booster": record({"name": chosen(("gbtree",)), "model": model}, loose=True),
            "learner_model_param": record(learnt, loose=True),
            "objective": record(objective, loose=True),
        },
        loose=True,
    )
    return check_booster


def _base_score(at: str, value: Any) -> None:
    text(at, value)
    if not _FLOAT.fullmatch(value) or abs(float(value.strip("[]"))) > MOST:
        raise MisfitError(at, value, "a number")


def _check_tree(at: str, tree: Any, place: int, features: int) -> None:
    _be(dict, at, tree)
    nodes = len(tree["left_children"]) if isinstance(tree.get("left_children"), list) else 0
    floats = {"base_weights": -MOST, "loss_changes": -MOST, "split_conditions": -MOST, "sum_hessian": LEAST}
    empty = listed(_any, length=0)
    parameters = {"num_nodes": [str(nodes)], "num_feature": [str(features)], "size_leaf_vector": ["0", "1"]}
    record(
        {
            **{name: listed(_float(low), length=nodes, least=1) for name, low in floats.items()},
            **dict.fromkeys(("left_children", "right_children"), listed(whole(-1, nodes - 1), length=nodes)),
            **dict.fromkeys(("categories", "categories_nodes", "categories_segments", "categories_sizes"), empty),
            "parents": listed(whole(-1), length=nodes),
            "split_indices": listed(whole(0, max(features - 1, 0)), length=nodes),
            "split_type": listed(chosen((0,)), length=nodes),
            "default_left": listed(chosen((0, 1)), length=nodes),
            "id": chosen((place,)),
            "tree_param": record(
                {"num_deleted": chosen(("0",)), **{k: chosen(v) for k, v in parameters.items()}}, loose=True
            ),
        },
        loose=True,
    )(at, tree)
    depth, parents = {0: 0}, tree["parents"]
    if parents[0] not in _ROOT:
        raise MisfitError(f"{at}.parents", parents, "of a tree")
    for node, pair in enumerate(zip(tree["left_children"], tree["right_children"], strict=True)):
        # A child comes after its parent and has one, so there are no circles and no two ways to a node.
        leaf = pair == (-1, -1)
        if node not in depth or not (leaf or node < min(pair) < max(pair)) or any(c in depth for c in pair if not leaf):
            raise MisfitError(f"{at}.left_children and right_children", [*pair], "the children of a node of a tree")
        for child in () if leaf else pair:
            depth[child] = depth[node] + 1
            if parents[child] != node or depth[child] > _DEEPEST:
                raise MisfitError(f"{at}.parents", parents, f"of a tree of at most {_DEEPEST} levels")
    if len(depth) != nodes:
        raise MisfitError(at, tree, "one tree")


def _float(low: float) -> Check:
    """XGBoost refuses a whole number among them."""
    within = number(low)

    def check_float(at: str, value: Any) -> None:
        if type(value) is not float:
            raise MisfitError(at, value, "a number with a point")
        within(at, value)

    return check_float
