"""Signs that the texts of a dataset were harmed on the way: cut off, or decoded with the wrong encoding.

Owns what counts as a sign and from how many rows on it is worth a warning. It never repairs a text.
"""

from __future__ import annotations

from collections.abc import Iterator
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
# A text that ends like this was not cut at a limit.
_ENDED = "[.!?:;)\\]}\"'`\u2019\u201d\u3002\uff01\uff1f\u2026>*|]\\s*$"
# Three dots are a matter of style; these are written by programs.
_CUT_MARK = "(\\[\u2026\\]|\\[\\.\\.\\.\\]|[\\[(<]truncated[\\])>]|\\S\u2026)\\s*$"
_MARKED_SHARE = 0.05


def damage_warnings(table: pa.Table, *, replaced: bool = True) -> Iterator[str]:
    """A warning for each kind of damage in the prompts and the responses of `Examples.table`.

    replaced: whether to look for U+FFFD, which is told elsewhere when reading has put it there.
    """
    import pyarrow.compute as pc

    # Class names and options repeat, and their lengths are no limit.
    whole = table["label"].null_count == table.num_rows
    # A filter copies.
    written = table["response"] if whole else table["response"].filter(pc.is_null(table["label"]))
    for part, texts in {"prompt": pc.list_flatten(table["fields"]), "response": written}.items():
        if replaced:
            yield from _replaced(texts, part)
        yield from _mojibake(texts, part)
        yield from _cut(texts, part)


def _replaced(texts: pa.ChunkedArray, part: str) -> Iterator[str]:
    import pyarrow.compute as pc

    replaced = pc.sum(pc.match_substring(texts, REPLACED)).as_py() or 0
    if replaced and _worth(replaced, len(texts)):
        yield f"{replaced:,} of {len(texts):,} {part} texts hold U+FFFD, which stands for a character that was lost"


def _mojibake(texts: pa.ChunkedArray, part: str) -> Iterator[str]:
    import pyarrow.compute as pc

    marks = pc.match_substring_regex(texts, MOJIBAKE)
    found = pc.sum(marks).as_py() or 0
    if found and _worth(found, len(texts)):
        example = pc.extract_regex(_where(texts, marks)[:1], f"(?P<seen>\\S{{0,12}}(?:{MOJIBAKE})\\S{{0,12}})")[
            0
        ].as_py()
        yield (
            f"{found:,} of {len(texts):,} {part} texts look like UTF-8 that was decoded as another encoding "
            f"({example['seen']!r}): decode the source again"
        )


def _where(texts: pa.ChunkedArray, marks: pa.ChunkedArray) -> pa.ChunkedArray:
    """The marked texts. Chunk by chunk: the filter of a whole column copies all of it first."""
    import pyarrow as pa

    found, start = [], 0
    for chunk in texts.chunks:
        found.append(chunk.filter(marks.slice(start, len(chunk)).combine_chunks()))
        start += len(chunk)
    return pa.chunked_array(found, texts.type)


def _worth(count: int, total: int) -> bool:
    return count >= _HARMED_TEXTS or count >= _HARMED_SHARE * total


def _cut(texts: pa.ChunkedArray, part: str) -> Iterator[str]:
    import pyarrow.compute as pc

    lengths = pc.utf8_length(texts)
    longest = pc.max(lengths).as_py() or 0
    at_limit = _where(texts, pc.equal(lengths, longest)).unique()
    near = pc.and_(pc.greater_equal(lengths, longest - _CUT_NEAR), pc.less(lengths, longest))
    usual = (pc.sum(near).as_py() or 0) / _CUT_NEAR
    enough = max(_CUT_TEXTS, _CUT_SHARE * len(texts), _CUT_SPIKE * usual)
    if longest >= _CUT_CHARACTERS and len(at_limit) >= enough:
        ended = pc.sum(pc.match_substring_regex(at_limit, _ENDED)).as_py() or 0
        if ended <= len(at_limit) / 2:
            yield (
                f"{len(at_limit):,} of {len(texts):,} {part} texts have exactly {longest:,} characters, the most there "
                "is, and most stop in mid-sentence: they may have been cut off there"
            )
    marked = pc.sum(pc.match_substring_regex(texts, _CUT_MARK)).as_py() or 0
    if marked >= max(_CUT_TEXTS, _MARKED_SHARE * len(texts)):
        yield f"{marked:,} of {len(texts):,} {part} texts end in a mark of truncation such as '\u2026' or '[...]'"
