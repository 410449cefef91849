"""What the papers report, to stand beside our own numbers (NL §6; accuracies in percent)."""

from __future__ import annotations

_COUNTERS = {task: (100.0, 100.0) for task in ("a^n b^n", "a^n b^n c^n", "shuffle-2")}
_NOT_REGULAR = {"(aa)*": (0.0, 0.0), "(abab)*": (0.0, 0.0), **_COUNTERS}
_ALL = {
    task: (100.0, 100.0) for task in ("parity", "(aa)*", "(abab)*", "a^n b^n", "a^n b^n c^n")
} | {"shuffle-2": (100.0, 100.0)}

# Model -> language -> (lengths as in training, longer).
FORMAL_LANGUAGES: dict[str, dict[str, tuple[float, float]]] = {
    "hope": _ALL,
    "delta_net": {"parity": (98.2, 10.1), **_NOT_REGULAR},
    "retention": {"parity": (78.1, 0.0), **_NOT_REGULAR},
    "transformer": {"parity": (46.4, 0.0), **_NOT_REGULAR},
}
# What a row of these is of in the paper, where it is not the same model.
FORMAL_LANGUAGES_OF = {"retention": "linear attention"}

_MAD_TASKS = ("compression", "recall", "fuzzy recall", "selective copying", "memorisation")
# Model -> task -> accuracy.
MAD: dict[str, dict[str, float]] = {
    "hope": dict(zip(_MAD_TASKS, (51.2, 100.0, 52.1, 99.7, 85.2), strict=True)),
    "titans": dict(zip(_MAD_TASKS, (49.8, 100.0, 50.0, 99.4, 83.4), strict=True)),
    "transformer": dict(zip(_MAD_TASKS, (49.4, 100.0, 47.9, 96.2, 83.7), strict=True)),
}

# Model -> perplexity on WikiText, 760M parameters and 30B tokens.
LANGUAGE_MODELING: dict[str, float] = {
    "transformer": 24.18,
    "retention": 25.77,
    "delta_net": 24.52,
    "titans": 20.08,
    "hope": 18.68,
}
# Variant -> mean perplexity, 1.3B parameters and 100B tokens.
ABLATION: dict[str, float] = {
    "hope": 12.24,
    "without DGD": 13.41,
    "without momentum": 13.58,
    "without weight decay": 13.71,
    "without CMS": 13.04,
    "static k": 13.77,
    "static v": 13.90,
    "static q": 12.19,
}

# Model -> kind -> tokens of the document -> accuracy; "single" is RULER's second kind, a number in
# essays ([L] Table 1).
NEEDLES: dict[str, dict[str, dict[int, float]]] = {
    model: {
        kind: dict(zip((4096, 8192, 16384), numbers, strict=True))
        for kind, numbers in zip(
            ("single", "multi-key", "multi-query", "multi-value"), rows, strict=True
        )
    }
    for model, rows in {
        "transformer": (
            (100.0, 98.8, 94.2),
            (79.4, 83.0, 61.4),
            (58.9, 48.0, 29.8),
            (37.5, 34.1, 21.5),
        ),
        "hope-attention": (
            (100.0, 98.4, 94.4),
            (80.2, 84.8, 60.8),
            (60.4, 47.8, 30.6),
            (35.2, 34.4, 24.8),
        ),
        "titans": ((99.6, 84.6, 75.4), (26.4, 23.6, 8.2), (22.8, 19.8, 9.4), (24.6, 15.1, 8.2)),
        "hope": ((99.2, 88.4, 78.2), (29.4, 24.8, 14.8), (31.7, 24.8, 14.2), (31.4, 17.2, 11.4)),
    }.items()
}
