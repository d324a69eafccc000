"""Prompts: from a row with roles to token ids, one versioned format for training and scoring alike.

Owns the words around the data (instruction, field names, options, chat template), how an answer is joined to
its prompt, and what is cut from a prompt that is too long. It never reads files, and knows neither models nor
scores. `FORMAT` is part of every adapter and cell key: change the text of a prompt only together with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from traitcast.warehouse.errors import InputError, UserError

FORMAT = "v1"

# Zhao et al. 2021, "Calibrate Before Use": what stands in for the text of a content-free prompt.
CONTENT_FREE = "N/A"

_PLAIN_TAIL = "\nAnswer:"
_PROBE = "traitcast probe content"
# A template that states the date would change the prompts of a matrix that is resumed tomorrow.
_ONE_DAY = "{%- macro strftime_now(form) -%}26 Jul 2024{%- endmacro -%}"


@dataclass(frozen=True, slots=True)
class Task:
    """What a dataset asks. labels: class names of a classification, in the order of its gold indices."""

    name: str
    task_type: str
    metric: str
    instruction: str = ""
    field_names: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def has_options(self) -> bool:
        return self.task_type != "generation"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a task. gold: index into the options (or the task's labels); None for a generation."""

    fields: tuple[str, ...]
    response: str
    options: tuple[str, ...] = ()
    gold: int | None = None

    def choices(self, task: Task) -> tuple[str, ...]:
        """The answers that compete: the row's own options, else the labels of the task."""
        return self.options or task.labels


@dataclass(frozen=True, slots=True)
class PromptSettings:
    """max_prompt_tokens, max_answer_tokens: longer ones are cut (prompts from the left of their longest field,
    answers from the right) and counted. list_labels_up_to: a classification with more labels than this does not
    list them, since 150 of them would be most of the prompt. chat: None follows the tokenizer."""

    max_prompt_tokens: int = 512
    max_answer_tokens: int = 256
    list_labels_up_to: int = 20
    chat: bool | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one row. answers: one list per competing answer, or the reference alone for a generation.

    An answer carries no end-of-text token; training adds it. cut_prompt, cut_answer: something was left out.
    """

    prompt: list[int]
    answers: list[list[int]]
    gold: int
    cut_prompt: bool = False
    cut_answer: bool = False


class Prompter:
    """Encodes rows with one tokenizer and one setting."""

    def __init__(self, tokenizer: Any, settings: PromptSettings | None = None) -> None:
        self.tokenizer = tokenizer
        self.settings = settings or PromptSettings()
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if self.settings.chat and not has_template:
            raise UserError("chat prompts were asked for, but the tokenizer has no chat template; use chat=None")
        self.chat = has_template if self.settings.chat is None else self.settings.chat
        self.head, self.tail = self._chat_frame() if self.chat else ("", _PLAIN_TAIL)
        self._answers: dict[str, list[int]] = {}
        if tokenizer.eos_token_id is None:
            raise UserError("the tokenizer has no end-of-text token: training could not teach an adapter to stop")
        self.end = int(tokenizer.eos_token_id)

    def _chat_frame(self) -> tuple[str, str]:
        """The text around the user's turn. Rendered once: a template costs more than the tokens it makes."""
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": _PROBE}],
            tokenize=False,
            add_generation_prompt=True,
            chat_template=_ONE_DAY + self.tokenizer.get_chat_template(),
        )
        head, found, tail = text.partition(_PROBE)
        if not found:
            raise UserError("the chat template does not show the user's turn; use chat=False for plain prompts")
        return head, tail

    def text(self, task: Task, row: Row, fields: Sequence[str] | None = None) -> str:
        """The prompt of a row as text; `fields` replaces the row's own (shortened, or content-free)."""
        return f"{self.head}{body(task, row, self.settings.list_labels_up_to, fields)}{self.tail}"

    def encode(self, task: Task, rows: Sequence[Row]) -> list[Encoded]:
        """Encode rows, in order. Raises InputError for a row without an answer to score."""
        prompts = self._ids([self.text(task, row) for row in rows])
        self._learn([text for row in rows for text in self._answer_texts(task, row)])
        return [self._encode_row(task, row, ids, at) for at, (row, ids) in enumerate(zip(rows, prompts, strict=True))]

    def content_free(self, task: Task, rows: Sequence[Row]) -> list[Encoded]:
        """The same rows with every field replaced by "N/A": what the model answers before it reads anything."""
        blank = [Row(tuple(CONTENT_FREE if f else f for f in r.fields), r.response, r.options, r.gold) for r in rows]
        return self.encode(task, blank)

    def _encode_row(self, task: Task, row: Row, ids: list[int], at: int) -> Encoded:
        limit = self.settings.max_prompt_tokens
        cut = len(ids) > limit
        if cut:
            ids = self._shorten(task, row, ids)
        texts = self._answer_texts(task, row)
        if not texts or (task.has_options and row.gold is None):
            raise InputError(f"{task.name}: row {at} has no answer to score; check its label or answer field")
        answers = [self.answer(text) for text in texts]
        room = self.settings.max_answer_tokens
        return Encoded(
            ids,
            [a[:room] for a in answers],
            row.gold or 0,
            cut_prompt=cut,
            cut_answer=any(len(a) > room for a in answers),
        )

    def _shorten(self, task: Task, row: Row, ids: list[int]) -> list[int]:
        """Cut the longest field from its left until the prompt fits; the end of a text is nearest its question.

        Where instruction and options alone are too long, the last tokens of the prompt are kept.
        """
        fields, limit = list(row.fields), self.settings.max_prompt_tokens
        while len(ids) > limit:
            longest = max(range(len(fields)), key=lambda i: len(fields[i]), default=0)
            if not fields or not fields[longest]:
                return ids[-limit:]
            text = fields[longest]
            tokens = max(len(self._ids([text])[0]), 1)
            # Characters per token vary, so cut in proportion and look again; at least one character goes.
            keep = min(int(len(text) * max(0.0, 1 - (len(ids) - limit) / tokens)), len(text) - 1)
            fields[longest] = text[-keep:] if keep else ""
            ids = self._ids([self.text(task, row, fields)])[0]
        return ids

    @staticmethod
    def _answer_texts(task: Task, row: Row) -> tuple[str, ...]:
        return row.choices(task) if task.has_options else (row.response,)

    def answer(self, text: str) -> list[int]:
        """Token ids of an answer after a prompt, as lm-evaluation-harness encodes the pair.

        The answer is encoded together with the fixed end of the prompt and split where that ends, so that
        tokenizers which mark word starts do not see a false one.
        """
        self._learn([text])
        return self._answers[text]

    def _learn(self, texts: Sequence[str]) -> None:
        """Encode new answers, all in one call: one by one they would take longer than the prompts."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._answers]
        if not fresh:
            return
        joined = [text.strip() if self.chat else f" {text.strip()}" for text in fresh]
        context = self._bare([self.tail])[0]
        whole = self._bare([self.tail + text for text in joined])
        for text, alone, ids in zip(fresh, joined, whole, strict=True):
            split = ids[len(context) :] if ids[: len(context)] == context else self._bare([alone])[0]
            self._answers[text] = split or [self.end]

    def _bare(self, texts: list[str]) -> list[list[int]]:
        found = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        return [list(ids) for ids in found]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        # A chat template writes its own start-of-text token.
        found = self.tokenizer(texts, add_special_tokens=not self.chat, return_attention_mask=False)["input_ids"]
        return [list(ids) for ids in found]


def body(task: Task, row: Row, list_labels_up_to: int, fields: Sequence[str] | None = None) -> str:
    """The words of a prompt without the frame of a chat; arguments as in `Prompter.text` and `PromptSettings`."""
    parts = [task.instruction.strip()] if task.instruction.strip() else []
    parts.append("\n".join(_field_lines(task.field_names, row.fields if fields is None else fields)))
    choices = row.choices(task)
    if row.options or 0 < len(choices) <= list_labels_up_to:
        parts.append("Options:\n" + "\n".join(f"- {choice}" for choice in choices))
    return "\n\n".join(part for part in parts if part).strip()


def _field_lines(names: Sequence[str], values: Sequence[str]) -> list[str]:
    """ "Premise: ..." lines; a lone field needs no name, an empty one no line."""
    if len(names) != len(values):
        return [value.strip() for value in values if value and value.strip()]
    if len(values) == 1:
        return [values[0].strip()]
    titles = [name.replace("_", " ").strip().capitalize() for name in names]
    return [f"{title}: {value.strip()}" for title, value in zip(titles, values, strict=True) if value and value.strip()]
