"""What speaks against roles that fit by their names: rows that annotators rejected, and two columns called alike.

Owns the reasons to ask although a layout fits. `profiler.roles.inference` found the layout.
"""

from __future__ import annotations

from collections import Counter

from traitcast.profiler.roles.column_names import CHAT_LABELS, plain_name
from traitcast.profiler.roles.columns import View
from traitcast.profiler.roles.explanation import UnclearError
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.roles.values import listed


def refuse_doubtful(view: View, spec: DatasetSpec) -> None:
    """Raise UnclearError, with the roles as they are, where a user has to say that they are meant."""
    _refuse_quoted(view, spec)
    _refuse_rejected(view, spec)
    _refuse_alike(view, spec)
    _refuse_classed_chat(view, spec)


def _refuse_quoted(view: View, spec: DatasetSpec) -> None:
    """Raise where single quotes around cells were taken for parts of them."""
    if all(len(name) > 2 and name[0] == name[-1] == "'" for name in view.columns):
        raise UnclearError('all names of columns are in single quotes; if cells are quoted so, add --quote "\'"', spec)


def _refuse_classed_chat(view: View, spec: DatasetSpec) -> None:
    """Raise where conversations have a class each, since a conversation is read for its last answer."""
    if not spec.messages_field or spec.task_type != "generation" or spec.answer_field:
        return
    label = next((view.actual[plain] for plain in CHAT_LABELS if plain in view.actual), None)
    if label is not None and view.class_like(label) and view.distinct(label) > 1:
        raise UnclearError(
            f"{label!r} may be a class of each conversation, and those are read for their last answer alone. To learn "
            "the class, write each conversation as a text; the line below learns the answer",
            spec,
        )


def _refuse_rejected(view: View, spec: DatasetSpec) -> None:
    """Raise where annotators rejected rows or passed them over, as Prodigy writes into `answer`."""
    name = view.actual.get("answer")
    if name is None or name in spec.columns or view.kinds[name] != "text":
        return
    values = Counter(str(value) for value in view.columns[name] if value)
    out = values.total() - values["accept"]
    if set(values) <= {"accept", "reject", "ignore"} and out:
        raise UnclearError(
            f"{name!r} says that {out} of {values.total()} rows were rejected or ignored. "
            f"Keep the accepted ones: jq -c 'select(.{name} == \"accept\")'; the line below reads all",
            spec,
        )


def _refuse_alike(view: View, spec: DatasetSpec) -> None:
    """Raise where another column has the name of one with a role but for its case or its marks, and other values."""
    for name in spec.columns:
        alike = [n for n in view.columns if n not in spec.columns and _plain(n) == _plain(name)]
        if name in view.columns and any(view.columns[n] != view.columns[name] and view.telling(n) for n in alike):
            raise UnclearError(f"{listed([name, *alike])} are called alike", spec)


def _plain(name: str) -> str:
    """A name without case and marks; of other scripts, which have no plain form, without case alone."""
    return plain_name(name) or name.strip().casefold()
