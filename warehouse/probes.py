"""The probes: numbers that need a base model but no tuning, and belong to a dataset and that model together.

Owns their list, since the room that measures them (training) and the one that learns from them (predictor) may not
know each other. They are no part of the profiler's catalogue: a profile is of the data alone, and is made without a
model.
"""

from __future__ import annotations

from traitcast.warehouse.records import TraitDefinition

FAMILY = TIER = "probe"

PROBES: tuple[TraitDefinition, ...] = tuple(
    TraitDefinition(f"probe_{name}", part, FAMILY, unit, definition, source, low, high, TIER)
    for name, part, unit, low, high, definition, source in (
        (
            *("score", "dataset", "share", 0.0, 1.0),
            "Zero-shot score of the untuned model on the dataset's own metric.",
            "defined here",
        ),
        (
            *("response_nll", "response", "nats per token", 0.0, None),
            "Mean over rows of the untuned model's loss on the right answer after its prompt, per token of the answer.",
            "negative log-likelihood",
        ),
        (
            *("gold_nll", "label", "nats", 0.0, None),
            "Mean of -ln of the right option's share among the options of its row.",
            "negative log-likelihood",
        ),
        (
            *("option_entropy", "label", "share", 0.0, 1.0),
            "Mean entropy of the untuned model's distribution over the options of a row, over that of a uniform one.",
            "Shannon 1948",
        ),
        (
            *("predicted_majority_share", "label", "share", 0.0, 1.0),
            "Share of the label (of a multiple choice: the position) that the untuned model answers most.",
            "defined here",
        ),
        (
            *("label_shift", "label", "share", 0.0, 1.0),
            "Total variation distance between the labels that the untuned model answers and the right ones.",
            "Levin and Peres 2017, section 4.1",
        ),
        (
            *("output_tokens_mean", "response", "tokens", 0.0, None),
            "Mean tokens that the untuned model writes, the end token not counted, up to the cap.",
            "defined here",
        ),
        (
            *("length_ratio", "response", "log ratio", None, None),
            "Mean of ln((1 + tokens written) / (1 + tokens of the reference)).",
            "defined here",
        ),
    )
)
