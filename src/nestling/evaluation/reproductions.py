"""The published tables that can be run here, each at a stated scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from nestling.evaluation import (
    ablation,
    formal_languages,
    language_modeling,
    long_context,
    mad,
    mqar,
)
from nestling.evaluation.continual import benchmark, fact_methods, facts, methods
from nestling.evaluation.rows import Row
from nestling.evaluation.sequence_tasks import PEERS, RECALLING, measure_tasks

Measure = Callable[..., Iterator[Row]]
"""(models, seeds, run_file, progress, and data where it is needed, all by name) -> rows."""


@dataclass(frozen=True)
class Reproduction:
    """A published table: `source` as NL cites it, our `scale`, what it `takes` on a CPU.

    `needs_data` says that it is trained on the datasets, `column` names one of `models` in a row.
    """

    title: str
    source: str
    scale: str
    takes: str
    models: tuple[str, ...]
    measure: Measure
    needs_data: bool = False
    column: str = "model"


def _stream(name: str, title: str, source: str, tasks: str, takes: str) -> Reproduction:
    """A stream of `tasks` for a model whose weights all go on learning."""
    return Reproduction(
        title,
        source,
        f"a model of 1.1M parameters trained on 384,000 tokens of WikiText-2; {tasks}",
        takes,
        tuple(methods.METHODS),
        partial(benchmark.measure_continual, streams=(name,)),
        needs_data=True,
        column="method",
    )


def _on_new_seeds(name: str, takes: str) -> Reproduction:
    """The same stream on seeds that no setting was looked at with."""
    stream = _STREAMS[f"continual_{name}"]
    return replace(
        stream,
        title=f"{stream.title}, new seeds",
        takes=takes,
        models=benchmark.ON_NEW_SEEDS,
        measure=partial(benchmark.measure_on_new_seeds, streams=(name,)),
    )


_STREAMS: dict[str, Reproduction] = {
    "continual_domains": _stream(
        "domains",
        "Domains one after the other",
        "no published numbers; [L] Section 7 claims that more levels forget less",
        "82,000 tokens each of six kinds of books in four languages",
        "about 5 hours of one core for 3 seeds",
    ),
    "continual_clinc150": _stream(
        "clinc150",
        "Classes one after the other, CLINC150",
        "[L] Figure 6",
        "ten domains of 15 intents, 80 texts of each",
        "about 4 hours of one core for 3 seeds",
    ),
    "continual_dbpedia": _stream(
        "dbpedia",
        "Classes one after the other, DBpedia",
        "[L] Figure 6",
        "14 classes of articles, two at a time, up to 373 texts of each",
        "about 3.5 hours of one core for 3 seeds",
    ),
    "continual_languages": _stream(
        "languages",
        "Languages one after the other",
        "[L] Figure 8, there from Manchu and Kalamang into English",
        "640 verses from English into Basque, as many into Swahili",
        "about 1.5 hours of one core for 3 seeds",
    ),
}
REPRODUCTIONS: dict[str, Reproduction] = {
    "formal_languages": Reproduction(
        "Formal languages",
        "[L] Table 5, after Irie et al. 2023",
        "two blocks of width 32, Hope in chunks of one token, up to 2,500 steps of 32 strings",
        "about 8 hours of one core for 3 seeds, half of them for Titans",
        tuple(PEERS),
        formal_languages.measure_formal_languages,
    ),
    "mad": Reproduction(
        "Mechanistic Architecture Design",
        "[L] Table 4, after Poli et al. 2024",
        "two blocks of width 64, the base setting of each task but for selective copying, which is "
        "half as long, 800 steps of 16 sequences",
        "about 2.5 hours of one core for 3 seeds",
        mad.MODELS,
        mad.measure_mad,
    ),
    "mqar": Reproduction(
        "Multi-query associative recall",
        "Arora et al. 2024, as in [At] and [T]",
        "two blocks of width 64, 256 ids, 4 to 32 pairs, 2,000 steps of 32 sequences of any size",
        "about 3 hours of one core for 3 seeds",
        (*mad.MODELS, *(name for name in RECALLING if name not in PEERS)),
        partial(measure_tasks, mqar.TASKS, course=mqar.COURSE, peers=RECALLING),
    ),
    "needles": Reproduction(
        "Needles in real books",
        "[L] Table 1, after RULER (Hsieh et al. 2024)",
        "two blocks of width 128, trained for this on documents of up to 1,024 tokens, asked in up "
        "to 8,192",
        "about 2 hours of one core for 3 seeds",
        long_context.MODELS_ASKED,
        long_context.measure_needles,
        needs_data=True,
    ),
    "babilong": Reproduction(
        "Stories of bAbI in book text",
        "[L] Figure 9, after BABILong (Kuratov et al. 2024)",
        "two blocks of width 128, trained for this on documents of up to 1,024 tokens, asked in up "
        "to 8,192",
        "about 2 hours of one core for 3 seeds",
        long_context.BABILONG_ASKED,
        long_context.measure_babilong,
        needs_data=True,
    ),
    "language_modeling": Reproduction(
        "Language modelling",
        "[L] Table 2, 760M parameters and 30B tokens",
        "WikiText-2, 2.6M parameters, 300,000 tokens in windows of 256",
        "about 1.5 hours of one core for 3 seeds",
        tuple(language_modeling.MODELS),
        partial(language_modeling.measure_language_modeling, tokens=language_modeling.TOKENS),
        needs_data=True,
    ),
    "language_modeling_books": Reproduction(
        "Language modelling, books",
        "no published numbers; [L] Table 2 claims the order",
        "novels, 2.6M parameters, 300,000 tokens in windows of 256",
        "about 1.5 hours of one core for 3 seeds",
        tuple(language_modeling.MODELS),
        partial(
            language_modeling.measure_language_modeling,
            corpora=("novels",),
            tokens=language_modeling.TOKENS,
        ),
        needs_data=True,
    ),
    "continual_facts": Reproduction(
        "Facts over many sessions",
        "no published numbers; [L] Section 7 claims that more levels forget less",
        "the embedded model, 12 sessions of 100 turns: 360 facts, 44 changes, small talk",
        "about 2 hours of one core for 3 seeds",
        tuple(fact_methods.METHODS),
        facts.measure_continual_facts,
        column="method",
    ),
    **_STREAMS,
    "continual_domains_new_seeds": _on_new_seeds("domains", "about 1.5 hours of one core"),
    "continual_clinc150_new_seeds": _on_new_seeds("clinc150", "about 2 hours of one core"),
    "continual_dbpedia_new_seeds": _on_new_seeds("dbpedia", "about 1.5 hours of one core"),
    "continual_languages_new_seeds": _on_new_seeds("languages", "about 40 minutes of one core"),
    "ablation": Reproduction(
        "Hope without its parts",
        "[L] Table 6, 1.3B parameters and 100B tokens",
        "WikiText-2, 2.6M parameters, 200,000 tokens in windows of 256",
        "about 1.5 hours of one core for 3 seeds",
        tuple(ablation.VARIANTS),
        ablation.measure_ablation,
        needs_data=True,
    ),
}


def reproduction(name: str) -> Reproduction:
    """A table by its name. Raises ValueError with the names there are."""
    if name not in REPRODUCTIONS:
        raise ValueError(f"there is no table {name!r}; there are: {', '.join(REPRODUCTIONS)}")
    return REPRODUCTIONS[name]
