import sys

import pytest

pytest.importorskip("matplotlib")

from nestling.evaluation.figures import (
    levels_figure,
    long_life_curve,
    recall_curve,
    small_talk_curve,
    strength_curve,
    tasks_curve,
)

RECALL = [
    {
        "facts": facts,
        "memory": memory,
        "phrasings": phrasings,
        "kind": "told",
        "seed": seed,
        "exact_match": (0.98 - facts / 1000 if memory == "on" else 0.02) + seed / 100,
    }
    for facts in (4, 16, 64, 256)
    for memory in ("on", "off")
    for phrasings in ("train", "held_out")
    for seed in (0, 1)
]
SMALL_TALK = [
    {"facts": facts, "small_talk_tokens": tokens, "seed": seed, "exact_match": 0.9 + seed / 50}
    for facts in (1, 16)
    for tokens in (0, 256, 4096)
    for seed in (0, 1)
]
STRENGTH = [
    {"sleep": sleep, "seed": seed, "turn": turn, "margin": 8.0 - turn, "margin_tenth": 2.0}
    for sleep, turns in (("never", (1, 2, 3)), ("once, at the end", (3,)))
    for turn in turns
    for seed in (0, 1)
]

LIFE = [
    {"turn": turn, "first": 1.0, "changed": 0.9, "refused": 1.0, "norm fast": 0.0, "norm slow": 50}
    for turn in (1000, 2000, 3000)
]

CLASSES = [
    {"method": method, "seed": seed, "metric": f"R[{i}, {j}]", "value": 0.9 - (i - j) / 10}
    for method in ("replay", "hope, levels 2, sleep", "of no line")
    for seed in (0, 1)
    for i in range(4)
    for j in range(4)
]


@pytest.mark.parametrize(
    ("draw", "rows"),
    [
        (recall_curve, RECALL),
        (small_talk_curve, SMALL_TALK),
        (small_talk_curve, SMALL_TALK[:1]),
        (strength_curve, STRENGTH),
        (long_life_curve, LIFE),
        (lambda rows, path: tasks_curve({"one": rows, "two": rows}, path), CLASSES),
        (lambda rows, path: levels_figure(path), []),
    ],
)
def test_a_curve_is_a_small_png(tmp_path, draw, rows):
    path = draw(rows, tmp_path / "figures" / "curve.png")
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 100_000


def test_the_same_rows_give_the_same_file(tmp_path):
    first, second = (recall_curve(RECALL, tmp_path / name) for name in ("a.png", "b.png"))
    assert first.read_bytes() == second.read_bytes()


def test_rows_without_what_is_drawn_are_refused(tmp_path):
    with pytest.raises(ValueError, match="kind 'told' and memory 'on'"):
        recall_curve([row for row in RECALL if row["memory"] == "off"], tmp_path / "a.png")
    with pytest.raises(ValueError, match="at least one row"):
        small_talk_curve([], tmp_path / "a.png")
    with pytest.raises(ValueError, match="none of its methods in the rows of one"):
        tasks_curve({"one": []}, tmp_path / "a.png")


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"nestling\[figures\]"):
        recall_curve(RECALL, tmp_path / "a.png")
