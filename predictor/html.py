"""HTML tables for notebooks, self-contained, without script or style sheet. Charts are of `warehouse.charts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from traitcast.warehouse.console import number


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None, caption: str = "") -> str:
    """Rows as an HTML table: numbers to four digits and right-aligned, undefined ones empty, all text escaped."""
    names = list(columns) if columns is not None else list(rows[0]) if rows else []
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(_cell(row.get(name)) for name in names) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, bool):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, int | float):
        return f'<td style="text-align:right">{number(float(value))}</td>'
    return f"<td>{escape(str(value))}</td>"
