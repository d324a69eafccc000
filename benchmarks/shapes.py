"""Shapes of files that people reported to other projects: `python benchmarks/shapes.py [WORD]` reads each and prints
what becomes of it, one line for a shape that is read and one for a reason.

Every shape is a handful of rows of our own in the form of a public report; docs/lab.md has what came of them.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from traitcast.profiler.reading.reader import read
from traitcast.warehouse.errors import UserError

N = 24
TEXTS = [f"the shop sold bike number {i}, and it was {'fast' if i % 2 else 'slow'}" for i in range(N)]
SHORT = [f"reply {i} is given" for i in range(N)]
LABELS = ["good" if i % 2 else "bad" for i in range(N)]
DATASETS, AXOLOTL, FACTORY = "huggingface/datasets", "axolotl", "LLaMA-Factory"
Files = dict[str, bytes]


def lines(*columns: tuple[str, list[Any]], end: str = "\n") -> bytes:
    """JSON Lines of columns; `...` leaves a key out."""
    names = [name for name, _ in columns]
    rows = zip(*(values for _, values in columns), strict=True)
    return "".join(
        json.dumps({n: v for n, v in zip(names, row, strict=True) if v is not ...}, ensure_ascii=False) + end
        for row in rows
    ).encode("utf-8", "surrogatepass")


def table(*columns: tuple[str, list[Any]], delimiter: str = ",", quoting: int = csv.QUOTE_MINIMAL, **how: Any) -> str:
    """A CSV of columns."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n", **how)  # type: ignore[arg-type]
    writer.writerow([name for name, _ in columns])
    writer.writerows(zip(*(values for _, values in columns), strict=True))
    return out.getvalue()


def parquet(**columns: Any) -> bytes:
    """A Parquet file of columns."""
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def turns(i: int, *, keys: tuple[str, str] = ("role", "content"), who: tuple[str, str] = ("user", "assistant")) -> Any:
    """One question and its answer."""
    return [{keys[0]: who[0], keys[1]: TEXTS[i]}, {keys[0]: who[1], keys[1]: SHORT[i]}]


def each(make: Callable[[int], Any]) -> list[Any]:
    return [make(i) for i in range(N)]


T, L = ("text", TEXTS), ("label", LABELS)
P, R = ("prompt", TEXTS), ("completion", SHORT)
CALL = {"type": "function", "function": {"name": "sell", "arguments": '{"n": 1}'}}


def shapes() -> Iterator[tuple[str, str, Files]]:
    """(report, what is odd, files)."""
    plain = table(T, L)
    one = lines(T, L)
    # -- separated text
    yield (
        "datasets#622",
        "a carriage return inside a cell",
        {"a.csv": table(("text", [t + "\rx" for t in TEXTS]), L).encode()},
    )
    yield "datasets#622", "a lone \\r as line end", {"a.csv": plain.replace("\n", "\r").encode()}
    yield "datasets#622", "tabs in a file called csv", {"a.csv": table(T, L, delimiter="\t").encode()}
    yield "datasets#1773", "semicolons, as a German Excel writes", {"a.csv": table(T, L, delimiter=";").encode()}
    yield "datasets#1773", "Excel's UTF-8 with a mark at its start", {"a.csv": plain.encode("utf-8-sig")}
    yield (
        "datasets#1989",
        "quotes and commas inside of a TSV",
        {
            "a.tsv": "".join(
                ["text\tlabel\n", *(f"say ('x', '', \"y\"), {t}\t{m}\n" for t, m in zip(TEXTS, LABELS, strict=True))]
            ).encode()
        },
    )
    yield (
        "datasets#1989",
        "control M behind a cell",
        {"a.tsv": table(("text", [t + " ^M" for t in TEXTS]), L, delimiter="\t").encode()},
    )
    yield (
        "fastai#4022",
        "a quote that opens and never closes",
        {"a.csv": plain.replace("number 5,", 'number "5,').encode()},
    )
    yield (
        "fastai#4022",
        "inches as quotes in unquoted cells",
        {
            "a.tsv": table(
                ("text", [f'a 5" wheel {i}' for i in range(N)]),
                L,
                delimiter="\t",
                quoting=csv.QUOTE_NONE,
                quotechar=None,
            ).encode()
        },
    )
    yield (
        "h2o datatable#2074",
        "line ends inside of quoted cells",
        {"a.csv": table(("text", [t + "\nand more" for t in TEXTS]), L).encode()},
    )
    yield "h2o datatable#2074", "a column of nothing", {"a.csv": table(T, L, ("gold", [""] * N)).encode()}
    yield "daf-dataportal#176", "pipes", {"a.csv": table(T, L, delimiter="|").encode()}
    yield (
        "duckdb#14115",
        "pipes, with commas in the cells",
        {"a.csv": table(("text", [t + ", yes, no" for t in TEXTS]), L, delimiter="|").encode()},
    )
    yield (
        "duckdb#15576",
        "a line of prose above the header",
        {"a.csv": b"Export of 2025-01-06\n" + table(T, L, delimiter=";").encode()},
    )
    yield "duckdb#16760", "a line end inside of a header", {"a.csv": plain.replace("text,", '"te\nxt",', 1).encode()}
    yield "duckdb#9343", "rows with too many cells", {"a.csv": plain.replace("\n", "\n", 1).encode() + b"a,b,c,d\n"}
    yield (
        "duckdb#14883",
        "an unquoted quote in one line",
        {"a.csv": plain.replace("bike number 7", 'bike 3"4').encode()},
    )
    yield (
        "duckdb#11403",
        "one column, with line ends",
        {"a.csv": table(("text", [t + "\nmore" for t in TEXTS])).encode()},
    )
    yield (
        "duckdb#19578",
        "decimal commas beside semicolons",
        {"a.csv": table(T, L, ("count", ["1,5"] * N), delimiter=";").encode()},
    )
    yield "duckdb#6011", "no header", {"a.csv": plain.partition("\n")[2].encode()}
    yield "pandas#24681", "NA and N/A as classes", {"a.csv": table(T, ("label", ["N/A", "yes"] * 12)).encode()}
    yield "pandas#10205", "empty labels", {"a.csv": table(T, ("label", ["", "a", "b"] * 8)).encode()}
    yield "pandas index", "the number of the row as first column", {"a.csv": table(("", list(range(N))), T, L).encode()}
    yield "pandas index", "Unnamed: 0", {"a.csv": table(("Unnamed: 0", list(range(N))), T, L).encode()}
    yield "pandas floats", "labels as 0.0 and 1.0", {"a.csv": table(T, ("label", [0.0, 1.0] * 12)).encode()}
    yield "Excel", "sep=; in the first line", {"a.csv": b"sep=;\n" + table(T, L, delimiter=";").encode()}
    yield "Excel", "true and wahr", {"a.csv": table(T, ("label", ["WAHR", "FALSCH"] * 12), delimiter=";").encode()}
    yield "Excel", "Latin 1", {"a.csv": table(("text", [t + " für" for t in TEXTS]), L).encode("latin-1")}
    yield "Excel", "UTF-16", {"a.csv": plain.encode("utf-16")}
    yield "Excel", "a column of all the same text", {"a.csv": table(T, L, ("model", ["gpt"] * N)).encode()}
    yield (
        "csv writer",
        "backslash escapes",
        {"a.csv": table(("text", [t + ' "so"' for t in TEXTS]), L, escapechar="\\", doublequote=False).encode()},
    )
    yield (
        "csv writer",
        "every cell in single quotes",
        {"a.csv": table(T, L, quotechar="'", quoting=csv.QUOTE_ALL).encode()},
    )
    yield "csv writer", "NUL bytes", {"a.csv": plain.encode().replace(b"slow", b"sl\0w")}
    yield "csv writer", "an empty file", {"a.csv": b""}
    yield "csv writer", "a header alone", {"a.csv": b"text,label\n"}
    yield "csv writer", "two columns of one name", {"a.csv": table(T, L, ("text", SHORT)).encode()}
    yield "csv writer", "blank lines between rows", {"a.csv": plain.replace("\n", "\n\n").encode()}
    yield (
        "csv writer",
        "spaces behind commas",
        {"a.csv": "\n".join(["text, label", *(f"text {i}, {m}" for i, m in enumerate(LABELS))]).encode()},
    )
    # -- JSON
    yield "datasets#7222", "nulls first, texts later", {"a.jsonl": lines(T, L, ("note", [None] * 20 + ["late"] * 4))}
    yield (
        "datasets#7092",
        "a shard whose lists are empty",
        {
            "a-00000-of-00002.jsonl": lines(T, ("labels", [[]] * N)),
            "a-00001-of-00002.jsonl": lines(("text", SHORT), ("labels", [["x"], ["y", "z"]] * 12)),
        },
    )
    yield (
        "datasets#7159",
        "missing keys inside of objects",
        {"a.jsonl": lines(("q", [{"text": t} if i % 2 else {"text": t, "n": 1} for i, t in enumerate(TEXTS)]), L)},
    )
    yield "datasets#7170", "missing keys", {"a.jsonl": lines(T, L, ("age", [1 if i % 3 else ... for i in range(N)]))}
    yield "datasets#6460", "numbers and texts in one list", {"a.jsonl": lines(T, ("ner", [[[0, 4, "PER"]]] * N))}
    yield (
        "datasets#7664",
        "a text that looks like a schema",
        {"a.jsonl": lines(("body", [f"### Bug {i}, action: string, datetime: timestamp[s]" for i in range(N)]), L)},
    )
    yield (
        "matrixone#7241",
        "lists instead of objects",
        {"a.jsonl": "".join(json.dumps([t, m]) + "\n" for t, m in zip(TEXTS, LABELS, strict=True)).encode()},
    )
    yield "datasets#8241", "a mark at the start", {"a.jsonl": b"\xef\xbb\xbf" + one}
    yield "datasets#5969", "UTF-16", {"a.jsonl": one.decode().encode("utf-16")}
    yield (
        "boolean-questions#8",
        "Latin 1",
        {"a.jsonl": lines(("text", [t + " für" for t in TEXTS]), L).decode().encode("latin-1")},
    )
    yield "openneuro#3344", "a comma behind the last key", {"a.json": b'[{"text": "a", "label": "b",}]'}
    yield "json", "a comma behind the last row", {"a.json": b"[" + one.replace(b"\n", b",\n") + b"]"}
    yield "json", "Windows line ends", {"a.jsonl": lines(T, L, end="\r\n")}
    yield "json", "no line end at the end", {"a.jsonl": one[:-1]}
    yield "json", "the last line cut off", {"a.jsonl": one[:-12]}
    yield "json", "comments", {"a.jsonl": b"// rows\n" + one}
    yield (
        "json",
        "single quotes, as Python prints",
        {
            "a.jsonl": "".join(
                f"{{'text': {t!r}, 'label': {m!r}}}\n" for t, m in zip(TEXTS, LABELS, strict=True)
            ).encode()
        },
    )
    yield "json", "NaN labels", {"a.jsonl": lines(T, ("label", [float("nan"), "a", "b"] * 8))}
    yield (
        "json",
        "a list of rows in a file called jsonl",
        {"a.jsonl": json.dumps(json.loads("[" + one.decode().strip().replace("\n", ",") + "]")).encode()},
    )
    yield "json", "lines in a file called json", {"a.json": one}
    yield "json", "two objects in one line", {"a.jsonl": one.replace(b"\n", b"", 1)}
    yield "json", "numbers as labels of mixed kinds", {"a.jsonl": lines(T, ("label", [0, "1"] * 12))}
    yield "json", "a label that is a list of one", {"a.jsonl": lines(T, ("label", [[m] for m in LABELS]))}
    yield "json", "half of an emoji", {"a.jsonl": one.replace(b"slow", b"sl\\ud83d")}
    yield "json", "the text is a number", {"a.jsonl": lines(("text", list(range(N))), L)}
    yield "json", "keys with dots", {"a.jsonl": lines(("data.text", TEXTS), ("data.label", LABELS))}
    yield "json", "keys with spaces", {"a.jsonl": lines(("review text", TEXTS), ("my label", LABELS))}
    yield "json", "an empty key", {"a.jsonl": lines(("", TEXTS), T, L)}
    yield "json", "plain text named .gz", {"a.jsonl.gz": one}
    yield "json", "a gzip called jsonl", {"a.jsonl": gzip.compress(one)}
    # -- splits
    yield "datasets#5021", "a split word inside of a name", {"a train ride.jsonl": one}
    yield "datasets#4477", "contest, which holds test", {"contest.jsonl": one, "train.jsonl": lines(T, L)}
    yield "datasets#3788", "dev in a name of a site", {"www_farodevigo_es.jsonl": one}
    yield "datasets#6309", "data twice in a path", {"data/data/train-00000-of-00001.jsonl": one}
    yield (
        "datasets#4985",
        "train/ and test/ as folders",
        {"train/part.jsonl": one, "test/part.jsonl": lines(("text", SHORT), L)},
    )
    yield (
        "datasets#5624",
        "GLUE: -1 in the test split",
        {"train.jsonl": lines(T, ("label", [0, 1] * 12)), "test.jsonl": lines(("text", SHORT), ("label", [-1] * N))},
    )
    yield (
        "tfds#1218",
        "one wrong class in all of the test split",
        {"train.jsonl": lines(T, ("label", [0, 1] * 12)), "test.jsonl": lines(("text", SHORT), ("label", [196] * N))},
    )
    yield (
        "CASA#10",
        "a test split with fewer classes",
        {
            "train.jsonl": lines(T, ("label", ["a", "b", "c"] * 8)),
            "test.jsonl": lines(("text", SHORT), ("label", ["a", "b"] * 12)),
        },
    )
    yield "nprintml#40", "a column that says train or test", {"a.jsonl": lines(T, L, ("split", ["train", "test"] * 12))}
    # -- conversations
    yield (
        "axolotl#1649",
        "ShareGPT with a weight",
        {
            "a.jsonl": lines(
                (
                    "conversations",
                    each(
                        lambda i: [t | {"weight": None} for t in turns(i, keys=("from", "value"), who=("human", "gpt"))]
                    ),
                )
            )
        },
    )
    yield (
        "axolotl#1179",
        "a system turn",
        {
            "a.jsonl": lines(
                (
                    "conversations",
                    each(
                        lambda i: [
                            {"from": "system", "value": "be kind"},
                            *turns(i, keys=("from", "value"), who=("human", "gpt")),
                        ]
                    ),
                )
            )
        },
    )
    yield (
        "axolotl#1308",
        "speakers called USER and ASSISTANT",
        {"a.jsonl": lines(("messages", each(lambda i: turns(i, who=("USER", "ASSISTANT")))))},
    )
    yield "axolotl#1654", "a column called chat", {"a.jsonl": lines(("chat", each(lambda i: turns(i))))}
    yield (
        "axolotl#2647",
        "more than two turns",
        {"a.jsonl": lines(("messages", each(lambda i: turns(i) + turns((i + 1) % N))))},
    )
    yield (
        "axolotl#1832",
        "system turns of some rows",
        {
            "a.jsonl": lines(
                ("messages", each(lambda i: ([{"role": "system", "content": "s"}] if i % 2 else []) + turns(i)))
            )
        },
    )
    yield (
        "oumi#2392",
        "content null beside tool calls",
        {
            "a.jsonl": lines(
                (
                    "messages",
                    each(lambda i: [turns(i)[0], {"role": "assistant", "content": None, "tool_calls": [CALL]}]),
                )
            )
        },
    )
    yield (
        "Synaptic-Tuner#42",
        "a tool result as the last turn",
        {
            "a.jsonl": lines(
                (
                    "messages",
                    each(
                        lambda i: [
                            turns(i)[0],
                            {"role": "assistant", "content": None, "tool_calls": [CALL]},
                            {"role": "tool", "content": "5"},
                        ]
                    ),
                )
            )
        },
    )
    yield (
        "SkyRL#1675",
        "tool calls as JSON text",
        {
            "a.jsonl": lines(
                (
                    "messages",
                    each(
                        lambda i: [turns(i)[0], {"role": "assistant", "content": "", "tool_calls": json.dumps([CALL])}]
                    ),
                )
            )
        },
    )
    yield (
        "Automodel#2324",
        "tools in a column of their own",
        {"a.jsonl": lines(("messages", each(lambda i: turns(i))), ("tools", [json.dumps([CALL])] * N))},
    )
    yield (
        "maxtext#3559",
        "messages as JSON text",
        {"a.jsonl": lines(("messages", each(lambda i: json.dumps(turns(i)))))},
    )
    yield (
        "transformers#45419",
        "turns without a content key",
        {"a.jsonl": lines(("messages", each(lambda i: [turns(i)[0], {"role": "assistant", "tool_calls": [CALL]}])))},
    )
    yield (
        "axolotl#2710",
        "content as parts of text",
        {
            "a.jsonl": lines(
                (
                    "messages",
                    each(
                        lambda i: [
                            {"role": "user", "content": [{"type": "text", "text": TEXTS[i]}, {"type": "image"}]},
                            turns(i)[1],
                        ]
                    ),
                )
            )
        },
    )
    yield (
        "OpenAI batch",
        "a conversation under body",
        {
            "a.jsonl": lines(
                ("custom_id", [f"r{i}" for i in range(N)]), ("body", each(lambda i: {"messages": turns(i)}))
            )
        },
    )
    yield (
        "chat",
        "an empty list of some rows",
        {"a.jsonl": lines(("messages", each(lambda i: turns(i) if i % 4 else [])))},
    )
    yield "chat", "only turns of the user", {"a.jsonl": lines(("messages", each(lambda i: turns(i)[:1])))}
    yield (
        "chat",
        "speakers human_0 and bot_1",
        {"a.jsonl": lines(("messages", each(lambda i: turns(i, who=("human_0", "bot_1")))))},
    )
    yield (
        "chat",
        "one object for an exchange",
        {"a.jsonl": lines(("conversation", each(lambda i: [{"human": TEXTS[i], "assistant": SHORT[i]}])))},
    )
    yield (
        "DailyDialog",
        "a list of utterances and their acts",
        {
            "a.jsonl": lines(
                ("dialog", each(lambda i: [TEXTS[i], SHORT[i]])), ("act", [[1, 2]] * N), ("emotion", [[0, 0]] * N)
            )
        },
    )
    # -- preferences
    yield (
        "LlamaFactory#1829",
        "output as a list of better and worse",
        {"a.jsonl": lines(("instruction", TEXTS), ("input", [""] * N), ("output", each(lambda i: [SHORT[i], "no"])))},
    )
    yield (
        "LlamaFactory#4108",
        "instruction with chosen and rejected",
        {
            "a.json": json.dumps(
                [{"instruction": t, "chosen": s, "rejected": "no"} for t, s in zip(TEXTS, SHORT, strict=True)]
            ).encode()
        },
    )
    yield (
        "LlamaFactory#7696",
        "ShareGPT with two answers and images",
        {
            "a.jsonl": lines(
                ("conversations", each(lambda i: [{"from": "human", "value": TEXTS[i]}])),
                ("chosen", each(lambda i: {"from": "gpt", "value": SHORT[i]})),
                ("rejected", [{"from": "gpt", "value": "no"}] * N),
                ("images", [["a.png"]] * N),
            )
        },
    )
    yield (
        "LlamaFactory#4717",
        "answers as objects with a score",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("pos_answer", each(lambda i: {"answer": SHORT[i], "score": 1.0})),
                ("neg_answer", [{"answer": "no", "score": 0.1}] * N),
            )
        },
    )
    yield (
        "LlamaFactory#1913",
        "a list of ranked objects",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS),
                ("outputs", each(lambda i: [{"text": SHORT[i], "rank": 1}, {"text": "no", "rank": 2}])),
            )
        },
    )
    yield (
        "ms-swift#4535",
        "messages and a label of true or false",
        {"a.jsonl": lines(("messages", each(lambda i: turns(i))), ("label", [True, False] * 12))},
    )
    yield "ms-swift#1513", "that label as a text", {"a.jsonl": lines(P, R, ("label", ["true", "false"] * 12))}
    yield (
        "ms-swift#2417",
        "messages with rejected_response",
        {
            "a.jsonl": lines(
                ("messages", each(lambda i: turns(i))), ("rejected_response", ["no thanks"] * 12 + ["not so"] * 12)
            )
        },
    )
    yield (
        "trl#1116",
        "prompt, answer and is_good",
        {"a.jsonl": lines(P, ("answer", SHORT), ("is_good", [True, False] * 12))},
    )
    yield (
        "HH-RLHF",
        "whole dialogues as one text",
        {
            "a.jsonl": lines(
                ("chosen", each(lambda i: f"\n\nHuman: {TEXTS[i]}\n\nAssistant: {SHORT[i]}")),
                ("rejected", each(lambda i: f"\n\nHuman: {TEXTS[i]}\n\nAssistant: no")),
            )
        },
    )
    yield (
        "SHP",
        "two comments, and which is better",
        {
            "a.jsonl": lines(
                ("history", TEXTS), ("human_ref_A", SHORT), ("human_ref_B", TEXTS[::-1]), ("labels", [0, 1] * 12)
            )
        },
    )
    yield (
        "Chatbot Arena",
        "two conversations and a winner",
        {
            "a.jsonl": lines(
                ("conversation_a", each(lambda i: turns(i))),
                ("conversation_b", each(lambda i: [*turns(i)[:1], {"role": "assistant", "content": "no"}])),
                ("winner", ["model_a", "model_b", "tie"] * 8),
            )
        },
    )
    yield (
        "WebGPT",
        "two answers with scores",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("answer_0", SHORT),
                ("answer_1", TEXTS[::-1]),
                ("score_0", [0.5] * N),
                ("score_1", [-0.5] * N),
            )
        },
    )
    # -- tasks
    yield (
        "lm-eval#1447",
        "answers that count from 1",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("A", ["red"] * N),
                ("B", ["blue"] * N),
                ("C", ["green"] * N),
                ("D", ["white"] * N),
                ("answer", [1, 2, 3, 4] * 6),
            )
        },
    )
    yield (
        "datasets#3550",
        "keys that are the texts again",
        {
            "a.jsonl": lines(
                ("question_stem", TEXTS),
                ("choices", [{"text": ["a cat", "a dog"], "label": ["a cat", "a dog"]}] * N),
                ("answerKey", ["A", "B"] * 12),
            )
        },
    )
    yield (
        "lm-eval#811",
        "an answer beyond the options",
        {"a.jsonl": lines(("question", TEXTS), ("choices", [["a", "b", "c"]] * N), ("answer", [0, 1, 3] * 8))},
    )
    yield (
        "MMMU#11",
        "options as a printed list",
        {"a.jsonl": lines(("question", TEXTS), ("options", ["['Theme', 'Setting']"] * N), ("answer", ["A", "B"] * 12))},
    )
    yield (
        "IndicParam#3826",
        "options that are missing in some rows",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                *((f"option_{c}", [c * 3 if i % 5 or c < "c" else None for i in range(N)]) for c in "abcd"),
                ("correct_answer", ["a", "b"] * 12),
            )
        },
    )
    yield (
        "SQuAD",
        "answers without an answer",
        {
            "a.jsonl": lines(
                ("context", TEXTS),
                ("question", SHORT),
                (
                    "answers",
                    [
                        {"text": ["bike"], "answer_start": [3]} if i % 3 else {"text": [], "answer_start": []}
                        for i in range(N)
                    ],
                ),
            )
        },
    )
    yield (
        "LlamaFactory#40",
        "German Alpaca",
        {"a.jsonl": lines(("Anweisung", TEXTS), ("Eingabe", [""] * N), ("Ausgabe", SHORT))},
    )
    yield (
        "WMT",
        "a translation object",
        {"a.jsonl": lines(("translation", each(lambda i: {"de": TEXTS[i], "en": SHORT[i]})))},
    )
    yield "OPUS", "languages as columns", {"a.jsonl": lines(("en", TEXTS), ("fr", SHORT))}
    yield (
        "goemotions",
        "a column of 0 and 1 per class",
        {"a.jsonl": lines(T, ("joy", [0, 1] * 12), ("fear", [1, 0] * 12), ("anger", [0] * N))},
    )
    yield "go_emotions", "lists of numbers as labels", {"a.jsonl": lines(T, ("labels", [[0], [1, 2]] * 12))}
    yield (
        "CoNLL",
        "tags of another length than tokens",
        {"a.jsonl": lines(("tokens", each(lambda i: TEXTS[i].split())), ("ner_tags", [["O"]] * N))},
    )
    yield (
        "STS",
        "scores with fractions as texts",
        {"a.csv": table(("sentence1", TEXTS), ("sentence2", SHORT), ("score", ["3.5", "2.0"] * 12)).encode()},
    )
    yield "spaCy", "entities as triples", {"a.jsonl": lines(T, ("entities", [[[0, 3, "X"]]] * N))}
    yield (
        "gsm8k",
        "an answer with ####",
        {"a.jsonl": lines(("question", TEXTS), ("answer", [f"so it is\n#### {i}" for i in range(N)]))},
    )
    yield "corpus", "text alone, with metadata", {"a.jsonl": lines(T, ("meta", [{"source": "web"}] * N))}
    yield (
        "corpus",
        "id, url, timestamp, text",
        {"a.jsonl": lines(("id", list(range(N))), ("url", ["http://x"] * N), ("timestamp", ["2020-01-01"] * N), T)},
    )
    yield (
        "intent",
        "utterance and intent",
        {"a.jsonl": lines(("utterance", TEXTS), ("intent", LABELS), ("slots", ["O"] * N))},
    )
    yield (
        "retrieval",
        "query with positive and negative",
        {"a.jsonl": lines(("query", TEXTS), ("positive", SHORT), ("negative", TEXTS[::-1]))},
    )
    yield (
        "retrieval",
        "query, pos and neg as lists",
        {"a.jsonl": lines(("query", TEXTS), ("pos", [[s] for s in SHORT]), ("neg", [["no"]] * N))},
    )
    yield "embedding", "a vector as a column", {"a.jsonl": lines(T, L, ("embedding", [[0.1, 0.2]] * N))}


def more() -> Iterator[tuple[str, str, Files]]:
    """A second pass: layouts of datasets and exports that the first one left out."""
    yield (
        "alpaca",
        "history of pairs",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS), ("input", [""] * N), ("output", SHORT), ("history", [[["hi", "ho"]]] * N)
            )
        },
    )
    yield (
        "alpaca",
        "input null in some",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS), ("input", [None if i % 2 else "x y z" for i in range(N)]), ("output", SHORT)
            )
        },
    )
    yield (
        "orpo",
        "chosen chats with a system turn",
        {
            "a.jsonl": lines(
                ("chosen", each(lambda i: [{"role": "system", "content": "s"}, *turns(i)])),
                (
                    "rejected",
                    each(
                        lambda i: [
                            {"role": "system", "content": "s"},
                            turns(i)[0],
                            {"role": "assistant", "content": "no"},
                        ]
                    ),
                ),
            )
        },
    )
    yield (
        "argilla",
        "chosen with ratings",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS),
                ("chosen", SHORT),
                ("rejected", ["no way so"] * N),
                ("chosen-rating", [4.5] * N),
                ("rejected-rating", [1.0] * N),
            )
        },
    )
    yield (
        "argilla capybara",
        "chosen, rejected, rating_chosen",
        {
            "a.jsonl": lines(
                ("conversation", each(lambda i: [{"input": TEXTS[i], "output": SHORT[i]}])),
                ("chosen", each(lambda i: turns(i))),
                ("rejected", each(lambda i: [turns(i)[0], {"role": "assistant", "content": "no"}])),
                ("rating_chosen", [5] * N),
            )
        },
    )
    yield (
        "ultrafeedback_binarized",
        "all columns",
        {
            "a.jsonl": lines(
                ("prompt", TEXTS),
                ("prompt_id", [f"h{i}" for i in range(N)]),
                ("chosen", each(lambda i: turns(i))),
                ("rejected", each(lambda i: [turns(i)[0], {"role": "assistant", "content": "no"}])),
                ("messages", each(lambda i: turns(i))),
                ("score_chosen", [8.0] * N),
                ("score_rejected", [3.0] * N),
            )
        },
    )
    yield (
        "PKU-SafeRLHF",
        "two responses and ids",
        {
            "a.jsonl": lines(
                ("prompt", TEXTS),
                ("response_0", SHORT),
                ("response_1", TEXTS[::-1]),
                ("better_response_id", [0, 1] * 12),
                ("safer_response_id", [0, 1] * 12),
            )
        },
    )
    yield (
        "stack-exchange-paired",
        "response_j and response_k",
        {
            "a.jsonl": lines(
                ("qid", list(range(N))), ("question", TEXTS), ("response_j", SHORT), ("response_k", TEXTS[::-1])
            )
        },
    )
    yield (
        "summarize_from_feedback",
        "info, summaries, choice",
        {
            "a.jsonl": lines(
                ("info", each(lambda i: {"post": TEXTS[i], "title": "t"})),
                ("summaries", each(lambda i: [{"text": SHORT[i]}, {"text": "no way"}])),
                ("choice", [0, 1] * 12),
            )
        },
    )
    yield (
        "HelpSteer",
        "graded responses",
        {
            "a.jsonl": lines(
                ("prompt", TEXTS),
                ("response", SHORT),
                ("helpfulness", [0, 4] * 12),
                ("correctness", [1, 3] * 12),
                ("verbosity", [2] * N),
            )
        },
    )
    yield (
        "HelpSteer3",
        "two responses, strength",
        {
            "a.jsonl": lines(
                ("context", each(lambda i: turns(i)[:1])),
                ("response1", SHORT),
                ("response2", TEXTS[::-1]),
                ("overall_preference", [-1, 2] * 12),
            )
        },
    )
    yield "flores", "sentence_eng_Latn", {"a.jsonl": lines(("sentence_eng_Latn", TEXTS), ("sentence_deu_Latn", SHORT))}
    yield (
        "opus",
        "translation with script codes",
        {"a.jsonl": lines(("translation", each(lambda i: {"eng_Latn": TEXTS[i], "deu_Latn": SHORT[i]})))},
    )
    yield "zh", "columns in Chinese", {"a.jsonl": lines(("问题", TEXTS), ("回答", SHORT))}
    yield "zh", "label in Chinese", {"a.jsonl": lines(("文本", TEXTS), ("标签", LABELS))}
    yield "ru", "columns in Russian", {"a.jsonl": lines(("вопрос", TEXTS), ("ответ", SHORT))}
    yield (
        "summ",
        "article as a list of sentences",
        {"a.jsonl": lines(("article", each(lambda i: [TEXTS[i], "so it is"])), ("summary", SHORT))},
    )
    yield (
        "qa",
        "answers as list of texts",
        {"a.jsonl": lines(("question", TEXTS), ("answers", [["red one", "blue"]] * N))},
    )
    yield "qa", "answer with three outputs", {"a.jsonl": lines(("input", TEXTS), ("output", [["a", "b", "c"]] * N))}
    yield (
        "convai2",
        "history, candidates",
        {
            "a.jsonl": lines(
                ("personality", [["i am x", "i do y"]] * N),
                ("history", each(lambda i: [TEXTS[i], SHORT[i]])),
                ("candidates", each(lambda i: ["no thanks", "not so", SHORT[i]])),
            )
        },
    )
    yield (
        "openai",
        "name and weight in turns",
        {"a.jsonl": lines(("messages", each(lambda i: [turns(i)[0] | {"name": "bob"}, turns(i)[1] | {"weight": 0}])))},
    )
    yield (
        "openai",
        "response.create export",
        {
            "a.jsonl": lines(
                ("input", each(lambda i: {"messages": turns(i)[:1]})),
                ("preferred_output", each(lambda i: turns(i)[1:])),
                ("non_preferred_output", [[{"role": "assistant", "content": "no"}]] * N),
            )
        },
    )
    yield (
        "vertex",
        "contents with parts",
        {
            "a.jsonl": lines(
                (
                    "contents",
                    each(
                        lambda i: [
                            {"role": "user", "parts": [{"text": TEXTS[i]}]},
                            {"role": "model", "parts": [{"text": SHORT[i]}]},
                        ]
                    ),
                )
            )
        },
    )
    yield (
        "anthropic",
        "system beside messages",
        {"a.jsonl": lines(("system", ["be kind"] * N), ("messages", each(lambda i: turns(i))))},
    )
    yield "label", "booleans", {"a.jsonl": lines(T, ("label", [True, False] * 12))}
    yield "label", "dates", {"a.jsonl": lines(T, ("label", [f"2024-01-{i + 1:02}" for i in range(N)]))}
    yield "label", "emoji", {"a.jsonl": lines(T, ("label", ["😀", "😡"] * 12))}
    yield "label", "5 stars", {"a.jsonl": lines(("review", TEXTS), ("stars", ["5 stars", "1 star"] * 12))}
    yield "label", "trailing space", {"a.jsonl": lines(T, ("label", ["a ", "b"] * 12))}
    yield "score", "-1 to 1", {"a.jsonl": lines(T, ("sentiment", [-0.5, 0.25] * 12))}
    yield (
        "parquet",
        "dictionary strings",
        {"a.parquet": parquet(text=pa.array(TEXTS), label=pa.array(LABELS).dictionary_encode())},
    )
    yield (
        "parquet",
        "large strings and list of struct",
        {"a.parquet": parquet(messages=pa.array(each(lambda i: turns(i))))},
    )
    yield (
        "parquet",
        "decimals as labels",
        {"a.parquet": parquet(text=pa.array(TEXTS), label=pa.array([1, 2] * 12).cast(pa.decimal128(20, 0)))},
    )
    yield "parquet", "null label column", {"a.parquet": parquet(text=pa.array(TEXTS), label=pa.nulls(N))}
    yield (
        "parquet",
        "timestamps",
        {"a.parquet": parquet(text=pa.array(TEXTS), label=pa.array(LABELS), at=pa.array([0] * N, pa.timestamp("s")))},
    )
    yield (
        "splits",
        "train csv, test jsonl",
        {"train.csv": table(T, L).encode(), "test.jsonl": lines(("text", SHORT), L)},
    )
    yield "splits", "eval.jsonl", {"train.jsonl": lines(T, L), "eval.jsonl": lines(("text", SHORT), L)}
    yield (
        "splits",
        "train_v2 and train_v3",
        {"train_v2.jsonl": lines(T, L), "train_v3.jsonl": lines(("text", SHORT), L)},
    )
    yield "splits", "README and LICENSE beside", {"train.jsonl": lines(T, L), "README.md": b"x", "LICENSE": b"y"}
    yield "text", "a .txt file", {"a.txt": "\n".join(TEXTS).encode()}
    yield "excel", "an .xlsx", {"a.xlsx": b"PK\x03\x04xxxx"}
    yield "pickle", "a .pkl", {"a.pkl": b"\x80\x04."}
    yield "html", "a web page called csv", {"a.csv": b"<!DOCTYPE html><html><body>Not found</body></html>\n"}
    yield (
        "lfs",
        "a git-lfs pointer",
        {"a.jsonl": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n"},
    )
    yield "kto", "labels 1 and -1", {"a.jsonl": lines(P, R, ("label", [1, -1] * 12))}
    yield "kto", "thumbs up and down", {"a.jsonl": lines(P, ("response", SHORT), ("feedback", ["up", "down"] * 12))}
    yield (
        "nli",
        "train ints, test names",
        {
            "train.jsonl": lines(("premise", TEXTS), ("hypothesis", SHORT), ("label", [0, 1] * 12)),
            "test.jsonl": lines(("premise", SHORT), ("hypothesis", TEXTS), ("label", ["entailment", "neutral"] * 12)),
        },
    )


def public() -> Iterator[tuple[str, str, Files]]:
    """A third pass: the columns of well-known datasets and of programs for annotation."""
    q = ("question", TEXTS)
    yield (
        "layout",
        "medmcqa",
        {
            "a.jsonl": lines(
                q,
                ("opa", ["red"] * N),
                ("opb", ["blue"] * N),
                ("opc", ["x y"] * N),
                ("opd", ["z w"] * N),
                ("cop", [0, 1, 2, 3] * 6),
                ("exp", SHORT),
            )
        },
    )
    yield (
        "layout",
        "truthfulqa mc",
        {
            "a.jsonl": lines(
                q,
                ("mc1_targets", [{"choices": ["a b", "c d"], "labels": [1, 0]}] * N),
                ("mc2_targets", [{"choices": ["a b", "c d"], "labels": [1, 0]}] * N),
            )
        },
    )
    yield (
        "layout",
        "winogrande",
        {
            "a.jsonl": lines(
                ("sentence", TEXTS),
                ("option1", [f"a{i}" for i in range(N)]),
                ("option2", [f"b{i}" for i in range(N)]),
                ("answer", ["1", "2"] * 12),
            )
        },
    )
    yield (
        "layout",
        "hellaswag",
        {
            "a.jsonl": lines(
                ("ctx", TEXTS),
                ("activity_label", ["Removing"] * N),
                ("endings", [["a b", "c d", "e f", "g h"]] * N),
                ("label", ["0", "1", "2", "3"] * 6),
            )
        },
    )
    yield (
        "layout",
        "copa",
        {
            "a.jsonl": lines(
                ("premise", TEXTS),
                ("choice1", SHORT),
                ("choice2", TEXTS[::-1]),
                ("question", ["cause", "effect"] * 12),
                ("label", [0, 1] * 12),
            )
        },
    )
    yield "layout", "boolq", {"a.jsonl": lines(q, ("passage", SHORT), ("answer", [True, False] * 12))}
    yield (
        "layout",
        "race",
        {
            "a.jsonl": lines(
                ("article", SHORT),
                q,
                ("options", [["a", "b", "c", "d"]] * N),
                ("answer", ["A", "B", "C", "D"] * 6),
                ("example_id", ["h1.txt"] * N),
            )
        },
    )
    yield (
        "layout",
        "squad nested",
        {
            "a.json": json.dumps(
                {
                    "version": "1",
                    "data": [
                        {
                            "title": "t",
                            "paragraphs": [
                                {
                                    "context": "c",
                                    "qas": [
                                        {"question": "q", "id": "1", "answers": [{"text": "c", "answer_start": 0}]}
                                    ],
                                }
                            ],
                        }
                    ],
                }
            ).encode()
        },
    )
    yield (
        "layout",
        "dolly",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS), ("context", [""] * N), ("response", SHORT), ("category", ["open_qa", "qa"] * 12)
            )
        },
    )
    yield (
        "layout",
        "oasst",
        {
            "a.jsonl": lines(
                ("message_id", [f"m{i}" for i in range(N)]),
                ("parent_id", [f"m{i - 1}" if i else None for i in range(N)]),
                ("text", TEXTS),
                ("role", ["prompter", "assistant"] * 12),
                ("lang", ["en"] * N),
            )
        },
    )
    yield (
        "layout",
        "lima",
        {"a.jsonl": lines(("conversations", each(lambda i: [TEXTS[i], SHORT[i]])), ("source", ["x"] * N))},
    )
    yield (
        "layout",
        "ultrachat",
        {"a.jsonl": lines(("id", list(range(N))), ("data", each(lambda i: [TEXTS[i], SHORT[i]])))},
    )
    yield (
        "layout",
        "slimorca",
        {
            "a.jsonl": lines(
                (
                    "conversations",
                    each(
                        lambda i: [
                            {"from": "system", "value": "s", "weight": 0},
                            {"from": "human", "value": TEXTS[i], "weight": 0},
                            {"from": "gpt", "value": SHORT[i], "weight": 1},
                        ]
                    ),
                )
            )
        },
    )
    yield (
        "layout",
        "openorca",
        {
            "a.jsonl": lines(
                ("id", [f"f.{i}" for i in range(N)]), ("system_prompt", ["be kind"] * N), q, ("response", SHORT)
            )
        },
    )
    yield (
        "layout",
        "metamath",
        {
            "a.jsonl": lines(
                ("type", ["A", "B"] * 12), ("query", TEXTS), ("original_question", TEXTS), ("response", SHORT)
            )
        },
    )
    yield (
        "layout",
        "mbpp",
        {
            "a.jsonl": lines(
                ("task_id", list(range(N))), ("text", TEXTS), ("code", SHORT), ("test_list", [["assert f(1)==1"]] * N)
            )
        },
    )
    yield (
        "layout",
        "humaneval",
        {
            "a.jsonl": lines(
                ("task_id", [f"H/{i}" for i in range(N)]),
                ("prompt", TEXTS),
                ("canonical_solution", SHORT),
                ("test", SHORT),
                ("entry_point", ["f"] * N),
            )
        },
    )
    yield (
        "layout",
        "codealpaca",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS), ("input", [""] * N), ("output", ["```py\nx\n```" + str(i) for i in range(N)])
            )
        },
    )
    yield (
        "layout",
        "imdb unsup",
        {
            "train.jsonl": lines(T, ("label", [0, 1] * 12)),
            "unsupervised.jsonl": lines(("text", SHORT), ("label", [-1] * N)),
        },
    )
    yield "layout", "amazon polarity", {"a.jsonl": lines(("label", [0, 1] * 12), ("title", SHORT), ("content", TEXTS))}
    yield (
        "layout",
        "yahoo",
        {
            "a.jsonl": lines(
                ("topic", [1, 2] * 12),
                ("question_title", TEXTS),
                ("question_content", SHORT),
                ("best_answer", TEXTS[::-1]),
            )
        },
    )
    yield (
        "layout",
        "paws",
        {"a.jsonl": lines(("id", list(range(N))), ("sentence1", TEXTS), ("sentence2", SHORT), ("label", [0, 1] * 12))},
    )
    yield (
        "layout",
        "fever",
        {
            "a.jsonl": lines(
                ("id", list(range(N))),
                ("claim", TEXTS),
                ("label", ["SUPPORTS", "REFUTES"] * 12),
                ("evidence", [[[1, 2, "X", 0]]] * N),
            )
        },
    )
    yield (
        "layout",
        "snli",
        {
            "a.jsonl": lines(
                ("gold_label", ["entailment", "-", "neutral"] * 8),
                ("sentence1", TEXTS),
                ("sentence2", SHORT),
                ("annotator_labels", [["neutral"]] * N),
            )
        },
    )
    yield (
        "layout",
        "wnut",
        {
            "a.jsonl": lines(
                ("id", [str(i) for i in range(N)]),
                ("tokens", each(lambda i: TEXTS[i].split())),
                ("ner_tags", each(lambda i: [0] * len(TEXTS[i].split()))),
            )
        },
    )
    yield (
        "layout",
        "multi nli csv",
        {
            "a.csv": table(
                ("pairID", list(range(N))),
                ("premise", TEXTS),
                ("hypothesis", SHORT),
                ("gold_label", ["entailment", "neutral"] * 12),
            ).encode()
        },
    )
    yield (
        "layout",
        "self-instruct",
        {"a.jsonl": lines(("instruction", TEXTS), ("instances", each(lambda i: [{"input": "", "output": SHORT[i]}])))},
    )
    yield (
        "layout",
        "natural instructions",
        {
            "a.json": json.dumps(
                {
                    "Definition": ["x"],
                    "Instances": [{"input": t, "output": [s]} for t, s in zip(TEXTS, SHORT, strict=True)],
                }
            ).encode()
        },
    )
    yield (
        "layout",
        "label studio",
        {
            "a.json": json.dumps(
                [
                    {"data": {"text": t}, "annotations": [{"result": [{"value": {"choices": [m]}}]}]}
                    for t, m in zip(TEXTS, LABELS, strict=True)
                ]
            ).encode()
        },
    )
    yield "layout", "doccano", {"a.jsonl": lines(("id", list(range(N))), T, ("label", [[[0, 3, "PER"]]] * N))}
    yield (
        "layout",
        "prodigy",
        {"a.jsonl": lines(T, ("answer", ["accept", "reject"] * 12), ("_input_hash", [-5 + i for i in range(N)]))},
    )
    yield (
        "layout",
        "rasa",
        {
            "a.json": json.dumps(
                {
                    "rasa_nlu_data": {
                        "common_examples": [{"text": t, "intent": m} for t, m in zip(TEXTS, LABELS, strict=True)]
                    }
                }
            ).encode()
        },
    )
    yield (
        "layout",
        "coqa",
        {
            "a.jsonl": lines(
                ("story", TEXTS),
                ("questions", each(lambda i: ["who is it", "where is it"])),
                ("answers", each(lambda i: {"input_text": ["he is", "there it is"]})),
            )
        },
    )
    yield (
        "layout",
        "piqa",
        {"a.jsonl": lines(("goal", TEXTS), ("sol1", SHORT), ("sol2", TEXTS[::-1]), ("label", [0, 1] * 12))},
    )
    yield (
        "layout",
        "siqa",
        {
            "a.jsonl": lines(
                ("context", TEXTS),
                ("question", SHORT),
                ("answerA", ["x y"] * N),
                ("answerB", ["z y"] * N),
                ("answerC", ["q y"] * N),
                ("label", ["1", "2", "3"] * 8),
            )
        },
    )
    yield (
        "layout",
        "arc",
        {
            "a.jsonl": lines(
                ("id", list(range(N))),
                q,
                ("choices", [{"text": ["a b", "c d"], "label": ["A", "B"]}] * N),
                ("answerKey", ["A", "B"] * 12),
            )
        },
    )
    yield (
        "layout",
        "mmlu",
        {
            "a.jsonl": lines(
                q, ("subject", ["math"] * N), ("choices", [["a", "b", "c", "d"]] * N), ("answer", [0, 1, 2, 3] * 6)
            )
        },
    )
    yield (
        "layout",
        "logiqa",
        {
            "a.jsonl": lines(
                ("context", TEXTS), ("query", SHORT), ("options", [["a b", "b b"]] * N), ("correct_option", [0, 1] * 12)
            )
        },
    )
    yield (
        "layout",
        "drop",
        {
            "a.jsonl": lines(
                ("passage", TEXTS), ("question", SHORT), ("answers_spans", [{"spans": ["5"], "types": ["number"]}] * N)
            )
        },
    )
    yield "layout", "triviaqa", {"a.jsonl": lines(q, ("answer", each(lambda i: {"value": SHORT[i], "aliases": ["x"]})))}
    yield "layout", "nq open", {"a.jsonl": lines(q, ("answer", [["a b"], ["c", "d"]] * 12))}
    yield (
        "layout",
        "hotpot",
        {"a.jsonl": lines(q, ("answer", SHORT), ("context", [{"title": ["t"], "sentences": [["s"]]}] * N))},
    )
    yield (
        "layout",
        "sciq",
        {
            "a.jsonl": lines(
                q,
                ("distractor1", ["x y"] * N),
                ("distractor2", ["z y"] * N),
                ("correct_answer", SHORT),
                ("support", TEXTS[::-1]),
            )
        },
    )
    yield (
        "layout",
        "aqua",
        {"a.jsonl": lines(q, ("options", [["A)1", "B)2"]] * N), ("rationale", SHORT), ("correct", ["A", "B"] * 12))},
    )
    yield "layout", "xsum", {"a.jsonl": lines(("document", TEXTS), ("summary", SHORT), ("id", ["1"] * N))}
    yield (
        "layout",
        "samsum",
        {"a.jsonl": lines(("id", list(range(N))), ("dialogue", [t + "\r\nB: ok" for t in TEXTS]), ("summary", SHORT))},
    )
    yield "layout", "gigaword", {"a.jsonl": lines(("document", TEXTS), ("summary", SHORT))}
    yield "layout", "e2e", {"a.jsonl": lines(("meaning_representation", TEXTS), ("human_reference", SHORT))}
    yield "layout", "commongen", {"a.jsonl": lines(("concepts", [["dog", "cat"]] * N), ("target", SHORT))}
    yield (
        "layout",
        "rotten csv",
        {
            "train.csv": table(T, ("label", [0, 1] * 12)).encode(),
            "validation.csv": table(("text", SHORT), ("label", [0, 1] * 12)).encode(),
        },
    )
    yield (
        "layout",
        "emotion txt labels",
        {"a.csv": table(T, ("label", ["sadness", "joy"] * 12), delimiter=";").encode()},
    )
    yield "layout", "trec", {"a.jsonl": lines(T, ("coarse_label", [0, 1] * 12), ("fine_label", [0, 1, 2] * 8))}
    yield "layout", "banking", {"a.csv": table(T, ("category", LABELS)).encode()}
    yield (
        "layout",
        "toxic",
        {
            "a.csv": table(
                ("id", ["a" + str(i) for i in range(N)]),
                ("comment_text", TEXTS),
                *((c, [0, 1] * 12) for c in ("toxic", "severe_toxic", "obscene")),
            ).encode()
        },
    )
    yield (
        "layout",
        "stsb",
        {
            "a.csv": table(
                ("sentence1", TEXTS), ("sentence2", SHORT), ("similarity_score", ["0.5", "1.0"] * 12)
            ).encode()
        },
    )
    yield (
        "layout",
        "cola tsv",
        {"a.tsv": ("\n".join(f"gj04\t{i % 2}\t{'*' if i % 2 else ''}\t{t}" for i, t in enumerate(TEXTS))).encode()},
    )
    yield (
        "layout",
        "sharegpt nested json",
        {
            "a.json": json.dumps(
                [
                    {"id": str(i), "conversations": turns(i, keys=("from", "value"), who=("human", "gpt"))}
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "layout",
        "swift query-response",
        {
            "a.jsonl": lines(
                ("system", ["s"] * N), ("query", TEXTS), ("response", SHORT), ("history", [[["a", "b"]]] * N)
            )
        },
    )
    yield (
        "layout",
        "medqa usmle",
        {
            "a.jsonl": lines(
                q,
                ("answer", ["red one"] * N),
                ("options", [{"A": "red one", "B": "blue one"}] * N),
                ("answer_idx", ["A"] * N),
                ("meta_info", ["step1"] * N),
            )
        },
    )
    yield (
        "layout",
        "pubmedqa",
        {
            "a.jsonl": lines(
                ("pubid", list(range(N))),
                q,
                ("context", [{"contexts": ["c one", "c two"], "labels": ["BACKGROUND", "RESULTS"]}] * N),
                ("long_answer", SHORT),
                ("final_decision", ["yes", "no", "maybe"] * 8),
            )
        },
    )
    yield (
        "layout",
        "qasc",
        {
            "a.jsonl": lines(
                q,
                ("choices", [{"text": ["a", "b"], "label": ["A", "B"]}] * N),
                ("answerKey", ["A", "B"] * 12),
                ("fact1", SHORT),
                ("fact2", TEXTS[::-1]),
            )
        },
    )
    yield (
        "layout",
        "cosmos",
        {
            "a.jsonl": lines(
                ("id", list(range(N))),
                ("context", TEXTS),
                ("question", SHORT),
                *((f"answer{i}", [f"x{i} y"] * N) for i in range(4)),
                ("label", [0, 1, 2, 3] * 6),
            )
        },
    )
    yield (
        "layout",
        "swag",
        {
            "a.jsonl": lines(
                ("startphrase", TEXTS),
                ("sent1", SHORT),
                ("sent2", ["he"] * N),
                *((f"ending{i}", [f"e{i} y"] * N) for i in range(4)),
                ("label", [0, 1, 2, 3] * 6),
            )
        },
    )
    yield (
        "layout",
        "dream",
        {
            "a.jsonl": lines(
                ("dialogue", each(lambda i: ["M: " + TEXTS[i], "W: ok"])),
                ("question", SHORT),
                ("choice", [["a", "b", "c"]] * N),
                ("answer", ["a", "b", "c"] * 8),
            )
        },
    )
    yield (
        "layout",
        "mutual",
        {"a.jsonl": lines(("article", TEXTS), ("options", [["f : a", "m : b"]] * N), ("answers", ["A", "B"] * 12))},
    )
    yield (
        "layout",
        "quac",
        {
            "a.jsonl": lines(
                ("context", TEXTS),
                ("questions", each(lambda i: ["who is it", "why"])),
                ("texts", each(lambda i: [["he is"], ["so"]])),
            )
        },
    )
    yield (
        "layout",
        "wikihow",
        {"a.csv": table(("headline", SHORT), ("title", [f"How to {i}" for i in range(N)]), ("text", TEXTS)).encode()},
    )
    yield (
        "layout",
        "reddit tifu",
        {
            "a.jsonl": lines(
                ("ups", [1.0] * N), ("documents", TEXTS), ("tldr", SHORT), ("title", ["t" + str(i) for i in range(N)])
            )
        },
    )
    yield "layout", "multi_news", {"a.jsonl": lines(("document", TEXTS), ("summary", SHORT))}
    yield "layout", "govreport", {"a.jsonl": lines(("report", TEXTS), ("summary", SHORT))}
    yield "layout", "iwslt csv", {"a.csv": table(("de", TEXTS), ("en", SHORT)).encode()}
    yield (
        "layout",
        "tatoeba tsv",
        {
            "a.tsv": (
                "\n".join(f"{i}\t{t}\t{i + 900}\t{s}" for i, (t, s) in enumerate(zip(TEXTS, SHORT, strict=True)))
            ).encode()
        },
    )
    yield (
        "layout",
        "massive",
        {
            "a.jsonl": lines(
                ("id", list(range(N))),
                ("locale", ["de-DE"] * N),
                ("partition", ["train"] * N),
                ("utt", TEXTS),
                ("annot_utt", TEXTS),
                ("intent", [1, 2] * 12),
            )
        },
    )
    yield "layout", "snips", {"a.jsonl": lines(("text", TEXTS), ("category", LABELS))}
    yield (
        "layout",
        "hate",
        {
            "a.csv": table(
                ("Unnamed: 0", list(range(N))),
                ("count", [3] * N),
                ("hate_speech", [0] * N),
                ("offensive_language", [3] * N),
                ("neither", [0] * N),
                ("class", [1, 2] * 12),
                ("tweet", TEXTS),
            ).encode()
        },
    )
    yield (
        "layout",
        "sms spam tsv",
        {"a.tsv": ("\n".join(f"{'ham' if i % 2 else 'spam'}\t{t}" for i, t in enumerate(TEXTS))).encode()},
    )
    yield (
        "layout",
        "sentiment140",
        {
            "a.csv": (
                "\n".join(f'"{4 * (i % 2)}","{i}","Mon Apr 06","NO_QUERY","bob","{t}"' for i, t in enumerate(TEXTS))
            ).encode()
        },
    )
    yield "layout", "imdb folders", {f"train/{m}/{i}_{i % 10}.txt": b"x" for m in ("pos", "neg") for i in range(3)}
    yield "layout", "fasttext", {"a.txt": b"__label__a text\n"}
    yield "layout", "orca math", {"a.jsonl": lines(("question", TEXTS), ("answer", SHORT))}
    yield (
        "layout",
        "magpie",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS),
                ("response", SHORT),
                ("conversations", each(lambda i: turns(i, keys=("from", "value"), who=("human", "gpt")))),
            )
        },
    )
    yield (
        "layout",
        "tulu",
        {"a.jsonl": lines(("id", ["x"] * N), ("messages", each(lambda i: turns(i))), ("source", ["y"] * N))},
    )
    yield (
        "layout",
        "wildchat",
        {
            "a.jsonl": lines(
                ("conversation_hash", ["h" + str(i) for i in range(N)]),
                ("model", ["gpt"] * N),
                ("timestamp", ["2023-01-01"] * N),
                ("conversation", each(lambda i: [t | {"language": "English", "toxic": False} for t in turns(i)])),
                ("turn", [1] * N),
            )
        },
    )
    yield (
        "layout",
        "lmsys",
        {
            "a.jsonl": lines(
                ("conversation_id", ["h" + str(i) for i in range(N)]),
                ("model", ["m"] * N),
                ("conversation", each(lambda i: turns(i))),
                ("openai_moderation", [[{"flagged": False}]] * N),
            )
        },
    )
    yield (
        "layout",
        "toolace",
        {
            "a.jsonl": lines(
                ("system", ["You are"] * N), ("conversations", each(lambda i: turns(i, keys=("from", "value"))))
            )
        },
    )
    yield (
        "layout",
        "glaive",
        {
            "a.jsonl": lines(
                ("system", ["SYSTEM: x"] * N),
                ("chat", [f"USER: {t}\n\nASSISTANT: {s} <|endoftext|>" for t, s in zip(TEXTS, SHORT, strict=True)]),
            )
        },
    )
    yield (
        "layout",
        "anthropic transcript",
        {
            "a.jsonl": lines(
                ("transcript", [f"\n\nHuman: {t}\n\nAssistant: {s}" for t, s in zip(TEXTS, SHORT, strict=True)])
            )
        },
    )
    yield (
        "layout",
        "headqa",
        {
            "a.jsonl": lines(
                ("qid", list(range(N))),
                ("qtext", TEXTS),
                ("ra", [1, 2] * 12),
                ("answers", [[{"aid": 1, "atext": "x y"}, {"aid": 2, "atext": "z w"}]] * N),
            )
        },
    )
    yield (
        "layout",
        "openbookqa raw",
        {
            "a.jsonl": lines(
                ("id", list(range(N))),
                (
                    "question",
                    each(
                        lambda i: {
                            "stem": TEXTS[i],
                            "choices": [{"text": "a b", "label": "A"}, {"text": "c d", "label": "B"}],
                        }
                    ),
                ),
                ("answerKey", ["A", "B"] * 12),
            )
        },
    )
    yield (
        "layout",
        "mctest tsv",
        {
            "a.tsv": "".join(
                [
                    "story\tquestion\tA\tB\tC\tD\tanswer\n",
                    *(
                        f"{t}\t{s}\tx\ty\tz\tw\t{'ABCD'[i % 4]}\n"
                        for i, (t, s) in enumerate(zip(TEXTS, SHORT, strict=True))
                    ),
                ]
            ).encode()
        },
    )
    yield (
        "layout",
        "narrativeqa",
        {
            "a.jsonl": lines(
                ("document", each(lambda i: {"id": "x", "text": TEXTS[i]})),
                ("question", each(lambda i: {"text": SHORT[i], "tokens": ["a"]})),
                ("answers", each(lambda i: [{"text": f"reply {i}", "tokens": ["b"]}])),
            )
        },
    )
    yield (
        "layout",
        "msmarco",
        {
            "a.jsonl": lines(
                ("query", TEXTS),
                ("answers", each(lambda i: [SHORT[i]])),
                ("passages", [{"is_selected": [1], "passage_text": ["p q"]}] * N),
            )
        },
    )
    yield (
        "layout",
        "eli5",
        {
            "a.jsonl": lines(
                ("q_id", ["a" + str(i) for i in range(N)]),
                ("title", TEXTS),
                ("selftext", [""] * N),
                ("answers", each(lambda i: {"a_id": ["x"], "text": [SHORT[i]], "score": [3]})),
            )
        },
    )
    yield "layout", "poem", {"a.jsonl": lines(("poem", TEXTS), ("author", ["x", "y"] * 12))}
    yield (
        "layout",
        "code search",
        {"a.jsonl": lines(("func_code_string", TEXTS), ("func_documentation_string", SHORT), ("language", ["py"] * N))},
    )
    yield (
        "layout",
        "jigsaw",
        {
            "a.csv": table(
                ("id", ["x" + str(i) for i in range(N)]), ("target", ["0.0", "0.7"] * 12), ("comment_text", TEXTS)
            ).encode()
        },
    )
    yield (
        "layout",
        "news category",
        {
            "a.jsonl": lines(
                ("link", ["http://x/" + str(i) for i in range(N)]),
                ("headline", TEXTS),
                ("category", ["A", "B"] * 12),
                ("short_description", SHORT),
                ("authors", ["me"] * N),
                ("date", ["2020-01-01"] * N),
            )
        },
    )
    yield (
        "layout",
        "german tickets",
        {"a.csv": table(("Betreff", SHORT), ("Beschreibung", TEXTS), ("Kategorie", LABELS), delimiter=";").encode()},
    )
    yield "layout", "french csv", {"a.csv": table(("Texte", TEXTS), ("Catégorie", LABELS), delimiter=";").encode()}
    yield "layout", "spanish qa", {"a.jsonl": lines(("Pregunta", TEXTS), ("Respuesta", SHORT))}
    yield (
        "layout",
        "kto chat",
        {
            "a.jsonl": lines(
                ("prompt", each(lambda i: turns(i)[:1])),
                ("completion", each(lambda i: turns(i)[1:])),
                ("label", [True, False] * 12),
            )
        },
    )
    yield (
        "layout",
        "dpo margin",
        {"a.jsonl": lines(("prompt", TEXTS), ("chosen", SHORT), ("rejected", ["no way"] * N), ("margin", [0.5] * N))},
    )
    yield (
        "layout",
        "ranked three",
        {
            "a.jsonl": lines(
                ("prompt", TEXTS), ("responses", each(lambda i: [SHORT[i], "so so", "no"])), ("ranks", [[1, 2, 3]] * N)
            )
        },
    )
    yield (
        "layout",
        "held test empty",
        {"train.jsonl": lines(T, L), "test.jsonl": lines(("text", SHORT), ("label", [""] * N))},
    )
    yield "layout", "val named dev", {"train.jsonl": lines(T, L), "dev.jsonl": lines(("text", SHORT), L)}
    yield "layout", "json columns", {"a.json": json.dumps({"text": TEXTS, "label": LABELS}).encode()}
    yield (
        "layout",
        "json data key",
        {
            "a.json": json.dumps(
                {"data": [{"text": t, "label": m} for t, m in zip(TEXTS, LABELS, strict=True)]}
            ).encode()
        },
    )


def seventh() -> Iterator[tuple[str, str, Files]]:
    """Shapes of reports to spaCy, unsloth, Label Studio, Spark, Hive, pandas and others, and exports of databases."""
    starts = [(t.index("sold"), t.index("sold") + 4) for t in TEXTS]
    yield (
        "spaCy#2928",
        "text, ents and cats",
        {
            "a.jsonl": lines(
                T,
                ("ents", [[{"start": a, "end": b, "label": "ACT"}] for a, b in starts]),
                ("cats", [{"NEWS": True, "ADS": False}] * N),
            )
        },
    )
    yield (
        "spaCy 3",
        "cats with scores",
        {"a.jsonl": lines(T, ("cats", [{"A": 1.0, "B": 0.0}, {"A": 0.0, "B": 1.0}] * 12))},
    )
    yield (
        "spaCy#4971",
        "Dataturks: ends that are part of the span",
        {
            "a.jsonl": lines(
                ("content", TEXTS),
                (
                    "annotation",
                    [[{"label": ["ACT"], "points": [{"start": a, "end": b - 1, "text": "sold"}]}] for a, b in starts],
                ),
            )
        },
    )
    yield (
        "spaCy#1966",
        "tuples of a text and its entities",
        {
            "a.json": json.dumps(
                [[t, {"entities": [[a, b, "ACT"]]}] for t, (a, b) in zip(TEXTS, starts, strict=True)]
            ).encode()
        },
    )
    yield "unsloth#321", "a list of lists of turns", {"a.json": json.dumps(each(turns)).encode()}
    yield (
        "unsloth-zoo#1225",
        "speakers with a space behind",
        {
            "a.jsonl": lines(
                (
                    "conversations",
                    each(
                        lambda i: [
                            *turns(i, keys=("from", "value"), who=("human", "gpt")),
                            {"from": "Human", "value": SHORT[i]},
                            {"from": "GPT " if i % 2 else "gpt", "value": TEXTS[i]},
                        ]
                    ),
                )
            )
        },
    )
    yield (
        "unsloth#1769",
        "numbers as question and answer",
        {"a.csv": table(("Query", [f"{i}?" for i in range(N)]), ("Answer", list(range(N)))).encode()},
    )
    yield "datasets#4467", "null as a text", {"a.csv": table(("text", ["null", *TEXTS[1:]]), L).encode()}
    yield (
        "pandas#10018",
        "a carriage return inside of an unquoted cell",
        {"a.csv": table(("text", [t.replace("bike", "bi\rke") for t in TEXTS]), L).replace('"', "").encode()},
    )
    maths = [f'solve \\frac{{{i}}}{{2}}, he said "now"' for i in range(N)]
    yield (
        "cudf-spark#6917",
        "quotes escaped by Spark, beside LaTeX",
        {
            "a.csv": "".join(
                [
                    "text,label\n",
                    *(f'"{t.replace(chr(34), chr(92) + chr(34))}",{m}\n' for t, m in zip(maths, LABELS, strict=True)),
                ]
            ).encode()
        },
    )
    yield "csv-serde#15", "\\N for nothing", {"a.csv": table(T, ("label", ["good", "bad", "\\N"] * 8)).encode()}
    yield (
        "Hive",
        "\\001 between cells",
        {"a.csv": "".join(f"{t}\x01{m}\n" for t, m in [("text", "label"), *zip(TEXTS, LABELS, strict=True)]).encode()},
    )
    yield "Athena", "lists without quotes", {"a.csv": table(T, ("label", ["[joy, anger]", "[joy]"] * 12)).encode()}
    yield "Postgres", "arrays in braces", {"a.csv": table(T, ("label", ["{joy,anger}", "{joy}"] * 12)).encode()}
    yield "Kaggle", "labels joined by a bar", {"a.csv": table(T, ("label", ["joy|anger", "joy", "anger"] * 8)).encode()}
    yield (
        "Kaggle",
        "labels joined by commas",
        {"a.csv": table(T, ("labels", ["joy,anger", "joy", "anger"] * 8)).encode()},
    )
    yield (
        "Kaggle",
        "train, test and a sample of submissions",
        {
            "train.csv": plain_csv(),
            "test.csv": table(("id", list(range(N))), T).encode(),
            "sample_submission.csv": table(("id", list(range(N))), ("label", LABELS)).encode(),
        },
    )
    yield "Excel", "#NAME? for what began with =", {"a.csv": table(("text", ["#NAME?"] * 6 + TEXTS[6:]), L).encode()}
    yield "Numbers", "the name of the table above the header", {"a.csv": b"Table 1\n" + plain_csv()}
    yield "pandas", "two lines of header", {"a.csv": b"text,label\nfirst,second\n" + plain_csv().partition(b"\n")[2]}
    yield (
        "pandas",
        "orient split",
        {
            "a.json": json.dumps(
                {
                    "columns": ["text", "label"],
                    "index": list(range(N)),
                    "data": [list(r) for r in zip(TEXTS, LABELS, strict=True)],
                }
            ).encode()
        },
    )
    yield (
        "pandas",
        "orient split of two rows",
        {
            "a.json": json.dumps(
                {"columns": ["text", "label"], "index": [0, 1], "data": [[TEXTS[0], "a"], [TEXTS[1], "b"]]}
            ).encode()
        },
    )
    yield (
        "label-studio-converter#59",
        "one choice as text, several as JSON",
        {
            "a.csv": table(
                T,
                ("sentiment", ["Positive", "Negative", '{"choices": ["Positive", "Negative"]}'] * 8),
                ("annotator", [1] * N),
            ).encode()
        },
    )
    yield (
        "Label Studio",
        "spans as JSON in a cell",
        {
            "a.csv": table(
                T,
                ("label", [json.dumps([{"start": a, "end": b, "text": "sold", "labels": ["ACT"]}]) for a, b in starts]),
            ).encode()
        },
    )
    yield (
        "Prodigy",
        "rejected rows",
        {
            "a.jsonl": lines(
                T,
                ("spans", [[{"start": a, "end": b, "label": "ACT"}] for a, b in starts]),
                ("answer", ["accept", "reject", "ignore"] * 8),
            )
        },
    )
    yield (
        "Argilla",
        "responses and a suggestion",
        {
            "a.jsonl": lines(
                T,
                ("label.responses", [["good"], ["bad"]] * 12),
                ("label.responses.users", [["u1"]] * N),
                ("label.suggestion", ["bad", "good"] * 12),
            )
        },
    )
    yield (
        "axolotl",
        "segments with a label of true and false",
        {
            "a.jsonl": lines(
                ("segments", each(lambda i: [{"label": False, "text": TEXTS[i]}, {"label": True, "text": SHORT[i]}]))
            )
        },
    )
    yield (
        "LLaMA-Factory",
        "messages and kto_tag",
        {"a.jsonl": lines(("messages", each(turns)), ("kto_tag", [True, False] * 12))},
    )
    yield (
        "ms-swift",
        "query, response and rejected_response",
        {"a.jsonl": lines(("query", TEXTS), ("response", SHORT), ("rejected_response", ["no way"] * N))},
    )
    yield (
        "TRL",
        "prompt as a chat and a solution",
        {"a.jsonl": lines(("prompt", each(lambda i: turns(i)[:1])), ("solution", SHORT))},
    )
    yield (
        "TRL",
        "steps with a label each",
        {
            "a.jsonl": lines(
                ("prompt", TEXTS),
                ("completions", each(lambda i: [SHORT[i], "so it is"])),
                ("labels", [[True, False]] * N),
            )
        },
    )
    yield (
        "OpenAI",
        "messages and a reference answer",
        {"a.jsonl": lines(("messages", each(lambda i: turns(i)[:1])), ("reference_answer", SHORT))},
    )
    yield "PaLM", "input_text and output_text", {"a.jsonl": lines(("input_text", TEXTS), ("output_text", SHORT))}
    yield (
        "Bedrock",
        "system and messages of parts",
        {
            "a.jsonl": lines(
                ("schemaVersion", ["bedrock-conversation-2024"] * N),
                ("system", [[{"text": "be kind"}]] * N),
                (
                    "messages",
                    each(
                        lambda i: [
                            {"role": "user", "content": [{"text": TEXTS[i]}]},
                            {"role": "assistant", "content": [{"text": SHORT[i]}]},
                        ]
                    ),
                ),
            )
        },
    )
    yield (
        "Cohere",
        "System, User and Chatbot",
        {
            "a.jsonl": lines(
                (
                    "messages",
                    each(lambda i: [{"role": "System", "content": "be kind"}, *turns(i, who=("User", "Chatbot"))]),
                )
            )
        },
    )
    yield (
        "OpenAI batch",
        "answers of a batch",
        {
            "a.jsonl": lines(
                ("custom_id", [f"r{i}" for i in range(N)]),
                (
                    "response",
                    each(
                        lambda i: {
                            "status_code": 200,
                            "body": {
                                "model": "m",
                                "choices": [{"index": 0, "message": {"role": "assistant", "content": SHORT[i]}}],
                            },
                        }
                    ),
                ),
            )
        },
    )
    yield (
        "LangSmith",
        "inputs and outputs",
        {
            "a.jsonl": lines(
                ("inputs", each(lambda i: {"question": TEXTS[i]})), ("outputs", each(lambda i: {"answer": SHORT[i]}))
            )
        },
    )
    yield (
        "MLflow",
        "inputs and ground_truth",
        {"a.csv": table(("inputs", TEXTS), ("ground_truth", SHORT), ("predictions", TEXTS[::-1])).encode()},
    )
    yield (
        "Elasticsearch",
        "rows under _source",
        {
            "a.jsonl": lines(
                ("_index", ["x"] * N),
                ("_id", [f"i{i}" for i in range(N)]),
                ("_source", each(lambda i: {"text": TEXTS[i], "label": LABELS[i]})),
            )
        },
    )
    yield (
        "MongoDB",
        "extended JSON",
        {
            "a.jsonl": lines(
                ("_id", each(lambda i: {"$oid": f"{i:024x}"})), T, ("label", each(lambda i: {"$numberInt": str(i % 2)}))
            )
        },
    )
    yield (
        "Spark",
        "parts with a hash, and _SUCCESS",
        {
            "out/part-00000-1f2e-c000.snappy.parquet": parquet(text=TEXTS, label=LABELS),
            "out/_SUCCESS": b"",
            "out/.part-00000.crc": b"x",
        },
    )
    yield (
        "Spark",
        "folders that are a column",
        {"label=good/part-0.parquet": parquet(text=TEXTS), "label=bad/part-0.parquet": parquet(text=SHORT)},
    )
    yield (
        "Arrow",
        "a map as a column",
        {
            "a.parquet": parquet(
                text=TEXTS, label=LABELS, more=pa.array([[("k", "v")]] * N, pa.map_(pa.string(), pa.string()))
            )
        },
    )
    yield (
        "XNLI",
        "a text in each language, and a label",
        {
            "a.jsonl": lines(
                ("premise", each(lambda i: {"de": TEXTS[i], "en": TEXTS[i]})),
                ("hypothesis", each(lambda i: {"de": SHORT[i], "en": SHORT[i]})),
                ("label", [0, 1, 2] * 8),
            )
        },
    )
    yield "KTO", "labels 0 and 1", {"a.jsonl": lines(P, R, ("label", [0, 1] * 12))}


def eighth() -> Iterator[tuple[str, str, Files]]:
    """Shapes of well-known files of Kaggle and of the hub, of exports of chats, and of further reports."""
    starts = [(t.index("sold"), t.index("sold") + 4) for t in TEXTS]
    yield (
        "datasets",
        "shards whose class names are in another order",
        {
            "train-00000-of-00002.parquet": named_parquet(["bad", "good"], [0, 1] * 12),
            "train-00001-of-00002.parquet": named_parquet(["good", "bad"], [0, 1] * 12),
        },
    )
    yield (
        "axolotl#325",
        "a speaker called bing",
        {
            "a.jsonl": lines(
                (
                    "conversations",
                    each(lambda i: turns(i, keys=("from", "value"), who=("human", "gpt" if i % 3 else "bing"))),
                )
            )
        },
    )
    call = {"role": "assistant", "tool_calls": [{"id": "c1", **CALL}]}
    yield (
        "axolotl#3217",
        "tools before two answers as objects",
        {
            "a.jsonl": lines(
                ("messages", each(lambda i: [*turns(i)[:1], call, {"role": "tool", "content": "sold"}])),
                ("chosen", each(lambda i: {"role": "assistant", "content": SHORT[i]})),
                ("rejected", each(lambda i: {"role": "assistant", "content": "no"})),
            )
        },
    )
    yield (
        "pandas#14124",
        "a comma behind every row",
        {"a.csv": plain_csv().replace(b"\n", b",\n").replace(b"label,", b"label", 1)},
    )
    yield "pandas", "columns that differ in case alone", {"a.csv": table(T, ("Text", SHORT), L).encode()}
    yield (
        "SageMaker",
        "a manifest of labels",
        {
            "a.jsonl": lines(
                ("source", TEXTS),
                ("category", [0, 1] * 12),
                ("category-metadata", [{"class-name": "good", "confidence": 0.9}] * N),
            )
        },
    )
    yield (
        "Kaggle essays",
        "full_text and a score of 1 to 6",
        {
            "a.csv": table(
                ("essay_id", [f"e{i}" for i in range(N)]), ("full_text", TEXTS), ("score", [1, 2, 3, 4, 5, 6] * 4)
            ).encode()
        },
    )
    yield (
        "Amazon 2023",
        "rating, title, text and votes",
        {
            "a.jsonl": lines(
                ("rating", [5.0, 1.0] * 12),
                ("title", SHORT),
                T,
                ("images", [[]] * N),
                ("asin", ["B01"] * N),
                ("helpful_vote", [0, 3] * 12),
                ("verified_purchase", [True, False] * 12),
            )
        },
    )
    yield (
        "Kaggle sarcasm",
        "is_sarcastic and headline",
        {
            "a.jsonl": lines(
                ("article_link", [f"http://x/{i}" for i in range(N)]),
                ("headline", TEXTS),
                ("is_sarcastic", [0, 1] * 12),
            )
        },
    )
    yield (
        "Kaggle SMS",
        "v1, v2 and empty columns",
        {
            "a.csv": "".join(
                [
                    "v1,v2,,,\n",
                    *(f"{'spam' if i % 2 else 'ham'},{t.replace(',', '')},,,\n" for i, t in enumerate(TEXTS)),
                ]
            ).encode()
        },
    )
    yield (
        "Kaggle AG News",
        "Class Index, Title, Description",
        {"a.csv": table(("Class Index", [1, 2, 3, 4] * 6), ("Title", SHORT), ("Description", TEXTS)).encode()},
    )
    yield (
        "Stack Overflow",
        "Title, Body, Tags and Y",
        {
            "a.csv": table(
                ("Id", list(range(100, 100 + N))),
                ("Title", SHORT),
                ("Body", TEXTS),
                ("Tags", ["<python><csv>"] * N),
                ("CreationDate", ["2016-01-01 00:21:59"] * N),
                ("Y", ["HQ", "LQ"] * 12),
            ).encode()
        },
    )
    yield (
        "MRPC",
        "Quality, #1 String, #2 String",
        {
            "a.tsv": table(
                ("Quality", [0, 1] * 12),
                ("#1 ID", list(range(N))),
                ("#2 ID", list(range(N))),
                ("#1 String", TEXTS),
                ("#2 String", SHORT),
                delimiter="\t",
            ).encode()
        },
    )
    yield (
        "SICK",
        "a grade and a judgement",
        {
            "a.tsv": table(
                ("pair_ID", list(range(N))),
                ("sentence_A", TEXTS),
                ("sentence_B", SHORT),
                ("relatedness_score", [4.5, 3.2] * 12),
                ("entailment_judgment", ["NEUTRAL", "ENTAILMENT"] * 12),
                delimiter="\t",
            ).encode()
        },
    )
    yield (
        "P3",
        "tokens beside their texts",
        {
            "a.jsonl": lines(
                ("inputs", [[1, 2, 3]] * N),
                ("inputs_pretokenized", TEXTS),
                ("targets", [[4, 5]] * N),
                ("targets_pretokenized", SHORT),
                ("answer_choices", [["a", "b"]] * N),
            )
        },
    )
    yield (
        "APPS",
        "solutions as JSON in a text",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("solutions", [json.dumps([s, s + " or"]) for s in SHORT]),
                ("difficulty", ["easy", "hard"] * 12),
            )
        },
    )
    yield (
        "pandas",
        "answers printed as an array in an object",
        {
            "a.csv": table(
                ("question", TEXTS),
                ("context", SHORT),
                (
                    "answers",
                    [
                        f"{{'text': array(['{s}'], dtype=object), 'answer_start': array([{i}], dtype=int32)}}"
                        for i, s in enumerate(SHORT)
                    ],
                ),
            ).encode()
        },
    )
    yield (
        "pandas",
        "turns printed as an array",
        {
            "a.csv": table(
                (
                    "messages",
                    [
                        f"[{{'content': '{t}', 'role': 'user'}}\n {{'content': '{s}', 'role': 'assistant'}}]"
                        for t, s in zip([t.replace(",", "") for t in TEXTS], SHORT, strict=True)
                    ],
                )
            ).encode()
        },
    )
    yield (
        "BigQuery",
        "rows of f and v",
        {
            "a.json": json.dumps(
                {"rows": [{"f": [{"v": t}, {"v": m}]} for t, m in zip(TEXTS, LABELS, strict=True)], "totalRows": "24"}
            ).encode()
        },
    )
    yield (
        "Claude",
        "chat_messages of senders",
        {
            "a.json": json.dumps(
                [
                    {
                        "uuid": f"u{i}",
                        "name": "x",
                        "chat_messages": [
                            {"sender": "human", "text": TEXTS[i]},
                            {"sender": "assistant", "text": SHORT[i]},
                        ],
                    }
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "ChatGPT",
        "a mapping of messages",
        {
            "a.json": json.dumps(
                [
                    {
                        "title": SHORT[i],
                        "mapping": {
                            "a": {"message": {"author": {"role": "user"}, "content": {"parts": [TEXTS[i]]}}},
                            "b": {"message": {"author": {"role": "assistant"}, "content": {"parts": [SHORT[i]]}}},
                        },
                    }
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "Discord",
        "messages of named people",
        {
            "a.json": json.dumps(
                {
                    "guild": {"name": "g"},
                    "messages": [
                        {"id": str(i), "content": TEXTS[i], "author": {"name": "bob" if i % 2 else "ann"}}
                        for i in range(N)
                    ],
                }
            ).encode()
        },
    )
    yield (
        "GPQA",
        "a correct and three incorrect answers",
        {
            "a.csv": table(
                ("Question", TEXTS),
                ("Correct Answer", SHORT),
                ("Incorrect Answer 1", ["x y"] * N),
                ("Incorrect Answer 2", ["z w"] * N),
                ("Incorrect Answer 3", ["u v"] * N),
            ).encode()
        },
    )
    yield (
        "TruthfulQA csv",
        "best, correct and incorrect answers",
        {
            "a.csv": table(
                ("Type", ["Adversarial"] * N),
                ("Category", ["a", "b"] * 12),
                ("Question", TEXTS),
                ("Best Answer", SHORT),
                ("Correct Answers", [f"{s}; {s} so" for s in SHORT]),
                ("Incorrect Answers", ["no; not so"] * N),
                ("Source", ["http://x"] * N),
            ).encode()
        },
    )
    yield (
        "MMLU-Pro",
        "an answer as letter and as number",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("options", [["a", "b", "c"]] * N),
                ("answer", ["A", "C"] * 12),
                ("answer_index", [0, 2] * 12),
                ("cot_content", SHORT),
            )
        },
    )
    yield (
        "RAGAS",
        "an answer beside the ground truth",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("contexts", each(lambda i: [SHORT[i]])),
                ("answer", SHORT),
                ("ground_truth", TEXTS[::-1]),
            )
        },
    )
    yield (
        "MultiRC",
        "answers that are right or not",
        {"a.jsonl": lines(("paragraph", TEXTS), ("question", SHORT), ("answer", TEXTS[::-1]), ("label", [0, 1] * 12))},
    )
    yield (
        "WMT",
        "source, translation, reference and score",
        {"a.csv": table(("src", TEXTS), ("mt", SHORT), ("ref", TEXTS[::-1]), ("score", [0.5, -0.3] * 12)).encode()},
    )
    yield (
        "InstructGPT",
        "a text with its prompt inside",
        {"a.jsonl": lines(("text", each(lambda i: f"### Human: {TEXTS[i]}### Assistant: {SHORT[i]}")))},
    )
    yield (
        "sentence-transformers",
        "anchor, positive and negative",
        {"a.jsonl": lines(("anchor", TEXTS), ("positive", SHORT), ("negative", TEXTS[::-1]))},
    )
    yield (
        "HelpSteer2",
        "an attribute of each response",
        {
            "a.jsonl": lines(
                ("prompt", TEXTS), ("response", SHORT), ("helpfulness", [3, 4] * 12), ("coherence", [4, 4] * 12)
            )
        },
    )
    yield (
        "OpenAI fine-tuning",
        "weights of turns",
        {
            "a.jsonl": lines(
                (
                    "messages",
                    each(
                        lambda i: [
                            *turns(i),
                            {"role": "user", "content": "and now?"},
                            {"role": "assistant", "content": TEXTS[i], "weight": 0},
                        ]
                    ),
                )
            )
        },
    )
    yield (
        "brat",
        "spans as texts of offsets",
        {"a.jsonl": lines(T, ("entities", [[["T1", "ACT", [[a, b]]]] for a, b in starts]))},
    )
    yield (
        "BIO",
        "tags as one text",
        {"a.csv": table(("sentence", ["the shop sold bikes"] * N), ("tags", ["O B-ORG O B-PROD"] * N)).encode()},
    )
    yield (
        "CoNLL csv",
        "a word a row",
        {
            "a.csv": table(
                ("Sentence #", [f"Sentence: {i // 4}" if i % 4 == 0 else "" for i in range(N)]),
                ("Word", ["the", "shop", "sold", "bikes"] * 6),
                ("POS", ["DT", "NN", "VB", "NN"] * 6),
                ("Tag", ["O", "B-org", "O", "O"] * 6),
            ).encode()
        },
    )


def ninth() -> Iterator[tuple[str, str, Files]]:
    """Shapes of further reports, of shards that differ, and of columns beside columns."""
    one = lines(T, L)
    yield (
        "LLaMA-Factory#2571",
        "columns of conversations, with turns that have no loss",
        {
            "a.json": json.dumps(
                {
                    "conversations": {
                        str(i): [
                            {"from": "human", "loss": None, "value": TEXTS[i]},
                            {"from": "gpt", "loss": True, "value": SHORT[i]},
                            {"from": "human", "loss": None, "value": "and now?"},
                            {"from": "gpt", "loss": False, "value": "nothing"},
                        ]
                        for i in range(N)
                    },
                    "id": {str(i): f"x{i}" for i in range(N)},
                }
            ).encode()
        },
    )
    yield (
        "NeMo-RL#977",
        "completions with a rank, each a conversation",
        {
            "a.jsonl": lines(
                ("context", each(lambda i: turns(i)[:1])),
                (
                    "completions",
                    each(
                        lambda i: [
                            {"rank": 0, "completion": turns(i)[1:]},
                            {"rank": 1, "completion": [{"role": "assistant", "content": "no"}]},
                        ]
                    ),
                ),
            )
        },
    )
    yield (
        "diatool-dpo#2",
        "pairs as JSON of messages and tools",
        {
            "a.jsonl": lines(
                ("chosen", each(lambda i: json.dumps({"messages": turns(i), "tools": []}))),
                (
                    "rejected",
                    each(lambda i: json.dumps({"messages": [*turns(i)[:1], {"role": "assistant", "content": "no"}]})),
                ),
            )
        },
    )
    yield (
        "PhpSpreadsheet#1569",
        "quotes inside of a quoted cell of several lines",
        {
            "a.csv": "".join(
                ["text;label\n", *(f'"{t}\nsay "so" now\nend";"{m}"\n' for t, m in zip(TEXTS, LABELS, strict=True))]
            ).encode()
        },
    )
    yield (
        "ng-csv#171",
        "doubled quotes in unquoted cells",
        {"a.csv": "".join(["text;label\n", *(f'say ""so"" {i};{m}\n' for i, m in enumerate(LABELS))]).encode()},
    )
    yield (
        "LLaMA-Factory#3281",
        "shards with other columns",
        {
            "train-0.jsonl": lines(("instruction", TEXTS), ("output", SHORT)),
            "train-1.jsonl": lines(("prompt", TEXTS[::-1]), ("response", SHORT)),
        },
    )
    yield (
        "Spark",
        "a second part without a header",
        {"part-00000.csv": plain_csv(), "part-00001.csv": table(("text", SHORT), L).partition("\n")[2].encode()},
    )
    yield (
        "shards",
        "numbers as labels, then names",
        {"train-0.jsonl": lines(T, ("label", [0, 1] * 12)), "train-1.jsonl": lines(("text", SHORT), L)},
    )
    yield (
        "shards",
        "commas, then semicolons",
        {"train-0.csv": plain_csv(), "train-1.csv": table(("text", SHORT), L, delimiter=";").encode()},
    )
    yield (
        "cat",
        "two files with marks at their start, joined",
        {"a.csv": plain_csv().decode().encode("utf-8-sig") + table(("text", SHORT), L).encode("utf-8-sig")},
    )
    yield (
        "cat",
        "label first, and a mark inside of the file",
        {"a.csv": table(L, T).encode() + "\ufeffgood,one more text\n".encode()},
    )
    yield (
        "AWS Comprehend",
        "a label with its score",
        {"a.jsonl": lines(T, ("label", [{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.8}] * 12))},
    )
    yield (
        "transformers",
        "what a pipeline gives",
        {"a.jsonl": lines(T, ("prediction", [[{"label": "good", "score": 0.9}, {"label": "bad", "score": 0.1}]] * N))},
    )
    yield (
        "one-hot",
        "positive, negative and neutral",
        {
            "a.csv": table(
                T, ("positive", [1, 0, 0] * 8), ("negative", [0, 1, 0] * 8), ("neutral", [0, 0, 1] * 8)
            ).encode()
        },
    )
    yield (
        "MT-bench",
        "turns and references",
        {
            "a.jsonl": lines(
                ("question_id", list(range(N))),
                ("category", ["math", "code"] * 12),
                ("turns", each(lambda i: [TEXTS[i], "and now?"])),
                ("reference", each(lambda i: [SHORT[i], "so"])),
            )
        },
    )
    yield (
        "AlpacaEval",
        "outputs of a generator",
        {
            "a.json": json.dumps(
                [
                    {"dataset": "koala", "instruction": t, "output": s, "generator": "m"}
                    for t, s in zip(TEXTS, SHORT, strict=True)
                ]
            ).encode()
        },
    )
    yield (
        "python_code_instructions",
        "a prompt that holds the answer too",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS),
                ("input", [""] * N),
                ("output", SHORT),
                ("prompt", each(lambda i: f"Below is a task. {TEXTS[i]} ### Output: {SHORT[i]}")),
            )
        },
    )
    yield (
        "reasoning",
        "question, reasoning and answer",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("reasoning", each(lambda i: f"first we look at bike {i}, and then we see")),
                ("answer", SHORT),
            )
        },
    )
    yield (
        "CommonLit",
        "an excerpt and a target with fractions",
        {
            "a.csv": table(
                ("id", [f"c{i}" for i in range(N)]),
                ("url_legal", [""] * N),
                ("license", ["CC BY"] * N),
                ("excerpt", TEXTS),
                ("target", [-0.34, 0.12] * 12),
                ("standard_error", [0.46, 0.5] * 12),
            ).encode()
        },
    )
    yield (
        "Kaggle PII",
        "tokens, white space and labels",
        {
            "a.json": json.dumps(
                [
                    {
                        "document": i,
                        "full_text": TEXTS[i],
                        "tokens": ["the", "shop"],
                        "trailing_whitespace": [True, False],
                        "labels": ["O", "B-NAME"],
                    }
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "Markdown",
        "a table with pipes at its sides",
        {
            "a.csv": "".join(
                [
                    "| text | label |\n",
                    "| --- | --- |\n",
                    *(f"| {t} | {m} |\n" for t, m in zip(TEXTS, LABELS, strict=True)),
                ]
            ).encode()
        },
    )
    yield (
        "PubMed RCT",
        "sentences and a label for each",
        {
            "a.jsonl": lines(
                ("sentences", each(lambda i: [TEXTS[i], SHORT[i]])),
                ("labels", [["AIM", "RESULT"], ["RESULT", "AIM"]] * 12),
            )
        },
    )
    yield "text", "a list of sentences as text", {"a.jsonl": lines(("text", each(lambda i: [TEXTS[i], SHORT[i]])), L)}
    yield (
        "pandas",
        "a shuffled index as a column",
        {"a.parquet": parquet(text=TEXTS, label=LABELS, __index_level_0__=[i * 7 % N for i in range(N)])},
    )
    yield (
        "options",
        "options as one text",
        {
            "a.jsonl": lines(
                ("question", TEXTS), ("options", ["A) red\nB) blue\nC) green"] * N), ("answer", ["A", "B", "C"] * 8)
            )
        },
    )
    yield (
        "OpenTrivia",
        "correct and incorrect answers",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("correct_answer", SHORT),
                ("incorrect_answers", [["x y", "z w"]] * N),
                ("difficulty", ["easy", "hard"] * 12),
            )
        },
    )
    yield "json", "keys in another case in some rows", {"a.jsonl": one + lines(("Text", SHORT), ("Label", LABELS))}
    yield (
        "json",
        "conversations as lists, then as text",
        {"a.jsonl": lines(("messages", each(lambda i: turns(i) if i % 2 else json.dumps(turns(i)))))},
    )
    yield (
        "ShareGPT",
        "conversations that the assistant begins",
        {
            "a.jsonl": lines(
                (
                    "conversations",
                    each(
                        lambda i: (
                            turns(i, keys=("from", "value"), who=("gpt", "human"))
                            + turns(i, keys=("from", "value"), who=("gpt", "human"))[:1]
                        )
                    ),
                )
            )
        },
    )
    yield (
        "torchtune",
        "input and output as lists of turns",
        {"a.jsonl": lines(("input", each(lambda i: turns(i)[:1])), ("output", each(lambda i: turns(i)[1:])))},
    )
    yield (
        "Athena",
        "booleans as words, all quoted",
        {"a.csv": table(T, ("is_spam", ["true", "false"] * 12), quoting=csv.QUOTE_ALL).encode()},
    )
    yield "Redshift", "t and f", {"a.csv": table(T, ("label", ["t", "f"] * 12), delimiter="|").encode()}


def tenth() -> Iterator[tuple[str, str, Files]]:
    """Shapes of packed files, of folders, of spans with other offsets, and of further data sets and programs."""
    one, other = lines(T, L), lines(("text", SHORT), L)
    starts = [(t.index("sold"), t.index("sold") + 4) for t in TEXTS]
    yield "gzip", "two packed files joined", {"a.jsonl.gz": gzip.compress(one) + gzip.compress(other)}
    yield "bzip2", "two packed files joined", {"a.jsonl.bz2": bz2.compress(one) + bz2.compress(other)}
    yield "xz", "two packed files joined", {"a.jsonl.xz": lzma.compress(one) + lzma.compress(other)}
    packed = [pa.compress(part, codec="zstd", asbytes=True) for part in (one, other)]
    yield "zstd", "two packed files joined", {"a.jsonl.zst": packed[0] + packed[1]}
    yield "gzip", "the end is missing", {"a.jsonl.gz": gzip.compress(one)[:-30]}
    yield "file systems", "zeros at the end of a file", {"a.jsonl": one + b"\0" * 64}
    yield (
        "doccano",
        "offsets of bytes",
        {
            "a.jsonl": lines(
                ("text", [f"für {t}" for t in TEXTS]),
                ("entities", [[{"start": a + 5, "end": b + 5, "label": "ACT", "text": "sold"}] for a, b in starts]),
            )
        },
    )
    yield (
        "Dataturks",
        "ends that are part of the span, with their texts",
        {
            "a.jsonl": lines(
                T, ("entities", [[{"start": a, "end": b - 1, "label": "ACT", "text": "sold"}] for a, b in starts])
            )
        },
    )
    yield (
        "LightTag",
        "examples with annotations",
        {
            "a.json": json.dumps(
                {
                    "name": "x",
                    "examples": [
                        {"content": t, "annotations": [{"start": a, "end": b, "tag": "ACT", "value": "sold"}]}
                        for t, (a, b) in zip(TEXTS, starts, strict=True)
                    ],
                }
            ).encode()
        },
    )
    yield (
        "Labelbox",
        "rows of data and projects",
        {
            "a.ndjson": lines(
                ("data_row", each(lambda i: {"id": f"d{i}", "row_data": TEXTS[i]})),
                (
                    "projects",
                    each(
                        lambda i: {
                            "p1": {
                                "labels": [
                                    {
                                        "annotations": {
                                            "classifications": [{"name": "mood", "radio_answer": {"value": LABELS[i]}}]
                                        }
                                    }
                                ]
                            }
                        }
                    ),
                ),
            )
        },
    )
    yield (
        "WebAnno",
        "a TSV with a format line",
        {
            "a.tsv": "".join(
                ["#FORMAT=WebAnno TSV 3.3\n\n\n#Text=the shop\n", "1-1\t0-3\tthe\t_\n", "1-2\t4-8\tshop\tORG\n"]
            ).encode()
        },
    )
    yield (
        "CoNLL-U",
        "sentences with comments",
        {
            "a.tsv": "".join(
                "# text = a shop\n1\ta\ta\tDET\tDT\t_\t2\tdet\t_\t_\n2\tshop\tshop\tNOUN\tNN\t_\t0\troot\t_\t_\n\n"
                for _ in range(8)
            ).encode()
        },
    )
    yield (
        "folder",
        "dev and validation",
        {"train.jsonl": one, "dev.jsonl": other, "validation.jsonl": lines(("text", TEXTS[::-1]), L)},
    )
    yield "folder", "train and training", {"train.jsonl": one, "training.jsonl": other}
    yield "folder", "capitals", {"Train.CSV": plain_csv(), "TEST.csv": table(("text", SHORT), L).encode()}
    yield (
        "folder",
        "names of classes in a file",
        {"train.jsonl": one, "test.jsonl": other, "label_map.json": b'{"0": "good", "1": "bad"}'},
    )
    yield "folder", "figures beside the rows", {"train.jsonl": one, "train_stats.json": b'{"rows": 24}'}
    yield (
        "folder",
        "a file for each class",
        {"train/good.csv": table(T).encode(), "train/bad.csv": table(("text", SHORT)).encode()},
    )
    yield "json", "names with blanks at their ends", {"a.jsonl": lines((" text", TEXTS), ("label ", LABELS))}
    yield (
        "text",
        "a text and its cleaned form",
        {"a.csv": table(T, ("clean_text", [t.upper() for t in TEXTS]), L).encode()},
    )
    yield (
        "Amazon",
        "reviewText, summary and overall",
        {
            "a.jsonl": lines(
                ("reviewerID", [f"A{i}" for i in range(N)]),
                ("asin", ["B1"] * N),
                ("reviewText", TEXTS),
                ("overall", [5.0, 1.0] * 12),
                ("summary", SHORT),
                ("unixReviewTime", [1400000000 + i for i in range(N)]),
            )
        },
    )
    yield (
        "DPO",
        "several conversations as chosen",
        {
            "a.jsonl": lines(
                P, ("chosen", each(lambda i: [turns(i), turns(i)])), ("rejected", each(lambda i: [turns(i)]))
            )
        },
    )
    yield (
        "reasoning",
        "turns of thoughts alone",
        {
            "a.jsonl": lines(
                (
                    "messages",
                    each(
                        lambda i: [
                            *turns(i)[:1],
                            {"role": "assistant", "content": "", "reasoning_content": "well, bike"},
                        ]
                    ),
                )
            )
        },
    )
    yield "label", "Y and N", {"a.csv": table(T, ("duplicate", ["Y", "N"] * 12)).encode()}
    yield (
        "ToxicChat",
        "user_input, model_output and marks",
        {
            "a.csv": table(
                ("conv_id", [f"c{i}" for i in range(N)]),
                ("user_input", TEXTS),
                ("model_output", SHORT),
                ("human_annotation", [True] * N),
                ("toxicity", [0, 1] * 12),
                ("jailbreaking", [0, 0] * 12),
            ).encode()
        },
    )
    yield (
        "BeaverTails",
        "a response and whether it is safe",
        {
            "a.jsonl": lines(
                ("prompt", TEXTS),
                ("response", SHORT),
                ("category", [{"abuse": False}] * N),
                ("is_safe", [True, False] * 12),
            )
        },
    )
    yield (
        "PersonaChat",
        "candidates, the last of which is right",
        {
            "a.jsonl": lines(
                ("personality", [["i like bikes"]] * N),
                ("candidates", each(lambda i: ["no", SHORT[i]])),
                ("history", each(lambda i: [TEXTS[i]])),
                ("conv_id", list(range(N))),
            )
        },
    )
    yield (
        "Ubuntu",
        "Context, Utterance and Label",
        {"a.csv": table(("Context", TEXTS), ("Utterance", SHORT), ("Label", [1.0, 0.0] * 12)).encode()},
    )
    yield (
        "orpo-dpo-mix",
        "prompt, question and conversations",
        {
            "a.jsonl": lines(
                ("source", ["x"] * N),
                ("chosen", each(turns)),
                ("rejected", each(lambda i: [*turns(i)[:1], {"role": "assistant", "content": "no"}])),
                ("prompt", TEXTS),
                ("question", TEXTS),
            )
        },
    )
    yield (
        "MultiWOZ",
        "logs under names",
        {
            "a.json": json.dumps(
                {
                    f"P{i}.json": {
                        "goal": {},
                        "log": [{"text": TEXTS[i], "metadata": {}}, {"text": SHORT[i], "metadata": {"x": {}}}],
                    }
                    for i in range(N)
                }
            ).encode()
        },
    )
    yield (
        "MySQL",
        "NULL, and line ends as \\n",
        {
            "a.tsv": "".join(
                [
                    "text\tlabel\n",
                    *(
                        f"{t}\\nand more\t{'NULL' if i % 5 == 0 else m}\n"
                        for i, (t, m) in enumerate(zip(TEXTS, LABELS, strict=True))
                    ),
                ]
            ).encode()
        },
    )
    yield (
        "Excel",
        "a text that is cut at its limit",
        {"a.csv": table(("text", each(lambda i: f"{i:05} " + "a long story " * 2520 + "and so it goe")), L).encode()},
    )


def eleventh() -> Iterator[tuple[str, str, Files]]:
    """Shapes of columns beside columns: a class beside a conversation, an index of the better response, and others."""
    two = each(lambda i: [SHORT[i], "no way"])
    yield (
        "columns",
        "system, user and assistant",
        {"a.jsonl": lines(("system", ["be kind"] * N), ("user", TEXTS), ("assistant", SHORT))},
    )
    yield "columns", "human and bot", {"a.csv": table(("human", TEXTS), ("bot", SHORT)).encode()}
    yield (
        "columns",
        "a conversation and its intent",
        {"a.jsonl": lines(("messages", each(turns)), ("intent", ["buy", "sell"] * 12))},
    )
    yield (
        "columns",
        "a conversation and a label of 0 and 1",
        {
            "a.jsonl": lines(
                ("conversations", each(lambda i: turns(i, keys=("from", "value"), who=("human", "gpt")))),
                ("label", [0, 1] * 12),
            )
        },
    )
    yield (
        "columns",
        "a conversation and where it is from",
        {"a.jsonl": lines(("messages", each(turns)), ("category", ["a", "b"] * 12), ("source", ["x"] * N))},
    )
    yield (
        "KILT",
        "outputs with their provenance",
        {
            "a.jsonl": lines(
                ("id", [f"k{i}" for i in range(N)]),
                ("input", TEXTS),
                ("output", each(lambda i: [{"answer": SHORT[i], "provenance": [{"title": "x"}]}])),
            )
        },
    )
    yield (
        "FiD",
        "contexts as objects, and answers",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("answers", each(lambda i: [SHORT[i]])),
                ("ctxs", each(lambda i: [{"title": "t", "text": TEXTS[-i], "score": 1.0}])),
            )
        },
    )
    yield (
        "Spider",
        "a question and its query",
        {
            "a.json": json.dumps(
                [
                    {"db_id": "shop", "question": t, "query": f"SELECT {i}", "query_toks": ["SELECT", str(i)]}
                    for i, t in enumerate(TEXTS)
                ]
            ).encode()
        },
    )
    yield (
        "multi-hot",
        "marks as one text",
        {"a.csv": table(T, ("labels", ["0 1 0", "1 0 0", "1 1 0", "0 0 1"] * 6)).encode()},
    )
    yield "CSV", "blank lines above the header", {"a.csv": b"\n\n" + plain_csv()}
    yield (
        "CSV",
        "two bars between cells",
        {"a.csv": "".join(f"{t}||{m}\n" for t, m in [("text", "label"), *zip(TEXTS, LABELS, strict=True)]).encode()},
    )
    yield "JSON", "a comma behind every line", {"a.jsonl": lines(T, L).replace(b"\n", b",\n")}
    yield (
        "JSON",
        "a null among the rows",
        {"a.json": json.dumps([{"text": t, "label": m} for t, m in zip(TEXTS, LABELS, strict=True)] + [None]).encode()},
    )
    yield (
        "reward",
        "responses and the place of the better one",
        {"a.jsonl": lines(P, ("responses", two), ("chosen", [0, 1] * 12))},
    )
    yield (
        "reward",
        "completions and the best of them",
        {"a.jsonl": lines(("instruction", TEXTS), ("completions", two), ("best", [1, 0] * 12))},
    )
    yield (
        "JudgeLM",
        "two answers and a list of scores",
        {
            "a.jsonl": lines(
                ("question", TEXTS),
                ("answer1", SHORT),
                ("answer2", TEXTS[::-1]),
                ("score", [[8.0, 7.0], [3.0, 9.0]] * 12),
            )
        },
    )
    yield (
        "HC3",
        "answers of people and of a model",
        {
            "a.jsonl": lines(
                ("question", TEXTS), ("human_answers", two), ("chatgpt_answers", two), ("source", ["x"] * N)
            )
        },
    )
    yield "code", "code and docstring", {"a.jsonl": lines(("code", TEXTS), ("docstring", SHORT), ("repo", ["a/b"] * N))}
    yield "code", "before and after", {"a.jsonl": lines(("buggy", TEXTS), ("fixed", SHORT))}
    yield "pairs", "s1, s2 and label", {"a.csv": table(("s1", TEXTS), ("s2", SHORT), L).encode()}
    yield (
        "papers",
        "title, abstract and key words",
        {"a.csv": table(("title", SHORT), ("abstract", TEXTS), ("keywords", ["a;b", "b;c"] * 12)).encode()},
    )
    yield (
        "OpenAI moderation",
        "marks that are not in every row",
        {
            "a.jsonl": lines(
                P,
                ("S", [0, 1] * 12),
                ("H", [1 if i % 2 else ... for i in range(N)]),
                ("V", [0 if i % 3 else ... for i in range(N)]),
            )
        },
    )
    yield (
        "medical-o1",
        "question, thoughts and response",
        {
            "a.json": json.dumps(
                [
                    {"Question": t, "Complex_CoT": f"first of all, {t}", "Response": s}
                    for t, s in zip(TEXTS, SHORT, strict=True)
                ]
            ).encode()
        },
    )
    yield (
        "MATH",
        "problem, level, type and solution",
        {
            "a.jsonl": lines(
                ("problem", TEXTS),
                ("level", ["Level 1", "Level 2"] * 12),
                ("type", ["Algebra", "Geometry"] * 12),
                ("solution", SHORT),
            )
        },
    )
    yield (
        "XLSum",
        "text, title and summary",
        {
            "a.jsonl": lines(
                ("id", [f"n{i}" for i in range(N)]),
                ("url", ["http://x"] * N),
                ("title", SHORT),
                ("summary", SHORT[::-1]),
                T,
            )
        },
    )
    yield (
        "grammar",
        "input with a task in front, and targets",
        {"a.csv": table(("input", [f"grammar: {t}" for t in TEXTS]), ("target", SHORT)).encode()},
    )
    yield (
        "Reuters",
        "topics as a printed list",
        {"a.csv": table(T, ("topics", ["['grain', 'wheat']", "['earn']", "[]"] * 8)).encode()},
    )
    yield (
        "survey",
        "answers on a scale as words",
        {"a.csv": table(("comment", TEXTS), ("rating", ["Strongly agree", "Agree", "Disagree"] * 8)).encode()},
    )


def twelfth() -> Iterator[tuple[str, str, Files]]:
    """Shapes of retrieval, tagging and dialogue data, of evaluation programs, and of tables with holes."""
    yield (
        "TSV",
        "a tab behind the header and every row",
        {"a.tsv": table(T, L, ("", [""] * N), delimiter="\t").encode()},
    )
    yield (
        "CSV",
        "a column without a name in the middle",
        {"a.csv": table(T, ("", [str(i % 3) for i in range(N)]), L).encode()},
    )
    yield (
        "holes",
        "texts that are missing in half of the rows",
        {"a.jsonl": lines(("text", [t if i % 2 else None for i, t in enumerate(TEXTS)]), L)},
    )
    yield (
        "Windows-1251",
        "Cyrillic letters",
        {"a.csv": table(("text", [f"магазин {i}" for i in range(N)]), L).encode("cp1251")},
    )
    yield (
        "retrieval",
        "query, passage and relevance",
        {"a.jsonl": lines(("query", TEXTS), ("passage", SHORT), ("relevance", [0, 1, 2, 3] * 6))},
    )
    yield (
        "Tevatron",
        "positive and negative passages",
        {
            "a.jsonl": lines(
                ("query_id", [str(i) for i in range(N)]),
                ("query", TEXTS),
                ("positive_passages", each(lambda i: [{"docid": "d", "title": "t", "text": SHORT[i]}])),
                ("negative_passages", each(lambda i: [{"docid": "e", "title": "t", "text": "no way"}])),
            )
        },
    )
    yield "sentence-transformers", "anchor and positive", {"a.jsonl": lines(("anchor", TEXTS), ("positive", SHORT))}
    yield (
        "SberQuAD",
        "answers as text and start",
        {
            "a.csv": table(
                ("paragraph", TEXTS),
                ("question", SHORT),
                ("answer_text", ["bike"] * 12 + ["shop"] * 12),
                ("answer_start", [14] * N),
            ).encode()
        },
    )
    yield (
        "tags",
        "tokens as a list, tags as a text",
        {"a.jsonl": lines(("tokens", [["the", "shop"]] * N), ("ner_tags", ["O B-ORG"] * N))},
    )
    yield (
        "tags",
        "a text, and tags as a list",
        {"a.jsonl": lines(("sentence", ["the shop"] * N), ("tags", [["O", "B-ORG"]] * N))},
    )
    yield "entities", "lists by their types", {"a.jsonl": lines(T, ("entities", [{"ACT": ["sold"], "ORG": []}] * N))}
    yield "entities", "pairs of a text and its type", {"a.jsonl": lines(T, ("entities", [[["sold", "ACT"]]] * N))}
    yield (
        "ABSA",
        "terms with their polarity",
        {"a.jsonl": lines(T, ("aspects", [[{"term": "bike", "polarity": "good"}]] * N))},
    )
    yield (
        "slots",
        "utterance, slots and intent",
        {"a.jsonl": lines(("utterance", TEXTS), ("slots", [{"item": "bike"}] * N), ("intent", ["buy", "sell"] * 12))},
    )
    yield (
        "openai/evals",
        "a conversation and an ideal answer",
        {"a.jsonl": lines(("input", each(lambda i: turns(i)[:1])), ("ideal", SHORT))},
    )
    yield "LangChain", "query and result", {"a.jsonl": lines(("query", TEXTS), ("result", SHORT))}
    yield (
        "DeepEval",
        "actual and expected output",
        {
            "a.json": json.dumps(
                [
                    {"input": t, "actual_output": s, "expected_output": s + " so", "context": [t]}
                    for t, s in zip(TEXTS, SHORT, strict=True)
                ]
            ).encode()
        },
    )
    yield (
        "MLQE",
        "original, translation and scores",
        {
            "a.jsonl": lines(
                ("segid", list(range(N))),
                ("translation", each(lambda i: {"en": TEXTS[i], "de": SHORT[i]})),
                ("scores", [[70.0, 80.0, 90.0]] * N),
                ("mean", [80.0, 75.5] * 12),
            )
        },
    )
    pairs = [[t, m] for t, m in zip(TEXTS, LABELS, strict=True)]
    yield (
        "CLINC",
        "splits of pairs",
        {"a.json": json.dumps({"train": pairs, "val": pairs[::-1], "test": pairs}).encode()},
    )
    yield (
        "DSTC8",
        "turns of speakers in capitals",
        {
            "a.json": json.dumps(
                [
                    {
                        "dialogue_id": str(i),
                        "services": ["x"],
                        "turns": [
                            {"speaker": "USER", "utterance": TEXTS[i], "frames": []},
                            {"speaker": "SYSTEM", "utterance": SHORT[i], "frames": []},
                        ],
                    }
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "Kaggle",
        "a description beside the rows",
        {"data.csv": plain_csv(), "dataset-metadata.json": b'{"title": "x"}'},
    )
    yield (
        "preference",
        "a verdict under a long name",
        {
            "a.jsonl": lines(
                P, ("completion_a", SHORT), ("completion_b", TEXTS[::-1]), ("annotator_preference", ["a", "b"] * 12)
            )
        },
    )
    yield "preference", "x, y_w and y_l", {"a.jsonl": lines(("x", TEXTS), ("y_w", SHORT), ("y_l", TEXTS[::-1]))}
    yield (
        "preference",
        "a verdict that prefers both",
        {
            "a.jsonl": lines(
                P,
                ("response_1", SHORT),
                ("response_2", TEXTS[::-1]),
                ("choice", ["response_1", "response_2", "both"] * 8),
            )
        },
    )
    yield (
        "CivilComments",
        "seven grades of one text",
        {
            "a.jsonl": lines(
                T,
                *(
                    (name, [0.0, 0.3] * 12)
                    for name in (
                        "toxicity",
                        "severe_toxicity",
                        "obscene",
                        "threat",
                        "insult",
                        "identity_attack",
                        "sexual_explicit",
                    )
                ),
            )
        },
    )
    yield "nested", "a text inside of its language", {"a.jsonl": lines(("text", each(lambda i: {"en": TEXTS[i]})), L)}
    yield (
        "ATIS",
        "lines of words and tags",
        {"a.tsv": "".join(f"BOS {t} EOS\tO O O atis_{m}\n" for t, m in zip(TEXTS, LABELS, strict=True)).encode()},
    )
    yield (
        "Parquet",
        "numbers of classes in a small type",
        {"a.parquet": parquet(text=TEXTS, label=pa.array([0, 1] * 12, pa.int8()))},
    )
    yield "Parquet", "columns of one name", {"a.parquet": twice_parquet()}


def thirteenth() -> Iterator[tuple[str, str, Files]]:
    """Shapes of further public sets, of exports of trackers and help desks, and of files of several splits."""
    yield "columns", "split in a column of numbers", {"a.csv": table(T, L, ("fold", [0, 1, 2] * 8)).encode()}
    yield "columns", "a text and its language", {"a.jsonl": lines(T, ("lang", ["en", "de"] * 12), L)}
    yield (
        "Jira",
        "summary, description and issue type",
        {
            "a.csv": table(
                ("Issue key", [f"A-{i}" for i in range(N)]),
                ("Summary", SHORT),
                ("Description", TEXTS),
                ("Issue Type", ["Bug", "Task"] * 12),
                ("Created", ["01/Jan/24 9:00 AM"] * N),
            ).encode()
        },
    )
    yield (
        "Zendesk",
        "subject, description and tags",
        {
            "a.json": json.dumps(
                [
                    {
                        "id": i,
                        "subject": SHORT[i],
                        "description": TEXTS[i],
                        "tags": ["vip", "refund"] if i % 2 else ["refund"],
                        "status": "open",
                        "created_at": "2024-01-01T00:00:00Z",
                    }
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "GitHub",
        "issues with labels as objects",
        {
            "a.json": json.dumps(
                [
                    {
                        "number": i,
                        "title": SHORT[i],
                        "body": TEXTS[i],
                        "labels": [{"name": "bug" if i % 2 else "docs", "color": "f00"}],
                        "state": "open",
                        "user": {"login": "x"},
                    }
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "arXiv",
        "categories with blanks between",
        {
            "a.jsonl": lines(
                ("id", [f"07{i:02}.1" for i in range(N)]),
                ("title", SHORT),
                ("abstract", TEXTS),
                ("categories", ["cs.CL cs.LG", "math.CO", "cs.CL"] * 8),
            )
        },
    )
    yield (
        "PubMed",
        "MeSH terms in a list",
        {
            "a.jsonl": lines(
                ("pmid", [str(i) for i in range(N)]),
                ("title", SHORT),
                ("abstract", TEXTS),
                ("mesh_terms", [["Humans", "Bikes"]] * N),
            )
        },
    )
    yield (
        "LEDGAR",
        "provision and label",
        {"a.jsonl": lines(("provision", TEXTS), ("label", [["Fees"], ["Terms"]] * 12), ("source", ["x.htm"] * N))},
    )
    yield (
        "ContractNLI",
        "premise as a list of sentences",
        {"a.jsonl": lines(("premise", each(lambda i: [TEXTS[i], SHORT[i]])), ("hypothesis", SHORT), L)},
    )
    yield (
        "FEVER",
        "claims with evidence in lists",
        {
            "a.jsonl": lines(
                ("id", list(range(N))),
                ("verifiable", ["VERIFIABLE"] * N),
                ("label", ["SUPPORTS", "REFUTES"] * 12),
                ("claim", TEXTS),
                ("evidence", [[[1, 2, "Page", 3]]] * N),
            )
        },
    )
    yield (
        "SciFact",
        "claims with evidence by document",
        {
            "a.jsonl": lines(
                ("id", list(range(N))),
                ("claim", TEXTS),
                ("evidence", [{"4983": [{"sentences": [2], "label": "CONTRADICT"}]}] * N),
                ("cited_doc_ids", [[4983]] * N),
            )
        },
    )
    yield (
        "HotpotQA",
        "context as titles and sentences",
        {
            "a.json": json.dumps(
                [
                    {
                        "_id": str(i),
                        "question": TEXTS[i],
                        "answer": SHORT[i],
                        "supporting_facts": [["A", 0]],
                        "context": [["A", ["one.", "two."]]],
                        "type": "bridge",
                        "level": "hard",
                    }
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "TyDi",
        "answers by language",
        {
            "a.jsonl": lines(
                ("question_text", TEXTS),
                ("document_plaintext", SHORT),
                ("annotations", [{"minimal_answers_start_byte": [1]}] * N),
                ("language", ["en"] * N),
            )
        },
    )
    yield (
        "PIQA raw",
        "goal and solutions, labels in another file",
        {"train.jsonl": lines(("goal", TEXTS), ("sol1", SHORT), ("sol2", TEXTS[::-1])), "train-labels.lst": b"0\n1\n"},
    )
    yield (
        "WinoGrande",
        "options beside a sentence with a gap",
        {
            "a.jsonl": lines(
                ("qID", [str(i) for i in range(N)]),
                ("sentence", [f"{t}, since _ was fast" for t in TEXTS]),
                ("option1", ["bike"] * N),
                ("option2", ["shop"] * N),
                ("answer", ["1", "2"] * 12),
            )
        },
    )
    yield (
        "StoryCloze",
        "four sentences and two endings",
        {
            "a.csv": table(
                ("InputStoryid", [str(i) for i in range(N)]),
                *((f"InputSentence{k}", [f"{k} {t}" for t in TEXTS]) for k in range(1, 5)),
                ("RandomFifthSentenceQuiz1", SHORT),
                ("RandomFifthSentenceQuiz2", TEXTS),
                ("AnswerRightEnding", [1, 2] * 12),
            ).encode()
        },
    )
    yield (
        "MMLU csv",
        "no header, four options and a letter",
        {"a.csv": "".join(f'"{t}",red {i},blue,green,black,{"ABCD"[i % 4]}\n' for i, t in enumerate(TEXTS)).encode()},
    )
    yield (
        "C-Eval",
        "options in columns, with an explanation",
        {
            "a.csv": table(
                ("id", list(range(N))),
                ("question", TEXTS),
                ("A", ["x"] * N),
                ("B", ["y"] * N),
                ("C", ["z"] * N),
                ("D", ["w"] * N),
                ("answer", ["A", "B", "C", "D"] * 6),
                ("explanation", SHORT),
            ).encode()
        },
    )
    yield (
        "BBQ",
        "answers 0 to 2 and a label",
        {
            "a.jsonl": lines(
                ("context", TEXTS),
                ("question", SHORT),
                ("ans0", ["a"] * N),
                ("ans1", ["b"] * N),
                ("ans2", ["c"] * N),
                ("label", [0, 1, 2] * 8),
            )
        },
    )
    yield (
        "CrowS-Pairs",
        "more and less of a stereotype",
        {
            "a.csv": table(
                ("", list(range(N))),
                ("sent_more", TEXTS),
                ("sent_less", SHORT),
                ("stereo_antistereo", ["stereo", "antistereo"] * 12),
                ("bias_type", ["age", "race"] * 12),
            ).encode()
        },
    )
    yield (
        "WikiText",
        "lines that may be blank",
        {"a.parquet": parquet(text=[t if i % 2 else "" for i, t in enumerate(TEXTS)])},
    )
    yield "Multi30k", "en and de", {"a.jsonl": lines(("en", TEXTS), ("de", SHORT))}
    yield (
        "Tatoeba",
        "sentences and ids of both",
        {
            "a.tsv": "".join(
                f"{i}\t{t}\t{i + 100}\t{s}\n" for i, (t, s) in enumerate(zip(TEXTS, SHORT, strict=True))
            ).encode()
        },
    )
    yield (
        "LibriSpeech",
        "a sound and its text",
        {
            "a.parquet": parquet(
                audio=[{"bytes": b"\xff\x00", "path": "a.wav"}] * N, text=TEXTS, speaker_id=list(range(N))
            )
        },
    )
    yield (
        "COCO",
        "captions of an image",
        {
            "a.jsonl": lines(
                ("image", [f"{i}.jpg" for i in range(N)]), ("captions", each(lambda i: [TEXTS[i], SHORT[i]]))
            )
        },
    )
    yield (
        "LLaVA",
        "turns with an image in them",
        {
            "a.json": json.dumps(
                [
                    {
                        "id": str(i),
                        "image": f"{i}.jpg",
                        "conversations": [
                            {"from": "human", "value": f"<image>\n{TEXTS[i]}"},
                            {"from": "gpt", "value": SHORT[i]},
                        ],
                    }
                    for i in range(N)
                ]
            ).encode()
        },
    )
    yield (
        "ShareGPT",
        "turns of a system in the middle",
        {
            "a.jsonl": lines(
                (
                    "conversations",
                    each(
                        lambda i: [
                            *turns(i, keys=("from", "value"), who=("human", "gpt")),
                            {"from": "system", "value": "stop"},
                            *turns(i, keys=("from", "value"), who=("human", "gpt")),
                        ]
                    ),
                )
            )
        },
    )
    yield (
        "tool use",
        "tools as JSON, messages as JSON",
        {"a.jsonl": lines(("tools", [json.dumps([CALL])] * N), ("messages", each(lambda i: json.dumps(turns(i)))))},
    )


def fourteenth() -> Iterator[tuple[str, str, Files]]:
    """Shapes of exams, of safety data, of mails and of tables that programs wrote; none of them was tried before."""
    yield (
        "mails",
        "subject, body, from and to",
        {
            "a.csv": table(
                ("from", ["a@x.org"] * N),
                ("to", ["b@x.org"] * N),
                ("subject", SHORT),
                ("body", TEXTS),
                ("label", ["ham", "spam"] * 12),
            ).encode()
        },
    )
    yield (
        "mails",
        "Enron as file and message",
        {
            "a.csv": table(
                ("file", [f"x/{i}." for i in range(N)]),
                ("message", [f"Message-ID: <{i}>\nSubject: bikes\n\n{t}" for i, t in enumerate(TEXTS)]),
            ).encode()
        },
    )
    yield (
        "RACE",
        "one article, several questions",
        {
            "a.jsonl": lines(
                ("article", TEXTS),
                ("questions", [["why?", "how?"]] * N),
                ("options", [[["a", "b"], ["c", "d"]]] * N),
                ("answers", [["A", "B"]] * N),
                ("id", [f"h{i}.txt" for i in range(N)]),
            )
        },
    )
    yield (
        "exams",
        "question with choices inside and para",
        {
            "a.jsonl": lines(
                ("id", [str(i) for i in range(N)]),
                ("answerKey", ["A", "B"] * 12),
                ("info", [{"grade": 12}] * N),
                (
                    "question",
                    each(
                        lambda i: {
                            "stem": TEXTS[i],
                            "choices": [
                                {"text": "a b", "label": "A", "para": "x"},
                                {"text": "c d", "label": "B", "para": "y"},
                            ],
                        }
                    ),
                ),
            )
        },
    )
    yield (
        "SAT",
        "options joined by bars",
        {
            "a.csv": table(
                ("question", TEXTS), ("choices", ["red|blue|green"] * N), ("answer", ["red", "blue", "green"] * 8)
            ).encode()
        },
    )
    yield "AdvBench", "goal and target", {"a.csv": table(("goal", TEXTS), ("target", SHORT)).encode()}
    yield (
        "XSTest",
        "prompt and type",
        {
            "a.csv": table(
                ("id", list(range(N))), ("prompt", TEXTS), ("type", ["safe", "unsafe"] * 12), ("focus", ["bike"] * N)
            ).encode()
        },
    )
    yield (
        "RealToxicityPrompts",
        "prompt and continuation as objects",
        {
            "a.jsonl": lines(
                ("filename", ["x.txt"] * N),
                ("prompt", each(lambda i: {"text": TEXTS[i], "toxicity": 0.1})),
                ("continuation", each(lambda i: {"text": SHORT[i], "toxicity": 0.2})),
            )
        },
    )
    yield (
        "Anthropic red team",
        "a transcript and its ratings",
        {
            "a.jsonl": lines(
                ("min_harmlessness_score_transcript", [0.5, -1.5] * 12),
                ("transcript", TEXTS),
                ("rating", [3.0, 1.0] * 12),
                ("task_description", SHORT),
            )
        },
    )
    yield (
        "PRM800K",
        "steps with ratings",
        {
            "a.jsonl": lines(
                ("question", each(lambda i: {"problem": TEXTS[i], "ground_truth_answer": str(i)})),
                ("label", [{"steps": [{"completions": [{"text": "so", "rating": 1}], "chosen_completion": 0}]}] * N),
            )
        },
    )
    yield (
        "UltraInteract",
        "trajectory, chosen and rejected",
        {
            "a.jsonl": lines(
                ("task", ["Math"] * N),
                ("trajectory", each(lambda i: [{"from": "user", "value": TEXTS[i]}])),
                ("chosen", SHORT),
                ("rejected", TEXTS[::-1]),
            )
        },
    )
    yield (
        "PairRM",
        "instruction, input, candidates and ranks",
        {
            "a.jsonl": lines(
                ("instruction", TEXTS),
                ("input", [""] * N),
                ("candidates", each(lambda i: [SHORT[i], "no way"])),
                ("ranks", [[1, 2], [2, 1]] * 12),
            )
        },
    )
    yield (
        "LMSYS",
        "conversations with moderation",
        {
            "a.jsonl": lines(
                ("conversation_id", [f"c{i}" for i in range(N)]),
                ("model", ["m"] * N),
                ("conversation", each(turns)),
                ("turn", [1] * N),
                ("language", ["English"] * N),
                ("openai_moderation", [[{"flagged": False}]] * N),
                ("redacted", [False] * N),
            )
        },
    )
    yield (
        "OASST ranked",
        "prompts and replies of threads",
        {
            "a.jsonl": lines(
                ("message_tree_id", [f"t{i}" for i in range(N)]),
                (
                    "prompt",
                    each(
                        lambda i: {
                            "role": "prompter",
                            "text": TEXTS[i],
                            "replies": [{"role": "assistant", "text": SHORT[i], "rank": 0}],
                        }
                    ),
                ),
            )
        },
    )
    yield (
        "Alexa",
        "locale, utt, annot_utt and intent",
        {
            "a.jsonl": lines(
                ("locale", ["en-US"] * N),
                ("partition", ["train"] * N),
                ("utt", TEXTS),
                ("annot_utt", [f"[x : {t}]" for t in TEXTS]),
                ("intent", ["buy", "sell"] * 12),
            )
        },
    )
    yield (
        "SST fine",
        "a phrase and a tree",
        {"a.csv": table(("sentence", TEXTS), ("tree", ["0|1|2"] * N), ("label", [0.3, 0.7] * 12)).encode()},
    )
    yield (
        "headings",
        "names in capitals with units",
        {"a.csv": table(("TEXT (EN)", TEXTS), ("LABEL [0/1]", [0, 1] * 12)).encode()},
    )
    yield "headings", "names with line ends", {"a.csv": table(("Your\ncomment", TEXTS), ("Class", LABELS)).encode()}
    yield "tables", "numbers with commas in quotes", {"a.csv": table(T, ("views", ["1,024"] * N), L).encode()}
    yield "tables", "a row of totals at the end", {"a.csv": plain_csv() + b",24\n"}
    yield "tables", "comments in front of the header", {"a.csv": b"# made by a program\n# on a day\n" + plain_csv()}
    yield (
        "tables",
        "cells with leading quotes for Excel",
        {"a.csv": table(("text", [f"'{t}" for t in TEXTS]), L).encode()},
    )
    yield "JSON", "numbers as keys of classes", {"a.jsonl": lines(T, ("label", [{"0": 1}, {"1": 1}] * 12))}
    yield (
        "JSON",
        "a text inside of a list inside of an object",
        {"a.jsonl": lines(("doc", each(lambda i: {"paragraphs": [{"text": TEXTS[i]}]})), L)},
    )
    yield "JSON", "booleans written as texts, and as booleans", {"a.jsonl": lines(T, ("label", [True, "true"] * 12))}
    yield (
        "splits",
        "train in parts, test as one file",
        {
            "train-part1.jsonl": lines(T, L),
            "train-part2.jsonl": lines(("text", SHORT), L),
            "test.jsonl": lines(("text", TEXTS[::-1]), L),
        },
    )
    yield "splits", "a year for each file", {"2019.csv": plain_csv(), "2020.csv": table(("text", SHORT), L).encode()}
    yield (
        "splits",
        "a language for each folder",
        {"en/data.jsonl": lines(T, L), "de/data.jsonl": lines(("text", SHORT), L)},
    )


def fifteenth() -> Iterator[tuple[str, str, Files]]:
    """Shapes of cards on the hub and of tables of people, none of them tried before."""
    yield (
        "Yelp",
        "reviews with counts of votes",
        {
            "a.json": lines(
                ("review_id", [f"r{i}" for i in range(N)]),
                ("user_id", ["u"] * N),
                ("stars", [4.0, 1.0] * 12),
                ("useful", [0, 3] * 12),
                ("funny", [0, 1] * 12),
                ("cool", [0, 2] * 12),
                T,
                ("date", ["2016-01-01 00:00:00"] * N),
            )
        },
    )
    yield (
        "Steam",
        "app, review and votes",
        {
            "a.csv": table(
                ("app_id", [10] * N),
                ("app_name", ["Bikes"] * N),
                ("review_text", TEXTS),
                ("review_score", [1, -1] * 12),
                ("review_votes", [0, 1] * 12),
            ).encode()
        },
    )
    yield (
        "Twitter airline",
        "sentiment with its confidence and a reason",
        {
            "a.csv": table(
                ("tweet_id", list(range(10**9, 10**9 + N))),
                ("airline_sentiment", ["negative", "positive"] * 12),
                ("airline_sentiment_confidence", [1.0, 0.7] * 12),
                ("negativereason", ["Late", ""] * 12),
                ("airline", ["X"] * N),
                T,
            ).encode()
        },
    )
    yield (
        "fake news",
        "title, text, subject and date",
        {
            "a.csv": table(
                ("title", SHORT),
                T,
                ("subject", ["News", "politics"] * 12),
                ("date", ["December 31, 2017"] * N),
                ("label", [0, 1] * 12),
            ).encode()
        },
    )
    yield (
        "BBC",
        "category, filename, title and content",
        {
            "a.tsv": table(
                ("category", ["business", "tech"] * 12),
                ("filename", [f"{i:03}.txt" for i in range(N)]),
                ("title", SHORT),
                ("content", TEXTS),
                delimiter="\t",
            ).encode()
        },
    )
    yield (
        "20 newsgroups",
        "text, target and target_names",
        {
            "a.csv": table(
                ("content", TEXTS), ("target", [0, 1] * 12), ("target_names", ["sci.space", "rec.autos"] * 12)
            ).encode()
        },
    )
    yield (
        "consumer complaints",
        "product and narrative",
        {
            "a.csv": table(
                ("Date received", ["01/01/24"] * N),
                ("Product", ["Loan", "Card"] * 12),
                ("Issue", SHORT),
                ("Consumer complaint narrative", TEXTS),
                ("State", ["CA"] * N),
                ("Complaint ID", list(range(N))),
            ).encode()
        },
    )
    yield (
        "resumes",
        "Category and Resume",
        {"a.csv": table(("Category", ["HR", "Java"] * 12), ("Resume", TEXTS)).encode()},
    )
    yield (
        "symptoms",
        "label and text, with a number in front",
        {"a.csv": table(("", list(range(N))), ("label", ["Flu", "Cold"] * 12), T).encode()},
    )
    yield (
        "MedQuAD",
        "qtype, Question and Answer",
        {"a.csv": table(("qtype", ["symptoms", "causes"] * 12), ("Question", TEXTS), ("Answer", SHORT)).encode()},
    )
    yield (
        "ChatDoctor",
        "instruction that is the same in all rows",
        {
            "a.json": json.dumps(
                [
                    {"instruction": "You are a doctor, answer.", "input": t, "output": s}
                    for t, s in zip(TEXTS, SHORT, strict=True)
                ]
            ).encode()
        },
    )
    yield (
        "customer support",
        "flags, instruction, category, intent and response",
        {
            "a.csv": table(
                ("flags", ["B", "BQ"] * 12),
                ("instruction", TEXTS),
                ("category", ["ORDER", "REFUND"] * 12),
                ("intent", ["cancel", "track"] * 12),
                ("response", SHORT),
            ).encode()
        },
    )
    yield (
        "recipes",
        "title, ingredients and directions as lists",
        {
            "a.csv": table(
                ("title", SHORT),
                ("ingredients", ['["flour", "salt"]'] * N),
                ("directions", [json.dumps([t, "bake"]) for t in TEXTS]),
            ).encode()
        },
    )
    yield (
        "quotes",
        "quote, author and tags",
        {"a.jsonl": lines(("quote", TEXTS), ("author", ["A", "B"] * 12), ("tags", [["life", "love"], ["work"]] * 12))},
    )
    yield (
        "lyrics",
        "artist, song and text",
        {"a.csv": table(("artist", ["A", "B"] * 12), ("song", SHORT), ("link", ["/a.html"] * N), T).encode()},
    )
    yield (
        "movie plots",
        "Title, Genre and Plot",
        {
            "a.csv": table(
                ("Release Year", [1901 + i for i in range(N)]),
                ("Title", SHORT),
                ("Genre", ["drama", "comedy"] * 12),
                ("Plot", TEXTS),
            ).encode()
        },
    )
    yield (
        "patents",
        "claims and CPC codes",
        {
            "a.jsonl": lines(
                ("publication_number", [f"US-{i}" for i in range(N)]),
                ("abstract", TEXTS),
                ("claims", SHORT),
                ("cpc", [["A01B", "B62K"]] * N),
            )
        },
    )
    yield (
        "court",
        "facts, articles and judgement",
        {
            "a.jsonl": lines(
                ("facts", each(lambda i: [TEXTS[i], SHORT[i]])),
                ("violated_articles", [["3", "6"], []] * 12),
                ("silver_rationales", [[0]] * N),
            )
        },
    )
    yield (
        "job ads",
        "several texts and fraudulent",
        {
            "a.csv": table(
                ("job_id", list(range(N))),
                ("title", SHORT),
                ("description", TEXTS),
                ("requirements", TEXTS[::-1]),
                ("fraudulent", [0, 1] * 12),
            ).encode()
        },
    )
    yield (
        "Reddit",
        "post, parent and score",
        {
            "a.jsonl": lines(
                ("parent", TEXTS),
                ("body", SHORT),
                ("score", [1, 25] * 12),
                ("subreddit", ["x", "y"] * 12),
                ("created_utc", [1500000000 + i for i in range(N)]),
            )
        },
    )
    yield (
        "WhatsApp",
        "date, sender and message",
        {
            "a.csv": table(
                ("date", ["01/02/23, 10:00"] * N), ("sender", ["Ann", "Bob"] * 12), ("message", TEXTS)
            ).encode()
        },
    )
    yield (
        "FAQ",
        "Question and Answer with a blank class",
        {"a.csv": table(("Question", TEXTS), ("Answer", SHORT), ("Class", [""] * N)).encode()},
    )
    yield (
        "SQL",
        "instruction, schema and query",
        {
            "a.jsonl": lines(
                ("sql_prompt", TEXTS),
                ("sql_context", ["CREATE TABLE a (b INT)"] * N),
                ("sql", [f"SELECT {i} FROM shop WHERE fast" for i in range(N)]),
                ("sql_explanation", SHORT),
            )
        },
    )
    yield (
        "commits",
        "diff and message",
        {
            "a.jsonl": lines(
                ("diff", [f"- a{i}\n+ b{i}" for i in range(N)]),
                ("message", SHORT),
                ("commit", [f"{i:040x}" for i in range(N)]),
            )
        },
    )
    yield (
        "logs",
        "level and message of programs",
        {
            "a.csv": table(
                ("timestamp", ["2024-01-01 00:00:00"] * N), ("level", ["INFO", "ERROR"] * 12), ("message", TEXTS)
            ).encode()
        },
    )
    yield (
        "names",
        "a single word and its class",
        {"a.csv": table(("name", [f"Anna{i}" for i in range(N)]), ("gender", ["f", "m"] * 12)).encode()},
    )


def twice_parquet() -> bytes:
    """A Parquet file with two columns of one name."""
    out = io.BytesIO()
    pq.write_table(pa.table([TEXTS, SHORT, LABELS], names=["text", "text", "label"]), out)
    return out.getvalue()


def named_parquet(names: list[str], labels: list[int]) -> bytes:
    """A Parquet file as `datasets` writes it, with names of classes in its schema."""
    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": names, "_type": "ClassLabel"}}
    made = pa.table({"text": TEXTS, "label": labels})
    out = io.BytesIO()
    pq.write_table(made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})}), out)
    return out.getvalue()


def plain_csv() -> bytes:
    """A table of texts and labels."""
    return table(T, L).encode()


def outcome(files: Files, folder: Path) -> str:
    """What reading gives, in one line."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    target = folder if len(files) > 1 or "/" in next(iter(files)) else folder / next(iter(files))
    try:
        found = read(target)
    except UserError as error:
        said = str(error).replace(str(folder), "").splitlines()
        guess = next((line.partition("--roles ")[2] for line in said if "best guess" in line), "")
        return f"asked: {guess}" if guess else f"refused: {said[0][:150]}"
    row = found.table.slice(0, 1).to_pylist()[0]
    roles = " ".join(f"{k}={v}" for k, v in found.spec.roles().items() if k != "label_names")
    warned = f"; warned: {' | '.join(w[:90] for w in found.warnings)}" if found.warnings else ""
    return (
        f"{found.rows} rows, {roles}, first {[f[:30] for f in row['fields']]} -> {str(row['response'])[:30]!r}{warned}"
    )


def main() -> None:
    """Print every shape whose report or words hold the first argument."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    for number, (report, what, files) in enumerate(
        (
            *shapes(),
            *more(),
            *public(),
            *seventh(),
            *eighth(),
            *ninth(),
            *tenth(),
            *eleventh(),
            *twelfth(),
            *thirteenth(),
            *fourteenth(),
            *fifteenth(),
        ),
        1,
    ):
        if wanted in f"{report} {what}":
            with tempfile.TemporaryDirectory() as folder:
                print(f"{number:3} {report}: {what}\n    {outcome(files, Path(folder))}")


if __name__ == "__main__":
    main()
