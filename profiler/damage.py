"""Signs that the texts of a dataset were harmed on the way: cut off, or decoded with the wrong encoding.

Owns what counts as a sign and from how many rows on it is worth a warning. It never repairs a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

# UTF-8 read as Latin-1 or Windows-1252: a lead byte shows as one of a few capitals, the next one as a sign that no
# language puts behind them ("cafÃ©", "donâ€™t", "Ð¿Ñ€Ð¸").
MOJIBAKE = (
    "[\u00c2\u00c3][\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020-\u2022\u02c6\u2030\u0160\u2039\u0152\u017d\u0161\u0153\u017e"
    "\u0178]|\u00e2\u20ac.|[\u00d0\u00d1][\u0080-\u00bf][\u00d0\u00d1]|\u00ef\u00bb\u00bf"
    # Three bytes with a control character among them: other scripts as Latin-1.
    "|[\u00e0-\u00ef][\u0080-\u009f][\u0080-\u00bf]|[\u00e0-\u00ef][\u0080-\u00bf][\u0080-\u009f]"
)
REPLACED = "\ufffd"

# A slip in one text of thousands is no news.
_HARMED_TEXTS, _HARMED_SHARE = 5, 0.005
# Lengths repeat by chance too: a limit shows in at least this many texts, in this share of the texts, and in many more
# than have any of the lengths just below it.
_CUT_TEXTS, _CUT_SHARE = 5, 0.01
_CUT_NEAR, _CUT_SPIKE = 20, 5
# Shorter texts of one length are tweets or codes rather than cut.
_CUT_CHARACTERS = 100
# Of texts of one length, hashed at a time: that takes 40 bytes a character.
_HASHED_CHARACTERS = 1 << 15
# A text that ends like this was not cut at a limit.
_ENDED = "[.!?:;)\\]}\"'`\u2019\u201d\u3002\uff01\uff1f\u2026>*|]\\s*$"
# Three dots are a matter of style; these are written by programs.
_CUT_MARK = "(\\[\u2026\\]|\\[\\.\\.\\.\\]|[\\[(<]truncated[\\])>]|\\S\u2026)\\s*$"
_MARKED_SHARE = 0.05


def damage_warnings(table: pa.Table, *, replaced: bool = True) -> Iterator[str]:
    """A warning for each kind of damage in the prompts and the responses of `Examples.table`.

    replaced: whether to look for U+FFFD, which is told elsewhere when reading has put it there.
    """
    for part, texts in {"prompt": _Texts(table, _prompts), "response": _Texts(table, _written)}.items():
        if replaced:
            yield from _replaced(texts, part)
        yield from _mojibake(texts, part)
        yield from _cut(texts, part)


class _Texts:
    """Texts of a table, a chunk at a time: what a whole column gives would be held whole."""

    def __init__(self, table: pa.Table, of: Callable[[pa.RecordBatch], pa.Array]) -> None:
        self._table, self._of = table, of
        self.count = sum(len(texts) for texts in self)

    def __iter__(self) -> Iterator[pa.Array]:
        return map(self._of, self._table.to_batches())

    def sum(self, counted: Callable[[pa.Array], pa.Array]) -> int:
        """How many texts a function marks."""
        import pyarrow.compute as pc

        return sum(pc.sum(counted(texts)).as_py() or 0 for texts in self)


def _prompts(rows: pa.RecordBatch) -> pa.Array:
    import pyarrow.compute as pc

    return pc.list_flatten(rows["fields"])


def _written(rows: pa.RecordBatch) -> pa.Array:
    """Responses that somebody wrote: class names and options repeat, and their lengths are no limit."""
    import pyarrow.compute as pc

    unlabelled = rows["label"].null_count == rows.num_rows
    return rows["response"] if unlabelled else rows["response"].filter(pc.is_null(rows["label"]))


def _replaced(texts: _Texts, part: str) -> Iterator[str]:
    import pyarrow.compute as pc

    replaced = texts.sum(lambda some: pc.match_substring(some, REPLACED))
    if replaced and _worth(replaced, texts.count):
        yield f"{replaced:,} of {texts.count:,} {part} texts hold U+FFFD, which stands for a character that was lost"


def _mojibake(texts: _Texts, part: str) -> Iterator[str]:
    import pyarrow.compute as pc

    found = texts.sum(lambda some: pc.match_substring_regex(some, MOJIBAKE))
    if found and _worth(found, texts.count):
        marked = (some.filter(pc.match_substring_regex(some, MOJIBAKE)) for some in texts)
        first = next(some for some in marked if len(some))[:1]
        example = pc.extract_regex(first, f"(?P<seen>\\S{{0,12}}(?:{MOJIBAKE})\\S{{0,12}})")[0].as_py()
        yield (
            f"{found:,} of {texts.count:,} {part} texts look like UTF-8 that was decoded as another encoding "
            f"({example['seen']!r}): decode the source again"
        )


def _worth(count: int, total: int) -> bool:
    return count >= _HARMED_TEXTS or count >= _HARMED_SHARE * total


def _cut(texts: _Texts, part: str) -> Iterator[str]:
    import pyarrow.compute as pc

    longest = max((pc.max(pc.utf8_length(some)).as_py() or 0 for some in texts), default=0)
    if longest >= _CUT_CHARACTERS:
        at_limit, ended = _at_limit(texts, longest)
        near = texts.sum(lambda some: _between(pc.utf8_length(some), longest - _CUT_NEAR, longest))
        enough = max(_CUT_TEXTS, _CUT_SHARE * texts.count, _CUT_SPIKE * near / _CUT_NEAR)
        if at_limit >= enough and ended <= at_limit / 2:
            yield (
                f"{at_limit:,} of {texts.count:,} {part} texts have exactly {longest:,} characters, the most there "
                "is, and most stop in mid-sentence: they may have been cut off there"
            )
    marked = texts.sum(lambda some: pc.match_substring_regex(some, _CUT_MARK))
    if marked >= max(_CUT_TEXTS, _MARKED_SHARE * texts.count):
        yield f"{marked:,} of {texts.count:,} {part} texts end in a mark of truncation such as '\u2026' or '[...]'"


def _at_limit(texts: _Texts, longest: int) -> tuple[int, int]:
    """How many different texts are that long, and how many of them end as texts do."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from profiler.distinct import Distinct
    from profiler.scan import code_points, hash_runs

    every, ended = Distinct(), Distinct()
    step = max(1, _HASHED_CHARACTERS // longest)
    for some in texts:
        long = some.filter(pc.equal(pc.utf8_length(some), longest)).drop_null()
        for first in range(0, len(long), step):
            part = long[first : first + step]
            for seen, found in ((every, part), (ended, part.filter(pc.match_substring_regex(part, _ENDED)))):
                points, bounds = code_points(found.cast(pa.large_string()))
                seen.add(hash_runs(points, bounds[:-1]))
    return every.occurrences().n, ended.occurrences().n


def _between(values: pa.Array, low: int, high: int) -> pa.Array:
    import pyarrow.compute as pc

    return pc.and_(pc.greater_equal(values, low), pc.less(values, high))
