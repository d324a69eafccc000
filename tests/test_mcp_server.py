"""`traitcast mcp`: an assistant's client in this process asks for each tool."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from traitcast import MissingExtraError
from traitcast.mcp_server import server
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.records import Profile


def ask(path: Path, tool: str, **arguments: Any) -> Any:
    """What a tool answers; its message if it fails."""
    mcp = pytest.importorskip("mcp", reason="needs an extra: pip install 'traitcast[mcp]'")

    async def call() -> Any:
        async with mcp.Client(server(str(path))) as client:
            return await client.call_tool(tool, arguments)

    result = asyncio.run(call())
    return result.content[0].text if result.is_error else result.structured_content


def test_four_tools_with_their_arguments(warehouse_path: Path) -> None:
    mcp = pytest.importorskip("mcp", reason="needs an extra: pip install 'traitcast[mcp]'")

    async def listed() -> Any:
        async with mcp.Client(server(str(warehouse_path))) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(listed())}
    assert {name: list(tool.input_schema["properties"]) for name, tool in tools.items()} == {
        "profile": ["dataset"],
        "findings": ["dataset"],
        "sql": ["query"],
        "rank": ["target", "sources", "top"],
    }
    assert all(tool.description for tool in tools.values())


def test_profile_and_findings(warehouse_path: Path, profiles: tuple[Profile, ...]) -> None:
    found = ask(warehouse_path, "profile", dataset="reviews")
    assert (found["rows"], found["labels"], found["findings"]) == (100, {"good": 60, "bad": 40}, 0)
    assert ask(warehouse_path, "findings", dataset="reviews") == {"result": []}
    assert "no profile of 'revews'" in ask(warehouse_path, "profile", dataset="revews")


def test_sql_reads_only_and_says_what_it_left_out(warehouse_path: Path) -> None:
    found = ask(warehouse_path, "sql", query="SELECT range AS n FROM range(300)")
    assert (len(found["rows"]), found["row_count"], found["left_out"]) == (200, 300, 100)
    assert found["rows"][0] == {"n": 0}
    assert ask(warehouse_path, "sql", query="SELECT 'nan'::DOUBLE AS x")["rows"] == [{"x": None}]
    before = warehouse_path.read_bytes()
    assert "only" in ask(warehouse_path, "sql", query="DELETE FROM datasets")
    assert warehouse_path.read_bytes() == before
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        assert len(warehouse.dataset_names()) == 3


def test_rank_says_what_it_rests_on(tmp_path: Path) -> None:
    found = ask(tmp_path / "none.duckdb", "rank", target="rte", sources=["sst2", "mnli", "cb"], top=2)
    assert [row["target"] for row in found["ranking"]] == ["rte", "rte"]
    assert found["ranked"] == 3
    assert "for unseen targets" in found["basis"] or "For unseen targets" in found["basis"]


def test_without_the_sdk_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    with pytest.raises(MissingExtraError, match=r"mcp is not installed; run: pip install 'traitcast\[mcp\]'"):
        server("w.duckdb")


def test_calls_at_the_same_time_wait_for_each_other(tmp_path: Path) -> None:
    """One profiles, so that it writes the file that the others read."""
    mcp = pytest.importorskip("mcp", reason="needs an extra: pip install 'traitcast[mcp]'")
    for name in "ab":
        rows = [f'{{"text": "ticket {n} about the {name} water", "label": "{n % 2}"}}\n' for n in range(20)]
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))

    async def call() -> Any:
        async with mcp.Client(server(str(tmp_path / "w.duckdb"))) as client:
            asked = [client.call_tool("profile", {"dataset": str(tmp_path / f"{name}.jsonl")}) for name in "ab"]
            asked += [client.call_tool("sql", {"query": "SELECT count(*) AS n FROM datasets"}) for _ in range(6)]
            return await asyncio.gather(*asked)

    assert [result.content[0].text for result in asyncio.run(call()) if result.is_error] == []
