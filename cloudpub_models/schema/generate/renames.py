"""What may have been renamed: a table or a column that went while another one like it came. Nobody but a person knows.

What is asked is answered by the old name and the new one; an old name with nothing behind it was not renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloudpub_models.errors import MigrationError, did_you_mean
from cloudpub_models.schema.generate.structure import Tables, TableState
from cloudpub_models.sql.identifiers import shown


@dataclass(frozen=True)
class Rename:
    """A table, or a column of one, by its name before and now."""

    table: str | None
    old: str
    new: str

    @property
    def place(self) -> str:
        """The old name, as an answer has it."""
        return self.old if self.table is None else f"{self.table}.{self.old}"


class UnansweredError(MigrationError):
    """Something may have been renamed, and nobody says whether.

    Attributes:
        candidates: what it may be now.
    """

    def __init__(self, candidates: Sequence[Rename]) -> None:
        self.candidates = tuple(candidates)
        rename = self.candidates[0]
        kind = "table" if rename.table is None else "column"
        super().__init__(
            f"expected to be told whether the {kind} {rename.place} is {rename.new} now, since one went and one like "
            f"it came; got no answer: give --rename {rename.place}={rename.new}, or --rename {rename.place}= if not"
        )


def renamed_tables(old: Tables, new: Tables, answers: Mapping[str, str]) -> list[Rename]:
    """Return the tables that were renamed.

    Args:
        old: the tables that there are.
        new: the tables that there should be.
        answers: what was said: old name → new name, or nothing.

    Raises:
        UnansweredError: one may have been renamed, and no answer says whether.
        MigrationError: an answer names a table that did not come.
    """
    gone, come = [name for name in old if name not in new], [name for name in new if name not in old]
    candidates = [
        Rename(None, before, after) for before in gone for after in come if _is_alike(old[before], new[after])
    ]
    return _answered(None, gone, come, candidates, answers)


def renamed_columns(old: Tables, new: Tables, answers: Mapping[str, str]) -> list[Rename]:
    """Return the columns that were renamed, of tables that are there and should be; as ``renamed_tables``."""
    found = []
    for name, table in new.items():
        if name not in old:
            continue
        before = old[name]
        gone = [column for column in before.columns if column not in table.columns]
        come = [column for column in table.columns if column not in before.columns]
        candidates = [
            Rename(name, one, other)
            for one in gone
            for other in come
            if before.columns[one].has_type_of(table.columns[other])
        ]
        own = {
            key.removeprefix(f"{name}."): value.removeprefix(f"{name}.")
            for key, value in answers.items()
            if "." not in key or key.startswith(f"{name}.")
        }
        found += _answered(name, gone, come, candidates, own)
    return found


def require_known(old: Tables, new: Tables, answers: Iterable[str]) -> None:
    """Raise MigrationError for an answer about what did not go.

    Args:
        old: the tables that there are, before anything is renamed.
        new: the tables that there should be.
        answers: the old names.
    """
    went = [name for name in old if name not in new]
    for name, table in old.items():
        now = new.get(name)
        went += [f"{name}.{column}" for column in table.columns if now is None or column not in now.columns]
    columns = {place.partition(".")[2] for place in went if "." in place}
    for answer in answers:
        if answer not in went and answer not in columns and not any(_is_of_renamed(answer, old, name) for name in new):
            hint = did_you_mean(answer, went) if went else "none did"
            raise MigrationError(f"expected --rename for a table or a column that went; got {shown(answer)}: {hint}")


def _is_of_renamed(answer: str, old: Tables, table: str) -> bool:
    # A column of a renamed table goes by the table's name now.
    return table not in old and answer.startswith(f"{table}.")


def _is_alike(old: TableState, new: TableState) -> bool:
    common = [
        name for name, column in new.columns.items() if name in old.columns and old.columns[name].has_type_of(column)
    ]
    return len(common) * 2 >= max(len(old.columns), len(new.columns))


def _answered(
    table: str | None, gone: list[str], come: list[str], candidates: Sequence[Rename], answers: Mapping[str, str]
) -> list[Rename]:
    found: list[Rename] = []
    for old in gone:
        new = answers.get(old)
        if not new:
            continue
        if new not in come:
            hint = did_you_mean(new, come) if come else "none did"
            place = Rename(table, old, new).place
            raise MigrationError(f"expected the name of what came behind --rename {place}=; got {shown(new)}: {hint}")
        if new in [rename.new for rename in found]:
            raise MigrationError(f"expected one old name for {new}; got {shown(old)} too: only one can have become it")
        found.append(Rename(table, old, new))
    taken = [rename.new for rename in found]
    for old in gone:
        open_ones = [each for each in candidates if each.old == old and each.new not in taken]
        if open_ones and old not in answers:
            raise UnansweredError(open_ones)
    return found
