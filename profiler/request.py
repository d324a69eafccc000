"""What a user asks of a dataset, as one object that is passed whole from the command line to the reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from traitcast.profiler.roles.spec import DatasetSpec

# 2,000 random rows put every trait within .05 standard deviations at 95 %; 1,000 just miss it (six real sets).
SAMPLE_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Request:
    """Which dataset, read how, sampled how.

    Parameters
    ----------
    dataset
        A local file or folder, or a hub id "org/name"; an existing path wins. From Python also data in memory, as
        `profiler.reading.memory` takes them.
    name
        The name to store it under; by default that of the spec, else one made of the path or hub id.
    split
        The split to read: by default train where there is one, else the only one; "all" reads every split.
    spec
        Column roles, as the path of a YAML file or parsed, instead of a dataset.yaml next to the data.
    roles
        Some column roles in short, such as ("text=title,body",), above the spec and the inference; one text will do.
    language
        A language code such as "de"; by default that of the spec, else guessed from the texts.
    config, revision
        Configuration, and commit, tag or branch, of a hub dataset.
    stream
        Rows to draw from a hub dataset, in an order set by `seed`, instead of downloading it.
    delimiter, quote
        The separator of a CSV or TSV file, and its quote ("none" where quotes are plain characters); by default both
        are decided on the whole file.
    rows
        Rows in the sample for traits that need a parse; None for all rows.
    seed
        Seed of everything that is drawn.
    processes
        Worker processes; by default one for each free core.
    spacy_model
        The spaCy pipeline; by default the small one that is installed for the language.
    tokenizer
        What counts tokens for the histogram of rows: a folder with a tokenizer.json, such a file, or the hub id of a
        model; by default a token is taken for four bytes.
    engine
        "local", or "ray" to read, count and parse on a Ray cluster.
    address
        The Ray cluster; by default that of RAY_ADDRESS, else this machine alone.
    """

    dataset: Any
    name: str | None = None
    split: str | None = None
    spec: str | Path | DatasetSpec | None = None
    roles: tuple[str, ...] = ()
    language: str | None = None
    config: str | None = None
    revision: str | None = None
    stream: int | None = None
    delimiter: str | None = None
    quote: str | None = None
    rows: int | None = SAMPLE_ROWS
    seed: int = 0
    processes: int | None = None
    spacy_model: str | None = None
    tokenizer: str | None = None
    engine: str = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        """Take one text of roles for a tuple of it."""
        if isinstance(self.roles, str):
            object.__setattr__(self, "roles", (self.roles,))
