"""`traitcast check` and `traitcast filter`: exit codes, forms of output, and files."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

import traitcast.cli
from traitcast.profiler.findings.gate import parse_rule
from traitcast.warehouse.errors import InputError

ROWS = [{"text": f"ticket {n} about the water pipe", "label": "a" if n % 2 else "b"} for n in range(40)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a duplicate in row 41 and a secret in row 3."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAITCAST_QUIET", "1")
    rows = [*ROWS, ROWS[0]]
    rows[2] = {**rows[2], "text": "key AKIAIOSFODNN7EXAMPLE"}
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(traitcast.cli.cli, list(map(str, arguments)), catch_exceptions=False)


def test_warnings_of_reading_are_said_and_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAITCAST_QUIET", "1")
    path = tmp_path / "data.jsonl"
    rows = [{**row, "label": row["label"].upper() if n < 2 else row["label"]} for n, row in enumerate(ROWS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = run("check", path)
    assert shown.exit_code == 0
    assert "WARNING reading: labels that differ only in case" in shown.stdout
    failed = run("check", path, "--fail-on", "warning")
    assert failed.exit_code == 1
    assert failed.stdout.splitlines()[-1].endswith("1 warning of reading and 0 broken rules")
    assert run("check", path, "--fail-on", "warning", "--ignore", "reading", "--ignore", "rare_class").exit_code == 0
    for words in (("--rows", "reading"), ("--rule", "reading.count == 0")):
        refused = run("check", path, *words)
        assert refused.exit_code == 2
        assert "these warnings are of no single row" in " ".join(refused.stderr.split())
    (found,) = json.loads(run("check", path, "--format", "json").stdout)
    assert found["warnings"][0].startswith("labels that differ only in case")
    assert "::warning title=data%3A reading::labels that differ" in run("check", path, "--format", "github").stdout
    report = ElementTree.fromstring(run("check", path, "--format", "junit", "--fail-on", "warning").stdout)
    assert report.find(".//testcase[@name='reading']/failure") is not None


def test_what_a_finding_says_is_not_said_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_QUIET", "1")
    path = tmp_path / "data.jsonl"
    path.write_text(
        "".join(json.dumps({**row, "label": row["label"] if n else None}) + "\n" for n, row in enumerate(ROWS))
    )
    shown = run("check", path).stdout
    assert "no_label" in shown
    assert "reading:" not in shown


def test_findings_fail_by_severity(data: Path) -> None:
    assert run("check", data).exit_code == 1
    assert run("check", data, "--ignore", "secret").exit_code == 0
    assert run("check", data, "--ignore", "secret", "--fail-on", "warning").exit_code == 1
    assert run("check", data, "--fail-on", "never").exit_code == 0
    for ignored, passed in (
        (("secret",), "passed: 0 errors, 1 warning (to fail on them: --fail-on warning)"),
        (("secret", "exact_duplicate"), "passed"),
    ):
        options = [word for check in ignored for word in ("--ignore", check)]
        assert run("check", data, *options).stdout.splitlines()[-1] == passed
    never = run("check", data, "--fail-on", "never").stdout.splitlines()[-1]
    assert never == "passed: 1 error, 1 warning (to fail on them: --fail-on error)"
    result = run("check", data)
    assert "ERROR   secret in the prompt: 1 row (2.4 %) holds what looks like" in result.stdout
    assert "failed: 1 finding and 0 broken rules" in result.stdout
    assert "AKIA" not in result.stdout
    assert "AKIA" in run("check", data, "--with-texts").stdout


def test_a_path_with_two_blanks_can_be_copied(data: Path) -> None:
    copy = data.rename(data.with_name("my  data.jsonl"))
    assert "'my  data.jsonl' --drop" in run("check", copy.name).stdout


def test_rules_over_traits_and_findings(data: Path) -> None:
    never = ("check", data, "--fail-on", "never")
    assert run(*never, "--rule", "label_majority_share < 0.9", "--rule", "exact_duplicate < 0.05").exit_code == 0
    broken = run(*never, "--rule", "label_majority_share < 0.5", "--rule", "exact_duplicate.count == 0")
    assert broken.exit_code == 1
    assert "RULE    label_majority_share is 0.5122; the rule is" in broken.stdout
    assert "exact_duplicate.count is 1; the rule is 'exact_duplicate.count == 0'" in " ".join(broken.stdout.split())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("label_majority_share", "write NAME OPERATOR NUMBER"),
        ("label_majority_shar < 1", "did you mean 'label_majority_share'"),
        ("label_majority_share.count < 1", "is a trait, which has no count"),
        ("secret < 1.2.3", "write NAME OPERATOR NUMBER"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(rule: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_rule(rule)


def test_settings_come_from_a_file_beside_the_data(data: Path) -> None:
    config = data.parent / "traitcast.toml"
    config.write_text('[check]\nfail_on = "warning"\nignore = ["secret"]\nrules = ["label_majority_share < 0.5"]\n')
    result = run("check", data)
    assert result.exit_code == 1
    assert "failed: 1 finding and 1 broken rule" in result.stdout
    config.write_text('[check]\nfailon = "warning"\n')
    refused = run("check", data)
    assert refused.exit_code == 2
    assert "unknown key 'failon' in [check]; did you mean 'fail_on'?" in refused.stderr
    for content, message in (
        ("[check\n", "cannot read"),
        (f"[check]\ncontext = {'9' * 5000}\n", "cannot read"),
        ('[chek]\nfail_on = "warning"\n', "unknown table or key chek. It holds [check] alone"),
    ):
        config.write_text(content)
        refused = run("check", data)
        assert refused.exit_code == 2
        assert message in " ".join(refused.stderr.split())


def test_forms_for_build_servers(data: Path) -> None:
    lines = run("check", data, "--format", "github").stdout.splitlines()
    assert lines[0].startswith(f"::error file={data},line=3,title=data%3A secret::1 row (2.4 %25) holds")
    assert lines[1].startswith(f"::warning file={data},line=41,title=data%3A exact_duplicate::")
    suite = ElementTree.fromstring(run("check", data, "--format", "junit").stdout).find("testsuite")
    assert suite is not None
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert (failed, suite.get("failures")) == (["secret"], "1")
    found = json.loads(run("check", data, "--format", "json").stdout)[0]
    assert (found["passed"], [f["check"] for f in found["findings"]]) == (False, ["secret", "exact_duplicate"])
    assert found["findings"][0]["rows"] == [3]


def test_all_rows_of_a_check(data: Path) -> None:
    assert run("check", data, "--rows", "exact_duplicate").stdout == f"41  {data}:41\n"
    listed = run("check", data, "--rows", "exact_duplicate,secret")
    assert listed.stdout == f"3  {data}:3\n41  {data}:41\n"
    texts = run("check", data, "--rows", "secret", "--with-texts")
    assert texts.stdout == f"3  {data}:3  key AKIAIOSFODNN7EXAMPLE => b\n"
    as_json = json.loads(run("check", data, "--rows", "secret", "--format", "json").stdout)
    assert as_json == [{"row": 3, "file": str(data), "line": 3}]
    assert run("check", data, "--rows", "markup").stdout == ""
    refused = run("check", data, "--rows", "exact_duplicates")
    assert refused.exit_code == 2
    assert "did you mean 'exact_duplicate'" in refused.stderr


def test_rows_of_several_files_are_listed_with_their_file(data: Path) -> None:
    folder = data.parent / "parts"
    folder.mkdir()
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    # A row without a text is left out, and counts.
    pq.write_table(pa.Table.from_pylist([{"text": None, "label": None}, *rows[:20]]), folder / "train-0.parquet")
    pq.write_table(pa.Table.from_pylist(rows[20:]), folder / "train-1.parquet")
    found = run("check", folder, "--rows", "secret,exact_duplicate").stdout.splitlines()
    assert [line.replace(str(folder), "") for line in found] == [
        "4  /train-0.parquet row 4",
        "42  /train-1.parquet row 21",
    ]


def test_a_profiled_name_is_read_as_it_was_profiled(data: Path) -> None:
    data.write_text(data.read_text().replace('"label"', '"odd"').replace('"text"', '"x"'))
    roles = ("--roles", "text=x", "--roles", "label=odd")
    assert run("profile", data, "--name", "mine", "--rows", "20", *roles).exit_code == 0
    by_file = json.loads(run("check", data, *roles, "--format", "json").stdout)[0]
    by_name = json.loads(run("check", "mine", "--format", "json").stdout)[0]
    assert by_name.pop("name") == "mine"
    for one in (by_file, by_name):
        for found in one["findings"]:
            found.pop("cure")
    assert by_name == {key: value for key, value in by_file.items() if key != "name"}
    assert run("filter", "mine", "--drop", "secret", "--out", "clean").exit_code == 0
    planned = run("vary", "mine")
    assert planned.exit_code == 2
    assert "'mine' is neither a file" in planned.stderr
    assert "the profile of that name was made of data.jsonl: name that." in " ".join(planned.stderr.split())
    data.write_text(data.read_text() + '{"x": "one more", "odd": "a"}\n')
    changed = run("check", "mine")
    assert changed.exit_code == 2
    assert "data.jsonl has changed since 'mine' was profiled from it" in " ".join(changed.stderr.split())
    data.unlink()
    gone = run("check", "mine")
    assert gone.exit_code == 2
    assert "its rows are not here: no " in " ".join(gone.stderr.split())
    assert "traitcast show mine" in gone.stderr
    assert "'sst2' is a profile, and its rows are not here. What was found" in " ".join(
        run("check", "sst2").stderr.split()
    )


def test_the_settings_beside_the_data_hold_for_its_name_too(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, ROWS[0]]))
    (data.parent / "traitcast.toml").write_text('[check]\nfail_on = "warning"\n')
    assert run("profile", data, "--name", "mine", "--rows", "20").exit_code == 0
    (elsewhere := data.parent / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    for dataset in (data, "mine"):
        assert run("check", dataset, "--warehouse", data.parent / "traitcast.duckdb").exit_code == 1


def test_a_changed_file_is_refused_with_any_options_until_it_is_profiled_as_before(data: Path) -> None:
    rows = [{"x": row["text"], "odd": row["label"], "note": ""} for row in ROWS]
    old = data.with_name("old.csv")
    lines = [";".join(row) + "\n" for row in (rows[0], *(row.values() for row in rows))]
    old.write_text("".join(lines))
    asked = ("--roles", "text=x", "--roles", "label=odd", "--delimiter", ";", "--rows", "20", "--seed", "3")
    assert run("profile", old, "--name", "mine", *asked).exit_code == 0
    other: list[tuple[str | Path, ...]] = [("mine", "--language", "de"), (data, "--against", "mine")]
    for arguments in other:
        assert run("check", *arguments, "--fail-on", "never").exit_code == 0
    old.write_text("".join([*lines, "one more;a;\n"]))
    for arguments in [*other, ("mine",)]:
        changed = run("check", *arguments, "--fail-on", "never")
        assert changed.exit_code == 2
        told = " ".join(changed.stderr.split())
        assert "old.csv has changed since 'mine' was profiled from it" in told
    advice = shlex.split(told.partition("profile it again: ")[2])
    assert advice[:3] == ["traitcast", "profile", "old.csv"]
    assert {"mine", *asked} <= {*advice}
    assert run(*advice[1:]).exit_code == 0
    for arguments in other:
        assert run("check", *arguments, "--fail-on", "never").exit_code == 0


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_rows_without_a_label_are_found_listed_and_filtered(tmp_path: Path, blank: str | None) -> None:
    data = tmp_path / "data.jsonl"
    gaps = {4: ROWS[4] | {"label": blank}, 9: ROWS[9] | {"label": blank}, 11: {"text": " ", "label": blank}}
    data.write_text("".join(json.dumps(gaps.get(at, row)) + "\n" for at, row in enumerate([*ROWS, ROWS[0]])))
    shown = run("check", data, "--fail-on", "warning")
    assert shown.exit_code == 1
    assert "WARNING no_label: 2 rows (4.9 %) have no label or answer and are left out" in shown.stdout
    assert "rows 5, 10\n" in shown.stdout
    assert "WARNING empty_row: 1 row (2.4 %) has neither prompt nor answer and is left out" in shown.stdout
    listed = run("check", data, "--rows", "no_label,exact_duplicate", "--with-texts").stdout.splitlines()
    assert [line.replace(str(data), "").split("  ")[:2] for line in listed] == [
        ["5", ":5"],
        ["10", ":10"],
        ["41", ":41"],
    ]
    assert '"text": "ticket 4 about the water pipe"' in listed[0]
    assert "data.jsonl,line=5,title=data%3A no_label" in run("check", data, "--format", "github").stdout
    assert run("filter", data, "--drop", "no_label,exact_duplicate", "--out", tmp_path / "less").exit_code == 0
    dropped = json.loads((tmp_path / "less" / "dropped.yaml").read_text())["dropped"]
    assert [(one["line"], one["row_in_check"]) for one in dropped] == [(5, 5), (10, 10), (41, 41)]
    assert run("filter", data, "--drop", "no_label", "--out", tmp_path / "clean").exit_code == 0
    kept = (tmp_path / "clean" / "all.jsonl").read_text().splitlines()
    assert kept == [line for at, line in enumerate(data.read_text().splitlines()) if at not in (4, 9)]


@pytest.mark.parametrize(
    ("asked", "meant"), [("duplicates", "exact_duplicate"), ("dup", "exact_duplicate"), ("markpu", "markup")]
)
def test_a_check_is_named_by_a_word_of_it(data: Path, asked: str, meant: str) -> None:
    for words in (("check", data, "--rows", asked), ("filter", data, "--drop", asked, "--out", data.parent / "clean")):
        refused = run(*words)
        assert refused.exit_code == 2
        assert f"unknown check '{asked}'; did you mean '{meant}'? Checks: " in " ".join(refused.stderr.split())


def test_a_file_of_one_class_is_found(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row | {"label": "a"}) + "\n" for row in ROWS))
    (found,) = json.loads(run("check", data, "--format", "json").stdout)[0]["findings"]
    assert (found["check"], found["severity"], found["count"]) == ("one_class", "warning", 40)
    assert "all rows" in run("check", data).stdout
    refused = run("filter", data, "--drop", "one_class", "--out", tmp_path / "clean")
    assert refused.exit_code == 2
    assert "every readable row of split 'all' has one_class: the copy would be empty" in " ".join(
        refused.stderr.split()
    )
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_filter_writes_a_copy_and_a_manifest(data: Path) -> None:
    before = data.read_bytes()
    out = data.parent / "clean"
    result = run("filter", data, "--drop", "exact_duplicate,secret", "--out", out)
    assert result.exit_code == 0
    assert "39 rows kept, 2 rows left out" in result.stdout
    lines = (out / "all.jsonl").read_text().splitlines()
    assert lines == [line for at, line in enumerate(before.decode().splitlines(), 1) if at not in (3, 41)]
    manifest = json.loads((out / "dropped.yaml").read_text())
    assert manifest["dropped_by_check"] == {"secret": 1, "exact_duplicate": 1}
    assert [(one["line"], one["checks"]) for one in manifest["dropped"]] == [(3, ["secret"]), (41, ["exact_duplicate"])]
    assert data.read_bytes() == before
    assert run("check", out, "--fail-on", "info").exit_code == 0
    again = run("filter", data, "--drop", "secret", "--out", out)
    assert again.exit_code == 2
    assert "exists, and nothing is written over" in again.stderr
    assert sorted(path.name for path in data.parent.iterdir()) == ["clean", "data.jsonl"]


def test_one_that_passes_does_not_hide_one_that_fails(data: Path) -> None:
    other = data.parent / "other" / "data.jsonl"
    other.parent.mkdir()
    other.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert run("check", other).exit_code == 0
    assert run("check", data, other).exit_code == 1
    suites = ElementTree.fromstring(run("check", data, other, "--format", "junit").stdout)
    assert [suite.get("name") for suite in suites] == [str(data), str(other)]


def test_the_command_of_a_cure_finds_the_same_rows(data: Path) -> None:
    folder = data.parent / "splits"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "test.jsonl").write_text(data.read_text())
    found = json.loads(run("check", folder, "--split", "test", "--format", "json").stdout)[0]["findings"]
    cure = next(f["cure"] for f in found if f["check"] == "exact_duplicate")
    assert f"traitcast filter {folder} --split test --drop exact_duplicate" in cure
    assert "other dataset" not in cure
    refused = run("filter", folder, "--drop", "contamination", "--out", data.parent / "out")
    assert refused.exit_code == 2
    assert "--against OTHER --rows contamination" in refused.stderr


def test_every_split_of_the_other_dataset_counts(data: Path) -> None:
    folder = data.parent / "bench"
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps({**r, "text": "x " + r["text"]}) + "\n" for r in ROWS))
    (folder / "test.jsonl").write_text(json.dumps(ROWS[5]) + "\n")
    assert run("check", data, "--against", folder, "--rows", "contamination").stdout == f"6  {data}:6\n"


def test_a_copy_keeps_stated_roles_and_no_name(data: Path) -> None:
    out = data.parent / "roles"
    assert run("filter", data, "--roles", "text=label label=text", "--drop", "secret", "--out", out).exit_code == 0
    assert "text_fields:\n- label\n" in (out / "dataset.yaml").read_text()
    (data.parent / "dataset.yaml").write_text(
        "name: mine\ntask_type: classification\ntext_fields: [text]\nlabel_field: label\n"
    )
    out = data.parent / "named"
    assert run("filter", data, "--drop", "secret", "--out", out).exit_code == 0
    assert "name:" not in (out / "dataset.yaml").read_text()


def test_rows_beyond_a_context(data: Path) -> None:
    tight = run("check", data, "--ignore", "secret", "--context", "5", "--fail-on", "warning")
    assert tight.exit_code == 1
    assert (
        "All: traitcast check data.jsonl --context 5 --rows over_context"
        in run("check", "data.jsonl", "--context", "5").stdout
    )
    assert len(run("check", data, "--context", "5", "--rows", "over_context").stdout.splitlines()) == 41
    (data.parent / "traitcast.toml").write_text('[check]\nignore = ["secret"]\ncontext = 5\n')
    assert "over_context" in run("check", data).stdout
    (data.parent / "traitcast.toml").write_text('[check]\ncontext = "5"\n')
    refused = run("check", data)
    assert refused.exit_code == 2
    assert "context must be a whole number, not '5'" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("check", "data.jsonl", "--rule", "over_context.count == 0"),
            "over_context is not looked for without --context",
        ),
        (("check", "data.jsonl", "--rows", "contamination"), "contamination is not looked for without --against: add"),
        (("check", "data.jsonl", "--tokenizer", "x"), "add --context, such as 2048"),
        (("filter", "data.jsonl", "--drop", "over_context", "--out", "o"), "is not looked for without --context"),
        (("filter", "data.jsonl", "--drop", "near_contamination", "--out", "o"), "which filter does not read"),
    ],
)
def test_what_is_not_looked_for_is_not_passed(data: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = run(*arguments)
    assert refused.exit_code == 2
    assert message in " ".join(refused.stderr.split())


def test_junit_has_no_case_for_what_was_not_looked_for(data: Path) -> None:
    def cases(*more: str) -> set[str]:
        found = run("check", data, "--format", "junit", *more).stdout
        return {str(case.get("name")) for case in ElementTree.fromstring(found).iter("testcase")}

    assert cases("--context", "9") - cases() == {"over_context"}
    assert cases("--against", str(data)) - cases() == {"contamination", "near_contamination"}


def test_a_copy_that_leaves_nothing_out_says_so(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAITCAST_QUIET")
    copied = run("filter", "data.jsonl", "--drop", "markup,refusal", "--out", "clean")
    assert "41 rows kept, 0 rows left out" in copied.stdout
    assert "no row has markup or refusal: clean holds the same rows as data.jsonl" in copied.stderr


def test_roles_that_are_not_clear_name_the_command_that_was_asked(data: Path) -> None:
    (data.parent / "odd.jsonl").write_text('{"x": "hello there", "y": 3}\n{"x": "hello again", "y": 5}\n')
    refused = run("check", "odd.jsonl")
    assert "The best guess is: traitcast check odd.jsonl --roles answer=x" in refused.stderr.replace(
        f"{data.parent}/", ""
    )


def test_splits_that_were_not_checked_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAITCAST_QUIET", "1")
    for name, rows in (("train", ROWS), ("test", [*ROWS[:1], {"text": "another ticket", "label": "a"}])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = run("check", tmp_path).stdout
    assert "Not checked: test; add --split NAME" in shown
    leak = " ".join(run("check", tmp_path, "--split", "test").stdout.split())
    # What two splits share is to leave the training rows, whichever split was looked at.
    assert f"traitcast filter {tmp_path} --drop split_leak" in leak
    listed = run("check", tmp_path, "--ignore", "split_leak,near_split_leak,rare_class")
    assert listed.exit_code == 0
    assert "split_leak" not in listed.stdout
