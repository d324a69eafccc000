-- What schema 2 added to schema 1 when it shipped. Never edit: files in the world were made with it.

CREATE TABLE predicted_labels (matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, source VARCHAR NOT NULL, target VARCHAR NOT NULL, seed BIGINT NOT NULL, gold VARCHAR NOT NULL, predicted VARCHAR NOT NULL, n BIGINT NOT NULL);
CREATE TABLE generations (
    matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, source VARCHAR NOT NULL, target VARCHAR NOT NULL, seed BIGINT NOT NULL, n BIGINT NOT NULL, tokens_mean DOUBLE, tokens_p10 DOUBLE, tokens_p50 DOUBLE, tokens_p90 DOUBLE,
    finished DOUBLE, empty DOUBLE);
CREATE TABLE adapters (
    matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, source VARCHAR NOT NULL, seed BIGINT NOT NULL,
    adapter VARCHAR NOT NULL, rank BIGINT, steps BIGINT, rows BIGINT, tokens BIGINT, final_loss DOUBLE,
    failed_at BIGINT);
CREATE VIEW side_effects AS
WITH shares AS (
    SELECT matrix, model, source, target, seed, predicted,
           sum(n) / sum(sum(n)) OVER (PARTITION BY matrix, model, source, target, seed) AS share
    FROM predicted_labels GROUP BY matrix, model, source, target, seed, predicted
), cells AS (
    SELECT DISTINCT matrix, model, source, target, seed FROM shares WHERE source <> ''
), bases AS (
    SELECT matrix, model, target, predicted, avg(share) AS share FROM shares WHERE source = '' GROUP BY ALL
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
