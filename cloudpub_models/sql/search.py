"""What people type to look for words in texts: read once, then held against as many texts as there are.

For: deciding in Python whether a text has what was asked for, the same way whatever database gave it, and where it
stands there. A text is its words: runs of letters and digits, whatever their case. Everything else only separates
them, so nothing that is typed can be a mistake of syntax, and ``req-3810`` or ``10.11.10.1`` is found as it is written.

Not for: asking a database, which ``manager/searching`` does with what this says that every such text contains.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from cloudpub_models.errors import InvalidQueryError
from cloudpub_models.sql.dialects import SEARCHED_CHARACTERS
from cloudpub_models.sql.identifiers import shown

_LONGEST_QUERY = 1_000
_MOST_WORDS = 32
_WORD = re.compile(r"[^\W_]+")
_TYPED_TERM = re.compile(
    r"""(?P<without>-)? (?: "(?P<quoted>[^"]*)"? | (?P<plain>[^\s"]+) ) (?P<beginning>\*)?""", re.VERBOSE
)
_ASCII_RUN = re.compile(r"[a-z0-9]+")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


class _Term(NamedTuple):
    """Words that follow one another.

    Attributes:
        words: the words.
        beginning: whether a longer word may stand in the place of the last one, if it begins with it.
    """

    words: tuple[str, ...]
    beginning: bool


class _Alternative(NamedTuple):
    wanted: tuple[_Term, ...]
    unwanted: tuple[_Term, ...]


class SearchQuery:
    """A search for words, as people type it.

    ``out memory`` finds texts with both words, ``"out of memory"`` those in which the three follow one another,
    ``mem*`` those with a word that begins so, ``-debug`` none with that word, and ``timeout OR "out of memory"`` those
    with the one or the other; OR binds less than words side by side. A minus, quotes and a star go together; a quote
    that is not closed reaches to the end. The first 20,000 characters of a text are searched.

    Args:
        text: what was typed; at most 1,000 characters and 32 words.

    Attributes:
        text: the same.

    Raises:
        InvalidQueryError: it is no text or too long, has no word to look for, or nothing on a side of an OR.

    >>> query = SearchQuery('"out of memory" -debug')
    >>> query.matches("Worker 7: OUT OF MEMORY"), query.matches("debug: out of memory"), query.matches("out of sight")
    (True, False, False)
    """

    __slots__ = ("_alternatives", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidQueryError(f"expected a text to search for; got {shown(text)}")
        if len(text) > _LONGEST_QUERY:
            raise InvalidQueryError(f"expected at most {_LONGEST_QUERY:,} characters to search for; got {len(text):,}")
        self.text = text
        self._alternatives = tuple(_alternatives(text))

    def __repr__(self) -> str:
        return f"SearchQuery({self.text!r})"

    def matches(self, *texts: str | None) -> bool:
        """Return whether texts have what is searched for, each term in any one of them.

        Args:
            *texts: the texts; ``None`` has no words.

        >>> SearchQuery("out memory").matches("run out", "no memory left")
        True
        """
        # A NUL between two texts, which is in no word, keeps a phrase from reaching over both.
        words = " \0 ".join([f" {' '.join(_words(text))} " for text in texts if text])
        return any(
            all(_is_in(term, words) for term in alternative.wanted)
            and not any(_is_in(term, words) for term in alternative.unwanted)
            for alternative in self._alternatives
        )

    def highlights(self, text: str) -> list[tuple[int, int]]:
        """Return where the words that are searched for stand in a text, as (start, end) in characters.

        For showing them in whatever way the place needs: nothing is marked up here.

        Args:
            text: the text.

        Returns:
            the places in their order; those that overlap are one.

        >>> SearchQuery('"out of memory" -debug').highlights("Worker 7: Out of memory!")
        [(10, 23)]
        """
        found = [(word.group(), *word.span()) for word in _WORD.finditer(_folded(text[:SEARCHED_CHARACTERS]))]
        terms = [term for alternative in self._alternatives for term in alternative.wanted]
        places = sorted(place for term in terms for place in _places(term, found))
        joined: list[tuple[int, int]] = []
        for start, end in places:
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        return joined

    def contained(self) -> list[list[str]]:
        r"""Return patterns for ILIKE, each of which some text has that matches: for one of the lists, all of them.

        A database knows by them which texts are worth a look. They say nothing about what is beyond ASCII, since how
        databases take the case of that depends on their locale.

        >>> SearchQuery('"out of mem"* -debug OR größe').contained()
        [['%out%of%mem%'], ['%gr%e%']]
        """
        return [
            [f"%{_NOT_ASCII.sub('%', '%'.join(term.words))}%".replace("%%", "%") for term in alternative.wanted]
            for alternative in self._alternatives
        ]

    def runs(self) -> list[list[list[tuple[str, bool]]]]:
        """Return the runs of ASCII letters and digits in what is searched for: of each alternative, of each term.

        A text that has a term has all of its runs, and with those that are marked another one may begin. An index knows
        texts by them, since what else is a letter depends on the database.

        >>> SearchQuery('"out of mem"* -debug OR größe').runs()
        [[[('out', False), ('of', False), ('mem', True)]], [[('gr', False), ('e', False)]]]
        """
        return [[_runs(term) for term in alternative.wanted] for alternative in self._alternatives]


def search_query(text: Any) -> SearchQuery:
    """Return a search that was given as text, or as one already.

    Raises:
        InvalidQueryError: see ``SearchQuery``.
    """
    return text if isinstance(text, SearchQuery) else SearchQuery(text)


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    # One for one, so that places stay; and nothing beyond ASCII becomes ASCII: the Kelvin sign is no k.
    return "".join([_folded_character(character) for character in text])


def _folded_character(character: str) -> str:
    lowered = character.lower()
    return character if len(lowered) > 1 or (lowered.isascii() and not character.isascii()) else lowered


def _words(text: str) -> list[str]:
    return _WORD.findall(_folded(text[:SEARCHED_CHARACTERS]))


def _runs(term: _Term) -> list[tuple[str, bool]]:
    text = " ".join(term.words)
    runs = list(_ASCII_RUN.finditer(text))
    return [(run.group(), term.beginning and run.end() == len(text)) for run in runs]


def _is_in(term: _Term, words: str) -> bool:
    return f" {' '.join(term.words)}{'' if term.beginning else ' '}" in words


def _places(term: _Term, found: Sequence[tuple[str, int, int]]) -> Iterator[tuple[int, int]]:
    first, length = term.words[0], len(term.words)
    for position in range(len(found) - length + 1):
        if not found[position][0].startswith(first):
            continue
        words = tuple([word for word, _, _ in found[position : position + length]])
        if _follow(term, words):
            yield found[position][1], found[position + length - 1][2]


def _follow(term: _Term, words: tuple[str, ...]) -> bool:
    if term.beginning:
        return words[:-1] == term.words[:-1] and words[-1].startswith(term.words[-1])
    return words == term.words


def _alternatives(text: str) -> Iterator[_Alternative]:
    wanted: list[_Term] = []
    unwanted: list[_Term] = []
    count = 0
    for term in [*_TYPED_TERM.finditer(text), None]:
        if term is None or term.group() == "OR":
            yield _alternative(wanted, unwanted, text)
            wanted, unwanted = [], []
            continue
        plain = term["plain"] or ""
        words = tuple(_words(term["quoted"] or plain))
        if not words:
            continue
        count += len(words)
        if count > _MOST_WORDS:
            raise InvalidQueryError(f"expected at most {_MOST_WORDS} words to search for; got more")
        beginning = bool(term["beginning"]) or plain.endswith("*")
        (unwanted if term["without"] else wanted).append(_Term(words, beginning))


def _alternative(wanted: list[_Term], unwanted: list[_Term], text: str) -> _Alternative:
    if wanted:
        return _Alternative(tuple(wanted), tuple(unwanted))
    if unwanted:
        raise InvalidQueryError(
            f"expected a word to search for beside what is left out; got {shown(text)}: name one that has to be there"
        )
    raise InvalidQueryError(
        f"expected words to search for, on both sides of an OR too; got {shown(text)}: letters and digits make words"
    )
