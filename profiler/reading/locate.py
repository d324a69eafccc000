"""Where the data of a request is: a file or folder of this machine, or a dataset of the hub.

Owns the name that a dataset gets when none is stated. Finding it reads no row.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from traitcast.profiler.reading.files import ACCEPTED, data_format, files_of
from traitcast.profiler.reading.folder import local_source, slug
from traitcast.profiler.reading.formats.separated import chosen_delimiter, chosen_quote
from traitcast.profiler.reading.memory import is_in_memory, memory_source
from traitcast.profiler.reading.source import Source
from traitcast.profiler.request import Request
from traitcast.profiler.roles.spec import DatasetSpec, dataset_name, load_spec
from traitcast.profiler.roles.values import shorten
from traitcast.warehouse.console import default_warehouse, quoted
from traitcast.warehouse.errors import InputError, UserError, nearest

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def locate(request: Request) -> Source:
    """The splits of a file, a folder or a hub dataset, unread. Raises InputError where there is none."""
    if is_in_memory(request.dataset):
        return _in_memory(request)
    text = str(request.dataset)
    path = Path(text)
    exists = _there(text)
    of_hub = request.config is not None or request.revision is not None or request.stream is not None
    if exists and not of_hub:
        return _separated_as(request, local_source(path))
    if exists and not path.is_dir():
        raise InputError(f"{text} is a file; --config, --revision and --stream are for hub datasets")
    if exists or (_HUB_ID.fullmatch(text) and data_format(path) is None and not path.is_absolute()):
        from traitcast.profiler.reading.hub import hub_source

        drawn = (request.stream, request.seed) if request.stream else None
        return hub_source(text, revision=request.revision, config=request.config, stream=drawn)
    hint = _profiled_from(text) or _file_of(path) or nearest(path.name, _siblings(path))
    there = next((place for place in path.parents if os.path.isdir(place)), Path("."))
    raise InputError(
        f"{shorten(text, 300)} is neither a file or folder here nor a hub id (org/name){hint} See what is there with "
        f"`ls {quoted(there)}`. Files read: {ACCEPTED}"
    )


def _in_memory(request: Request) -> Source:
    for option in ("config", "revision", "stream", "delimiter", "quote"):
        if getattr(request, option) is not None:
            raise InputError(f"{option}={getattr(request, option)!r} is for files or the hub; the data are in memory")
    return memory_source(request.dataset)


def _separated_as(request: Request, source: Source) -> Source:
    """A local source whose CSV and TSV files are read as the request states."""
    delimiter, quote = chosen_delimiter(request.delimiter), chosen_quote(request.quote)
    if delimiter is None and quote is None:
        return source
    files = [part for parts in source.splits.values() for part in files_of(parts)]
    if not any(file.format in ("csv", "tsv") for file in files):
        raise InputError(f"{source.origin} has no CSV or TSV file; --delimiter and --quote are for those")
    splits = {
        split: tuple(replace(file, delimiter=delimiter, quote=quote) for file in files_of(parts))
        for split, parts in source.splits.items()
    }
    return replace(source, splits=splits)


def _there(text: str) -> bool:
    """Whether a file or folder of that name is there. InputError for one that is, but cannot be looked at."""
    try:
        os.stat(text)
    except (ValueError, FileNotFoundError, NotADirectoryError):
        if os.path.islink(text):
            raise InputError(f"{text} is a link to {os.readlink(text)!r}, which is not there") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            reason = "its links lead in a circle" if error.errno == errno.ELOOP else error.strerror
            raise InputError(f"cannot read {text}: {reason}") from error
    else:
        return True
    return False


def _profiled_from(name: str) -> str:
    """Where the rows of a profile of that name are, for a command that reads files."""
    from traitcast.warehouse.database.warehouse import Warehouse

    if not Path(default_warehouse()).is_file():
        return ""
    with suppress(UserError), Warehouse.open(default_warehouse(), read_only=True) as warehouse:
        if place := warehouse.places().get(name):
            return f"; the profile of that name was made of {quoted(place)}: name that."
    return ""


def _file_of(path: Path) -> str:
    """The file that is meant by its name without the suffix."""
    files = (path.parent / name for name in sorted(_siblings(path)) if name.partition(".")[0] == path.name)
    return next((f"; did you mean {str(file)!r}?" for file in files if data_format(file)), "")


def _siblings(path: Path) -> list[str]:
    try:
        return [item.name for item in path.parent.iterdir()]
    except OSError:
        # A folder that is missing or closed has no names to suggest.
        return []


def name_of(request: Request) -> str:
    """The name that `read` will give, found without reading any row and without the network.

    Of a hub dataset the configuration counts only when it is given. Raises what `read` would raise so far.
    """
    if request.name is not None:
        return dataset_name(request.name)
    if request.spec is not None and (stated := as_spec(request.spec).name):
        return stated
    if is_in_memory(request.dataset):
        return memory_source(request.dataset).slug
    there = _there(str(request.dataset))
    if there and request.config is None:
        found = local_source(Path(request.dataset))
        stated = load_spec(found.spec_file).name if request.spec is None and found.spec_file else None
        return stated or found.slug
    last = Path(request.dataset).resolve().name if there else str(request.dataset).rsplit("/", 1)[-1]
    return slug(last if request.config in (None, "default") else f"{last}_{request.config}")


def as_spec(spec: str | Path | DatasetSpec) -> DatasetSpec:
    """A spec that may still be a file."""
    return spec if isinstance(spec, DatasetSpec) else load_spec(spec)
