"""The tables and views of the warehouse, as numbered, append-only migrations.

Owns the shape of the file, not its content. A table is there twice: in the schema `traitcast_own` with the rows of the
user, in `traitcast_shipped` with those that came with the package. The view of the same name shows both; a dataset,
matrix or predictor of the user hides the shipped one of that name. Results (evaluations, latent factors, predictions)
are stored with a fingerprint of their input, and their views show those whose input is still the same.

A migration that has shipped is never edited; a new one is appended. Views have one text, that of today: a change of it
needs a migration that creates them again (as `_ninth` does), so that an upgraded file has the views of a new one. There
is no PRIMARY KEY and no UNIQUE index: they have lost entries after WAL replay in recent DuckDB lines, so writers
replace or MERGE on the natural key inside one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    import duckdb

# The oldest DuckDB line whose files every reader we support can open.
STORAGE_VERSION = "v1.2.0"

# The columns that make a table's natural key: what a MERGE matches on and the reference files are ordered by.
NATURAL_KEYS: dict[str, tuple[str, ...]] = {
    "datasets": ("name",),
    "traits": ("dataset", "trait"),
    "trait_catalogue": ("trait",),
    "label_counts": ("dataset", "label"),
    "length_histograms": ("dataset", "part", "unit", "low"),
    "sketches": ("dataset", "part", "kind"),
    "findings": ("dataset", "finding", "part"),
    "matrices": ("matrix",),
    "scores": ("matrix", "model", "source", "target", "seed", "metric"),
    "predicted_labels": ("matrix", "model", "source", "target", "seed", "gold", "predicted"),
    "generations": ("matrix", "model", "source", "target", "seed"),
    "adapters": ("matrix", "model", "source", "seed"),
    "lineage": ("matrix", "dataset"),
    "targets": ("matrix", "target"),
    "row_traits": ("matrix", "target", "trait"),
    "row_scores": ("matrix", "model", "source", "target", "seed"),
    "evaluations": ("matrix", "model", "protocol", "tier", "seed", "outcome", "metric"),
    "probes": ("matrix", "base", "fingerprint", "dataset", "trait"),
    "predictors": ("predictor",),
    "predictions": ("predictor", "source", "target"),
    "attributions": ("predictor", "source", "target", "trait", "side"),
    "latents": ("matrix", "model", "method"),
    "latent_factors": ("matrix", "model", "method", "factor"),
    "latent_scores": ("matrix", "model", "method", "factor", "side", "dataset"),
    "latent_traits": ("matrix", "model", "method", "factor", "side", "trait"),
}

# Negative log-likelihoods in nats: they fall as things improve.
LESS_IS_BETTER = ("gold_nll", "gold_nll_calibrated", "reference_nll")
OWN, SHIPPED = "traitcast_own", "traitcast_shipped"
# Kinds of things that the package ships and the user may store under the same name.
Kind = Literal["datasets", "matrices", "predictors"]
# The first column of a natural key says what a row belongs to.
_KINDS: dict[str, Kind] = {"name": "datasets", "dataset": "datasets", "matrix": "matrices", "predictor": "predictors"}
LATENT_TABLES = ("latents", "latent_factors", "latent_scores", "latent_traits")
# Results found on a matrix, with the column of `inputs` that their column `input` must equal: they say nothing about
# other scores nor, where traits took part, about other profiles.
RESULTS = dict.fromkeys(LATENT_TABLES, "scores") | dict.fromkeys(
    ("evaluations", "latent_traits"), "scores_and_profiles"
)
# What a predictor said: `input` is the fingerprint of the predictor.
_PREDICTED = ("predictions", "attributions")
# Tables whose rows belong to a dataset, matrix or predictor and are hidden with it.
DATA = {
    table: _KINDS[keys[0]]
    for table, keys in NATURAL_KEYS.items()
    if table != "trait_catalogue" and table not in RESULTS and table not in _PREDICTED
}

_TABLES = """
CREATE TABLE datasets (
    name VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, task_type VARCHAR NOT NULL, rows BIGINT NOT NULL,
    family VARCHAR, language VARCHAR, licence VARCHAR, parent VARCHAR, changed VARCHAR,
    details JSON, reference BOOLEAN NOT NULL, profiled_at TIMESTAMP);
CREATE TABLE traits (
    dataset VARCHAR NOT NULL, part VARCHAR NOT NULL, trait VARCHAR NOT NULL,
    value DOUBLE, standard_error DOUBLE, n BIGINT NOT NULL);
CREATE TABLE trait_catalogue (
    position INTEGER NOT NULL, trait VARCHAR NOT NULL, part VARCHAR NOT NULL, family VARCHAR NOT NULL,
    unit VARCHAR NOT NULL, definition VARCHAR NOT NULL, source VARCHAR NOT NULL,
    low DOUBLE, high DOUBLE, tier VARCHAR NOT NULL);
CREATE TABLE label_counts (dataset VARCHAR NOT NULL, label VARCHAR NOT NULL, n BIGINT NOT NULL);
CREATE TABLE length_histograms (
    dataset VARCHAR NOT NULL, part VARCHAR NOT NULL, unit VARCHAR NOT NULL,
    low BIGINT NOT NULL, high BIGINT NOT NULL, n BIGINT NOT NULL);
CREATE TABLE sketches (dataset VARCHAR NOT NULL, part VARCHAR NOT NULL, kind VARCHAR NOT NULL, vector FLOAT[] NOT NULL);
CREATE TABLE matrices (
    matrix VARCHAR NOT NULL, metric VARCHAR NOT NULL, base VARCHAR NOT NULL, description VARCHAR NOT NULL,
    reference BOOLEAN NOT NULL);
CREATE TABLE scores (
    matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, source VARCHAR NOT NULL, target VARCHAR NOT NULL,
    seed BIGINT NOT NULL, metric VARCHAR NOT NULL, score DOUBLE NOT NULL, n BIGINT, standard_error DOUBLE);
CREATE TABLE predictors (
    predictor VARCHAR NOT NULL, matrix VARCHAR NOT NULL, model VARCHAR, tier VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL, bundle JSON NOT NULL, reference BOOLEAN NOT NULL);
CREATE TABLE predictions (
    predictor VARCHAR NOT NULL, source VARCHAR NOT NULL, target VARCHAR NOT NULL,
    gain DOUBLE, low DOUBLE, high DOUBLE, harm DOUBLE, novel BOOLEAN);
CREATE TABLE attributions (
    predictor VARCHAR NOT NULL, source VARCHAR NOT NULL, target VARCHAR NOT NULL,
    trait VARCHAR NOT NULL, side VARCHAR NOT NULL, family VARCHAR NOT NULL, value DOUBLE, shap DOUBLE);
"""

# The base of a cell is the untuned model's score on the target (source ''), or, for a matrix published
# without one, the mean score of all sources but the target itself: then a gain says "better than a usual source".
# More is better: of a negative log-likelihood the gain is the fall. Its unit is a hundredth of that of the score.
_VIEWS = f"""
CREATE OR REPLACE VIEW transfer AS
WITH untuned AS (
    SELECT matrix, model, target, metric, avg(score) AS base_score,
           CASE WHEN count(standard_error) = count(*) THEN sqrt(sum(standard_error * standard_error)) / count(*) END
               AS base_error
    FROM scores WHERE source = '' GROUP BY ALL
), target_mean AS (
    SELECT matrix, model, target, metric, avg(score) AS base_score, CAST(NULL AS DOUBLE) AS base_error
    FROM scores WHERE source NOT IN ('', target) GROUP BY ALL
), bases AS (
    SELECT untuned.* FROM untuned JOIN matrices USING (matrix) WHERE base = 'untuned'
    UNION ALL
    SELECT target_mean.* FROM target_mean JOIN matrices USING (matrix) WHERE base = 'target mean'
)
SELECT s.model, s.source, s.target, s.seed, s.metric, s.score, b.base_score,
       CASE WHEN s.metric IN {LESS_IS_BETTER} THEN -100 ELSE 100 END * (s.score - b.base_score) AS gain,
       100 * sqrt(s.standard_error ** 2 + b.base_error ** 2) AS standard_error, s.matrix,
       CASE WHEN s.metric IN {LESS_IS_BETTER} THEN 'cnat' WHEN s.metric <> 'output_tokens' THEN 'pp' END AS unit
FROM scores s LEFT JOIN bases b USING (matrix, model, target, metric)
WHERE s.source <> '';
"""


# Side effects of tuning: which labels a cell predicted, how long it wrote, and how its adapter trained.
_CELL = (
    "matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, source VARCHAR NOT NULL, target VARCHAR NOT NULL, "
    "seed BIGINT NOT NULL"
)
_SIDE_EFFECTS = f"""
CREATE TABLE predicted_labels ({_CELL}, gold VARCHAR NOT NULL, predicted VARCHAR NOT NULL, n BIGINT NOT NULL);
CREATE TABLE generations (
    {_CELL}, n BIGINT NOT NULL, tokens_mean DOUBLE, tokens_p10 DOUBLE, tokens_p50 DOUBLE, tokens_p90 DOUBLE,
    finished DOUBLE, empty DOUBLE);
CREATE TABLE adapters (
    matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, source VARCHAR NOT NULL, seed BIGINT NOT NULL,
    adapter VARCHAR NOT NULL, rank BIGINT, steps BIGINT, rows BIGINT, tokens BIGINT, final_loss DOUBLE,
    failed_at BIGINT);
"""
_SIDE_EFFECTS_VIEW = """
CREATE OR REPLACE VIEW side_effects AS
WITH shares AS (
    SELECT matrix, model, source, target, seed, predicted,
           sum(n) / sum(sum(n)) OVER (PARTITION BY matrix, model, source, target, seed) AS share
    FROM predicted_labels GROUP BY matrix, model, source, target, seed, predicted
), cells AS (
    SELECT DISTINCT matrix, model, source, target, seed FROM shares WHERE source <> ''
), bases AS (
    SELECT matrix, model, target, predicted, sum(share) / any_value(seeds) AS share
    FROM shares JOIN (SELECT matrix, model, target, count(DISTINCT seed) AS seeds FROM predicted_labels
                      WHERE source = '' GROUP BY ALL) USING (matrix, model, target)
    WHERE source = '' GROUP BY matrix, model, target, predicted
), either AS (
    SELECT matrix, model, source, target, seed, predicted, share, 0.0 AS base_share FROM shares WHERE source <> ''
    UNION ALL
    SELECT c.matrix, c.model, c.source, c.target, c.seed, b.predicted, 0.0, b.share
    FROM cells c JOIN bases b USING (matrix, model, target)
), labels AS (
    SELECT matrix, model, source, target, seed, sum(abs(shift)) / 2 AS label_shift
    FROM (SELECT matrix, model, source, target, seed, predicted, sum(share) - sum(base_share) AS shift
          FROM either GROUP BY ALL)
    WHERE (matrix, model, target) IN (SELECT (matrix, model, target) FROM bases)
    GROUP BY ALL
), lengths AS (
    SELECT g.matrix, g.model, g.source, g.target, g.seed, g.tokens_mean - b.tokens_mean AS length_shift
    FROM generations g
    JOIN (SELECT matrix, model, target, avg(tokens_mean) AS tokens_mean
          FROM generations WHERE source = '' GROUP BY ALL) b USING (matrix, model, target)
    WHERE g.source <> ''
)
SELECT model, source, target, seed, label_shift, length_shift, matrix
FROM labels FULL JOIN lengths USING (matrix, model, source, target, seed);
"""


# The latent factors of a matrix.
_LATENT_KEY = "matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, method VARCHAR NOT NULL"
_LATENT = f"""
CREATE TABLE latents (
    {_LATENT_KEY}, centre VARCHAR NOT NULL, unit VARCHAR NOT NULL, sources BIGINT NOT NULL, targets BIGINT NOT NULL,
    measured BIGINT NOT NULL, filled BIGINT NOT NULL, factors BIGINT NOT NULL, asked BIGINT,
    parallel_factors BIGINT NOT NULL, cross_validated_factors BIGINT NOT NULL,
    explained DOUBLE, explained_low DOUBLE, explained_high DOUBLE, noise DOUBLE, seed BIGINT NOT NULL);
CREATE TABLE latent_factors (
    {_LATENT_KEY}, factor BIGINT NOT NULL, share DOUBLE, share_low DOUBLE, share_high DOUBLE,
    source_congruence DOUBLE, source_congruence_low DOUBLE, source_congruence_high DOUBLE,
    target_congruence DOUBLE, target_congruence_low DOUBLE, target_congruence_high DOUBLE, stable BOOLEAN NOT NULL);
CREATE TABLE latent_scores (
    {_LATENT_KEY}, factor BIGINT NOT NULL, side VARCHAR NOT NULL, dataset VARCHAR NOT NULL,
    score DOUBLE NOT NULL, standard_error DOUBLE);
CREATE TABLE latent_traits (
    {_LATENT_KEY}, factor BIGINT NOT NULL, side VARCHAR NOT NULL, trait VARCHAR NOT NULL, family VARCHAR NOT NULL,
    spearman DOUBLE NOT NULL, n BIGINT NOT NULL, families BIGINT NOT NULL, p DOUBLE NOT NULL, q DOUBLE NOT NULL);
"""

# Results and traits of single test rows: what kinds of rows gain or lose. Numbers and label names, never a text.
# A matrix of 84 x 84 x 3 cells has 4 million row results, so the rows of a cell are one list: by position, in the
# order of the target's test rows. `row_changes` and `row_trait_values` lay them out row by row.
_ROWS = f"""
CREATE TABLE targets (
    matrix VARCHAR NOT NULL, target VARCHAR NOT NULL, task_type VARCHAR NOT NULL, metric VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL, rows BIGINT NOT NULL, labels VARCHAR[] NOT NULL, gold SMALLINT[],
    catalogue_version BIGINT, parsed BOOLEAN);
CREATE TABLE row_traits (
    matrix VARCHAR NOT NULL, target VARCHAR NOT NULL, trait VARCHAR NOT NULL, value FLOAT[] NOT NULL);
CREATE TABLE row_scores (
    {_CELL}, score FLOAT[] NOT NULL, predicted SMALLINT[], output_tokens INTEGER[], finished BOOLEAN[],
    has_number BOOLEAN[]);
"""
# The error of a mean gain is over rows and over seeds, since both are draws. Over rows: from the differences to the
# untuned model on the same rows, each the mean over seeds, where results on single rows are stored; else from the
# errors of both scores, which is too wide. Both add two rows that say nothing (Agresti & Caffo 2000; for pairs Agresti
# & Min 2005): the variance of 48 rows that all turn from wrong to right is 0, and that is not certainty. They are rows
# of a score that is a share of 1; others (nll) have none.
_MATRIX_VIEW = """
CREATE OR REPLACE VIEW transfer_matrix AS
WITH errors AS (
    SELECT matrix, model, source, target, seed, metric,
           CASE WHEN n > 1 AND score BETWEEN 0 AND 1 AND metric NOT LIKE '%nll%'
                THEN (((n - 1) * n * standard_error ** 2 + n * score ** 2 + 1) / (n + 2)
                      - ((n * score + 1) / (n + 2)) ** 2) / (n + 2)
                ELSE standard_error ** 2 END AS variance
    FROM scores
), base_errors AS (
    SELECT matrix, model, target, metric,
           CASE WHEN count(variance) = count(*) THEN avg(variance) / count(*) END AS variance
    FROM errors WHERE source = '' GROUP BY ALL
), cells AS (
    SELECT t.matrix, t.model, t.source, t.target, t.unit, avg(t.gain) AS gain, count(*) AS seeds,
           coalesce(var_samp(t.gain) / count(*), 0) AS over_seeds,
           10000 * CASE WHEN count(e.variance) = count(*) THEN avg(e.variance + b.variance) END AS unpaired
    FROM transfer t JOIN matrices USING (matrix, metric)
    LEFT JOIN errors e USING (matrix, model, source, target, seed, metric)
    LEFT JOIN base_errors b USING (matrix, model, target, metric)
    GROUP BY ALL
), changes AS (
    SELECT matrix, model, source, target, row, avg(score - base_score) AS change, count(*) AS seeds
    FROM (
        SELECT s.matrix, s.model, s.source, s.target, unnest(range(len(s.score))) AS row, unnest(s.score) AS score,
               unnest(b.score) AS base_score
        FROM row_scores s JOIN matrices m ON m.matrix = s.matrix AND m.metric = 'score' AND m.base = 'untuned'
        JOIN row_scores b ON b.source = '' AND (b.matrix, b.model, b.target) = (s.matrix, s.model, s.target)
        WHERE s.source <> ''
    ) GROUP BY matrix, model, source, target, row
), pairs AS (
    SELECT matrix, model, source, target, min(seeds) AS seeds,
           10000 * ((sum(change ** 2) + 1) / (count(*) + 2) - (sum(change) / (count(*) + 2)) ** 2) / (count(*) + 2)
               AS paired
    FROM changes GROUP BY ALL
)
SELECT c.model, c.source, c.target, c.gain,
       CASE WHEN c.seeds > 1 OR paired IS NOT NULL OR unpaired IS NOT NULL
            THEN sqrt(coalesce(paired, unpaired, 0) + over_seeds) END AS standard_error,
       c.seeds, c.matrix, c.unit
FROM cells c LEFT JOIN pairs USING (matrix, model, source, target, seeds);
"""
_ROW_VIEWS = """
CREATE OR REPLACE VIEW row_changes AS
SELECT model, source, target, seed, row, score, base_score, 100 * (score - base_score) AS change,
       coalesce(labels[gold + 1], CAST(gold AS VARCHAR)) AS gold,
       coalesce(labels[predicted + 1], CAST(predicted AS VARCHAR)) AS predicted,
       coalesce(labels[base_predicted + 1], CAST(base_predicted AS VARCHAR)) AS base_predicted,
       output_tokens, base_output_tokens, matrix
FROM (
    SELECT s.model, s.source, s.target, s.seed, s.matrix, t.labels, unnest(range(len(s.score))) AS row,
           unnest(s.score) AS score, unnest(b.score) AS base_score, unnest(t.gold) AS gold,
           unnest(s.predicted) AS predicted, unnest(b.predicted) AS base_predicted,
           unnest(s.output_tokens) AS output_tokens, unnest(b.output_tokens) AS base_output_tokens
    FROM row_scores s
    JOIN targets t USING (matrix, target)
    LEFT JOIN row_scores b ON b.source = '' AND (b.matrix, b.model, b.target) = (s.matrix, s.model, s.target)
    WHERE s.source <> ''
);
CREATE OR REPLACE VIEW row_trait_values AS
SELECT target, unnest(range(len(value))) AS row, trait, unnest(value) AS value, matrix FROM row_traits;
"""

# Measured quality of a predictor on a matrix: minutes of work, so that it is kept. result: as `evaluate --format json`.
# model NULL: all models of the matrix pooled.
_EVALUATIONS = """
CREATE TABLE evaluations (
    matrix VARCHAR NOT NULL, model VARCHAR, protocol VARCHAR NOT NULL, tier VARCHAR NOT NULL, seed BIGINT NOT NULL,
    cells BIGINT NOT NULL, targets BIGINT NOT NULL, spearman DOUBLE, rmse DOUBLE, result JSON NOT NULL);
"""


# How an untuned model handles a dataset: a trait of the two together. fingerprint: of the model's weights.
# matrix: the measured matrix whose untuned cells they come from, '' for those of `traitcast probe`.
_PROBES = """
CREATE TABLE probes (
    matrix VARCHAR NOT NULL, base VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, dtype VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL, trait VARCHAR NOT NULL, value DOUBLE NOT NULL, standard_error DOUBLE, n BIGINT NOT NULL);
"""


# Sources of a matrix that are variants of another dataset. They need not be profiled.
_LINEAGE = """
CREATE TABLE lineage (
    matrix VARCHAR NOT NULL, dataset VARCHAR NOT NULL, parent VARCHAR NOT NULL, changed VARCHAR NOT NULL);
"""


# `rows`: the first row numbers, from 1 as the rows were read; `count` says how many there are.
_FINDINGS = """
CREATE TABLE {schema}.findings (
    dataset VARCHAR NOT NULL, finding VARCHAR NOT NULL, part VARCHAR NOT NULL, severity VARCHAR NOT NULL,
    count BIGINT NOT NULL, looked_at BIGINT NOT NULL, message VARCHAR NOT NULL, rows BIGINT[] NOT NULL);
"""


def _first(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_TABLES)
    connection.execute(_VIEWS)


def _second(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_SIDE_EFFECTS)
    connection.execute(_SIDE_EFFECTS_VIEW)


def _third(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_LATENT)


def _fourth(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_ROWS)
    connection.execute(_ROW_VIEWS)


def _fifth(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_EVALUATIONS)


def _sixth(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_PROBES)


def _seventh(connection: duckdb.DuckDBPyConnection) -> None:
    # The texts of 1 and 2 were mended after files had been made with them.
    connection.execute(_VIEWS)
    connection.execute(_SIDE_EFFECTS_VIEW)


def _eighth(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(_LINEAGE)


def _ninth(connection: duckdb.DuckDBPyConnection) -> None:
    # Until here every table was one, and a flag said which datasets, matrices and predictors were shipped.
    connection.execute(f"CREATE SCHEMA {OWN}")
    connection.execute(f"CREATE SCHEMA {SHIPPED}")
    tables = connection.execute(
        "SELECT table_name, sql FROM duckdb_tables() WHERE schema_name = 'main' "
        "AND table_name NOT IN ('traitcast_meta', 'trait_catalogue')"
    ).fetchall()
    for table, create in tables:
        kind = _KINDS[NATURAL_KEYS[table][0]]
        named = f"{NATURAL_KEYS[table][0]} IN (SELECT {NATURAL_KEYS[kind][0]} FROM main.{kind} WHERE reference)"
        # Nothing says who found a result on a shipped matrix; `shipped.install` drops those that it brings itself.
        copies = {OWN: "true" if table in RESULTS or table in _PREDICTED else f"NOT {named}", SHIPPED: named}
        for name, rows in copies.items():
            connection.execute(create.replace(f"CREATE TABLE {table}(", f"CREATE TABLE {name}.{table}("))
            connection.execute(f"INSERT INTO {name}.{table} SELECT * FROM main.{table} WHERE {rows}")
    for table, _ in tables:
        connection.execute(f"DROP TABLE main.{table}")
        for name in (OWN, SHIPPED):
            if table in get_args(Kind):
                connection.execute(f"ALTER TABLE {name}.{table} DROP COLUMN reference")
            elif table not in DATA:
                connection.execute(f"ALTER TABLE {name}.{table} ADD COLUMN input VARCHAR")
    create_views(connection)
    for table, column in RESULTS.items():
        connection.execute(f"UPDATE {OWN}.{table} SET input = i.{column} FROM inputs i WHERE i.matrix = {table}.matrix")
    for table in _PREDICTED:
        connection.execute(
            f"UPDATE {OWN}.{table} SET input = p.fingerprint FROM predictors p WHERE p.predictor = {table}.predictor"
        )
    connection.execute("DELETE FROM traitcast_meta WHERE key = 'reference_version'")


def _tenth(connection: duckdb.DuckDBPyConnection) -> None:
    # The error of `transfer_matrix` was over seeds alone, and 0 where all seeds agreed.
    connection.execute(_VIEWS)
    connection.execute(_MATRIX_VIEW)


def _eleventh(connection: duckdb.DuckDBPyConnection) -> None:
    for name in (OWN, SHIPPED):
        connection.execute(_FINDINGS.format(schema=name))
    create_views(connection)


def _twelfth(connection: duckdb.DuckDBPyConnection) -> None:
    # Gains of a negative log-likelihood fell as things improved, and no column said a unit.
    # Evaluations were of gains in the headline metric alone; metric NULL is that.
    for name in (OWN, SHIPPED):
        connection.execute(f"ALTER TABLE {name}.evaluations ADD COLUMN outcome VARCHAR DEFAULT 'gain'")
        connection.execute(f"ALTER TABLE {name}.evaluations ADD COLUMN metric VARCHAR")
    create_views(connection)


def create_views(connection: duckdb.DuckDBPyConnection) -> None:
    """Create all views but `profiles`, whose columns depend on the trait catalogue."""
    tables = connection.execute(f"SELECT table_name FROM duckdb_tables() WHERE schema_name = '{OWN}'").fetchall()
    # While an older file is upgraded, tables and columns of later migrations are not there yet.
    columns = connection.sql(f"FROM {OWN}.evaluations").columns
    for table, kind in ((table, kind) for table, kind in DATA.items() if (table,) in tables):
        flags = (", false AS reference", ", true") if table == kind else ("", "")
        hidden = f"{NATURAL_KEYS[table][0]} IN (SELECT {NATURAL_KEYS[kind][0]} FROM {OWN}.{kind})"
        connection.execute(
            f"CREATE OR REPLACE VIEW {table} AS SELECT *{flags[0]} FROM {OWN}.{table} "
            f"UNION ALL SELECT *{flags[1]} FROM {SHIPPED}.{table} WHERE NOT {hidden}"
        )
    connection.execute(f"CREATE OR REPLACE VIEW inputs AS {inputs_sql('main')}")
    for table, column in RESULTS.items():
        # The user's own result wins over a shipped one.
        keys = NATURAL_KEYS["evaluations" if table == "evaluations" else "latents"]
        group = ", ".join(key for key in keys if table != "evaluations" or key in columns)
        connection.execute(
            f"CREATE OR REPLACE VIEW {table} AS SELECT * EXCLUDE (place, input) FROM ("
            f"SELECT *, 0 AS place FROM {OWN}.{table} UNION ALL SELECT *, 1 FROM {SHIPPED}.{table}) r "
            f"WHERE input IS NOT DISTINCT FROM (SELECT i.{column} FROM inputs i WHERE i.matrix = r.matrix) "
            f"QUALIFY rank() OVER (PARTITION BY {group} ORDER BY place) = 1"
        )
    for table in _PREDICTED:
        connection.execute(
            f"CREATE OR REPLACE VIEW {table} AS SELECT * EXCLUDE (input) FROM {OWN}.{table} r "
            "WHERE input IS NOT DISTINCT FROM (SELECT fingerprint FROM predictors p WHERE p.predictor = r.predictor)"
        )
    connection.execute(_VIEWS)
    connection.execute(_SIDE_EFFECTS_VIEW)
    connection.execute(_MATRIX_VIEW)
    connection.execute(_ROW_VIEWS)


def inputs_sql(name: str) -> str:
    """SQL of the fingerprints of what results on a matrix were found with: matrix, scores, scores_and_profiles.

    name: the schema whose matrices and profiles are meant. MD5, since DuckDB's own hash may change between versions.
    """
    return f"""
WITH scored AS (
    SELECT matrix, bit_xor(md5_number(concat_ws('|', model, source, target, seed, metric, score, n, standard_error)))
           AS hash
    FROM {name}.scores GROUP BY matrix
), valued AS (
    SELECT dataset, bit_xor(md5_number(concat_ws('|', trait, value))) AS hash FROM {name}.traits GROUP BY dataset
), profiled AS (
    SELECT matrix, bit_xor(md5_number(concat_ws('|', d.name, d.fingerprint, d.task_type, d.family, v.hash))) AS hash
    FROM (SELECT DISTINCT matrix, unnest([source, target]) AS name FROM {name}.scores)
    JOIN {name}.datasets d USING (name) LEFT JOIN valued v ON v.dataset = d.name GROUP BY matrix
)
SELECT matrix, md5(concat_ws('|', m.metric, m.base, s.hash)) AS scores,
       md5(concat_ws('|', m.metric, m.base, s.hash, p.hash)) AS scores_and_profiles
FROM {name}.matrices m LEFT JOIN scored s USING (matrix) LEFT JOIN profiled p USING (matrix)
"""


MIGRATIONS: Sequence[Callable[[duckdb.DuckDBPyConnection], None]] = (
    *(_first, _second, _third, _fourth, _fifth, _sixth, _seventh, _eighth, _ninth, _tenth, _eleventh, _twelfth),
)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Bring a file at schema `version` (0: empty) to SCHEMA_VERSION. The caller holds the transaction."""
    if version == 0:
        connection.execute("CREATE TABLE traitcast_meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL)")
        connection.execute("INSERT INTO traitcast_meta VALUES ('schema_version', '0')")
    for step in MIGRATIONS[version:]:
        step(connection)
    connection.execute("UPDATE traitcast_meta SET value = ? WHERE key = 'schema_version'", [str(SCHEMA_VERSION)])


def rebuild_profiles_view(connection: duckdb.DuckDBPyConnection) -> None:
    """One wide row per dataset, a column per trait of the catalogue, in catalogue order."""
    names = [row[0] for row in connection.execute("SELECT trait FROM trait_catalogue ORDER BY position").fetchall()]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    literals = ["'" + name.replace("'", "''") + "'" for name in names]
    wide = "".join(
        f", max(t.value) FILTER (t.trait = {literal}) AS {column}"
        for literal, column in zip(literals, quoted, strict=True)
    )
    connection.execute(
        f"CREATE OR REPLACE VIEW profiles AS SELECT d.name, d.fingerprint, d.task_type, d.rows{wide} "
        "FROM datasets d LEFT JOIN traits t ON t.dataset = d.name "
        "GROUP BY d.name, d.fingerprint, d.task_type, d.rows ORDER BY d.name"
    )
