import logging
from pathlib import Path

import pytest

from nestling.evaluation.model_tables import (
    language_modeling_table,
    latency_table,
    recall_short_table,
    recall_table,
)
from nestling.evaluation.results import write_results
from nestling.evaluation.tables import (
    check_tables,
    markdown_table,
    mean_range,
    mean_spread,
    render_tables,
    spread_of_runs,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def recall_row(facts=8, memory="on", kind="told", seed=0, exact_match=1.0, refused=0.0, **other):
    row = {"facts": facts, "memory": memory, "phrasings": "held_out", "kind": kind, "seed": seed}
    return {**row, "exact_match": exact_match, "refused": refused, "questions": 64, **other}


def write_recall(root, *rows):
    write_results("recall", rows, command="measure", directory=root / "results")


def write_document(root, text, name="README.md"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_committed_documents_agree_with_the_results():
    stale = check_tables(REPOSITORY)
    assert not stale, f"run `make tables`: {'; '.join(stale)}"


def test_a_marked_place_is_filled_and_the_rest_kept(tmp_path):
    write_recall(tmp_path, recall_row(exact_match=0.875))
    readme = write_document(
        tmp_path, "Before\n<!-- table:recall -->by hand<!-- /table -->\nafter\n"
    )
    assert render_tables(tmp_path) == [readme]
    text = readme.read_text()
    assert text.startswith("Before\n<!-- table:recall -->\n| ")
    assert text.endswith("\n<!-- /table -->\nafter\n")
    assert "0.875" in text and "by hand" not in text


def test_a_number_stays_within_its_sentence(tmp_path):
    write_recall(
        tmp_path,
        recall_row(facts=8),
        recall_row(facts=32, exact_match=0.75),
        recall_row(facts=32, memory="off", exact_match=0.25),
    )
    numbers = ("recall_facts", "recall_memory_on", "recall_memory_off")
    marks = [f"<!-- number:{name} -->?<!-- /number -->" for name in numbers]
    readme = write_document(tmp_path, "Of {}: {} against {}.".format(*marks))
    render_tables(tmp_path)
    marks = [
        mark.replace("?", value)
        for mark, value in zip(marks, ("32", "0.750", "0.250"), strict=True)
    ]
    assert readme.read_text() == "Of {}: {} against {}.".format(*marks)


def test_rendering_twice_changes_nothing_more(tmp_path):
    write_recall(tmp_path, recall_row())
    write_document(tmp_path, "<!-- table:recall --><!-- /table -->", "docs/deep/recall.md")
    assert len(render_tables(tmp_path)) == 1
    assert check_tables(tmp_path) == []
    assert render_tables(tmp_path) == []


def test_stale_places_are_named_and_left_alone(tmp_path):
    write_recall(tmp_path, recall_row())
    text = "<!-- table:recall -->old<!-- /table --> <!-- number:recall_facts -->9<!-- /number -->"
    path = write_document(tmp_path, text, "docs/recall.md")
    assert check_tables(tmp_path) == [
        "docs/recall.md: table recall",
        "docs/recall.md: number recall_facts",
    ]
    assert path.read_text() == text


def test_text_stays_where_results_are_missing_and_a_warning_says_so(tmp_path, caplog):
    text = "<!-- table:recall -->typed<!-- /table -->"
    path = write_document(tmp_path, text)
    with caplog.at_level(logging.WARNING):
        assert render_tables(tmp_path) == []
    assert path.read_text() == text
    assert "README.md: table recall stays as it is" in caplog.text
    assert "results/recall.json" in caplog.text


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path):
    write_document(tmp_path, "<!-- table:recal --><!-- /table -->")
    with pytest.raises(ValueError, match=r"README\.md: no table is called 'recal'.*recall"):
        render_tables(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- table:recall --> and no more",
        "<!-- table:recall --> <!-- /number -->",
        "<!-- table:recall --> <!-- table:recall --> <!-- /table -->",
    ],
)
def test_a_mark_without_its_end_is_refused_and_nothing_written(tmp_path, text):
    write_recall(tmp_path, recall_row())
    path = write_document(tmp_path, text)
    with pytest.raises(ValueError, match="add it"):
        render_tables(tmp_path)
    assert path.read_text() == text


def test_recall_shows_mean_and_range_over_seeds_in_reading_order():
    rows = [
        recall_row(memory="off", exact_match=0.0),
        recall_row(facts=32, seed=1, exact_match=0.9),
        recall_row(facts=32, seed=0, exact_match=1.0),
        recall_row(kind="never_told", exact_match=0.0, refused=1.0),
        recall_row(phrasings="train"),
    ]
    lines = recall_table(rows).splitlines()
    assert lines[2:7] == [
        "| told | 8 | train | on | 1 | 1.000 | 0.000 |",
        "| told | 8 | held out | off | 1 | 0.000 | 0.000 |",
        "| told | 32 | held out | on | 2 | 0.950 (0.900–1.000) | 0.000 |",
        "| never told | 8 | held out | on | 1 | 0.000 | 1.000 |",
        "",
    ]


def test_language_modeling_has_a_table_per_data_set_with_the_best_first():
    def row(data, model, perplexity, seed=0):
        sizes = {"parameters": 1_234_567, "tokens": 50_000_000}
        more = {} if perplexity is None else {"carried_perplexity": perplexity - 1}
        more |= {"fresh_loss_0_16": 5.0, "fresh_loss_16_64": 4.5}
        values = {"data": data, "model": model, "perplexity": perplexity, "seed": seed}
        return {**values, **sizes, **more}

    rows = [
        row("stories", "retnet", 12.0),
        row("stories", "hope", 10.0),
        row("stories", "hope", 11.0, seed=1),
        row("stories", "diverged", None),
        row("books", "hope", 30.0),
    ]
    lines = language_modeling_table(rows).splitlines()
    assert lines[0] == "**stories**"
    assert lines[4:7] == [
        "| hope | 1.23M | 50M | 2 | 10.50 ± 0.71 | 9.50 ± 0.71 | 18.68 | 5.000 | 4.500 |",
        "| retnet | 1.23M | 50M | 1 | 12.00 | 11.00 | – | 5.000 | 4.500 |",
        "| diverged | 1.23M | 50M | 1 | 1 of 1 diverged | – | – | 5.000 | 4.500 |",
    ]
    assert lines[2].endswith("| loss, places 0–16 | loss, places 16–64 |")
    assert "**books**" in lines


def test_latency_shows_medians():
    rows = [
        {"operation": "read_and_write", "tokens": 64, "threads": 1, "seed": seed, **measured}
        for seed, measured in enumerate(
            {"milliseconds": ms, "ratio_to_forward": ms / 10} for ms in (10.0, 12.0, 500.0)
        )
    ]
    assert latency_table(rows).splitlines()[2:] == ["| read and write | 64 | 1 | 12.0 | 1.20 |"]


def test_mean_spread_is_the_sample_standard_deviation():
    assert mean_spread([0.99, 1.0]) == "0.995 ± 0.007"
    assert mean_spread([0.993]) == "0.993"
    assert mean_spread([]) == "–"


def test_a_run_that_diverged_is_counted():
    rows = [{"loss": 1.0}, {"loss": 2.0}, {"loss": None}]
    assert spread_of_runs(rows, "loss", 2) == "1.50 ± 0.71; 1 of 3 diverged"
    assert spread_of_runs(rows[:2], "loss", 2) == "1.50 ± 0.71"
    assert spread_of_runs(rows, "another") == "–"


def test_mean_range_shows_the_extremes_only_where_they_differ():
    assert mean_range([0.9, 1.0]) == "0.950 (0.900–1.000)"
    assert mean_range([1.0, 1.0]) == "1.000"
    assert mean_range([]) == "–"


def test_markdown_table_aligns_and_escapes():
    assert markdown_table(["a", "b", "c"], [["x|y", 1, 2.5]], "lcr") == (
        "| a | b | c |\n| :--- | :---: | ---: |\n| x\\|y | 1 | 2.5 |"
    )


def test_markdown_table_refuses_a_wrong_number_of_cells():
    with pytest.raises(ValueError, match="must have 2 cells"):
        markdown_table(["a", "b"], [["x"]])
    with pytest.raises(ValueError, match="must be 2 letters"):
        markdown_table(["a", "b"], [], "l")


def test_the_short_table_has_one_line_for_each_number_of_facts():
    rows = [
        recall_row(facts=8, phrasings="train", exact_match=0.75),
        recall_row(facts=8, exact_match=0.5),
        recall_row(facts=8, phrasings="train", memory="off", exact_match=0.0),
        recall_row(facts=16, phrasings="train", kind="never_told", refused=0.9),
    ]
    lines = recall_short_table(rows).splitlines()[2:]
    assert lines == [
        "| 8 | 0.750 | 0.500 | – | – | 0.000 | – |",
        "| 16 | – | – | – | 0.900 | – | – |",
    ]
