"""A profile as Python and a notebook show it: its findings, its lengths and classes as charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any

from traitcast.warehouse import distributions
from traitcast.warehouse.console import count, html_table
from traitcast.warehouse.errors import UserError, nearest
from traitcast.warehouse.records import Profile

if TYPE_CHECKING:
    import altair as alt


class Profiled(Profile):
    """A `Profile` that draws itself.

    `findings` are the faults found, worst first, `traits` all traits in the order of the catalogue; see `Profile` for
    the other fields.
    """

    __slots__ = ()

    @classmethod
    def of(cls, profile: Profile) -> Profiled:
        """The same profile."""
        return cls(**{field.name: getattr(profile, field.name) for field in fields(profile)})

    def value(self, trait: str) -> float | None:
        """The value of a trait, None where it is undefined. Raises UserError for one that does not exist."""
        found = {one.trait: one.value for one in self.traits}
        if trait not in found:
            raise UserError(f"no trait {trait!r}{nearest(trait, found)}")
        return found[trait]

    def plot(self) -> alt.TopLevelMixin:
        """Lengths, turns and classes as a chart of Vega-Altair.

        Raises
        ------
        UserError
            Where all rows have one length and there are no classes.
        """
        from traitcast.warehouse import charts

        parts = distribution_charts([self])
        if not parts:
            raise UserError(f"nothing to draw of {self.name!r}: all rows have one length, and there are no classes")
        return charts.stacked(parts, title=self.name)

    def __repr__(self) -> str:
        return (
            f"<{self.name}: {self.task_type}, {count(self.rows, 'row')}, {count(len(self.findings), 'finding')}, "
            f"{count(len(self.traits), 'trait')}>"
        )

    def _repr_html_(self) -> str:
        from traitcast.warehouse import charts

        columns = ("severity", "finding", "part", "count", "message")
        rows = [{name: getattr(found, name) for name in columns} for found in self.findings]
        about = f"{escape(self.name)}: {self.task_type}, {count(self.rows, 'row')}, {count(len(rows), 'finding')}"
        drawn = charts.svg(charts.stacked(parts)) if (parts := distribution_charts([self])) else ""
        return f"<p>{about}</p>{html_table(rows, columns) if rows else ''}{drawn}"


def distribution_charts(profiles: Sequence[Profile]) -> list[Any]:
    """A chart for each distribution that one or two profiles have: lengths, turns, languages, classes."""
    from traitcast.warehouse import charts

    parts: list[Any] = [
        charts.histogram(found, axis=axis)
        for part, unit, axis in distributions.axes(profiles)
        if (found := distributions.histogram(profiles, part, unit))
    ]
    bars = [(distributions.languages(profiles), "share of prompts"), (distributions.classes(profiles), "share of rows")]
    return [*parts, *(charts.shares(rows, axis=axis) for rows, axis in bars if rows)]
