"""Files that were read wrongly without a word: each is now read right, warned about, or refused with what to do."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import InputError

N = 60
TEXTS = [f"the shop sold bike number {i}" for i in range(2 * N)]
AB = ["good", "bad"] * N


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def labelled(path: Path, labels: list[Any]) -> Path:
    return jsonl(path, [{"text": text, "label": label} for text, label in zip(TEXTS, labels, strict=False)])


def table(path: Path, header: str, rows: list[str], encoding: str = "utf-8") -> Path:
    path.write_bytes("".join(f"{line}\n" for line in (header, *rows) if line).encode(encoding))
    return path


# -- options


def choices(answers: list[str]) -> list[dict[str, Any]]:
    options = {f"option_{mark}": f"{mark} thing" for mark in "abcd"}
    return [{"question": text, **options, "answer": answer} for text, answer in zip(TEXTS, answers, strict=False)]


@pytest.mark.parametrize("odd", ["AC", "E", "None"])
def test_one_answer_that_names_no_option(tmp_path: Path, odd: str) -> None:
    answers = ["ABCD"[i % 4] for i in range(N)]
    path = jsonl(tmp_path / "a.jsonl", choices(answers))
    assert read(path).spec.task_type == "multiple_choice"
    answers[17] = odd
    with pytest.raises(
        InputError, match=f"line 18: answer '{odd}' in column 'answer' does not name one of the 4 options"
    ):
        read(jsonl(path, choices(answers)))


def test_columns_that_happen_to_be_called_by_letters(tmp_path: Path) -> None:
    rows = [{"instruction": t, "a": "x", "b": "y", "c": "z", "output": f"{i} bikes"} for i, t in enumerate(TEXTS[:N])]
    assert read(jsonl(tmp_path / "a.jsonl", rows)).spec.task_type == "generation"


@pytest.mark.parametrize("answers", [["0", "1", "2", "3"], ["a", "b", "c", "none of these", "both"]])
def test_letters_that_an_answer_names_now_and_then(tmp_path: Path, answers: list[str]) -> None:
    rows = [
        {"question": t, "a": "x", "b": "y", "c": "z", "answer": answers[i % len(answers)]} for i, t in enumerate(TEXTS)
    ]
    assert read(jsonl(tmp_path / "a.jsonl", rows)).spec.task_type == "generation"


def test_a_blank_option_that_is_an_answer(tmp_path: Path) -> None:
    rows = [{"question": t, "options": ["yes", "no", ""], "answer": i % 3} for i, t in enumerate(TEXTS)]
    assert read(jsonl(tmp_path / "a.jsonl", rows)).table["response"].to_pylist()[:3] == ["yes", "no", ""]


def test_answers_that_are_names_of_columns(tmp_path: Path) -> None:
    found = read(jsonl(tmp_path / "a.jsonl", choices([f"option_{'abcd'[i % 4]}" for i in range(N)])))
    assert found.table["response"].to_pylist()[:2] == ["a thing", "b thing"]
    rows = [
        {"question": t, "choice0": "p", "choice1": "q", "choice2": "r", "answer": f"choice{1 + i % 2}"}
        for i, t in enumerate(TEXTS)
    ]
    assert read(jsonl(tmp_path / "b.jsonl", rows)).table["response"].to_pylist()[:2] == ["q", "r"]


@pytest.mark.parametrize("pad", [None, ""])
def test_options_that_were_padded(tmp_path: Path, pad: str | None) -> None:
    rows = [{"question": text, "options": ["one", "two", pad, pad], "answer": i % 2} for i, text in enumerate(TEXTS)]
    assert read(jsonl(tmp_path / "a.jsonl", rows)).table["options"][0].as_py() == ["one", "two"]
    keyed = [{**row, "options": {"A": "one", "B": "two", "C": pad}, "answer": "AB"[row["answer"]]} for row in rows]
    assert read(jsonl(tmp_path / "b.jsonl", keyed)).table["options"][0].as_py() == ["one", "two"]


# -- columns that the first rows leave empty


def test_a_column_that_is_empty_at_first(tmp_path: Path) -> None:
    rows = [f"say it,{f'text {i}' if i >= 1050 else ''},number {i}" for i in range(1300)]
    path = table(tmp_path / "a.csv", "instruction,input,output", rows)
    (warning,) = read(path).warnings
    assert warning.startswith("250 of 1,300 rows have something in 'input', which is not read")
    command = "text=instruction,input"
    assert warning.endswith(f"--roles {command}")
    assert read(path, roles=(command,)).spec.text_fields == ("instruction", "input")


def test_a_key_that_comes_late(tmp_path: Path) -> None:
    rows = [
        {"instruction": "say it", "output": f"number {i}", **({"system": "S"} if i > 1100 else {})} for i in range(1300)
    ]
    path = jsonl(tmp_path / "a.jsonl", rows)
    (warning,) = read(path).warnings
    assert warning.startswith("199 of 1,300 rows have something in 'system'")
    found = read(path, roles=(warning.partition("--roles ")[2],))
    assert found.table["fields"][-1].as_py() == ["say it", "S"]
    assert found.warnings == ()
    (tmp_path / "roles.yaml").write_text("text_fields: [instruction, system]\nanswer_field: output\n")
    assert read(path, spec=tmp_path / "roles.yaml").table["fields"][-1].as_py() == ["say it", "S"]


# -- labels


def test_one_hot_lists_of_two_classes(tmp_path: Path) -> None:
    rows = [{"text": text, "labels": [1, 0] if i % 2 else [0, 1]} for i, text in enumerate(TEXTS)]
    assert read(jsonl(tmp_path / "a.jsonl", rows)).table["label"].to_pylist()[:2] == ["1", "0"]


@pytest.mark.parametrize("values", [["1,5", "2,0", "4,25"], [".5", ".25", "1"], ["5.2e-05", "0.3", "0.25"]])
def test_fractions_are_no_classes(tmp_path: Path, values: list[str]) -> None:
    path = table(tmp_path / "a.csv", "text;label", [f"{t};{values[i % 3]}" for i, t in enumerate(TEXTS)])
    if "," in values[0]:
        with pytest.raises(InputError, match="'label' may hold numbers with a decimal comma"):
            read(path)
    else:
        assert read(path).spec.answer_field == "label"


def test_fractions_that_come_late(tmp_path: Path) -> None:
    rows = [f"text {i},{i % 3 if i < 1000 else 0.5}" for i in range(1100)]
    found = read(table(tmp_path / "a.csv", "text,label", rows))
    assert any(warning.startswith("labels such as '0.5' are fractions") for warning in found.warnings)


@pytest.mark.parametrize("mark", ["/", " + ", " & ", " ", "\n"])
def test_labels_in_one_cell(tmp_path: Path, mark: str) -> None:
    classes = ["joy", "fear", "hope", f"joy{mark}fear", f"fear{mark}hope"]
    (warning,) = read(labelled(tmp_path / "a.jsonl", [classes[i % 5] for i in range(100)])).warnings
    assert warning.startswith("40 of 100 rows have several labels joined by ")


def test_labels_in_angle_brackets(tmp_path: Path) -> None:
    (warning,) = read(labelled(tmp_path / "a.jsonl", ["<python><list>", *AB])).warnings
    assert warning.startswith("1 of 120 rows have several labels joined by '><'")


@pytest.mark.parametrize(
    "classes",
    [
        ["New York", "good"],
        ["R&B", "C++", "and/or"],
        ["Science", "Fiction", "Science Fiction"],
        ["African", "American", "African American", "Asian", "Asian American"],
        ["1", "2", "1/2"],
        ["(none, other)", "(yes, if asked)", "(a;b)"],
    ],
)
def test_names_with_such_marks_are_names(tmp_path: Path, classes: list[str]) -> None:
    assert read(labelled(tmp_path / "a.jsonl", [classes[i % len(classes)] for i in range(N)])).warnings == ()


@pytest.mark.parametrize("label", ["frozenset({'joy', 'anger'})", "tensor([0, 1, 0])", "{'joy'}"])
def test_lists_that_were_printed_are_no_labels(tmp_path: Path, label: str) -> None:
    with pytest.raises(InputError, match="holds a list written as text"):
        read(labelled(tmp_path / "a.jsonl", [*AB[:N], label, *AB[:N]]))


@pytest.mark.parametrize("values", [["0,1", "1,0", None], ["1,250", "2,500", "12,000"]])
def test_commas_that_are_no_decimal_ones(tmp_path: Path, values: list[str | None]) -> None:
    path = labelled(tmp_path / "a.jsonl", [values[i % 3] for i in range(N)])
    assert read(path).spec.label_field == "label"


def test_words_for_a_missing_value(tmp_path: Path) -> None:
    (warning,) = read(labelled(tmp_path / "a.jsonl", ["n/a", *AB])).warnings
    assert warning.startswith("1 of 120 rows have the label 'n/a'")
    rows = [{"instruction": text, "output": "nan" if i % 6 == 0 else f"bike {i}"} for i, text in enumerate(TEXTS)]
    (warning,) = read(jsonl(tmp_path / "b.jsonl", rows)).warnings
    assert warning == "20 of 120 rows have the text 'nan' in 'output'; if that means nothing, leave the cell empty"


# -- spans, tags, pairs, other


@pytest.mark.parametrize(
    ("text", "spans", "cut"),
    [
        ("John lives in Rome now", [(0, 3), (14, 17)], 2),
        ("John lives in Rome now", [(0, 4), (14, 18)], 0),
        ("😀😀 John lives in Rome", [(5, 9)], 1),
        ("我住在罗马城里", [(3, 5)], 0),
    ],
)
def test_spans_that_cut_words(tmp_path: Path, text: str, spans: list[tuple[int, int]], cut: int) -> None:
    entities = [{"start": start, "end": end, "label": "X"} for start, end in spans]
    found = read(jsonl(tmp_path / "a.jsonl", [{"text": text, "entities": entities}] * N)).warnings
    expected = f"{cut * N:,} of {len(spans) * N:,} spans in 'entities' begin or end inside of a word"
    assert [warning.partition(":")[0] for warning in found] == ([expected] if cut else [])


def test_spans_that_say_what_they_are(tmp_path: Path) -> None:
    entities = [{"start": 0, "end": 6, "text": "Ankara", "label": "X"}, {"start": 16, "end": 18, "label": "Y"}]
    found = read(jsonl(tmp_path / "a.jsonl", [{"text": "Ankaradan geldi 50mg", "entities": entities}] * N))
    assert found.warnings == ()


def test_tags_that_are_bare_numbers(tmp_path: Path) -> None:
    named = [{"tokens": [], "tags": []}, *({"tokens": ["a", "b"], "tags": ["DET", "NOUN"]} for _ in range(N))]
    assert not any("bare numbers" in warning for warning in read(jsonl(tmp_path / "b.jsonl", named)).warnings)
    rows = [{"tokens": text.split(), "ner_tags": [0, 0, 1, 2, 0, 3]} for text in TEXTS]
    (warning,) = read(jsonl(tmp_path / "a.jsonl", rows)).warnings
    assert warning.startswith("the tags in 'ner_tags' are bare numbers")


def test_ranked_responses_go_by_their_grades(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"say {i}", "responses": ["first", "second"], "scores": scores}
        for i, scores in enumerate([[4, 2]] * 1000 + [[1, 5]] * 200 + [[3, 3]] * 100)
    ]
    found = read(jsonl(tmp_path / "a.jsonl", rows))
    assert found.table["response"].to_pylist() == ["first"] * 1000 + ["second"] * 200
    assert len(found.dropped["tied_pair"]) == 100


def test_columns_in_another_script_are_not_alike(tmp_path: Path) -> None:
    rows = [
        {"文本": text, "label": label, "分数": i % 5} for i, (text, label) in enumerate(zip(TEXTS, AB, strict=True))
    ]
    assert read(jsonl(tmp_path / "a.jsonl", rows)).spec.text_fields == ("文本",)


def test_names_that_roles_cannot_say_are_proposed_in_a_file(tmp_path: Path) -> None:
    rows = [{"Frage, bitte": f"{text}?", "Antwort: kurz": text[::-1]} for text in TEXTS]
    with pytest.raises(InputError, match="Write the roles into a file such as roles.yaml, then run: (.*)") as caught:
        read(jsonl(tmp_path / "a.jsonl", rows))
    assert "The best guess is" not in str(caught.value)
    spec = tmp_path / "roles.yaml"
    spec.write_text("".join(f"{line[2:]}\n" for line in str(caught.value).splitlines() if line.startswith("  ")))
    assert read(tmp_path / "a.jsonl", spec=spec).spec.answer_field == "Antwort: kurz"


# -- files


def test_cells_in_single_quotes(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", "'text','label'", [f"'{t}','{m}'" for t, m in zip(TEXTS, AB, strict=True)])
    with pytest.raises(InputError, match="""all names of columns are in single quotes.*add --quote "'\""""):
        read(path)
    assert read(path, quote="'").table["label"][0].as_py() == "good"


@pytest.mark.parametrize(
    ("encoding", "named", "text"),
    [
        ("cp1251", "WINDOWS-1251", "хороший фильм, который надо смотреть"),
        ("shift_jis", "SHIFT_JIS", "とても良い映画でした"),
        ("gb18030", "GB18030", "这部电影非常好看，值得一看"),
        ("koi8_r", "KOI8-R", "хороший фильм, который надо смотреть"),
        ("cp1253", "WINDOWS-1253", "μια πολύ καλή ταινία για όλους"),
        ("cp1255", "WINDOWS-1255", "סרט טוב מאוד לכל המשפחה"),
        ("cp1256", "WINDOWS-1256", "فيلم جيد جدا لكل العائلة"),
        ("euc_jp", "EUC-JP", "とても良い映画でした"),
        ("cp949", "CP949", "아주 좋은 영화였습니다"),
        ("big5", "BIG5", "這部電影非常好看，我們都很喜歡"),
        ("cp1252", "WINDOWS-1252", "schöner Film für alle"),
    ],
)
def test_the_encoding_is_judged(tmp_path: Path, encoding: str, named: str, text: str) -> None:
    if shutil.which("iconv") is None:
        pytest.skip("needs iconv")
    path = table(tmp_path / "a.csv", "text,label", [f'"{text} {i}",{m}' for i, m in enumerate(AB)], encoding)
    with pytest.raises(InputError, match=f"Convert it, for example: (iconv -f {named} .*)") as caught:
        read(path)
    subprocess.run(str(caught.value).partition("for example: ")[2], shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "a_new.csv").table["fields"][0].as_py() == [f"{text} 0"]


@pytest.mark.parametrize(
    "rows",
    [
        [f"这部电影很好看第{i}次,{m}" for i, m in enumerate(AB)],
        [f"tree {i},{m}" for i, m in enumerate(AB)],
        [f"a6842f-{i},{t},{m}" for i, (t, m) in enumerate(zip(TEXTS, AB, strict=True))],
        [f'"{t}, {t}",{m}' for t, m in zip(TEXTS, AB, strict=True)],
    ],
)
def test_files_without_a_header(tmp_path: Path, rows: list[str]) -> None:
    path = table(tmp_path / "a.csv", "", ["\ufeff" + rows[0], *rows[1:]])
    with pytest.raises(InputError, match="looks like data, not like a header.*for example: (.*)") as caught:
        read(path)
    subprocess.run(str(caught.value).partition("for example: ")[2], shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "with_header.csv", roles=("text=text label=label",)).rows == len(rows)


@pytest.mark.parametrize("header", ["tweet,class", "id,utterance,intent", "col 1,col 2"])
def test_files_with_one(tmp_path: Path, header: str) -> None:
    cells = [
        ",".join([*([f"a-{i}"] if header.count(",") == 2 else []), t, m])
        for i, (t, m) in enumerate(zip(TEXTS, AB, strict=True))
    ]
    path = table(tmp_path / "a.csv", header, cells)
    text, label = header.split(",")[-2:]
    assert read(path, roles=(f"'text={text}' 'label={label}'",)).rows == len(cells)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("#,utterance,type", "{i},how are you,{ab}"),
        ("#id,content,kind", "{i},{t},{ab}"),
        ("#sad day today,x", "#{t},title"),
    ],
)
def test_names_that_begin_as_comments_do(tmp_path: Path, header: str, row: str) -> None:
    rows = [row.format(i=i, t=t, ab=m) for i, (t, m) in enumerate(zip(TEXTS, AB, strict=True))]
    with pytest.raises(InputError, match="cannot tell the roles"):
        read(table(tmp_path / "a.csv", header, rows))


def test_a_comment_above_the_header(tmp_path: Path) -> None:
    path = table(
        tmp_path / "a.csv", "# made 2024-01-01, by me", ["text,label", *map(",".join, zip(TEXTS, AB, strict=True))]
    )
    with pytest.raises(InputError, match="line 1 is a comment.*Remove it: (.*)") as caught:
        read(path)
    subprocess.run(str(caught.value).partition("Remove it: ")[2], shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "a_new.csv").rows == len(TEXTS)


@pytest.mark.parametrize(
    ("content", "command"),
    [
        ('{"text": "a b", "label": "x"}{"text": "c d", "label": "y"}', "Write each on a line: "),
        ('[{"text": "a b", "label": "x"},\n{"text": "c d", "label": "y"}]\n', "Write it so: "),
        ("{'text': 'a b', 'label': 'x'}\n{'text': 'c d', 'label': 'y'}\n", "Write it as JSON: "),
    ],
)
def test_json_that_is_no_json_lines(tmp_path: Path, content: str, command: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=f"{command}(.*)") as caught:
        read(path)
    step = str(caught.value).partition(command)[2]
    if shutil.which(step.split()[0]) is None:
        pytest.skip(f"needs {step.split()[0]}")
    subprocess.run(step, shell=True, check=True, cwd=tmp_path)
    assert read(tmp_path / "a_rows.jsonl").rows == 2


def test_one_lost_byte_is_no_other_encoding(tmp_path: Path) -> None:
    content = "text,label\n" + "".join(f"хороший фильм {i},{m}\n" for i, m in enumerate(AB))
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode().replace("ф".encode(), "ф".encode()[:1], 1))
    with pytest.raises(InputError, match="for example: iconv -c -f UTF-8 -t UTF-8 "):
        read(path)


def test_an_array_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('[{"text": "a b", "label": "x"}, {"text": "c d", "la')
    with pytest.raises(InputError, match="the file may be cut off"):
        read(path)


def test_a_lone_line_is_not_to_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a b", "label": ')
    with pytest.raises(InputError, match="the file may be cut off. Copy it again$"):
        read(path)


def test_a_page_of_the_viewer_with_cut_cells(tmp_path: Path) -> None:
    rows = [
        {"row_idx": i, "row": {"text": t, "label": m}, "truncated_cells": []}
        for i, (t, m) in enumerate(zip(TEXTS, AB, strict=True))
    ]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"rows": rows}))
    assert read(path).rows == len(rows)
    rows[5]["truncated_cells"] = ["text"]
    path.write_text(json.dumps({"rows": rows}))
    with pytest.raises(InputError, match="the hub's viewer cut text of row 5"):
        read(path)
