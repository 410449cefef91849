"""Choice tasks from local files, as configurations of lm-evaluation-harness.

Prompts and metrics follow the harness's own tasks of these names, so that numbers compare; some
files hold half of the documents, and that of HellaSwag does not say where the second sentence of a
context begins, which upstream makes a capital. The files are `<folder>/choice/*.jsonl.gz`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

Doc = dict[str, Any]

_ACCURACY = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
_BOTH = {"metric_list": [_ACCURACY, {**_ACCURACY, "metric": "acc_norm"}]}


def _question(doc: Doc) -> str:
    return f"Question: {doc['question']}\nAnswer:"


def _labelled(doc: Doc) -> int:
    return doc["choices"]["label"].index(doc["answerKey"])


def _texts(doc: Doc) -> list[str]:
    return doc["choices"]["text"]


def _both_ways(doc: Doc) -> list[str]:
    """The sentence up to the gap, with either word in it."""
    before = doc["sentence"][: doc["sentence"].index("_")]
    return [before + doc["option1"], before + doc["option2"]]


def _cleaned(text: str) -> str:
    """As HellaSwag is cleaned of the marks of its source."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


# Name -> file, and what asks, the choices, and the place of the right one.
CHOICES: dict[str, tuple[str, dict[str, Any]]] = {
    "arc_easy": (
        "arc_easy_valid",
        {"doc_to_text": _question, "doc_to_choice": _texts, "doc_to_target": _labelled, **_BOTH},
    ),
    "arc_challenge": (
        "arc_challenge_valid",
        {"doc_to_text": _question, "doc_to_choice": _texts, "doc_to_target": _labelled, **_BOTH},
    ),
    "openbookqa": (
        "openbookqa_valid",
        {
            "doc_to_text": lambda doc: doc["question_stem"],
            "doc_to_choice": _texts,
            "doc_to_target": _labelled,
            **_BOTH,
        },
    ),
    "boolq": (
        "boolq_valid",
        {
            "doc_to_text": lambda doc: f"{doc['passage']}\nQuestion: {doc['question']}?\nAnswer:",
            "doc_to_choice": ["no", "yes"],
            "doc_to_target": lambda doc: int(doc["answer"]),
        },
    ),
    "hellaswag": (
        "hellaswag_val_half",
        {
            "doc_to_text": lambda doc: _cleaned(f"{doc['activity_label']}: {doc['ctx']}"),
            "doc_to_choice": lambda doc: [_cleaned(ending) for ending in doc["endings"]],
            "doc_to_target": lambda doc: int(doc["label"]),
            **_BOTH,
        },
    ),
    "piqa": (
        "piqa_valid_half",
        {
            "doc_to_text": lambda doc: f"Question: {doc['goal']}\nAnswer:",
            "doc_to_choice": lambda doc: [doc["sol1"], doc["sol2"]],
            "doc_to_target": lambda doc: int(doc["label"]),
            **_BOTH,
        },
    ),
    "social_iqa": (
        "siqa_valid",
        {
            "doc_to_text": lambda doc: f"Q: {doc['context']} {doc['question']}\nA:",
            "doc_to_choice": lambda doc: [doc["answerA"], doc["answerB"], doc["answerC"]],
            "doc_to_target": lambda doc: int(doc["label"]) - 1,
        },
    ),
    "winogrande": (
        "winogrande_xl_valid",
        {
            "doc_to_text": lambda doc: int(doc["answer"]) - 1,
            "doc_to_choice": _both_ways,
            "doc_to_target": lambda doc: doc["sentence"][doc["sentence"].index("_") + 1 :].strip(),
        },
    ),
}
LAMBADA = "lambada_openai"
LOCAL = (*CHOICES, LAMBADA)


def local_task(name: str, data: Path) -> dict[str, Any]:
    """The configuration of a task of `LOCAL` on the files below `data`.

    Raises:
        FileNotFoundError: its file is not there.
    """
    if name == LAMBADA:
        file, config = "lambada_openai_test", _lambada()
    else:
        file, prompts = CHOICES[name]
        config = {"output_type": "multiple_choice", "metric_list": [_ACCURACY], **prompts}
    path = data / "choice" / f"{file}.jsonl.gz"
    if not path.is_file():
        raise FileNotFoundError(f"the task {name} needs {path}; name the data folder with --data")
    return {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"validation": str(path)}},
        "validation_split": "validation",
        "test_split": None,
        "num_fewshot": 0,
        **config,
    }


def _lambada() -> dict[str, Any]:
    return {
        "output_type": "loglikelihood",
        "doc_to_text": lambda doc: doc["context"],
        "doc_to_target": lambda doc: " " + doc["continuation"],
        "metric_list": [
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
        ],
    }
