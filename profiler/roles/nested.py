"""Rows that hold more than one example, and exports with their labels deep inside: what to run to read them.

Owns the roles that are proposed for several questions a row (CoQA, QuAC) and for Label Studio, and the command that
writes an example a line. It proposes; nothing here is read without being asked for.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from traitcast.profiler.roles.columns import View, kind_of
from traitcast.profiler.roles.draft import content, flattened, longest
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.roles.values import jq_path, listed, pick

_QUESTIONS = ("questions", "queries", "prompts", "instructions", "inputs", "question")
_ANSWERS = ("answers", "responses", "outputs", "completions", "answer", "targets")
_INSIDE = ("input_text", "texts", "text", "question", "answer", "content", "value")
# Lists of objects that have a question each (SQuAD, DROP).
_BOTH = (("question", "answers"), ("question", "answer"), ("query", "answer"), ("prompt", "response"))


class Proposal(NamedTuple):
    """What is wrong, the roles that read a part of it, and a command that writes an example a line."""

    reason: str
    draft: DatasetSpec | None
    command: str


class _Inside(NamedTuple):
    """A list: its column, its path from the row, and what leads from an item to its text ("", "[0]" or a key)."""

    column: str
    path: str
    item: str

    def first(self) -> str:
        return f"{self.path}[0]{self.item}"

    def jq(self) -> str:
        return f"$r.{self.path}[$i]{self.item}"

    def sql(self) -> str:
        item = self.item.replace("[0]", "[1]")
        return f"unnest([x{item} for x in {self.path}])" if item else f"unnest({self.path})"


def nested(view: View, source: str) -> Proposal | None:
    """What to run for rows that no layout fits since they nest; None for any other."""
    return _label_studio(view, source) or _segments(view, source) or _questions(view, source)


def _questions(view: View, source: str) -> Proposal | None:
    objects = _lists_of_objects(view)
    context = longest(view, [name for name in content(view) if name not in objects])[:1]
    for name, first in objects.items():
        both = next((both for both in _BOTH if set(both) <= set(first)), None)
        if both is not None:
            kind = kind_of([first[both[1]]])
            inner = {"list of texts": "[0]", "spans": "[0].text", "list": "[0].text"}.get(kind, "")
            texts = (*context, f"{name}[0].{both[0]}")
            draft = DatasetSpec("generation", texts, answer_field=f"{name}[0].{both[1]}{inner}")
            before = "".join(f"{column}, " for column in context)
            jq = f"{{{', '.join(context)}}} + .{name}[]"
            sql = f"SELECT {before}unnest({name}, max_depth := 2)"
            return Proposal(_several(name), draft, _command(source, (name, *context), jq, sql))
    asked, answered = (_list_named(view, names) for names in (_QUESTIONS, _ANSWERS))
    if asked is None or answered is None or not _are_pairs(view, asked, answered):
        return None
    fields = {**{name: f"$r.{name}" for name in context}, "question": asked.jq(), "answer": answered.jq()}
    made = ", ".join(f"{name}: {path}" for name, path in fields.items())
    jq = f". as $r | range(.{asked.path} | length) as $i | {{{made}}}"
    sql = ", ".join((*context, f"{asked.sql()} AS question", f"{answered.sql()} AS answer"))
    draft = DatasetSpec("generation", (*context, asked.first()), answer_field=answered.first())
    keys = (asked.column, answered.column, *context)
    return Proposal(_several(asked.path), draft, _command(source, keys, jq, f"SELECT {sql}"))


def _segments(view: View, source: str) -> Proposal | None:
    """Parts of a text, of which those with a label of true are learnt (axolotl)."""
    for name, first in _lists_of_objects(view).items():
        if isinstance(first.get("label"), bool) and isinstance(first.get("text"), str):
            prompt, answer = (f"[.{name}[] | select({test}) | .text] | add" for test in (".label | not", ".label"))
            jq = f"{{prompt: ({prompt}), completion: ({answer})}}"
            return Proposal(f"{name!r} holds parts, and which are learnt", None, _command(source, [name], jq, ""))
    return None


def _several(name: str) -> str:
    return f"{name!r} holds several questions a row; the line below reads the first of them alone"


def _lists_of_objects(view: View) -> dict[str, Mapping[str, Any]]:
    """Columns of lists of objects, with the first object of each."""
    found = {}
    for name, values in view.columns.items():
        items = [item for value in values if isinstance(value, list) for item in value]
        if items and all(isinstance(item, Mapping) for item in items):
            found[name] = items[0]
    return found


def _list_named(view: View, names: Sequence[str]) -> _Inside | None:
    """A column of lists by its name: of texts, of objects or lists with a text, or an object of such lists."""
    name = next((view.actual[plain] for plain in names if plain in view.actual), None)
    if name is None:
        return None
    first = next((value for value in view.columns[name] if value), None)
    paths = [name]
    if isinstance(first, Mapping):
        paths = [f"{name}.{key}" for key in _INSIDE if isinstance(first.get(key), list)]
    for path in paths:
        items = [item for row in _values(view, name, path) if isinstance(row, list) for item in row]
        if items and all(isinstance(item, str) for item in items):
            return _Inside(name, path, "")
        if items and all(isinstance(item, list) and all(isinstance(text, str) for text in item) for item in items):
            return _Inside(name, path, "[0]")
        if items and all(isinstance(item, Mapping) for item in items):
            key = next((key for key in _INSIDE if isinstance(items[0].get(key), str)), None)
            return _Inside(name, path, f".{key}") if key else None
    return None


def _are_pairs(view: View, one: _Inside, other: _Inside) -> bool:
    """Whether two columns have lists of the same lengths, some of them longer than one."""
    lengths = [[len(value or ()) for value in _values(view, inside.column, inside.path)] for inside in (one, other)]
    return lengths[0] == lengths[1] and max(lengths[0], default=0) > 1


def _values(view: View, column: str, path: str) -> Iterator[Any]:
    return (pick({column: value}, path) for value in view.columns[column])


def _label_studio(view: View, source: str) -> Proposal | None:
    """The JSON export of Label Studio: `data`, and `annotations` with `result` in each."""
    name = view.actual.get("annotations")
    rows = view.columns.get(name or "", ())
    found = [one for row in rows if isinstance(row, list) for one in row if isinstance(one, Mapping)]
    results = [item for one in found for item in one.get("result") or () if isinstance(item, Mapping)]
    kinds = {str(item.get("type")) for item in results}
    flat = flattened(view)
    texts = longest(flat, [path for path in content(flat) if path.startswith("data.")])
    if not results or not texts or not all(isinstance(item.get("value"), Mapping) for item in results):
        return None
    if kinds == {"labels"}:
        draft = DatasetSpec("generation", texts[:1], spans_field=f"{name}[0].result")
        return Proposal(f"{name!r} is an export of Label Studio; the first annotation of a row is read", draft, "")
    asked = list(dict.fromkeys(str(item.get("from_name")) for item in results if item.get("type") == "choices"))
    if not asked:
        return None
    path = f"{name}[0].result[0].value.choices"
    several = any(len(item["value"].get("choices") or ()) > 1 for item in results)
    draft = DatasetSpec("classification", texts, label_field=f"{path}[0]")
    if several:
        draft = DatasetSpec("generation", texts, labels_field=path, label_form="names")
    reason = f"{name!r} is an export of Label Studio; the first annotation of a row is read"
    if len(asked) == 1 and kinds == {"choices"}:
        return Proposal(reason, draft, "")
    chosen = f"[.{name}[0].result[] | select(.from_name == {json.dumps(asked[0])}) | .value.choices[0]] | first"
    texts_of = ", ".join(f"{json.dumps(text.rsplit('.', 1)[-1])}: {jq_path(text.split('.'))}" for text in texts)
    jq = f"{{{texts_of}, {json.dumps(asked[0])}: ({chosen})}}"
    reason = f"{reason}, which answers {listed(asked)}"
    return Proposal(reason, None, _command(source, ("data", name or ""), jq, ""))


def _command(source: str, keys: Sequence[str], jq: str, sql: str) -> str:
    """The command that writes an example a line; "" where the rows are in no file that it could read."""
    path = Path(source)
    if not path.is_file() or not all(key.isidentifier() and key.isascii() for key in keys):
        return ""
    made = f"{path.stem.partition('.')[0]}_rows.jsonl"
    if path.suffix == ".parquet" and sql:
        copy = f"COPY ({sql} FROM {str(path)!r}) TO {made!r}"
        return f"python -c {shlex.quote(f'import duckdb; duckdb.sql({json.dumps(copy)})')}"
    if path.suffix not in (".json", ".jsonl", ".ndjson"):
        return ""
    has = " and ".join(f"has({json.dumps(key)})" for key in keys)
    return f"jq -c {shlex.quote(f'.. | objects | select({has}) | {jq}')} {shlex.quote(str(path))} > {shlex.quote(made)}"
