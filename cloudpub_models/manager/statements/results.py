"""What paged queries return."""

from __future__ import annotations

from typing import Generic, TypeVar

from cloudpub_models.sql.records import Record

T = TypeVar("T")


class PaginatedResult(Record, Generic[T]):
    """One page of rows, with where it stands among all of them.

    Attributes:
        items: the rows of this page.
        total: how many rows there are on all pages.
        page: the number of this page, from 1.
        page_size: how many rows a full page has.
        has_more: whether there is a page after this one.

    >>> PaginatedResult(items=["c"], total=3, page=2, page_size=2).has_more
    False
    """

    items: list[T]
    total: int
    page: int
    page_size: int

    @property
    def has_more(self) -> bool:
        """Whether there is a page after this one."""
        return self.page * self.page_size < self.total


class CursorPage(Record, Generic[T]):
    """One page of rows, and the cursor of the next.

    Attributes:
        items: the rows of this page.
        next_cursor: what to pass for the page after this one; ``None`` after the last.
    """

    items: list[T]
    next_cursor: str | None
