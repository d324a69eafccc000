"""A small world with a known law: random profiles, and gains that follow from their traits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from traitcast.predictor.api import fit_into
from traitcast.predictor.latent import associations
from traitcast.predictor.model.features import ProfileSet
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.records import Cells, Matrix, Profile, Sketch, TraitDefinition, TraitMatrix, TraitValue

TRAITS = (
    ("label_entropy_bits", "label", "class_balance", "bits"),
    ("label_majority_share", "label", "class_balance", "share"),
    ("prompt_words_mean", "prompt", "generation_length", "words"),
    ("response_words_mean", "response", "generation_length", "words"),
    ("prompt_negation_share", "prompt", "linguistic", "share"),
    ("prompt_modal_share", "prompt", "linguistic", "share"),
    ("prompt_lix", "prompt", "readability", "score"),
    ("response_mtld", "response", "lexical_diversity", "score"),
)
DEFINITIONS = tuple(
    TraitDefinition(trait, part, family, unit, f"The {trait}.", "this test", 0.0, None, "all rows")
    for trait, part, family, unit in TRAITS
)
SKETCHES = (("words_minhash", 64), ("words_hashed", 32), ("trigrams_hashed", 32))


def make_profiles(count: int, seed: int = 0) -> ProfileSet:
    """`count` datasets of `count` families with random traits and sketches; every third is not classification."""
    rng = np.random.default_rng(seed)
    names = tuple(f"d{i:02d}" for i in range(count))
    types = tuple("generation" if i % 3 == 2 else "classification" for i in range(count))
    values = np.column_stack(
        [
            rng.uniform(0, 3, count),
            rng.uniform(0.3, 1, count),
            rng.lognormal(3, 1, count),
            rng.lognormal(1, 1, count),
            rng.uniform(0, 0.05, count),
            rng.uniform(0, 0.05, count),
            rng.uniform(20, 60, count),
            np.where(rng.random(count) < 0.3, np.nan, rng.uniform(20, 80, count)),
        ]
    )
    sketches: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    for part in ("prompt", "response"):
        for kind, width in SKETCHES:
            drawn = rng.integers(0, 6, (count, width)) / 8 if kind == "words_minhash" else rng.random((count, width))
            sketches[part, kind] = {name: row.astype(np.float32) for name, row in zip(names, drawn, strict=True)}
    labels = {
        name: dict.fromkeys(rng.choice(["Yes", "no", "maybe", "pos", "neg"], 2, replace=False).tolist(), 10)
        for name, kind in zip(names, types, strict=True)
        if kind == "classification"
    }
    rows = tuple(int(n) for n in rng.integers(100, 3000, count))
    matrix = TraitMatrix(names, types, tuple(f"f{i}" for i in range(count)), rows, DEFINITIONS, values)
    return ProfileSet(matrix, sketches, labels)


def make_cells(
    profiles: ProfileSet,
    seed: int = 0,
    *,
    noise: float = 0.5,
    seeds: int = 1,
    models: tuple[str, ...] = ("m",),
    permute: bool = False,
) -> Cells:
    """Gains of all pairs by the law 3 tanh(entropy - 1.5) - 1.5 |length gap| + level of the target + noise, in pp.

    permute: the gains of every target are shuffled over its sources, so that nothing is left to learn.
    """
    rng = np.random.default_rng(seed)
    t = profiles.traits
    length = np.log1p(t.values[:, t.traits.index("response_words_mean")])
    source = 3 * np.tanh(t.values[:, 0] - 1.5)
    gains = source[:, None] - 1.5 * np.abs(length[:, None] - length[None]) + 2 * rng.normal(size=len(t.names))[None]
    if permute:
        gains = rng.permuted(gains, axis=0)
    keys = [
        (m, s, d, k) for m in models for s in range(len(t.names)) for d in range(len(t.names)) for k in range(seeds)
    ]
    gain = np.array([gains[s, d] for _, s, d, _ in keys]) + noise * rng.normal(size=len(keys))
    return Cells(
        matrix=Matrix("law", "accuracy", "untuned", "a made-up law"),
        models=tuple(k[0] for k in keys),
        sources=tuple(t.names[k[1]] for k in keys),
        targets=tuple(t.names[k[2]] for k in keys),
        seeds=np.array([k[3] for k in keys], dtype=np.int64),
        gain=gain,
        standard_error=np.full(len(keys), np.nan),
        score=0.5 + gain / 100,
        base_score=np.full(len(keys), 0.5),
    )


def as_profiles(profiles: ProfileSet) -> list[Profile]:
    """The same as records that a warehouse can store."""
    t = profiles.traits
    made = []
    for i, name in enumerate(t.names):
        values = [None if np.isnan(v) else float(v) for v in t.values[i]]
        found = [Sketch(part, kind, by[name]) for (part, kind), by in profiles.sketches.items()]
        made.append(
            Profile(
                name=name,
                fingerprint=f"v1:{name}",
                task_type=t.task_types[i],
                rows=t.rows[i],
                traits=tuple(TraitValue(d.trait, v, None, 100) for d, v in zip(t.definitions, values, strict=True)),
                label_counts=tuple(profiles.label_counts.get(name, {}).items()),
                sketches=tuple(found),
                family=t.families[i],
            )
        )
    return made


@pytest.fixture(scope="module", autouse=True)
def fewer_orders(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fewer random orders behind the p values of a report: they take most of its time, and are tested in latent/."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name != "latent":
            patch.setattr(associations, "_ORDERS", associations._CHUNK)
        yield


@pytest.fixture(scope="session")
def profiles_of_count() -> Callable[..., ProfileSet]:
    return make_profiles


@pytest.fixture(scope="session")
def cells_of() -> Callable[..., Cells]:
    return make_cells


@pytest.fixture(scope="session")
def warehouse_of() -> Callable[..., Path]:
    return make_warehouse


@pytest.fixture(scope="session")
def world() -> ProfileSet:
    return make_profiles(18)


@pytest.fixture(scope="session")
def law(world: ProfileSet) -> Cells:
    return make_cells(world)


@pytest.fixture(scope="session")
def warehouses(tmp_path_factory: pytest.TempPathFactory, world: ProfileSet, law: Cells) -> tuple[Path, Path]:
    """Two warehouse files to copy from: one without a predictor, and the same with the default one."""
    folder = tmp_path_factory.mktemp("warehouses")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAITCAST_REFERENCE", str(folder / "no_reference"))
        plain = make_warehouse(folder / "law.duckdb", world, law)
        fitted = Path(shutil.copy(plain, folder / "fitted.duckdb"))
        with Warehouse.open(fitted) as warehouse:
            fit_into(warehouse)
    return plain, fitted


@pytest.fixture
def law_warehouse(tmp_path: Path, warehouses: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A warehouse file with the world, its measured matrix "law", and no predictor."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    return Path(shutil.copy(warehouses[0], tmp_path / "law.duckdb"))


@pytest.fixture
def fitted(tmp_path: Path, warehouses: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same with the predictor "default"."""
    monkeypatch.setenv("TRAITCAST_REFERENCE", str(tmp_path / "no_reference"))
    return Path(shutil.copy(warehouses[1], tmp_path / "fitted.duckdb"))


def make_warehouse(path: Path, world: ProfileSet, law: Cells) -> Path:
    """Profiles and scores in a new file."""
    names = world.traits.names
    n = len(law.gain)
    columns = {
        "model": [*law.models, *["m"] * len(names)],
        "source": [*law.sources, *[""] * len(names)],
        "target": [*law.targets, *names],
        "seed": [*law.seeds.tolist(), *[0] * len(names)],
        "metric": ["accuracy"] * (n + len(names)),
        "score": [*law.score.tolist(), *[0.5] * len(names)],
    }
    rows = pa.table(columns)
    rows = rows.append_column("n", pa.nulls(rows.num_rows, pa.int64()))
    rows = rows.append_column("standard_error", pa.nulls(rows.num_rows, pa.float64()))
    with Warehouse.open(path) as warehouse:
        warehouse.sync_catalogue(DEFINITIONS, 1)
        for profile in as_profiles(world):
            warehouse.save_profile(profile)
        warehouse.save_scores(law.matrix, rows)
    return path
