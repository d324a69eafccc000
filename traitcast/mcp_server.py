"""The command `mcp`: a server by which an assistant profiles data, reads findings, runs SQL and ranks sources.

A thin layer over the Python API, with the official SDK of the Model Context Protocol. It speaks over stdin and stdout,
opens no port, and writes nothing but profiles into the warehouse.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

import traitcast
from traitcast.front_door import FrontDoor
from traitcast.warehouse.console import report_errors, say, warehouse_option
from traitcast.warehouse.errors import MissingExtraError, TraitcastError

if TYPE_CHECKING:
    from mcp.server import MCPServer

P = ParamSpec("P")
R = TypeVar("R")

_ABOUT = (
    "traitcast measures traits of text datasets and predicts what tuning a language model on one does to another. "
    "DATASET is a profiled name (84 public ones are there), a local file or folder, or a Hugging Face hub id."
)
# An assistant reads every row: what is cut is said.
_MOST_ROWS = 200


@click.command("mcp")
@warehouse_option
@report_errors
def mcp(warehouse_path: str) -> None:
    """Serve profile, findings, sql and rank to an assistant (Model Context Protocol, over stdin and stdout).

    \b
    Example, with what the configuration of an assistant says:
      traitcast mcp --warehouse traitcast.duckdb
      {"mcpServers": {"traitcast": {"command": "traitcast", "args": ["mcp"]}}}
    """
    made = server(warehouse_path)
    say(f"serving {warehouse_path} on stdin and stdout; end with Ctrl-C")
    made.run("stdio")


def server(warehouse_path: str) -> MCPServer:
    """The server for a warehouse.

    Raises
    ------
    MissingExtraError
        Without the SDK.
    """
    try:
        from mcp.server import MCPServer
        from mcp.server.mcpserver.exceptions import ToolError
    except ImportError as error:
        raise MissingExtraError("mcp is not installed; run: pip install 'traitcast[mcp]'") from error

    # The SDK calls tools in threads, and DuckDB opens a file once per process: to read it or to write it.
    one_by_one = Lock()

    def told(tool: Callable[P, R]) -> Callable[P, R]:
        """Messages of traitcast reach the assistant; of other errors it learns the name of the tool only."""

        @wraps(tool)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                with one_by_one:
                    return tool(*args, **kwargs)
            except TraitcastError as error:
                raise ToolError(str(error)) from error

        return run

    made = MCPServer("traitcast", instructions=_ABOUT, version=traitcast.__version__)

    @made.tool()
    @told
    def profile(dataset: str) -> dict[str, Any]:
        """Profile a dataset, or look a profiled one up: task, rows, labels, and what is unusual about it in words.

        Single traits: sql, view `profiles`.
        """
        return _profile(dataset, warehouse_path)

    @made.tool()
    @told
    def findings(dataset: str) -> list[dict[str, Any]]:
        """What is wrong with a dataset, worst first: severity, sentence, number of rows, and the first row numbers."""
        return _findings(dataset, warehouse_path)

    @made.tool()
    @told
    def sql(query: str) -> dict[str, Any]:
        """Run one read-only statement of DuckDB over the warehouse.

        Views: profiles (a row per dataset, a column per trait), transfer_matrix (model, source, target, gain),
        trait_catalogue (trait, unit, definition); tables: datasets, traits, findings, scores.
        """
        return _sql(query, warehouse_path)

    @made.tool()
    @told
    def rank(target: str, sources: list[str] | None = None, top: int = 10) -> dict[str, Any]:
        """Rank sources to tune on for a target by predicted gain, in `unit`, best first.

        Pass on what `basis` says: without a signal the order means nothing, and `to_try` names sources to try first.
        """
        return _rank(target, sources, top, warehouse_path)

    return made


def _profile(dataset: str, path: str) -> dict[str, Any]:
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.percentiles import in_words, kin, most_unusual, standings

    (name,) = FrontDoor().ensure_profiled([dataset], path)
    with Warehouse.open(path, read_only=True) as warehouse:
        found = warehouse.profile(name)
        reference = warehouse.trait_matrix(warehouse.shipped("datasets"))
    unusual = most_unusual(found, standings(found, kin(found, reference)), reference)
    return {
        "name": found.name,
        "task_type": found.task_type,
        "rows": found.rows,
        "language": found.language,
        "labels": dict(found.label_counts),
        "unusual": {one.trait.trait: in_words(one) for one in unusual},
        "findings": len(found.findings),
    }


def _findings(dataset: str, path: str) -> list[dict[str, Any]]:
    from traitcast.warehouse.database.warehouse import Warehouse

    (name,) = FrontDoor().ensure_profiled([dataset], path)
    with Warehouse.open(path, read_only=True) as warehouse:
        return [asdict(found) for found in warehouse.profile(name).findings]


def _sql(query: str, path: str) -> dict[str, Any]:
    from traitcast.warehouse.database.warehouse import Warehouse
    from traitcast.warehouse.layout import finite

    with Warehouse.open(path, read_only=True) as warehouse:
        found = warehouse.query(query, text=True)
    rows = found.slice(0, _MOST_ROWS).to_pylist(maps_as_pydicts="strict")
    return {"rows": finite(rows), "row_count": found.num_rows, "left_out": found.num_rows - len(rows)}


def _rank(target: str, sources: list[str] | None, top: int, path: str) -> dict[str, Any]:
    from traitcast.predictor import api
    from traitcast.predictor.commands.lists import foundation
    from traitcast.warehouse.database.warehouse import Warehouse

    target, *chosen = FrontDoor().ensure_profiled([target, *(sources or ())], path)
    with Warehouse.open(path, read_only=True) as warehouse:
        predictor = api.predictor_of(warehouse)
        found = api.rank_sources(warehouse, predictor, target, None if sources is None else chosen)
        quality = api.known_quality(warehouse, predictor, found)
    return {
        "basis": foundation(predictor, found, quality),
        "ranking": [one.as_row() for one in found.top(max(top, 1))],
        "to_try": found.to_try,
        "ranked": len(found),
    }
