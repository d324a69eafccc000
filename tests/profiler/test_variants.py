"""Variants: one thing is changed, all else stays, and what is written reads back as a dataset with a parent."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from traitcast.profiler.cli import vary
from traitcast.profiler.reading.examples import Examples
from traitcast.profiler.reading.reader import read
from traitcast.profiler.variants import CHANGES, PREAMBLE, ROWS_FILE, _simplify, write_variants
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.files import locked_folder

TEXTS = ('He said: "Stop it!!!"', "A (plain) one", "No -- not now...", "two  words", "Is IT ?! so")


def write(folder: Path, rows: list[dict[str, object]], spec: str) -> Examples:
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "dataset.yaml").write_text(spec, encoding="utf-8")
    return read(folder)


@pytest.fixture
def reviews(tmp_path: Path) -> Examples:
    """100 rows, 60 of them of class good."""
    rows = [
        {"title": f"{TEXTS[i % 5]} {i}", "body": "" if i % 7 else f"Row {i}", "mark": "good" if i % 5 < 3 else "bad"}
        for i in range(100)
    ]
    spec = (
        "task_type: classification\ntext_fields: [title, body]\noptional_fields: [body]\nlabel_field: mark\n"
        "label_names: [bad, good]\ninstruction: Judge.\nfamily: reviews\n"
    )
    return write(tmp_path / "reviews", rows, spec)


@pytest.fixture
def sums(tmp_path: Path) -> Examples:
    rows = [
        {"question": f"What is {i} and {i}?", "answer": f"We add {i} and {i}, as it says.\n#### {2 * i}"}
        for i in range(20)
    ]
    return write(tmp_path / "sums", rows, "task_type: generation\ntext_fields: [question]\nanswer_field: answer\n")


@pytest.fixture
def choices(tmp_path: Path) -> Examples:
    rows = [{"q": f"Which of {i}?", "options": [f"a{i}", f"b{i}", f"c{i}"], "key": i % 3} for i in range(60)]
    spec = "task_type: multiple_choice\ntext_fields: [q]\noptions_field: options\nanswer_field: key\n"
    return write(tmp_path / "choices", rows, spec)


def varied(examples: Examples, change: str, **options: int) -> Examples:
    (made,), left_out = write_variants(examples, Path(examples.origin).parent / "made", [change], **options)
    assert not left_out
    found = read(made.folder)
    assert (found.name, found.spec.parent) == (f"{examples.name}-{change}", examples.name)
    assert found.spec.changed == f"{change} {CHANGES[change].traits}"
    assert found.rows == made.rows
    return found


def columns(examples: Examples) -> dict[str, list[object]]:
    return {name: examples.table[name].to_pylist() for name in ("fields", "options", "response", "label")}


def test_the_rest_of_a_spec_stays(reviews: Examples) -> None:
    found = varied(reviews, "lower_case")
    before, after = reviews.spec, found.spec
    for key in ("task_type", "text_fields", "optional_fields", "label_names", "metric", "instruction", "family"):
        assert getattr(after, key) == getattr(before, key), key


@pytest.mark.parametrize("change", ["lower_case", "plain_punctuation", "shuffle_words"])
def test_a_change_of_prompts_leaves_rows_and_answers(reviews: Examples, change: str) -> None:
    before, after = columns(reviews), columns(varied(reviews, change))
    assert after["label"] == before["label"]
    pairs = list(zip(before["fields"], after["fields"], strict=True))
    assert len(pairs) == 100
    for old, new in pairs:
        for a, b in zip(old, new, strict=True):
            if change == "lower_case":
                assert b == a.lower()
            if change == "shuffle_words":
                assert Counter(b.split()) == Counter(a.split())
    assert sum(old != new for old, new in pairs) > 50


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ('He said: "Stop it!!!"', "He said, Stop it!"),
        ("A (plain) one", "A plain one"),
        ("Wait … what?!", "Wait, what?"),
        ("a ; b", "a, b"),
        ("a -- b", "a, b"),
        ("don't fill the _ with 'this'", "don't fill the _ with this"),
        ("List *.txt at 10:30, 3 * 4 = 12 <b>", "List *.txt at 10:30, 3 * 4 = 12 <b>"),
        ("see http://x.org: ../y", "see http://x.org, ../y"),
        ("", ""),
        ("#", "#"),
        ("word", "word"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_plain_punctuation(text: str, simple: str) -> None:
    assert _simplify(text) == simple


@given(st.text(max_size=60))
def test_plain_punctuation_keeps_all_but_marks(text: str) -> None:
    assert [c for c in _simplify(text) if c.isalnum()] == [c for c in text if c.isalnum()]


@pytest.mark.parametrize("share", [50, 70, 90])
def test_a_majority_gets_its_share_of_rows_that_stay_as_they_are(reviews: Examples, share: int) -> None:
    before, after = columns(reviews), columns(varied(reviews, f"majority_{share}"))
    labels = Counter(after["label"])
    # 90 % of 66 rows are all of the 60 good ones; the other two shares have as many rows.
    assert labels.total() == 66
    assert labels["good"] == round(share / 100 * 66)
    rows = list(zip(map(tuple, before["fields"]), before["label"], strict=True))
    kept = [rows.index(row) for row in zip(map(tuple, after["fields"]), after["label"], strict=True)]
    assert kept == sorted(kept)


def test_a_preamble_stands_before_every_answer(reviews: Examples, sums: Examples, choices: Examples) -> None:
    for examples in (reviews, sums, choices):
        before, after = columns(examples), columns(varied(examples, "pad_response"))
        assert after["response"] == [f"{PREAMBLE} {text}" for text in before["response"]]
        assert after["fields"] == before["fields"]
    assert after["label"] == before["label"]  # the position of the right option
    assert after["options"] == [[f"{PREAMBLE} {o}" for o in options] for options in before["options"]]


def test_responses_are_cut_by_tokens(sums: Examples) -> None:
    # "We add 3 and 3, as it says." has 9 tokens with the comma and the stop.
    after = columns(varied(sums, "truncate_8"))
    assert after["response"][3] == "We add 3 and 3, as it"


def test_only_the_answer_of_a_solution(sums: Examples) -> None:
    assert columns(varied(sums, "answer_only"))["response"] == [f"#### {2 * i}" for i in range(20)]


def test_labels_are_dealt_anew(reviews: Examples, sums: Examples) -> None:
    for examples, column in ((reviews, "label"), (sums, "response")):
        before, after = columns(examples), columns(varied(examples, "permute_labels"))
        assert Counter(after[column]) == Counter(before[column])
        assert after[column] != before[column]
        assert after["fields"] == before["fields"]


def test_right_options_are_drawn_anew(choices: Examples) -> None:
    before, after = columns(choices), columns(varied(choices, "permute_labels"))
    assert after["options"] == before["options"]
    assert after["label"] != before["label"]
    assert all(
        options[int(at)] == r
        for options, at, r in zip(after["options"], after["label"], after["response"], strict=True)
    )


def test_right_places_stay_as_frequent_among_rows_of_as_many_options(tmp_path: Path) -> None:
    rows = []
    for i in range(80):
        options = [f"{letter}{i}" for letter in "abcd"[: 4 if i % 4 else 2]]
        # Seldom the first of four, never the second of two.
        rows.append(
            {"q": f"Which of {i}?", "options": options, "key": 0 if len(options) == 2 or i % 16 == 1 else 2 + i % 2}
        )
    rows += [{"q": f"One of {i}?", "options": ["yes", "no"], "key": i % 2} for i in range(10)]
    spec = "task_type: multiple_choice\ntext_fields: [q]\noptions_field: options\nanswer_field: key\n"
    examples = write(tmp_path / "places", rows, spec)

    def places(found: dict[str, list[object]]) -> Counter[tuple[int, object]]:
        return Counter((len(some), at) for some, at in zip(found["options"], found["label"], strict=True))  # type: ignore[arg-type]

    before, after = columns(examples), columns(varied(examples, "permute_labels"))
    assert places(after) == places(before)
    assert after["label"] != before["label"]


def test_smaller_parts_lie_in_larger_ones_and_rows_are_drawn_first(reviews: Examples) -> None:
    whole, half, quarter = (
        [tuple(f) for f in columns(e)["fields"]] for e in (reviews, varied(reviews, "half"), varied(reviews, "quarter"))
    )
    assert (len(half), len(quarter)) == (50, 25)
    assert set(quarter) < set(half) < set(whole)
    assert half == [row for row in whole if row in set(half)]
    with pytest.raises(InputError, match="--rows 20 is what half and quarter are parts of; lower_case keeps the rows"):
        write_variants(reviews, Path(reviews.origin).parent / "made", ["lower_case"], rows=20)
    assert varied(reviews, "half", rows=20).rows == 10


def test_the_same_seed_gives_the_same_bytes_and_another_other_rows(reviews: Examples) -> None:
    made = Path(reviews.origin).parent / "made" / "reviews-half" / ROWS_FILE
    found = []
    for seed in (0, 0, 1):
        varied(reviews, "half", seed=seed)
        found.append(made.read_bytes())
    assert found[0] == found[1] != found[2]


def test_all_that_a_dataset_can_have(sums: Examples, tmp_path: Path) -> None:
    made, left_out = write_variants(sums, tmp_path / "all")
    assert [one.change for one in made] == [
        *("answer_only", "truncate_8", "pad_response", "shuffle_words", "lower_case"),
        *("half", "quarter", "permute_labels"),
    ]
    assert left_out == [
        f"sums: change {change}: it would touch 0 of 20 rows, and 5% are the least"
        for change in ("truncate_32", "plain_punctuation")
    ]


def test_a_chat_becomes_a_prompt(tmp_path: Path) -> None:
    turns = [
        [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": f"HI {i}"},
            {"role": "assistant", "content": f"Hello {i}"},
        ]
        for i in range(6)
    ]
    examples = write(
        tmp_path / "chat", [{"messages": t} for t in turns], "task_type: generation\nmessages_field: messages\n"
    )
    after = columns(varied(examples, "lower_case"))
    assert after["fields"][2] == ["be kind.\nhi 2"]
    assert after["response"][2] == "Hello 2"


def test_a_chat_that_its_assistant_opens_has_an_empty_prompt(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "assistant", "content": f"Welcome {i}"}]} for i in range(6)]
    asked = {"messages": [{"role": "user", "content": "HI"}, {"role": "assistant", "content": "Hello"}]}
    spec = "task_type: generation\nmessages_field: messages\n"
    examples = write(tmp_path / "opened", [*rows, asked], spec)
    assert columns(examples)["fields"] == [[]] * 6 + [["HI"]]
    after = columns(varied(examples, "lower_case"))
    assert after["fields"] == [[""]] * 6 + [["hi"]]
    assert after["response"] == columns(examples)["response"]


def test_rows_that_cannot_be_tuned_on_are_left_out_of_both(tmp_path: Path) -> None:
    rows = [{"q": f"question {i}", "a": " " if i % 4 == 0 else f"answer {i}"} for i in range(12)]
    spec = "task_type: generation\ntext_fields: [q]\nanswer_field: a\n"
    after = columns(varied(write(tmp_path / "gaps", rows, spec), "pad_response"))
    assert after["fields"] == [[f"question {i}"] for i in range(12) if i % 4]


def test_texts_of_any_length_are_cut(tmp_path: Path) -> None:
    rows = [{"q": f"q {i}", "a": "word " * 250_000 if i == 0 else f"a b c {i} d e f g h"} for i in range(4)]
    spec = "task_type: generation\ntext_fields: [q]\nanswer_field: a\n"
    after = columns(varied(write(tmp_path / "long", rows, spec), "truncate_8"))
    assert after["response"][0] == "word " * 7 + "word"


def test_what_is_no_earlier_variant_is_left_alone(sums: Examples, tmp_path: Path) -> None:
    into = tmp_path / "into"
    mine = into / "sums-half"
    mine.mkdir(parents=True)
    (mine / "train.jsonl").write_text("mine")
    for more in ("", "parent: others\nchanged: half\n"):
        if more:
            (mine / "dataset.yaml").write_text(f"task_type: generation\ntext_fields: [a]\nanswer_field: b\n{more}")
        with pytest.raises(InputError, match="sums-half exists and is not a variant of 'sums'"):
            write_variants(sums, into)
    assert (mine / "train.jsonl").read_text() == "mine"
    assert [path.name for path in into.iterdir()] == ["sums-half"], "looked at before anything is written"


def test_a_variant_is_not_varied(sums: Examples, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sums-half is a variant of sums already.*traitcast vary sums"):
        write_variants(varied(sums, "half"), tmp_path / "twice")


def test_a_name_that_gets_too_long_is_refused_first(tmp_path: Path) -> None:
    rows = [{"q": f"q {i}", "a": f"a {i}"} for i in range(9)]
    spec = f"name: {'n' * 90}\ntask_type: generation\ntext_fields: [q]\nanswer_field: a\n"
    with pytest.raises(InputError, match="is not allowed.* Give the dataset a shorter one: --name NAME"):
        write_variants(write(tmp_path / "long", rows, spec), tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("stop", "raised", "message"),
    [
        (
            OSError(28, "No space left on device"),
            InputError,
            "cannot write .*: No space left on device. Choose another folder",
        ),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_what_ends_between_the_renames_leaves_the_earlier_variant(
    sums: Examples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: BaseException,
    raised: type[BaseException],
    message: str | None,
) -> None:
    into = tmp_path / "into"
    write_variants(sums, into, ["half"])
    before = (into / "sums-half" / ROWS_FILE).read_bytes()
    real, ends = Path.rename, list[Path]()

    def ended(self: Path, target: Path) -> Path:
        if self.name.startswith(".traitcast-") and not ends:  # the second one puts the earlier variant back
            ends.append(self)
            assert not target.exists()
            raise stop
        return real(self, target)

    monkeypatch.setattr(Path, "rename", ended)
    for changes in (["half"], []):
        ends.clear()
        with pytest.raises(raised, match=message):
            write_variants(sums, into, changes, seed=1)
    assert [path.name for path in into.iterdir()] == ["sums-half"]
    assert (into / "sums-half" / ROWS_FILE).read_bytes() == before


def test_changes_name_traits_or_families_that_there_are() -> None:
    from traitcast.profiler.traits.catalogue import CATALOGUE

    known = {d.trait for d in CATALOGUE} | {d.family for d in CATALOGUE}
    assert {change.traits for change in CHANGES.values()} <= known


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "majority_80",
            "unknown change 'majority_80'; did you mean 'majority_90'.* Changes: majority_50, .*permute_labels",
        ),
        ("majority_50", "sums: change majority_50 is of classification, and this is generation"),
        ("truncate_32", "sums: change truncate_32: it would touch 0 of 20 rows"),
    ],
)
def test_what_cannot_be_changed_is_refused(sums: Examples, tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_variants(sums, tmp_path / "none", [change])
    assert not (tmp_path / "none").exists()


def test_one_class_has_no_majority(tmp_path: Path) -> None:
    rows = [{"t": f"text {i}", "l": "only"} for i in range(9)]
    examples = write(tmp_path / "one", rows, "task_type: classification\ntext_fields: [t]\nlabel_field: l\n")
    for change, words in (("majority_70", "needs rows of two classes; it has 9"), ("permute_labels", "0 of 9 rows")):
        with pytest.raises(InputError, match=words):
            write_variants(examples, tmp_path / "none", [change])


def test_a_share_that_is_there_is_no_change(tmp_path: Path) -> None:
    rows = [{"t": f"text {i}", "l": "yes" if i % 2 else "no"} for i in range(40)]
    examples = write(tmp_path / "even", rows, "task_type: classification\ntext_fields: [t]\nlabel_field: l\n")
    with pytest.raises(InputError, match="majority_50: the largest class has 50 % of the rows already"):
        write_variants(examples, tmp_path / "none", ["majority_50"])


def test_command(reviews: Examples, tmp_path: Path) -> None:
    runner, into = CliRunner(), tmp_path / "some where"
    listed = runner.invoke(vary, ["--list", "--format", "json"])
    assert [row["change"] for row in json.loads(listed.stdout)] == list(CHANGES)
    asked = ["--change", "half,quarter", "--change", "lower_case", "--into", str(into), "--format", "json"]
    done = runner.invoke(vary, [reviews.origin, *asked])
    assert done.exit_code == 0, done.output
    assert [(row["name"], row["rows"]) for row in json.loads(done.stdout)] == [
        ("reviews-half", 50), ("reviews-quarter", 25), ("reviews-lower_case", 100)
    ]  # fmt: skip
    assert sorted(path.name for path in into.iterdir()) == ["reviews-half", "reviews-lower_case", "reviews-quarter"]
    for wrong, words in (
        ([], "name a dataset, or ask for the changes there are: traitcast vary --list"),
        ([reviews.origin, "--change", "haf"], "unknown change 'haf'; did you mean 'half'"),
        ([str(tmp_path / "gone.jsonl")], "is neither a file or folder here"),
        ([reviews.origin, "--into", str(Path(reviews.origin) / "train.jsonl")], "is a file"),
        ([reviews.origin, "--into", "/proc/nowhere"], "cannot write /proc/nowhere: "),
        ([reviews.origin, "--change", ","], "',' names no change"),
        ([reviews.origin, reviews.origin], "would both be stored as 'reviews'"),
    ):
        refused = runner.invoke(vary, wrong)
        assert refused.exit_code == 2, refused.output
        assert words in refused.output


def test_two_commands_take_turns_in_a_folder(reviews: Examples, tmp_path: Path) -> None:
    """What is there afterwards is all of one of them; a wait that is too long is refused."""
    asked = ["vary", reviews.origin, "--change", "half,permute_labels,shuffle_words", "--into"]
    alone = []
    for seed in ("0", "1"):
        CliRunner().invoke(vary, [*asked[1:], str(tmp_path / seed), "--seed", seed])
        alone.append(found_in(tmp_path / seed))
    assert alone[0] != alone[1]
    together = [[sys.executable, "-m", "traitcast", *asked, str(tmp_path / "v"), "--seed", seed] for seed in "01"]
    running = [subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for argv in together]
    assert [process.communicate()[1] and process.returncode for process in running] == [0, 0]
    assert found_in(tmp_path / "v") in alone

    with locked_folder(tmp_path / "v", cure="", wait_s=0):
        late = CliRunner().invoke(vary, [*asked[1:], str(tmp_path / "v")], env={"TRAITCAST_WAIT": "0.1"})
    assert late.exit_code == 2
    assert "another process writes into" in late.stderr
    assert "waited 0.1 s. Wait for it to finish, or set TRAITCAST_WAIT=SECONDS." in " ".join(late.stderr.split())
    assert found_in(tmp_path / "v") in alone
    with locked_folder(tmp_path / "n", cure="", wait_s=0):
        assert (tmp_path / "n").is_dir()
    assert not (tmp_path / "n").exists(), "a folder that got nothing"


def found_in(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}
