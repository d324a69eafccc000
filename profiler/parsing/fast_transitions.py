"""The moves of spaCy's transition parsers, which find the heads of tokens and the entities.

Owns making the moves of many documents at once, scoring them, and the memory of the table from which they are scored.
States, which moves are allowed, and what a move does stay spaCy's. In its own loop spaCy 3.8 releases and takes the
interpreter's lock many times a move, which is more than half of the time. Any other component is run by spaCy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

Scores = npt.NDArray[np.float32]


def annotate(pipe: Any, docs: list[Doc]) -> list[Doc]:
    """The documents of a batch after one component of the pipeline."""
    if not _is_walkable(pipe) or not any(map(len, docs)):
        return list(pipe.pipe(docs, batch_size=len(docs))) if hasattr(pipe, "pipe") else [pipe(doc) for doc in docs]
    parses = pipe.moves.init_batch(docs)
    model = pipe.model.predict(docs)
    score = _scorer(model, pipe.model.attrs["unseen_classes"])
    states = [state for state in parses if not state.is_final()]
    while states:
        states = pipe.transition_states(states, score(states))
    # Closures refer to it in circles: without this its memory would wait for the garbage collector.
    model.clear_memory()
    pipe.set_annotations(docs, parses)
    return docs


def _is_walkable(pipe: Any) -> bool:
    # `transition_states` is not asked for: without it, a transition parser must fail the check of the fast path.
    return hasattr(pipe, "moves") and pipe.cfg["beam_width"] == 1


def _scorer(model: Any, unseen_classes: set[Any]) -> Callable[[Sequence[Any]], Scores]:
    """The scores of every move for each of some states.

    The last layer is multiplied here, as thinc does: its calls, and a search for the lowest score that only moves never
    seen in training need, are a third of the time when few documents are left.
    """
    if unseen_classes or model.vec2scores is None:
        return model.predict
    weights, bias = model.vec2scores.get_param("W").T, model.vec2scores.get_param("b")

    def score(states: Sequence[Any]) -> Scores:
        scores: Scores = np.dot(model.state2vec.predict(model.get_token_ids(states)), weights)
        scores += bias
        return scores

    return score


class Table:
    """What each token adds to the hidden layer in each place of a state, in memory that is kept between batches.

    It takes 4 KB a token. New memory would come from the system page by page, which is slower than filling it.
    """

    def __init__(self, layer: Any) -> None:
        weights = layer.get_param("W")
        self._shape = weights.shape[:3]
        self._weights = np.ascontiguousarray(weights.reshape(-1, weights.shape[3]).T)
        self._missing = layer.get_param("pad").reshape(-1)
        self._rows: Scores = np.zeros((0, len(self._missing)), dtype=np.float32)

    def fill(self, vectors: Scores) -> Scores:
        """float32 (tokens + 1, places, outputs, pieces) of (tokens, width); the first row is that of no token."""
        rows = len(vectors) + 1
        if rows > len(self._rows):
            self._rows = np.empty((rows + rows // 4, len(self._missing)), dtype=np.float32)
            self._rows[0] = self._missing
        np.dot(vectors, self._weights, out=self._rows[1:rows])
        return self._rows[:rows].reshape(rows, *self._shape)


def keep_tables(nlp: Language) -> None:
    """Let the transition parsers of a pipeline fill the same memory for every batch."""
    from thinc.api import Model

    pipes: list[Any] = [pipe for _, pipe in nlp.pipeline if _is_walkable(pipe)]
    for pipe in pipes:
        layer = pipe.model.get_ref("lower")
        if layer.name != "precomputable_affine" or not layer.has_param("W"):
            continue
        dims = {name: layer.get_dim(name) for name in layer.dim_names}
        kept: Any = Model(
            "kept_table",
            _forward,
            dims=dims,
            params={"b": layer.get_param("b")},
            attrs={"table": Table(layer)},
            ops=layer.ops,
        )
        pipe.model.replace_node(layer, kept)


def _forward(model: Any, vectors: Scores, is_train: bool) -> tuple[Scores, None]:
    return model.attrs["table"].fill(vectors), None
