"""The harness asks any model; without it installed these tests are left out."""

import gzip
import json
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("lm_eval")

from nestling import HopeConfig, HopeForCausalLM, Level
from nestling.evaluation import harness
from nestling.evaluation.harness import HarnessModel, measure_harness
from nestling.evaluation.harness_tasks import LOCAL, local_task

torch.set_num_threads(1)


class Bytes:
    """A tokenizer whose tokens are bytes."""

    bos_token_id = eos_token_id = 0

    def __call__(self, text, add_special_tokens):
        return {"input_ids": list(text.encode())}

    def decode(self, ids):
        return bytes(ids).decode(errors="replace")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = HopeConfig(
        vocab_size=256,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        levels=[Level(period=8, rate=30.0)],
        chunk_size=4,
        initializer_range=0.5,
    )
    return HopeForCausalLM(config).double()


def ask(model, *pairs, doc=None, **options):
    requests = [SimpleNamespace(args=pair, doc=doc or {}) for pair in pairs]
    return HarnessModel(model, Bytes(), **options).loglikelihood(requests)


PAIRS = [("What is it?", " red"), ("What", " blue, I think"), ("", "nothing before")]


def test_a_continuation_has_the_probability_of_its_tokens(model):
    for (context, continuation), (found, greedy) in zip(PAIRS, ask(model, *PAIRS), strict=True):
        before = list(context.encode()) or [0]
        ids = torch.tensor([before + list(continuation.encode())])
        logprobs = model(ids).logits[0].log_softmax(-1)
        wanted = sum(
            logprobs[place - 1, ids[0, place]].item() for place in range(len(before), ids.shape[1])
        )
        assert found == pytest.approx(wanted)
        assert not greedy


def test_requests_do_not_see_each_other(model):
    together = ask(model, *PAIRS, learn=True, batch=3)
    alone = [ask(model, pair, learn=True)[0] for pair in PAIRS]
    for one, other in zip(together, alone, strict=True):
        assert one[0] == pytest.approx(other[0])


@pytest.mark.parametrize("learn", [False, True])
def test_a_document_read_once_gives_the_same_answers(model, learn):
    document = "The cat sat on the mat, and the dog lay by the door."
    pairs = [(document + "\nWho sat?", " the cat"), (document + "\nWho lay?", " the dog")]
    doc = {"passage": document}
    each = ask(model, *pairs, doc=doc, learn=learn)
    once = ask(model, *pairs, doc=doc, learn=learn, documents=True)
    for one, other in zip(each, once, strict=True):
        assert one[0] == pytest.approx(other[0])


def test_what_was_learned_changes_the_answer(model):
    pair = ("one two one two one two one two", " one")
    assert ask(model, pair)[0][0] != pytest.approx(ask(model, pair, learn=True)[0][0])


def test_generation_ends_at_a_stop(model):
    request = SimpleNamespace(args=("say", {"until": [], "max_gen_toks": 6}), doc={})
    whole = HarnessModel(model, Bytes()).generate_until([request])[0]
    request.args = ("say", {"until": [whole[2]], "max_gen_toks": 6})
    assert (
        HarnessModel(model, Bytes()).generate_until([request])[0] == whole[: whole.find(whole[2])]
    )


def test_whole_texts_are_scored(model):
    request = SimpleNamespace(args=("some text",), doc={})
    (found,) = HarnessModel(model, Bytes()).loglikelihood_rolling([request])
    assert found == pytest.approx(ask(model, ("", "some text"))[0][0])


DOCS = {
    "arc_easy_valid": {
        "question": "Which is hot?",
        "choices": {"text": ["ice", "fire"], "label": ["A", "B"]},
        "answerKey": "B",
    },
    "boolq_valid": {"passage": "Fire is hot.", "question": "is fire hot", "answer": True},
    "hellaswag_val_half": {
        "activity_label": "Run",
        "ctx": "A man",
        "endings": ["runs", "is", "a", "b"],
        "label": 0,
    },
    "piqa_valid_half": {"goal": "To eat", "sol1": "open", "sol2": "shut", "label": 0},
    "siqa_valid": {"context": "A.", "question": "Why?", "label": "2"}
    | {f"answer{letter}": letter for letter in "ABC"},
    "winogrande_xl_valid": {
        "sentence": "The cup or the jug, _ is big.",
        "option1": "cup",
        "option2": "jug",
        "answer": "1",
    },
    "openbookqa_valid": {
        "question_stem": "Ice is",
        "choices": {"text": ["cold", "hot"], "label": ["A", "B"]},
        "answerKey": "A",
    },
    "lambada_openai_test": {"context": "The cat sat on the", "continuation": "mat"},
}


def test_local_tasks_are_run_by_the_harness(model, tmp_path):
    (tmp_path / "choice").mkdir()
    docs = {**DOCS, "arc_challenge_valid": DOCS["arc_easy_valid"]}
    for name, doc in docs.items():
        lines = "\n".join([json.dumps(doc)] * 3).encode()
        (tmp_path / f"choice/{name}.jsonl.gz").write_bytes(gzip.compress(lines))
    rows = list(measure_harness(HarnessModel(model, Bytes()), LOCAL, data=tmp_path))
    assert {row["task"] for row in rows} == set(LOCAL)
    assert all(row["samples"] == 3 for row in rows)
    assert {row["metric"] for row in rows} >= {"acc", "acc_norm", "perplexity"}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="arc_easy"):
        local_task("arc_easy", tmp_path)


def test_marks_of_the_source_are_cleaned_from_hellaswag(tmp_path):
    (tmp_path / "choice").mkdir()
    (tmp_path / "choice/hellaswag_val_half.jsonl.gz").touch()
    ask = local_task("hellaswag", tmp_path)["doc_to_text"]
    doc = {"activity_label": "Run", "ctx": "A man [title] runs [step] fast "}
    assert ask(doc) == "Run: A man. runs fast"


def test_a_group_of_tasks_has_no_samples_of_its_own(model, monkeypatch):
    found = {
        "results": {"group": {"acc,none": 0.5}, "one": {"acc,none": 0.25}},
        "n-samples": {"one": {"effective": 4}},
    }
    monkeypatch.setattr(harness, "simple_evaluate", lambda *_, **__: found)
    rows = list(measure_harness(HarnessModel(model, Bytes()), ["group"]))
    assert [(row["task"], row["samples"]) for row in rows] == [("group", None), ("one", 4)]
