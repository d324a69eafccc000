"""The commands `check`, faults of a dataset and an exit code, and `filter`, a copy without them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse.console import (
    command,
    count,
    default_warehouse,
    emit_json,
    format_option,
    printable,
    quoted,
    report_errors,
    say,
    tell,
    warehouse_option,
)
from traitcast.warehouse.errors import InputError
from traitcast.warehouse.reading_options import unnamed_reading_options

if TYPE_CHECKING:
    from traitcast.profiler.findings.checks import Finding
    from traitcast.profiler.findings.context import Context
    from traitcast.profiler.findings.gate import Result
    from traitcast.profiler.reading.reader import Examples
    from traitcast.profiler.reading.source import Part
    from traitcast.profiler.request import Request

_TEXT = 300


def _context_options(run: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        (
            click.option(
                "--context",
                type=click.IntRange(1),
                metavar="TOKENS",
                help="Tokens that the model takes: longer rows are a finding.",
            ),
            click.option(
                "--tokenizer",
                metavar="MODEL",
                help="What counts them: a folder with a tokenizer.json, or the hub id of a model  [default: an "
                "estimate, a token for 4 bytes]",
            ),
        )
    ):
        run = option(run)
    return run


@click.command()
@click.argument("dataset", nargs=-1, required=True)
@unnamed_reading_options
@click.option(
    "--against",
    multiple=True,
    metavar="DATASET",
    help="Another dataset, such as a benchmark: prompts that it shares with this one are a finding.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info", "never"]),
    help="Findings at least this severe fail the check  [default: error]",
)
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="RULE",
    help="What must hold of a trait, or of the share or count of a finding: 'label_majority_share < 0.9', "
    "'exact_duplicate.count == 0'.",
)
@click.option("--ignore", multiple=True, metavar="CHECK,...", help="Checks that are left out.")
@_context_options
@warehouse_option
@click.option(
    "--rows", "listed", metavar="CHECK", help="Print all rows of this check, with file and line, and nothing else."
)
@click.option("--with-texts", is_flag=True, help="Show the beginnings of the rows found.")
@format_option("table", "json", "github", "junit")
@report_errors
def check(
    dataset: tuple[str, ...],
    against: tuple[str, ...],
    fail_on: str | None,
    rules: tuple[str, ...],
    ignore: tuple[str, ...],
    context: int | None,
    tokenizer: str | None,
    warehouse_path: str,
    listed: str | None,
    with_texts: bool,
    output_format: str,
    **reading: Any,
) -> None:
    """Look for faults in a dataset; exit with 1 if there are errors.

    DATASET is a file, a folder or a hub id, or the name under which one was profiled and has not changed since.

    Duplicates, leaks between splits, labels that contradict each other, damaged or empty texts, personal data,
    secrets and more. Warnings are listed, and fail the check with --fail-on warning; those that are of no single row
    (columns that were not read, classes that differ in case) are called `reading`. Rows are numbered from 1 as they
    were read, those that are left out too. Settings can be kept in a traitcast.toml beside the data or in the working
    folder:

    \b
      [check]
      fail_on = "warning"
      rules = ["label_majority_share < 0.9"]
      ignore = ["markup"]
      context = 2048

    \b
    Examples:
      traitcast check reviews.jsonl
      traitcast check train.jsonl --against gsm8k/test.jsonl
      traitcast check data/ --fail-on warning --rule "exact_duplicate < 0.01"
      traitcast check data/ --rows exact_duplicate
      traitcast check data/ --rows odd_rows --with-texts
      traitcast check chats.jsonl --context 2048
      traitcast check data/ --format github
    """
    from traitcast.profiler.findings import gate as gates
    from traitcast.profiler.findings.checks import NEEDS, check_asked
    from traitcast.profiler.findings.clean import names_of
    from traitcast.profiler.service import place_of, read_as_profiled

    others = {other: read_as_profiled(other, warehouse_path, split="all")[1] for other in against}
    results: list[Result] = []
    found: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    not_made: set[str] = set()
    for one in dataset:
        config = gates.config_for(place_of(one, warehouse_path))
        left = [name.strip() for names in ignore for name in names.split(",")]
        gate = gates.gate_of(fail_on, rules, left, config, context=context, tokenizer=tokenizer)
        given = [*(["--against"] if against else []), *(["--context"] if gate.context else [])]
        asked = {rule.name for rule in gate.rules} | set(names_of(listed) if listed else ())
        check_asked(asked, given)
        left_out = [name for name, need in NEEDS.items() if need.split()[0] not in given]
        request, examples = read_as_profiled(one, warehouse_path, **reading)
        same = _words(one, request, reading, warehouse_path)
        extra = partial(_more_words, against=against, context=gate.context)
        findings = gate.kept(_find(examples, others, gate.context))
        if listed:
            rows += _rows(request, examples, findings, names_of(listed), with_texts)
            continue
        traits = _traits(examples) if any(not rule.is_about_a_check for rule in gate.rules) else {}
        broken = [why for rule in gate.rules if (why := rule.broken(traits, findings))]
        doubts, failing = gate.kept_doubts(examples.doubts), gate.failing(findings)
        result = gates.Result(one, failing, gate.failing_doubts(doubts), broken, gate)
        results.append(result)
        not_made.update(left_out)
        found.append(
            {
                "name": examples.name,
                "split": examples.split,
                "rows": examples.table.num_rows,
                "passed": result.passed,
                "findings": [finding.as_dict(same) for finding in findings],
                "warnings": doubts,
                "broken_rules": broken,
            }
        )
        if output_format == "table":
            _print(same, extra, examples, findings, doubts, result, with_texts)
        elif output_format == "github" and (findings or doubts or broken):
            places = _places(request, examples, {int(finding.rows[0]) for finding in findings})
            click.echo(printable(gates.github(examples.name, findings, doubts, broken, failing, same, places)))
    if listed:
        _print_rows(rows, output_format)
        if not rows:
            say(f"no row has {' or '.join(names_of(listed))}")
    elif output_format == "json":
        emit_json(found)
    elif output_format == "junit":
        click.echo(printable(gates.junit(results, not_made)))
    if not all(result.passed for result in results):
        raise SystemExit(1)


@click.command("filter")
@click.argument("dataset")
@unnamed_reading_options
@click.option(
    "--drop",
    required=True,
    metavar="CHECK,...",
    help="Checks whose rows are left out, such as exact_duplicate,split_leak.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder for the copy.")
@_context_options
@warehouse_option
@format_option()
@report_errors
def filter_(
    dataset: str,
    drop: str,
    out: Path,
    context: int | None,
    tokenizer: str | None,
    warehouse_path: str,
    output_format: str,
    **reading: Any,
) -> None:
    """Copy a dataset without the rows of some findings.

    The copy is a folder with a JSON Lines file per split; only the split that was looked at loses rows. dropped.yaml
    in it says which rows were left out and why. The dataset itself is not changed.

    \b
    Examples:
      traitcast filter reviews.jsonl --drop exact_duplicate --out reviews_clean
      traitcast filter data/ --drop split_leak,conflicting_labels --out clean/
    """
    from traitcast.profiler.findings import clean
    from traitcast.profiler.findings.checks import check_asked
    from traitcast.profiler.findings.context import context_of
    from traitcast.profiler.reading.locate import locate
    from traitcast.profiler.service import read_as_profiled

    names = clean.names_of(drop)
    for name in names:
        if name.endswith("contamination"):
            raise InputError(
                f"{name} is found against another dataset, which filter does not read. List its rows with "
                f"`traitcast check DATASET --against OTHER --rows {name}`"
            )
    tokens = context_of(context, tokenizer)
    check_asked(names, ["--context"] if tokens else [])
    if out.exists():
        raise InputError(f"{out} exists, and nothing is written over. Choose another folder with --out")
    request, examples = read_as_profiled(dataset, warehouse_path, **reading)
    findings = _find(examples, {}, tokens, noise="label_noise" in names)
    manifest = clean.write(locate(request), examples, findings, names, out)
    summary = {key: value for key, value in manifest.items() if key != "dropped"}
    if output_format == "json":
        emit_json([{**summary, "out": str(out)}])
        return
    kept, gone = count(manifest["rows_kept"], "row"), count(manifest["rows_dropped"], "row")
    tell(f"{out}: {kept} kept, {gone} left out of split {examples.split!r}")
    for name, number in manifest["dropped_by_check"].items():
        click.echo(f"  {number:>7,}  {name}")
    if not manifest["rows_dropped"]:
        say(f"no row has {' or '.join(names)}: {out} holds the same rows as {dataset}")
    say(f"next: {command('profile', out)}")


def _words(dataset: str, request: Request, reading: Mapping[str, Any], warehouse_path: str) -> str:
    """The words by which another command reads the same rows."""
    from traitcast.profiler.service import option_words

    stated = {name: reading[name] for name in ("roles", "spec", "split", "delimiter", "quote", "language")}
    options = [*option_words({name: value for name, value in stated.items() if value is not None})]
    if str(request.dataset) != dataset and warehouse_path != default_warehouse():
        options += ["--warehouse", warehouse_path]
    return " ".join(map(quoted, [dataset, *options]))


def _more_words(check: str, against: Sequence[str], context: Context | None) -> str:
    """The options without which a check is not made."""
    from traitcast.profiler.findings.checks import NEEDS

    need = NEEDS.get(check, "").partition(" ")[0]
    options = [word for other in against for word in ("--against", other)] if need == "--against" else []
    if context is not None and need == "--context":
        options += ["--context", str(context.limit), *(["--tokenizer", context.asked] if context.asked else [])]
    return "".join(f" {quoted(word)}" for word in options)


def _find(
    examples: Examples, against: Mapping[str, Examples], context: Context | None, noise: bool = True
) -> list[Finding]:
    from traitcast.profiler.findings.search import find
    from traitcast.profiler.leakage import other_splits
    from traitcast.profiler.roles.values import cut

    others = other_splits(examples)
    for split, reason in others.reasons.items():
        say(f"  whether rows of split {split!r} are in this one is not known: {cut(reason, 200)}")
    return find(examples, others=others, against=against, context=context, noise=noise)


def _traits(examples: Examples) -> dict[str, float | None]:
    from traitcast.profiler.profile import profile

    return {trait.trait: trait.value for trait in profile(examples).traits}


def _rows(
    request: Request, examples: Examples, findings: Sequence[Finding], names: Sequence[str], texts: bool
) -> list[dict[str, Any]]:
    """The rows of some checks: number, file, place in it, and the text if that is asked for."""
    wanted = {row for finding in findings if finding.check in names for row in finding.rows.tolist()}
    found = []
    for number, (part, place, row, kept) in _located(request, examples, wanted).items():
        one = {"row": number, "file": part.name, "line" if part.unit == "line" else "row_of_file": place}
        if texts:
            shown = _shown(examples, kept) if kept else _cut(json.dumps(row, ensure_ascii=False, default=str))
            one["text"] = shown
        found.append(one)
    return found


def _print_rows(rows: Sequence[dict[str, Any]], output_format: str) -> None:
    if output_format == "json":
        emit_json(rows)
        return
    for row in rows:
        place = f"{row['file']}:{row['line']}" if "line" in row else f"{row['file']} row {row['row_of_file']}"
        click.echo(printable("  ".join([str(row["row"]), place, *([row["text"]] if "text" in row else [])])))


def _places(request: Request, examples: Examples, rows: set[int]) -> dict[int, str]:
    """Where some rows are, as annotations name it: the file, and the line where a line is a row."""
    from traitcast.profiler.findings.gate import place

    found = _located(request, examples, rows).items()
    return {row: place(part.name, number if part.unit == "line" else None) for row, (part, number, *_) in found}


def _located(request: Request, examples: Examples, rows: set[int]) -> dict[int, tuple[Part, int, dict[str, Any], int]]:
    """The file of some rows, their number in it, the rows, and their number among those kept or 0, in their order."""
    from traitcast.profiler.findings.clean import located
    from traitcast.profiler.reading.locate import locate

    found: dict[int, tuple[Part, int, dict[str, Any], int]] = {}
    parts = locate(request).parts(examples.split) if rows else ()
    for part, number, row, read, kept in located(parts, examples.spec, examples.trained):
        if read in rows:
            found[read] = part, number, row, kept
            if len(found) == len(rows):
                break
    return found


def _print(
    dataset: str,
    extra: Callable[[str], str],
    examples: Examples,
    findings: Sequence[Finding],
    doubts: Sequence[str],
    result: Result,
    texts: bool,
) -> None:
    from traitcast.profiler.findings.checks import EXAMPLES, ONE_CLASS, READING, UNREAD
    from traitcast.profiler.findings.numbering import as_kept
    from traitcast.profiler.roles.values import listed

    rows = count(examples.table.num_rows, "row")
    said = f", {count(len(doubts), 'warning')} of reading" if doubts else ""
    tell(f"{examples.name}: {rows} of split {examples.split!r}, {count(len(findings), 'finding')}{said}")
    if examples.others:
        tell(f"Not checked: {listed(sorted(examples.others), 5)}; add --split NAME for each of these splits.")
    for finding in findings:
        where = f" in the {finding.part}" if finding.part in ("prompt", "response") else ""
        _paragraph(f"{finding.severity.upper():<8}", f"{finding.check}{where}: {finding.sentence}")
        _paragraph(" " * 8, finding.places)
        if finding.count > EXAMPLES and finding.check != ONE_CLASS:
            _paragraph(" " * 8, f"All: traitcast check {dataset}{extra(finding.check)} --rows {finding.check}")
        _paragraph(" " * 8, finding.cure(dataset))
        if texts and finding.check not in UNREAD:
            for row in finding.rows[:3].tolist():
                _paragraph(" " * 8, f"row {row}: {_shown(examples, as_kept(row, examples.dropped))}")
    for doubt in doubts:
        _paragraph("WARNING ", f"{READING}: {doubt}")
    for why in result.broken:
        _paragraph("RULE    ", why)
    if result.passed:
        click.echo(_passed(findings, doubts))
    else:
        read = f", {count(len(result.doubts), 'warning')} of reading" if result.doubts else ""
        tell(f"failed: {count(len(result.failing), 'finding')}{read} and {count(len(result.broken), 'broken rule')}")


def _passed(findings: Sequence[Finding], doubts: Sequence[str]) -> str:
    """The last line of a check that passed, with what it let through."""
    from traitcast.profiler.findings.checks import ERROR, SEVERITIES, WARNING

    if not findings and not doubts:
        return "passed"
    found = Counter([*(finding.severity for finding in findings), *(WARNING for _ in doubts)])
    counts = ", ".join(count(found[level], level) for level in SEVERITIES if found[level] or level == ERROR)
    worst = next(level for level in SEVERITIES if found[level])
    return f"passed: {counts} (to fail on them: --fail-on {worst})"


def _paragraph(first: str, text: str) -> None:
    # A rule may hold line ends; a path may hold two blanks, which are kept.
    tell(first + " ".join(filter(None, map(str.strip, text.splitlines()))), hanging=8 if first.strip() else 0)


def _shown(examples: Examples, kept: int) -> str:
    found = examples.table.slice(kept - 1, 1).to_pylist()[0]
    words = " | ".join([*found["fields"], *(found["options"] or [])])
    chosen = found["label"] is not None and found["options"] is None
    answer = found["label"] if chosen else found["response"]
    return _cut(f"{words} => {answer}")


def _cut(text: str) -> str:
    shown = " ".join(text.split())
    return shown if len(shown) <= _TEXT else shown[: _TEXT - 3] + "..."


COMMANDS = (check, filter_)
