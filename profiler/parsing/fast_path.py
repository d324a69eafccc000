"""How a spaCy pipeline is run: by our fast layers where they give the same annotations, else by spaCy's own.

Owns the choice, made once when a pipeline is loaded: the fast layers (`fast_encoder`, `fast_transitions`, `fast_ruler`)
annotate a probe text, and so do spaCy's own. They take 40 % of the CPU time and rest on attributes that spaCy and thinc
do not promise, so any difference and any error is reported, and spaCy's own layers are used. Refuses a mixture of both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from traitcast.profiler.parsing import fast_encoder, fast_transitions
from traitcast.profiler.parsing.fast_ruler import Ruler, compile_ruler
from traitcast.profiler.text.estimates import Ints
from traitcast.warehouse.console import warn

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

SYNTAX = ("TAG", "POS", "DEP", "LOWER", "HEAD", "SENT_START", "IS_SPACE", "IS_ALPHA", "IS_STOP")
ENTITIES = ("ENT_IOB", "ENT_TYPE")
# A passive, a question, a fragment, an empty text, names, and what only one rule of the attribute ruler reads.
PROBE = (
    "In 2021 the bill, which Dr. Smith of Acme Corp. hadn't read, was passed in Rome for $3.50 (or so they say)!",
    "",
    "Why?\n\n so :)  There's more than that to be seen, isn't it?",
)

Columns = dict[str, npt.NDArray[np.uint64]]


@dataclass(frozen=True, slots=True)
class Layers:
    """A pipeline, and how its components are run.

    Parameters
    ----------
    nlp
        The pipeline.
    fast
        Whether some of its layers are ours, and its transition parsers are walked for many documents at once.
    ruler
        Its attribute ruler as comparisons over whole columns; None where the component itself runs.
    """

    nlp: Language
    fast: bool
    ruler: Ruler | None

    def annotate(self, texts: Sequence[str], *, entities: bool) -> tuple[Columns, Ints]:
        """Tokens of texts with their annotations.

        Parameters
        ----------
        texts
            Parsed together, each as a document of its own.
        entities
            Whether the entity recogniser runs.

        Returns
        -------
        columns : dict of str to uint64 (tokens,)
            Codes of SYNTAX, and of ENTITIES where asked for, of the tokens of all texts end to end.
        lengths : int64 (texts,)
            Tokens of each text.
        """
        from spacy import attrs

        docs = [self.nlp.make_doc(text) for text in texts]
        skipped = (set() if entities else {"ner"}) | (set() if self.ruler is None else {"attribute_ruler"})
        run = fast_transitions.annotate if self.fast else _run
        for name, pipe in self.nlp.pipeline:
            if name not in skipped:
                docs = run(pipe, docs)
        names = SYNTAX + (ENTITIES if entities else ())
        lengths = np.array([len(doc) for doc in docs], dtype=np.int64)
        ids = [getattr(attrs, name) for name in names]
        flat = np.concatenate([doc.to_array(ids).reshape(len(doc), len(ids)) for doc in docs])
        columns = {name: np.ascontiguousarray(flat[:, i]) for i, name in enumerate(names)}
        if self.ruler is not None:
            columns |= self.ruler.apply(columns, np.repeat(np.arange(len(docs)), lengths))
        return columns, lengths


def _run(pipe: Any, docs: list[Doc]) -> list[Doc]:
    """The documents of a batch after one component, run by spaCy."""
    return list(pipe.pipe(docs, batch_size=len(docs))) if hasattr(pipe, "pipe") else [pipe(doc) for doc in docs]


def choose_layers(load: Callable[[], Language], *, fast: bool = True) -> Layers:
    """The fast layers of a pipeline, or spaCy's own.

    Parameters
    ----------
    load
        Loads the pipeline. Called again for spaCy's own layers, since the fast ones take their place in it.
    fast
        False for spaCy's own layers without a try.

    Returns
    -------
    Layers
        The fast ones where they annotate PROBE as spaCy's own do; a warning says why where they do not.
    """
    nlp = load()
    own = Layers(nlp, fast=False, ruler=None)
    if not fast:
        return own
    expected = own.annotate(PROBE, entities=True)[0]
    try:
        found = Layers(nlp, fast=True, ruler=_install(nlp))
        given = found.annotate(PROBE, entities=True)[0]
        differing = [name for name, codes in expected.items() if not np.array_equal(given[name], codes)]
        if not differing:
            return found
        reason = f"they give other values of {', '.join(differing)}"
    except Exception as error:  # whatever a new version of spaCy or thinc breaks
        reason = f"{type(error).__name__}: {error}"
    warn(
        f"the fast layers do not fit {nlp.meta['name']} {nlp.meta['version']} with this version of spaCy ({reason}): "
        "spaCy's own layers parse, which give the same numbers and take about 2.5 times as long"
    )
    return Layers(load(), fast=False, ruler=None)


def _install(nlp: Language) -> Ruler | None:
    """Put the fast layers in the place of spaCy's, and compile the attribute ruler of an English pipeline."""
    fast_encoder.install(nlp)
    fast_transitions.keep_tables(nlp)
    names = list(nlp.pipe_names)
    # It reads labels of the tagger and the parser, so it must come after them.
    if nlp.lang != "en" or "attribute_ruler" not in names:
        return None
    if any(name not in names[: names.index("attribute_ruler")] for name in ("tagger", "parser")):
        return None
    component: Any = nlp.get_pipe("attribute_ruler")
    return compile_ruler(component.patterns, nlp.vocab.strings.add)
