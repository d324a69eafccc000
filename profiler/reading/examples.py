"""Rows with roles applied: from dictionaries and a spec to one Arrow table of examples.

Owns what a prompt, a response, a label and an option are in a row, and the content fingerprint. Rows stream
through in chunks and only Arrow columns are kept. Refuses what has no plain reading: nested text, mixed label
types, labels outside label_names, answers that name no option.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from traitcast.profiler.reading.labels import Labels
from traitcast.profiler.reading.tally import EMPTY_ROW, MISSING_TEXTS, NO_LABEL, TIED_PAIR, UNKNOWN_LABEL, Said, Tally
from traitcast.profiler.roles import annotations as tagging
from traitcast.profiler.roles.chat import is_chat, turns
from traitcast.profiler.roles.compared import TIE, better
from traitcast.profiler.roles.multiple_choice import Answers, options_of
from traitcast.profiler.roles.packed import joined_texts, unpacked
from traitcast.profiler.roles.spec import DatasetSpec
from traitcast.profiler.roles.values import cut, missing, pick, shorten, text
from traitcast.profiler.text.spool import Spool
from traitcast.warehouse.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

    from traitcast.profiler.reading.source import Part

Cells = TypeVar("Cells", bound=tuple[Any, ...])

FINGERPRINT_VERSION = "v1"

_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
# What stands before an answer where a whole dialogue is one text (HH-RLHF).
_ANSWERS = "\n\nAssistant:"
# Rows held as Python objects at a time; larger chunks gain nothing, smaller ones cost Arrow overhead.
_CHUNK = 4096
# Fewer of long texts, which are there as objects, as JSON and as Arrow at once: of 20 KB each 4,096 made 78 MB of JSON.
# A character is 12 bytes of that at most.
_CHUNK_CHARACTERS = 1 << 20


class Item(NamedTuple):
    """One example. response None: missing. label None: the task has none. rejected, margin: of a pair of responses, the
    worse one and by how much it is, as a text."""

    fields: list[str]
    options: list[str] | None
    response: str | None
    label: str | None
    rejected: str | None = None
    margin: str | None = None


@dataclass(frozen=True, slots=True)
class Examples:
    """The rows of one split of one dataset with roles applied.

    Parameters
    ----------
    name
        As asked for, else that of the spec, else one made of the path or hub id.
    splits
        Every split found, and its rows where they are known without reading it.
    origin
        Absolute path or hub id.
    revision
        Commit hash of a hub dataset.
    table
        A table, or rows on a cluster (`profiler.passes.table`). Columns: `fields` list<string> (the text fields in
        order, "" where absent; for chat every turn before the response), `options` list<string> (null unless multiple
        choice), `response` string (null where missing), `label` string (the class; for multiple choice the answer
        position "0", "1", ...; for several labels a row the set of them as one class, see
        `profiler.roles.annotations`; null for other generation).
    fingerprint
        "v1:" and a 128-bit blake2b over roles and rows, in order.
    notes
        How roles were found, a line each.
    warnings
        What to know before trusting the numbers.
    left_out
        Columns of texts that have no role, although they say something.
    others
        The splits that were not read, where reading them is not a download.
    trained
        Of a split beside training rows: the answers that are read at all, see `Converter`.
    chat_faults
        Rows whose conversation has one of `profiler.roles.chat.FAULTS`, by fault, counted from 1.
    dropped
        Rows that were left out, counted from 1 among all rows, by the check that says why.
    """

    name: str
    spec: DatasetSpec
    split: str
    splits: Mapping[str, int | None]
    origin: str
    revision: str | None
    table: pa.Table
    fingerprint: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    others: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)
    trained: frozenset[str] | None = None
    chat_faults: Mapping[str, Sequence[int]] = field(default_factory=dict)
    dropped: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows kept."""
        return int(self.table.num_rows)

    @property
    def doubts(self) -> list[str]:
        """The warnings that no finding repeats."""
        return [warning for warning in self.warnings if not isinstance(warning, Said)]


class Converter:
    """Turns raw rows into items according to one spec. `convert` is the whole interface.

    trained: of a split beside training rows, the classes of those; empty for another task than classification. Rows
    whose answer is no such class, or no option, are then left out and counted. Without it such a row is refused.
    watched: columns without a role whose values are counted, since the rows that roles were found by had none.
    """

    def __init__(
        self, spec: DatasetSpec, trained: frozenset[str] | None = None, watched: frozenset[str] = frozenset()
    ) -> None:
        self.spec = spec
        self.tally = Tally()
        self.trained, self.watched = trained, watched
        self.labels = Labels(spec)
        self.answers = Answers(spec)
        self.names = tagging.Names(spec.response_field, spec.label_names, spec.label_codes)
        self.optional = frozenset(spec.optional_fields)

    def convert(self, row: Mapping[str, Any], where: str) -> Item | None:
        """One item, or None for a row that is dropped and counted. Raises InputError naming `where`."""
        self.tally.read += 1
        if self.watched and (late := self.watched.intersection(row)):
            self.tally.late.update(name for name in late if not missing(row[name]))
        self._faults: frozenset[str] = frozenset()
        item = self._converted(row, where)
        if item is not None:
            self.tally.kept += 1
            for fault in self._faults:
                self.tally.faults.setdefault(fault, array("q")).append(self.tally.kept)
        return item

    def _converted(self, row: Mapping[str, Any], where: str) -> Item | None:
        texts = self.texts(row, where)
        if self.spec.task_type == "preference":
            return self._preferred(row, texts, where)
        if self.spec.messages_field:
            return self._chat(row, texts, where)
        if self.spec.task_type == "classification":
            return self._classified(row, texts, where)
        if self.spec.task_type == "multiple_choice":
            return self._chosen(row, texts, where)
        if self.spec.has_labels:
            return self._annotated(row, texts, where)
        assert self.spec.answer_field is not None
        name = self.spec.answer_field
        return self._generated(texts, text(joined_texts(pick(row, name), name), name, where))

    def prompt(self, row: Mapping[str, Any], where: str) -> tuple[list[str], list[str] | None]:
        """(fields, options) of a row whether or not it has an answer. Raises InputError naming `where`."""
        texts = self.texts(row, where)
        if self.spec.has_pairs:
            return self._pair(row, texts, where, *(self.spec.options_fields or self._names))[0], None
        if self.spec.messages_field:
            name = self.spec.messages_field
            texts += turns(pick(row, name), name, where, whole=self.spec.answer_field is not None).prompt
        if self.spec.task_type == "multiple_choice":
            return texts, options_of(row, self.spec, where)[0]
        return texts, None

    def texts(self, row: Mapping[str, Any], where: str) -> list[str]:
        """The text fields of a row; tokens that have tags are joined by blanks."""
        texts = []
        for position, name in enumerate(self.spec.text_fields):
            cell = pick(row, name)
            if self.spec.tags_field and position == 0:
                cell = " ".join(tagging.tokens_of(cell, name, where))
            value = text(joined_texts(cell, name), name, where) or ""
            if name not in self.optional and not value.strip():
                self.tally.no_text[name] += 1
            if value in MISSING_TEXTS:
                self.tally.nothing[f"{value!r} in {name!r}"] += 1
            texts.append(value)
        return texts

    def _classified(self, row: Mapping[str, Any], texts: list[str], where: str) -> Item | None:
        assert self.spec.label_field is not None
        value = pick(row, self.spec.label_field)
        if self.trained is not None:
            # Types may change: a label of another one is as good as any other that training does not have.
            self.labels.first = None
        try:
            label = self.labels.name(value, where)
        except InputError:
            if self.trained is None:
                raise
            label = str(value)
        if label is None:
            self._drop_unlabelled(texts)
            return None
        if self.trained is not None and label not in self.trained:
            self.tally.strange[cut(label)] += 1
            self.tally.drop(UNKNOWN_LABEL)
            return None
        self.tally.classes[label] += 1
        return Item(texts, None, label, label)

    def _chosen(self, row: Mapping[str, Any], texts: list[str], where: str) -> Item | None:
        assert self.spec.answer_field is not None
        options, keys = options_of(row, self.spec, where)
        answer = pick(row, self.spec.answer_field)
        try:
            position = self.answers.position(answer, options, keys, where)
        except InputError:
            if self.trained is None:
                raise
            self.tally.strange[cut(str(answer))] += 1
            self.tally.drop(UNKNOWN_LABEL)
            return None
        if position is None:
            self._drop_unlabelled(texts)
            return None
        return Item(texts, options, options[position], str(position))

    def _drop_unlabelled(self, texts: Sequence[str]) -> None:
        if any(value.strip() for value in texts):
            self.tally.drop(NO_LABEL)
        else:
            self.tally.drop(EMPTY_ROW)

    def _preferred(self, row: Mapping[str, Any], texts: list[str], where: str) -> Item | None:
        """A row with two responses, or with one and whether it is good."""
        if self.spec.label_field:
            label = self.labels.name(pick(row, self.spec.label_field), where)
            before = self._turns(row, where) if self.spec.answer_field else []
            spoken, response = self._spoken(row, self.spec.answer_field or self.spec.messages_field or "", where)
            fields = texts + before + (spoken if not before else [])
            if label is None or not (response or "").strip():
                self._drop_unlabelled([*fields, response or ""])
                return None
            self.tally.classes[label] += 1
            return Item(fields, None, response, label)
        names = self._names
        if self.spec.is_compared:
            best = better(row, self.spec, where)
            if best is None:
                self._drop_unlabelled(texts or [" ".join(map(str, names))])
                return None
            if best == TIE:
                self.tally.drop(TIED_PAIR)
                return None
            names = (self.spec.options_fields[best], self.spec.options_fields[1 - best])
        fields, chosen, rejected = self._pair(row, texts, where, *names)
        if not (chosen or "").strip() or rejected is None:
            self._drop_unlabelled([*fields, chosen or "", rejected or ""])
            return None
        self.tally.equal_pairs += chosen == rejected
        return Item(fields, None, chosen, None, rejected, self._margin(row, where))

    @property
    def _names(self) -> tuple[str, str]:
        """The fields of the better and the worse response."""
        return self.spec.chosen_field or "", self.spec.rejected_field or ""

    def _pair(
        self, row: Mapping[str, Any], texts: list[str], where: str, better: str, worse: str
    ) -> tuple[list[str], str | None, str | None]:
        """(fields, better response, worse response). Chats may hold the prompt too, and texts the whole dialogue."""
        before, chosen = self._spoken(row, better, where)
        rejected = self._spoken(row, worse, where)[1]
        fields = texts + self._turns(row, where) + before
        if fields or chosen is None or rejected is None:
            return fields, chosen, rejected
        start, mark, answer = chosen.rpartition(_ANSWERS)
        if not mark or not rejected.startswith(start + mark):
            return [], chosen, rejected
        return [start.strip()], answer.strip(), rejected[len(start + mark) :].strip()

    def _turns(self, row: Mapping[str, Any], where: str) -> list[str]:
        """The turns of a prompt that is a chat."""
        name = self.spec.messages_field
        return turns(pick(row, name), name, where, whole=True).prompt if name else []

    def _spoken(self, row: Mapping[str, Any], name: str, where: str) -> tuple[list[str], str | None]:
        """(turns before it, response) of a response that is a text or a chat."""
        value = pick(row, name)
        if not is_chat(unpacked(value)):
            return [], text(value, name, where)
        spoken = turns(value, name, where)
        self.tally.left_out += spoken.left_out
        return spoken.prompt, spoken.response

    def _margin(self, row: Mapping[str, Any], where: str) -> str | None:
        """How much better the chosen response was graded, None where a grade is missing."""
        values = [pick(row, name) for name in self.spec.score_fields]
        if not values or any(missing(value) for value in values):
            return None
        try:
            numbers = [float(value) for value in values]
        except (TypeError, ValueError):
            raise InputError(
                f"{where}: {' and '.join(self.spec.score_fields)} hold {shorten(values)}; expected numbers"
            ) from None
        margin = numbers[0] - sum(numbers[1:])
        return repr(abs(margin) if self.spec.is_compared else margin)

    def _chat(self, row: Mapping[str, Any], texts: list[str], where: str) -> Item | None:
        assert self.spec.messages_field is not None
        name = self.spec.answer_field
        chat = turns(pick(row, self.spec.messages_field), self.spec.messages_field, where, whole=name is not None)
        self._faults = chat.faults
        self.tally.after_answer += chat.after > 0
        self.tally.left_out += chat.left_out
        if name is None:
            self.tally.speakers |= chat.speakers
            self.tally.calls += chat.calls
            return self._generated(texts + chat.prompt, chat.response)
        # The answer has a column of its own, as a chat or as a text.
        answer = pick(row, name)
        if not is_chat(unpacked(answer)):
            return self._generated(texts + chat.prompt, text(answer, name, where))
        spoken = turns(answer, name, where)
        self.tally.left_out += spoken.left_out
        self.tally.calls += spoken.calls
        return self._generated(texts + chat.prompt, spoken.response)

    def _annotated(self, row: Mapping[str, Any], texts: list[str], where: str) -> Item | None:
        """A row with a set of labels, tags or spans."""
        found = self._annotation(row, texts, where)
        if found is None:
            self._drop_unlabelled(texts)
            return None
        response, label = found
        if label is not None:
            self.tally.classes[label] += 1
        return Item(texts, None, response, label)

    def _annotation(self, row: Mapping[str, Any], texts: list[str], where: str) -> tuple[str, str | None] | None:
        spec = self.spec
        if spec.labels_fields:
            cells = {name: pick(row, name) for name in spec.labels_fields}
            if all(missing(cell) for cell in cells.values()):
                return None
            return tagging.response_of_set([n for n, c in cells.items() if tagging.marked(c, n, where)])
        if spec.labels_field:
            marks = spec.label_form == "marks"
            names = tagging.label_set(pick(row, spec.labels_field), self.names, where, marks=marks)
            return None if names is None else tagging.response_of_set(names)
        if spec.spans_field:
            text = texts[0] if texts else ""
            spans = tagging.spans_of(pick(row, spec.spans_field), text, self.names, where)
            self.tally.spans += len(spans or ())
            self.tally.cut_spans += sum(span.cut for span in spans or ())
            return None if spans is None else tagging.response_of_spans(spans)
        tokens = tagging.tokens_of(pick(row, spec.text_fields[0]), spec.text_fields[0], where)
        tags = tagging.tags_of(pick(row, spec.tags_field or ""), len(tokens), self.names, where)
        if tags is None:
            return None
        if spec.label_form == "each":
            self.tally.tagged += bool(tags)
            self.tally.numbered_tags += bool(tags) and not spec.label_names and all(map(str.isdecimal, tags))
            return " ".join(tags), None
        return tagging.response_of_spans(tagging.tagged_spans(tokens, tags))

    def _generated(self, texts: list[str], response: str | None) -> Item | None:
        blank = response is None or not response.strip()
        if blank and not any(value.strip() for value in texts):
            self.tally.drop(EMPTY_ROW)
            return None
        if response in MISSING_TEXTS:
            self.tally.nothing[f"{response!r} in {self.spec.response_field!r}"] += 1
        if response is None:
            self.tally.no_response += 1
        elif blank:
            self.tally.empty_response += 1
        elif response.startswith(("[", "{")) and isinstance(unpacked(response), list):
            self.tally.lists += 1
        return Item(texts, None, response, None)


class Fingerprint:
    """The fingerprint of roles and rows, fed with what `encoded` gives of the rows, in order."""

    def __init__(self, spec: DatasetSpec) -> None:
        self._digest = blake2b(_ENCODE(spec.roles()).encode(), digest_size=16)

    def add(self, content: bytes) -> None:
        """Take the rows that follow."""
        self._digest.update(content)
        self._digest.update(b",")

    def __str__(self) -> str:
        return f"{FINGERPRINT_VERSION}:{self._digest.hexdigest()}"


def table_schema(spec: DatasetSpec | None = None) -> pa.Schema:
    """The columns of `Examples.table`: two more where rows hold pairs of responses."""
    import pyarrow as pa

    text = pa.string()
    plain = [("fields", pa.list_(text)), ("options", pa.list_(text)), ("response", text), ("label", text)]
    pair = [("rejected", text), ("margin", text)] if spec and spec.has_pairs else []
    return pa.schema(plain + pair)


def encoded(
    items: Iterator[Item], tally: Tally, spec: DatasetSpec | None = None
) -> Iterator[tuple[pa.RecordBatch, bytes]]:
    """Items in chunks: as rows of `Examples.table`, and as bytes for their fingerprint, of which those of
    several chunks are joined by commas."""
    schema = table_schema(spec)
    for chunk in _chunks(items):
        columns, batch = _columns(chunk, schema, tally)
        # Cutting the outer brackets makes the stream independent of the chunk size.
        content = _ENCODE(list(zip(*columns, strict=True)))[1:-1].encode()
        del columns
        yield batch, content
        # What was taken is not held while the next chunk is read.
        del batch, content


def build_table(items: Iterator[Item], spec: DatasetSpec, tally: Tally) -> tuple[pa.Table, str]:
    """(table, fingerprint) of a stream of items; memory is that of one chunk, and of a spool."""
    fingerprint = Fingerprint(spec)
    with Spool(table_schema(spec)) as spool:
        for batch, content in encoded(items, tally, spec):
            spool.add(batch)
            fingerprint.add(content)
            del batch, content
        return spool.table(), str(fingerprint)


def prompt_batches(prompts: Iterable[tuple[list[str], list[str] | None]]) -> Iterator[pa.RecordBatch]:
    """The columns `fields` and `options` of what `Converter.prompt` gives, in chunks."""
    import pyarrow as pa

    schema = pa.schema([("fields", pa.list_(pa.string())), ("options", pa.list_(pa.string()))])
    return (_columns(chunk, schema, Tally())[1] for chunk in _chunks(iter(prompts)))


def _chunks(items: Iterator[Cells]) -> Iterator[list[Cells]]:
    chunk: list[Cells] = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += sum(len(cell) if isinstance(cell, str) else sum(map(len, cell)) for cell in item if cell)
        if len(chunk) == _CHUNK or characters >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def _columns(chunk: Sequence[tuple[Any, ...]], schema: pa.Schema, tally: Tally) -> tuple[list[Any], pa.RecordBatch]:
    """Rows by column, as Python values that Arrow can hold and as a batch."""
    import pyarrow as pa

    columns: list[Any] = [list(column) for column in zip(*chunk, strict=True)][: len(schema)]
    try:
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    except UnicodeEncodeError:
        columns = [[_without_surrogates(value, tally) for value in column] for column in columns]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
    return columns, pa.record_batch(arrays, schema=schema)


def _without_surrogates(value: Any, tally: Tally) -> Any:
    """JSON may escape half of a surrogate pair, which no UTF-8 text can hold: it becomes U+FFFD."""
    if isinstance(value, list):
        return [_without_surrogates(item, tally) for item in value]
    if not isinstance(value, str) or value.isascii():
        return value
    clean = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    tally.surrogates += clean != value
    return clean
