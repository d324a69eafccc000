-- What schema 1 was when it shipped. Never edit: files in the world were made with it.

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

CREATE VIEW transfer AS
WITH untuned AS (
    SELECT matrix, model, target, metric, avg(score) AS base_score,
           sqrt(sum(standard_error * standard_error)) / count(*) AS base_error
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
       100 * (s.score - b.base_score) AS gain,
       100 * sqrt(s.standard_error ** 2 + b.base_error ** 2) AS standard_error, s.matrix
FROM scores s LEFT JOIN bases b USING (matrix, model, target, metric)
WHERE s.source <> '';
CREATE VIEW transfer_matrix AS
SELECT model, source, target, avg(gain) AS gain,
       CASE WHEN count(*) > 1 THEN stddev_samp(gain) / sqrt(count(*)) ELSE any_value(standard_error) END
           AS standard_error,
       count(*) AS seeds, matrix
FROM transfer JOIN matrices USING (matrix, metric)
GROUP BY model, source, target, matrix;
