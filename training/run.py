"""A run of a matrix: train what is missing, score what is missing, and stop at any moment without loss.

Everything finished is a file that appeared whole: one folder per adapter, one shard per model and block of targets.
What is left to do is what is planned less what is found, so there is no state that could disagree with the files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from traitcast.training.plan.base_name import ANY
from traitcast.training.plan.pack import Pack
from traitcast.training.score_models import Scoring
from traitcast.training.session import Adapter, OnProgress, RunSettings, Session
from traitcast.training.state import Status, status
from traitcast.training.train_groups import Trainer


def run(
    pack: Pack,
    settings: RunSettings | None = None,
    *,
    on_progress: OnProgress | None = None,
    say: Callable[[str], None] | None = None,
    base_only: bool = False,
) -> Status:
    """Train and score everything that is missing, one group of adapters after another.

    Parameters
    ----------
    pack
        A planned pack, new or begun.
    settings
        How to use the machine.
    on_progress, say
        Take progress and lines of narration.
    base_only
        Score the untuned model and train nothing.

    Returns
    -------
    Status
        What is there afterwards.

    Raises
    ------
    ScoresError
        The pack was begun with other weights or another precision, or holds cells of another recipe.
    InputError
        See `Session`.
    """
    settings, say, on_progress = settings or RunSettings(), say or (lambda _: None), on_progress or (lambda *_: None)
    with _quiet_transformers():
        session = Session(pack, settings, say)
        trainer, scoring = Trainer(session, on_progress), Scoring(session, on_progress)
        in_time = settings.part[0] != 1 or scoring.score([None])
        if in_time and not base_only:
            _measure(session, trainer, scoring)
    return status(pack)


def _measure(session: Session, trainer: Trainer, scoring: Scoring) -> None:
    """Train and score every group of adapters that lacks a cell, until all are done or the time is up."""
    targets = session.recipe.targets
    waiting = [(group, lacking) for group in session.groups if (lacking := _lacking(session, group, targets))]
    took: list[float] = []
    for at, (group, lacking) in enumerate(waiting, 1):
        began, untrained = time.monotonic(), not all(map(session.has, lacking))
        if untrained:
            if not session.time_left("train"):
                return
            # Cells of any precision are not repeated bit by bit anyway, so adapters that are through are left out.
            trainer.train(lacking if session.recipe.dtype == ANY else group)
        if not scoring.score(lacking):
            return
        took += [time.monotonic() - began] if untrained else []
        left = len(waiting[at:]) * sum(took) / len(took) / 60 if took else 0.0
        session.say(
            f"group {at} of {len(waiting)}: {len(lacking)} adapters done in "
            f"{(time.monotonic() - began) / 60:.1f} minutes" + (f", about {left:.0f} minutes left" if left >= 1 else "")
        )


def _lacking(session: Session, group: Sequence[Adapter], targets: Sequence[str]) -> list[Adapter]:
    """The adapters of a group that some cell is missing of. Cells may have come from another machine without their
    adapters, which are far larger."""
    return [job for job in group if session.missing(job, targets)]


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No loading bars of transformers in the narration."""
    from traitcast.training.engine.base_model import require

    _, transformers = require()
    transformers.utils.logging.disable_progress_bar()
    yield
