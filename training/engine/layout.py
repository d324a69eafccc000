"""Layouts: how rows to be scored become batches of token ids. NumPy only; `scoring` puts them on the device.

A row is one sequence, prompt + option 1 + option 2 + ..., whose options branch off the end of the prompt. Rows of a
group (a dataset) begin with the same tokens (template, instruction): these are laid out once per group, as a prefix
that is read once per model. Owns both kinds of sharing, and the cutting into batches of like length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from traitcast.training.plan.prompts import Encoded

# Segment of a prompt token; options are numbered from 0, and padding has a number of its own.
PROMPT = -1

_FAIR_PART, _ALIKE = 0.25, 0.85

# Sharing a prefix means a mask and a gather of its keys; below this saving it is not worth them.
_LEAST_SAVING = 0.1


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of one forward, (rows, width), padded on the right.

    positions: counted from the start of the whole prompt. segments: PROMPT, the option's number, or padding;
    branching: whether any row has two options of more than one token. group: the prefix of every row.
    where: places in rows*width whose next-token distribution is needed, each once, rising. source: for every answer
    token its place in `where`; tokens: those answer tokens; into: where their log-probabilities go.
    """

    ids: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    branching: bool
    group: np.ndarray
    where: np.ndarray
    source: np.ndarray
    tokens: np.ndarray
    into: np.ndarray


@dataclass(frozen=True, slots=True)
class Layout:
    """All batches of a set of rows.

    prefixes: one token list per group, empty where nothing is shared. starts: offsets of the answers in the flat
    list of answer tokens. answers_per_row: how many answers every row has. tokens: real ones of the rows, shared
    prefixes counted in every row; read: tokens that go through the model, padding left out.
    """

    batches: tuple[Batch, ...]
    prefixes: tuple[list[int], ...]
    starts: np.ndarray
    answers_per_row: tuple[int, ...]
    tokens: int
    read: int
    longest: int

    @property
    def shared(self) -> bool:
        return any(self.prefixes)


def lay_out(rows: Sequence[Encoded], *, pad: int, max_tokens: int, groups: Sequence[int] | None = None) -> Layout:
    """Lay rows out in batches of at most `max_tokens` padded tokens. groups: the group of every row."""
    owner = list(groups) if groups is not None else [0] * len(rows)
    lengths = [_length(row) for row in rows]
    prefixes = _prefixes(rows, owner, sum(lengths))
    sizes = [len(answer) for row in rows for answer in row.answers]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    first_answer = np.concatenate([[0], np.cumsum([len(row.answers) for row in rows])]).astype(np.int64)
    own = [length - len(prefixes[group]) for length, group in zip(lengths, owner, strict=True)]
    # Without prefixes, rows that do not branch need no mask and a quicker attention kernel: keep them apart.
    branches = [any(prefixes) or sum(len(answer) > 1 for answer in row.answers) > 1 for row in rows]
    order = sorted(range(len(rows)), key=lambda i: (branches[i], -own[i], i))
    batches = []
    for chosen in by_budget(order, own, branches, max_tokens):
        offsets = [int(starts[first_answer[i]]) for i in chosen]
        group = [owner[i] for i in chosen]
        batches.append(_batch([rows[i] for i in chosen], offsets, group, prefixes, pad))
    read = sum(own) + sum(map(len, prefixes))
    answers = tuple(len(row.answers) for row in rows)
    return Layout(tuple(batches), prefixes, starts, answers, sum(lengths), read, max(lengths, default=0))


def by_budget(order: Sequence[int], sizes: Sequence[int], kinds: Sequence[bool], budget: int) -> list[list[int]]:
    """Cut an ordering (longest first) into batches of one kind whose padded size stays within the budget.

    A batch that is a fair part of the budget ends early where rows get shorter, since they would be mostly padding.
    """
    batches: list[list[int]] = []
    longest = 0
    for i in order:
        last = batches[-1] if batches else []
        widest = max(longest, sizes[i])
        fits = bool(last) and kinds[last[0]] == kinds[i] and widest * (len(last) + 1) <= budget
        if fits and (longest * len(last) < _FAIR_PART * budget or sizes[i] >= _ALIKE * longest):
            last.append(i)
            longest = widest
        else:
            batches.append([i])
            longest = sizes[i]
    return batches


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """The upper and the lower rows of a batch; answer tokens keep their order, so results can be joined again."""
    width, middle = batch.ids.shape[1], len(batch.ids) // 2
    split = int(np.searchsorted(batch.where, middle * width))
    tokens = int(np.sum(batch.source < split))

    def part(rows: slice, where: slice, answers: slice, first_place: int, first_where: int) -> Batch:
        return Batch(
            batch.ids[rows],
            batch.positions[rows],
            batch.segments[rows],
            batch.branching,
            batch.group[rows],
            batch.where[where] - first_place,
            batch.source[answers] - first_where,
            batch.tokens[answers],
            batch.into[answers],
        )

    upper = part(slice(None, middle), slice(None, split), slice(None, tokens), 0, 0)
    lower = part(slice(middle, None), slice(split, None), slice(tokens, None), middle * width, split)
    return upper, lower


def _length(row: Encoded) -> int:
    """Tokens that a row puts through the model: the last token of an answer is only ever predicted."""
    return len(row.prompt) + sum(len(answer) - 1 for answer in row.answers)


def _prefixes(rows: Sequence[Encoded], owner: Sequence[int], total: int) -> tuple[list[int], ...]:
    """The tokens that all prompts of a group begin with; none anywhere when that would save too little."""
    found: dict[int, list[int]] = {}
    count: dict[int, int] = {}
    for row, group in zip(rows, owner, strict=True):
        count[group] = count.get(group, 0) + 1
        # The last token of a prompt stays with its row: the first token of an answer is read off there.
        prompt = row.prompt[:-1]
        found[group] = _common(found[group], prompt) if group in found else prompt
    saved = sum((count[group] - 1) * len(prefix) for group, prefix in found.items())
    groups = range(max(owner, default=-1) + 1)
    if saved < _LEAST_SAVING * total:
        return tuple([] for _ in groups)
    return tuple(found.get(group, []) if count.get(group, 0) > 1 else [] for group in groups)


def _common(first: list[int], second: list[int]) -> list[int]:
    size = min(len(first), len(second))
    apart = next((i for i in range(size) if first[i] != second[i]), size)
    return first[:apart]


def _batch(
    rows: Sequence[Encoded], offsets: Sequence[int], group: Sequence[int], prefixes: Sequence[list[int]], pad: int
) -> Batch:
    skipped = [len(prefixes[g]) for g in group]
    width = max(_length(row) - skip for row, skip in zip(rows, skipped, strict=True))
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    positions = np.zeros_like(ids)
    segments = np.full(ids.shape, max(len(row.answers) for row in rows), dtype=np.int32)
    where: list[int] = []
    source, tokens, into = [], [], []
    for at, (row, offset, skip) in enumerate(zip(rows, offsets, skipped, strict=True)):
        whole = len(row.prompt)
        size = whole - skip
        ids[at, :size], positions[at, :size], segments[at, :size] = row.prompt[skip:], np.arange(skip, whole), PROMPT
        shared, filled, done = len(where), size, offset
        where.append(at * width + size - 1)
        for option, answer in enumerate(row.answers):
            extra = len(answer) - 1
            place = slice(filled, filled + extra)
            ids[at, place], segments[at, place], positions[at, place] = answer[:-1], option, whole + np.arange(extra)
            source.append(np.r_[shared, len(where) + np.arange(extra)])
            where.extend(range(at * width + filled, at * width + filled + extra))
            tokens.append(np.asarray(answer, dtype=np.int64))
            into.append(np.arange(done, done + len(answer)))
            filled, done = filled + extra, done + len(answer)
    return Batch(
        ids,
        positions,
        segments,
        any(sum(len(answer) > 1 for answer in row.answers) > 1 for row in rows),
        np.asarray(group, dtype=np.int64),
        np.asarray(where, dtype=np.int64),
        np.concatenate(source).astype(np.int64),
        np.concatenate(tokens),
        np.concatenate(into),
    )
