"""Labels that the words of their row contradict.

Owns the linear model and what counts as confident. Takes texts and labels, and gives marks; it knows nothing of rows
that were not given to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Below this accuracy on held-out rows the model has no standing to contradict anybody.
MIN_ACCURACY = 0.6
# A row is marked when the model gives another class at least this, and the label at most that.
SURE, DOUBTED = 0.9, 0.05
# Of the held-out rows of which the model is sure, so many must agree with it: else it is sure without reason.
AGREED = 0.95
FOLDS = 4
# A class needs a few rows in each fold.
MIN_ROWS = 2 * FOLDS
FEATURES = 1 << 16


def contradicted(
    texts: Sequence[str], labels: Sequence[str], *, groups: npt.NDArray[np.uint64] | None = None, seed: int = 0
) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Rows whose label a linear model, fitted on other rows, contradicts with confidence.

    A logistic regression on words and pairs of words (tf-idf) predicts each row from the other folds, as in confident
    learning (Northcutt, Jiang and Chuang 2021).

    Parameters
    ----------
    texts, labels
        One of each per row.
    groups
        uint64, a key per row: rows with the same key are in the same fold, so that a copy does not vote for itself.
    seed
        Of the folds.

    Returns
    -------
    tuple
        bool (rows,), and for every row the class that the model prefers. No row is marked where the model is right on
        fewer than `MIN_ACCURACY` of the held-out rows, no better than the majority class, or wrong where it is sure on
        more than one in twenty.
    """
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import PredefinedSplit, cross_val_predict
    from sklearn.pipeline import make_pipeline

    given = np.asarray(labels, dtype=object)
    names, codes, counts = np.unique(given.astype(str), return_inverse=True, return_counts=True)
    nothing = np.zeros(len(texts), dtype=bool)
    used = (counts >= MIN_ROWS)[codes]
    if used.sum() < 2 * MIN_ROWS or len(np.unique(codes[used])) < 2:
        return nothing, list(given)
    chosen = [text for text, use in zip(texts, used, strict=True) if use]
    classes, y = np.unique(codes[used], return_inverse=True)
    model = make_pipeline(
        HashingVectorizer(n_features=FEATURES, ngram_range=(1, 2), alternate_sign=False, norm=None),
        TfidfTransformer(sublinear_tf=True),
        SGDClassifier(loss="log_loss", alpha=1e-5, max_iter=20, tol=None, random_state=seed),
    )
    keys = np.arange(len(y)) if groups is None else np.unique(groups[used], return_inverse=True)[1]
    folds = PredefinedSplit(_folds(y, keys, seed))
    chances = cross_val_predict(model, chosen, y, cv=folds, method="predict_proba")
    guess = chances.argmax(axis=1)
    accuracy, majority = float((guess == y).mean()), float(np.bincount(y).max() / len(y))
    if accuracy < max(MIN_ACCURACY, majority):
        return nothing, list(given)
    sure = chances.max(axis=1) >= SURE
    if not sure.any() or (guess == y)[sure].mean() < AGREED:
        return nothing, list(given)
    doubted = sure & (chances[np.arange(len(y)), y] <= DOUBTED)
    found, preferred = nothing.copy(), given.copy()
    found[np.flatnonzero(used)] = doubted
    preferred[np.flatnonzero(used)] = names[classes[guess]]
    return found, list(preferred)


def _folds(y: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.int64]:
    """A fold for each row, the same for all rows of a group, and for a class about as many rows in each.

    A group counts for the class of its first row. scikit-learn's StratifiedGroupKFold counts all of its rows, which
    takes two seconds for 10,000 rows where most groups are single rows.

    y, groups: int64 (rows,), from 0 on.
    """
    _, first = np.unique(groups, return_index=True)
    order = np.random.default_rng(seed).permutation(len(first))
    order = order[np.argsort(y[first][order], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(first)) % FOLDS
    return fold[groups]
