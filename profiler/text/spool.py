"""Where the rows of a dataset lie while it is profiled: in memory as long as they are few, then in a temporary file.

Owns the file: an Arrow file without a name in the folder for temporary files (TMPDIR), mapped into memory, so that the
system may drop its pages at any time; it is gone with the last column of it, or with the process, however that ends.
Refuses compression: what is compressed cannot be mapped.
"""

from __future__ import annotations

import mmap
import tempfile
from typing import IO, TYPE_CHECKING, Any

from traitcast.warehouse.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

# A profile takes ten times as much anyway; a file costs a second per gigabyte.
MEMORY_BYTES = 32 << 20


class Spool:
    """Takes record batches of one schema and returns them as one table."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: Any = None

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; mapped tables stay valid."""
        if self._file is not None:
            self._file.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows. Raises InputError when they do not fit on the disk."""
        self._bytes += batch.nbytes
        self._batches.append(batch)
        if self._writer is None and self._bytes <= MEMORY_BYTES:
            return
        try:
            self._write()
        except OSError as error:
            raise disk_full(error, self._bytes, "rows") from error

    def _write(self) -> None:
        import pyarrow as pa

        if self._file is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - it lives as long as this
            self._writer = pa.ipc.new_file(self._file, self._schema)
        for batch in self._batches:
            self._writer.write_batch(batch)
        self._batches.clear()

    def table(self) -> pa.Table:
        """All rows that were taken. Nothing can be added afterwards."""
        import pyarrow as pa

        if self._file is None:
            return pa.Table.from_batches(self._batches, schema=self._schema)
        try:
            self._writer.close()
            mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise disk_full(error, self._bytes, "rows") from error
        return pa.ipc.open_file(pa.py_buffer(mapped)).read_all()


def disk_full(error: OSError, size: int, what: str) -> InputError:
    """The error for a temporary file that cannot be written. size: its bytes; what: what it holds."""
    return InputError(
        f"cannot write {size:,} bytes of {what} to {tempfile.gettempdir()} ({error.strerror or error}): free space "
        "there, or set TMPDIR to a folder of a disk with room"
    )


def rows_at(table: pa.Table, numbers: npt.NDArray[np.integer]) -> pa.Table:
    """Some rows of a table, as `Table.take`, which first copies whole columns: 700 MB for ten million short rows.

    Parameters
    ----------
    table
        In any number of batches.
    numbers : whole numbers (rows,)
        Of the rows, in the order in which they are returned.
    """
    import numpy as np
    import pyarrow as pa

    order = np.argsort(numbers, kind="stable")
    ascending, first, pieces = numbers[order], 0, []
    for batch in table.to_batches():
        low, high = np.searchsorted(ascending, [first, first + batch.num_rows])
        if high > low:
            pieces.append(batch.take(pa.array(ascending[low:high] - first)))
        first += batch.num_rows
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return pa.Table.from_batches(pieces, schema=table.schema).take(pa.array(back))
