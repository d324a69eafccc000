"""`rank --as`: what axolotl, LLaMA-Factory and TRL are told, read back as they would."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from tests.conftest import make_profile
from traitcast.cli import cli
from traitcast.front_door import FrontDoor
from traitcast.predictor.commands.trainers import Columns, axolotl, columns_of, llamafactory, print_snippet, trl
from traitcast.profiler.reading.labels import Labels
from traitcast.profiler.roles.spec import parse_spec
from traitcast.warehouse.records import Profile

PAIR = {"task_type": "classification", "text_fields": ["premise", "hypothesis"], "label_field": "label"}
ONE = {"task_type": "generation", "text_fields": ["question"], "answer_field": "answer"}
CHAT = {"task_type": "generation", "messages_field": "conversations"}


def profiled(name: str, roles: dict[str, Any], **details: Any) -> Profile:
    made = make_profile(name, (2.0, 0.6, 20.0, 1.0, 1.0))
    return replace(made, details={"roles": roles, "split": "train", **details})


def columns(name: str, roles: dict[str, Any], place: str | None = None, **details: Any) -> Columns:
    found = columns_of(profiled(name, roles, **details), place)
    assert isinstance(found, Columns), found
    return found


@pytest.fixture
def three(tmp_path: Path) -> list[Columns]:
    """A pair of texts with labels as numbers, a question with an answer, and conversations, each in a file."""
    for name, row in (
        ("nli", {"premise": "It rains.", "hypothesis": "It is dry.", "label": 1}),
        ("maths", {"question": "1 + 1?", "answer": 2}),
        ("chats", {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text(json.dumps(row) + "\n")
        (tmp_path / name / "test.jsonl").write_text("{}\n")
    return [
        columns("nli", PAIR | {"label_names": ["yes", "no"]}, str(tmp_path / "nli")),
        columns("maths", ONE, str(tmp_path / "maths" / "train.jsonl")),
        columns("chats", CHAT, str(tmp_path / "chats")),
    ]


def test_axolotl(three: list[Columns]) -> None:
    text = axolotl([*three, columns("far", ONE, "org/far", config="main")])
    assert '"{instruction}\\n{input}\\n"' in text
    nli, maths, chats, far = yaml.safe_load(text)["datasets"]
    assert nli == {
        "path": three[0].path,
        "ds_type": "json",
        "type": {
            "field_instruction": "premise",
            "field_input": "hypothesis",
            "field_output": "label",
            "format": "{instruction}\n{input}\n",
            "no_input_format": "{instruction}\n",
        },
    }
    assert maths["type"]["format"] == "{instruction}\n"
    assert chats["type"] == "chat_template"
    assert chats["message_property_mappings"] == {"role": "from", "content": "value"}
    assert (far["path"], far["name"], far["split"]) == ("org/far", "main", "train")


def test_llamafactory(three: list[Columns]) -> None:
    messages = columns("talks", CHAT | {"messages_field": "messages"}, "org/talks")
    found = json.loads(llamafactory([*three, messages]))
    assert found["nli"]["columns"] == {"prompt": "premise", "query": "hypothesis", "response": "label"}
    assert Path(found["maths"]["file_name"]).is_file()
    assert found["chats"] == {
        "file_name": three[2].path,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations"},
    }
    assert found["talks"]["hf_hub_url"] == "org/talks"
    assert found["talks"]["tags"]["role_tag"] == "role"


Turns = list[tuple[str, str]]


@pytest.fixture
def conversations(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Columns]], list[Turns]]:
    """What the script for TRL trains on: all of it runs but the training itself."""
    trained: list[Turns] = []

    class SFTTrainer:
        def __init__(self, model: str, train_dataset: Any) -> None:
            self.rows = train_dataset.to_list()

        def train(self) -> None:
            trained.extend([(turn["role"], turn["content"]) for turn in row["messages"]] for row in self.rows)

    module = ModuleType("trl")
    module.SFTTrainer = SFTTrainer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trl", module)

    def run_script(datasets: list[Columns]) -> list[Turns]:
        exec(compile(trl(datasets), "train.py", "exec"), {})
        return trained

    return run_script


def test_the_script_for_trl_runs(three: list[Columns], conversations: Callable[[list[Columns]], list[Turns]]) -> None:
    assert conversations(three) == [
        [("user", "It rains.\nIt is dry."), ("assistant", "no")],
        [("user", "1 + 1?"), ("assistant", "2")],
        [("user", "Hi"), ("assistant", "Hello")],
    ]


@pytest.mark.parametrize(
    ("names", "values", "classes"),
    [
        (["1", "2", "3", "4"], [1, 4, None], ["1", "4"]),
        (["bad", "good"], [1.0, 0.0, None, -1.0], ["good", "bad"]),
        (["bad", "good"], ["good", "0", None], ["good", "bad"]),
        (["bad", "good"], [True, False], ["good", "bad"]),
        (["true", "false"], [True, False], ["true", "false"]),
        ({"1": "bad", "2": "good"}, [2, 1], ["good", "bad"]),
        ({"-1": "bad", "1": "good"}, [-1, 1], ["bad", "good"]),
        ({"e": "entailment", "c": "conflict"}, ["c", "e"], ["conflict", "entailment"]),
    ],
)
def test_labels_are_named_as_in_the_profile(
    tmp_path: Path,
    conversations: Callable[[list[Columns]], list[Turns]],
    names: Any,
    values: list[Any],
    classes: list[str],
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": "It rains.", "stars": value}) + "\n" for value in values))
    roles = {"task_type": "classification", "text_fields": ["text"], "label_field": "stars", "label_names": names}
    labels = Labels(parse_spec(roles))
    assert [name for value in values if (name := labels.name(value, "row")) is not None] == classes
    found = conversations([columns("reviews", roles, str(path))])
    assert [turns[-1][1] for turns in found] == classes


def test_a_csv_file_is_read_as_the_profile_reads_it(
    tmp_path: Path, conversations: Callable[[list[Columns]], list[Turns]]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text;stars\n" + "NA;1\nit, rains;0\n" * 5)
    roles = {"text_fields": ["text"], "label_field": "stars", "label_names": ["bad", "good"]}
    one = columns_of(profiled("reviews", roles), str(path), FrontDoor())
    assert isinstance(one, Columns)
    assert one.csv == {"delimiter": ";"}
    assert conversations([one])[:2] == [
        [("user", "NA"), ("assistant", "good")],
        [("user", "it, rains"), ("assistant", "bad")],
    ]


@pytest.mark.parametrize(
    ("roles", "why"),
    [
        ({"text_fields": ["a"], "options_field": "options", "answer_field": "b"}, "its options have to be written"),
        ({"text_fields": ["a", "b", "c"], "label_field": "d"}, "its prompt or answer is not in one column"),
        ({"text_fields": ["a"], "answer_field": "answers.text[0]"}, "its columns are nested"),
        ({}, "no roles are stored"),
        (CHAT | {"answer_field": "answer"}, "its answers are in a column beside the conversations"),
        ({"task_type": "preference", "messages_field": "prompt", "chosen_field": "a"}, "it holds preferences"),
    ],
)
def test_what_columns_cannot_say(roles: dict[str, Any], why: str) -> None:
    found = columns_of(profiled("x", roles), None)
    assert isinstance(found, str)
    assert why in found


def test_files_that_cannot_be_named(tmp_path: Path) -> None:
    (tmp_path / "train-0.parquet").touch()
    (tmp_path / "rows.tsv").touch()
    assert "0 files of the split 'train', not one" in str(columns_of(profiled("x", ONE), str(tmp_path)))
    assert "rows.tsv is not one of .jsonl" in str(columns_of(profiled("x", ONE), str(tmp_path / "rows.tsv")))


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["rank", *words, "--warehouse", str(path)])


def test_the_command_says_what_to_fetch_and_what_is_left_out(tmp_path: Path) -> None:
    result = run(tmp_path / "none.duckdb", "sst2", "--sources", "mnli,piqa", "--as", "llamafactory")
    assert result.exit_code == 0, result.output
    assert list(json.loads(result.stdout)) == ["mnli"]
    assert "piqa is left out: its options have to be written into the prompt first." in result.stderr
    assert "First put the rows of mnli into mnli/train.jsonl, with the columns that are named here." in result.stderr
    assert "mnli: where 'label' holds numbers or codes, write the class names into it first." in result.stderr
    refused = run(tmp_path / "none.duckdb", "sst2", "--sources", "piqa", "--as", "trl")
    assert refused.exit_code == 2
    assert "none of piqa can be given to trl as it is." in refused.stderr


@pytest.mark.parametrize("trainer", ["axolotl", "llamafactory"])
def test_a_csv_file_that_a_trainer_would_misread_is_left_out(
    tmp_path: Path, trainer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text("question;answer\n" + "one, two or three?;two\n" * 5)
    (tmp_path / "plain.csv").write_text("question,answer\n" + "one or two?,two\n" * 5)
    both = [profiled("reviews", ONE), profiled("plain", ONE)]
    places = {"reviews": str(tmp_path / "rows.csv"), "plain": str(tmp_path / "plain.csv")}
    print_snippet(trainer, both, places, FrontDoor())
    shown = capsys.readouterr()
    assert "reviews is left out" in shown.err
    assert "reads CSV files with commas and double quotes only" in " ".join(shown.err.split())
    assert "plain.csv" in shown.out
    assert "rows.csv" not in shown.out


def test_as_and_format_are_refused_together(tmp_path: Path) -> None:
    refused = run(tmp_path / "none.duckdb", "sst2", "--as", "trl", "--format", "json")
    assert refused.exit_code == 2
    assert "--as trl prints what trl reads, without --format. Leave one of the two out." in refused.stderr
