"""A pack of any precision: cells of several count as one matrix, and no adapter is scored in another than its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

torch = pytest.importorskip("torch", reason="needs an extra: pip install 'traitcast[train]'")
pytest.importorskip("peft", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training.engine import device  # noqa: E402
from traitcast.training.plan.pack import Pack  # noqa: E402
from traitcast.training.plan.recipe import Runtime, adapter_key, cell_key  # noqa: E402
from traitcast.training.results import shards  # noqa: E402
from traitcast.training.results.export import export, ingest  # noqa: E402
from traitcast.training.results.tables import long_tables  # noqa: E402
from traitcast.training.run import run  # noqa: E402
from traitcast.training.state import status  # noqa: E402
from traitcast.warehouse.errors import InputError, ScoresError  # noqa: E402


@pytest.fixture(scope="module")
def single(plan_small: Callable[..., Pack], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pack]:
    """The same small matrix, measured in each of two precisions."""
    torch.set_num_threads(1)
    packs = {}
    for dtype in ("float32", "bfloat16"):
        packs[dtype] = plan_small(tmp_path_factory.mktemp(dtype) / "m", dtype=dtype)
        run(packs[dtype])
    return packs


@pytest.fixture
def anyone(plan_small: Callable[..., Pack], tmp_path: Path) -> Pack:
    """The same matrix with nothing measured, for machines of any precision."""
    return plan_small(tmp_path / "any", dtype="any")


def quick(monkeypatch: pytest.MonkeyPatch, *, at_bfloat16: bool) -> None:
    monkeypatch.setattr(device, "is_quick_at_bfloat16", lambda: at_bfloat16)


def test_cells_of_each_precision_count(single: dict[str, Pack], anyone: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (status(anyone).scored, status(anyone).measured) == (0, 0)
    for dtype, pack in single.items():
        copy = Pack(shutil.copytree(anyone.folder, anyone.folder.with_name(dtype)))
        assert shards.merge(copy, pack.shards) == 21
        assert (status(copy).scored, status(copy).precisions) == (21, {dtype: 21})
        quick(monkeypatch, at_bfloat16=dtype == "float32")
        before = sorted(path.name for path in copy.folder.rglob("*.*"))
        run(copy)
        after = sorted(path.name for path in copy.folder.rglob("*.*"))
        assert set(after) - set(before) == {"runtime.json"}, "a machine of the other precision has nothing left to do"
        assert shards.read(copy) == shards.read(pack)


def test_machines_of_two_precisions_continue_one_matrix(
    single: dict[str, Pack], anyone: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One machine measures the base and some adapters in bfloat16; another one does the rest in float32."""
    pairs = [("mood", 0), ("mood", 1), ("sums", 0)]
    wanted = {dtype: {(c.source, c.seed, c.target): c for c in shards.read(pack)} for dtype, pack in single.items()}
    first = [c for (source, seed, _), c in wanted["bfloat16"].items() if source is None or (source, seed) in pairs]
    shards.write(anyone.shards, first)
    quick(monkeypatch, at_bfloat16=False)
    said: list[str] = []
    found = run(anyone, say=said.append)
    assert any("in float32 on cpu" in line for line in said)
    assert (found.scored, found.measured, found.trained) == (21, 6, 3), (
        "adapters whose cells are all there are not trained again"
    )
    assert found.precisions == {"float32": 9, "bfloat16": 12}
    for cell in shards.read(anyone):
        theirs = cell.source is None or (cell.source, cell.seed) in pairs
        assert cell.dtype == ("bfloat16" if theirs else "float32")
        runtime = Runtime(cell.base_fingerprint, cell.dtype)
        adapter = adapter_key(anyone.recipe, runtime, cell.source, cell.seed) if cell.source else None
        assert cell.adapter == adapter
        assert cell.key == cell_key(anyone.recipe, runtime, adapter, cell.target)
        if theirs:
            assert cell == wanted["bfloat16"][cell.source, cell.seed, cell.target]


def test_an_adapter_of_another_precision_is_not_scored(
    single: dict[str, Pack], anyone: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All adapters are there in bfloat16 without cells: a float32 machine trains its own."""
    shutil.copytree(single["bfloat16"].adapters, anyone.adapters)
    quick(monkeypatch, at_bfloat16=False)
    run(anyone)
    assert shards.read(anyone) == shards.read(single["float32"])
    adapters = long_tables(anyone, shards.read(anyone))["adapters"].to_pylist()
    assert {row["adapter"] for row in adapters} == {c.adapter for c in shards.read(anyone) if c.adapter}
    assert len(adapters) == 6


def test_of_two_measurements_the_more_complete_one_counts(
    single: dict[str, Pack], anyone: Pack, tmp_path: Path
) -> None:
    cells = {dtype: shards.read(pack) for dtype, pack in single.items()}
    incomplete = [c for c in cells["float32"] if (c.source, c.target) != ("mood", "sums")]
    shards.write(anyone.shards, incomplete)
    shards.write(anyone.shards, cells["bfloat16"])
    found = shards.read(anyone)
    assert len(found) == 21
    assert {c.dtype for c in found if c.source != "mood"} == {"float32"}
    assert {c.dtype for c in found if c.source == "mood"} == {"bfloat16"}
    assert export(anyone, tmp_path / "all.parquet", "shard") == 21
    assert list(shards.cells_of(tmp_path / "all.parquet")) == found
    scores = long_tables(anyone, found)["scores"]
    assert pa.TableGroupBy(scores, ["source", "target", "seed", "metric"]).aggregate([]).num_rows == scores.num_rows
    state = status(anyone)
    assert (state.scored, state.precisions) == (21, {"float32": 19, "bfloat16": 21})


def test_the_warehouse_says_how_many_cells_have_which_precision(
    single: dict[str, Pack], anyone: Pack, tmp_path: Path
) -> None:
    from traitcast.warehouse.database.warehouse import Warehouse

    for dtype, pack in single.items():
        shards.write(anyone.shards, [c for c in shards.read(pack) if (c.source == "mood") == (dtype == "float32")])
    ingest(anyone, tmp_path / "w.duckdb", name="mixed", parsed=False)
    with Warehouse.open(tmp_path / "w.duckdb", read_only=True) as warehouse:
        (matrix,) = [m for m in warehouse.matrices() if m.matrix == "mixed"]
    assert matrix.description.endswith("bfloat16 (15 cells) and float32 (6 cells)")


def test_a_pack_of_one_precision_refuses_another(
    single: dict[str, Pack], anyone: Pack, plan_small: Callable[..., Pack], tmp_path: Path
) -> None:
    one = Pack(shutil.copytree(single["float32"].folder, tmp_path / "one"))
    with pytest.raises(ScoresError, match=r"was measured with other weights or precision \(v1:\w+, bfloat16\) than"):
        shards.merge(one, single["bfloat16"].shards)
    # A pack may be opened to other precisions later on, and not closed again.
    more = plan_small(one.folder, dtype="any")
    assert shards.merge(more, single["bfloat16"].folder) == 21
    with pytest.raises(ScoresError, match="was planned with dtype 'any', now 'float32'"):
        plan_small(one.folder, dtype="float32")


def test_a_key_has_a_precision(anyone: Pack) -> None:
    with pytest.raises(ValueError, match="a key needs one of float32, bfloat16, float16, not 'any'"):
        adapter_key(anyone.recipe, Runtime("v1:x", "any"), "mood", 0)


def test_what_holds_no_cells_is_refused(anyone: Pack, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no cells; give a pack, a folder of shards, or a shard"):
        shards.merge(anyone, tmp_path / "empty")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(InputError, match=r"cannot read shard .*text.parquet"):
        shards.merge(anyone, tmp_path / "text.parquet")
