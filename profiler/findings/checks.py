"""The catalogue of checks: what each looks for, how bad a hit is, and what to do about it.

Owns names, severities and sentences; the code that finds the rows is in the other modules of this folder. A check is
added here and in one of them. Refuses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from traitcast.profiler.reading.tally import EMPTY_ROW, NO_LABEL, TIED_PAIR, UNKNOWN_LABEL
from traitcast.profiler.text.estimates import Ints
from traitcast.warehouse.errors import InputError, nearest
from traitcast.warehouse.records import FoundRows

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)
ONE_CLASS = "one_class"
# What --ignore calls the warnings of reading, which are of no single row.
READING = "reading"
# Row numbers that a finding shows; all of them are in `Finding.rows`.
EXAMPLES = 5
# Row numbers that the warehouse keeps of a finding; `traitcast check --rows` prints all of them.
STORED = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of fault.

    Parameters
    ----------
    name
        Identifier, as in SQL and in `--drop`.
    severity
        `error`: the numbers of a model trained or tested on such rows are wrong. `warning`: it probably is a mistake.
        `info`: worth a look.
    sentence
        What is said of the rows found, after "12 rows (5.0 %) ".
    one
        The same of a single row.
    cure
        What to do.
    """

    name: str
    severity: str
    sentence: str
    one: str
    cure: str


CHECKS = (
    Check(
        "split_leak",
        ERROR,
        "have a prompt that another split has too",
        "has a prompt that another split has too",
        "Drop them from the training split: traitcast filter DATASET --drop split_leak --out FOLDER",
    ),
    Check(
        "contamination",
        ERROR,
        "have a prompt that another dataset has too",
        "has a prompt that another dataset has too",
        "A model tuned on them has seen that dataset: drop them.",
    ),
    Check(
        "near_split_leak",
        WARNING,
        "have a prompt that nearly repeats one of another split",
        "has a prompt that nearly repeats one of another split",
        "Drop those that ask the same: traitcast filter DATASET --drop near_split_leak --out FOLDER",
    ),
    Check(
        "near_contamination",
        WARNING,
        "have a prompt that nearly repeats one of another dataset",
        "has a prompt that nearly repeats one of another dataset",
        "Read them; a model tuned on those that ask the same has seen that dataset.",
    ),
    Check(
        "conflicting_labels",
        ERROR,
        "have the prompt of another row but another label",
        "has the prompt of another row but another label",
        "Decide on one label for each prompt, or drop all of them.",
    ),
    Check(
        "equal_pair",
        ERROR,
        "have the same text chosen and rejected",
        "has the same text chosen and rejected",
        "Drop them: there is nothing to prefer.",
    ),
    Check(
        "turned_pair",
        ERROR,
        "prefer what another row with the same prompt rejects",
        "prefers what another row with the same prompt rejects",
        "Decide which response is better, or drop both rows.",
    ),
    Check("empty_prompt", ERROR, "have no text to read", "has no text to read", "Drop them."),
    Check("empty_response", ERROR, "have an empty response", "has an empty response", "Fill it in, or drop them."),
    Check(
        "wrong_encoding",
        ERROR,
        "hold text that was decoded with the wrong encoding, such as 'cafÃ©'",
        "holds text that was decoded with the wrong encoding, such as 'cafÃ©'",
        "Decode the source as UTF-8 again, or mend the texts with ftfy.",
    ),
    Check(
        "glued_rows",
        ERROR,
        "hold several rows in one cell",
        "holds several rows in one cell",
        "A quote or a line end was read wrongly: write the file again as JSON Lines.",
    ),
    Check(
        "secret",
        ERROR,
        "hold what looks like a password, key or access token",
        "holds what looks like a password, key or access token",
        "Remove it, and revoke the key: a tuned model can repeat it.",
    ),
    Check(
        UNKNOWN_LABEL,
        ERROR,
        "have an answer that training rows do not have, or that is no option, and are left out",
        "has an answer that training rows do not have, or that is no option, and is left out",
        "Write answers alike in all splits, or drop them.",
    ),
    Check(
        NO_LABEL,
        WARNING,
        "have no label or answer and are left out",
        "has no label or answer and is left out",
        "Fill it in, or drop them: traitcast filter DATASET --drop no_label --out FOLDER",
    ),
    Check(
        EMPTY_ROW,
        WARNING,
        "have neither prompt nor answer and are left out",
        "has neither prompt nor answer and is left out",
        "Drop them: traitcast filter DATASET --drop empty_row --out FOLDER",
    ),
    Check(
        ONE_CLASS,
        WARNING,
        "have the only label in the dataset",
        "has the only label in the dataset",
        "Add rows of other classes: a model learns to say this whatever it reads.",
    ),
    Check(
        "exact_duplicate",
        WARNING,
        "repeat an earlier row word for word",
        "repeats an earlier row word for word",
        "Drop them: traitcast filter DATASET --drop exact_duplicate --out FOLDER",
    ),
    Check(
        "turn_order",
        WARNING,
        "have turns out of order: they begin with an answer, or one side speaks twice in a row",
        "has turns out of order: it begins with an answer, or one side speaks twice in a row",
        "Join or drop such turns: a chat template refuses the row, or trains on the wrong turn.",
    ),
    Check(
        "late_system",
        WARNING,
        "have a system turn after the first turns",
        "has a system turn after the first turns",
        "Move it to the start: elsewhere chat templates refuse it, or leave it out.",
    ),
    Check(
        "empty_turn",
        WARNING,
        "have an empty turn before the response",
        "has an empty turn before the response",
        "Fill it in, or drop the turn.",
    ),
    Check(
        "unanswered_call",
        WARNING,
        "have a tool call that no result follows",
        "has a tool call that no result follows",
        "Add the result as a tool turn, or cut the conversation before the call.",
    ),
    Check(
        "longer_chosen",
        WARNING,
        "prefer the longer response",
        "prefers the longer response",
        "A model learns to write more, whatever is asked: add pairs in which the shorter one is better.",
    ),
    Check(
        "over_context",
        WARNING,
        "are longer than {limit} tokens, prompt and response together",
        "is longer than {limit} tokens, prompt and response together",
        "Cut or drop them, or train with a longer context: what is beyond it is cut in silence.",
    ),
    Check(
        "lost_character",
        WARNING,
        "hold U+FFFD, which stands for a character that was lost",
        "holds U+FFFD, which stands for a character that was lost",
        "Decode the source again with its right encoding.",
    ),
    Check(
        "cut_response",
        WARNING,
        "have a response that stops in mid-sentence at the greatest length there is",
        "has a response that stops in mid-sentence at the greatest length there is",
        "The responses were cut at a limit: generate or export them again with a higher one.",
    ),
    Check(
        "refusal",
        WARNING,
        "answer with a refusal or speak of being an AI",
        "answers with a refusal or speaks of being an AI",
        "Drop them unless the model is meant to refuse.",
    ),
    Check(
        "personal_data",
        WARNING,
        "hold an e-mail address, a phone number or a payment card number",
        "holds an e-mail address, a phone number or a payment card number",
        "Replace them: a tuned model can repeat them.",
    ),
    Check(
        TIED_PAIR,
        INFO,
        "prefer neither response and are left out",
        "prefers neither response and is left out",
        "Nothing to do, unless a verdict is missing.",
    ),
    Check(
        "near_duplicate",
        INFO,
        "nearly repeat an earlier row in every field",
        "nearly repeats an earlier row in every field",
        "Drop them unless details are the task: traitcast filter DATASET --drop near_duplicate --out FOLDER",
    ),
    Check(
        "label_noise",
        INFO,
        "have a label that a linear model of the words contradicts with confidence",
        "has a label that a linear model of the words contradicts with confidence",
        "Read them; some are wrong, some are only hard.",
    ),
    Check(
        "shortcut_labels",
        WARNING,
        "have a label that something besides the meaning gives away",
        "has a label that something besides the meaning gives away",
        "A model learns this instead of the task: add rows where it misleads, or even it out.",
    ),
    Check(
        "rare_class",
        WARNING,
        "belong to a class with fewer than {limit} rows",
        "belongs to a class with fewer than {limit} rows",
        "Add rows, merge the class into another, or drop it.",
    ),
    Check(
        "label_keywords",
        INFO,
        "have a label that one word gives away",
        "has a label that one word gives away",
        "Fine where the word is the task; else add rows where it misleads.",
    ),
    Check(
        "shared_opening",
        INFO,
        "begin their response with {words} words that many share",
        "begins its response with {words} words that many share",
        "The model learns to say this first, whatever is asked; cut it if that is not wanted.",
    ),
    Check(
        "shared_closing",
        INFO,
        "end their response with {words} words that many share",
        "ends its response with {words} words that many share",
        "The model learns to say this last, whatever is asked; cut it if that is not wanted.",
    ),
    Check(
        "length_outlier",
        INFO,
        "are far longer or shorter than the others",
        "is far longer or shorter than the others",
        "Read the extremes; they are often another kind of text.",
    ),
    Check(
        "odd_rows",
        INFO,
        "are made of other characters than the others",
        "is made of other characters than the others",
        "Read them; they are often tables, dumps, shouting or a model in a loop.",
    ),
    Check(
        "other_script",
        INFO,
        "are written in another script than most",
        "is written in another script than most",
        "Drop them if the task is in one language.",
    ),
    Check(
        "other_language",
        INFO,
        "are in another language than the dataset",
        "is in another language than the dataset",
        "Drop them if the task is in one language.",
    ),
    Check(
        "markup",
        INFO,
        "hold HTML tags or entities",
        "holds HTML tags or entities",
        "Strip the markup unless the task is about it.",
    ),
)
BY_NAME = {check.name: check for check in CHECKS}
# Checks of rows that are left out in reading.
UNREAD = (UNKNOWN_LABEL, NO_LABEL, EMPTY_ROW, TIED_PAIR)
# What a check needs beyond the dataset, as an option of the command line.
NEEDS = {
    "over_context": "--context TOKENS",
    "contamination": "--against DATASET",
    "near_contamination": "--against DATASET",
}


def check_names(names: Iterable[str]) -> None:
    """Raise InputError for the first name that is not a check."""
    for name in names:
        if name == READING:
            raise InputError(
                "reading: these warnings are of no single row, so none can be listed, dropped or counted. `traitcast "
                "check DATASET` prints them, and --ignore reading leaves them out"
            )
        if name not in BY_NAME:
            raise InputError(f"unknown check {name!r}{_nearest(name)} Checks: {', '.join(BY_NAME)}")


def _nearest(name: str) -> str:
    """`nearest` among the checks, the first that holds the word before all: `dup` is exact_duplicate."""
    word = name.casefold().removesuffix("s")
    return nearest(next((check for check in BY_NAME if len(word) > 2 and word in check), name), BY_NAME)


def check_asked(names: Iterable[str], given: Collection[str]) -> None:
    """Raise InputError for the first check that needs an option beyond those that are given, such as `--context`."""
    for name in names:
        if (need := NEEDS.get(name)) is not None and need.split()[0] not in given:
            raise InputError(f"{name} is not looked for without {need.split()[0]}: add {need}")


@dataclass(frozen=True, slots=True)
class Finding:
    """Rows in which one check found its fault.

    Parameters
    ----------
    check
        Name of the check.
    part
        `prompt`, `response`, `label` or `row`.
    rows
        int64, ascending: the rows found, counted from 1 among all rows in the order in which they were read.
    of
        Rows that were looked at.
    filling
        Values for the placeholders of the sentence.
    detail
        What is known beyond the sentence, such as the classes or splits concerned.
    """

    check: str
    part: str
    rows: Ints
    of: int
    filling: dict[str, Any] = field(default_factory=dict)
    detail: str = ""

    @property
    def severity(self) -> str:
        """`error`, `warning` or `info`."""
        return BY_NAME[self.check].severity

    @property
    def count(self) -> int:
        """Rows found."""
        return len(self.rows)

    @property
    def share(self) -> float:
        """Rows found as a share of those looked at."""
        return self.count / self.of if self.of else 0.0

    @property
    def sentence(self) -> str:
        """The finding in words, without row numbers."""
        check = BY_NAME[self.check]
        words = (check.one if self.count == 1 else check.sentence).format(**self.filling)
        rows = "1 row" if self.count == 1 else f"{self.count:,} rows"
        return f"{rows} ({share_words(self.share)}) {words}{f': {self.detail}' if self.detail else ''}"

    def cure(self, dataset: str) -> str:
        """What to do. dataset: the words by which the next command finds the same rows."""
        # Rows that two splits share are those of training to drop, whichever split was looked at.
        words = re.sub(r" --split \S+", "", dataset) if self.check.endswith("split_leak") else dataset
        return BY_NAME[self.check].cure.replace("DATASET", words)

    @property
    def places(self) -> str:
        """The first row numbers: `rows 3, 14, 15 and 9 more`."""
        if self.check == ONE_CLASS:
            return "all rows"
        first = ", ".join(str(row) for row in self.rows[:EXAMPLES])
        more = f" and {self.count - EXAMPLES:,} more" if self.count > EXAMPLES else ""
        return f"row{'' if self.count == 1 else 's'} {first}{more}"

    def record(self) -> FoundRows:
        """The finding as the warehouse keeps it, with the first `STORED` row numbers."""
        rows = tuple(self.rows[:STORED].tolist())
        return FoundRows(self.check, self.part, self.severity, self.count, self.of, self.sentence, rows)

    def as_dict(self, dataset: str, examples: int = EXAMPLES) -> dict[str, Any]:
        """The finding as JSON has it, with the first row numbers only."""
        return {
            "check": self.check,
            "severity": self.severity,
            "part": self.part,
            "count": self.count,
            "of": self.of,
            "share": self.share,
            "message": self.sentence,
            "cure": self.cure(dataset),
            "rows": [int(row) for row in self.rows[:examples]],
        }


def share_words(share: float) -> str:
    """A share as a percentage that is never rounded to 0 or to 100."""
    if 0 < share < 0.001:
        return "under .1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.1f} %"


def found(check: str, part: str, hits: np.ndarray, *, of: int | None = None, **more: Any) -> Finding | None:
    """A finding of the rows marked in `hits` (bool, a value per row), None where there are none."""
    rows = np.flatnonzero(hits).astype(np.int64) + 1
    return Finding(check, part, rows, len(hits) if of is None else of, **more) if len(rows) else None


def ordered(findings: Sequence[Finding | None]) -> list[Finding]:
    """The findings there are, worst first, in the order of the catalogue."""
    place = {check.name: at for at, check in enumerate(CHECKS)}
    there = [finding for finding in findings if finding is not None]
    return sorted(there, key=lambda f: (SEVERITIES.index(f.severity), place[f.check], f.part))
