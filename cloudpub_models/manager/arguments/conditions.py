"""What ``where`` takes beside a dict and a Peewee expression: several conditions as one, and ``ALL_ROWS``.

Holds them as they were given; ``where`` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import peewee

from cloudpub_models.sql.records import Record


class AllRows:
    """The type of ``ALL_ROWS``, which says of an update or delete that every row is meant."""

    def __repr__(self) -> str:
        return "ALL_ROWS"

    def __reduce__(self) -> str:
        """Copy and pickle by name, so that there never is a second instance."""
        return "ALL_ROWS"


ALL_ROWS: Final = AllRows()


class Combined(Record):
    """Several conditions as one. Made by ``all_of``, ``any_of`` and ``none_of``."""

    how: Literal["all", "any", "none"]
    conditions: tuple[Where, ...]


Where = Mapping[str, Any] | peewee.Node | Combined | AllRows | None

# The dict of conditions that a manager takes, for type checkers: of a manager of any model, a mapping.
if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultedTypeVar

    Filter = DefaultedTypeVar("Filter", bound=Mapping[str, Any], default=Mapping[str, Any], contravariant=True)
else:
    Filter = TypeVar("Filter", contravariant=True)

WhereOf: TypeAlias = Filter | peewee.Node | Combined | AllRows | None


def all_of(*conditions: Where) -> Combined:
    """Return the condition that all of the conditions hold; a column may come in more than one of them.

    Of no conditions at all it holds for every row.

    Args:
        *conditions: each a dict of column → value, a Peewee expression, or ``any_of``, ``all_of``, ``none_of`` of
            those.

    >>> from cloudpub_models import all_of, operators
    >>> managers.functions.count(all_of({"name": operators.like("re%")}, {"name": operators.like("%size")}))
    1

    ``SELECT COUNT(*) AS count FROM functions WHERE name LIKE @param_0 AND name LIKE @param_1``
    """
    return Combined("all", conditions)


def any_of(*conditions: Where) -> Combined:
    """Return the condition that at least one of the conditions holds.

    Of no conditions at all it holds for no row.

    Args:
        *conditions: as for ``all_of``.

    >>> from cloudpub_models import any_of
    >>> managers.functions.find_all(any_of({"status": "failed"}, {"user_id": ada.id, "name": "resize"})) == [resize]
    True

    ``SELECT id, … FROM functions WHERE (status = @param_0 OR (user_id = @param_1 AND name = @param_2))``
    """
    return Combined("any", conditions)


def none_of(*conditions: Where) -> Combined:
    """Return the condition that none of the conditions holds: it finds exactly the rows that ``any_of`` does not.

    So it finds the rows, too, of which a condition is neither true nor false because a column is NULL.

    Args:
        *conditions: as for ``all_of``.

    >>> from cloudpub_models import none_of
    >>> managers.functions.count(none_of({"status": "failed"}, {"active_deployment_id": 7}))
    1

    ``SELECT COUNT(*) AS count FROM functions WHERE (status = @param_0) IS NOT TRUE AND …``
    """
    return Combined("none", conditions)
