"""`nestling chat`: talk with a memory, see what it writes, take it back."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import typer

from nestling.cli.common import (
    WORDLESS,
    Home,
    MemoryName,
    Model,
    clear_errors,
    count_of,
    open_memory,
    progress_line,
    shown,
)
from nestling.cli.forgetting import forgotten_line, item_of, named_item, question_of
from nestling.cli.talk import noted_lines, sources_text

if TYPE_CHECKING:
    from rich.console import Console

    from nestling.models.restate import WriteReport
    from nestling.resident import Answer, Learned, Resident, Temporary

HELP = """\
/memory         what is noted, and how well each note is known
/why            where the last answer comes from, or what the last turn wrote
/forget ITEM    forget a turn by number, or a key such as: my dog
/undo           forget the last turn
/temp           talk without leaving anything behind; again to end it
/save           keep what was told since /temp
/sleep          rehearse what was told into the slow level
/bye            end; everything is saved already
\"\"\" begins and ends a turn of several lines."""
MULTILINE = '"""'
_LEAVES = ("/bye", "/quit", "/exit")
_FORGET = re.compile(r"\W*(?:please )?forget (?:about )?((?:my|our) [\w' -]+?)\W*", re.I)
# Up to so many nats a token is hardly a surprise, a little one, a big one.
_SURPRISES = ((1.0, "green"), (5.0, "yellow"), (float("inf"), "red"))


def register(app: typer.Typer) -> None:
    app.command()(chat)


def chat(memory: MemoryName, home: Home = None, model: Model = None) -> None:
    """Talk with a memory: tell it things, ask it things."""
    from rich.console import Console

    class Plain(Console):
        """No markup and nothing that steers: what a user says is printed as it was said."""

        def print(self, *objects: object, **options: Any) -> None:
            super().print(*(shown(o) if isinstance(o, str) else o for o in objects), **options)

    console = Plain(markup=False, emoji=False, highlight=False, soft_wrap=True)
    with clear_errors(), open_memory(memory, home, model, create=True) as resident:
        talk = Chat(resident, console)
        try:
            for turn, quoted in _turns(console, resident.name):
                if not quoted and turn.lower().split()[0] in _LEAVES:
                    break
                stands = resident.standing
                try:
                    talk.say(turn, quoted=quoted)
                except ValueError as error:
                    console.print(f"({error})")
                except KeyboardInterrupt:
                    changed = resident.standing != stands
                    console.print(
                        f"(stopped; {'it may have been done' if changed else 'nothing changed'})"
                    )
        finally:
            talk.end()


class Chat:
    """A conversation: what was heard last, and whether it is a temporary one."""

    def __init__(self, resident: Resident, console: Console) -> None:
        self.resident, self.console = resident, console
        self.temporary: Temporary | None = None
        self.last: Answer | Learned | None = None
        # Turns that were told in this chat.
        self.told: set[int] = set()
        self.commands: dict[str, Callable[[str], None]] = {
            "/memory": self.memory,
            "/why": self.why,
            "/forget": self.forget,
            "/undo": self.undo,
            "/temp": self.temp,
            "/save": self.save,
            "/sleep": self.sleep,
            "/help": self.help,
        }

    def say(self, turn: str, *, quoted: bool = False) -> None:
        """Do what a turn says: a command (a quoted turn is none), a question, something told."""
        if turn.startswith("/") and not quoted:
            name, _, rest = turn.partition(" ")
            command = self.commands.get(name.lower())
            if command is None:
                self.console.print(f"There is no {name}.")
            (command or self.help)(rest.strip())
            return
        if wanted := _FORGET.fullmatch(turn):
            self.console.print(f"To forget it, say: /forget {wanted[1]}")
            return
        from nestling.resident import Answer, Learned

        heard = (self.temporary or self.resident).hear(turn)
        self.last = heard
        if not self.temporary and (isinstance(heard, Learned) or heard.noted):
            self.told.add(self.resident.version)
        notes = heard.noted if isinstance(heard, Answer) else heard.notes
        reports = () if isinstance(heard, Answer) else heard.reports
        for line in noted_lines(notes, reports):
            self.console.print(line)
        if isinstance(heard, Answer):
            for answer in (*heard.others, heard):
                self.console.print(answer.text)
        elif not notes:
            self.console.print("I'm listening. Tell me something to remember, or ask me.")

    def end(self) -> None:
        if self.temporary and self.temporary.told:
            told = count_of(len(self.temporary.told), "turn")
            self.console.print(f"Of {told} told since /temp nothing stays.")

    def help(self, _: str = "") -> None:
        self.console.print(HELP)

    def memory(self, _: str) -> None:
        known = self.resident.strengths()
        turns = {note.key: note.entry for note in self.resident.notes()}
        for item in known:
            turn = f"turn {turns[item.key]}, " if item.key in turns else ""
            self.console.print(f"{item.key}: {item.value}  ({turn}{item.margin:+.1f})")
        if self.temporary:
            for note in self.temporary.notes():
                self.console.print(f"{note}  (temporary)")
        elif not known:
            self.console.print("Nothing noted yet.")

    def why(self, _: str) -> None:
        from nestling.resident import Learned

        if self.last is None:
            self.console.print("Nothing was said yet.")
        elif isinstance(self.last, Learned):
            self._written(self.last)
        elif self.temporary:
            self.console.print("In a temporary session it is not measured where answers come from.")
        else:
            progress = progress_line("leaving out turn")
            self.console.print(sources_text(self.resident.why(self.last, progress=progress)))

    def _written(self, learned: Learned) -> None:
        """What learning a turn wrote: every token in the colour of its surprise, and where to."""
        from rich.text import Text

        if not learned.reports:
            self.console.print("The last turn wrote nothing.")
        for report in learned.reports:
            line = Text(f"{shown(report.note.key)}:")
            for token in report.tokens:
                line.append(shown(token.text) or " (end)", style=_colour(token.surprise))
                line.append(f" {token.surprise:.1f}", style="dim")
            self.console.print(line)
            self.console.print(f"  {_went(report)}")

    def forget(self, item: str) -> None:
        if not item:
            self.console.print("Say what: /forget 3, or /forget my dog")
            return
        if self._refuses_while_temporary():
            return
        named = item_of(item)
        what = named_item(named)
        if _is_sure(question_of(what, self.resident.would_forget(named))):
            self.console.print(forgotten_line(what, self.resident.forget(named)))
            self._forgot()

    def undo(self, _: str) -> None:
        if self.temporary:
            self.temporary.undo()
            self.last = None
            self.console.print("Forgot the last turn of this temporary session.")
            return
        last = self.resident.last_told()
        if last.id not in self.told:
            if not sys.stdin.isatty():
                self.console.print(
                    f"The last turn was not told in this chat; to forget it, say: /forget {last.id}"
                )
                return
            if not _is_sure(question_of("the last turn, which this chat was not told", [last])):
                return
        done = self.resident.forget(last.id)
        self.console.print(forgotten_line(f"the last turn ({last.text or WORDLESS})", done))
        self._forgot()

    def temp(self, _: str) -> None:
        if self.temporary is None:
            self.temporary = self.resident.temporary()
            self.console.print("From here on nothing stays; /save keeps it, /temp ends it.")
        else:
            self.end()
            self.temporary = self.last = None
            self.console.print("What is told from here on stays.")

    def save(self, _: str) -> None:
        if self.temporary is None:
            self.console.print("Everything is saved already.")
            return
        kept = self.temporary.keep()
        self.temporary = self.last = None
        self.console.print(f"Kept {count_of(len(kept), 'turn')}. What is told from here on stays.")

    def sleep(self, _: str) -> None:
        if self._refuses_while_temporary():
            return
        report = self.resident.sleep(progress=progress_line("sleeping: step"))
        if not report.rehearsed:
            self.console.print("There is nothing to rehearse.")
        elif report.kept:
            known = f"{report.recall[0]:.0%} known before, {report.recall[1]:.0%} after"
            self.console.print(f"Rehearsed {count_of(report.rehearsed, 'note')}: {known}.")
        else:
            self.console.print(f"The sleep was taken back: {report.reason}.")
        self._moved()

    def _refuses_while_temporary(self) -> bool:
        """Whether this is a temporary session, in which the memory itself stays as it is."""
        if self.temporary:
            self.console.print("The memory stays as it is until /temp, or /save, ends this.")
        return self.temporary is not None

    def _forgot(self) -> None:
        """What was said last may be what was forgotten."""
        self.last = None
        self._moved()

    def _moved(self) -> None:
        """A temporary session goes on from where the memory is now."""
        if self.temporary:
            self.temporary.follow()


def _is_sure(question: str) -> bool:
    """Whether somebody at a terminal says yes; who writes to a pipe cannot be asked."""
    if not sys.stdin.isatty():
        return True
    try:
        return input(f"{shown(question)} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _colour(surprise: float) -> str:
    return next(colour for limit, colour in _SURPRISES if surprise <= limit)


def _went(report: WriteReport) -> str:
    levels = ", ".join(f"{level} {norm:.2f}" for level, norm in report.level_norms.items())
    return f"written {report.writes}x in {report.milliseconds:.0f} ms; levels moved by: {levels}"


def _turns(console: Console, name: str) -> Iterator[tuple[str, bool]]:
    """What is said, turn by turn, and whether it was quoted: lines between two MULTILINE."""
    lines = _lines(console, name)
    for line in lines:
        if line is None or not line.startswith(MULTILINE):
            if line:
                yield line, False
            continue
        parts = [line.removeprefix(MULTILINE)]
        while parts and not parts[-1].endswith(MULTILINE):
            following = next(lines, None)
            if following is None:
                console.print("(the turn was not finished, and not told)")
                parts = []
                break
            parts.append(following)
        turn = "\n".join(parts).removesuffix(MULTILINE).strip()
        if turn:
            yield turn, True


def _lines(console: Console, name: str) -> Iterator[str | None]:
    """Plain lines where stdin is no terminal; else edited ones, with the history of this chat.

    None is a line that was cancelled.
    """
    if sys.stdin is None:
        # There is none where a service closed it.
        return
    if not sys.stdin.isatty():
        yield from (line.strip() for line in sys.stdin)
        return
    import contextlib

    with contextlib.suppress(ImportError):
        # Arrow keys; what was typed is kept in no file.
        import readline  # noqa: F401
    console.print(f"Talking with {name}; /help shows what there is, /bye ends.")
    while True:
        try:
            yield input("> ").strip()
        except KeyboardInterrupt:
            console.print()
            yield None
        except EOFError:
            console.print()
            return
