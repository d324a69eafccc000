"""Probes in the warehouse: numbers of a dataset and an untuned model together, measured in a matrix or on their own."""

from __future__ import annotations

import pyarrow as pa

from traitcast.warehouse.database.connection import Connection
from traitcast.warehouse.database.schema import OWN

_SAME_PROBED = "(base, fingerprint, dataset) IN (SELECT (base, fingerprint, dataset) FROM incoming)"


class Probes(Connection):
    """What is stored of untuned models on datasets."""

    def save_probes(self, rows: pa.Table, *, replace: bool = False) -> None:
        """Store probes that were measured outside a matrix, in place of those of the same weights and datasets.

        Parameters
        ----------
        rows
            Columns base, fingerprint, dtype, dataset, trait, value, standard_error and n.
        replace
            Whether to drop all earlier probes of the same base model first, whatever its weights.
        """
        with self._transaction():
            self._connection.register("incoming", rows)
            same = "base IN (SELECT base FROM incoming)" if replace else _SAME_PROBED
            self._connection.execute(f"DELETE FROM {OWN}.probes WHERE matrix = '' AND {same}")
            self._connection.unregister("incoming")
            self._insert("probes", rows.append_column("matrix", pa.array([""] * rows.num_rows, pa.string())))

    def probe_fingerprints(self, base: str, *, matrix: str | None = None) -> list[str]:
        """Fingerprints of the weights that probes of a base model were measured with, sorted.

        matrix: only those that this matrix measured.
        """
        rows = self._rows(
            "SELECT DISTINCT fingerprint FROM probes WHERE base = ? AND (? IS NULL OR matrix = ?) ORDER BY 1",
            [base, matrix, matrix],
        )
        return [fingerprint for (fingerprint,) in rows]

    def probes(self, base: str, fingerprint: str, *, matrix: str = "") -> dict[str, dict[str, float]]:
        """Values of the probes of a base model, by dataset and probe.

        Of a probe measured several times, the value of `matrix` counts first, then that of `traitcast probe`, then
        those of other matrices.
        """
        found: dict[str, dict[str, float]] = {}
        for dataset, trait, value in self._rows(
            "SELECT dataset, trait, value FROM probes WHERE base = ? AND fingerprint = ? "
            "ORDER BY matrix = ?, matrix = '', matrix DESC, dataset, trait",
            [base, fingerprint, matrix],
        ):
            found.setdefault(dataset, {})[trait] = value
        return found
