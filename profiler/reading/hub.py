"""Datasets of the Hugging Face hub, and local clones of them, through the `datasets` library.

Owns the commit (resolved first, then every file is read at that commit), configurations, splits, streams, and clear
words for what can go wrong. Never runs code from a repository: `datasets` 4 has no loading scripts any more, and
nothing here asks for them.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitcast.profiler.reading.folder import slug, spec_beside
from traitcast.profiler.reading.source import Row, Source
from traitcast.warehouse.errors import InputError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 1024
_BUFFER_ROWS = 10_000
# The commit is one small request; a network that cannot answer it in this time will not carry a dataset.
_TIMEOUT_S = 20.0


class HubPart:
    """One split of a hub dataset, downloaded (or taken from the cache) on first use.

    stream: (rows, seed) to draw that many rows from a stream instead: shards in random order, and rows through a
    shuffle buffer, so that they are not the head of the dataset. They are kept as Arrow tables.
    """

    unit = "row"

    def __init__(
        self, repo: str, config: str | None, split: str, revision: str | None, stream: tuple[int, int] | None = None
    ) -> None:
        self.repo, self.config, self.split, self.revision, self.stream = repo, config, split, revision, stream
        self.loaded: Any = None
        self.drawn: list[pa.Table] = []

    @property
    def name(self) -> str:
        return f"{self.repo} ({', '.join(word for word in (self.config, self.split) if word)})"

    def rows(self, columns: Collection[str] | None = None) -> Iterator[tuple[int, Row]]:
        """(row number from 1, row); media columns stay undecoded."""
        number = 0
        for table in self._tables(columns):
            for row in table.to_pylist():
                number += 1
                yield number, row

    def _tables(self, columns: Collection[str] | None) -> Iterator[pa.Table]:
        dataset = self._dataset()
        if self.stream is None:
            chosen = [name for name in dataset.column_names if columns is None or name in columns]
            yield from dataset.with_format("arrow", columns=chosen).iter(batch_size=_BATCH_ROWS)
            return
        for table in self.drawn:
            yield table.select([name for name in table.column_names if columns is None or name in columns])

    def label_names(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the ClassLabel columns."""
        from datasets import ClassLabel

        # A stream of JSON has no features before it is read.
        features = self._dataset().features or {}
        inner = {name: getattr(feature, "feature", feature) for name, feature in features.items()}
        return {name: tuple(f.names) for name, f in inner.items() if isinstance(f, ClassLabel) and f.names}

    def count(self) -> int | None:
        """Rows, once downloaded; of a stream nobody knows."""
        return None if self.loaded is None or self.stream else int(self.loaded.num_rows)

    def estimate(self) -> int | None:
        """Rows, once downloaded or drawn."""
        return sum(table.num_rows for table in self.drawn) if self.stream else self.count()

    def notes(self) -> Sequence[str]:
        """The configuration and the commit that were read."""
        config = f"configuration {self.config!r}, " if self.config and self.config != "default" else ""
        return [f"{self.repo}: {config}commit {self.revision}"] if self.revision else []

    def warnings(self) -> Sequence[str]:
        """None: the `datasets` library reads or refuses."""
        return ()

    def _dataset(self) -> Any:
        if self.loaded is None:
            import datasets

            with _hub_words(self.repo):
                self.loaded = datasets.load_dataset(
                    self.repo, self.config, split=self.split, revision=self.revision, streaming=self.stream is not None
                )
                if self.stream:
                    rows, seed = self.stream
                    shuffled = self.loaded.shuffle(seed=seed, buffer_size=_BUFFER_ROWS).take(rows)
                    self.drawn = list(shuffled.with_format("arrow").iter(batch_size=_BATCH_ROWS))
        return self.loaded


def hub_source(
    repo: str, *, revision: str | None = None, config: str | None = None, stream: tuple[int, int] | None = None
) -> Source:
    """The splits of a hub dataset "org/name" at one commit, or of a local folder in the hub's layout.

    stream: see HubPart.
    Raises InputError when the hub cannot be reached, or has no such dataset, revision or configuration.
    """
    folder = Path(repo)
    local = folder.is_dir()
    if local and revision is not None:
        raise InputError(f"{repo} is a local folder; --revision is for hub datasets. Check the commit out instead")
    commit = None if local else resolve_commit(repo, revision)
    import datasets

    with _hub_words(repo):
        config = _config(repo, config, datasets.get_dataset_config_names(repo, revision=commit))
        splits = datasets.get_dataset_split_names(repo, config, revision=commit)
    parts = {split: (HubPart(repo, config, split, commit, stream),) for split in splits}
    name = folder.resolve().name if local else repo.split("/")[-1]
    label = name if config in (None, "default") else f"{name}_{config}"
    origin = str(folder.resolve()) if local else repo
    return Source(origin, slug(label), parts, commit, spec_beside(folder) if local else None)


def resolve_commit(repo: str, revision: str | None = None) -> str:
    """The full commit hash that a branch, tag or short hash of a hub dataset stands for (default: main)."""
    from huggingface_hub import HfApi

    with _hub_words(repo, revision):
        return str(HfApi().dataset_info(repo, revision=revision, timeout=_TIMEOUT_S).sha)


def _config(repo: str, config: str | None, names: Sequence[str]) -> str | None:
    if config is not None and config not in names:
        hint = nearest(config, names)
        raise InputError(f"{repo} has no configuration {config!r}{hint} It has: {', '.join(names)}")
    if config is None and len(names) > 1 and "default" not in names:
        raise InputError(f"{repo} has several configurations; choose one with --config: {', '.join(names)}")
    return config if config is not None else "default" if "default" in names else next(iter(names), None)


@contextmanager
def _hub_words(repo: str, revision: str | None = None) -> Iterator[None]:
    """Turn what the hub libraries raise into an InputError; keep their progress bars off a log file."""
    import datasets

    quiet = not sys.stderr.isatty() and not datasets.are_progress_bars_disabled()
    if quiet:
        datasets.disable_progress_bars()
    try:
        yield
    except InputError:
        raise
    # The network library below huggingface_hub has changed from requests to httpx and its errors share no base.
    except Exception as error:
        raise InputError(_explain(error, repo, revision)) from error
    finally:
        if quiet:
            datasets.enable_progress_bars()


def _explain(error: Exception, repo: str, revision: str | None) -> str:
    from datasets.exceptions import (
        DataFilesNotFoundError,
        DatasetGenerationError,
        DatasetNotFoundError,
        DatasetsError,
    )
    from huggingface_hub import errors

    site = f"https://huggingface.co/datasets/{repo}"
    look = "" if Path(repo).is_dir() else f"; see {site}"
    if isinstance(error, errors.GatedRepoError):
        return f"{repo} is gated: accept its terms at {site}, then log in: hf auth login"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{repo} has no revision {revision!r}; see {site}/commits/main"
    if isinstance(error, errors.RepositoryNotFoundError | DatasetNotFoundError | errors.HFValidationError):
        return (
            f"no file or folder {repo!r} here, and no dataset of that id on the hub (or it is private: hf auth login). "
            f"Search: https://huggingface.co/datasets?search={repo.split('/')[-1]}"
        )
    if isinstance(error, DataFilesNotFoundError):
        return f"{repo} holds no data file that can be read without running code ({_line(error)}){look}"
    if isinstance(error, DatasetGenerationError):
        cause = error.__cause__ or error
        return f"{repo} was found, but its files cannot be read: {_line(cause)}{look}"
    if isinstance(error, RuntimeError) and "script" in str(error):
        return f"{repo} needs its own loading script, which is never run; download its data files and pass those"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return f"cannot fetch {repo}: HF_HUB_OFFLINE is set. Unset it, or pass a local copy of the data"
    if Path(repo).is_dir() or isinstance(error, DatasetsError | TypeError | ValueError):
        return f"{repo} was found, but its files cannot be read: {_line(error)}{look}"
    return (
        f"no file or folder {repo!r} here, and the hub cannot be reached for a dataset of that id ({_line(error)}). "
        "Check the network, or pass a local copy of the data"
    )


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
