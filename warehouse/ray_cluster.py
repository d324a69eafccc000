"""A Ray cluster: the connection to one, and results of tasks in order.

Finds Ray and a cluster that answers, limits the work that waits there at a time, and words the errors of lost tasks.
Does not know what the tasks do, and starts or stops nothing on a cluster that was running before.
"""

from __future__ import annotations

import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, redirect_stdout, suppress
from typing import Any, TypeVar

from traitcast.warehouse.errors import InputError, MissingExtraError, TraitcastError

Order = TypeVar("Order")

# Cheap nodes are often taken away, but a task that kills its node every time must end too.
RETRIES = 5
_CONNECT_SECONDS = 10.0
# Tasks per CPU, so that no CPU waits for its next task.
_AHEAD = 3
# Characters of a Ray error that we show: the first sentence or two of several pages.
_SAID = 300


def require() -> Any:
    """Return the module `ray`; raise MissingExtraError with the pip command if it is not installed."""
    # Users of traitcast have not agreed to send usage reports to the makers of Ray.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A task without a GPU sees none: the future default. Unset, Ray warns in every run.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray is not installed; run: pip install 'traitcast[ray]'") from error
    return ray


@contextmanager
def connected(address: str | None, say: Callable[[str], None]) -> Iterator[Any]:
    """Ray, connected: to `address`, RAY_ADDRESS, or a cluster of this machine alone that ends with the block.

    A connection that is there already is used and left. Raises InputError when no cluster answers.
    """
    ray = require()
    # Ray reports dead nodes on stdout, where our data goes.
    with redirect_stdout(sys.stderr):
        yield from _connected(ray, address, say)


def _connected(ray: Any, address: str | None, say: Callable[[str], None]) -> Iterator[Any]:
    if ray.is_initialized():
        yield ray
        return
    address = _resolved(address)
    check(address)
    alone: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
    say("starting Ray on this machine" if alone else f"connecting to the Ray cluster at {address}")
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **alone)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _no_cluster(address, error) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _resolved(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or "local"


def check(address: str | None) -> None:
    """Raise MissingExtraError without Ray, and InputError where no cluster listens; Ray retries for ten minutes."""
    require()
    address = _resolved(address)
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> InputError:
    return InputError(
        f"no Ray cluster at {address!r} ({error}); give HOST:PORT of a running one, or auto for the one that "
        "`ray start --head` started on this machine, or leave --address out"
    )


def result(ray: Any, task: Any, what: str, *, kept: str = "nothing of it is kept") -> Any:
    """The result of a task. Raises what it raised, without the traceback of the other machine.

    what: names the task. kept: what is there of finished work when the same command is run again.
    """
    errors = ray.exceptions
    try:
        return ray.get(task)
    except errors.RayTaskError as error:
        if isinstance(error.cause, TraitcastError):
            raise error.cause from None
        raise TraitcastError(f"{what} failed on its node: {error.cause!r}") from error
    except (errors.WorkerCrashedError, errors.NodeDiedError, errors.LocalRayletDiedError) as error:
        raise TraitcastError(
            f"{what} was lost with its node or worker {RETRIES + 1} times ({type(error).__name__}); {kept}: run the "
            "same again, with more memory or fewer tasks a node if memory was short"
        ) from error
    except errors.RayError as error:
        # A full disk, a runtime environment that cannot be created: Ray's own words say what is wrong.
        said = " ".join(str(error).split())[:_SAID]
        raise TraitcastError(
            f"{what} failed on the cluster ({type(error).__name__}: {said}); {kept}: fix that, and run the same again"
        ) from error


def handed_over(ray: Any, submit: Callable[[Order], Any], orders: Iterable[Order]) -> Generator[Any]:
    """Submit the tasks of orders in order, a few ahead of the caller.

    When the generator is closed early, the last task it gave and the later ones are cancelled, since the cluster would
    go on computing results that nobody reads.

    Parameters
    ----------
    submit
        Submits the task of one order.

    Yields
    ------
    ObjectRef
        The tasks, in the order of `orders`.
    """
    tasks: deque[Any] = deque()
    ahead = _ahead(ray)
    try:
        for order in orders:
            tasks.append(submit(order))
            if len(tasks) >= ahead:
                yield tasks[0]
                tasks.popleft()
        while tasks:
            yield tasks[0]
            tasks.popleft()
    finally:
        # A lost connection has ended them already, and must not hide the first error.
        with suppress(ray.exceptions.RayError):
            for task in tasks:
                ray.cancel(task)


def in_order(ray: Any, submit: Callable[[Order], Any], orders: Iterable[Order], what: str) -> Iterator[Any]:
    """The results of tasks in the order of their orders, as `handed_over`."""
    with closing(handed_over(ray, submit, orders)) as tasks:
        for task in tasks:
            yield result(ray, task, what)


def begun(ray: Any, submit: Callable[[Order], list[Any]], orders: Iterable[Order]) -> list[list[Any]]:
    """What tasks will have made, in the order of their orders; all are handed over, but few are unfinished at a time.

    submit: gives the references to what the task of an order makes.
    """
    made: list[list[Any]] = []
    unfinished: list[Any] = []
    ahead = _ahead(ray)
    for order in orders:
        made.append(submit(order))
        unfinished.append(made[-1][0])
        if len(unfinished) >= ahead:
            _, unfinished = ray.wait(unfinished, num_returns=1, fetch_local=False)
    return made


def _ahead(ray: Any) -> int:
    return max(4, _AHEAD * int(ray.cluster_resources().get("CPU", 1)))
