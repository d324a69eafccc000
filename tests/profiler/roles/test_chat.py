"""The same conversation has the same texts in every form in which people write it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.roles.chat import Conversation, is_chat, turns

words = st.text("abc .?", min_size=1, max_size=10).filter(lambda text: text.strip() != "")
arguments = st.dictionaries(st.sampled_from(["city", "days"]), words | st.integers(0, 9), max_size=2)
step = st.one_of(
    st.tuples(st.just("user"), words),
    st.tuples(st.just("assistant"), words),
    st.tuples(st.just("call"), arguments),
    st.tuples(st.just("result"), words),
)
# Of a call behind a text, two forms say in different ways that they are one turn.
conversations = st.lists(step, min_size=1, max_size=6).filter(
    lambda steps: not any({a, b} <= {"assistant", "call"} for (a, _), (b, _) in pairwise(steps))
)


def openai(steps: list[tuple[str, Any]], content: bool = True, packed: bool = True) -> list[dict[str, Any]]:
    found = []
    for who, what in steps:
        if who == "call":
            call = {"name": "f", "arguments": json.dumps(what) if packed else what}
            turn = {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": call}]}
            found.append(turn | ({"content": None} if content else {}))
        else:
            found.append({"role": "tool" if who == "result" else who, "content": what})
    return found


def sharegpt(steps: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    names = {"user": "human", "assistant": "gpt", "call": "function_call", "result": "observation"}
    return [
        {"from": names[who], "value": json.dumps({"name": "f", "arguments": what}) if who == "call" else what}
        for who, what in steps
    ]


def anthropic(steps: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for who, what in steps:
        if who == "call":
            part = {"type": "tool_use", "id": "1", "name": "f", "input": what}
            found.append({"role": "assistant", "content": [part]})
        elif who == "result":
            found.append({"role": "user", "content": [{"type": "tool_result", "content": what}]})
        else:
            found.append({"role": who, "content": [{"type": "text", "text": what}]})
    return found


def said(value: Any) -> tuple[list[str], str | None, int, bool]:
    found = turns(value, "messages", "line 1")
    return found.prompt, found.response, found.after, found.calls


@given(conversations)
def test_one_conversation_in_every_form(steps: list[tuple[str, Any]]) -> None:
    expected = said(openai(steps))
    merged = [turn | {"role": None, "content": None} for turn in sharegpt(steps)]
    columns = [{"content": None, "tool_calls": None, "reasoning_content": None} | turn for turn in openai(steps)]
    forms = [sharegpt(steps), anthropic(steps), openai(steps, content=False), openai(steps, packed=False)]
    for form in (*forms, merged, columns, json.dumps(openai(steps)), json.dumps(sharegpt(steps))):
        assert said(form) == expected
        assert isinstance(form, str) or is_chat(form)
    texts = [what for who, what in steps if who != "call"]
    every = "\n".join([*expected[0], expected[1] or ""])
    assert expected[2] or all(text in every for text in texts)


def test_a_turn_may_lack_its_content() -> None:
    steps = openai([("user", "go"), ("call", {}), ("result", "x"), ("assistant", "done")])
    del steps[2]["content"]
    assert is_chat(steps)
    assert turns(steps, "messages", "line 1").prompt == ["go", '{"name": "f", "arguments": {}}', ""]


def test_a_call_is_part_of_the_turn_that_it_follows() -> None:
    turn = {"role": "assistant", "content": "I look.", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    found = turns([{"role": "user", "content": "go"}, turn], "messages", "line 1")
    assert (found.prompt, found.response, found.calls) == (["go"], 'I look.\n{"name": "f", "arguments": {}}', True)


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_read_before_its_answer(key: str) -> None:
    asked = {"role": "user", "content": "2 + 2?"}
    found = turns([asked, {"role": "assistant", key: "easy", "content": "4"}], "messages", "line 1")
    assert found.response == "<think>\neasy\n</think>\n\n4"
    parts = [{"type": "thinking", "thinking": "easy"}, {"type": "text", "text": "4"}]
    assert turns([asked, {"role": "assistant", "content": parts}], "messages", "line 1").response == found.response


def test_what_is_not_text_is_counted() -> None:
    parts = [
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "what is it?"},
        {"type": "image"},
    ]
    found = turns([{"role": "user", "content": parts}, {"role": "assistant", "content": "a cat"}], "messages", "line 1")
    assert (found.prompt, dict(found.left_out)) == (["what is it?"], {"image_url": 1, "image": 1})


def test_what_is_no_chat() -> None:
    for value in (None, [], "hi", [{"who": "me"}], [{"role": "user"}], [{"start": 0, "end": 1, "text": "a"}], ["a"]):
        assert not is_chat(value)


def spoken(*speakers: str, texts: str = "hello") -> list[dict[str, Any]]:
    return [{"role": speaker, "content": texts} for speaker in speakers]


CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("conversation", "faults"),
    [
        (spoken("system", "user", "assistant", "user", "assistant"), set()),
        (spoken("user", "user", "assistant"), {"turn_order"}),
        (spoken("assistant", "user", "assistant"), {"turn_order"}),
        (spoken("user", "assistant", "assistant"), {"turn_order"}),
        (spoken("system", "user", "assistant", "system", "user", "assistant"), {"late_system"}),
        (spoken("system", "developer", "user", "assistant"), set()),
        (spoken("user", "narrator", "user", "assistant"), set()),
        ([*spoken("system", texts=" "), *spoken("user", "assistant")], {"empty_turn"}),
        ([*spoken("user"), *spoken("assistant", texts="")], set()),
        ([*spoken("user"), CALL, *spoken("tool", "tool", "assistant")], set()),
        ([*spoken("user"), CALL], set()),
        ([*spoken("user"), CALL, *spoken("user", "assistant")], {"unanswered_call"}),
        ([*spoken("user"), CALL, *spoken("assistant")], {"unanswered_call"}),
        ([*spoken("user"), *spoken("tool", "assistant")], {"turn_order"}),
        (
            [
                *spoken("user"),
                {"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "content": "5"}]},
                *spoken("assistant"),
            ],
            set(),
        ),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, *spoken("assistant")], set()),
        ([{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], set()),
        ([{"user": "a", "assistant": "b"}, {"user": "", "assistant": "d"}], {"empty_turn"}),
    ],
)
def test_faults_of_turns(conversation: list[dict[str, Any]], faults: set[str]) -> None:
    assert turns(conversation, "messages", "line 1").faults == faults


def test_parts_of_texts_and_plain_utterances() -> None:
    """As Gemini exports conversations, and as a list of texts without speakers."""
    parts = [{"role": "user", "parts": [{"text": "a "}, {"text": "b"}]}, {"role": "model", "parts": [{"text": "c"}]}]
    assert is_chat(parts)
    found = turns(parts, "contents", "row 1")
    assert (found.prompt, found.response) == (["a b"], "c")
    plain = turns(["a", "b", "c"], "dialogue", "row 1")
    assert (plain.prompt, plain.response) == (["a", "b"], "c")
    assert turns(["a", "b"], "dialogue", "row 1", whole=True).prompt == ["a", "b"]


def test_what_tools_give_and_calls_of_any_form_are_text() -> None:
    call = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": []}]

    def answered(**calls: Any) -> Conversation:
        return turns([call[0], {**call[1], **calls}], "messages", "line 1")

    custom = answered(tool_calls=[{"type": "custom", "custom": {"name": "f", "input": "x"}}])
    assert custom.response == '{"name": "f", "arguments": "x"}'
    assert answered(tool_calls=[{"tool_name": "f", "args": {}}]).response == '{"name": "f", "arguments": {}}'
    for nothing in ({"tool_calls": [{"id": None, "function": {"name": None}}]}, {"function_call": {"name": None}}):
        assert answered(**nothing, content="yes").response == "yes"
        assert not answered(**nothing, content="yes").calls
    assert answered(tool_calls=[{"do": "this"}]).response == '{"do": "this"}'
    for content in ({"temp": 20}, [{"temp": 20}, {"temp": 21}]):
        told = turns(
            [*call, {"role": "tool", "content": content}, {"role": "assistant", "content": "b"}], "m", "line 1"
        )
        assert json.loads(told.prompt[-1]) == content
        assert told.left_out == {}


def test_reasoning_of_gemini_and_turns_of_langchain() -> None:
    thought = [
        {"role": "user", "parts": [{"text": "a"}]},
        {"role": "model", "parts": [{"text": "hm", "thought": True}]},
    ]
    thought[1]["parts"].append({"text": "b"})
    assert turns(thought, "contents", "row 1").response == "<think>\nhm\n</think>\n\nb"
    chain = [{"type": "human", "content": "a"}, {"type": "ai", "content": "b"}]
    assert is_chat(chain)
    assert turns(chain, "messages", "row 1").response == "b"
    assert not is_chat([{"type": "text", "content": "a"}])
