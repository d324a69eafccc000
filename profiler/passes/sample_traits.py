"""The traits of the sampled rows, block by block.

Owns which traits are made of the sample, and the totals from which they follow: means over documents, and what is
counted over all documents together (vocabulary, openings, token counts, compressed text). Blocks of any size give the
same totals. Refuses to keep what grows with the rows: hashes of distinct words lie on the disk
(`profiler.text.distinct`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from traitcast.profiler.parsing import parser
from traitcast.profiler.passes.sample import SampleBlock, SampledPart
from traitcast.profiler.text.distinct import HashCounts
from traitcast.profiler.text.estimates import Estimate, Floats
from traitcast.profiler.text.exact_sums import SampleMeans
from traitcast.profiler.text.histogram import ValueCounts
from traitcast.profiler.text.words import Vocabulary
from traitcast.profiler.traits import (
    catalogue,
    copying,
    discourse,
    diversity,
    form,
    lengths,
    linguistic,
    readability,
    repetition,
    surface,
)

Value = TypeVar("Value")


@dataclass(slots=True)
class _PartSample:
    """One part of all documents together. tokens: documents by number of tokens, None where nothing is parsed."""

    corpus: diversity.Corpus = field(default_factory=diversity.Corpus)
    openings: HashCounts = field(default_factory=HashCounts)
    compression: diversity.Compression = field(default_factory=diversity.Compression)
    tokens: ValueCounts | None = None

    def add(self, part: SampledPart, vocabulary: Vocabulary) -> None:
        self.corpus.add(part.words, vocabulary)
        self.openings.add(surface.openings(part.words, vocabulary))
        self.compression.add(part.documents.joined())
        if part.parsed is not None:
            self.tokens = self.tokens or ValueCounts()
            self.tokens.add(part.count("tokens")[part.exists].astype(np.int64))

    def traits(self) -> dict[str, Estimate]:
        return {
            **self.corpus.traits(),
            "common_opening_share": surface.common_opening(self.openings),
            "compression_ratio": self.compression.ratio(),
            **(lengths.token_traits(self.tokens) if self.tokens is not None else {}),
        }


@dataclass(slots=True)
class SampleTotals:
    """Totals of the sampled rows so far. shortened: digests of the texts that were cut."""

    shortened: set[bytes] = field(default_factory=set)
    _means: SampleMeans = field(default_factory=SampleMeans)
    _parts: dict[str, _PartSample] = field(
        default_factory=lambda: {part: _PartSample() for part in catalogue.TEXT_PARTS}
    )

    @classmethod
    def of(cls, blocks: Iterable[SampleBlock]) -> SampleTotals:
        """The totals of some blocks, one of which is in memory at a time."""
        made = cls()
        for block in blocks:
            made.add(block)
        return made

    def add(self, block: SampleBlock) -> None:
        """Take the rows that follow."""
        self.shortened |= block.shortened
        prompt, response = block.parts["prompt"], block.parts["response"]
        for name, part in block.parts.items():
            self._parts[name].add(part, block.vocabulary)
            self._means.add(prefixed(name, _values(part, block.vocabulary)))
        self._means.add(prefixed("prompt", form.prompt_forms(prompt.documents)))
        self._means.add(prefixed("response", form.response_shapes(response.documents)))
        self._means.add(prefixed("response", copying.document_traits(prompt.words, response.words)))
        if prompt.parsed is not None:
            tokens = prompt.count("tokens"), response.count("tokens")
            self._means.add({"response_one_token_share": lengths.is_one_token(tokens[1])})
            self._means.add(prefixed("dataset", lengths.document_ratios(*tokens)))

    def traits(self, rows: int) -> dict[str, Estimate]:
        """Every trait of the sample, by full name. rows: number of rows of the whole dataset."""
        found = self._means.estimates(rows)
        for name, part in self._parts.items():
            found |= prefixed(name, part.traits())
        return found


def _values(part: SampledPart, vocabulary: Vocabulary) -> dict[str, Floats]:
    """Values of each document that both parts have."""
    found = {
        **diversity.document_traits(part.words, vocabulary),
        "repeated_bigram_share": surface.repeated_bigrams(part.words),
        **repetition.document_traits(part.documents, part.words, vocabulary),
        **discourse.document_traits(part.markers, part.words.lengths.astype(np.float64)),
    }
    if part.parsed is None or part.entities is None:
        return found
    sums = part.parsed[:, : len(linguistic.COUNTS)]
    column = {name: part.parsed[:, i] for i, name in enumerate(parser.COUNTS)}
    return {
        **found,
        **linguistic.document_traits(sums),
        **readability.document_traits(part.readability, column["sentences"]),
        **linguistic.document_entity_traits(part.entities),
        **lengths.document_traits(part.count("tokens"), part.count("sentences")),
        "sentence_tokens_sd": linguistic.sentence_spread(sums),
        **surface.token_shares(column["alphabetic_tokens"], column["stop_tokens"], column["tokens"]),
    }


def prefixed(part: str, found: Mapping[str, Value]) -> dict[str, Value]:
    """Full names of the traits of a part."""
    return {f"{part}_{name}": value for name, value in found.items()}
