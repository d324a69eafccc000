"""The prompt format, how answers join their prompts, and what is cut."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="needs an extra: pip install 'traitcast[train]'")

from traitcast.training.plan.prompts import Prompter, PromptSettings, Row, Task
from traitcast.warehouse.errors import InputError, UserError

NLI = Task("nli", "classification", "accuracy", "Does it follow?", ("premise", "hypothesis_text"), ("yes", "no"))
CHOICE = Task("choice", "multiple_choice", "accuracy", "Choose.", ("question",))
TEXT = Task("text", "generation", "rouge_l", "Answer the question.", ("question",))


def test_plain_format_v1(tokenizer: Any) -> None:
    text = Prompter(tokenizer).text(NLI, Row(("plants use water", "soil is food"), "yes", (), 0))
    assert text == (
        "Does it follow?\n\nPremise: plants use water\nHypothesis text: soil is food\n\nOptions:\n- yes\n- no\nAnswer:"
    )
    text = Prompter(tokenizer).text(CHOICE, Row(("what ?",), "b", ("a", "b"), 1))
    assert text == "Choose.\n\nwhat ?\n\nOptions:\n- a\n- b\nAnswer:"
    assert Prompter(tokenizer).text(TEXT, Row(("what ?",), "b")) == "Answer the question.\n\nwhat ?\nAnswer:"


def test_chat_format_v1(chat_tokenizer: Any) -> None:
    prompter = Prompter(chat_tokenizer)
    row = Row(("what ?",), "b", ("a", "b"), 1)
    body = "Choose.\n\nwhat ?\n\nOptions:\n- a\n- b"
    wanted = chat_tokenizer.apply_chat_template(
        [{"role": "user", "content": body}], tokenize=False, add_generation_prompt=True
    )
    assert prompter.text(CHOICE, row) == wanted
    (encoded,) = prompter.encode(CHOICE, [row])
    assert encoded.prompt == chat_tokenizer.encode(wanted, add_special_tokens=False)
    assert prompter.end == chat_tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert chat_tokenizer.decode(encoded.answers[1]) == "b"
    assert not Prompter(chat_tokenizer, PromptSettings(chat=False)).chat


def test_prompts_do_not_follow_the_calendar(chat_tokenizer: Any) -> None:
    """Templates of Llama 3 and others write today's date: a matrix resumed tomorrow would ask otherwise."""
    tokenizer = copy.deepcopy(chat_tokenizer)
    tokenizer.chat_template = "{{ strftime_now('%d %b %Y') }}\n" + chat_tokenizer.chat_template
    assert Prompter(tokenizer).head.startswith("26 Jul 2024\n<|im_start|>user")


def test_empty_fields_and_odd_names(tokenizer: Any) -> None:
    prompter = Prompter(tokenizer)
    assert "Premise" not in prompter.text(NLI, Row(("", "soil"), "yes", (), 0))
    # Chat turns have no column names.
    assert "one\ntwo\nthree" in prompter.text(TEXT, Row(("one", "two", "three"), "b"))


def test_many_labels_are_not_listed(tokenizer: Any) -> None:
    labels = tuple(f"intent {i}" for i in range(21))
    task = Task("intents", "classification", "accuracy", "", ("text",), labels)
    row = Row(("water ?",), "intent 3", (), 3)
    assert Prompter(tokenizer).text(task, row) == "water ?\nAnswer:"
    assert len(Prompter(tokenizer).encode(task, [row])[0].answers) == 21


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=20))
@settings(max_examples=60)
def test_answers_are_split_as_the_harness_splits_them(tokenizer: Any, field: str, option: str) -> None:
    """lm-evaluation-harness encodes context + continuation together and cuts after the context's tokens."""
    if not option.strip():
        return
    prompter = Prompter(tokenizer)
    row = Row((field,), "", (option, "other"), 0)
    (encoded,) = prompter.encode(CHOICE, [row])
    whole = tokenizer.encode(prompter.text(CHOICE, row) + " " + option.strip())
    context = tokenizer.encode(prompter.text(CHOICE, row))
    assert encoded.prompt == context
    assert encoded.answers[0] == whole[len(context) :]


@given(st.integers(0, 400), st.integers(0, 60), st.integers(40, 90))
@settings(max_examples=40)
def test_long_prompts_are_cut_from_the_left_of_the_longest_field(
    tokenizer: Any, first: int, second: int, limit: int
) -> None:
    prompter = Prompter(tokenizer, PromptSettings(max_prompt_tokens=limit))
    row = Row((" ".join(f"w{i}" for i in range(first)), "s " * second), "yes", (), 0)
    whole = len(tokenizer.encode(prompter.text(NLI, row)))
    (encoded,) = prompter.encode(NLI, [row])
    assert len(encoded.prompt) <= limit
    assert encoded.cut_prompt == (whole > limit)
    assert encoded.cut_prompt or len(encoded.prompt) == whole


def test_the_end_of_the_longest_field_stays(tokenizer: Any) -> None:
    prompter = Prompter(tokenizer, PromptSettings(max_prompt_tokens=120))
    (encoded,) = prompter.encode(NLI, [Row(("bad " * 400 + "good film", "soil is food"), "yes", (), 0)])
    text = tokenizer.decode(encoded.prompt)
    assert text.startswith("Does it follow?\n\nPremise: ")
    assert "bad good film\nHypothesis text: soil is food\n" in text
    assert len(encoded.prompt) > 100


def test_options_too_long_to_fit_are_cut_and_counted(tokenizer: Any) -> None:
    prompter = Prompter(tokenizer, PromptSettings(max_prompt_tokens=30))
    (encoded,) = prompter.encode(CHOICE, [Row(("what ?",), "b", ("water " * 50, "b"), 1)])
    assert encoded.cut_prompt
    assert len(encoded.prompt) == 30
    assert tokenizer.decode(encoded.prompt).endswith("Answer:")


def test_long_answers_are_cut_from_the_right(tokenizer: Any) -> None:
    prompter = Prompter(tokenizer, PromptSettings(max_answer_tokens=5))
    short, long = prompter.encode(TEXT, [Row(("q",), "b"), Row(("q",), "the answer is four dollars " * 9)])
    assert (short.cut_answer, long.cut_answer) == (False, True)
    assert len(long.answers[0]) == 5


def test_content_free_prompts_keep_everything_but_the_content(tokenizer: Any) -> None:
    prompter = Prompter(tokenizer)
    rows = [Row(("soil", "water"), "yes", (), 0)]
    (free,) = prompter.content_free(NLI, rows)
    assert tokenizer.decode(free.prompt) == prompter.text(NLI, Row(("N/A", "N/A"), "yes", (), 0))
    assert free.answers == prompter.encode(NLI, rows)[0].answers


def test_what_cannot_be_encoded_is_refused(tokenizer: Any) -> None:
    with pytest.raises(InputError, match="nli: row 1 has no answer to score"):
        Prompter(tokenizer).encode(NLI, [Row(("a", "b"), "yes", (), 0), Row(("a", "b"), "yes")])
    with pytest.raises(UserError, match="the tokenizer has no chat template; use chat=None"):
        Prompter(tokenizer, PromptSettings(chat=True))
