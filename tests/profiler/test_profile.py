from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from traitcast.profiler import profile as profiling
from traitcast.profiler.language import is_english
from traitcast.profiler.parsing import segmenters
from traitcast.profiler.profile import profile, sample_rows
from traitcast.profiler.reading.reader import read
from traitcast.profiler.text.sketches import KINDS
from traitcast.profiler.traits.catalogue import BY_NAME, CATALOGUE, PAIRS, needs
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import Profile

MakeExamples = Callable[..., Any]

MANY = 60


def _many(make_examples: MakeExamples) -> Any:
    prompts = [[f"The {w} number {i} is here, isn't it?", "Paris"] for i in range(MANY) for w in ("cat", "idea")]
    labels = ["yes" if i % 3 else "no" for i in range(2 * MANY)]
    return make_examples(prompts, labels, labels=labels)


def _values(found: Profile) -> dict[str, float | None]:
    return {trait.trait: trait.value for trait in found.traits}


def test_traits_come_in_the_order_of_the_catalogue_and_in_range(make_examples: MakeExamples) -> None:
    found = profile(_many(make_examples), processes=1)
    assert [t.trait for t in found.traits] == [d.trait for d in CATALOGUE if d.family != PAIRS]
    for trait in found.traits:
        _check_range(trait.trait, trait.value)


def _check_range(name: str, value: float | None) -> None:
    definition = BY_NAME[name]
    if value is None:
        return
    assert math.isfinite(value), name
    slack = 1e-9 * max(1.0, abs(value))
    assert definition.low is None or value >= definition.low - slack, (name, value)
    assert definition.high is None or value <= definition.high + slack, (name, value)


def test_the_parts_of_a_profile(make_examples: MakeExamples) -> None:
    examples = _many(make_examples)
    found = profile(examples, rows=50, entity_rows=20, seed=7, processes=1)
    assert (found.name, found.fingerprint, found.task_type, found.rows) == ("made", "v1:00", "classification", 120)
    assert found.label_counts == (("yes", 80), ("no", 40))
    assert {(s.part, s.kind) for s in found.sketches} == {
        *((part, kind) for part in ("prompt", "response") for kind in KINDS),
    } - {("response", "texts_bottom")}  # its responses have one word
    assert sum(b.n for b in found.length_histograms if b.part == "prompt") == 120
    assert found.details["sample_rows"] == 50
    assert found.details["entity_rows"] == 20
    assert found.details["seed"] == 7
    assert found.details["sentences"] == "dependency parser"
    assert "3.8" in found.details["spacy_model"]
    n = {trait.trait: trait.n for trait in found.traits}
    assert (n["prompt_words_mean"], n["prompt_pos_noun_share"], n["prompt_entities_per_100_tokens"]) == (120, 50, 20)
    values = _values(found)
    assert values["label_majority_share"] == pytest.approx(2 / 3)
    assert values["response_distinct_count"] == 2
    assert values["response_one_token_share"] == 1
    assert values["dataset_prompt_fields_mean"] == 2
    assert values["prompt_words_mean"] == 9
    assert values["prompt_duplicate_share"] == 0


def test_standard_errors_only_where_rows_were_left_out(make_examples: MakeExamples) -> None:
    examples = _many(make_examples)
    errors = {t.trait: t.standard_error for t in profile(examples, rows=None, processes=1).traits}
    by_tier = {BY_NAME[name].tier for name, error in errors.items() if error is not None}
    assert by_tier <= {"entity sample"}
    sampled = {t.trait: t.standard_error for t in profile(examples, rows=50, processes=1).traits}
    assert sampled["prompt_pos_noun_share"] is not None
    assert sampled["prompt_words_mean"] is None


def test_missing_responses_are_drawn_rows_too(make_examples: MakeExamples) -> None:
    """Half the rows have no response: an error from the responses alone would take the sample for half its size."""
    responses = [None if i % 2 else "yes" if i % 3 else "not at all" for i in range(40)]
    examples = make_examples([[f"Is {i} even?"] for i in range(40)], responses)
    names = ("response_tokens_mean", "response_sentences_mean", "response_one_token_share", "dataset_length_ratio_mean")
    everything = {t.trait: t for t in profile(examples, rows=None, processes=1).traits}
    assert {everything[name].standard_error for name in names} == {None}
    assert {everything[name].n for name in (*names, "response_pos_noun_share", "response_corpus_mtld")} == {20}
    sampled = {t.trait: t for t in profile(examples, rows=30, processes=1).traits}
    tokens = [1.0 if r == "yes" else 3.0 for i in sample_rows(40, 30, 0).tolist() if (r := responses[i])]
    expected = np.std(tokens, ddof=1) / math.sqrt(len(tokens)) * math.sqrt(1 - 30 / 40)
    assert sampled["response_tokens_mean"].standard_error == pytest.approx(expected)
    assert sampled["response_tokens_mean"].n == len(tokens)


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_long_text_is_measured_on_its_first_part_in_every_trait_of_the_sample(
    make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    head, tail = "Dogs chase cats. " * 6, "and unquestionably so on " * 20
    monkeypatch.setattr("traitcast.profiler.text.documents.SEGMENT_CHARACTERS", len(head))
    monkeypatch.setattr("traitcast.profiler.profile.SEGMENT_CHARACTERS", len(head))
    short, long = (
        profile(make_examples([[text]] * 2, ["yes", "no"], language=language), processes=1)
        for text in (head, head + tail)
    )
    by_tier = {name: d.tier for name, d in BY_NAME.items()}
    a, b = ({t.trait: t for t in found.traits if by_tier[t.trait] != "all rows"} for found in (short, long))
    assert a == b
    assert _values(long)["prompt_words_mean"] == 18 + 80
    assert _values(long)["prompt_sentence_words_mean"] == (3 if language == "en" else None)
    assert (short.details["texts_cut_short"], long.details["texts_cut_short"]) == (0, 1)
    assert [w for w in long.details["warnings"] if "1 sampled text longer than 102 characters" in w]
    assert not [w for w in short.details["warnings"] if "longer than" in w]


def test_blank_fields_are_neither_fields_nor_lines(make_examples: MakeExamples) -> None:
    found = profile(
        make_examples([["Who?\n\nWhere?\n", ""], ["Why?", " \n"]], ["a", "b"], options=[["x", "y"], ["x", ""]]),
        processes=1,
    )
    values = _values(found)
    assert values["dataset_prompt_fields_mean"] == (3 + 2) / 2
    assert values["prompt_lines_mean"] == (4 + 2) / 2


def test_shares_of_responses_are_over_rows_with_one(make_examples: MakeExamples) -> None:
    values = _values(profile(make_examples([["a"], ["b"], ["c"], ["d"]], ["x", "x", "", None]), processes=1))
    assert values["response_distinct_share"] == pytest.approx(2 / 3)
    assert values["response_majority_share"] == pytest.approx(2 / 3)
    assert values["response_empty_share"] == 2 / 4
    assert values["dataset_duplicate_pair_share"] == 0


def test_same_input_same_profile_on_one_and_two_processes(
    make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("traitcast.profiler.parsing.parser.BATCH_CHARACTERS", 600)
    one = profile(_many(make_examples), rows=70, processes=1)
    two = profile(_many(make_examples), rows=70, processes=2)
    assert one.traits == two.traits
    assert one.details == two.details
    for a, b in zip(one.sketches, two.sketches, strict=True):
        np.testing.assert_array_equal(a.vector, b.vector)


def test_one_and_two_processes_give_the_same_bytes(make_examples: MakeExamples) -> None:
    """With the batches of real work: several of them, long texts in pieces, entities in some."""
    prompts = [[f"The {'old ' * (i % 7)}man number {i} went to Rome in {1900 + i}, didn't he? " * 9] for i in range(60)]
    examples = make_examples([*prompts, ["A long story goes on and on. " * 900]], ["He did."] * 61)
    one, two = (profile(examples, entity_rows=20, processes=n) for n in (1, 2))
    assert _bytes_of(one) == _bytes_of(two)


def _bytes_of(found: Profile) -> tuple[str, list[bytes]]:
    return repr(replace(found, sketches=())), [sketch.vector.tobytes() for sketch in found.sketches]


def test_a_spread_of_equal_values_is_zero(make_examples: MakeExamples) -> None:
    found = profile(make_examples([["It was a fine day, was it not?"]] * 7, ["It was not."] * 7), processes=1)
    assert found.details["spread"]["prompt_pos_verb_share"] == 0
    assert found.details["spread"]["prompt_pos_noun_share"] == 0
    assert set(found.details["spread"].values()) == {0}


def test_the_sample_is_random_and_follows_the_seed() -> None:
    assert sorted(sample_rows(100, None, 3)) == list(range(100))
    np.testing.assert_array_equal(sample_rows(1000, None, 3), np.random.default_rng(3).permutation(1000))
    first, again, other = (sample_rows(10_000, 100, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)
    assert len(set(first)) == 100
    assert 3000 < first.mean() < 7000  # not the head
    assert 2000 < first[:20].mean() < 8000  # nor sorted: any prefix is a sample


def test_a_sample_comes_close_to_all_rows(make_examples: MakeExamples) -> None:
    rng = np.random.default_rng(0)
    nouns, verbs = ("dog", "city", "problem", "river"), ("sees", "takes", "may like", "did not find")
    prompts = [
        [" and ".join(f"the {rng.choice(nouns)} {rng.choice(verbs)} it" for _ in range(rng.integers(1, 5))) + "."]
        for _ in range(600)
    ]
    examples = make_examples(prompts, ["ok"] * 600)
    everything = {t.trait: t.value for t in profile(examples, rows=None, processes=1).traits}
    for trait in profile(examples, rows=300, processes=1).traits:
        if trait.standard_error and trait.trait.startswith("prompt") and BY_NAME[trait.trait].tier == "sample":
            truth = everything[trait.trait]
            assert truth is not None
            assert abs(trait.value - truth) < 4 * trait.standard_error, trait.trait  # type: ignore[operator]


def test_multiple_choice_measures_the_options_and_the_answer_position(make_examples: MakeExamples) -> None:
    found = profile(
        make_examples(
            [["Which one flies?"], ["Which one swims?"]],
            ["a bird", "a fish"],
            labels=["0", "1"],
            options=[["a bird", "a stone"], ["a bird", "a fish"]],
            task_type="multiple_choice",
        ),
        processes=1,
    )
    values = _values(found)
    assert values["dataset_prompt_fields_mean"] == 3
    assert values["prompt_words_mean"] == 7
    assert values["label_entropy_bits"] == 1
    assert values["response_copied_share"] == 1
    assert found.label_counts == (("0", 1), ("1", 1))


def test_generation_has_no_label_traits(make_examples: MakeExamples) -> None:
    values = _values(profile(make_examples([["Hi there"], ["Bye"]], ["You too.", None]), processes=1))
    assert {value for name, value in values.items() if name.startswith("label_")} == {None}
    assert values["response_words_mean"] == 2
    assert values["response_empty_share"] == 0.5


def test_conversations_have_a_histogram_of_turns(make_examples: MakeExamples) -> None:
    turns = [["hello"], ["hello", "yes", "and then"], ["one", "two", "three"]]
    found = profile(make_examples(turns, ["a", "b", "c"], text_fields=(), messages_field="messages"), processes=1)
    bins = [one for one in found.length_histograms if one.unit == "turns"]
    assert [(one.part, one.low, one.high, one.n) for one in bins] == [("prompt", 1, 2, 1), ("prompt", 3, 4, 2)]
    plain = profile(make_examples([["a"], ["b"]], ["a", "b"]), processes=1)
    assert {one.unit for one in plain.length_histograms} == {"words"}


def test_another_language_leaves_the_english_traits_empty_and_says_so(make_examples: MakeExamples) -> None:
    examples = make_examples([["Das ist ein Satz."], ["Noch einer, bitte."]], ["gut", "schlecht"], language="eo")
    found = profile(examples, processes=1)
    for trait in found.traits:
        if needs(BY_NAME[trait.trait]) not in (None, "words"):
            assert trait.value is None, trait.trait
    values = _values(found)
    assert values["prompt_words_mean"] == 3.5
    assert values["prompt_type_token_ratio"] == 1
    assert values["response_distinct_count"] == 2
    assert any("language is 'eo'" in warning and "--spacy-model" in warning for warning in found.details["warnings"])
    assert found.details["spacy_model"] is None


@pytest.mark.parametrize(
    ("language", "text"), [("zh", "我昨天借了一本书。"), ("ja", "昨日本を借りました。"), ("th", "เมื่อวานฉันยืมหนังสือ")]
)
def test_a_script_without_spaces_has_no_words(
    make_examples: MakeExamples, language: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text is one run between spaces, so every word trait would say so of all datasets."""
    monkeypatch.setattr(segmenters, "version", _absent)
    examples = make_examples([[text]] * 3 + [["别的句子"]], ["好。"] * 4, labels=["a", "b"] * 2, language=language)
    found = profile(examples, processes=1)
    for trait in found.traits:
        if needs(BY_NAME[trait.trait]) == "words":
            assert trait.value is None, trait.trait
    values = _values(found)
    assert values["prompt_near_duplicate_share"] == 0.75
    assert values["prompt_characters_mean"] == (3 * len(text) + 4) / 4
    assert values["response_distinct_count"] == 1
    assert found.length_histograms == ()
    assert any("on words between spaces" in warning for warning in found.details["warnings"])
    assert any("`pip install " in warning for warning in found.details["warnings"])
    assert found.details["segmenter"] is None


def _absent(package: str) -> str:
    raise PackageNotFoundError(package)


@pytest.mark.parametrize(
    ("language", "package", "text", "words"),
    [
        ("zh", "jieba", "你好，订单的状态。\n谢谢！", ["你好，", "订单", "的", "状态。", "谢谢！"]),
        ("ja", "sudachipy", "注文の状況を知りたい。", ["注文", "の", "状況", "を", "知り", "たい。"]),
        ("th", "pythainlp", "ผมอยากดูคำสั่งซื้อ", ["ผม", "อยาก", "ดู", "คำ", "สั่งซื้อ"]),
    ],
)
def test_a_segmenter_gives_the_words(
    make_examples: MakeExamples, language: str, package: str, text: str, words: list[str]
) -> None:
    pytest.importorskip(package, reason="needs an extra: pip install 'traitcast[words]'")
    assert segmenters.spaced(make_examples([[text]], [""]).table, language=language)["fields"][0].as_py() == [
        " ".join(words).replace("状态。 谢谢", "状态。\n谢谢")
    ]
    examples = make_examples([[text]] * 3 + [[text + text]], ["好。"] * 4, labels=["a", "b"] * 2, language=language)
    found = profile(examples, processes=1)
    values = _values(found)
    # What rests on words is that of texts with spaces; all else, such as characters, that of the texts as they are.
    assert values["prompt_words_mean"] == pytest.approx(len(words) * 5 / 4, abs=0.3)
    assert values["prompt_characters_mean"] == len(text) * 5 / 4
    assert values["prompt_near_duplicate_share"] is not None
    assert values["prompt_type_token_ratio"] is not None
    assert values["label_length_information"] is not None
    assert {one.unit for one in found.length_histograms} == {"words"}
    assert found.details["segmenter"].startswith(package)
    assert not any("on words between spaces" in warning for warning in found.details["warnings"])


def test_text_that_does_not_look_english_is_a_warning(make_examples: MakeExamples) -> None:
    german = [["Für größere Städte wäre das möglich, schönes Wetter vorausgesetzt."]] * 3
    found = profile(make_examples(german, ["Jäger"] * 3, language=None), processes=1)
    assert any("do not look English" in warning for warning in found.details["warnings"])
    english = profile(
        make_examples([["The café on the corner was closed."]] * 3, ["ok"] * 3, language=None), processes=1
    )
    assert not any("look English" in warning for warning in english.details["warnings"])


@pytest.mark.parametrize(
    ("language", "english"),
    [(None, True), ("en", True), ("EN-us", True), ("en_GB", True), ("English", True), ("de", False), ("enm", False)],
)
def test_what_counts_as_english(language: str | None, english: bool) -> None:
    assert is_english(language) is english


def test_nearly_constant_labels_are_a_warning(make_examples: MakeExamples) -> None:
    labels = ["a"] * 99 + ["b"]
    found = profile(make_examples([["text"]] * 100, labels, labels=labels), processes=1)
    assert any("nearly constant: 99.0%" in warning for warning in found.details["warnings"])


def test_progress_counts_to_the_end(make_examples: MakeExamples) -> None:
    seen: list[tuple[int, int]] = []
    profile(_many(make_examples), processes=1, on_progress=lambda *at: seen.append(at))
    assert seen[-1][0] == seen[-1][1] > 100


def test_no_rows_at_all_is_the_user_s_mistake(make_examples: MakeExamples) -> None:
    with pytest.raises(UserError, match=r"0 rows.*1 or more with --rows"):
        profile(make_examples([["a"]], ["b"]), rows=0)


def test_an_unknown_model_fails_before_any_work(make_examples: MakeExamples) -> None:
    with pytest.raises(UserError, match="spacy download no_such_model"):
        profile(make_examples([["a"]], ["b"]), spacy_model="no_such_model")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#",
        "word",
        "😀",
        "42",
        "?!.",
        " ",
        "\n\n",
        "你好",
        "a\u0000",
        "\u200b",
        "'",
        "a\u24b6\u24b6",
        "x" * 5000,
        "!" * 3000,
        "-" * 50,
        "1234567890 " * 20,
        "мир 世界 a١ שלום",
        "\ufffd \ufffd\ufffd",
    ],
    ids=lambda text: repr(text[:8]),
)
def test_every_trait_on_odd_text_is_none_or_in_range(make_examples: MakeExamples, text: str) -> None:
    for rows in (1, 3):
        for others in (
            {},
            {"labels": ["a", "b", None][:rows]},
            {"labels": ["0"] * rows, "options": [[text, "b"]] * rows},
        ):
            found = profile(make_examples([[text]] * rows, [text] * rows, **others), processes=1)
            for trait in found.traits:
                _check_range(trait.trait, trait.value)


@pytest.mark.parametrize("text", ["word " * 200_000, "x" * 1_000_000, "1234567890" * 100_000], ids=lambda t: t[:5])
def test_every_trait_on_a_million_characters(
    make_examples: MakeExamples, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """The parse sees 5,000 of them here: it is linear, and 100,000 take seconds."""
    monkeypatch.setattr("traitcast.profiler.text.documents.SEGMENT_CHARACTERS", 5000)
    found = profile(make_examples([[text]], ["a"], labels=["a"]), processes=1)
    for trait in found.traits:
        _check_range(trait.trait, trait.value)
    assert _values(found)["prompt_characters_mean"] == 1_000_000


def test_half_a_surrogate_pair_reaches_every_trait_as_a_replacement(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"text": "\\ud83d broken", "label": "a"}\n{"text": "\\udc00", "label": "b"}\n', encoding="utf-8")
    for trait in profile(read(path), processes=1).traits:
        _check_range(trait.trait, trait.value)


def test_every_mean_has_a_spread_that_its_error_follows(make_examples: MakeExamples) -> None:
    found = profile(_many(make_examples), rows=50, processes=1)
    spread = found.details["spread"]
    for trait in found.traits:
        if trait.standard_error is not None:
            expected = spread[trait.trait] / math.sqrt(trait.n) * math.sqrt(1 - 50 / 120)
            if not trait.trait.startswith(("prompt_ent", "response_ent")):
                assert trait.standard_error == pytest.approx(expected, rel=1e-5), trait.trait
    assert spread["prompt_words_mean"] == 0
    assert "prompt_words_q50" not in spread
    assert len(spread) > 200


def test_character_entropy_by_hand(make_examples: MakeExamples) -> None:
    values = _values(profile(make_examples([["aB"], ["b\tc "]], ["x", "x"]), processes=1))
    # a 1, b 2, space 2, c 1.
    assert values["prompt_character_entropy_bits"] == pytest.approx(2 / 3 * math.log2(3) + 1 / 3 * math.log2(6))
    assert values["response_character_entropy_bits"] == 0


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.lists(st.text(max_size=30), max_size=2), st.none() | st.text(max_size=20)), min_size=1, max_size=5
    )
)
def test_every_trait_on_any_text_is_none_or_in_range(
    make_examples: MakeExamples, rows: list[tuple[list[str], str | None]]
) -> None:
    found = profile(make_examples([p for p, _ in rows], [r for _, r in rows]), processes=1)
    for trait in found.traits:
        _check_range(trait.trait, trait.value)


def test_long_texts_are_parsed_until_the_time_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "PARSED_CHARACTERS", 3000)
    monkeypatch.setattr(profiling, "LEAST_ROWS", 10)
    file = tmp_path / "long.csv"
    file.write_text("text,label\n" + "".join(f"{'a river ' * 12}{n},{'ab'[n % 2]}\n" for n in range(60)), "utf-8")
    examples = read(file)
    cut = profile(examples, rows=50, processes=1)
    assert (cut.details["sample_rows"], cut.details["sample_asked"]) == (30, 50)
    assert any("30 of 50 sampled rows are parsed, since the texts are long" in w for w in cut.details["warnings"])
    whole = profile(examples, rows=None, processes=1)
    assert whole.details["sample_rows"] == whole.details["sample_asked"] == 60
    monkeypatch.setattr(profiling, "PARSED_CHARACTERS", 5)
    assert profile(examples, rows=50, processes=1).details["sample_rows"] == 10
