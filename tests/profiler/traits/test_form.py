from __future__ import annotations

import time

import pytest

from tests.profiler.conftest import averaged
from traitcast.profiler.text.documents import documents
from traitcast.profiler.traits import form

PROMPTS = {
    "question_end_share": (["Is it so?", 'He asked "why?"  ', "a (b?)"], ["Is it? Yes.", "no", ""]),
    "wh_question_share": (["Tell me: who won?", "What is 2 + 2?"], ["Is it so?", "What a day. Really?"]),
    "instruction_opening_share": (
        ["Write a poem.", "please summarise this", "Classify:"],
        ["Writers meet.", "He wrote"],
    ),
    "cloze_share": (["The ___ is red.", "A [MASK] b", "the (   ) here", "fill _ in"], ["snake_case", "a - b", "f()"]),
    "options_listed_share": (
        ["Pick: A. red B. blue", "(a) one\n(b) two", "1) x 2) y"],
        ["A. Smith left.", "b a", "A: hi\nB: hello", ""],
    ),
    "few_shot_share": (
        ["Q: 1+1?\nA: 2\n\nQ: 2+2?\nA:", "Input: a\nOutput: b\nInput: c"],
        ["Question: who?\nAnswer:", "Text: a"],
    ),
    "step_by_step_share": (["Think step by step.", "Show your work"], ["one step at a time", "explain"]),
    "format_request_share": (
        ["Reply in two sentences.", "give it as JSON", "at most 50 words"],
        ["in two days", "json"],
    ),
    "equation_share": (["2 + 3 = 5", "so x = 7", "3*4", r"\frac{1}{2}"], ["in 2010-2011", "a = b", "5"]),
}
RESPONSES = {
    "equation_share": (["It is 4 * 2 = 8."], ["eight"]),
    "answer_marker_share": (["So the answer is 4.", "5\n#### 5", r"\boxed{3}", "Thus it holds."], ["4", "I answered"]),
    "final_answer_share": (["1 + 1\n#### 2", "The answer is 4.", "x = 3"], ["The answer is\nbelow.\nHere.", "no"]),
    "markdown_share": (["# Title", "a **bold** b", "| a | b |\n", "```py"], ["#tag", "2 ** 3", "#### 18"]),
    "one_letter_share": (["A", " (b) ", "c."], ["AB", "1", "a b", ""]),
    "yes_no_share": (["Yes", "no, never", '"True"', "false."], ["nothing", "yesterday", ""]),
    "upper_start_share": (["Yes", '"No"', "(É"], ["yes", "1A", "", "?"]),
    "full_stop_end_share": (["Done.", 'He said "no!"', "why?", "好。", "a.\n"], ["Done", "3.5", ""]),
    "refusal_share": (["I'm sorry, but I can't.", "As an AI, I", "I cannot say"], ["I can see", "so sorry"]),
    "json_share": (['{"a": 1}', " [1, 2] "], ["{a}", "[x]", "1", "", "[" * 100_000 + "]" * 100_000]),
    "rationale_share": (
        ["He has 3 and gets 4 more, so 3 + 4 = 7."],
        ["3 + 4 = 7", "He has three and gets four more of them for his work."],
    ),
}


@pytest.mark.parametrize("trait", PROMPTS)
def test_prompt_forms_by_hand(trait: str) -> None:
    for share, texts in zip((1, 0), PROMPTS[trait], strict=True):
        for text in texts:
            assert averaged(form.prompt_forms(documents([[text]])), 1)[trait].value == share, text


@pytest.mark.parametrize("trait", RESPONSES)
def test_response_shapes_by_hand(trait: str) -> None:
    for share, texts in zip((1, 0), RESPONSES[trait], strict=True):
        for text in texts:
            assert averaged(form.response_shapes(documents([[text]])), 1)[trait].value == share, text[:20]


def test_every_trait_has_an_example() -> None:
    docs = documents([["a"]])
    assert set(averaged(form.prompt_forms(docs), 1)) == set(PROMPTS)
    assert set(averaged(form.response_shapes(docs), 1)) == set(RESPONSES)


def test_a_prompt_matches_when_one_of_its_texts_does() -> None:
    found = averaged(form.prompt_forms(documents([["Who?", "x"], ["x", "y"], [], ["no"]])), 8)["question_end_share"]
    assert (found.value, found.n) == (pytest.approx(1 / 3), 3)
    assert found.standard_error == pytest.approx((1 / 3) ** 0.5 / 3**0.5 * 0.5**0.5)


def test_nothing_at_all() -> None:
    for docs in (documents([]), documents([[], []])):
        for found in (averaged(form.prompt_forms(docs), 2), averaged(form.response_shapes(docs), 2)):
            assert {e.value for e in found.values()} == {None}


def test_long_texts_take_linear_time() -> None:
    text = "Question: a Answer: b 1 + " * 4000
    started = time.process_time()
    form.prompt_forms(documents([[text]]))
    form.response_shapes(documents([[text]]))
    assert time.process_time() - started < 3
