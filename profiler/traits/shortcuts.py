"""How well the label can be predicted without understanding the prompt.

Owns the shortcuts of annotation artefacts (Gururangan et al. 2018; Gardner et al. 2021): length, first word, one word,
word overlap of the fields, the longest option. All are corrected for chance, since with many classes and words
something always fits. What is needed of a row besides its words is read where the row is counted (`LabelledRows`), so
that no text is sent for it. Datasets without labels have none of these traits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.text.estimates import Estimate, Floats, Ints, exact, ratio, undefined
from traitcast.profiler.text.kept_words import KeptWords
from traitcast.profiler.text.scan import Hashes, mix

# With fewer rows chance cannot be told from a shortcut.
MIN_COUNT = 20
BINS = 10
SHUFFLES = 10
# Words by classes that are counted at a time: 8 MB.
TABLE_CELLS = 1 << 20
TRAITS = (
    "length_information",
    "first_word_information",
    "overlap_information",
    "word_association",
    "word_rule_gain",
    "longest_option_gain",
    "overlapping_option_gain",
)


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """What some rows have besides their words.

    Parameters
    ----------
    labels : string array (rows,)
        Null where a row has none.
    fields, options : int64 (rows,)
        How many text fields and options each row has.
    characters : float64 (options of all rows,)
        Characters of each option, row after row.
    """

    labels: pa.Array
    fields: Ints
    options: Ints
    characters: Floats

    @classmethod
    def of(cls, table: pa.Table, keep: Ints) -> LabelledRows:
        """Of those rows of a table, as `Examples.table`, whose ascending numbers are in `keep`."""
        fields, options = (_list_lengths(table.column(name)) for name in ("fields", "options"))
        kept = np.zeros(table.num_rows, dtype=bool)
        kept[keep] = True
        lengths = (pc.utf8_length(chunk.flatten()) for chunk in table.column("options").chunks)
        characters = [np.zeros(0), *(found.to_numpy(zero_copy_only=False) for found in lengths)]
        labels = _strings(table.column("label").take(pa.array(keep)).chunks)
        return cls(labels, fields[keep], options[keep], np.concatenate(characters)[np.repeat(kept, options)])

    @classmethod
    def concatenate(cls, blocks: Sequence[LabelledRows]) -> LabelledRows:
        """Of consecutive blocks of rows, as of one."""
        none = np.zeros(0, dtype=np.int64)
        return cls(
            _strings([block.labels for block in blocks]),
            np.concatenate([none, *(block.fields for block in blocks)]),
            np.concatenate([none, *(block.options for block in blocks)]),
            np.concatenate([np.zeros(0), *(block.characters for block in blocks)]),
        )


def _strings(chunks: Sequence[pa.Array]) -> pa.Array:
    return pa.concat_arrays([pa.array([], pa.string()), *chunks])


def traits(kept: KeptWords, rows: LabelledRows, *, seed: int) -> dict[str, Estimate]:
    """Shortcut traits.

    Parameters
    ----------
    kept
        Words of the prompts of some rows.
    rows
        What else these rows have.
    seed
        For the shuffles, and for the halves on which rules are made and tested.

    Returns
    -------
    dict of str to Estimate
        By trait name without its part.
    """
    found = {name: undefined() for name in TRAITS}
    labelled = rows.labels.is_valid().to_numpy(zero_copy_only=False)
    n = int(labelled.sum())
    if n < 2:
        return found
    names, labels = np.unique(rows.labels.drop_null().to_numpy(zero_copy_only=False), return_inverse=True)
    read = _LabelledWords(kept, labelled, rows.fields)
    rng = np.random.default_rng(seed)
    if len(names) > 1:
        lengths = np.bincount(read.row, minlength=n).astype(np.float64)
        found["length_information"] = information(_binned(lengths), labels, rng)
        found["first_word_information"] = information(read.first_words(), labels, rng)
        found["overlap_information"] = information(_binned(read.field_overlap()), labels, rng)
        found |= _word_traits(read, labels, rng)
    options = rows.options[labelled]
    if options.any():
        position = np.array([int(name) if name.isdecimal() else -1 for name in names])[labels]
        inside = np.repeat(labelled, rows.options)
        found["longest_option_gain"] = pick_gain(rows.characters[inside], options, position)
        found["overlapping_option_gain"] = pick_gain(read.option_overlap(options), options, position)
    return found


class _LabelledWords:
    """The words of the rows with a label, renumbered from 0."""

    def __init__(self, kept: KeptWords, labelled: np.ndarray, fields: Ints) -> None:
        inside = labelled[kept.row]
        self.row: Ints = (np.cumsum(labelled) - 1)[kept.row[inside]]
        self.words: Hashes = kept.words[inside]
        self.segment: Ints = kept.segment[inside]
        self.fields: Ints = fields[labelled]

    def first_words(self) -> Ints:
        """A number per row for its first word: -1 for every rare first word, -2 for rows without words."""
        opens = np.diff(self.row, prepend=-1) > 0
        _, number, counts = np.unique(self.words[opens], return_inverse=True, return_counts=True)
        result = np.full(len(self.fields), -2, dtype=np.int64)
        result[self.row[opens]] = np.where(counts[number] >= MIN_COUNT, number, -1)
        return result

    def field_overlap(self) -> Floats:
        """Share of the words of a row's last text field that occur in its other ones, NaN where there are none."""
        last = self.segment == self.fields[self.row] - 1
        others = self.segment < self.fields[self.row] - 1
        n = len(self.fields)
        shared = np.isin(self.keys(last), self.keys(others))
        held = np.bincount(self.row[last], minlength=n) * (np.bincount(self.row[others], minlength=n) > 0)
        return ratio(np.bincount(self.row[last][shared], minlength=n), held)

    def option_overlap(self, options: Ints) -> Floats:
        """Share of the words of each option that occur in the text fields of its row, 0 for one without words."""
        of_option = self.segment >= self.fields[self.row]
        shared = np.isin(self.keys(of_option), self.keys(~of_option))
        starts = np.concatenate([[0], np.cumsum(options)])
        entry = starts[self.row[of_option]] + self.segment[of_option] - self.fields[self.row[of_option]]
        total = int(starts[-1])
        return np.nan_to_num(ratio(np.bincount(entry[shared], minlength=total), np.bincount(entry, minlength=total)))

    def keys(self, chosen: np.ndarray) -> Hashes:
        return self.words[chosen] ^ mix(self.row[chosen].astype(np.uint64) + np.uint64(1))


def information(groups: Ints | None, labels: Ints, rng: np.random.Generator) -> Estimate:
    """Share of the label entropy that groups of rows explain, adjusted for chance: (I - E) / (H - E), not below 0.

    I is the mutual information of group and label, H the entropy of the label, E the mean of I over SHUFFLES shuffles
    of the labels (Vinh, Epps and Bailey 2010, where E is exact).

    Parameters
    ----------
    groups : int64 (rows,) or None
        None where undefined.
    labels : int64 (rows,)
        From 0 on.
    rng
        Shuffles the labels.
    """
    if groups is None:
        return undefined()
    n = len(labels)
    group = np.unique(groups, return_inverse=True)[1]
    classes = int(labels.max()) + 1
    entropy = _entropy(np.bincount(labels))
    own = _entropy(np.bincount(group))

    def shared(shuffled: Ints) -> float:
        return own + entropy - _entropy(np.unique(group * classes + shuffled, return_counts=True)[1])

    expected = float(np.mean([shared(rng.permutation(labels)) for _ in range(SHUFFLES)]))
    if entropy - expected < 1e-9:
        return undefined(n)
    return exact(min(1.0, max(0.0, (shared(labels) - expected) / (entropy - expected))), n)


def _entropy(counts: Ints) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _binned(values: Floats) -> Ints | None:
    """Numbers of up to BINS groups of about equal size; rows without a value form another."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    edges = np.unique(np.quantile(defined, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.where(np.isfinite(values), np.searchsorted(edges, np.nan_to_num(values), side="right"), -1)


def _word_traits(read: _LabelledWords, labels: Ints, rng: np.random.Generator) -> dict[str, Estimate]:
    """The strongest association of a word with a class, and the gain of the best rule on one word in other rows."""
    n, classes = len(labels), int(labels.max()) + 1
    first = np.unique(read.keys(np.ones(len(read.words), dtype=bool)), return_index=True)[1]
    row, words = read.row[first], read.words[first]
    _, number, rows_of = np.unique(words, return_inverse=True, return_counts=True)
    common = rows_of >= MIN_COUNT
    inside = common[number]
    row, word = row[inside], (np.cumsum(common) - 1)[number[inside]]
    joint, counts = np.unique(word * classes + labels[row], return_counts=True)
    enough = counts >= MIN_COUNT
    found = {"word_association": undefined(n), "word_rule_gain": undefined(n)}
    if enough.any():
        p_word, p_class = rows_of[common] / n, np.bincount(labels) / n
        p = counts[enough] / n
        at = joint[enough]
        certain = p >= 1
        ties = np.log(p / (p_word[at // classes] * p_class[at % classes])) / -np.log(np.where(certain, 0.5, p))
        found["word_association"] = exact(float(np.clip(ties[~certain].max(initial=-1), -1, 1)), n)
    if common.any():
        half = rng.permutation(n) < n // 2
        made = [_best_rule(word, labels[row], half[row] == side, labels[half == side]) for side in (True, False)]
        gains = [_gain(rule, word, row, labels, half != side) for rule, side in zip(made, (True, False), strict=True)]
        found["word_rule_gain"] = exact(float(np.mean(gains)), n)
    return found


def _best_rule(word: Ints, label: Ints, inside: np.ndarray, labels: Ints) -> tuple[int, int, int, int]:
    """(word, class where it occurs, class where it does not, majority class) that fit these rows best."""
    classes = int(max(label.max(), labels.max())) + 1
    totals = np.bincount(labels, minlength=classes)
    best, rule = -1, (0, 0, 0)
    words = int(word.max()) + 1
    block = max(1, TABLE_CELLS // classes)
    word, label = word[inside], label[inside]
    for start in range(0, words, block):
        chosen = (word >= start) & (word < start + block)
        size = min(block, words - start)
        table = np.bincount((word[chosen] - start) * classes + label[chosen], minlength=size * classes)
        table = table.reshape(size, classes)
        right = table.max(axis=1) + (totals - table).max(axis=1)
        top = int(right.argmax())
        if right[top] > best:
            best, rule = int(right[top]), (start + top, int(table[top].argmax()), int((totals - table[top]).argmax()))
    return *rule, int(totals.argmax())


def _gain(rule: tuple[int, int, int, int], word: Ints, row: Ints, labels: Ints, tested: np.ndarray) -> float:
    """Accuracy of a rule over that of the majority class, on the tested rows."""
    chosen, present, absent, majority = rule
    has = np.zeros(len(labels), dtype=bool)
    has[row[word == chosen]] = True
    guessed = np.where(has, present, absent)[tested]
    return float((guessed == labels[tested]).mean() - (majority == labels[tested]).mean())


def pick_gain(scores: Floats, options: Ints, position: Ints) -> Estimate:
    """How often the option of the highest score is the right one, beyond chance; ties share the pick.

    Parameters
    ----------
    scores : float64 (options of all rows,)
        Row after row.
    options : int64 (rows,)
        Options of each row.
    position : int64 (rows,)
        The right one of each row, from 0; below 0 where it is not known.
    """
    starts = np.concatenate([[0], np.cumsum(options)])[:-1]
    usable = np.flatnonzero((options > 1) & (position >= 0) & (position < options))
    if not len(usable):
        return undefined()
    top = np.maximum.reduceat(scores, starts[options > 0])
    best = np.zeros(len(scores), dtype=bool)
    best[:] = scores == np.repeat(top, options[options > 0])
    ties = np.add.reduceat(best.astype(np.int64), starts[options > 0])
    tied = np.zeros(len(options), dtype=np.int64)
    tied[options > 0] = ties
    picked = best[starts[usable] + position[usable]] / tied[usable]
    return exact(float((picked - 1 / options[usable]).mean()), len(usable))


def _list_lengths(column: pa.ChunkedArray) -> Ints:
    return np.asarray(pc.fill_null(pc.list_value_length(column), 0).to_numpy(), dtype=np.int64)
