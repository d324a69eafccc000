"""Dataset cards: the hub's own library reads them back, and a README that a person wrote keeps its text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import DatasetCard, DatasetCardData
from hypothesis import given
from hypothesis import strategies as st

import traitcast.cli
from traitcast.warehouse.database.warehouse import Warehouse
from traitcast.warehouse.dataset_card import BEGIN, END, Card, card, escaped, merged, metadata, write
from traitcast.warehouse.errors import UserError
from traitcast.warehouse.records import Profile, TraitMatrix, TraitValue

README = """---
license: cc-by-4.0  # asked the authors
pretty_name: Our reviews
configs:
- config_name: default
  data_files: "*.csv"
tags:
- ours
---

# Our reviews

What they are.

## Citation

Nobody yet.
"""
NASTY = {
    "<script>alert(1)</script>": 5,
    "a | b": 4,
    "**bold** [link](javascript:x) `code` ~~no~~": 3,
    "line\nbreak\r\n\x1b[31m \u202eright": 2,
    "www.example.com and https://example.com $x_1$ &lt; @all": 1,
    "x" * 10_000: 1,
}


@pytest.fixture(scope="module")
def reference() -> TraitMatrix:
    """The shipped profiles."""
    with Warehouse.open("no such file.duckdb", read_only=True) as warehouse:
        return warehouse.trait_matrix(warehouse.shipped("datasets"))


@pytest.fixture(scope="module")
def shipped() -> dict[str, Profile]:
    """Every shipped profile by name."""
    with Warehouse.open("no such file.duckdb", read_only=True) as warehouse:
        return {name: warehouse.profile(name) for name in warehouse.shipped("datasets")}


def made(details: Mapping[str, Any] | None = None, **changes: Any) -> Profile:
    values = (
        TraitValue("prompt_words_mean", 12.5, None, 120),
        TraitValue("response_words_mean", None, None, 0),
        TraitValue("label_entropy_normalised", 0.5, None, 120),
    )
    plain = Profile("mine", "v1:ab", "classification", 120, values, label_counts=(("yes", 90), ("no", 30)))
    roles = {"task_type": "classification", "text_fields": ["text"], "label_field": "label"}
    known = {"split": "train", "splits": {"train": 120, "test": None}, "other_splits": {"test": 900}, "roles": roles}
    return replace(plain, details=known | dict(details or {}), **changes)


def test_the_hubs_library_reads_every_shipped_card_back(shipped: dict[str, Profile], reference: TraitMatrix) -> None:
    assert len(shipped) > 80
    for name, profile in shipped.items():
        whole = card(profile, reference).whole()
        read = DatasetCard(whole)
        assert isinstance(read.data, DatasetCardData)
        assert read.data.language == ["en"], name
        assert read.data.to_dict() == metadata(profile), name
        again = DatasetCard(str(read))
        assert (again.data.to_dict(), again.text) == (read.data.to_dict(), read.text), name
        assert f"# {escaped(name)}\n" in read.text
        assert "### How it was measured" in read.text
        assert re.search(r"among \d\d public \w+ (choice )?datasets", read.text), name


def test_what_a_card_says(reference: TraitMatrix) -> None:
    text = card(made(language="en", licence="CC BY 4.0 (the authors)"), reference).section
    assert "**mine**: classification, 120 rows of split train, language en, licence CC BY 4.0 (the authors)." in text
    assert "| train | 120 |\n| test | 900 |" in text
    assert "| prompt | 12.5 | not defined |" in text
    assert "2 classes. Balance (entropy over its maximum): 0.5." in text
    assert "| yes | 90 | 75.0% |\n| no | 30 | 25.0% |" in text
    assert text.startswith(BEGIN)
    assert text.endswith(END)


@pytest.mark.parametrize(
    ("licence", "found"),
    [
        ("MIT", {"license": "mit"}),
        ("CC BY-NC 4.0 (text made with an OpenAI model)", {"license": "cc-by-nc-4.0"}),
        ("CC0-1.0", {"license": "cc0-1.0"}),
        ("not stated by the authors", {"license": "unknown"}),
        ("Quora terms", {"license": "other", "license_details": "Quora terms"}),
    ],
)
def test_licences_in_the_words_of_the_hub(licence: str, found: dict[str, str]) -> None:
    values = metadata(made(licence=licence))
    assert {key: value for key, value in values.items() if key.startswith("license")} == found


@pytest.mark.parametrize(
    ("rows", "size"),
    [(1, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (9_999, "1K<n<10K"), (10**6, "1M<n<10M"), (10**9, "1B<n<10B")],
)
def test_sizes_in_the_words_of_the_hub(rows: int, size: str) -> None:
    assert metadata(made({"split": "all"}, rows=rows))["size_categories"] == [size]


def test_the_size_is_that_of_all_splits_where_it_is_known() -> None:
    assert metadata(made())["size_categories"] == ["1K<n<10K"]  # 120 and 900
    assert "size_categories" not in metadata(made({"other_splits": {"test": None}}))
    assert "size_categories" not in metadata(made({"split": "all", "stream": 120}))


@pytest.mark.parametrize(
    ("task_type", "roles", "task"),
    [
        ("classification", {}, "text-classification"),
        ("multiple_choice", {}, "multiple-choice"),
        ("generation", {"tags_field": "tags"}, "token-classification"),
        ("generation", {"labels_field": "topics"}, "text-classification"),
        ("generation", {"text_fields": ["a", "b"], "answer_field": "similarity_score"}, "text-classification"),
        ("generation", {"text_fields": ["article"], "answer_field": "highlights"}, "summarization"),
        ("generation", {"text_fields": ["context", "question"], "answer_field": "answers[0]"}, "question-answering"),
        ("generation", {"messages_field": "messages"}, "text-generation"),
        ("generation", None, "text-generation"),
    ],
)
def test_tasks_in_the_words_of_the_hub(task_type: str, roles: dict[str, Any] | None, task: str) -> None:
    assert metadata(made({"roles": roles}, task_type=task_type))["task_categories"] == [task]


@pytest.mark.parametrize(("language", "code"), [("en", ["en"]), ("de-AT", ["de"]), ("Klingon", None), (None, None)])
def test_a_language_is_a_code_or_left_out(language: str | None, code: list[str] | None) -> None:
    assert metadata(made(language=language)).get("language") == code


def test_no_text_of_a_dataset_reaches_the_page_unescaped(reference: TraitMatrix) -> None:
    labels = tuple(NASTY.items())
    profile = made({"split": "<b>x</b>", "warnings": ["<img src=x> in 3 rows"]}, label_counts=labels)
    text = card(replace(profile, licence="<i>mine</i>"), reference).section.replace(BEGIN, "").replace(END, "")
    for mark in re.finditer(r"[<>]", text):
        assert text[mark.start() - 1] == "\\", text[mark.start() - 20 : mark.end() + 20]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "a &#124; b" in text
    assert "\\*\\*bold\\*\\* \\[link\\](javascript\\:x) \\`code\\` \\~\\~no\\~\\~" in text
    assert "www\\.example.com and https\\://" in text
    assert max(map(len, text.splitlines())) < 1000
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert all(line.count(" | ") in (1, 2, 5) for line in rows)


@given(st.text(max_size=50))
def test_escaped_text_is_one_line_without_marks(text: str) -> None:
    found = escaped(text)
    assert not re.search(r"[\n\r\x00-\x08\x1b\u202e]", found)
    assert not re.search(r"(?<!\\)[<>`*\[\]]|\|", re.sub(r"\\\\", "", found))


def test_no_path_of_the_machine_reaches_the_page(reference: TraitMatrix) -> None:
    origin = "/home/me/secret project/data.jsonl"
    warning = f"whether split 'train' holds prompts of split 'test' is not known: {origin}: no such column"
    text = card(made({"origin": origin, "spec": "/home/me/x.yaml", "warnings": [warning]}), reference).whole()
    assert "/home" not in text
    assert "data.jsonl: no such column" in text.replace("\\", "")
    hub = card(made({"origin": "org/name", "revision": "abc123"}), reference).whole()
    assert "- read from: org/name, commit abc123" in hub


def test_a_readme_keeps_its_text_and_its_keys(reference: TraitMatrix) -> None:
    once = merged(README, card(made(language="en", licence="MIT"), reference), "README.md")
    head, _, body = README.partition("\n---\n\n")
    assert once.startswith(head + "\n# traitcast:begin\n")
    assert body in once
    read = DatasetCard(once).data.to_dict()
    assert read["license"] == "cc-by-4.0"
    assert read["tags"] == ["ours"]
    assert read["configs"] == [{"config_name": "default", "data_files": "*.csv"}]
    assert read["task_categories"] == ["text-classification"]
    assert read["size_categories"] == ["1K<n<10K"]


def test_made_again_a_card_replaces_its_own_section_and_keys(reference: TraitMatrix) -> None:
    once = merged(README, card(made(), reference), "README.md") + "\nAdded below.\n"
    assert merged(once, card(made(), reference), "README.md") == once
    grown = merged(once, card(made(rows=20_000), reference), "README.md")
    assert DatasetCard(grown).data.size_categories == ["10K<n<100K"]
    assert "20,000 rows of split train" in grown
    assert "120 rows" not in grown
    assert grown.count(BEGIN) == grown.count(END) == 1
    assert grown.endswith("\nAdded below.\n")
    # Without the keys that are ours and the section, it is the file that the person wrote.
    bare = re.sub(r"(?s)# traitcast:begin\n.*?# traitcast:end\n", "", grown)
    bare = re.sub(r"(?s)\n<!-- traitcast:begin.*?traitcast:end -->\n", "", bare)
    assert bare == README + "\nAdded below.\n"


@pytest.mark.parametrize(
    "text",
    ["", "# Only text", "Text --- and\n\n---\n\na rule\n", "---\n---\n# T\n", "---\n{}\n---\n# T\n", "\ufeff# T\n"],
)
def test_files_with_little_metadata(text: str, reference: TraitMatrix) -> None:
    once = merged(text, card(made(), reference), "README.md")
    assert DatasetCard(once).data.task_categories == ["text-classification"]
    assert text.removeprefix("\ufeff").split("---\n")[-1] in once
    assert merged(once, card(made(), reference), "README.md") == once


def test_line_ends_of_windows_stay(reference: TraitMatrix) -> None:
    once = merged(README.replace("\n", "\r\n"), card(made(), reference), "README.md")
    assert "\n" not in once.replace("\r\n", "")
    assert DatasetCard(once).data.pretty_name == "Our reviews"
    assert merged(once, card(made(), reference), "README.md") == once


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("---\nlicense: [mit\n---\n", r"the metadata at the top of README.md are not YAML"),
        ("---\n- a\n- b\n---\n", r"README.md are a list; expected keys"),
        ("---\n{license: mit}\n---\n", r"write them as plain lines"),
        (f"# T\n{BEGIN}\n", r"holds 1 mark of `traitcast card`.*Remove them"),
        (f"# T\n{END}\n{BEGIN}\n", r"holds 2 marks"),
        (f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", r"holds 4 marks"),
    ],
)
def test_a_file_that_cannot_be_added_to_is_refused(text: str, message: str, reference: TraitMatrix) -> None:
    with pytest.raises(UserError, match=message):
        merged(text, card(made(), reference), "README.md")


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path, reference: TraitMatrix) -> None:
    bad = tmp_path / "README.md"
    bad.write_bytes(b"# caf\xe9\n")
    with pytest.raises(UserError, match=r"is not UTF-8 text \(byte 5\)"):
        write(bad, card(made(), reference))
    assert bad.read_bytes() == b"# caf\xe9\n"
    with pytest.raises(UserError, match=r"cannot write .*folder .* does not exist.*--output"):
        write(tmp_path / "missing" / "README.md", card(made(), reference))
    surrogate = Card("x", {}, f"{BEGIN}\n\ud800\n{END}")
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "new.md", surrogate)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_link_stays_a_link_and_rights_stay(tmp_path: Path, reference: TraitMatrix) -> None:
    real = tmp_path / "real.md"
    real.write_text(README, encoding="utf-8")
    real.chmod(0o640)
    (tmp_path / "README.md").symlink_to(real)
    assert write(tmp_path / "README.md", card(made(), reference))
    assert (tmp_path / "README.md").is_symlink()
    assert BEGIN in real.read_text(encoding="utf-8")
    assert real.stat().st_mode & 0o777 == 0o640


def test_the_command(tmp_path: Path) -> None:
    def run(*arguments: str) -> Any:
        place = str(tmp_path / "missing.duckdb")
        return CliRunner().invoke(traitcast.cli.cli, ["card", *arguments, "--warehouse", place])

    printed = run("sst2")
    assert printed.exit_code == 0
    assert yaml.safe_load(printed.stdout.split("---")[1])["task_categories"] == ["text-classification"]
    told = json.loads(run("sst2", "--format", "json").stdout)
    assert (told["name"], told["metadata"]["language"]) == ("sst2", ["en"])
    assert told["markdown"] in printed.stdout
    output = tmp_path / "README.md"
    first = run("sst2", "--output", str(output))
    assert (first.exit_code, first.stdout) == (0, "")
    assert f"wrote {output}" in first.stderr
    assert output.read_text(encoding="utf-8") == printed.stdout
    assert f"put the section into {output}" in run("sst2", "--output", str(output)).stderr
    assert output.read_text(encoding="utf-8").count(BEGIN) == 1
    wrong = run("sst")
    assert wrong.exit_code == 2
    assert "no profile of 'sst'" in wrong.stderr
