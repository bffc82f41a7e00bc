"""Answers about the record that is being judged: a hundred checks ask about one container in a row."""

from __future__ import annotations

from functools import wraps
from operator import is_
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")
T = TypeVar("T")
P = ParamSpec("P")

_KEYWORDS = object()


def latest(function: Callable[Concatenate[R, P], T]) -> Callable[Concatenate[R, P], T]:
    """Remember what a function says of an immutable record, until it is asked about a third one.

    The second is the record without some of its processes, of which a check may ask in between. Records are
    told apart by identity, as to hash one would cost more than most answers; the other arguments by value. What
    it raises is not remembered.
    """
    record: Any = None
    before: Any = None
    answers: dict[Any, T] = {}
    earlier: dict[Any, T] = {}

    @wraps(function)
    def remembered(asked: R, /, *arguments: P.args, **keywords: P.kwargs) -> T:
        nonlocal record, before, answers, earlier
        if asked is not record:
            # Answers are left, never emptied: further down the stack they may still be added to.
            record, before, answers, earlier = asked, record, earlier if asked is before else {}, answers
        mine, key = answers, (*arguments, _KEYWORDS, *keywords.items()) if keywords else arguments
        try:
            return mine[key]
        except KeyError:
            pass
        answer = mine[key] = function(asked, *arguments, **keywords)
        return answer

    return remembered


def latest_of(count: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """As `latest`, of a function whose first arguments, so many, are the records; all must be the same ones."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        records: tuple[Any, ...] = ()
        answers: dict[Any, T] = {}

        @wraps(function)
        def remembered(*arguments: P.args, **keywords: P.kwargs) -> T:
            nonlocal records, answers
            asked, rest = arguments[:count], arguments[count:]
            if not records or not all(map(is_, asked, records)):
                records, answers = asked, {}
            mine, key = answers, (*rest, _KEYWORDS, *keywords.items()) if keywords else rest
            try:
                return mine[key]
            except KeyError:
                pass
            answer = mine[key] = function(*arguments, **keywords)
            return answer

        return remembered

    return decorate
