"""Planted faults: how many of them `traitcast check` finds, and what it finds besides.

    python benchmarks/findings.py            a table: precision and recall of each check over all datasets
    python benchmarks/findings.py --seed 7   other rows, other places

Eighteen datasets of different kinds and 200 to 800 made-up rows each get faults of every kind at random rows. The rows
that a check marks are compared with those planted: marking any other row counts against its precision, in every
dataset. Some rows hold what looks like a fault but is not one.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traitcast.profiler.findings.checks import CHECKS
from traitcast.profiler.findings.context import Context
from traitcast.profiler.findings.search import find
from traitcast.profiler.leakage import other_splits
from traitcast.profiler.reading.reader import read

Row = dict[str, Any]

# Tokens that rows of a planted length are beyond, and all others below.
CONTEXT = 700
EACH = 3
EMPTY = {"role": "user", "content": "  "}
_NAMES = (
    "river stone cloud market garden winter letter window basket candle mirror pocket ladder bridge forest copper",
    "button carpet dinner engine fabric guitar hammer island jacket kettle lemon marble needle orange pepper quartz",
    "rabbit saddle ticket umbrella valley wagon yard zebra anchor barrel cabin desk eagle farmer glove harbour jewel",
)
_THINGS = [name for line in _NAMES for name in line.split()]
_VERBS = ("found", "moved", "painted", "carried", "lost", "opened", "repaired", "sold", "watched", "cleaned", "bought")
_ENDS = ("in the morning", "before the storm", "after dinner", "near the old mill", "at the station", "that day")
_WHO = ("my neighbour", "a friend of ours", "the teacher", "one of them", "her brother")
_GERMANS = ("Meine Nachbarin", "Ein Freund von uns", "Der alte Lehrer", "Einer von ihnen", "Ihr Bruder")
_WIE = ("seine alte", "ihre neue", "eine andere", "unsere kleine", "jede große", "keine rote", "diese letzte")
_WANN = ("gestern", "am Montag", "nach der Schule", "nach dem Essen", "im letzten Jahr", "ohne uns")
_WO = ("bei uns gesehen", "in der Stadt verloren", "auf dem Markt gekauft", "hinter dem Tisch gefunden")
_DINGE = ("Brücke", "Garten", "Lampe", "Fenster", "Kiste", "Uhr", "Mantel", "Wagen", "Leiter", "Karte", "Tasche")
_SIGNS = {
    "weather": "rain wind storm sunshine hail fog frost thunder drizzle breeze lightning snow sleet heat "
    "flood drought cyclone blizzard gale overcast dew",
    "sport": "goal match referee league tennis cycling medal team coach stadium sprint rugby hockey trophy "
    "boxing rowing ski judo striker keeper marathon",
    "money": "bank loan price invoice salary tax cash budget pension mortgage profit debt wallet fee "
    "dividend coin refund lender auction cheque payroll",
    "food": "soup bread cheese recipe butter salad noodle dessert oven spice fruit sausage pasta rice "
    "kitchen flour onion garlic honey stew pancake",
}
_RUSSIAN = ("старому городу", "новому парку", "берегу моря", "тихой улице")
_GLUED = '{"id": 1, "t": "one"}\n{"id": 2, "t": "two"}\n{"id": 3, "t": "three"}'
_SECRETS = (
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1B2" * 9,
    "https://admin:hunter22@db.example.org/main",
    "-----BEGIN RSA PRIVATE KEY-----",
    "sk-proj-" + "Ab12" * 10,
    "xoxb-123456789012-abcdef",
)
_PRIVATE = ("write to jo.doe@example.org", "call +44 20 7946 0958", "card 4111 1111 1111 1111", "ring (555) 123-4567")
_REFUSALS = (
    "I'm sorry, but I can't help with that request.",
    "As an AI language model, I do not have opinions on this.",
    "I cannot assist with this question at all.",
)


_ODD = (
    "THE LADY AND THE DOG WENT TO THE BEACH AND STAYED THERE ALL DAY LONG.",
    "1920 1921 1922 1923 1924 1925 1926 1927 and 1928 were good",
    "+-----+-----+----------+ | a | b | +-----+-----+----------+",
    "It was nooooooooooooooooooooooooooooooooooooooooo good at all.",
    "She said: " + "I am so sorry. " * 12,
)
# What looks like a fault but is not one.
_HARMLESS = (
    "order 4111 1111 1111 1112",
    "ISBN 978-3-16-148410-0",
    "version 3.11.7.2024",
    "a naïve café, déjà vu",
    "where a < b and c > d",
    "with α and β",
    "by AT&T",
    "on user@host",
    "see https://example.org/a?b=c#d",
    "at 2024-11-30 12:30:45",
    "for 1,234,567 people",
    "and the id 20240117445566",
    "in sk-learn and pk_test",
    "from C:\\new\ttab",
    "to the BBC, NASA, the UN and the EU",
    "at last!!!!!!",
)
_POLITE = (
    "I'm sorry to hear that, but the shop is open again.",
    "I can help with that at once.",
    "An AI is a program, as everybody says.",
    "Sorry, I was late for the bus and missed the start.",
)


def sentence(rng: random.Random, clauses: int = 1) -> str:
    """English of no meaning, with function words, names and a full stop."""

    def clause() -> str:
        a, b, c = rng.sample(_THINGS, 3)
        return f"{rng.choice(_WHO)} {rng.choice(_VERBS)} the {a} and the {b} with a {c} {rng.choice(_ENDS)}"

    text = " while ".join(clause() for _ in range(clauses))
    return text[0].upper() + text[1:] + "."


def satz(rng: random.Random) -> str:
    """A sentence of German."""
    a, b, c, d = (f"{rng.choice(_WIE)} {ding}" for ding in rng.sample(_DINGE, 4))
    return (
        f"{rng.choice(_GERMANS)} hat {rng.choice(_WANN)} nicht nur {a} und {b}, sondern auch {c} {rng.choice(_WO)}, "
        f"und wir haben dann noch {rng.randint(2, 99)} Stunden über {d} geredet."
    )


@dataclass
class Planted:
    """Rows of one split, and the rows in which each check should find its fault, counted from 1."""

    kind: str
    rng: random.Random
    rows: list[Row]
    prompt: str
    response: str | None
    expected: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    free: list[int] = field(default_factory=list)
    splits: dict[str, list[Row]] = field(default_factory=dict)
    against: list[Row] = field(default_factory=list)
    split: str = "train"

    def __post_init__(self) -> None:
        # The first rows are what others are copied from.
        self.free = list(range(30, len(self.rows)))
        self.rng.shuffle(self.free)

    def take(self, *checks: str) -> Row:
        """A row that has no fault yet, expected in these checks."""
        at = self.free.pop()
        for check in checks:
            self.expected[check].add(at + 1)
        return self.rows[at]

    def change(self, check: str, field: str, edit: Callable[[str, int], str], times: int = EACH) -> None:
        """Plant a fault of one text in some rows."""
        for number in range(times):
            row = self.take(check)
            row[field] = edit(row[field], number)


def plant_texts(to: Planted) -> None:
    """Faults of one text."""
    fields = [to.prompt, *([to.response] if to.response else [])]
    for name in fields:
        to.change("wrong_encoding", name, lambda text, n: f"{text} {('cafÃ© noir', 'donâ€™t go', 'Ã¼ber')[n]}")
        to.change("lost_character", name, lambda text, n: text[:9] + "\ufffd" + text[10:])
        to.change("secret", name, lambda text, n: f"{text} {to.rng.choice(_SECRETS)}", 4)
        to.change("personal_data", name, lambda text, n: f"{text} Please {_PRIVATE[n]}", 4)
        to.change("markup", name, lambda text, n: f"<p>{text}</p>" if n else f"{text} A &amp; B")
        to.change("odd_rows", name, lambda text, n: _ODD[n], len(_ODD))
    to.change(
        "other_script",
        to.prompt,
        lambda text, n: f"{n} раз мы долго гуляли по {_RUSSIAN[n]} и пили горячий чай на кухне",
        2,
    )
    to.change("other_language", to.prompt, lambda text, n: satz(to.rng), 2)
    for _ in range(2):
        to.take("length_outlier", "over_context")[to.prompt] = " ".join(sentence(to.rng) for _ in range(120))
    plant_harmless(to)


def plant_harmless(to: Planted) -> None:
    """What looks like a fault but is not one, expected in no check."""
    for text in _HARMLESS:
        to.take()[to.prompt] += f" It came {text}"
    if to.response:
        for text in _POLITE:
            to.take()[to.response] = text


def plant_answers(to: Planted) -> None:
    """Faults of free responses."""
    assert to.response
    to.change("refusal", to.response, lambda text, n: _REFUSALS[n])
    to.change("empty_response", to.response, lambda text, n: " " * n)
    to.change("glued_rows", to.response, lambda text, n: f'{_GLUED}\n{{"id": {n}}}')
    longest = max(len(row[to.response]) for row in to.rows) + 40
    for _ in range(12):
        row = to.take("cut_response")
        row[to.response] = (
            (row[to.response] + " " + sentence(to.rng, 9)).replace(".", ",")[:longest].ljust(longest, "x")
        )


def plant_copies(to: Planted, label: str | None = None) -> None:
    """Rows that say the same as others."""
    for number in range(EACH):
        to.take("exact_duplicate").update(json.loads(json.dumps(to.rows[number])))
    for number in range(EACH):
        row = to.take("near_duplicate")
        row.update(json.loads(json.dumps(to.rows[3 + number])))
        row[to.prompt] = ("Well, " if number else "") + row[to.prompt].title() + "!"
    if label:
        for number in range(EACH):
            row = to.take("conflicting_labels")
            row.update(json.loads(json.dumps(to.rows[6 + number])))
            row[label] = next(other["label"] for other in to.rows if other["label"] != row["label"])
            to.expected["conflicting_labels"].add(7 + number)


def plant_leaks(to: Planted, spare: list[Row]) -> None:
    """A test split and a benchmark that share rows with this one. spare: rows that do not."""
    copies = [json.loads(json.dumps(row)) for row in to.rows[10:22]]
    for row in copies[3:6] + copies[9:12]:
        row[to.prompt] = row[to.prompt].replace(".", "") + " indeed."
    to.splits["test"] = [*spare[:30], *copies[:6]]
    to.against = [*spare[30:60], *copies[6:]]
    checks = ("split_leak", "near_split_leak", "contamination", "near_contamination")
    for at, check in enumerate(checks):
        to.expected[check] |= {11 + 3 * at + k for k in range(3)}


def classified(rng: random.Random, topics: int, rows: int, signs: int = 3) -> list[Row]:
    """Texts whose words give their topic away."""
    names = list(_SIGNS)[:topics]
    made = []
    for _ in range(rows):
        topic = rng.choice(names)
        # Of so many that none is in a fifth of the rows of its topic.
        words = " and the ".join(word + rng.choice(("", "s")) for word in rng.sample(_SIGNS[topic].split(), signs))
        made.append({"text": f"{sentence(rng)} It was about the {words}.", "label": topic})
    return made


def topics(rng: random.Random) -> Planted:
    """A classification of four topics."""
    made = Planted("topics", rng, classified(rng, 4, 600), "text", None)
    plant_texts(made)
    plant_copies(made, "label")
    plant_leaks(made, classified(rng, 4, 60))
    made.change("empty_prompt", "text", lambda text, n: " " * n)
    made.change("glued_rows", "text", lambda text, n: ",sport\n".join(sentence(rng) for _ in range(3)) + ",money")
    for row in (made.take("rare_class") for _ in range(EACH)):
        row["label"] = "travel"
    # Those that contradict an earlier row have the wrong label.
    made.expected["label_noise"] = {at for at in made.expected["conflicting_labels"] if at > 30}
    return made


def noisy(rng: random.Random) -> Planted:
    """A classification of two topics with wrong labels."""
    made = Planted("noisy labels", rng, classified(rng, 2, 800, 5), "text", None)
    other = {"weather": "sport", "sport": "weather"}
    for row in (made.take("label_noise") for _ in range(8)):
        row["label"] = other[row["label"]]
    return made


def pairs(rng: random.Random) -> Planted:
    """Premise, hypothesis and label."""
    labels = ("entailment", "neutral", "contradiction")
    rows = [{"premise": sentence(rng, 2), "hypothesis": sentence(rng), "label": rng.choice(labels)} for _ in range(300)]
    made = Planted("sentence pairs", rng, rows, "premise", None)
    plant_texts(made)
    plant_copies(made, "label")
    return made


def shortcuts(rng: random.Random) -> Planted:
    """Premise, hypothesis and label, of which two are given away by the hypothesis alone."""
    labels = ("entailment", "neutral", "contradiction")
    rows = [{"premise": sentence(rng), "hypothesis": sentence(rng), "label": rng.choice(labels)} for _ in range(400)]
    made = Planted("shortcuts", rng, rows, "premise", None)
    for number, row in enumerate(rows, 1):
        if row["label"] == "contradiction" and rng.random() < 0.4:
            row["hypothesis"] = "Nobody says that " + row["hypothesis"]
            made.expected["shortcut_labels"].add(number)
        elif row["label"] == "neutral" and rng.random() < 0.5:
            row["hypothesis"] += " "
            made.expected["shortcut_labels"].add(number)
        elif rng.random() < 0.2:
            # As frequent with every label.
            row["hypothesis"] = "Perhaps it may be " + row["hypothesis"]
    return made


def keywords(rng: random.Random) -> Planted:
    """A classification of which one class is given away by a word that has nothing to do with it."""
    made = Planted("keywords", rng, classified(rng, 4, 800), "text", None)
    for number, row in enumerate(made.rows, 1):
        if row["label"] == "sport" and rng.random() < 0.4:
            row["text"] += " Reuters."
            made.expected["label_keywords"].add(number)
        elif row["label"] == "money" and rng.random() < 0.3:
            row["text"] += " Money."
    return made


def lengths(rng: random.Random) -> Planted:
    """Multiple choice with a right option that often is the longest."""
    rows = []
    for _ in range(300):
        options = rng.sample(_THINGS, 4)
        answer = rng.randrange(4)
        if rng.random() < 0.6:
            options[answer] += " of our neighbour"
        rows.append({"question": sentence(rng)[:-1] + "?", "options": options, "answer": answer})
    made = Planted("long options", rng, rows, "question", None)
    for number, row in enumerate(rows, 1):
        sizes = [len(option) for option in row["options"]]
        if sizes[row["answer"]] == max(sizes) and sizes.count(max(sizes)) == 1:
            made.expected["shortcut_labels"].add(number)
    return made


def choices(rng: random.Random) -> Planted:
    """Multiple choice."""
    rows = [
        {"question": sentence(rng)[:-1] + "?", "options": rng.sample(_THINGS, 4), "answer": rng.randrange(4)}
        for _ in range(300)
    ]
    made = Planted("multiple choice", rng, rows, "question", None)
    plant_texts(made)
    plant_copies(made)
    return made


def answers(rng: random.Random) -> Planted:
    """Prompts and free responses."""
    rows = [{"prompt": sentence(rng), "response": sentence(rng, rng.randint(1, 3))} for _ in range(400)]
    made = Planted("free answers", rng, rows, "prompt", "response")
    plant_texts(made)
    plant_answers(made)
    plant_copies(made)
    spare = [{"prompt": sentence(rng), "response": sentence(rng)} for _ in range(60)]
    plant_leaks(made, spare)
    return made


def openings(rng: random.Random) -> Planted:
    """Instructions whose responses often begin alike."""
    rows = [
        {"instruction": sentence(rng), "input": sentence(rng), "output": sentence(rng, rng.randint(1, 3))}
        for _ in range(300)
    ]
    made = Planted("instructions", rng, rows, "instruction", "output")
    plant_copies(made)
    made.change("shared_opening", "output", lambda text, n: f"Sure, here is your answer: {text}", 50)
    made.change("shared_opening", "output", lambda text, n: f"That is a great question! {text}", 40)
    made.change("shared_closing", "output", lambda text, n: f"{text} Is there anything else I can do?", 40)
    # Too few to be a habit.
    for _ in range(9):
        made.take()["output"] += " I hope that this was of help."
    return made


def passages(rng: random.Random) -> Planted:
    """Questions about long passages, which many rows share."""
    texts = [" ".join(sentence(rng) for _ in range(12)) for _ in range(20)]
    rows = [
        {"context": texts[n % 20], "question": sentence(rng)[:-1] + "?", "answer": sentence(rng)} for n in range(300)
    ]
    made = Planted("passages", rng, rows, "question", "answer")
    plant_copies(made)
    made.change("refusal", "answer", lambda text, n: _REFUSALS[n])
    return made


def turns(rng: random.Random, *speakers: str) -> list[Row]:
    """A conversation."""
    return [{"role": speaker, "content": sentence(rng)} for speaker in speakers]


def chats(rng: random.Random) -> Planted:
    """Conversations."""
    long = ("system", "user", "assistant", "user", "assistant")
    rows: list[Row] = [{"messages": turns(rng, *(long if n % 2 else long[1:3]))} for n in range(300)]
    made = Planted("conversations", rng, rows, "messages", None)
    for speakers in (("user", "user", "assistant"), ("assistant", "user", "assistant"), ("user", "assistant") * 2):
        made.take("turn_order")["messages"] = turns(rng, *speakers, *(("assistant",) if len(speakers) == 4 else ()))
    for _ in range(EACH):
        made.take("late_system")["messages"] = turns(rng, "user", "assistant", "system", "user", "assistant")
        made.take("empty_turn")["messages"] = [*turns(rng, "system"), EMPTY, *turns(rng, "assistant")]
        made.take("refusal")["messages"][-1]["content"] = rng.choice(_REFUSALS)
    for number in range(EACH):
        made.take("exact_duplicate")["messages"] = json.loads(json.dumps(rows[number]["messages"]))
        copied = json.loads(json.dumps(rows[5 + number]["messages"]))
        copied[-1]["content"] = copied[-1]["content"].title()
        made.take("near_duplicate")["messages"] = copied
    return made


def tools(rng: random.Random) -> Planted:
    """Conversations with calls of tools."""

    def call() -> Row:
        function = {"name": "find", "arguments": json.dumps({"thing": rng.choice(_THINGS), "n": rng.randrange(99)})}
        return {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": function}]}

    rows = [{"messages": [*turns(rng, "user"), call(), *turns(rng, "tool", "assistant")]} for _ in range(300)]
    made = Planted("tool calls", rng, rows, "messages", None)
    for _ in range(EACH):
        made.take("unanswered_call")["messages"].pop(2)
    return made


def german(rng: random.Random) -> Planted:
    """Texts in German, with some in English."""
    rows = [{"text": satz(rng), "label": ("gut", "schlecht")[n % 2]} for n in range(300)]
    made = Planted("German", rng, rows, "text", None)
    made.change("other_language", "text", lambda text, n: f"{sentence(rng, 2)} But it is not what they had in mind.")
    made.change("personal_data", "text", lambda text, n: f"{text} {_PRIVATE[n]}")
    plant_copies(made, "label")
    return made


def preferences(rng: random.Random) -> Planted:
    """Pairs of responses."""
    rows = [
        {
            "prompt": sentence(rng),
            "chosen": sentence(rng, rng.randint(1, 3)),
            "rejected": sentence(rng, rng.randint(1, 3)),
        }
        for _ in range(300)
    ]
    made = Planted("pairs of responses", rng, rows, "prompt", "chosen")
    plant_texts(made)
    plant_copies(made)
    for number in range(EACH):
        row = made.take("equal_pair")
        row["rejected"] = row["chosen"]
        made.expected["turned_pair"].add(11 + number)
        turned = rows[10 + number]
        made.take("turned_pair").update(prompt=turned["prompt"], chosen=turned["rejected"], rejected=turned["chosen"])
        made.take("personal_data")["rejected"] += f" Please {_PRIVATE[number]}"
        # One that repeats a prompt with another pair is no copy.
        made.take()["prompt"] = rows[20 + number]["prompt"]
    return made


def longer(rng: random.Random) -> Planted:
    """Pairs of responses of which the longer one is preferred."""
    rows = []
    made = Planted("longer preferred", rng, rows, "prompt", "chosen")
    for number in range(200):
        short, long = sorted((sentence(rng, rng.randint(1, 3)) for _ in range(2)), key=len)
        wanted = number % 20 > 0 and len(short) < len(long)
        rows.append(
            {"prompt": sentence(rng), "chosen": long if wanted else short, "rejected": short if wanted else long}
        )
        if wanted:
            made.expected["longer_chosen"].add(number + 1)
    return made


def gaps(rng: random.Random) -> Planted:
    """A test split with rows that cannot be read."""
    made = Planted("gaps", rng, classified(rng, 4, 300), "text", None, split="test")
    made.splits["train"] = classified(rng, 4, 300)
    made.change("no_label", "label", lambda label, n: " " * n)
    made.change("unknown_label", "label", lambda label, n: f"{label}{n}")
    for _ in range(EACH):
        made.take("empty_row").update(text=" ", label=None)
    return made


def ties(rng: random.Random) -> Planted:
    """Two responses and which is better, which now and then is neither."""
    rows = [
        {"prompt": sentence(rng), "response_a": sentence(rng), "response_b": sentence(rng), "winner": rng.choice("ab")}
        for _ in range(200)
    ]
    made = Planted("ties", rng, rows, "prompt", None)
    made.change("tied_pair", "winner", lambda winner, n: "tie")
    return made


def one_class(rng: random.Random) -> Planted:
    """A classification of which the rows of one class were written."""
    made = Planted("one class", rng, classified(rng, 1, 200), "text", None)
    made.expected["one_class"] = set(range(1, 201))
    return made


KINDS = (
    *(topics, noisy, pairs, choices, answers, openings, passages, chats, tools, german, preferences, longer),
    *(shortcuts, keywords, lengths, gaps, ties, one_class),
)


def found_in(planted: Planted, folder: Path) -> dict[str, set[int]]:
    """The rows that each check marks."""
    folder.mkdir(parents=True)
    for split, rows in {planted.split: planted.rows, **planted.splits}.items():
        _write(folder / f"{split}.jsonl", rows)
    against = {}
    if planted.against:
        _write(folder.parent / f"{folder.name}_benchmark.jsonl", planted.against)
        against = {"benchmark": read(folder.parent / f"{folder.name}_benchmark.jsonl")}
    examples = read(folder, split=planted.split)
    marked: dict[str, set[int]] = defaultdict(set)
    context = Context(CONTEXT)
    for finding in find(examples, others=other_splits(examples), against=against, context=context):
        marked[finding.check] |= set(finding.rows.tolist())
    return marked


def _write(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@dataclass
class Score:
    """planted, found and right: rows. datasets: with such a fault. wrong: what was missed or marked, by dataset."""

    planted: int = 0
    found: int = 0
    right: int = 0
    datasets: int = 0
    wrong: list[str] = field(default_factory=list)


def measure(seed: int = 0) -> dict[str, Score]:
    """The rows of each check over all datasets, by check."""
    scores = {check.name: Score() for check in CHECKS}
    with tempfile.TemporaryDirectory() as folder:
        for number, kind in enumerate(KINDS):
            planted = kind(random.Random(1000 * seed + number))
            marked = found_in(planted, Path(folder) / kind.__name__)
            for name, score in scores.items():
                expected, found = planted.expected.get(name, set()), marked.get(name, set())
                score.planted += len(expected)
                score.found += len(found)
                score.right += len(expected & found)
                score.datasets += bool(expected)
                if expected != found:
                    missed, more = sorted(expected - found), sorted(found - expected)
                    score.wrong.append(f"{planted.kind}: missed {missed}, marked besides {more}")
    return scores


def table(scores: dict[str, Score]) -> Iterator[tuple[str, ...]]:
    """Rows of the table: check, datasets, planted, found, precision, recall."""
    for name, score in scores.items():
        precision = f"{score.right / score.found:.2f}" if score.found else ""
        recall = f"{score.right / score.planted:.2f}" if score.planted else ""
        yield (f"`{name}`", *(f"{n}" for n in (score.datasets, score.planted, score.found)), precision, recall)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    scores = measure(parser.parse_args().seed)
    for row in (("check", "datasets", "planted", "found", "precision", "recall"), *table(scores)):
        print("".join(f"{cell:<{width}}" for cell, width in zip(row, (24, 10, 9, 7, 11, 6), strict=True)).rstrip())
    for name, score in scores.items():
        for wrong in score.wrong:
            print(f"{name}: {wrong}")


if __name__ == "__main__":
    main()
