"""All checks on one dataset: `find` takes what was read and gives the findings.

Owns which check looks at which part and at how many rows. One pass over blocks of rows keeps a few numbers a row; what
needs texts of several rows (label noise) sees a random sample, which its `of` says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.findings import boilerplate, numbering, odd, pairs, texts
from traitcast.profiler.findings import labels as label_noise
from traitcast.profiler.findings.checks import ONE_CLASS, UNREAD, Finding, found, ordered
from traitcast.profiler.findings.compared import Compared, flat, prompts_of, words_of_dataset
from traitcast.profiler.passes.table import row_table
from traitcast.profiler.reading.damage import CUT_CHARACTERS, CUT_NEAR, CUT_SHARE, CUT_SPIKE, CUT_TEXTS, ENDED
from traitcast.profiler.reading.tally import plain_label
from traitcast.profiler.roles.chat import EMPTY_TURN
from traitcast.profiler.text.keys import NO_WORDS, Keys, conflicts, exact_key, repeats, signs_keys, words_keys

if TYPE_CHECKING:
    from traitcast.profiler.findings.context import Context
    from traitcast.profiler.leakage import OtherSplits
    from traitcast.profiler.reading.reader import Examples

# Checks of a single text, by part.
_BOTH = {
    "wrong_encoding": texts.wrong_encoding,
    "lost_character": texts.lost_character,
    "secret": texts.secret,
    "personal_data": texts.personal_data,
    "markup": texts.markup,
}
# A linear model of more rows takes seconds and finds the same.
NOISE_ROWS = 10_000
# A model of the others knows nothing of such rows.
_UNLIKE = ("empty_prompt", "glued_rows", "length_outlier", "other_script", "other_language")
# Why such rows are odd is said already.
_SAID = ("wrong_encoding", "lost_character", "glued_rows", "other_script")
# Such rows say the same as another one, and that they contradict it is worse.
_CONTRADICTING = ("conflicting_labels", "turned_pair")
RARE = 5

Block = dict[Any, Any]


def find(examples: Examples, **options: Any) -> list[Finding]:
    """Every finding of a dataset, worst first. options: as of `search`."""
    return search(examples, **options)[0]


def search(
    examples: Examples,
    *,
    others: OtherSplits | None = None,
    against: Mapping[str, Examples] | None = None,
    context: Context | None = None,
    noise: bool = True,
    seed: int = 0,
) -> tuple[list[Finding], dict[str, int]]:
    """Every finding of a dataset, and the languages of its prompts.

    Parameters
    ----------
    examples
        What `profiler.reading.reader.read` gave.
    others
        The prompts of the other splits, as `profiler.leakage.other_splits` reads them.
    against
        Other datasets by name, such as a benchmark: prompts that they share with this one are a finding.
    context
        The tokens that a model takes; None looks for no long rows.
    noise
        Whether to fit the model that contradicts labels, the slowest check (2 s for 10,000 rows).
    seed
        Of the rows sampled for that model, and for near duplicates where not all rows are compared.

    Returns
    -------
    list of Finding
        Worst first.
    dict of str to int
        Rows by language, those in no other one that is recognised first; a script stands for its languages.
    """
    table = row_table(examples.table)
    classes: frozenset[str] = frozenset()
    if examples.spec.task_type == "classification":
        classes = frozenset().union(*table.map_blocks(_classes))
    judged = examples.spec.task_type == "preference"
    language = (examples.spec.language or "en").lower()[:2]
    chosen = examples.spec.task_type in ("classification", "multiple_choice")
    work = partial(_block, classes=classes, language=language, context=context, judged=judged, chosen=chosen)
    rows = _joined(list(table.map_blocks(work)))
    # Copies of a huge cell would stay with Arrow.
    pa.default_memory_pool().release_unused()
    # Arrow holds a million labels in a fifth of the memory of Python.
    rows["label"] = pa.chunked_array(list(table.map_blocks(_labels)), pa.string()).combine_chunks()
    owner = np.repeat(np.arange(table.num_rows), rows["fields"])
    findings: list[Finding | None] = [found(name, part, hits) for (name, part), hits in _marked(rows).items()]
    findings += [
        found("exact_duplicate", "row", repeats(rows["exact"])),
        _conflicting(rows, examples.spec.task_type),
        *(
            odd.lengths(np.where(rows[f"empty_{part}", part], 0, rows[f"{part}_characters"]), part)
            for part in ("prompt", "response")
        ),
        _cut(rows["response_characters"], rows["response_ended"]),
        _strangers(rows["scripts"], owner, table.num_rows),
        _foreign(rows["prompt_language"], owner, table.num_rows, "prompt"),
        _foreign(rows["response_language"], np.arange(table.num_rows), table.num_rows, "response"),
        _rare(rows["label"], examples.spec.task_type),
        boilerplate.finding("shared_opening", rows["opening"]),
        boilerplate.finding("shared_closing", rows["closing"]),
        _long(rows, context),
        *pairs.findings(rows),
        *_chats(examples.chat_faults, rows["empty_prompt", "prompt"]),
        *_dropped(examples),
        _one_class(rows["label"], examples.spec.task_type),
    ]
    explained = _in_any(findings, _SAID, table.num_rows)
    findings += [
        odd.odd({name: rows[f"{part}_{name}"] for name in odd.NUMBERS}, whose, part, explained)
        for part, whose in (("prompt", owner), ("response", np.arange(table.num_rows)))
    ]
    compared = Compared.of(table, rows, judged, seed)
    findings += compared.shortcuts(examples.spec.task_type, examples.spec.text_fields)
    findings.append(compared.duplicates(_in_any(findings, _CONTRADICTING, table.num_rows)))
    if others is not None:
        findings.append(_leaks(others.keys, rows["words"]))
        findings += [compared.leaks(others.words, others.keys, "near_split_leak")]
    for name, other in (against or {}).items():
        keys = other_words(other)
        shared = np.isin(rows["words"], keys) & (rows["words"] != NO_WORDS)
        findings.append(found("contamination", "prompt", shared, detail=name))
        findings.append(compared.leaks({name: words_of_dataset(other, seed)}, {name: keys}, "near_contamination"))
    if noise and examples.spec.task_type == "classification":
        findings.append(_noise(table, rows["words"], _in_any(findings, _UNLIKE, table.num_rows), seed))
    return [_as_read(one, examples) for one in ordered(findings)], _languages(rows, owner, table.num_rows, language)


def _as_read(finding: Finding, examples: Examples) -> Finding:
    """A finding with its rows numbered among all that were read."""
    if finding.check in UNREAD:
        return finding
    return replace(finding, rows=numbering.as_read(finding.rows, examples.dropped))


def other_words(examples: Examples) -> Keys:
    """The prompts of another dataset by the key of their words."""
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *row_table(examples.table).map_blocks(_words)]))


def _words(rows: pa.Table) -> Keys:
    return words_keys([" ".join(prompt) for prompt in prompts_of(rows)])


def _labels(rows: pa.Table) -> pa.Array:
    return rows["label"].combine_chunks()


def _classes(rows: pa.Table) -> frozenset[str]:
    return frozenset(pc.unique(rows["label"].drop_null()).to_pylist())


def _block(
    rows: pa.Table, *, classes: frozenset[str], language: str, context: Context | None, judged: bool, chosen: bool
) -> Block:
    """What the checks need of a block of rows: a value per row under each name. judged: the label is about a response
    that somebody wrote. chosen: it is the answer to the prompt."""
    prompts, responses = prompts_of(rows), rows["response"].to_pylist()
    labels = rows["label"].combine_chunks()
    rejected = rows["rejected"].to_pylist() if "rejected" in rows.column_names else [None] * len(prompts)
    # What tells rows with the same prompt and response apart: the other response, or how this one was judged.
    beside = labels.to_pylist() if judged and labels.null_count < len(labels) else rejected
    labelled = np.zeros(len(prompts), dtype=bool) if judged else labels.is_valid().to_numpy(zero_copy_only=False)
    asked = ["\n".join(prompt) for prompt in prompts]
    prompt = pa.array(asked, pa.string())
    # Class names and options are not written for a row: only free responses are looked at as texts.
    written = pc.if_else(pa.array(labelled), pa.scalar(None, pa.string()), rows["response"].combine_chunks())
    # A text in another language is one field: the others of its row are no part of it.
    field = flat(rows["fields"])
    parts = {"prompt": prompt, "response": written}
    hits = {(name, part): check(column) for part, column in parts.items() for name, check in _BOTH.items()}
    pair: Block = {}
    if "rejected" in rows.column_names:
        worse = rows["rejected"].combine_chunks()
        hits |= {(name, "response"): hits[name, "response"] | check(worse) for name, check in _BOTH.items()}
        pair = pairs.marks(prompts, [r or "" for r in responses], [r or "" for r in rejected])
    return {
        **hits,
        **pair,
        ("empty_prompt", "prompt"): texts.blank(prompt),
        ("empty_response", "response"): texts.blank(rows["response"].combine_chunks()),
        ("glued_rows", "prompt"): texts.glued(prompt, classes),
        ("glued_rows", "response"): texts.glued(written),
        ("refusal", "response"): texts.refusal(written),
        "exact": np.array(
            [
                exact_key([*p, *([] if o is None else ["\x1f", o])], r)
                for p, r, o in zip(prompts, responses, beside, strict=True)
            ],
            dtype=np.uint64,
        ),
        "words": words_keys([p[0] if len(p) == 1 else " ".join(p) for p in prompts]),
        **({"asked": _answered(prompts, responses)} if judged else {}),
        **({"asked": signs_keys(asked)} if chosen else {}),
        "prompt_characters": _lengths(prompt),
        "response_characters": _lengths(written),
        "response_ended": texts.marks(pc.match_substring_regex(written, ENDED)),
        "fields": pc.fill_null(pc.list_value_length(rows["fields"]), 0).to_numpy().astype(np.int32),
        "scripts": texts.scripts_of(field),
        "prompt_language": texts.strange_languages(field, language),
        "response_language": texts.strange_languages(written, language),
        "opening": boilerplate.openings(written),
        "closing": boilerplate.closings(written),
        **{f"prompt_{name}": values for name, values in odd.percents(field).items()},
        **{f"response_{name}": values for name, values in odd.percents(written).items()},
        **({"tokens": _tokens(prompt, responses, rejected, context)} if context else {}),
    }


def _answered(prompts: list[list[str]], responses: list[str | None]) -> Keys:
    return words_keys([" ".join([*p, r or ""]) for p, r in zip(prompts, responses, strict=True)])


def _tokens(
    prompts: pa.Array, responses: list[str | None], rejected: list[str | None], context: Context
) -> npt.NDArray[np.int64]:
    """Tokens of each prompt with the longer of its responses."""
    longer = [max(r or "", o or "", key=len) for r, o in zip(responses, rejected, strict=True)]
    return context.tokens([f"{p}\n{r}" for p, r in zip(prompts.to_pylist(), longer, strict=True)])


def _lengths(column: pa.Array) -> npt.NDArray[np.int32]:
    """Characters, -1 for a null."""
    return np.asarray(pc.fill_null(pc.utf8_length(column), -1).to_numpy(zero_copy_only=False), dtype=np.int32)


def _joined(blocks: Sequence[Block]) -> Block:
    """Blocks as one; each name leaves them as it is joined, so that nothing is there twice."""
    return {name: np.concatenate([block.pop(name) for block in blocks]) for name in list(blocks[0])}


def _marked(rows: Block) -> dict[tuple[str, str], npt.NDArray[np.bool_]]:
    return {name: values for name, values in rows.items() if isinstance(name, tuple)}


def _conflicting(rows: Block, task_type: str) -> Finding | None:
    """Equal prompts, options included, with different labels; free responses may differ."""
    if task_type not in ("classification", "multiple_choice", "preference"):
        return None
    codes, names = _codes(rows["label"])
    # Another spelling is no other answer: reading warns of it.
    first: dict[str, int] = {}
    alike = np.array([first.setdefault(plain_label(name), at) for at, name in enumerate(names)], dtype=np.int64)
    codes = np.where(codes < 0, codes, alike[codes]) if len(names) else codes
    # What is judged is the response to a prompt. Signs may be all that tells two prompts apart.
    judged = task_type == "preference"
    keys = rows["asked"] if judged else np.where(rows["words"] == NO_WORDS, NO_WORDS, rows["asked"])
    return found("conflicting_labels", "label", conflicts(keys, codes))


def _cut(characters: npt.NDArray[np.int32], ended: npt.NDArray[np.bool_]) -> Finding | None:
    there = int((characters > 0).sum())
    longest = int(characters.max(initial=0))
    if longest < CUT_CHARACTERS:
        return None
    at_limit = characters == longest
    near = int(((characters < longest) & (characters >= longest - CUT_NEAR)).sum())
    hits = at_limit & ~ended
    if at_limit.sum() < max(CUT_TEXTS, CUT_SHARE * there, CUT_SPIKE * near / CUT_NEAR):
        return None
    if hits.sum() < at_limit.sum() / 2:
        return None
    return found("cut_response", "response", hits, of=there, detail=f"{longest:,} characters")


def _strangers(scripts: npt.NDArray[np.int8], owner: npt.NDArray[np.int64], rows: int) -> Finding | None:
    """owner: int64 (fields,), the row of each field."""
    strange, usual = texts.strangers(scripts)
    return found("other_script", "prompt", _of_rows(strange, owner, rows), detail=f"most are {usual}")


def _foreign(languages: npt.NDArray[np.int8], owner: npt.NDArray[np.int64], rows: int, part: str) -> Finding | None:
    strange = languages >= 0
    if strange.sum() > (1 - texts.USUAL) * len(languages):
        return None
    counts = Counter(languages[strange].tolist()).most_common()
    detail = ", ".join(f"{texts.CODES[code]} {n:,}" for code, n in counts)
    return found("other_language", part, _of_rows(strange, owner, rows), detail=detail)


def _languages(rows: Block, owner: npt.NDArray[np.int64], count: int, own: str) -> dict[str, int]:
    """Rows by the language of their prompt. owner: the row of each field; own: the language of the dataset."""
    scripts, languages = rows["scripts"], rows["prompt_language"]
    known = np.bincount(scripts[scripts >= 0], minlength=len(texts.SCRIPTS))
    usual = int(known.argmax())
    names = [*texts.SCRIPTS, *texts.CODES]
    strange = np.where((scripts >= 0) & (scripts != usual), scripts, -1).astype(np.int64)
    strange = np.where(languages >= 0, languages.astype(np.int64) + len(texts.SCRIPTS), strange)
    of_row = np.full(count, -1, dtype=np.int64)
    of_row[owner[strange >= 0]] = strange[strange >= 0]
    counts = Counter(of_row[of_row >= 0].tolist()).most_common()
    return {own: int((of_row < 0).sum()), **{names[code]: n for code, n in counts if names[code] != own}}


def _of_rows(marked: npt.NDArray[np.bool_], owner: npt.NDArray[np.int64], rows: int) -> npt.NDArray[np.bool_]:
    hits = np.zeros(rows, dtype=bool)
    hits[owner[marked]] = True
    return hits


def _codes(labels: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """int64 (rows,), the place of each label among the names, -1 for none; and the names."""
    found = labels.dictionary_encode()
    codes = pc.fill_null(found.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, np.array(found.dictionary.to_pylist(), dtype=object)


def _rare(labels: pa.Array, task_type: str) -> Finding | None:
    if task_type != "classification":
        return None
    given, found_names = _codes(labels)
    order = np.argsort(found_names, kind="stable")
    names, counts = found_names[order], np.bincount(given[given >= 0], minlength=len(order))[order]
    codes = np.argsort(order)[given]
    rare = counts < RARE
    # In a handful of rows every class is rare.
    if not rare.any() or len(labels) < 10 * RARE:
        return None
    few = ", ".join(f"{str(name)!r} {n}" for name, n in list(zip(names[rare], counts[rare], strict=True))[:3])
    more = f" and {rare.sum() - 3} more" if rare.sum() > 3 else ""
    return found("rare_class", "label", rare[codes] & (given >= 0), filling={"limit": RARE}, detail=few + more)


def _chats(faults: Mapping[str, Sequence[int]], empty: npt.NDArray[np.bool_]) -> Iterator[Finding | None]:
    """empty: whether the prompt of each row is, which says more than that its only turn is."""
    for fault, numbers in faults.items():
        hits = np.zeros(len(empty), dtype=bool)
        hits[np.array(numbers, dtype=np.int64) - 1] = True
        yield found(fault, "row", hits & ~empty if fault == EMPTY_TURN else hits)


def _dropped(examples: Examples) -> Iterator[Finding]:
    """Rows that were left out in reading."""
    of = examples.rows + sum(map(len, examples.dropped.values()))
    for check, rows in examples.dropped.items():
        yield Finding(check, "row", np.array(rows, dtype=np.int64), of)


def _one_class(labels: pa.Array, task_type: str) -> Finding | None:
    names = labels.drop_null().unique().to_pylist()
    if task_type == "generation" or len(names) != 1 or len(labels) < 2:
        return None
    shown = f"option {int(names[0]) + 1}" if task_type == "multiple_choice" else repr(names[0])
    return found(ONE_CLASS, "label", labels.is_valid().to_numpy(zero_copy_only=False), detail=shown)


def _long(rows: Block, context: Context | None) -> Finding | None:
    if context is None:
        return None
    longest = f"the longest has {rows['tokens'].max(initial=0):,}, {context.how}"
    return found(
        "over_context", "row", rows["tokens"] > context.limit, filling={"limit": f"{context.limit:,}"}, detail=longest
    )


def _leaks(others: Mapping[str, Keys], words: Keys) -> Finding | None:
    hits = np.zeros(len(words), dtype=bool)
    told = []
    for split, other in others.items():
        shared = np.isin(words, other) & (words != NO_WORDS)
        if shared.any():
            told.append(f"{int(np.isin(other, words[shared]).sum()):,} of {len(other):,} in {split!r}")
        hits |= shared
    return found("split_leak", "prompt", hits, detail="; ".join(told))


def _in_any(findings: Sequence[Finding | None], checks: Sequence[str], rows: int) -> npt.NDArray[np.bool_]:
    """Whether each row is in a finding of one of some checks."""
    hits = np.zeros(rows, dtype=bool)
    for finding in findings:
        if finding is not None and finding.check in checks:
            hits[finding.rows - 1] = True
    return hits


def _noise(table: Any, words: Keys, unlike: npt.NDArray[np.bool_], seed: int) -> Finding | None:
    order = np.random.default_rng(seed).permutation(table.num_rows)[:NOISE_ROWS]
    order.sort()
    rows = table.take(order)
    given = rows["label"].to_pylist()
    usable = [at for at, label in enumerate(given) if label is not None and not unlike[order[at]]]
    prompts = prompts_of(rows)
    chosen, _ = label_noise.contradicted(
        ["\n".join(prompts[at]) for at in usable], [given[at] for at in usable], groups=words[order][usable], seed=seed
    )
    hits = np.zeros(table.num_rows, dtype=bool)
    hits[order[np.array(usable, dtype=np.int64)[chosen]]] = True
    return found("label_noise", "label", hits, of=len(usable))
