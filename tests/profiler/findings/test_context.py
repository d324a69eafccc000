"""Tokens of a row against a limit: estimated, or counted by a tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

from traitcast.profiler.findings.context import Context, context_of, token_lengths
from traitcast.profiler.findings.search import find
from traitcast.profiler.passes.table import row_table
from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tokenizer with a token for each word."""
    tokenizers = pytest.importorskip("tokenizers", reason="needs an extra: pip install 'traitcast[train]'")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    (tmp_path / "model").mkdir()
    made.save(str(tmp_path / "model" / "tokenizer.json"))
    return tmp_path / "model"


def test_long_rows_are_found_and_the_words_say_how(tmp_path: Path, folder: Path) -> None:
    rows = "".join(f'{{"prompt": "{"word " * n}", "response": "yes"}}\n' for n in (3, 9, 10, 40))
    (tmp_path / "rows.jsonl").write_text(rows, encoding="utf-8")
    examples = read(tmp_path / "rows.jsonl")
    (counted,) = (f for f in find(examples, context=context_of(10, str(folder))) if f.check == "over_context")
    assert counted.rows.tolist() == [3, 4]
    assert counted.sentence == (
        "2 rows (50.0 %) are longer than 10 tokens, prompt and response together: the longest has 41, by the tokenizer "
        "of model"
    )
    (guessed,) = (f for f in find(examples, context=Context(20)) if f.check == "over_context")
    assert guessed.rows.tolist() == [4], "200 bytes and more are some 51 tokens"
    assert "estimated at a token for 4 bytes; count them with --tokenizer" in guessed.sentence


def test_what_cannot_count_says_why(tmp_path: Path) -> None:
    assert context_of(None, None) is None
    with pytest.raises(InputError, match="add --context, such as 2048"):
        context_of(None, "smollm2")
    with pytest.raises(InputError, match="a context of 0 tokens is no limit"):
        context_of(0, None)
    with pytest.raises(InputError, match="holds no tokenizer.json; give the folder of a model"):
        context_of(10, str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read as a tokenizer"):
        context_of(10, str(tmp_path))
    with pytest.raises(InputError, match="neither a folder here nor a hub id"):
        context_of(10, "no/such/place")


def test_rows_by_tokens_are_those_of_the_context(tmp_path: Path, folder: Path) -> None:
    chosen = "word " * 40
    rows = [
        *(f'{{"prompt": "{"word " * n}", "chosen": "yes", "rejected": "no"}}\n' for n in (3, 3, 9)),
        f'{{"prompt": "é", "chosen": "yes", "rejected": "{chosen}"}}\n',
    ]
    (tmp_path / "rows.jsonl").write_text("".join(rows), encoding="utf-8")
    table = row_table(read(tmp_path / "rows.jsonl").table)
    counted = token_lengths(table, str(folder), 0)
    assert [(one.part, one.unit, one.low, one.high, one.n) for one in counted] == [
        ("row", "tokens", 4, 6, 2),
        ("row", "tokens", 8, 12, 1),
        ("row", "tokens", 32, 48, 1),
    ]
    texts = [f"{'word ' * n}\nyes" for n in (3, 3, 9)] + [f"é\n{chosen}"]
    estimated = [one for one in token_lengths(table, None, 0) for _ in range(one.n)]
    for one, tokens in zip(estimated, sorted(Context(9).tokens(texts).tolist()), strict=True):
        assert one.low <= tokens < one.high


def test_options_are_part_of_a_row(tmp_path: Path) -> None:
    rows = [f'{{"question": "abcd?", "options": ["abc", "defg"], "answer": {n % 2}}}\n' for n in range(1, 6)]
    (tmp_path / "rows.jsonl").write_text("".join(rows), encoding="utf-8")
    (found,) = token_lengths(row_table(read(tmp_path / "rows.jsonl").table), None, 0)
    # 5, 3 and 4 bytes, the right option again with 3 or 4, and three line ends: 18 or 19.
    assert (found.low, found.n) == (4, 5)
