import json
import math

import pytest
import torch

from nestling.evaluation.results import add_results, read_results, write_results

ROW = {"facts": 8, "memory": "on", "seed": 0, "exact_match": 0.993, "note": None}


def write(directory, rows=(ROW,), name="recall", **keywords):
    return write_results(name, rows, command="nestling demo", directory=directory, **keywords)


def test_what_is_written_is_read_by_name_and_by_path(tmp_path):
    path = write(tmp_path, [ROW, {**ROW, "seed": 1}])
    assert path == tmp_path / "recall.json"
    assert read_results("recall", tmp_path)["rows"] == [ROW, {**ROW, "seed": 1}]
    assert read_results(path) == read_results(str(path)) == read_results("recall", tmp_path)


def test_results_say_how_where_and_with_what_they_were_measured(tmp_path):
    document = read_results(write(tmp_path))
    assert document["command"] == "nestling demo"
    assert document["date"].endswith("+00:00")
    assert set(document["machine"]) == {
        "cpu",
        "cores",
        "memory_gib",
        "threads",
        "platform",
        "device",
    }
    assert document["machine"]["threads"] == torch.get_num_threads()
    assert set(document["versions"]) == {"python", "torch", "transformers", "nestling"}
    assert document["commit"] is None or len(document["commit"]) >= 7


def test_the_default_directory_is_results_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_results("recall", [ROW], command="x")
    assert (tmp_path / "results" / "recall.json").is_file()
    assert read_results("recall")["rows"] == [ROW]


def test_no_rows_are_valid_results(tmp_path):
    assert read_results(write(tmp_path, []))["rows"] == []


def test_extra_keys_stand_beside_the_standard_ones(tmp_path):
    assert read_results(write(tmp_path, extra={"steps": 1000}))["steps"] == 1000


def test_extra_must_not_replace_a_standard_key(tmp_path):
    with pytest.raises(ValueError, match="must not replace rows"):
        write(tmp_path, extra={"rows": []})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_by_name(tmp_path, value):
    with pytest.raises(ValueError, match="row 1: exact_match is"):
        write(tmp_path, [ROW, {**ROW, "exact_match": value}])
    assert list(tmp_path.iterdir()) == []


def test_nan_deep_in_extra_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"extra: settings: rates\[1\] is nan"):
        write(tmp_path, extra={"settings": {"rates": [0.1, math.nan]}})


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, torch.tensor(1.0)])
def test_a_row_that_is_not_flat_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="row 0: loss is a .*rows are flat"):
        write(tmp_path, [{"loss": value}])


@pytest.mark.parametrize("name", ["", "a/b", "recall.json", "../recall"])
def test_a_name_that_is_a_path_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="results name"):
        write(tmp_path, name=name)


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = write(tmp_path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write(tmp_path, [{**ROW, "seed": 7}])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_results_say_what_is_there(tmp_path):
    write(tmp_path, name="latency")
    with pytest.raises(FileNotFoundError, match=r"recall\.json; .* has latency"):
        read_results("recall", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ('{"rows": [NaN]}', "NaN is not a number"),
        ("[]", "must hold an object"),
        ('{"rows": []}', "lacks command, date, machine, versions, commit"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path, text, message):
    (tmp_path / "recall.json").write_text(text)
    with pytest.raises(ValueError, match=rf"recall\.json.*{message}"):
        read_results("recall", tmp_path)


def test_rows_that_are_not_objects_are_refused(tmp_path):
    path = write(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "rows": [1]}))
    with pytest.raises(ValueError, match="rows must be a list of objects"):
        read_results(path)


def test_added_rows_replace_those_of_the_same_name_and_keep_the_others(tmp_path):
    def add(command, *rows):
        return add_results(
            "race", rows, by="model", order=("a", "b"), command=command, directory=tmp_path
        )

    add("first", {"model": "b", "value": 1}, {"model": "b", "value": 2})
    assert "earlier" not in read_results("race", tmp_path)
    every = add("second", {"model": "a", "value": 3})
    assert [row["value"] for row in every] == [3, 1, 2]
    add("third", {"model": "b", "value": 4})
    document = read_results("race", tmp_path)
    assert [row["value"] for row in document["rows"]] == [3, 4]
    assert document["command"] == "third"
    assert [measured["command"] for measured in document["earlier"]] == ["first", "second"]
