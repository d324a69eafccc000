"""What a person reads fits 80 columns in a pipe and uses the room of a terminal; commands to be copied stay whole."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from traitcast.cli import cli
from traitcast.warehouse.layout import filled, table, width

ROOT = Path(__file__).parents[1]
# A matrix of three targets whose results are so few that `evaluate` takes a second, with names as long as people give.
SCORES = "model,source,target,seed,metric,score\n" + "".join(
    f"a_model_of_135_million_parameters,{source},{target},0,accuracy,{0.4 + 0.01 * (7 * s + 5 * t) % 0.3}\n"
    for t, target in enumerate(("financial_phrasebank", "tweet_offensive", "commonsenseqa", "sms_spam"))
    for s, source in enumerate(("", "logical_deduction", "question_formation", "reuters_r8", "essential_terms"))
)
SETUP = (
    "profile {folder}/a_file_of_support_tickets.csv",
    "scores import {folder}/few.csv",
    "fit --matrix few --name few",
)
COMMANDS = (
    "check examples/support_tickets",
    "vary --list",
    "datasets",
    "show financial_phrasebank --family class_balance",
    "show nothing_like_this_at_all",
    "compare financial_phrasebank commonsenseqa",
    "card sst2 --output {folder}/card.md",
    'sql "SELECT * FROM transfer_matrix LIMIT 5"',
    'sql "SELECT name, nonsense_column FROM profiles WHERE label_majority_share > .8 AND response_tokens_mean < 3"',
    "scores restore smollm2_cpu",
    "evaluate --matrix few --protocol new-source",
    "rank commonsenseqa",
    "rank a_file_of_support_tickets --predictor few --sources essential_terms,reuters_r8,sst2",
    "predict question_formation financial_phrasebank",
    "predict wnut17_ner financial_phrasebank",
    "explain question_formation financial_phrasebank",
    "whatif question_formation financial_phrasebank --set label_majority_share=0.9",
    "impact question_formation",
    "effects question_formation --matrix smollm2_cpu",
    "effects question_formation --matrix smollm2_cpu --target financial_phrasebank",
    "effects financial_phrasebank --matrix smollm2_cpu",
    "interventions",
    "interventions --change permute_labels",
    "latent --matrix cross_task_icl --factors 1",
    "matrix status --pack nowhere",
    "matrix plan --pack nowhere",
    "evaluate --protocol newest",
    "profile missing.jsonl",
    "whatif mnli rte --set label_majority_share=nine",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a warehouse that holds a profile, a matrix and a predictor of the user's."""
    made = tmp_path_factory.mktemp("w")
    (made / "few.csv").write_text(SCORES)
    rows = "".join(f"My bike number {i} is flat again,{('repairs', 'sales')[i % 2]}\n" for i in range(12))
    (made / "a_file_of_support_tickets.csv").write_text(f"text,label\n{rows}")
    for line in SETUP:
        check(run(line, made))
    return made


def run(line: str, folder: Path, columns: int = 80) -> Result:
    environment = {"COLUMNS": str(columns), "TRAITCAST_WAREHOUSE": str(folder / "traitcast.duckdb")}
    return CliRunner().invoke(cli, shlex.split(line.format(folder=folder)), env=environment)


def check(result: Result) -> None:
    assert not result.exception or isinstance(result.exception, SystemExit)
    printed = result.stdout + result.stderr
    assert printed
    wide = [text for text in printed.splitlines() if width(text) > 80 and not is_whole(text)]
    assert not wide, "\n".join(wide)


@pytest.mark.parametrize("line", COMMANDS)
def test_output_fits(line: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    check(run(line, folder))


def is_whole(text: str) -> bool:
    """Whether a line is one command to be copied, or one word, such as a path."""
    words = text.strip().strip("(`").split()
    return words[0] == "traitcast" or len(words) == 1


def test_a_wide_terminal_shows_more_on_a_line(folder: Path) -> None:
    narrow, wide = (run("datasets", folder, columns) for columns in (80, 140))
    assert "family" in wide.stdout.split()
    assert "family" not in narrow.stdout.split()
    assert "Not shown, for lack of room: classes, family, reference (--format json has them)." in " ".join(
        narrow.stderr.split()
    )


@pytest.mark.parametrize("kind", ["json", "csv", "jsonl"])
def test_formats_for_machines_have_no_width(kind: str, folder: Path) -> None:
    narrow, wide = (run(f"datasets --format {kind}", folder, columns) for columns in (80, 1000))
    assert narrow.stdout == wide.stdout
    if kind == "json":
        assert len(json.loads(narrow.stdout)) > 80


def test_lines_break_between_words_and_never_in_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = (
        "There is no such dataset here. Profile it with: traitcast profile 'my data.jsonl' --name my_data. Then rank."
    )
    assert filled(text) == (
        "There is no such dataset here. Profile\n"
        "  it with:\n"
        "  traitcast profile 'my data.jsonl' --name my_data.\n"
        "  Then rank."
    )
    assert filled("  a path: /" + "x" * 50) == "  a path:\n    /" + "x" * 50
    assert filled("short\n\nlines") == "short\n\nlines"


def test_a_table_that_is_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = [{"name": "sst2", "standard_error": 1.5, "what it is": "sentences of reviews", "n": 2}]
    assert table(rows) == (
        "      standard_\n"
        "name      error  what it is            n\n"
        "----  ---------  --------------------  -\n"
        "sst2        1.5  sentences of reviews  2"
    )
    assert table([rows[0] | {"seeds": 3}]) == (
        "      standard_\n"
        "name      error  what it is     n  seeds\n"
        "----  ---------  -------------  -  -----\n"
        "sst2        1.5  sentences of   2      3\n"
        "                 reviews"
    )
    assert table([{"name": "sst2", "a": "x" * 30, "b": "y" * 20}]) == (
        f"name  a\n----  {'-' * 30}\nsst2  {'x' * 30}\n\nname  b\n----  {'-' * 20}\nsst2  {'y' * 20}"
    )


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, those of groups included."""
    yield path
    if isinstance(command, click.Group):
        for name, child in command.commands.items():
            yield from leaves(child, (*path, name))


@pytest.mark.parametrize("words", list(leaves(cli)), ids=lambda words: " ".join(("traitcast", *words)))
def test_help_fits(words: tuple[str, ...]) -> None:
    check(CliRunner().invoke(cli, [*words, "--help"], env={"COLUMNS": "80"}))
