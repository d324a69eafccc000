"""HTML for notebooks: one table and one waterfall, self-contained, without script or style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from warehouse.console import number

_UP, _DOWN, _TOTAL = "#2a7f62", "#b3423a", "#4a5568"
_ROW, _LABEL, _PLOT, _MARGIN = 22, 300, 380, 60


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


def waterfall(start: float, steps: Sequence[tuple[str, float]], title: str) -> str:
    """An SVG from `start` (pp) to start + the sum of all steps, one bar each, in the order given."""
    edges = [start]
    for _, step in steps:
        edges.append(edges[-1] + step)
    low, high = min(*edges, 0.0), max(*edges, 0.0)
    scale = _PLOT / ((high - low) or 1.0)

    def x(value: float) -> float:
        return _LABEL + (value - low) * scale

    bars = [_bar(0, "base value", min(0.0, start), max(0.0, start), f"{start:+.2f}", _TOTAL, x)]
    for i, (name, step) in enumerate(steps):
        left, right = sorted((edges[i], edges[i + 1]))
        bars.append(_bar(i + 1, name, left, right, f"{step:+.2f}", _UP if step >= 0 else _DOWN, x))
    end = edges[-1]
    bars.append(_bar(len(steps) + 1, "prediction", min(0.0, end), max(0.0, end), f"{end:+.2f} pp", _TOTAL, x))
    height, width = _ROW * (len(steps) + 3), _LABEL + _PLOT + _MARGIN
    zero = f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{_ROW}" y2="{height}" stroke="#999" stroke-dasharray="3 3"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title, quote=True)}" font-family="sans-serif" font-size="12">'
        f'<text x="0" y="14" font-weight="bold">{escape(title)}</text>{zero}{"".join(bars)}</svg>'
    )


def _bar(row: int, name: str, left: float, right: float, text: str, colour: str, x: Any) -> str:
    top = _ROW * (row + 1)
    width = max(1.0, x(right) - x(left))
    return (
        f'<text x="{_LABEL - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{x(left):.1f}" y="{top + 3}" width="{width:.1f}" height="{_ROW - 6}" fill="{colour}"/>'
        f'<text x="{x(right) + 4:.1f}" y="{top + 15}">{escape(text)}</text>'
    )
