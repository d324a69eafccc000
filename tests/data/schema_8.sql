-- A whole file of schema 8, the last one in which shipped rows and those of the user shared their tables, with a few
-- rows of each table. Never edit: files in the world were made with it.

CREATE TABLE adapters(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "source" VARCHAR NOT NULL, seed BIGINT NOT NULL, adapter VARCHAR NOT NULL, rank BIGINT, steps BIGINT, "rows" BIGINT, tokens BIGINT, final_loss DOUBLE, failed_at BIGINT);
CREATE TABLE attributions(predictor VARCHAR NOT NULL, "source" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, trait VARCHAR NOT NULL, side VARCHAR NOT NULL, "family" VARCHAR NOT NULL, "value" DOUBLE, shap DOUBLE);
CREATE TABLE datasets("name" VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, task_type VARCHAR NOT NULL, "rows" BIGINT NOT NULL, "family" VARCHAR, "language" VARCHAR, licence VARCHAR, parent VARCHAR, changed VARCHAR, details JSON, reference BOOLEAN NOT NULL, profiled_at TIMESTAMP);
CREATE TABLE evaluations(matrix VARCHAR NOT NULL, model VARCHAR, protocol VARCHAR NOT NULL, tier VARCHAR NOT NULL, seed BIGINT NOT NULL, cells BIGINT NOT NULL, targets BIGINT NOT NULL, spearman DOUBLE, rmse DOUBLE, result JSON NOT NULL);
CREATE TABLE generations(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "source" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, seed BIGINT NOT NULL, n BIGINT NOT NULL, tokens_mean DOUBLE, tokens_p10 DOUBLE, tokens_p50 DOUBLE, tokens_p90 DOUBLE, finished DOUBLE, empty DOUBLE);
CREATE TABLE label_counts(dataset VARCHAR NOT NULL, "label" VARCHAR NOT NULL, n BIGINT NOT NULL);
CREATE TABLE latent_factors(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "method" VARCHAR NOT NULL, factor BIGINT NOT NULL, "share" DOUBLE, share_low DOUBLE, share_high DOUBLE, source_congruence DOUBLE, source_congruence_low DOUBLE, source_congruence_high DOUBLE, target_congruence DOUBLE, target_congruence_low DOUBLE, target_congruence_high DOUBLE, "stable" BOOLEAN NOT NULL);
CREATE TABLE latent_scores(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "method" VARCHAR NOT NULL, factor BIGINT NOT NULL, side VARCHAR NOT NULL, dataset VARCHAR NOT NULL, score DOUBLE NOT NULL, standard_error DOUBLE);
CREATE TABLE latent_traits(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "method" VARCHAR NOT NULL, factor BIGINT NOT NULL, side VARCHAR NOT NULL, trait VARCHAR NOT NULL, "family" VARCHAR NOT NULL, spearman DOUBLE NOT NULL, n BIGINT NOT NULL, families BIGINT NOT NULL, p DOUBLE NOT NULL, q DOUBLE NOT NULL);
CREATE TABLE latents(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "method" VARCHAR NOT NULL, centre VARCHAR NOT NULL, unit VARCHAR NOT NULL, sources BIGINT NOT NULL, targets BIGINT NOT NULL, measured BIGINT NOT NULL, filled BIGINT NOT NULL, factors BIGINT NOT NULL, asked BIGINT, parallel_factors BIGINT NOT NULL, cross_validated_factors BIGINT NOT NULL, explained DOUBLE, explained_low DOUBLE, explained_high DOUBLE, noise DOUBLE, seed BIGINT NOT NULL);
CREATE TABLE length_histograms(dataset VARCHAR NOT NULL, part VARCHAR NOT NULL, unit VARCHAR NOT NULL, low BIGINT NOT NULL, high BIGINT NOT NULL, n BIGINT NOT NULL);
CREATE TABLE lineage(matrix VARCHAR NOT NULL, dataset VARCHAR NOT NULL, parent VARCHAR NOT NULL, changed VARCHAR NOT NULL);
CREATE TABLE matrices(matrix VARCHAR NOT NULL, metric VARCHAR NOT NULL, base VARCHAR NOT NULL, description VARCHAR NOT NULL, reference BOOLEAN NOT NULL);
CREATE TABLE predicted_labels(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "source" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, seed BIGINT NOT NULL, gold VARCHAR NOT NULL, predicted VARCHAR NOT NULL, n BIGINT NOT NULL);
CREATE TABLE predictions(predictor VARCHAR NOT NULL, "source" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, gain DOUBLE, low DOUBLE, high DOUBLE, harm DOUBLE, novel BOOLEAN);
CREATE TABLE predictors(predictor VARCHAR NOT NULL, matrix VARCHAR NOT NULL, model VARCHAR, tier VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, bundle JSON NOT NULL, reference BOOLEAN NOT NULL);
CREATE TABLE probes(matrix VARCHAR NOT NULL, base VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, dtype VARCHAR NOT NULL, dataset VARCHAR NOT NULL, trait VARCHAR NOT NULL, "value" DOUBLE NOT NULL, standard_error DOUBLE, n BIGINT NOT NULL);
CREATE TABLE row_scores(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "source" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, seed BIGINT NOT NULL, score FLOAT[] NOT NULL, predicted SMALLINT[], output_tokens INTEGER[], finished BOOLEAN[], has_number BOOLEAN[]);
CREATE TABLE row_traits(matrix VARCHAR NOT NULL, "target" VARCHAR NOT NULL, trait VARCHAR NOT NULL, "value" FLOAT[] NOT NULL);
CREATE TABLE scores(matrix VARCHAR NOT NULL, model VARCHAR NOT NULL, "source" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, seed BIGINT NOT NULL, metric VARCHAR NOT NULL, score DOUBLE NOT NULL, n BIGINT, standard_error DOUBLE);
CREATE TABLE sketches(dataset VARCHAR NOT NULL, part VARCHAR NOT NULL, kind VARCHAR NOT NULL, vector FLOAT[] NOT NULL);
CREATE TABLE targets(matrix VARCHAR NOT NULL, "target" VARCHAR NOT NULL, task_type VARCHAR NOT NULL, metric VARCHAR NOT NULL, fingerprint VARCHAR NOT NULL, "rows" BIGINT NOT NULL, labels VARCHAR[] NOT NULL, gold SMALLINT[], catalogue_version BIGINT, parsed BOOLEAN);
CREATE TABLE trait_catalogue("position" INTEGER NOT NULL, trait VARCHAR NOT NULL, part VARCHAR NOT NULL, "family" VARCHAR NOT NULL, unit VARCHAR NOT NULL, definition VARCHAR NOT NULL, "source" VARCHAR NOT NULL, low DOUBLE, high DOUBLE, tier VARCHAR NOT NULL);
CREATE TABLE traits(dataset VARCHAR NOT NULL, part VARCHAR NOT NULL, trait VARCHAR NOT NULL, "value" DOUBLE, standard_error DOUBLE, n BIGINT NOT NULL);
CREATE VIEW transfer AS WITH untuned AS (SELECT matrix, model, "target", metric, avg(score) AS base_score, CASE  WHEN ((count(standard_error) = count_star())) THEN ((sqrt(sum((standard_error * standard_error))) / count_star())) ELSE NULL END AS base_error FROM scores WHERE ("source" = '') GROUP BY ALL), target_mean AS (SELECT matrix, model, "target", metric, avg(score) AS base_score, CAST(NULL AS DOUBLE) AS base_error FROM scores WHERE (NOT ("source" IN ('', "target"))) GROUP BY ALL), bases AS ((SELECT untuned.* FROM untuned INNER JOIN matrices USING (matrix) WHERE (base = 'untuned')) UNION ALL (SELECT target_mean.* FROM target_mean INNER JOIN matrices USING (matrix) WHERE (base = 'target mean'))) SELECT s.model, s."source", s."target", s.seed, s.metric, s.score, b.base_score, (100 * (s.score - b.base_score)) AS gain, (100 * sqrt(((s.standard_error ** 2) + (b.base_error ** 2)))) AS standard_error, s.matrix FROM scores AS s LEFT JOIN bases AS b USING (matrix, model, "target", metric) WHERE (s."source" != '');
CREATE VIEW transfer_matrix AS SELECT model, "source", "target", avg(gain) AS gain, CASE  WHEN ((count_star() > 1)) THEN ((stddev_samp(gain) / sqrt(count_star()))) ELSE any_value(standard_error) END AS standard_error, count_star() AS seeds, matrix FROM transfer INNER JOIN matrices USING (matrix, metric) GROUP BY model, "source", "target", matrix;
CREATE VIEW side_effects AS WITH shares AS (SELECT matrix, model, "source", "target", seed, predicted, (sum(n) / sum(sum(n)) OVER (PARTITION BY matrix, model, "source", "target", seed)) AS "share" FROM predicted_labels GROUP BY matrix, model, "source", "target", seed, predicted), cells AS (SELECT DISTINCT matrix, model, "source", "target", seed FROM shares WHERE ("source" != '')), bases AS (SELECT matrix, model, "target", predicted, (sum("share") / any_value(seeds)) AS "share" FROM shares INNER JOIN (SELECT matrix, model, "target", count(DISTINCT seed) AS seeds FROM predicted_labels WHERE ("source" = '') GROUP BY ALL) USING (matrix, model, "target") WHERE ("source" = '') GROUP BY matrix, model, "target", predicted), either AS ((SELECT matrix, model, "source", "target", seed, predicted, "share", 0.0 AS base_share FROM shares WHERE ("source" != '')) UNION ALL (SELECT c.matrix, c.model, c."source", c."target", c.seed, b.predicted, 0.0, b."share" FROM cells AS c INNER JOIN bases AS b USING (matrix, model, "target"))), labels AS (SELECT matrix, model, "source", "target", seed, (sum(abs(shift)) / 2) AS label_shift FROM (SELECT matrix, model, "source", "target", seed, predicted, (sum("share") - sum(base_share)) AS shift FROM either GROUP BY ALL) WHERE ("row"(matrix, model, "target") = ANY(SELECT "row"(matrix, model, "target") FROM bases)) GROUP BY ALL), lengths AS (SELECT g.matrix, g.model, g."source", g."target", g.seed, (g.tokens_mean - b.tokens_mean) AS length_shift FROM generations AS g INNER JOIN (SELECT matrix, model, "target", avg(tokens_mean) AS tokens_mean FROM generations WHERE ("source" = '') GROUP BY ALL) AS b USING (matrix, model, "target") WHERE (g."source" != '')) SELECT model, "source", "target", seed, label_shift, length_shift, matrix FROM labels FULL JOIN lengths USING (matrix, model, "source", "target", seed);
CREATE VIEW row_changes AS SELECT model, "source", "target", seed, "row", score, base_score, (100 * (score - base_score)) AS change, COALESCE(labels[(gold + 1)], CAST(gold AS VARCHAR)) AS gold, COALESCE(labels[(predicted + 1)], CAST(predicted AS VARCHAR)) AS predicted, COALESCE(labels[(base_predicted + 1)], CAST(base_predicted AS VARCHAR)) AS base_predicted, output_tokens, base_output_tokens, matrix FROM (SELECT s.model, s."source", s."target", s.seed, s.matrix, t.labels, unnest("range"(len(s.score))) AS "row", unnest(s.score) AS score, unnest(b.score) AS base_score, unnest(t.gold) AS gold, unnest(s.predicted) AS predicted, unnest(b.predicted) AS base_predicted, unnest(s.output_tokens) AS output_tokens, unnest(b.output_tokens) AS base_output_tokens FROM row_scores AS s INNER JOIN targets AS t USING (matrix, "target") LEFT JOIN row_scores AS b ON (((b."source" = '') AND ("row"(b.matrix, b.model, b."target") = "row"(s.matrix, s.model, s."target")))) WHERE (s."source" != ''));
CREATE VIEW row_trait_values AS SELECT "target", unnest("range"(len("value"))) AS "row", trait, unnest("value") AS "value", matrix FROM row_traits;

INSERT INTO trait_catalogue VALUES
    (0, 'label_majority_share', 'label', 'class_balance', 'share', 'Share of the largest class.', 'here', 0, 1, 'all rows');
INSERT INTO datasets VALUES
    ('mine', 'v1:m', 'classification', 10, NULL, 'en', NULL, NULL, NULL, '{"catalogue_version": 1}', false, '2026-01-01'),
    ('public', 'v1:p', 'classification', 20, NULL, 'en', 'MIT', NULL, NULL, '{"catalogue_version": 1}', true, NULL);
INSERT INTO traits VALUES
    ('mine', 'label', 'label_majority_share', 0.6, NULL, 10), ('public', 'label', 'label_majority_share', 0.5, NULL, 20);
INSERT INTO label_counts VALUES ('mine', 'a', 6), ('mine', 'b', 4), ('public', 'a', 10), ('public', 'b', 10);
INSERT INTO length_histograms VALUES ('mine', 'prompt', 'words', 0, 8, 10), ('public', 'prompt', 'words', 0, 8, 20);
INSERT INTO sketches VALUES ('mine', 'prompt', 'words_hashed', [1, 2]), ('public', 'prompt', 'words_hashed', [2, 3]);
INSERT INTO matrices VALUES ('own', 'accuracy', 'untuned', '', false), ('published', 'accuracy', 'untuned', '', true);
INSERT INTO scores
SELECT matrix, 'm', source, target, 0, 'accuracy', score, 100, 0.03
FROM (VALUES ('own'), ('published')) AS m(matrix),
     (VALUES ('', 'mine', 0.5), ('public', 'mine', 0.6), ('', 'public', 0.4), ('mine', 'public', 0.7)) AS s(source, target, score);
INSERT INTO predicted_labels
SELECT matrix, 'm', source, 'mine', 0, 'a', predicted, 5
FROM (VALUES ('own'), ('published')) AS m(matrix), (VALUES ('', 'a'), ('public', 'b')) AS s(source, predicted);
INSERT INTO generations
SELECT matrix, 'm', source, 'mine', 0, 10, tokens, 1, 2, 3, 1, 0
FROM (VALUES ('own'), ('published')) AS m(matrix), (VALUES ('', 4.0), ('public', 6.0)) AS s(source, tokens);
INSERT INTO adapters SELECT matrix, 'm', 'public', 0, 'v1-a', 16, 10, 20, 400, 0.5, NULL FROM matrices;
INSERT INTO targets SELECT matrix, 'mine', 'classification', 'accuracy', 'v1:t', 2, ['a', 'b'], [0, 1], 1, false FROM matrices;
INSERT INTO row_traits SELECT matrix, 'mine', 'prompt_words', [3.0, 4.0] FROM matrices;
INSERT INTO row_scores
SELECT matrix, 'm', source, 'mine', 0, score, [0, 1], NULL, NULL, NULL
FROM matrices, (VALUES ('', [0.0, 1.0]), ('public', [1.0, 1.0])) AS s(source, score);
INSERT INTO lineage SELECT matrix, 'mine', 'public', 'half dataset_rows' FROM matrices;
INSERT INTO probes
SELECT matrix, 'base', 'v1:b', 'float32', 'mine', 'probe_score', 0.4, 0.1, 10
FROM (VALUES ('own'), ('published'), ('')) AS m(matrix);
INSERT INTO evaluations
SELECT matrix, model, 'new-target', 'static', 0, 2, 2, 0.5, 1.0, '{}'
FROM matrices, (VALUES ('m'), (NULL)) AS s(model);
INSERT INTO latents SELECT matrix, 'm', 'pca', 'grand', 'pp', 2, 2, 2, 0, 1, NULL, 1, 1, 0.5, 0.4, 0.6, 0.1, 0 FROM matrices;
INSERT INTO latent_factors SELECT matrix, 'm', 'pca', 1, 0.5, 0.4, 0.6, 1, 1, 1, 1, 1, 1, true FROM matrices;
INSERT INTO latent_scores SELECT matrix, 'm', 'pca', 1, 'source', 'mine', 0.5, NULL FROM matrices;
INSERT INTO latent_traits
SELECT matrix, 'm', 'pca', 1, 'source', 'label_majority_share', 'class_balance', 0.5, 4, 3, 0.1, 0.2 FROM matrices;
INSERT INTO predictors VALUES
    ('mine', 'own', NULL, 'static', 'v1:u', '{}', false), ('default', 'published', NULL, 'static', 'v1:s', '{}', true);
INSERT INTO predictions SELECT predictor, 'public', 'mine', 1.0, 0.0, 2.0, 0.1, false FROM predictors;
INSERT INTO attributions
SELECT predictor, 'public', 'mine', 'label_majority_share', 'source', 'class_balance', 0.5, 0.1 FROM predictors;
