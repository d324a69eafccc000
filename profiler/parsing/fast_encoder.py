"""Token vectors of a spaCy pipeline: the hash embeddings and convolutions of its `Tok2Vec`, in NumPy.

Owns reading the weights out of a pipeline, a bounded table of the vectors that depend on the word alone, and the walk
through the layers in blocks that stay in the cache. Same operations as spaCy's in float32, but sums in another order:
vectors differ in the last bits. Refuses what it cannot express: `compile_encoder` gives None for another
architecture, whose own layers then run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from traitcast.profiler.text.estimates import Ints

if TYPE_CHECKING:
    from spacy.tokens import Doc

Vectors = npt.NDArray[np.float32]
Keys = npt.NDArray[np.uint64]

# Windows of one matrix product: their 288 products are 295 KB, which the second cache holds until they are reduced.
BLOCK = 256
# 25 MB at 96 floats a word; 2,000 documents have 10,000 to 20,000 words.
TABLE_WORDS = 1 << 16
_EPSILON = 1e-08
# thinc names a model after its layers: this is MultiHashEmbed without static vectors, and MaxoutWindowEncoder.
_MAXOUT = r"maxout>>layernorm>>dropout"
_ARCHITECTURE = re.compile(
    r"extract_features>>list2ragged>>with_array\((?:ints-getitem>>hashembed\|?)+\)"
    rf">>with_array\({_MAXOUT}\)>>ragged2list"
    rf">>with_array\((?:(?:>>)?residual\(expand_window>>{_MAXOUT}\))+\)"
)
# Vectors are of the order of 1; sums in another order move them by 1e-6, another network by 1e-1.
_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Maxout:
    """An affine map, the largest of the pieces of each output, and a layer norm over the outputs.

    Parameters
    ----------
    weights : float (inputs, pieces * outputs)
        All outputs of the first piece come first, so that the largest is taken of whole slices.
    bias : float (pieces * outputs,)
    gain, shift : float (outputs,)
        Of the layer norm.
    average : float (outputs,)
        1 / outputs, each.
    """

    weights: npt.NDArray[np.floating]
    bias: npt.NDArray[np.floating]
    gain: npt.NDArray[np.floating]
    shift: npt.NDArray[np.floating]
    average: npt.NDArray[np.floating]

    @classmethod
    def of(cls, maxout: Any, norm: Any, dtype: npt.DTypeLike) -> Maxout:
        """The weights of a thinc Maxout and the LayerNorm after it."""
        weights, bias = maxout.get_param("W"), maxout.get_param("b")
        outputs, pieces, inputs = weights.shape
        return cls(
            np.ascontiguousarray(weights.transpose(2, 1, 0).reshape(inputs, pieces * outputs), dtype=dtype),
            np.ascontiguousarray(bias.T.reshape(-1), dtype=dtype),
            norm.get_param("G").astype(dtype),
            norm.get_param("b").astype(dtype),
            np.full(outputs, 1 / outputs, dtype=dtype),
        )

    def apply(self, inputs: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """(rows, inputs) -> (rows, outputs)."""
        products = np.dot(inputs, self.weights)
        products += self.bias
        width = len(self.gain)
        best = np.maximum(products[:, :width], products[:, width : 2 * width])
        for start in range(2 * width, products.shape[1], width):
            np.maximum(best, products[:, start : start + width], out=best)
        best -= (best @ self.average)[:, None]
        variance = np.einsum("ij,ij->i", best, best)[:, None] / width
        best *= (variance + _EPSILON) ** -0.5
        best *= self.gain
        best += self.shift
        return best


@dataclass(frozen=True, slots=True)
class HashTable:
    """The embedding of one attribute of a word: the sum of the four rows that its hashes select."""

    rows: Vectors
    seed: int


class Encoder:
    """Documents to token vectors.

    Parameters
    ----------
    columns
        The attributes of a token that its embedding reads.
    tables
        One for each attribute.
    mix
        Of all attributes, in float64: rounded once, a word has the same vector whatever words came before it, which
        differ between workers.
    layers
        One window of three tokens each.
    ops
        The operations of thinc that hash and gather.
    """

    def __init__(
        self, columns: Sequence[str], tables: Sequence[HashTable], mix: Maxout, layers: Sequence[Maxout], ops: Any
    ) -> None:
        self.columns: list[int | str] = list(columns)
        self.tables, self.mix, self.layers = tuple(tables), mix, tuple(layers)
        self.width = len(mix.gain)
        self._ops = ops
        # Odd multipliers that are no powers of one another: attributes are hashes already, or flags.
        self._multipliers = np.random.default_rng(0).integers(1 << 63, size=len(self.columns), dtype=np.uint64) * 2 + 1
        # Sorted keys of the words met, and where the vector of each is.
        self._keys: Keys
        self._slots: Ints
        self._vectors: Vectors
        self._forget()

    def encode(self, docs: Sequence[Doc]) -> list[Vectors]:
        """float32 (tokens, width) of each document."""
        lengths = [len(doc) for doc in docs]
        if not any(lengths):
            return [np.zeros((0, self.width), dtype=np.float32) for _ in docs]
        attributes = np.concatenate([doc.to_array(self.columns).reshape(-1, len(self.columns)) for doc in docs])
        # Documents are separated by as many empty rows as the layers see to either side.
        pad = len(self.layers)
        starts = pad + np.cumsum([0, *(n + pad if n else 0 for n in lengths)])
        place = np.arange(sum(lengths)) + np.repeat(starts[:-1] - np.cumsum([0, *lengths[:-1]]), lengths)
        rows = self._through_layers(self._of_words(attributes), place, int(starts[-1]))
        return [rows[start : start + n] for start, n in zip(starts.tolist(), lengths, strict=False)]

    def _through_layers(self, words: Vectors, place: Ints, rows: int) -> Vectors:
        """float32 (rows, width): `words` at `place` and 0 between, after all layers.

        Each layer sees a row with its two neighbours and adds to it. A window is three rows that follow one another in
        memory, so every third window is a row of the same memory seen as (windows, 3 * width): nothing is copied.
        """
        step = 3 * BLOCK
        # A row before the first and some after the last that stay 0: what lies beyond the ends.
        now, after = (np.zeros((rows + step + 3, self.width), dtype=np.float32) for _ in range(2))
        now[place + 1] = words
        for layer in self.layers:
            for start in range(0, rows, step):
                count = min(BLOCK, -(-(rows - start) // 3))
                for first in range(start, start + 3):
                    windows = now[first : first + 3 * count].reshape(count, -1)
                    middle = slice(first + 1, first + 1 + 3 * count, 3)
                    np.add(now[middle], layer.apply(windows), out=after[middle])
            after[rows + 1 :] = 0.0
            now, after = after, now
        return now[1 : rows + 1]

    def _of_words(self, attributes: Keys) -> Vectors:
        """float32 (tokens, width) before any context, of uint64 (tokens, columns)."""
        keys = (attributes * self._multipliers).sum(axis=1, dtype=np.uint64)
        distinct, first, which = np.unique(keys, return_index=True, return_inverse=True)
        if len(self._keys) + len(distinct) > TABLE_WORDS:
            self._forget()
        at = np.searchsorted(self._keys, distinct)
        fresh = np.flatnonzero(np.append(self._keys, 0)[at] != distinct)
        if len(fresh):
            self._learn(distinct[fresh], at[fresh], attributes[first[fresh]])
            at = np.searchsorted(self._keys, distinct)
        return self._vectors[self._slots[at][which]]

    def _learn(self, keys: Keys, at: Ints, attributes: Keys) -> None:
        known = len(self._keys)
        if known + len(keys) > len(self._vectors):
            vectors = np.zeros((2 * (known + len(keys)), self.width), dtype=np.float32)
            vectors[:known] = self._vectors[:known]
            self._vectors = vectors
        self._vectors[known : known + len(keys)] = self._embed(attributes)
        slots = np.arange(known, known + len(keys))
        self._keys, self._slots = np.insert(self._keys, at, keys), np.insert(self._slots, at, slots)

    def _embed(self, attributes: Keys) -> Vectors:
        parts = []
        for column, table in enumerate(self.tables):
            hashes = self._ops.hash(np.ascontiguousarray(attributes[:, column]), table.seed)
            parts.append(self._ops.gather_add(table.rows, hashes % len(table.rows)))
        return self.mix.apply(np.concatenate(parts, axis=1, dtype=np.float64)).astype(np.float32)

    def _forget(self) -> None:
        self._keys = np.zeros(0, dtype=np.uint64)
        self._slots = np.zeros(0, dtype=np.int64)
        self._vectors = np.zeros((0, self.width), dtype=np.float32)


def compile_encoder(model: Any, examples: Sequence[Doc]) -> Encoder | None:
    """The encoder of a thinc model.

    Parameters
    ----------
    model
        A node of a pipeline's networks, of any kind.
    examples
        Documents whose vectors must be those of the model.

    Returns
    -------
    Encoder or None
        None for another architecture than MultiHashEmbed and MaxoutWindowEncoder.

    Raises
    ------
    ValueError
        Where the encoder gives other vectors than the model.
    """
    if not _ARCHITECTURE.fullmatch(model.name):
        return None
    nodes: dict[str, list[Any]] = {}
    for node in model.walk(order="dfs_pre"):
        nodes.setdefault(node.name, []).append(node)
    (features,), embeds = nodes["extract_features"], nodes["hashembed"]
    windows = {node.attrs["window_size"] for node in nodes["expand_window"]}
    maxouts = list(zip(nodes["maxout"], nodes["layernorm"], strict=True))
    in_order = [embed.attrs["column"] for embed in embeds] == list(range(len(features.attrs["columns"])))
    trained = all(node.has_param("E") for node in embeds) and all(node.has_param("W") for node in nodes["maxout"])
    if windows != {1} or not in_order or not trained or any(maxout.get_dim("nP") < 2 for maxout, _ in maxouts):
        return None
    encoder = Encoder(
        features.attrs["columns"],
        [HashTable(embed.get_param("E"), embed.attrs["seed"]) for embed in embeds],
        Maxout.of(*maxouts[0], np.float64),
        [Maxout.of(*pair, np.float32) for pair in maxouts[1:]],
        model.ops,
    )
    pairs = zip(model.predict(list(examples)), encoder.encode(examples), strict=True)
    if not all(np.allclose(a, b, rtol=0.0, atol=_TOLERANCE) for a, b in pairs):
        raise ValueError("the encoder gives other token vectors")
    return encoder


def install(nlp: Any) -> int:
    """Replace the layers of a pipeline that encoders can express, and return their number. Raises ValueError as
    `compile_encoder`."""
    from thinc.api import Model

    examples = [nlp.make_doc(text) for text in ("In 2021, Dr. Smith didn't pay £3.50 for it!", "", "Why?\n\n so :)")]
    installed = 0
    for _, pipe in nlp.pipeline:
        root: Any = getattr(pipe, "model", None)
        for node in list(root.walk()) if isinstance(root, Model) else []:
            encoder = compile_encoder(node, examples)
            if encoder is None:
                continue
            layer: Any = Model("encoder", _forward, dims={"nO": encoder.width}, attrs={"encoder": encoder})
            if node is root:
                pipe.model = layer
            else:
                root.replace_node(node, layer)
            installed += 1
    return installed


def _forward(model: Any, docs: Sequence[Doc], is_train: bool) -> tuple[list[Vectors], Any]:
    return model.attrs["encoder"].encode(docs), None
