"""How many tokens a row has, and whether that is more than a model takes.

Owns the estimate without a tokenizer, and loading one: a `tokenizer.json`, from a folder, a file or the hub. Tokens
that a chat template adds are not counted. Refuses tokenizers that need code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from traitcast.profiler.text.estimates import Ints
from traitcast.profiler.text.histogram import ValueCounts
from traitcast.profiler.traits.lengths import histogram
from traitcast.warehouse.errors import InputError, MissingExtraError
from traitcast.warehouse.records import LengthBin

# A token of SmolLM2 has 3.2 to 4.7 bytes in nine of ten of 84 public datasets, 4.1 in the middle. A script other
# than Latin takes more tokens.
BYTES_PER_TOKEN = 4
_FILE = "tokenizer.json"
# Rows that a tokenizer counts for a histogram: a second for short ones.
COUNTED_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Context:
    """The tokens that a model takes.

    Parameters
    ----------
    limit
        Of prompt and response together.
    tokenizer
        A `tokenizers.Tokenizer`; None estimates a token for every four bytes of UTF-8.
    asked
        The folder, file or hub id that the tokenizer is from.
    """

    limit: int
    tokenizer: Any = None
    asked: str = ""

    def tokens(self, texts: Sequence[str]) -> Ints:
        """Tokens of each text, int64; with a tokenizer, those of texts that may be too long, and 0 for the others."""
        sizes = np.array([len(text.encode("utf-8", "surrogatepass")) for text in texts], dtype=np.int64)
        if self.tokenizer is None:
            return -(-sizes // BYTES_PER_TOKEN)
        # No token is shorter than a byte.
        long = np.flatnonzero(sizes > self.limit)
        found = np.zeros(len(texts), dtype=np.int64)
        some = self.tokenizer.encode_batch([texts[at] for at in long.tolist()], add_special_tokens=False)
        found[long] = [len(encoded.ids) for encoded in some]
        return found

    @property
    def how(self) -> str:
        """How the tokens were counted, in words."""
        if self.tokenizer is None:
            return f"estimated at a token for {BYTES_PER_TOKEN} bytes; count them with --tokenizer"
        return f"by the tokenizer of {Path(self.asked).name if Path(self.asked).exists() else self.asked}"


def context_of(limit: int | None, tokenizer: str | None) -> Context | None:
    """The context of a command line, None where no limit is stated.

    Parameters
    ----------
    limit
        Tokens.
    tokenizer
        A folder with a tokenizer.json, such a file, or the hub id of a model.

    Raises
    ------
    InputError
        For a limit below 1, and for a tokenizer that is not there or cannot be read.
    MissingExtraError
        Without the package `tokenizers`.
    """
    if limit is None:
        if tokenizer is not None:
            raise InputError(f"--tokenizer {tokenizer} counts tokens against a limit: add --context, such as 2048")
        return None
    if limit < 1:
        raise InputError(f"a context of {limit} tokens is no limit: give 1 or more")
    return Context(limit) if tokenizer is None else Context(limit, _loaded(tokenizer), tokenizer)


def token_lengths(table: Any, tokenizer: str | None, seed: int) -> tuple[LengthBin, ...]:
    """Rows by their tokens, prompt, options and response together; of a pair the longer response.

    Parameters
    ----------
    table
        A `profiler.passes.table.RowTable`.
    tokenizer
        As in `context_of`; it counts up to `COUNTED_ROWS` random rows. None estimates all rows by their bytes.
    seed
        Of these rows.

    Returns
    -------
    tuple of LengthBin
        Of part `row` and unit `tokens`.
    """
    if tokenizer is None:
        sizes = np.concatenate([np.zeros(0, dtype=np.int64), *table.map_blocks(_bytes)])
        tokens = -(-sizes // BYTES_PER_TOKEN)
    else:
        loaded = _loaded(tokenizer)
        drawn = np.sort(np.random.default_rng(seed).permutation(table.num_rows)[:COUNTED_ROWS])
        texts = _texts(table.take(drawn))
        tokens = np.array(
            [len(one.ids) for one in loaded.encode_batch(texts, add_special_tokens=False)], dtype=np.int64
        )
    counted = ValueCounts()
    counted.add(tokens)
    return histogram(counted, "row", "tokens")


def _bytes(rows: pa.Table) -> Ints:
    """Bytes of each row."""
    total = np.zeros(rows.num_rows, dtype=np.int64)
    for name in ("fields", "options"):
        lists = rows[name].combine_chunks()
        counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        sizes = pc.fill_null(pc.binary_length(lists.flatten()), 0).to_numpy(zero_copy_only=False)
        # A line end joins each text to the next.
        owner = np.repeat(np.arange(len(counts)), counts)
        total += np.bincount(owner, weights=sizes + 1, minlength=len(counts)).astype(np.int64)
    answers = [name for name in ("response", "rejected") if name in rows.column_names]
    sizes = [pc.fill_null(pc.binary_length(rows[name]), 0).to_numpy(zero_copy_only=False) for name in answers]
    return total + np.max(sizes, axis=0)


def _texts(rows: pa.Table) -> list[str]:
    columns = rows.select([c for c in ("fields", "options", "response", "rejected") if c in rows.column_names])
    return [
        "\n".join(
            [
                *(row["fields"] or []),
                *(row["options"] or []),
                max(row["response"] or "", row.get("rejected") or "", key=len),
            ]
        )
        for row in columns.to_pylist()
    ]


def _loaded(tokenizer: str) -> Any:
    """A `tokenizers.Tokenizer`. Raises as `context_of`."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtraError(
            "--tokenizer needs the package tokenizers: pip install 'traitcast[train]'. Without it tokens are estimated"
        ) from error
    file = _file(tokenizer)
    try:
        return Tokenizer.from_file(str(file))
    # The library raises a bare Exception for everything.
    except Exception as error:
        raise InputError(f"{file} cannot be read as a tokenizer: {error}") from error


def _file(tokenizer: str) -> Path:
    place = Path(tokenizer)
    if place.is_file():
        return place
    if place.is_dir():
        if not (place / _FILE).is_file():
            raise InputError(f"{tokenizer} holds no {_FILE}; give the folder of a model that has one, or its hub id")
        return place / _FILE
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(tokenizer, _FILE))
    except HFValidationError as error:
        raise InputError(f"--tokenizer {tokenizer!r} is neither a folder here nor a hub id (org/name)") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"no {_FILE} of {tokenizer!r} here or on the hub ({first}). Give a local folder") from error
