"""Where a process begins. Owns what Ctrl-C does: once it lets a command clear up, and while modules load, or twice, it
ends the process at once. Nothing is imported before that but what Python itself has loaded. Sees to it that the numbers
of closed standard streams go to no other file."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_STOPPED = 128 + signal.SIGINT


class _Interrupt:
    """Takes SIGINT. asked: whether it came before."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        # Modules that are half loaded end in any error, DuckDB's with the whole process.
        if self.asked or _is_importing(frame):
            os.write(2, b"Stopped.\n")
            os._exit(_STOPPED)
        self.asked = True
        raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _open_streams() -> None:
    """Put nothing in place of standard streams that are closed: the next file, such as a warehouse, would take what is
    written to them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - it lives as long as the process


def main() -> None:
    """Run the command line."""
    _open_streams()
    # A shell that starts it in the background has it ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _Interrupt())
    from traitcast.cli import main as run

    run()
