"""Words as BuildKit's shell lexer reads them: quotes, escapes and `${…}` in all its forms.

The rules are those of frontend/dockerfile/shell/lex.go, whose oddities are kept, since they decide
which image is pulled. Bounded in size and depth (`text`). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from image_factory.dockerfile import patterns
from image_factory.dockerfile.reading import Category
from image_factory.dockerfile.text import BOM, MAX_EXPANSION, MAX_EXPANSIONS, MAX_NESTING, SPACES, Refusal, shown

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPACE_RUN = re.compile(f"[{SPACES}]+")
_ANYTHING_SPECIAL = {escape: re.compile(rf"[$'\"{re.escape(escape)}{BOM}]") for escape in "\\`"}
_PLAIN = {
    (escape, stop): re.compile(rf"[^$'\"<{re.escape(escape)}{re.escape(stop)}]+")
    for escape in "\\`"
    for stop in ("", "}", "/")
}
_PARAMETERS = frozenset("@*#?-$!0")


class Budget:
    """How much the words of one file may still grow; one for each reading."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_EXPANSIONS


class Expansion:
    """What a word means, and the variables that it means it with."""

    __slots__ = ("missing", "text", "used")

    def __init__(self, text: str, used: list[str], missing: list[str]) -> None:
        self.text = text
        self.used = used
        """Variables whose values stand in the text."""
        self.missing = missing
        """Variables without a value, for which nothing stands in the text."""


_NOTHING: list[str] = []


def expand(word: str, values: Mapping[str, str], escape: str, budget: Budget) -> Expansion:
    """Return what `word` means: quotes and escapes taken away, variables filled in.

    Raises:
        Refusal: BuildKit would refuse the word, or it grows beyond the bounds.
    """
    if _ANYTHING_SPECIAL[escape].search(word) is None:
        return Expansion(word, _NOTHING, _NOTHING)
    lexer = Lexer(word, values, escape, budget)
    return Expansion(lexer.read(), lexer.used, lexer.missing)


class Words:
    """The words that a text is split into while it is read."""

    __slots__ = ("buffer", "found", "inside")

    def __init__(self) -> None:
        self.found: list[str] = []
        self.buffer: list[str] = []
        self.inside = False

    def add(self, text: str) -> None:
        """Add text in which space separates words."""
        for number, part in enumerate(_SPACE_RUN.split(text)):
            if number and self.inside and self.buffer:
                self.end()
            if part:
                self.add_raw(part)

    def add_raw(self, text: str) -> None:
        """Add text in which space is a character like any other."""
        if text:
            self.buffer.append(text)
        self.inside = True

    def end(self) -> None:
        """End the word, if there is one."""
        if self.buffer:
            self.found.append("".join(self.buffer))
            self.buffer.clear()
            self.inside = False


class Lexer:
    """Reads one text once.

    Args:
        words: where to collect words, if the text is to be split.
        unset: leave variables without a value as they stand.
        quotes: leave quotes as they stand.
        raw: leave escapes as they stand.
    """

    __slots__ = (
        "_budget",
        "_depth",
        "_escape",
        "_grown",
        "_keep_quotes",
        "_keep_unset",
        "_pos",
        "_raw",
        "_text",
        "_values",
        "_words",
        "missing",
        "used",
    )

    def __init__(
        self,
        text: str,
        values: Mapping[str, str],
        escape: str,
        budget: Budget,
        *,
        words: Words | None = None,
        unset: bool = False,
        quotes: bool = False,
        raw: bool = False,
    ) -> None:
        # Go's text/scanner passes over a byte-order mark at the start.
        self._text = text.removeprefix(BOM) if text[:1] == BOM else text
        self._pos = 0
        self._values = values
        self._escape = escape
        self._budget = budget
        self._words = words
        self._keep_unset = unset
        self._keep_quotes = quotes
        self._raw = raw
        self._depth = 0
        self._grown = 0
        self.used: list[str] = []
        self.missing: list[str] = []

    def read(self) -> str:
        """Return what the whole text means."""
        return self._until("", self._raw)

    def _until(self, stop: str, raw: bool, *, pattern: bool = False) -> str:
        """Read up to and past `stop`, or to the end of the text where it is empty.

        Args:
            raw: leave escapes as they stand.
            pattern: what is read is a pattern, in which an escape that is quoted is to mean itself.
        """
        text, escape = self._text, self._escape
        plain = _PLAIN[escape, stop]
        words = self._words
        if words is not None:
            # BuildKit shares one buffer over all levels: what a word had gathered before `${X:-…}` is lost.
            words.buffer.clear()
            if stop:
                words = None
        out: list[str] = []
        while self._pos < len(text):
            run = plain.match(text, self._pos)
            if run is not None:
                self._pos = run.end()
                out.append(run[0])
                if words is not None:
                    words.add(run[0])
                continue
            char = text[self._pos]
            if char == stop:
                self._pos += 1
                self._clear()
                return "".join(out)
            if char == "$":
                part = self._dollar(raw)
                if words is not None:
                    words.add(part)
            elif char in "'\"":
                part = self._single(pattern) if char == "'" else self._double(raw, pattern)
                if words is not None:
                    words.add_raw(part)
            elif char == "<":
                part = self._heredoc_mark()
                if words is not None:
                    words.add_raw(part)
            else:  # the escape
                part = text[self._pos : self._pos + 2]
                self._pos += 2
                if not raw:
                    part = part[1:]
                elif len(part) == 1:
                    out.append(part)
                if words is not None:
                    words.add_raw(part)
                if self._pos > len(text):
                    break
            out.append(part)
        if stop:
            raise Refusal(f"missing {stop!r} in {shown(text)}")
        if words is not None:
            words.end()
        return "".join(out)

    def _clear(self) -> None:
        if self._words is not None:
            self._words.buffer.clear()

    def _heredoc_mark(self) -> str:
        """Read `<`, or `<<` with the blanks after it, which belong to the heredoc's word."""
        text, start = self._text, self._pos
        self._pos += 1
        if text.startswith("<", self._pos):
            self._pos += 1
            while self._pos < len(text) and text[self._pos] in "\t\r ":
                self._pos += 1
        return text[start : self._pos]

    def _single(self, pattern: bool) -> str:
        end = self._text.find("'", self._pos + 1)
        if end < 0:
            raise Refusal(f"missing closing ' in {shown(self._text)}")
        start = self._pos
        self._pos = end + 1
        content = self._text[start : end + 1] if self._keep_quotes else self._text[start + 1 : end]
        return content.replace(self._escape, self._escape * 2) if pattern else content

    def _double(self, raw: bool, pattern: bool) -> str:
        text, escape = self._text, self._escape
        out = ['"'] if self._keep_quotes else []
        self._pos += 1
        while self._pos < len(text):
            char = text[self._pos]
            if char == '"':
                self._pos += 1
                if self._keep_quotes:
                    out.append(char)
                return "".join(out)
            if char == "$":
                out.append(self._dollar(raw))
                continue
            self._pos += 1
            if char != escape:
                start = self._pos - 1
                while self._pos < len(text) and text[self._pos] not in ('"', "$", escape):
                    self._pos += 1
                out.append(text[start : self._pos])
                continue
            following = text[self._pos : self._pos + 1]
            if following and following in ('"', "$", escape):
                self._pos += 1
                out.append(escape + following if raw else following)
            elif following:
                doubled = raw and (pattern or not self._keep_quotes)
                out.append(escape * 2 if doubled else escape)
        raise Refusal(f'missing closing " in {shown(text)}')

    def _name(self) -> str:
        """Read a variable's name: a word, digits, one of the shell's parameters, or nothing."""
        text, start = self._text, self._pos
        first = text[start : start + 1]
        if not first:
            return ""
        if first.isdecimal():
            while self._pos < len(text) and text[self._pos].isdecimal():
                self._pos += 1
            return text[start : self._pos]
        if first in _PARAMETERS:
            self._pos += 1
            return first
        quick = _NAME.match(text, start)
        if quick is not None:
            self._pos = quick.end()
        while self._pos < len(text):
            char = text[self._pos]
            if not (char == "_" or char.isalpha() or char.isdecimal()):
                break
            self._pos += 1
        return text[start : self._pos]

    def _value(self, name: str) -> str | None:
        value = self._values.get(name)
        if value is not None:
            self._grown += len(value)
            self._budget.left -= len(value)
            if self._grown > MAX_EXPANSION:
                message = f"a word grows beyond {MAX_EXPANSION} characters"
                raise Refusal(message, Category.UNRESOLVED_ARG)
            if self._budget.left < 0:
                message = f"the words of the file grow beyond {MAX_EXPANSIONS} characters"
                raise Refusal(message, Category.UNRESOLVED_ARG)
        return value

    def _plain_value(self, name: str, written: str) -> str:
        value = self._value(name)
        if value is None:
            if self._keep_unset:
                return written
            self.missing.append(name)
            return ""
        self.used.append(name)
        return value

    def _dollar(self, raw: bool) -> str:
        text = self._text
        self._pos += 1
        if not text.startswith("{", self._pos):
            name = self._name()
            return self._plain_value(name, f"${name}") if name else "$"
        self._pos += 1
        following = text[self._pos : self._pos + 1]
        if following in ("", "{", "}", ":"):
            raise Refusal(f"bad substitution in {shown(text)}")
        name = self._name()
        sign = text[self._pos : self._pos + 1]
        self._pos += 1
        if sign == "}":
            return self._plain_value(name, f"${{{name}}}")
        if sign == "/":
            return self._replaced(name)
        null_is_unset = sign == ":"
        if null_is_unset:
            sign = text[self._pos : self._pos + 1]
            self._pos += 1
        if not sign or (sign in "#%" if null_is_unset else sign not in "+-?#%"):
            raise self._unsupported(name, sign)
        mark = len(self.missing), len(self.used)
        trims = sign in "#%"
        word = self._nested("}", trims, trims)
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}{':' if null_is_unset else ''}{sign}{word}}}"
        if sign not in "+-?#%":
            raise self._unsupported(name, f":{sign}")
        empty = value is None or (null_is_unset and value == "")
        if trims:
            return self._trimmed(name, value, sign, word)
        if sign == "-" and empty:
            return word
        if sign == "+" and not empty:
            self.used.append(name)
            return word
        # The word inside is not used, so what it misses is not missed.
        del self.missing[mark[0] :], self.used[mark[1] :]
        if sign == "+":
            return ""
        if sign == "?" and empty:
            raise Refusal(f"{name}: {word or 'has no value'}", Category.UNRESOLVED_ARG)
        self.used.append(name)
        return value or ""

    def _unsupported(self, name: str, sign: str) -> Refusal:
        return Refusal(f"unsupported substitution ${{{name}{sign}…}} in {shown(self._text)}")

    def _nested(self, stop: str, raw: bool, pattern: bool) -> str:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise Refusal(f"substitutions are nested deeper than {MAX_NESTING}")
        word = self._until(stop, raw, pattern=pattern)
        self._depth -= 1
        return word

    def _trimmed(self, name: str, value: str | None, sign: str, pattern: str) -> str:
        (self.missing if value is None else self.used).append(name)
        value = value or ""
        greedy = pattern.startswith(sign)
        pattern = pattern[1:] if greedy else pattern
        self._spend(pattern, value)
        trim = patterns.trim_prefix if sign == "#" else patterns.trim_suffix
        return trim(pattern, value, greedy=greedy)

    def _replaced(self, name: str) -> str:
        everywhere = self._text.startswith("/", self._pos)
        self._pos += everywhere
        pattern = self._nested("/", True, True)
        replacement = self._nested("}", True, False)
        value = self._value(name)
        if value is None and self._keep_unset:
            return f"${{{name}/{pattern}/{replacement}}}"
        (self.missing if value is None else self.used).append(name)
        value = value or ""
        self._spend(pattern, value)
        self._budget.left -= 16 * len(value) if everywhere else 0
        grown = (len(value) + 1) * len(replacement) if everywhere else len(replacement)
        self._grown += grown
        self._budget.left -= grown
        if self._grown > MAX_EXPANSION:
            raise Refusal(f"a word grows beyond {MAX_EXPANSION} characters", Category.UNRESOLVED_ARG)
        return patterns.replace(pattern, value, replacement, everywhere=everywhere)

    def _spend(self, pattern: str, value: str) -> None:
        """Charge a pattern's work: `?` makes it the product of both lengths."""
        self._budget.left -= len(value) * (len(pattern) if "?" in pattern else pattern.count("*") + 1) // 16
        if self._budget.left < 0:
            raise Refusal("the file's patterns are too much work", Category.UNRESOLVED_ARG)
