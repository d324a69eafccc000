"""Snippets that make axolotl, LLaMA-Factory or TRL train on a dataset, for `rank --as`.

Owns what each of them can be told about columns, and says why a dataset needs more than that. Reads profiles, never
rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from traitcast.warehouse.console import printable, say, warn
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    from traitcast.predictor.commands.options import FrontDoor
    from traitcast.warehouse.records import Profile

# What all three read by the name of a file, and what `datasets` calls it.
_KINDS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet", ".arrow": "arrow"}
# A smaller question may come with its text; a third field has no column in these formats.
_MOST_FIELDS = 2
_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True, slots=True)
class Columns:
    """A dataset as a trainer sees it.

    path: a file, or a hub id (kind None). config, split: of a hub dataset. prompt: one or two columns. response: the
    column to learn. messages: the column of a conversation, instead of both. label_names: the class of each value of
    `response`, by what `str` makes of the value. csv: how a CSV file is written, as options of `pandas.read_csv`.
    """

    name: str
    path: str
    kind: str | None
    config: str | None
    split: str
    prompt: tuple[str, ...] = ()
    response: str = ""
    messages: str = ""
    label_names: Mapping[str, str] = field(default_factory=dict)
    csv: Mapping[str, Any] = field(default_factory=dict)


def columns_of(profile: Profile, place: str | None, door: FrontDoor | None = None) -> Columns | str:
    """The columns of a profiled dataset, or why they are not enough to train on it.

    place: where its rows are, as `Warehouse.places` says; None takes a file named after the split in a folder named
    after the dataset. door: says how a CSV file is written; without it, with commas.
    """
    details = profile.details
    roles: Mapping[str, Any] = details.get("roles") or {}
    split = details.get("split") or "train"
    found = _file(place, profile.name, split)
    if isinstance(found, str):
        return found
    path, kind = found
    dialect: Mapping[str, Any] = {}
    if kind == "csv" and place is not None and door is not None:
        try:
            dialect = door.csv_options(path, details.get("delimiter"), details.get("quote"))
        except UserError as error:
            return str(error).rstrip(".")
    where = (profile.name, path, kind, details.get("config"), split)
    if roles.get("task_type") == "preference":
        return "it holds preferences, which these formats of plain tuning do not know"
    if roles.get("messages_field") and roles.get("answer_field"):
        return "its answers are in a column beside the conversations"
    if messages := roles.get("messages_field"):
        return Columns(*where, messages=messages)
    prompt, response = tuple(roles.get("text_fields") or ()), roles.get("label_field") or roles.get("answer_field")
    if roles.get("options_field") or roles.get("options_fields"):
        return "its options have to be written into the prompt first"
    if not response or not 0 < len(prompt) <= _MOST_FIELDS:
        return f"its prompt or answer is not in one column ({', '.join(roles) or 'no roles are stored'})"
    if any("." in column or "[" in column for column in (*prompt, response)):
        return "its columns are nested"
    names = _names(roles.get("label_names") or ()) if roles.get("label_field") else {}
    return Columns(*where, prompt=prompt, response=response, label_names=names, csv=dialect)


def _names(stated: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """The class of each value of a column, by what `str` makes of the value.

    As the profile reads them: by its code where the spec has codes; else a name is itself, and another number is a
    position. pandas reads a column of true and false as booleans.
    """
    if isinstance(stated, Mapping):
        found = {str(code): str(name) for code, name in stated.items()}
    else:
        found = {str(at): name for at, name in enumerate(stated)}
        found |= {str(bool(at)): name for at, name in enumerate(stated[:2])}
        found |= {name: name for name in stated}
    return found | {raw.capitalize(): name for raw, name in found.items() if raw.lower() in ("true", "false")}


def _file(place: str | None, name: str, split: str) -> tuple[str, str | None] | str:
    """(file, kind) or (hub id, None) of the rows of a split, or why there is none."""
    path = Path(place or f"{name}/{split}.jsonl")
    if place is not None and not path.exists():
        return place, None
    if path.is_dir():
        named = sorted(file for file in path.iterdir() if file.name.partition(".")[0] == split)
        if len(named) != 1:
            return f"{place} has {len(named)} files of the split {split!r}, not one"
        (path,) = named
    if path.suffix not in _KINDS:
        return f"{path} is not one of {', '.join(_KINDS)}"
    return str(path), _KINDS[path.suffix]


class _Quoted(str):
    """A text that YAML shows in double quotes."""


def axolotl(datasets: Sequence[Columns]) -> str:
    """The `datasets:` of a configuration of axolotl."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes line ends as escapes."""

    Dumper.add_representer(
        _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
    )
    entries = []
    for one in datasets:
        entry: dict[str, Any] = {"path": one.path}
        if one.kind is None:
            entry |= {"name": one.config} if one.config else {}
            entry["split"] = one.split
        else:
            entry["ds_type"] = one.kind
        if one.messages:
            entry |= {"type": "chat_template", "field_messages": one.messages}
            if one.messages == "conversations":
                entry["message_property_mappings"] = {"role": "from", "content": "value"}
        else:
            fields = dict(zip(("field_instruction", "field_input"), one.prompt, strict=False))
            both = "{instruction}\n{input}\n" if len(one.prompt) > 1 else "{instruction}\n"
            formats = {"format": _Quoted(both), "no_input_format": _Quoted("{instruction}\n")}
            entry["type"] = {**fields, "field_output": one.response, **formats}
        entries.append(entry)
    return str(yaml.dump({"datasets": entries}, Dumper=Dumper, sort_keys=False, allow_unicode=True))


def llamafactory(datasets: Sequence[Columns]) -> str:
    """Entries of `dataset_info.json` of LLaMA-Factory."""
    entries: dict[str, dict[str, Any]] = {}
    for one in datasets:
        entry: dict[str, Any] = {}
        if one.kind is None:
            entry |= {"hf_hub_url": one.path, "split": one.split} | ({"subset": one.config} if one.config else {})
        else:
            # A relative name would be looked for in its own folder of data.
            entry["file_name"] = str(Path(one.path).absolute())
        if one.messages:
            entry |= {"formatting": "sharegpt", "columns": {"messages": one.messages}}
            if one.messages != "conversations":
                tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
                entry["tags"] = tags | {"system_tag": "system"}
        else:
            # Without a name for the second field it would look for "input".
            fields = dict(zip(("prompt", "query"), one.prompt, strict=False))
            entry["columns"] = {**fields, "response": one.response}
        entries[one.name] = entry
    return json.dumps(entries, indent=2, ensure_ascii=False) + "\n"


def trl(datasets: Sequence[Columns]) -> str:
    """A script that trains on all of them with the SFTTrainer of TRL."""
    lines = ["from datasets import concatenate_datasets, load_dataset", "from trl import SFTTrainer", "", "parts = []"]
    for one in datasets:
        if one.kind is None:
            config = f", {one.config!r}" if one.config else ""
            lines += ["", f"rows = load_dataset({one.path!r}{config}, split={one.split!r})"]
        else:
            # Cells such as NA are texts of the data, not gaps.
            more: dict[str, Any] = {**one.csv, "keep_default_na": False} if one.kind == "csv" else {}
            options = "".join(f", {option}={value!r}" for option, value in more.items())
            lines += ["", f'rows = load_dataset({one.kind!r}, data_files={one.path!r}, split="train"{options})']
        lines += _as_messages(one)
        lines.append("parts.append(rows.map(chat, remove_columns=rows.column_names))")
    lines += ["", f"trainer = SFTTrainer({_MODEL!r}, train_dataset=concatenate_datasets(parts))", "trainer.train()"]
    return "\n".join(lines) + "\n"


def _as_messages(one: Columns) -> list[str]:
    """A function `chat` that makes a conversation of a row, so that all datasets have the same columns."""
    if one.messages == "conversations":
        roles = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}
        turns = f'[{{"role": roles[t["from"]], "content": t["value"]}} for t in row[{one.messages!r}]]'
        return [f"roles = {roles!r}", "", "def chat(row):", f'    return {{"messages": {turns}}}', ""]
    if one.messages:
        return ["", "def chat(row):", f'    return {{"messages": row[{one.messages!r}]}}', ""]
    prompt = f"row[{one.prompt[0]!r}]"
    if len(one.prompt) > 1:  # the second field may be empty
        prompt = f'"\\n".join(filter(None, ({", ".join(f"row[{column!r}]" for column in one.prompt)})))'
    value, lines = f"row[{one.response!r}]", []
    answer = f"str({value})"
    gaps: tuple[Any, ...] = (None, "")
    if one.label_names:
        lines = [f"names = {dict(one.label_names)!r}"]
        # The hub writes a label that is not known as -1.
        gaps += () if "-1" in one.label_names else (-1,)
        answer = f'names.get({answer}) or names[{answer}.removesuffix(".0")]'
    lines.append(f"rows = rows.filter(lambda row: {value} not in {gaps!r})")
    return [
        *lines,
        "",
        "def chat(row):",
        f'    user = {{"role": "user", "content": {prompt}}}',
        f'    return {{"messages": [user, {{"role": "assistant", "content": {answer}}}]}}',
        "",
    ]


def print_snippet(
    trainer: str, profiles: Sequence[Profile], places: Mapping[str, str], door: FrontDoor | None = None
) -> None:
    """Print what a trainer needs on stdout, and what the reader has to do before on stderr."""
    found = {profile.name: columns_of(profile, places.get(profile.name), door) for profile in profiles}
    if trainer != "trl":
        found |= {
            one.name: f"{trainer} reads CSV files with commas and double quotes only, which {one.path} is not"
            for one in found.values()
            if not isinstance(one, str) and one.csv
        }
    ready = [one for one in found.values() if not isinstance(one, str)]
    for name, why in found.items():
        if isinstance(why, str):
            warn(f"{name} is left out: {why}.")
    if not ready:
        raise UserError(f"none of {', '.join(found)} can be given to {trainer} as it is. Choose others with --sources.")
    for one in ready:
        if one.name not in places:
            say(f"First put the rows of {one.name} into {one.path}, with the columns that are named here.")
        if one.label_names and trainer != "trl":
            say(f"{one.name}: where {one.response!r} holds numbers or codes, write the class names into it first.")
    click.echo(printable(WRITERS[trainer](ready)), nl=False)


WRITERS: Mapping[str, Callable[[Sequence[Columns]], str]] = {
    "axolotl": axolotl,
    "llamafactory": llamafactory,
    "trl": trl,
}
