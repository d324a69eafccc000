"""Signs that the texts of a dataset were harmed on the way: cut off, or decoded with the wrong encoding.

Owns what counts as a sign and from how many rows on it is worth a warning. Signs are counted block by block, once, and
merge into those of all rows whatever the blocks. It never repairs a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from traitcast.profiler.passes.table import RowTable, row_table
from traitcast.profiler.reading.tally import EXCEL_ERRORS, Said

if TYPE_CHECKING:
    import pyarrow as pa

# What the bytes 0x80 to 0xBF are in Windows-1252, Latin-1 and Windows-1251: first what writers put behind a word.
_POINTS = "\u00a0\u00ab\u00ad\u00bb\u2026\u2018\u2019\u201c\u201d\u2013\u2014"
_SIGNS = (
    "\u0080-\u009f\u00a1-\u00aa\u00ac\u00ae-\u00ba\u00bc-\u00bf\u20ac\u201a\u0192\u201e\u2020\u2021\u02c6\u2030\u0160\u2039\u0152"
    "\u017d\u2022\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
)
_REST = _SIGNS + _POINTS
_LEADS, _LEADS_1251 = "\u00c2-\u00df", "\u0420\u0421"
_SIGNS_1251 = (
    "\u0402\u0403\u201a\u0453\u201e\u2020\u2021\u20ac\u2030\u0409\u2039\u040a\u040c\u040b\u040f\u0452\u2022\u2122\u0459\u203a\u045a"
    "\u045c\u045b\u045f\u040e\u045e\u00a4\u00a6\u00a7\u00a9\u00ac\u00ae\u00b0\u00b1\u00b5\u00b6\u00b7\u2116\u0405\u0455"
)
_REST_1251 = _SIGNS_1251 + _POINTS + "\u0408\u0490\u0401\u0404\u0407\u0406\u0456\u0491\u0451\u0454\u0458\u0457"


def _three(lead: str, signs: str, rest: str) -> str:
    """Three letters of two bytes each in a row, one of which at most ends in what may stand in a text."""
    two = f"[{lead}][{signs}]"
    return "|".join("".join(f"[{lead}][{rest}]" if at == other else two for at in range(3)) for other in range(3))


# UTF-8 that was decoded by a table of single bytes: a lead byte shows as one of a few letters, the next ones as signs
# that no language puts behind them ("cafÃ©", "donâ€™t", "Ð¿Ñ€Ð¸").
MOJIBAKE = (
    "[\u00c2\u00c3][\u0080-\u009f\u00a1-\u00aa\u00ac\u00ae-\u00b3\u00b5-\u00ba\u00bc-\u00bf\u20ac\u201a\u0192\u201e\u2020-\u2022\u02c6"
    "\u2030\u0160\u2039\u0152\u017d\u0161\u0153\u017e\u0178]|\u00c2\u00a0"
    # A word in capitals may end in such a letter.
    "|(?:^|[^A-Z\u00c0-\u00dd])[\u00c2\u00c3][\u00a0\u00ab\u00ad\u00b4\u00bb\u2026]"
    f"|\u00e2\u20ac.|\u00e2[\u2013\u2014][{_SIGNS}]"
    f"|\u00e2[\u201a\u0153\u2020\u02dc\u2122\u2022\u203a\u02c6\u0178\u017e\u0161\u0080-\u009f][{_REST}]"
    "|[\u00d0\u00d1][\u0080-\u00bf][\u00d0\u00d1]|\u00ef\u00bb\u00bf"
    # Arabic, Greek, Hebrew, Cyrillic.
    f"|{_three(_LEADS, _SIGNS, _REST)}"
    # Three bytes with a control character among them: other scripts as Latin-1.
    "|[\u00e0-\u00ef][\u0080-\u009f][\u0080-\u00bf]|[\u00e0-\u00ef][\u0080-\u00bf][\u0080-\u009f]"
    # Two letters of Asia as Windows-1252; one alone may be French before a quotation mark.
    f"|(?:[\u00e0-\u00e9][{_REST}]{{2}}){{2}}"
    # Emoji.
    f"|\u00f0[\u0178\u009f][{_REST}]{{1,2}}"
    # As Windows-1251, and as on an old Macintosh, where a root may be meant.
    f"|{_three(_LEADS_1251, _SIGNS_1251, _REST_1251)}"
    "|[A-Za-z]\u221a[\u00a2\u00a7\u00a9\u00aa\u00ae\u00b0\u00b4\u00b5\u00ba\u00c6\u00d8\u00df\u00e2\u00fc\u00a5\u2020\u2122\u2202\u222b\u2265]"
    "|[a-z]{2}\u221a\u00b1[a-z]"
)
REPLACED = "\ufffd"

# A slip in one text of thousands is not worth a warning.
_HARMED_TEXTS, _HARMED_SHARE = 5, 0.005
# Lengths repeat by chance too: a limit shows in at least this many texts, in this share of the texts, and in many more
# than have any of the lengths just below it.
CUT_TEXTS, CUT_SHARE = 5, 0.01
CUT_NEAR, CUT_SPIKE = 20, 5
# Shorter texts of one length are tweets or codes rather than cut.
CUT_CHARACTERS = 100
# Of texts of one length, hashed at a time: that takes 40 bytes a character.
_HASHED_CHARACTERS = 1 << 15
# A text that ends like this was not cut at a limit.
ENDED = "[.!?:;)\\]}\"'`\u2019\u201d\u3002\uff01\uff1f\u2026>*|]\\s*$"
# Three dots are a matter of style; these are written by programs.
_CUT_MARK = "(\\[\u2026\\]|\\[\\.\\.\\.\\]|[\\[(<]truncated[\\])>]|\\S\u2026)\\s*$"
_MARKED_SHARE = 0.05


def damage_warnings(table: pa.Table | RowTable, *, replaced: bool = True) -> Iterator[str]:
    """A warning for each kind of damage in the prompts and the responses of `Examples.table`.

    replaced: whether to look for U+FFFD, which is reported elsewhere where reading has put it there.
    """
    parts = {"prompt": _Signs(), "response": _Signs()}
    for found in row_table(table).map_blocks(_signs):
        for part, signs in found.items():
            parts[part].merge(signs)
    for part, signs in parts.items():
        yield from _formulas(signs, part)
        if replaced:
            yield from _replaced(signs, part)
        yield from _mojibake(signs, part)
        yield from _cut(signs, part)


def _signs(rows: pa.Table) -> dict[str, _Signs]:
    """The signs in the prompts and in the responses of a block of rows."""
    parts = {"prompt": _Signs(), "response": _Signs()}
    for batch in rows.to_batches():
        parts["prompt"].merge(_Signs.of(_prompts(batch)))
        parts["response"].merge(_Signs.of(_written(batch)))
    return parts


class _Signs:
    """Signs in some texts. example: from the first that was decoded wrongly. longest: characters of the longest text.
    near: how many are that long, one character shorter, ... CUT_NEAR shorter. at_limit: the different ones that are as
    long, by hash; ended: those among them that end as texts do; both empty below CUT_CHARACTERS."""

    def __init__(self) -> None:
        from traitcast.profiler.text.distinct import HashCounts

        self.texts = self.replaced = self.mojibake = self.marked = self.formulas = self.longest = 0
        self.example = ""
        self.near = [0] * (CUT_NEAR + 1)
        self.at_limit, self.ended = HashCounts(), HashCounts()

    @classmethod
    def of(cls, texts: pa.Array) -> _Signs:
        """The signs in the texts of a record batch."""
        import pyarrow as pa
        import pyarrow.compute as pc

        made = cls()
        made.texts = len(texts)
        made.replaced = _count(pc.match_substring(texts, REPLACED))
        wrong = pc.match_substring_regex(texts, MOJIBAKE)
        made.mojibake = _count(wrong)
        if made.mojibake:
            first = texts.filter(wrong)[:1]
            found = pc.extract_regex(first, f"(?P<seen>\\S{{0,12}}(?:{MOJIBAKE})\\S{{0,12}})")[0].as_py()
            made.example = found["seen"]
        made.formulas = _count(pc.is_in(texts, value_set=pa.array(sorted(EXCEL_ERRORS), texts.type)))
        made.marked = _count(pc.match_substring_regex(texts, _CUT_MARK))
        lengths = pc.utf8_length(texts)
        made.longest = pc.max(lengths).as_py() or 0
        made.near = [_count(pc.equal(lengths, made.longest - shorter)) for shorter in range(CUT_NEAR + 1)]
        if made.longest >= CUT_CHARACTERS:
            made._hash(texts.filter(pc.equal(lengths, made.longest)).drop_null())
        return made

    def _hash(self, long: pa.Array) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        from traitcast.profiler.text.scan import code_points, hash_runs

        step = max(1, _HASHED_CHARACTERS // self.longest)
        for first in range(0, len(long), step):
            part = long[first : first + step]
            for seen, found in (
                (self.at_limit, part),
                (self.ended, part.filter(pc.match_substring_regex(part, ENDED))),
            ):
                points, bounds = code_points(found.cast(pa.large_string()))
                seen.add(hash_runs(points, bounds[:-1]))

    def merge(self, other: _Signs) -> None:
        """Take the signs in the texts that follow."""
        for name in ("texts", "replaced", "mojibake", "marked", "formulas"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.example = self.example or other.example
        longest = max(self.longest, other.longest)
        self.near = [a + b for a, b in zip(self._below(longest), other._below(longest), strict=True)]
        if other.longest > self.longest:
            self.longest, self.at_limit, self.ended = longest, other.at_limit, other.ended
        elif other.longest == self.longest:
            self.at_limit.merge(other.at_limit)
            self.ended.merge(other.ended)

    def _below(self, longest: int) -> list[int]:
        """`near`, counted from a greater length."""
        return ([0] * min(longest - self.longest, CUT_NEAR + 1) + self.near)[: CUT_NEAR + 1]


def _count(marks: pa.Array) -> int:
    import pyarrow.compute as pc

    return pc.sum(marks).as_py() or 0


def _prompts(rows: pa.RecordBatch) -> pa.Array:
    import pyarrow.compute as pc

    return pc.list_flatten(rows["fields"])


def _written(rows: pa.RecordBatch) -> pa.Array:
    """Responses that somebody wrote: class names and options repeat, and their lengths say nothing about a limit."""
    import pyarrow.compute as pc

    unlabelled = rows["label"].null_count == rows.num_rows
    return rows["response"] if unlabelled else rows["response"].filter(pc.is_null(rows["label"]))


def _formulas(signs: _Signs, part: str) -> Iterator[str]:
    if signs.formulas:
        yield (
            f"{signs.formulas:,} of {signs.texts:,} {part} texts are an error of a table program, such as #NAME?, "
            "which took them for formulas: export again from the source"
        )


def _replaced(signs: _Signs, part: str) -> Iterator[str]:
    if signs.replaced and _worth(signs.replaced, signs.texts):
        of = f"{signs.replaced:,} of {signs.texts:,} {part} texts"
        yield Said(f"{of} hold U+FFFD, the mark of a character that was lost")


def _mojibake(signs: _Signs, part: str) -> Iterator[str]:
    if signs.mojibake and _worth(signs.mojibake, signs.texts):
        yield Said(
            f"{signs.mojibake:,} of {signs.texts:,} {part} texts look like UTF-8 that was decoded as another encoding "
            f"({signs.example!r}): decode the source again"
        )


def _worth(count: int, total: int) -> bool:
    return count >= _HARMED_TEXTS or count >= _HARMED_SHARE * total


def _cut(signs: _Signs, part: str) -> Iterator[str]:
    of = f"of {signs.texts:,} {part} texts"
    if signs.longest >= CUT_CHARACTERS:
        at_limit, ended = signs.at_limit.occurrences().n, signs.ended.occurrences().n
        near = sum(signs.near[1:])
        enough = max(CUT_TEXTS, CUT_SHARE * signs.texts, CUT_SPIKE * near / CUT_NEAR)
        if at_limit >= enough and ended <= at_limit / 2:
            yield Said(
                f"{at_limit:,} {of} have exactly {signs.longest:,} characters, the most there is, and most stop in "
                "mid-sentence: they may have been cut off there"
            )
    if signs.marked >= max(CUT_TEXTS, _MARKED_SHARE * signs.texts):
        yield f"{signs.marked:,} {of} end in a mark of truncation such as '\u2026' or '[...]'"
