"""Figures drawn from the rows of `results/*.json`; needs matplotlib (`nestling[figures]`)."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nestling.evaluation.continual.matrices import matrices_of
from nestling.evaluation.results import Row
from nestling.evaluation.tables import group_rows

_COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8d6a9f", "#c98b0e")
_OFF = "#777777"
# Methods that learn classes, as they are drawn.
_LEARNERS = {
    "hope, levels 2, sleep": ("Hope, two levels and sleep", _COLOURS[0]),
    "replay": ("replay", _COLOURS[4]),
    "ewc": ("elastic weights", _COLOURS[2]),
    "lora per task": ("adapters", _COLOURS[3]),
    "fine-tuning": ("fine-tuning", _COLOURS[1]),
    "retrieval (bm25)": ("retrieval, which keeps all texts", _OFF),
}


def recall_curve(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw exact match against the number of facts told, and return the path of the PNG.

    `rows` are those of `recall`. Lines are means over seeds with the memory on, one per set of
    phrasings; bands span min to max; the dashed line is the mean with the memory off.

    Raises ValueError if no row was told with the memory on, ImportError without matplotlib.
    """
    told = [row for row in rows if row["kind"] == "told"]
    on = [row for row in told if row["memory"] == "on"]
    off = [row["exact_match"] for row in told if row["memory"] == "off"]
    if not on:
        raise ValueError("recall_curve needs rows with kind 'told' and memory 'on'; there are none")
    figure, axes = _figure("facts told", "exact match")
    labels = {"train": "phrasings seen in training", "held_out": "phrasings held out"}
    lines = sorted(group_rows(on, "phrasings").items(), reverse=True)
    for colour, ((phrasings,), of_line) in zip(_COLOURS, lines, strict=False):
        label = f"memory on, {labels.get(phrasings, phrasings)}"
        _exact_match(axes, of_line, "facts", label, colour)
    if off:
        axes.axhline(
            statistics.fmean(off), color=_OFF, linestyle="--", linewidth=1.2, label="memory off"
        )
    axes.set_xscale("log", base=2)
    _ticks(axes, [row["facts"] for row in on])
    return _save(figure, axes, path)


def small_talk_curve(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw exact match against the tokens of small talk between telling and asking.

    `rows` have `facts`, `small_talk_tokens`, `seed` and `exact_match`. One line per number of
    facts: the mean over seeds, with a band from min to max. Returns the path of the PNG.

    Raises ValueError if there are no rows, ImportError without matplotlib.
    """
    if not rows:
        raise ValueError("small_talk_curve needs at least one row; there are none")
    figure, axes = _figure("tokens of small talk since the facts were told", "exact match")
    for position, ((facts,), of_line) in enumerate(sorted(group_rows(rows, "facts").items())):
        label = f"{facts:,} fact{'' if facts == 1 else 's'}"
        colour = _COLOURS[position % len(_COLOURS)]
        _exact_match(axes, of_line, "small_talk_tokens", label, colour)
    tokens = [row["small_talk_tokens"] for row in rows]
    # Logarithmic but for the stretch from no small talk to the least of it.
    if least := min((count for count in tokens if count > 0), default=0):
        axes.set_xscale("symlog", base=2, linthresh=least, linscale=0.5)
    _ticks(axes, tokens)
    return _save(figure, axes, path)


def rule_landscape(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw the paths of the rules over the valleys they walk, one panel for each valley.

    `rows` are those of `rule_landscape`. Returns the path of the PNG. Raises ValueError if there
    are no rows, ImportError without matplotlib.
    """
    import torch

    from nestling.evaluation.landscape import STEPS, VALLEYS

    if not rows:
        raise ValueError("rule_landscape needs at least one row; there are none")
    valleys = group_rows(rows, "valley")
    figure, panels = _panels(len(valleys))
    r, t = torch.linspace(-4.2, 1.5, 200), torch.linspace(-5.5, 3, 200)
    grid = torch.stack(torch.meshgrid(r, t, indexing="xy"), dim=-1)
    for axes, ((place,), of_valley) in zip(panels, valleys.items(), strict=True):
        valley = VALLEYS[place]
        height = (valley.height(grid) + 1e-3).log().numpy()
        axes.contourf(r.numpy(), t.numpy(), height, levels=18, cmap="Greys", alpha=0.55)
        for colour, ((rule,), points) in zip(
            _COLOURS, group_rows(of_valley, "rule").items(), strict=False
        ):
            needed = points[0]["steps_to_target"]
            label = f"{rule}: {'not in ' if needed is None else ''}{needed or STEPS} steps"
            axes.plot(
                [p["r"] for p in points],
                [p["t"] for p in points],
                ".-",
                color=colour,
                linewidth=1.1,
                markersize=3,
                label=label,
            )
        axes.set(xlim=(-4.2, 1.5), ylim=(-5.5, 3), xlabel="r", ylabel="θ")
        axes.set_title(f"k = {valley.k:g}, a = {valley.a:g}, ω = {valley.w:g}", fontsize="small")
        axes.legend(frameon=True, fontsize="x-small", loc="lower left")
    return _write(figure, path)


def strength_curve(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw the margin of the first session's facts by turn, with and without sleep.

    `rows` are those of `strength`. Lines are medians, dashed ones the weakest tenth, both averaged
    over seeds. Returns the path of the PNG. Raises ValueError if there are no rows, ImportError
    without matplotlib.
    """
    if not rows:
        raise ValueError("strength_curve needs at least one row; there are none")
    figure, axes = _figure("turns", "margin of the first session's facts (nats)")
    for colour, ((sleep,), of_line) in zip(
        _COLOURS, group_rows(rows, "sleep").items(), strict=False
    ):
        points = sorted(group_rows(of_line, "turn").items())
        turns = [turn for (turn,), _ in points]
        for column, style, label in (
            ("margin", "o-" if len(turns) > 1 else "D", f"sleep: {sleep}"),
            ("margin_tenth", "--" if len(turns) > 1 else "d", None),
        ):
            values = [statistics.fmean(row[column] for row in some) for _, some in points]
            axes.plot(turns, values, style, color=colour, markersize=4, label=label)
    axes.axhline(0, color=_OFF, linewidth=0.8)
    axes.autoscale(axis="y")
    return _save(figure, axes, path)


def long_life_curve(rows: Sequence[Row], path: str | Path) -> Path:
    """Draw what is known over a long life and the norms of the levels, one panel each.

    `rows` are those of `long_life`. Returns the path of the PNG. Raises ValueError if there are no
    rows, ImportError without matplotlib.
    """
    if not rows:
        raise ValueError("long_life_curve needs at least one row; there are none")
    figure, (known, norms) = _panels(2)
    turns = [row["turn"] for row in rows]
    shares = {
        "first": "facts of the first thousand turns, recalled",
        "changed": "facts that go on changing, recalled",
        "refused": "never told, refused",
    }
    for colour, (column, label) in zip(_COLOURS, shares.items(), strict=False):
        known.plot(turns, [row[column] for row in rows], ".-", color=colour, label=label)
    known.set(xlabel="turns", ylabel="share", ylim=(-0.03, 1.03))
    levels = [column for column in rows[0] if column.startswith("norm ")]
    for colour, column in zip(_COLOURS, levels, strict=False):
        label = column.removeprefix("norm ")
        norms.plot(turns, [row[column] for row in rows], ".-", color=colour, label=label)
    norms.set(xlabel="turns", ylabel="L2 norm of the level's delta")
    norms.set_ylim(bottom=0)
    for axes in (known, norms):
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.legend(frameon=False, fontsize="small")
    return _write(figure, path)


def tasks_curve(streams: Mapping[str, Sequence[Row]], path: str | Path) -> Path:
    """Draw what is known of all tasks so far, after each, one panel for each stream of classes.

    Args:
        streams: rows of `continual_<stream>` by the title of the panel. Lines are means over
            seeds, bands span min to max; only methods of `_LEARNERS` are drawn.

    Raises ValueError if a stream has no such method, ImportError without matplotlib.
    """
    figure, panels = _panels(len(streams))
    for axes, (title, rows) in zip(panels, streams.items(), strict=True):
        by_method = {method: some for (method,), some in group_rows(rows, "method").items()}
        drawn = [method for method in _LEARNERS if method in by_method]
        if not drawn:
            raise ValueError(f"tasks_curve has none of its methods in the rows of {title}")
        for method in drawn:
            label, colour = _LEARNERS[method]
            matrices = matrices_of(by_method[method])
            lines = [[statistics.fmean(line) for line in matrix] for matrix in matrices]
            points = [*zip(*lines, strict=True)]
            _mean_and_band(axes, range(1, len(points) + 1), points, label, colour)
        axes.set(xlabel="tasks learned", ylabel="accuracy on all of them", ylim=(-0.03, 1.03))
        axes.set_title(title, fontsize="small")
        axes.grid(alpha=0.25, linewidth=0.6)
    handles = {line.get_label(): line for axes in panels for line in axes.get_lines()}
    figure.legend(
        [*handles.values()],
        [*handles],
        frameon=False,
        fontsize="small",
        loc="outside lower center",
        ncols=3,
    )
    return _write(figure, path)


# The levels as they are drawn: name, when it is written, by what, what it survives.
_LEVELS = (
    ("instant", 1, "every token, by the mixer", "is gone with the context"),
    ("fast", 8, "every period and turn, by the next-token loss", "survives the context"),
    ("medium", 32, "every long period, by what the fast level holds", "survives restarts"),
    ("slow", 64, "in sleep, by rehearsal of what the others hold", "stays"),
)


def levels_figure(path: str | Path) -> Path:
    """Draw which level is written when, by what, and what it survives; returns the path."""
    figure, axes = _figure("tokens read  →", "")
    figure.set_size_inches(8.4, 3.8)
    last = 64
    for place, (name, period, written, survives) in enumerate(_LEVELS):
        colour, y = _COLOURS[place], -place
        axes.plot([0, last], [y, y], color=colour, linewidth=1.2)
        times = range(period, last + 1, period)
        axes.plot(times, [y] * len(times), "|", color=colour, markersize=9, markeredgewidth=1.6)
        if place > 1:
            for time in times:
                arrow = {"arrowstyle": "->", "color": colour, "linewidth": 1.1}
                axes.annotate("", (time, y + 0.1), (time, y + 0.9), arrowprops=arrow)
        axes.text(-1.5, y, name, ha="right", va="center", color=colour, fontsize="medium")
        axes.text(last + 1.5, y + 0.13, written, va="center", fontsize="small")
        axes.text(last + 1.5, y - 0.15, survives, va="center", fontsize="small", color=_OFF)
    axes.axvspan(last - 0.6, last + 0.6, color=_COLOURS[-2], alpha=0.2)
    axes.text(last, 0.42, "sleep", ha="center", fontsize="small", color=_COLOURS[-2])
    axes.set(xlim=(-8, last + 44), ylim=(-len(_LEVELS) + 0.5, 0.7), xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    return _write(figure, path)


def _panels(count: int) -> tuple[Any, Any]:
    figure, _ = _figure("", "")
    figure.clear()
    figure.set_size_inches(5.2 * count, 4.4)
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _figure(x_label: str, y_label: str) -> tuple[Any, Any]:
    try:
        # The object interface draws to files without a display or a global state.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "figures need matplotlib; install it with: pip install 'nestling[figures]'"
        ) from error
    figure = Figure(figsize=(6.4, 3.8), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _exact_match(axes: Any, rows: Sequence[Row], column: str, label: str, colour: str) -> None:
    points = sorted(group_rows(rows, column).items())
    values = [[row["exact_match"] for row in of_point] for _, of_point in points]
    _mean_and_band(axes, [key[0] for key, _ in points], values, label, colour)


def _mean_and_band(
    axes: Any, x: Sequence[int], values: Sequence[Sequence[float]], label: str, colour: str
) -> None:
    axes.plot(x, [*map(statistics.fmean, values)], "o-", color=colour, markersize=4, label=label)
    axes.fill_between(
        x, [*map(min, values)], [*map(max, values)], color=colour, alpha=0.18, linewidth=0
    )


def _ticks(axes: Any, values: Sequence[int]) -> None:
    measured = sorted(set(values))
    axes.set_xticks(measured, [f"{value:,}" for value in measured])
    axes.minorticks_off()


def _save(figure: Any, axes: Any, path: str | Path) -> Path:
    axes.legend(frameon=False, fontsize="small")
    return _write(figure, path)


def _write(figure: Any, path: str | Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the version of the drawing program the same rows give the same file.
    figure.savefig(path, format="png", dpi=100, metadata={"Software": None})
    return path
