"""Every method lives through a short stream and is judged alike."""

import importlib.util
from dataclasses import replace

import pytest
import torch

from nestling.evaluation.continual import baselines, benchmark
from nestling.evaluation.continual.baselines import LoRAPerTask
from nestling.evaluation.continual.benchmark import (
    Course,
    begun_model,
    live,
    measure_continual,
)
from nestling.evaluation.continual.kept import ROOM, Kept
from nestling.evaluation.continual.learners import FineTuning, HopeLearner
from nestling.evaluation.continual.method import Method
from nestling.evaluation.continual.methods import METHODS
from nestling.evaluation.continual.streams import (
    CHOICES,
    VOCABULARY,
    Choice,
    Stream,
    StreamSize,
    Task,
)
from nestling.evaluation.continual.tables import _stream_table
from nestling.training.night import NightOptions
from nestling.training.passages import losses_of, mean_loss, passages_of

torch.set_num_threads(1)

SIZE = StreamSize(length=12, words=9, given=4, train=8, labelled=8, test=4, base=8, base_test=4)
COURSE = Course(width=16, layers=1, heads=2, batch=4, day=1, base_rate=1e-2, size=SIZE)


def walks(step, count, given=1):
    """Texts that count on in steps of their own."""
    rows = [[100 * step + (i + step * t) % 50 for t in range(10)] for i in range(count)]
    return passages_of([(row, given) for row in rows])


def classes(first, count, given=5):
    """Texts of two classes; which it is, the first token says."""
    rows = [
        ([300 + first + i % 2, 7, 8, 9, 10, VOCABULARY + first + i % 2], given)
        for i in range(count)
    ]
    return passages_of(rows)


def make_stream(name, seed=0):
    if name == "classes":
        tasks = [
            Task(f"{i}", classes(i, 8), classes(i, 4), (VOCABULARY + i, VOCABULARY + i + 1))
            for i in (0, 2)
        ]
        vocabulary = VOCABULARY + 4
    else:
        tasks = [Task(f"{i}", walks(i, 8), walks(i, 4, given=3)) for i in (1, 2)]
        vocabulary = VOCABULARY
    right = torch.tensor([True, False, False, True])
    choices = tuple(
        Choice(kind, walks(4, 4, given=6), torch.tensor([0, 0, 1, 1]), right) for kind in CHOICES
    )
    return Stream(name, tuple(tasks), walks(3, 8), walks(3, 4), choices, vocabulary)


def needed(name):
    for package, word in (("peft", "lora"), ("bm25s", "retrieval")):
        if name.startswith(word) and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("kind", ["text", "classes"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_lives_through_a_stream(name, kind):
    needed(name)
    stream = make_stream(kind)
    model = COURSE.model(stream.vocabulary, 0).eval()
    before = {key: weight.clone() for key, weight in model.named_parameters()}
    learner = METHODS[name].make(model, stream, seed=0, **METHODS[name].settings[0])
    row = live(learner, stream, COURSE, 2, 0)
    assert [len(line) for line in row["matrix"]] == [1, 2]
    assert row["judged"] == ("accuracy" if kind == "classes" else "loss")
    summary = row["summary"]
    assert summary["average"] == pytest.approx(sum(row["matrix"][1]) / 2, abs=1e-3)
    assert summary["seconds"] >= 0 and summary["bytes"] >= 0
    assert ("forward transfer" in summary) == (kind == "text")
    # The model that all begin with is not touched.
    assert all(torch.equal(weight, before[key]) for key, weight in model.named_parameters())


def test_a_frozen_model_neither_gains_nor_loses():
    stream = make_stream("text")
    learner = METHODS["frozen"].make(COURSE.model(VOCABULARY, 0).eval(), stream, seed=0)
    row = live(learner, stream, COURSE, 2, 0)
    summary = row["summary"]
    assert row["matrix"][0][0] == row["matrix"][1][0]
    assert summary["forgetting"] == summary["backward transfer"] == 0
    assert summary["forward transfer"] == 0
    for name in ("base loss", *CHOICES):
        assert summary[name] == summary[f"{name} after"]


def test_retrieval_knows_a_class_whose_words_it_has_seen():
    needed("retrieval")
    stream = make_stream("classes")
    model = COURSE.model(stream.vocabulary, 0).eval()
    row = live(METHODS["retrieval (bm25)"].make(model, stream, seed=0), stream, COURSE, 2, 0)
    assert row["matrix"] == [[1.0], [1.0, 1.0]]


def test_an_index_is_made_anew_only_after_something_is_learned():
    needed("retrieval")
    stream = make_stream("text")
    model = COURSE.model(VOCABULARY, 0).eval()
    learner = METHODS["retrieval (bm25)"].make(model, stream, seed=0)
    made = []
    for task in stream.tasks:
        learner.learn(task.train)
        for _ in range(2):
            learner.scores(task.test, ())
            made.append(learner.index)
    assert made[0] is made[1] is not made[2] is made[3]


@pytest.mark.parametrize("asked", [(), (5, 6, 7)])
def test_how_sure_an_adapter_is_does_not_depend_on_what_is_read_beside(asked, monkeypatch):
    needed("lora")
    monkeypatch.setattr(baselines, "TOGETHER", 2)
    stream = make_stream("text")
    learner = LoRAPerTask(COURSE.model(VOCABULARY, 0).eval(), stream, rate=1e-2)
    learner.learn(stream.tasks[0].train)
    passages = passages_of([([5, 6, 7, 8, 9][:length], 2) for length in (3, 5, 4, 5, 3)])
    alone = torch.cat([learner._doubts(passages[i : i + 1], asked) for i in range(5)])
    torch.testing.assert_close(learner._doubts(passages, asked), alone)


def test_the_adapter_to_which_the_beginning_is_likeliest_answers():
    needed("lora")
    learner = LoRAPerTask(COURSE.model(VOCABULARY, 0).eval(), make_stream("text"), rate=3e-2)
    for step in (1, 2):
        for _ in range(60):
            learner.learn(walks(step, 8))
        learner.end_task()
    for task, step in enumerate((1, 2)):
        passages = walks(step, 6, given=4)
        whole = learner.scores(passages, ())
        learner._set(learner.adapters[task])
        torch.testing.assert_close(whole, losses_of(learner.model, passages))


def test_a_class_that_is_learned_is_known():
    stream = make_stream("classes")
    learner = FineTuning(COURSE.model(stream.vocabulary, 0).eval(), stream, rate=1e-2)
    for _ in range(40):
        learner.learn(stream.tasks[0].train)
    assert float(learner.scores(stream.tasks[0].test, stream.tasks[0].classes).mean()) == 1.0


def test_the_context_holds_what_came_last():
    stream = make_stream("text")
    learner = METHODS["in context"].make(COURSE.model(VOCABULARY, 0).eval(), stream, seed=0)
    # Three passages of ten tokens.
    learner.room = 35
    lots = [walks(1 + step % 2, 4) for step in range(5)]
    for lot in lots:
        learner.learn(lot)
    assert list(learner.last.values()) == [lots[-1].whole(row) for row in range(1, 4)]


def test_of_a_class_the_context_holds_the_last_passage():
    stream = make_stream("classes")
    model = COURSE.model(stream.vocabulary, 0).eval()
    learner = METHODS["in context"].make(model, stream, seed=0)
    for _ in range(3):
        learner.learn(stream.tasks[0].train)
    assert sorted(whole[-1] for whole in learner.last.values()) == list(stream.tasks[0].classes)


def test_hope_sleeps_every_day_and_wakes_with_one_set_of_weights():
    stream = make_stream("text")
    learner = HopeLearner(
        COURSE.model(VOCABULARY, 0).eval(),
        stream,
        rate=1e-3,
        levels=3,
        night=NightOptions(steps=2, batch=2),
    )
    assert learner.levels.periods == (8, 0)
    live(learner, stream, COURSE, 2, 0)
    # Two lots of every task, a night after each.
    assert len(learner.reports) == 4
    for level in learner.levels.slower:
        for name, weight in learner.model.named_parameters():
            assert torch.equal(level[name], weight)
    assert len(learner.kept.drawn) == 16


@pytest.mark.parametrize(("awake", "sleeps"), [(3, True), (0, True), (3, False)])
def test_who_sleeps_recalls_by_day_what_was_before(awake, sleeps):
    stream = make_stream("text")
    model, lot = COURSE.model(VOCABULARY, 0).eval(), stream.tasks[0].train
    night = NightOptions() if sleeps else None
    learner = HopeLearner(model, stream, 1e-3, 2, night=night, awake=awake)
    expected = mean_loss(model, lot)
    if awake and sleeps:
        same = torch.Generator().manual_seed(0)
        expected = expected + mean_loss(model, learner.kept.at_random(awake, same))
    torch.testing.assert_close(learner.loss(lot), expected)


def test_the_elder_of_a_night_is_the_model_of_the_beginning():
    stream = make_stream("text")
    first = COURSE.model(VOCABULARY, 0).eval()
    weights = {name: weight.clone() for name, weight in first.named_parameters()}
    learner = METHODS["hope, levels 2, sleep"].make(
        first, stream, seed=0, **METHODS["hope, levels 2, sleep"].settings[0]
    )
    live(learner, stream, COURSE, 1, 0)
    assert learner.elder.model is first and learner.elder.passages == len(learner.kept.base)
    assert learner.elder.words == VOCABULARY
    assert learner.night.dreamed and learner.reports
    for name, weight in first.named_parameters():
        assert torch.equal(weight, weights[name])
    assert not torch.equal(first.embedding.weight, learner.model.embedding.weight)


def test_what_is_kept_has_room_for_so_much_and_a_quarter_is_of_the_base():
    stream = make_stream("text")
    # Passages of nine tokens: room for two of the base, one to look at, and six others.
    kept = Kept(stream, room=75, seed=0)
    for step in range(1, 30):
        kept.add(walks(1 + step % 2, 4))
    assert len(kept.all()) == 7 and len(kept.base) == len(kept.check) == 1
    assert torch.equal(kept.all().ids[:1], stream.base[:1].ids)
    assert torch.equal(kept.check.ids, stream.base[1:2].ids)
    assert kept.nbytes == 2 * 8 * 9
    times = kept.times_rehearsed()
    kept.rehearsed(times + 1)
    assert kept.times_rehearsed().tolist() == [1] * 7


def test_a_passage_takes_the_room_of_its_own_tokens():
    stream = make_stream("text")
    kept = Kept(stream, room=75, seed=0)
    long, short = walks(1, 1), passages_of([([5, 6, 7], 1)])
    for _ in range(100):
        kept.add(long)
        kept.add(short)
    # Nine tokens and two: 57 are for what comes.
    widths = [drawn.passage.ids.shape[1] for drawn in kept.drawn]
    assert set(widths) == {2, 9} and 57 - 9 < sum(widths) <= 57
    assert sum(widths) == kept.tokens
    some = kept.some(torch.tensor([0, len(kept) - 1]))
    assert torch.equal(some.ids[:1], stream.base[:1].ids)
    assert torch.equal(some[1:].ids, kept.drawn[-1].passage.ids)


def test_what_came_first_is_kept_as_often_as_what_came_last():
    stream = make_stream("text")
    first = total = 0
    for seed in range(60):
        kept = Kept(stream, room=75, seed=seed)
        for token in range(40):
            kept.add(passages_of([([token] * (3 + token % 4), 1)]))
        first += sum(int(drawn.passage.ids[0, 0]) < 20 for drawn in kept.drawn)
        total += len(kept.drawn)
    # About 900 are kept: three standard deviations.
    assert abs(first / total - 0.5) < 0.05


def test_the_base_may_have_more_of_the_room():
    stream = make_stream("text")
    kept = Kept(stream, room=75, seed=0, base_room=0.5)
    for _ in range(10):
        kept.add(walks(1, 4))
    assert (len(kept.base), len(kept.check), len(kept.drawn)) == (3, 1, 4)
    method = METHODS["replay, half its room for the base"]
    learner = method.make(COURSE.model(VOCABULARY, 0), stream, seed=0, **method.settings[0])
    assert learner.kept.room < Kept(stream, ROOM, 0).room


def test_replay_rehearses_all_of_its_room():
    stream = make_stream("text")
    learner = METHODS["replay"].make(
        COURSE.model(VOCABULARY, 0), stream, seed=0, **METHODS["replay"].settings[0]
    )
    assert len(learner.kept.check) == 0
    small = Kept(stream, room=75, seed=0, checks=0.0)
    assert len(small.base) == 2 and len(small.check) == 0
    assert learner.kept.nbytes == 2 * learner.kept.all().ids.numel()


def test_replay_may_take_several_steps_with_one_lot():
    stream, method = make_stream("text"), METHODS["replay, five steps a lot"]
    learner = method.make(COURSE.model(VOCABULARY, 0), stream, seed=0, **method.settings[0])
    learner.learn(stream.tasks[0].train)
    weight = next(learner.model.parameters())
    assert learner.optimizer.state[weight]["step"] == 5
    assert len(learner.kept.drawn) == len(stream.tasks[0].train)


def test_one_model_of_the_beginning_serves_all_streams(tmp_path):
    run_file, lines = tmp_path / "runs.jsonl", []
    text, some = make_stream("text"), make_stream("classes")
    first = begun_model(COURSE, text, 0, run_file, lines.append)
    trained = len(lines)
    second = begun_model(COURSE, some, 0, run_file, lines.append)
    assert trained and len(lines) == trained
    assert second.embedding.num_embeddings == first.embedding.num_embeddings + 4
    torch.testing.assert_close(second.embedding.weight[:VOCABULARY], first.embedding.weight)
    with torch.no_grad():
        ids = text.base_test.ids
        torch.testing.assert_close(second(ids).logits[..., :VOCABULARY], first(ids).logits)


def test_models_of_different_beginnings_are_not_mixed_up(tmp_path):
    run_file, lines = tmp_path / "runs.jsonl", []
    stream = make_stream("text")
    begun_model(COURSE, stream, 0, run_file, lines.append)
    trained = len(lines)
    begun_model(COURSE, replace(stream, base=walks(4, 8)), 0, run_file, lines.append)
    begun_model(replace(COURSE, base_rate=2e-2), stream, 0, run_file, lines.append)
    assert len(lines) == 3 * trained


@pytest.mark.parametrize(("judged", "best"), [("loss", 1.0), ("accuracy", 3.0)])
def test_the_best_setting_is_the_one_that_is_taken(tmp_path, monkeypatch, judged, best):
    settings = tuple({"rate": rate} for rate in (2.0, 1.0, 3.0))
    monkeypatch.setattr(benchmark, "METHODS", {"it": Method(lambda *_, rate, seed: rate, settings)})
    monkeypatch.setattr(benchmark, "Texts", lambda *_: None)
    monkeypatch.setattr(benchmark, "STREAMS", {"text": lambda _, seed: make_stream("text", seed)})
    monkeypatch.setattr(benchmark, "begun_model", lambda *_: None)
    monkeypatch.setattr(
        benchmark,
        "live",
        lambda rate, *_: {"summary": {"average": rate}, "matrix": [], "judged": judged},
    )
    rows = list(measure_continual(tmp_path, streams=["text"], models=["it"], seeds=[0]))
    assert [(row["value"], row["setting"]) for row in rows] == [(best, f"rate {best:g}")]


def test_new_seeds_are_none_of_those_that_settings_were_tried_with(monkeypatch):
    asked = {}
    monkeypatch.setattr(
        benchmark, "measure_continual", lambda data, **options: asked.update(options)
    )
    benchmark.measure_on_new_seeds(None, seeds=range(3), streams=("languages",))
    assert asked == {
        "models": benchmark.ON_NEW_SEEDS,
        "seeds": [10, 11, 12],
        "streams": ("languages",),
    }
    assert set(benchmark.ON_NEW_SEEDS) <= set(METHODS)


def test_runs_are_kept_and_the_best_setting_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "Texts", lambda *_: None)
    monkeypatch.setattr(benchmark, "STREAMS", {"text": lambda _, seed: make_stream("text", seed)})
    needed("lora")
    options = {
        "streams": ["text"],
        "models": ["frozen", "lora per task"],
        "seeds": [0, 1],
        "course": COURSE,
        "run_file": tmp_path / "runs.jsonl",
    }
    rows = list(measure_continual(tmp_path, **options))
    assert {row["seed"] for row in rows} == {0, 1}
    trials = [line for line in (tmp_path / "runs.jsonl").read_text().splitlines() if "true" in line]
    assert len(trials) == len(METHODS["lora per task"].settings)
    monkeypatch.setattr(benchmark, "live", None)
    assert list(measure_continual(tmp_path, **options)) == rows
    table = _stream_table(rows)
    assert "| frozen |" in table and "| lora per task | rate " in table
