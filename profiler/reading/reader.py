"""Reading a dataset: `read` takes a file, a folder or a hub id and gives `Examples`.

Owns the order in which roles are found (`--spec`, then dataset.yaml next to the data, then inference), the
check of roles against the columns, and the warnings. Formats, folders, the hub and role inference have their own
modules. It never executes anything a dataset brings along.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.profiler.reading.damage import damage_warnings
from traitcast.profiler.reading.examples import Converter, Examples, Item, build_table
from traitcast.profiler.reading.files import files_of
from traitcast.profiler.reading.formats.text_lines import MAX_COLUMNS
from traitcast.profiler.reading.labels import Labels, with_codes
from traitcast.profiler.reading.language_guess import guess_language
from traitcast.profiler.reading.locate import as_spec, locate
from traitcast.profiler.reading.source import ALL, HELD_OUT, Part, Row, Source, total
from traitcast.profiler.reading.tally import Said, Tally, check_content, content_warnings
from traitcast.profiler.request import Request
from traitcast.profiler.roles.column_names import LATE, plain_name
from traitcast.profiler.roles.columns import label_form, values_at
from traitcast.profiler.roles.compared import verdict_forms
from traitcast.profiler.roles.inference import infer
from traitcast.profiler.roles.multiple_choice import answer_forms
from traitcast.profiler.roles.short_roles import is_complete, parse_roles, stated_columns, with_roles, with_texts
from traitcast.profiler.roles.spec import VERDICT_FORMS, DatasetSpec, dataset_name
from traitcast.profiler.roles.values import cut, is_whole, listed, missing, pick, root, shorten
from traitcast.warehouse.errors import InputError, NoAnswersError, nearest

if TYPE_CHECKING:
    from traitcast.profiler.engine import Engine

# Enough rows to see every column and every form of answer; few enough to read twice.
_SAMPLE_ROWS = 1000
_ROWS_A_REPORT = 4096
# Files that are looked into for how many rows all of them have: each costs a megabyte, or a footer, before the first
# row is read.
_GLANCES = 8


def read(
    dataset: Request | str | Path,
    *,
    on_rows: Callable[[int, int | None], None] | None = None,
    engine: Engine | None = None,
    **options: Any,
) -> Examples:
    """Read one split of a dataset and apply its roles.

    Parameters
    ----------
    dataset
        What to read, as a request, or as a path or hub id with the fields of a `Request` as options.
    on_rows
        Called now and then with the number of rows read, and how many there are by an estimate (None: not known).
    engine
        A cluster whose nodes read the files, and where their rows stay. A hub dataset is read here all the same.

    Returns
    -------
    Examples
        The rows with their roles, how these were found, and what to know before trusting the numbers.

    Raises
    ------
    InputError
        For anything that is not a clean dataset (exit code 2).
    """
    request = dataset if isinstance(dataset, Request) else Request(dataset, **options)
    name = None if request.name is None else dataset_name(request.name)
    stated = parse_roles(request.roles) | ({"language": request.language} if request.language else {})
    found = locate(request)
    chosen = found.choose(request.split)
    parts = found.parts(chosen)
    notes = [*found.notes, *(note for part in parts[:1] for note in part.notes())]
    resolved, role_notes, left_out, unread, watched = _resolve_spec(request.spec, stated, found, parts)
    _check_names(parts, resolved)
    beside = found.splits.get("train", ()) if chosen in (*HELD_OUT, ALL) and not request.stream else ()
    trained = _answers_of(beside, resolved) if beside else None
    table, fingerprint, tally = _converted(parts, resolved, trained, _report(parts, on_rows), engine, watched)
    check_content(tally, resolved, found.origin, table.num_rows, trained)
    if resolved.language is None and (guess := guess_language(table)):
        resolved = replace(resolved, language=guess.code)
        role_notes.append(f"language {guess.code} by {guess.reason}; if that is wrong, say --language en")
    return Examples(
        name=name or (dataset_name(resolved.name) if resolved.name else found.slug),
        spec=resolved,
        split=chosen,
        splits=found.counts({chosen: tally.read}),
        origin=found.origin,
        revision=found.revision,
        table=table,
        fingerprint=fingerprint,
        notes=(*notes, *role_notes),
        warnings=(
            *_left_out_words(left_out, resolved),
            *([f"{listed(unread, 5)} may belong to the prompt, but hold no text, and are not read"] if unread else []),
            *(warning for split in found.splits if chosen in (split, ALL) for warning in found.warnings.get(split, ())),
            *(warning for part in parts for warning in part.warnings()),
            *([_stream_words(request.stream)] if request.stream else []),
            *content_warnings(tally, resolved, table.num_rows, trained),
            *damage_warnings(table, replaced=tally.surrogates == 0),
        ),
        left_out=left_out,
        others={} if chosen == ALL or request.stream else {s: p for s, p in found.splits.items() if s != chosen},
        trained=trained,
        chat_faults=tally.faults,
        dropped=tally.dropped,
    )


def read_beside(training: Examples, split: str) -> Examples:
    """Another split of a dataset, by the roles of its training rows.

    Rows whose label is no class of training (-1, "?", another type, another case) are left out and counted.

    Raises
    ------
    NoAnswersError
        Where no row has an answer, since the column is not there, is empty, or holds one value that stands for none.
    InputError
        For classes that are others than those of training, and for what is not a clean dataset.
    """
    parts, spec = training.others[split], training.spec
    sample = list(islice(_rows(parts, None), _SAMPLE_ROWS))
    if not sample:
        raise NoAnswersError(f"split {split!r} holds no rows", "Leave it out")
    columns = _columns(sample)
    if spec.answer_fields and not any(root(name, columns) for name in spec.answer_fields):
        raise NoAnswersError(f"split {split!r} has no column {spec.response_field!r}", "Add it, or leave the split out")
    _check_columns(spec, spec.columns, columns, parts[0])
    _check_names(parts[:1], spec)
    trained = _classes_in(training.table, spec)
    table, fingerprint, tally = _converted(parts, spec, trained, lambda _: None)
    check_content(tally, spec, f"split {split!r} of {training.origin}", table.num_rows, trained)
    return replace(
        training,
        split=split,
        splits={**training.splits, split: tally.read},
        table=table,
        fingerprint=fingerprint,
        notes=(),
        warnings=tuple(content_warnings(tally, spec, table.num_rows, trained)),
        others={},
        trained=trained,
        chat_faults=tally.faults,
        dropped=tally.dropped,
    )


def _converted(
    parts: Sequence[Part],
    spec: DatasetSpec,
    trained: frozenset[str] | None,
    on_rows: Callable[[int], None],
    engine: Engine | None = None,
    watched: frozenset[str] = frozenset(),
) -> tuple[Any, str, Tally]:
    """(rows, fingerprint, tally) of some parts by known roles."""
    if engine is not None and (files := files_of(parts)):
        return engine.read(files, spec, on_rows, trained, watched)
    converter = Converter(spec, trained, watched)
    table, fingerprint = build_table(items(parts, converter, on_rows), spec, converter.tally)
    return table, fingerprint, converter.tally


def _answers_of(parts: Sequence[Part], spec: DatasetSpec) -> frozenset[str] | None:
    """What `Converter` takes as `trained` of training rows that were not read; None where they have other roles."""
    if spec.task_type != "classification":
        return frozenset()
    try:
        return frozenset(spec.label_names) or classes(parts, spec)
    except InputError:
        return None


def _classes_in(table: Any, spec: DatasetSpec) -> frozenset[str]:
    """The same of training rows that were."""
    if spec.task_type != "classification":
        return frozenset()
    return frozenset(spec.label_names or table["label"].drop_null().unique().to_pylist())


def prompt_columns(parts: Sequence[Part], spec: DatasetSpec) -> frozenset[str]:
    """The columns that the prompts of a split are made of by known roles. Raises InputError when it lacks one."""
    # Chats and dialogues of a pair hold the prompt too.
    wanted = frozenset(name for name in spec.columns if spec.has_pairs or name not in spec.answer_fields)
    sample = list(islice(_rows(parts, None), _SAMPLE_ROWS))
    if sample:
        _check_columns(spec, wanted, _columns(sample), parts[0])
    return wanted


def prompts(
    parts: Sequence[Part], spec: DatasetSpec, columns: frozenset[str]
) -> Iterator[tuple[list[str], list[str] | None]]:
    """(fields, options) of each row of some parts; answers are not read. columns: from `prompt_columns`.

    Raises InputError for what is not a prompt.
    """
    converter = Converter(spec)
    return (converter.prompt(row, where) for where, row in _rows(parts, _with_roots(columns)))


def classes(parts: Sequence[Part], spec: DatasetSpec) -> frozenset[str]:
    """The classes of a split of a classification by known roles. Raises InputError for what is not a label."""
    assert spec.label_field is not None
    labels, columns = Labels(spec), _with_roots([spec.label_field])
    names = (labels.name(pick(row, spec.label_field), where) for where, row in _rows(parts, columns))
    return frozenset(name for name in names if name is not None)


def _left_out_words(columns: Sequence[str], spec: DatasetSpec) -> Iterator[str]:
    if columns:
        yield Said(
            f"the texts in {listed(columns, 5)} are not part of the prompt; if they belong to it, pass --roles "
            f"{with_texts(spec, columns)}"
        )


def _stream_words(rows: int) -> Said:
    return Said(f"counts, duplicates and rare classes are those of the {rows:,} rows drawn, not of the whole dataset")


def _resolve_spec(
    spec: str | Path | DatasetSpec | None, stated: Mapping[str, Any], source: Source, parts: Sequence[Part]
) -> tuple[DatasetSpec, list[str], tuple[str, ...], tuple[str, ...], frozenset[str]]:
    """(spec, notes, texts that were left out, prompts that are no text, columns of a prompt that the first rows leave
    empty), stated roles checked and others inferred."""
    sample = list(islice(_rows(parts, None), _SAMPLE_ROWS))
    if not sample:
        raise InputError(f"{parts[0].name} holds no rows; expected at least one row of data below any header")
    if spec is None and source.spec_file is not None:
        spec = source.spec_file
    wanted = [*stated_columns(stated), *(as_spec(spec).columns if spec is not None else ())]
    columns = _columns([*sample, *_later(parts, sample, wanted)])
    names = parts[0].label_names()
    if spec is None and not is_complete(stated):
        inference = infer(columns, source=source.origin, label_names=names, stated=stated)
        found, notes = inference.spec, list(inference.notes)
        _check_columns(_writable(found, parts[0]), found.columns, columns, parts[0])
        late = _late(columns, found) if len(sample) == _SAMPLE_ROWS else frozenset()
        return _completed(found, columns, names, notes), notes, inference.left_out, inference.unread, late
    notes = []
    if spec is None:
        found = with_roles(DatasetSpec("generation"), stated)
    else:
        found = as_spec(spec)
        notes += [f"roles stated in {found.stated_in}"] if found.stated_in else []
        found = with_roles(found, stated) if stated else found
    if stated:
        notes.append(
            f"stated on the command line: {', '.join(f'{key} {cut(_shown(value))}' for key, value in stated.items())}"
        )
    _check_columns(_writable(found, parts[0]), found.columns, columns, parts[0])
    return _completed(found, columns, names, notes), notes, (), (), frozenset()


def _later(
    parts: Sequence[Part], sample: Sequence[tuple[str, Row]], wanted: Collection[str]
) -> Iterator[tuple[str, Row]]:
    """The first rows that have the columns which a user names and the first rows lack: JSON may leave out keys."""
    lacking = {name for name in wanted if all(root(name, row) is None for _, row in sample)}
    for where, row in islice(_rows(parts, None), len(sample), None) if lacking and len(sample) == _SAMPLE_ROWS else ():
        if found := {name for name in lacking if root(name, row) is not None}:
            yield where, row
            lacking -= found
            if not lacking:
                return


def _late(columns: Mapping[str, Sequence[Any]], spec: DatasetSpec) -> frozenset[str]:
    """Columns without a role that may belong to the prompt, of which the first rows say nothing."""
    seen = {name for name, values in columns.items() if not all(map(missing, values))}
    empty = {name for name in columns if plain_name(name) in LATE}
    return frozenset((empty | LATE) - seen - _with_roots(spec.columns))


def _completed(
    spec: DatasetSpec, columns: dict[str, list[Any]], names: Mapping[str, Sequence[str]], notes: list[str]
) -> DatasetSpec:
    """A stated spec with what only the data show: class names of the schema, and forms. Adds to the notes."""
    field = spec.label_field or spec.labels_field or spec.tags_field
    if field and not spec.label_names and names.get(field):
        spec = replace(spec, label_names=tuple(names[field]))
        notes.append(f"label names of {field!r} come from the schema of the file")
    if field and spec.label_names and not spec.label_codes:
        values = values_at(columns, field)
        spec = with_codes(spec, values, from_schema=spec.label_names == tuple(names.get(field, ())))
        if not spec.label_codes and any(isinstance(value, bool) for value in values):
            places = ", ".join(
                f"{mark} is {name!r}" for mark, name in zip(("false", "true"), spec.label_names, strict=False)
            )
            notes.append(
                f"booleans of {field!r} by their places in label_names: {places}; for another order write "
                "label_names: {'true': NAME, 'false': NAME}"
            )
    if spec.task_type == "multiple_choice" and spec.answer_form is None:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        forms = answer_forms(rows, spec)
        spec = replace(spec, answer_form=forms[0] if forms else "index")
    if spec.is_compared and spec.answer_field and spec.answer_form is None:
        pairs = list(zip(*(values_at(columns, name) for name in spec.options_fields), strict=True))
        forms = verdict_forms(values_at(columns, spec.answer_field), pairs, plain_name(spec.answer_field), "")
        if len(forms) != 1:
            raise InputError(
                f"{spec.answer_field!r} may name the better of {' and '.join(spec.options_fields)} in several ways: "
                f"add answer_form={forms[0] if forms else 'index'} ({', '.join(VERDICT_FORMS)})"
            )
        spec = replace(spec, answer_form=forms[0])
    if spec.label_form is None and (spec.labels_field or spec.tags_field):
        spec = replace(spec, label_form=label_form(spec, columns))
    return spec


def _check_names(parts: Sequence[Part], spec: DatasetSpec) -> None:
    """Refuse files whose schemas give other names to the numbers of the classes than those that are read by."""
    field = spec.label_field or spec.labels_field or spec.tags_field
    first: tuple[str, ...] = ()
    for part in parts if spec.label_names else ():
        names = part.label_names().get(field or "", ())
        first = first or names
        # Other names than those of the schema are what a spec is there for.
        for known in (first, spec.label_names):
            if names != known and any(name in known and known[at : at + 1] != (name,) for at, name in enumerate(names)):
                raise InputError(
                    f"{part.name}: its schema calls the classes of {field!r} {listed(names, 5)}, in this order, but "
                    f"they are read as {listed(known, 5)}, so numbers mean others. Write the names into the rows"
                )


def _shown(value: Any) -> str:
    return " + ".join(value) if isinstance(value, list) else str(value)


def _columns(sample: Sequence[tuple[str, Row]]) -> dict[str, list[Any]]:
    """Values by column; rows of JSON need not have the same keys."""
    columns: dict[str, list[Any]] = {}
    for where, row in sample:
        for column in row:
            columns.setdefault(column, [])
        if len(columns) > MAX_COLUMNS:
            raise InputError(f"{where}: {len(columns):,} columns so far; a text dataset has at most {MAX_COLUMNS:,}")
    if not columns:
        raise InputError(f"{sample[0][0]}: the rows have no columns; expected for example a text and a label")
    for column, values in columns.items():
        values.extend(row.get(column) for _, row in sample)
    return columns


def _writable(spec: DatasetSpec, part: Part) -> DatasetSpec:
    """The spec, refused when JSON has escaped half of a surrogate pair in a column name: no profile can hold that."""
    broken = [name for name in (*spec.columns, *spec.label_names) if not is_whole(name)]
    if broken:
        raise InputError(
            f"{part.name}: {shorten(broken[0])} names a column or class, but holds half of a surrogate pair, which is "
            "encoding damage. Rename it"
        )
    return spec


def _check_columns(spec: DatasetSpec, names: Iterable[str], columns: dict[str, list[Any]], part: Part) -> None:
    for name in names:
        if name not in spec.optional_fields and root(name, columns) is None:
            where = f" ({spec.stated_in})" if spec.stated_in else ""
            raise InputError(
                f"{part.name}: the spec{where} names the field {shorten(name)}, but there is no such column"
                f"{nearest(name[:100], columns)} Columns: {listed(columns)}"
            )


def _rows(parts: Sequence[Part], columns: frozenset[str] | None) -> Iterator[tuple[str, Row]]:
    for part in parts:
        place = f"{part.name}: {part.unit} "
        for number, row in part.rows(columns):
            yield f"{place}{number}", row


def _with_roots(names: Collection[str]) -> frozenset[str]:
    """The columns to read: a path needs its first column; a plain name needs itself."""
    return frozenset(names) | {re.split(r"[.\[]", name, maxsplit=1)[0] for name in names}


def items(parts: Sequence[Part], converter: Converter, on_rows: Callable[[int], None] | None = None) -> Iterator[Item]:
    """The rows of some parts with the roles of a converter applied. on_rows(read) is called now and then."""
    for where, row in _rows(parts, _with_roots(converter.spec.columns) | converter.watched):
        item = converter.convert(row, where)
        if on_rows and converter.tally.read % _ROWS_A_REPORT == 0:
            on_rows(converter.tally.read)
        if item is not None:
            yield item


def _report(parts: Sequence[Part], on_rows: Callable[[int, int | None], None] | None) -> Callable[[int], None]:
    """What passes the number of rows read on to `on_rows`, with how many there are."""
    if on_rows is None:
        return lambda _: None
    of = _estimate(parts)
    return lambda read: on_rows(read, of)


def _estimate(parts: Sequence[Part]) -> int | None:
    """About how many rows there are, None where a glance does not show it; of many files by their sizes."""
    files = files_of(parts)
    if len(files) <= _GLANCES:
        return total([part.estimate() for part in parts])
    some = [files[at * len(files) // _GLANCES] for at in range(_GLANCES)]
    rows = total([file.estimate() for file in some])
    size, seen = (sum(file.path.stat().st_size for file in of) for of in (files, some))
    return None if rows is None else round(rows * size / max(seen, 1))
