"""From a name, a file or a hub id to a stored profile: reading, profiling and saving in one call.

Owns the decision whether a stored profile is still good (same content, same settings, same trait version) and
keeps the warehouse closed while the work is done, so that a long profile never blocks another process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.profiler.parsing import pipelines, segmenters
from traitcast.profiler.request import SAMPLE_ROWS, Request
from traitcast.profiler.roles.values import path_from, path_text
from traitcast.warehouse import ray_cluster
from traitcast.warehouse.console import command, count, progress, say, warn
from traitcast.warehouse.errors import UserError

if TYPE_CHECKING:
    from traitcast.profiler.engine import Engine
    from traitcast.profiler.reading.reader import Examples
    from traitcast.warehouse.records import Profile


def profile_dataset(request: Request, examples: Examples | None = None) -> Profile:
    """Read and profile one dataset, storing nothing. Narrates on stderr."""
    with _engine(request) as engine:
        return _profiled(request, examples or read_examples(request, engine), engine)


def _profiled(request: Request, examples: Examples, engine: Engine | None) -> Profile:
    from traitcast.profiler.findings.context import token_lengths
    from traitcast.profiler.findings.search import search
    from traitcast.profiler.leakage import other_splits
    from traitcast.profiler.passes.table import row_table
    from traitcast.profiler.profile import profile

    tokens = token_lengths(row_table(examples.table), request.tokenizer, request.seed)

    others = other_splits(examples, engine)
    with progress(f"{examples.name}, sampled rows parsed", 0) as bar:
        result = profile(
            examples,
            rows=request.rows,
            seed=request.seed,
            processes=request.processes,
            spacy_model=request.spacy_model,
            on_progress=bar.reach,
            engine=engine,
            others=others,
        )
    found, languages = search(examples, others=others, seed=request.seed)
    details = {**result.details, **_asked(request), "splits": dict(examples.splits), "languages": languages}
    return replace(
        result,
        details=details,
        length_histograms=(*result.length_histograms, *tokens),
        findings=tuple(one.record() for one in found),
    )


def _engine(request: Request) -> AbstractContextManager[Engine | None]:
    """What reads, counts and parses; None for this process and its workers."""
    _check_engine(request)
    if request.engine == "local":
        return nullcontext()
    from traitcast.profiler.ray.engine import engine

    return engine(request.address, say)


def _check_engine(request: Request) -> None:
    """Raise UserError for an engine that cannot be used, as far as that is known before connecting."""
    if request.engine not in ("local", "ray"):
        raise UserError(f"unknown engine {request.engine!r}; choose local or ray")
    if request.engine == "ray":
        ray_cluster.check(request.address)
    elif request.address is not None:
        raise UserError(f"--address {request.address} names a Ray cluster: add --engine ray, or leave it out")


def _asked(request: Request) -> dict[str, Any]:
    """What `as_before` needs to ask for the same again and cannot find in the result."""
    from traitcast.profiler.reading.locate import name_of

    usual = request.name is None or request.name == name_of(replace(request, name=None))
    return {
        "name_stated": None if usual else request.name,
        "config": request.config,
        "roles_stated": list(request.roles),
        "language_stated": request.language,
        "stream": request.stream,
        "delimiter": request.delimiter,
        "quote": request.quote,
        "tokenizer": request.tokenizer,
    }


def read_examples(request: Request, engine: Engine | None = None) -> Examples:
    """Read one dataset, as `profiler.reading.reader.read` does, and say on stderr which split and roles were taken."""
    from traitcast.profiler.reading.memory import IN_MEMORY, is_in_memory
    from traitcast.profiler.reading.reader import read

    with progress(f"reading {IN_MEMORY if is_in_memory(request.dataset) else request.dataset}", 0) as bar:

        def show(done: int, total: int | None) -> None:
            bar.reach(done, max(total, done) if total else 0)

        examples = read(request, on_rows=show, engine=engine)
    rows = count(examples.table.num_rows, "row")
    say(f"{examples.name}: {rows} of split {examples.split!r}, {examples.spec.task_type}")
    for note in examples.notes:
        say(f"  {note}")
    return examples


def refuse_one_name(requests: Sequence[Request]) -> None:
    """Raise UserError when two requests would be stored under one name, the later in place of the earlier."""
    from traitcast.profiler.reading.locate import name_of

    seen: dict[str, str] = {}
    for request in requests:
        try:
            name = name_of(request)
        except UserError:
            # The error is reported in its turn; the datasets before it are profiled all the same.
            continue
        if name in seen:
            raise UserError(
                f"{seen[name]} and {request.dataset} would both be stored as {name!r}. Profile one of them by itself "
                f"under another name: {command('profile', request.dataset, '--name', 'NAME')}"
            )
        seen[name] = str(request.dataset)


def profile_into(warehouse_path: str, request: Request, *, force: bool = False) -> tuple[Profile, bool]:
    """Profile one dataset into the warehouse. Returns the profile and whether it was computed now.

    A stored profile with the same fingerprint, settings and trait version is returned as it is unless `force`.
    """
    from traitcast.profiler.traits.catalogue import CATALOGUE, VERSION
    from traitcast.warehouse.database.warehouse import Warehouse

    # Fail on an unusable engine or warehouse before minutes of work, not after; bad input creates no file.
    _check_engine(request)
    Warehouse.check_place(warehouse_path)
    if Path(warehouse_path).exists():
        with Warehouse.open(warehouse_path):
            pass
    with _engine(request) as engine:
        examples = read_examples(request, engine)
        with Warehouse.open(warehouse_path, read_only=True) as warehouse:
            stored = warehouse.profile(examples.name) if warehouse.find(examples.name) else None
            shipped = examples.name in warehouse.shipped("datasets")
        if stored and not force and _still_good(stored, examples, request):
            say(f"{examples.name}: already profiled (same content and settings; --force to do it again)")
            return stored, False
        if stored and shipped:
            warn(_replacing_shipped(stored, examples, warehouse_path))
        elif stored and stored.fingerprint != examples.fingerprint:
            warn(f"replacing the profile of {examples.name!r}, which had other content; give --name to keep both")
        result = _profiled(request, examples, engine)
    for warning in result.details.get("warnings", []):
        warn(f"{result.name}: {warning}")
    with Warehouse.open(warehouse_path) as warehouse:
        warehouse.sync_catalogue(CATALOGUE, VERSION)
        warehouse.save_profile(result)
    return result, True


def _replacing_shipped(stored: Profile, examples: Examples, warehouse_path: str) -> str:
    from traitcast.warehouse.database import shipped as reference

    every = len(reference.names("datasets"))
    content = "the same content" if stored.fingerprint == examples.fingerprint else "other content"
    return (
        f"{stored.name!r} is one of the {every} datasets that come with traitcast; this profile, of {content}, takes "
        f"its place in {warehouse_path}. Get it back: "
        f"{command('datasets', '--restore', stored.name, warehouse=warehouse_path)}; to keep both give --name NAME"
    )


def _still_good(stored: Profile, examples: Examples, request: Request) -> bool:
    from traitcast.profiler.traits.catalogue import VERSION

    total = examples.table.num_rows
    details = stored.details
    spec = examples.spec
    return (
        stored.fingerprint == examples.fingerprint
        and (stored.family, stored.language, stored.licence) == (spec.family, spec.language, spec.licence)
        and (stored.parent, stored.changed) == (spec.parent, spec.changed)
        and details.get("published", []) == spec.published
        and (details.get("split"), details.get("revision")) == (examples.split, examples.revision)
        and details.get("catalogue_version") == VERSION
        and details.get("segmenter") == segmenters.segmenter(spec.language)
        and details.get("sample_asked", details.get("sample_rows")) == min(request.rows or total, total)
        and details.get("seed") == request.seed
        and details.get("stream") == request.stream
        and details.get("tokenizer") == request.tokenizer
        and pipelines.is_current(details.get("spacy_model"), pipelines.choose(request.spacy_model, spec.language))
    )


def read_as_profiled(
    dataset: str, warehouse_path: str, engine: Engine | None = None, **options: Any
) -> tuple[Request, Examples]:
    """The rows of a file, folder or hub id, or those that a profile was made of, and how they were asked for.

    Parameters
    ----------
    dataset
        A file, folder or hub id; or a profiled name, which is read as it was then.
    warehouse_path
        The DuckDB file, which is not made.
    options
        Fields of `Request` that are stated now.

    Raises
    ------
    UserError
        Where the rows of a profile are not here or have changed, and for data that cannot be read.
    """
    from traitcast.profiler.reading.reader import read

    stated = {key: value for key, value in options.items() if value}
    earlier, place = _profiled_from(dataset, warehouse_path)
    if earlier is None:
        request = Request(dataset, **stated)
        return request, read_examples(request, engine)
    if place is None:
        origin = earlier.details.get("origin")
        raise UserError(
            f"{dataset!r} is a profile, and its rows are not here{f': no {origin}' if origin else ''}. What was found "
            f"in them: {command('show', dataset, warehouse=warehouse_path)}. To look at rows name their file or folder"
        )
    before = as_before(place, earlier)
    # By other roles or of another split the same rows have another fingerprint: the file is read as it was first.
    examples = read(before, engine=engine) if stated else read_examples(before, engine)
    if examples.fingerprint != earlier.fingerprint:
        again = command("profile", place, *option_words(_to_state(before, earlier)), warehouse=warehouse_path)
        raise UserError(
            f"{place} has changed since {dataset!r} was profiled from it. Name the file for its rows of today, or "
            f"profile it again: {again}"
        )
    request = replace(before, **stated)
    return request, read_examples(request, engine) if stated else examples


def place_of(dataset: str, warehouse_path: str) -> str:
    """Where the rows of a profiled name are, if they are here; what is given for all else."""
    return _profiled_from(dataset, warehouse_path)[1] or dataset


def _profiled_from(dataset: str, warehouse_path: str) -> tuple[Profile | None, str | None]:
    """The profile of a name and where its rows are; nothing for a file, folder or hub id."""
    from traitcast.warehouse.database.warehouse import Warehouse

    if os.path.exists(dataset) or "/" in dataset:
        return None, None
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        if not warehouse.find(path_text(dataset)):
            return None, None
        return warehouse.profile(dataset), warehouse.places().get(dataset)


def _to_state(request: Request, earlier: Profile) -> dict[str, Any]:
    """The options by which a dataset is profiled again as it was."""
    plain = Request(request.dataset)
    fields = "name split spec roles language config revision stream delimiter quote tokenizer rows seed spacy_model"
    found = {field: getattr(request, field) for field in fields.split()}
    if len(earlier.details.get("splits") or ()) < 2:
        found["split"] = None
    if found["spacy_model"] in pipelines.MODELS:
        found["spacy_model"] = None
    stated = {field: value for field, value in found.items() if value != getattr(plain, field)}
    return {field: "all" if field == "rows" and value is None else value for field, value in stated.items()}


def ensure_profiled(dataset: str, warehouse_path: str, **options: Any) -> str:
    """The name under which a dataset is profiled; it is profiled first where it is not.

    A file that was profiled before keeps the name, split, spec file, roles, sample and spaCy pipeline it had then, so
    that options are given once. A hub dataset keeps its configuration and its commit too, and is not fetched again.

    Parameters
    ----------
    dataset
        A profiled name, or a file, folder or hub id.
    warehouse_path
        The DuckDB file.
    options
        Fields of `Request` that are stated now, such as `spec` and `roles`; empty ones are as before.

    Returns
    -------
    str

    Raises
    ------
    UserError
        For a name that is not profiled, for data that cannot be read, and for options about a profiled name.
    """
    from traitcast.warehouse.database.warehouse import Warehouse

    stated = {key: value for key, value in options.items() if value}
    exists = os.path.exists(dataset)
    looks_like_path = "/" in dataset or "\\" in dataset or "." in dataset
    with Warehouse.open(warehouse_path, read_only=True) as warehouse:
        if warehouse.find(path_text(dataset)) and not (looks_like_path and exists):
            if stated:
                raise UserError(
                    f"{dataset!r} is profiled already; {', '.join(f'--{key}' for key in stated)} says how to read a "
                    f"file, folder or hub id. Profile it again: {command('profile', 'DATASET', '--name', dataset)}"
                )
            return dataset
        if not looks_like_path and not exists:
            warehouse.profile(dataset)  # raises, naming the nearest profiled dataset
        known = warehouse.find_origin(path_text(Path(dataset).resolve()) if exists else dataset)
        earlier = warehouse.profile(known) if known else None
    request = replace(as_before(dataset, earlier), **stated)
    if earlier is not None and not exists and not stated and _same_commit(earlier, request):
        say(f"{earlier.name}: as profiled at commit {earlier.details['revision']}")
        return earlier.name
    return profile_into(warehouse_path, request)[0].name


def ensure_all_profiled(datasets: Sequence[str], warehouse_path: str, **options: Any) -> list[str]:
    """The names of datasets, each profiled first where it is not. options: as in `ensure_profiled`, of the one that is
    no profiled name.

    Raises UserError as `ensure_profiled` does, and for options where none or several of the datasets are files.
    """
    from traitcast.warehouse.database.warehouse import Warehouse

    stated = {key: value for key, value in options.items() if value}
    read = set(datasets)
    if stated and len(read) > 1:
        with Warehouse.open(warehouse_path, read_only=True) as warehouse:
            read = {name for name in read if not (warehouse.find(path_text(name)) and not os.path.exists(name))}
        if len(read) != 1:
            names = " and ".join(name for name in dict.fromkeys(datasets) if not read or name in read)
            why = f"{names} are both read" if read else f"{names} are profiled already"
            which = next(iter(sorted(read)), "DATASET")
            raise UserError(
                f"{', '.join(f'--{key}' for key in stated)} is about one file, folder or hub id, and {why}. Profile "
                f"one by itself: {command('profile', which, *option_words(stated), warehouse=warehouse_path)}"
            )
    return [ensure_profiled(name, warehouse_path, **(stated if name in read else {})) for name in datasets]


def option_words(stated: Mapping[str, Any]) -> Iterator[str]:
    """Options as they are written on a command line."""
    for key, value in stated.items():
        for one in value if isinstance(value, tuple | list) else [value]:
            yield from (f"--{key.replace('_', '-')}", str(one))


def _same_commit(stored: Profile, request: Request) -> bool:
    """Whether a profile of a hub dataset is still good, without asking the network: a commit never changes."""
    from traitcast.profiler.traits.catalogue import VERSION

    details = stored.details
    return (
        details.get("revision") is not None
        and details.get("catalogue_version") == VERSION
        and pipelines.is_current(details.get("spacy_model"), pipelines.choose(request.spacy_model, stored.language))
    )


def as_before(dataset: str, earlier: Profile | None) -> Request:
    """The request that made an earlier profile, or a plain one."""
    if earlier is None:
        return Request(dataset)
    details = earlier.details
    spec = details.get("spec")
    return Request(
        dataset,
        name=earlier.name,
        split=details["split"],
        spec=path_from(spec) if spec else None,
        roles=tuple(details.get("roles_stated") or ()),
        language=details.get("language_stated"),
        config=details.get("config"),
        revision=details.get("revision"),
        stream=details.get("stream"),
        delimiter=details.get("delimiter"),
        quote=details.get("quote"),
        tokenizer=details.get("tokenizer"),
        rows=_asked_rows(details.get("sample_asked", details["sample_rows"]), earlier.rows),
        seed=details["seed"],
        spacy_model=pipelines.asked_for(details.get("spacy_model")),
    )


def _asked_rows(sampled: int, total: int) -> int | None:
    """What --rows must have been: a small dataset is seen whole under the default too."""
    if sampled < total:
        return sampled
    return SAMPLE_ROWS if total <= SAMPLE_ROWS else None
