"""Progress of a run on stderr, with tokens per second."""

from __future__ import annotations

import time

from traitcast.warehouse.console import Progress, say

_STAGES = {"train": "training steps", "score": "scored shards", "groups": "groups of adapters"}


class Meter:
    """Progress of both stages on stderr, with tokens per second."""

    def __init__(self) -> None:
        self.bar: Progress | None = None
        self.stage, self.tokens, self.began = "", 0, 0.0

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def __call__(self, stage: str, done: int, total: int, tokens: int) -> None:
        if stage != self.stage or done == 0:
            self._close()
            self.stage, self.tokens, self.began = stage, 0, time.monotonic()
            self.bar = Progress(_STAGES[stage], total)
        if self.bar is not None:
            self.tokens += tokens
            # A step or shard may take a minute; tokens show that something moves, and how fast.
            self.bar.label = f"{_STAGES[stage]}{self._pace(' ({})')}"
            self.bar.advance(done - self.bar.done)

    def say(self, text: str) -> None:
        """A line of narration that does not run into the bar."""
        if self.bar is not None:
            self.bar.close()
        say(text)

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            say(f"{_STAGES[self.stage]}: {self.bar.done:,} in {self._seconds():,.0f} s{self._pace(', {}')}")
            self.bar = None

    def _seconds(self) -> float:
        return max(time.monotonic() - self.began, 1e-9)

    def _pace(self, form: str) -> str:
        """Tokens per second; nothing where they are counted elsewhere."""
        return form.format(f"{self.tokens / self._seconds():,.0f} tokens/s") if self.tokens else ""
