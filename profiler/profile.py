"""A dataset in, its profile out.

Owns the tiers (all rows, random sample, entity sample), the seed, and putting the trait families together in the
order of the catalogue. Refuses to return a trait that the catalogue does not hold, or to leave one out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traitcast.profiler import leakage
from traitcast.profiler.language import is_english, language_code, separates_words
from traitcast.profiler.parsing import parser as parse
from traitcast.profiler.parsing import pipelines, segmenters
from traitcast.profiler.passes.all_rows import PartTotals, RowTotals
from traitcast.profiler.passes.sample import sample_blocks
from traitcast.profiler.passes.sample_traits import SampleTotals, prefixed
from traitcast.profiler.passes.table import RowTable, row_table
from traitcast.profiler.request import SAMPLE_ROWS
from traitcast.profiler.roles.spec import DatasetSpec, parts_as_dict
from traitcast.profiler.roles.values import cut
from traitcast.profiler.text import kept_words
from traitcast.profiler.text.documents import SEGMENT_CHARACTERS
from traitcast.profiler.text.estimates import Estimate, exact, undefined
from traitcast.profiler.traits import balance, catalogue, discourse, duplicates, lengths, shortcuts, surface
from traitcast.warehouse.console import count
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import LengthBin, Profile, TraitDefinition, TraitValue

if TYPE_CHECKING:
    from traitcast.profiler.engine import Engine
    from traitcast.profiler.reading.reader import Examples

# Entities cost as much as everything else together, so they are counted on fewer rows.
ENTITY_ROWS = 500
# Of the sample, what is parsed in one to three minutes of a core (10 to 20 seconds a million characters), and the rows
# below which standard errors are too large to be worth the time.
PARSED_CHARACTERS, LEAST_ROWS = 10_000_000, 200
_NEARLY_CONSTANT = 0.95
# Below this share of a split, equal prompts are short ones that anybody writes.
_LEAKING = 0.005
# English prose has 40 % stop words and hardly a letter outside ASCII; code and tables miss only the first.
_FOREIGN_STOP_WORDS, _FOREIGN_NON_ASCII = 0.05, 0.02

Named = dict[str, Estimate]


def profile(
    examples: Examples,
    *,
    rows: int | None = SAMPLE_ROWS,
    entity_rows: int = ENTITY_ROWS,
    seed: int = 0,
    processes: int | None = None,
    spacy_model: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
    others: leakage.OtherSplits | None = None,
) -> Profile:
    """All traits of one dataset.

    rows: how many random rows are parsed (None: all). entity_rows: how many of those the entity recogniser sees.
    processes: None uses the free cores. on_progress(done, total) counts sampled rows.
    engine: a cluster that counts and parses instead of this machine, and holds the rows if it has read them.
    others: what `leakage.other_splits` read, where the caller needs it too.
    The same examples, seed and versions give the same values on any number of processes, and on a cluster.
    Raises UserError when the spaCy model cannot be loaded or rows is below 1.
    """
    if rows is not None and rows < 1:
        raise UserError(f"{rows} rows cannot be profiled: give 1 or more with --rows, or `--rows all`")
    table, language = (engine.row_table if engine else row_table)(examples.table), examples.spec.language
    pipeline = pipelines.choose(spacy_model, language)
    parser = parse.Parser.load(pipeline, language) if pipeline else None
    given = parser.provides if parser is not None else frozenset()
    segmenter = None if separates_words(language) else segmenters.segmenter(language)
    if separates_words(language) or segmenter:
        given |= {catalogue.WORDS}
    totals = table.totals(np.sort(sample_rows(table.num_rows, kept_words.KEPT_ROWS, seed)).astype(np.int64))
    others = others or leakage.other_splits(examples, engine)
    drawn, run = sample_rows(table.num_rows, rows, seed), engine.count_batches if engine else None
    asked = len(drawn)
    if rows is not None and parser is not None:
        drawn = drawn[: _affordable(totals, asked)]
    sampled = SampleTotals.of(
        sample_blocks(
            table, drawn, parser, entity_rows=entity_rows, processes=processes, run=run, on_progress=on_progress
        )
    )
    word_totals = totals
    labels, shortened = balance.by_frequency(totals.labels), len(sampled.shortened)
    found = _measure(totals, labels) | sampled.traits(table.num_rows)
    found |= prefixed("label", shortcuts.traits(totals.kept, totals.labelled, seed=seed))
    if segmenter:
        word_totals, words = _of_words(table, language, drawn, seed)
        found |= {name: words[name] for name in found if catalogue.needs(catalogue.BY_NAME[name]) == catalogue.WORDS}
    found["dataset_split_leak_share"], leaks = others.leaks(totals.normalised)
    leak_warnings = [*_leak_warnings(examples, found, leaks), *_uncompared(examples.split, others.reasons)]
    warnings = [*examples.warnings, *_warnings(found, language, parser, shortened), *leak_warnings]
    if len(drawn) < asked:
        warnings.append(_cut_sample(len(drawn), asked))
    spec = examples.spec
    return Profile(
        name=examples.name,
        fingerprint=examples.fingerprint,
        task_type=spec.task_type,
        rows=table.num_rows,
        traits=_catalogued(found, given, pairs=spec.task_type == "preference"),
        label_counts=labels,
        length_histograms=(*(_histograms(word_totals) if catalogue.WORDS in given else ()), *_turns(totals, spec)),
        sketches=tuple(s for name, part in totals.parts.items() for s in part.sketcher.sketches(name)),
        family=spec.family,
        language=language,
        licence=spec.licence,
        parent=spec.parent,
        changed=spec.changed,
        details={
            "split": examples.split,
            "origin": examples.origin,
            "revision": examples.revision,
            **({"published": spec.published} if spec.published else {}),
            "roles": spec.roles(),
            **({"mixture": parts_as_dict(spec.mixture)} if spec.mixture else {}),
            "spec": str(Path(spec.stated_in).resolve()) if spec.stated_in else None,
            "sample_rows": len(drawn),
            "sample_asked": asked,
            "seed": seed,
            **_method(parser, min(entity_rows, len(drawn))),
            "segmenter": segmenter,
            "texts_cut_short": shortened,
            "other_splits": dict(others.rows),
            "split_leaks": leaks,
            "spread": _spreads(found, given),
            "warnings": warnings,
        },
    )


def _affordable(totals: RowTotals, asked: int) -> int:
    """How many of the rows that were asked for are parsed: texts of `PARSED_CHARACTERS`, but `LEAST_ROWS` at least."""
    characters = sum(int(np.dot(p.characters.values, p.characters.counts)) for p in totals.parts.values())
    return min(asked, max(LEAST_ROWS, int(PARSED_CHARACTERS * totals.rows / max(characters, 1))))


def _cut_sample(parsed: int, asked: int) -> str:
    return (
        f"{parsed:,} of {asked:,} sampled rows are parsed, since the texts are long: more than {PARSED_CHARACTERS:,} "
        "characters take minutes (--rows all parses every row)"
    )


def _of_words(
    table: RowTable, language: str | None, drawn: npt.NDArray[np.integer], seed: int
) -> tuple[RowTotals, Named]:
    """Totals and traits of texts whose words were found by a segmenter: those that rest on words are right."""
    spaced = pa.concat_tables(table.map_blocks(partial(segmenters.spaced, language=language)))
    rows = row_table(spaced)
    totals = rows.totals(np.sort(sample_rows(rows.num_rows, kept_words.KEPT_ROWS, seed)).astype(np.int64))
    found = _measure(totals, balance.by_frequency(totals.labels))
    found |= SampleTotals.of(sample_blocks(rows, drawn, None)).traits(rows.num_rows)
    return totals, found | prefixed("label", shortcuts.traits(totals.kept, totals.labelled, seed=seed))


def _method(parser: parse.Parser | None, entity_rows: int) -> dict[str, Any]:
    """What else the numbers depend on: versions and methods, None where nothing was parsed."""
    return {
        "entity_rows": entity_rows if parser is not None and parser.recognises_entities else 0,
        "catalogue_version": catalogue.VERSION,
        "spacy_model": parser.model if parser is not None else None,
        "sentences": parser.sentences if parser is not None else None,
        "textstat": version("textstat"),
        "sentiment_lexicon": discourse.lexicon_version(),
        "unicode_version": unicodedata.unidata_version,
    }


def _measure(totals: RowTotals, labels: tuple[tuple[str, int], ...]) -> Named:
    """Every trait of all rows that needs no other split and no label beside the words, by full name."""
    total = totals.rows
    found = prefixed("label", balance.label_traits(np.array([n for _, n in labels], dtype=np.int64)))
    found |= prefixed("response", balance.response_traits(totals.response.texts.occurrences()))
    found |= prefixed("response", totals.preferences.traits())
    for name, part in totals.parts.items():
        found |= prefixed(name, _row_traits(part, total))
    found["prompt_duplicate_share"] = surface.duplicate_share(totals.prompt.texts)
    found["prompt_near_duplicate_share"] = duplicates.near_duplicate_share(totals.kept)
    return found | prefixed("dataset", _dataset_traits(totals))


def sample_rows(total: int, rows: int | None, seed: int) -> npt.NDArray[np.integer]:
    """Row numbers drawn without replacement, in random order, so that any prefix is a random sample too."""
    # What `Generator.permutation` gives, in half of its 8 bytes a row. A slice would keep all of it alive.
    order: npt.NDArray[np.integer] = np.arange(total, dtype=np.int32 if total < 1 << 31 else np.int64)
    np.random.default_rng(seed).shuffle(order)
    return order if rows is None else order[:rows].copy()


def _row_traits(part: PartTotals, total: int) -> Named:
    return {
        **lengths.row_traits(part.characters, part.runs, part.lines, part.line_characters),
        "empty_share": exact(part.blank / total, total) if total else undefined(),
        **{name: shares.estimate() for name, shares in part.shares.items()},
        "character_entropy_bits": exact(part.character_entropy, part.documents),
        **{name: part.share_of(n) for name, n in part.matches.items()},
    }


def _dataset_traits(totals: RowTotals) -> Named:
    total = totals.rows
    return {
        "rows": exact(total, total),
        "prompt_fields_mean": exact(totals.prompt.filled / total, total) if total else undefined(),
        "duplicate_pair_share": surface.duplicate_share(totals.pairs),
        **lengths.pair_traits(totals.log_words),
    }


def _catalogued(found: Named, given: frozenset[str], *, pairs: bool) -> tuple[TraitValue, ...]:
    """The traits in the order of the catalogue; those that need more than is given are undefined.

    pairs: without them their traits are left out, so that the profile of any other dataset is the one of before them.
    """
    unknown = found.keys() - catalogue.BY_NAME.keys()
    absent = [d.trait for d in catalogue.CATALOGUE if d.trait not in found and _holds(d, given)]
    if unknown or absent:
        raise AssertionError(f"traits not in the catalogue: {sorted(unknown)}; not computed: {absent}")
    values = []
    for definition in catalogue.CATALOGUE:
        if definition.family == catalogue.PAIRS and not pairs:
            continue
        estimate = found[definition.trait] if _holds(definition, given) else undefined()
        values.append(TraitValue(definition.trait, estimate.value, estimate.standard_error, estimate.n))
    return tuple(values)


def _holds(definition: TraitDefinition, given: frozenset[str]) -> bool:
    """Whether a trait can be measured with what a language and its pipeline give."""
    needed = catalogue.needs(definition)
    return needed is None or needed in given


def _spreads(found: Named, given: frozenset[str]) -> dict[str, float]:
    """Standard deviation over documents of every trait that is a mean over them, to six digits."""
    estimates = {d.trait: found[d.trait] for d in catalogue.CATALOGUE if _holds(d, given)}
    return {name: float(f"{e.spread:.6g}") for name, e in estimates.items() if e.spread is not None}


def _language_warning(language: str | None, parser: parse.Parser | None) -> str:
    """What is left empty for a language other than English, and what would fill a part of it."""
    english = "what rests on English (readability, discourse, relations and clauses, entities, stop words, most forms)"
    if not separates_words(language) and not segmenters.segmenter(language):
        needed = segmenters.PACKAGES.get(language_code(language))
        cure = f"; `pip install {' '.join(needed)}` finds the words" if needed else ""
        english += f" or on words between spaces (lengths in words, lexical diversity, copying, shortcuts{cure})"
    if parser is not None:
        lacking = [w for w in (catalogue.SENTENCES, catalogue.POS, catalogue.TREES) if w not in parser.provides]
        rest = f", and so are {', '.join(lacking)}, which it does not give" if lacking else ""
        return f"language is {language!r}, parsed with {parser.model}: {english} is left empty{rest}"
    name = pipelines.published(language)
    cure = f": python -m spacy download {name}" if name else " (--spacy-model takes one)"
    return (
        f"language is {language!r}: {english} is left empty, and so are tokens, sentences, parts of speech and trees, "
        f"for want of a spaCy pipeline of that language{cure}"
    )


def _warnings(found: Named, language: str | None, parser: parse.Parser | None, shortened: int) -> list[str]:
    warnings = []
    if not is_english(language):
        warnings.append(_language_warning(language, parser))
    if language is None and (foreign := _looks_foreign(found)):
        warnings.append(foreign)
    majority = found["label_majority_share"].value
    if majority is not None and majority > _NEARLY_CONSTANT:
        warnings.append(f"labels are nearly constant: {majority:.1%} of the rows have the same one")
    if shortened:
        warnings.append(
            f"{count(shortened, 'sampled text')} longer than {SEGMENT_CHARACTERS:,} characters: traits of the sample "
            "see only that much of each"
        )
    return warnings


def _leak_warnings(examples: Examples, found: Named, leaks: Mapping[str, float]) -> Iterator[str]:
    """A warning with the splits whose prompts are in this one too."""
    share = found["dataset_split_leak_share"].value
    leaking = [f"{name} {leak:.1%}" for name, leak in leaks.items() if leak >= _LEAKING]
    if not leaking:
        return
    # Prompts that lack a text are alike without being the same.
    what = "scores on those rows are too good"
    if examples.left_out:
        what = f"that says little, since {', '.join(examples.left_out)} is not part of the prompts"
    yield (
        f"{share:.1%} of the rows of the other splits have a prompt that split {examples.split!r} has too "
        f"({', '.join(leaking)}): {what}"
    )


def _uncompared(split: str, reasons: Mapping[str, str]) -> Iterator[str]:
    for name, reason in reasons.items():
        yield f"whether split {split!r} holds prompts of split {name!r} is not known: {cut(reason, 200)}"


def _looks_foreign(found: Named) -> str | None:
    """A warning for prompts that are taken as English and hardly can be."""
    stop, non_ascii = found["prompt_stop_word_share"].value, found["prompt_non_ascii_share"].value
    if stop is None or non_ascii is None or stop >= _FOREIGN_STOP_WORDS or non_ascii <= _FOREIGN_NON_ASCII:
        return None
    return (
        f"the prompts do not look English (stop words {stop:.1%}, characters outside ASCII {non_ascii:.1%}), and no "
        "language is stated: set `language` in the spec, or distrust the linguistic and readability traits"
    )


def _turns(totals: RowTotals, spec: DatasetSpec) -> tuple[LengthBin, ...]:
    """Conversations by the turns before the response."""
    alone = spec.messages_field and not spec.text_fields
    return lengths.histogram(totals.prompt.segments, "prompt", "turns") if alone else ()


def _histograms(totals: RowTotals) -> tuple[LengthBin, ...]:
    return tuple(b for name, part in totals.parts.items() for b in lengths.histogram(part.runs, name))
