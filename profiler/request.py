"""What a user asks of a profile, as one object that is passed whole from the command line to the reader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SAMPLE_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for: which dataset, read how, sampled how.

    roles: some column roles in short ("text=title,body"). stream: rows to draw from a hub dataset instead of
    downloading it. rows: rows in the sample for traits that need a parse; None for all of them. engine: "local", or
    "ray" to read, count and parse on the cluster at `address` (None: RAY_ADDRESS, else this machine alone).
    """

    dataset: str
    name: str | None = None
    split: str | None = None
    spec: Path | None = None
    roles: tuple[str, ...] = ()
    language: str | None = None
    config: str | None = None
    revision: str | None = None
    stream: int | None = None
    rows: int | None = SAMPLE_ROWS
    seed: int = 0
    processes: int | None = None
    spacy_model: str | None = None
    engine: str = "local"
    address: str | None = None
