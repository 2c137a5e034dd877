"""The base of all DTOs: frozen, strict about its keys, turned into JSON without what is absent.

How an entity's columns get into a DTO is in ``reading``; this module knows no entity.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    ValidationError,
    WithJsonSchema,
    model_serializer,
)

from cloudpub_models.errors import InvalidValueError


def _iso_text(moment: datetime) -> str:
    return moment.isoformat()


# Pydantic would abbreviate the offset of UTC to "Z"; every other writer of our times says "+00:00".
Moment = Annotated[
    AwareDatetime,
    PlainSerializer(_iso_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class Dto(BaseModel):
    """What one answer of an API says; see the subclasses.

    Instances are frozen and refuse keys that they do not know. They are read back by ``model_validate``:
    ``type(dto).model_validate(dto.to_json()) == dto``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """Return a dict that ``json.dumps`` takes.

        Absent values (``None``) are left out, times are ISO 8601 with their offset, UUIDs are text. Documents such as
        ``analysis_result`` are as they were stored, their own nulls included.

        >>> from uuid import UUID
        >>> from cloudpub_models.dto import UserDto
        >>> UserDto(uuid=UUID(int=1), email="ada@example.com").to_json()
        {'uuid': '00000000-0000-0000-0000-000000000001', 'email': 'ada@example.com'}
        """
        return self.model_dump(mode="json")

    # A serializer and not exclude_none, so that FastAPI, which serializes in its own way, leaves the same values out.
    # It has no return annotation, because pydantic would take that for the JSON schema in place of the fields'.
    @model_serializer(mode="wrap")
    def _leave_out_absent(self, handler: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]
        return {name: value for name, value in handler(self).items() if value is not None}

    @classmethod
    def _from_values(cls, values: dict[str, Any], source: str) -> Self:
        """Make the DTO, or say in the library's own words what is wrong with the entity that the values are from."""
        try:
            return cls(**values)
        except ValidationError as error:
            # The first will do, and without pydantic's text, which shows whole inputs.
            first = error.errors(include_input=False, include_url=False)[0]
            field = str(first["loc"][0]) if first["loc"] else "its values"
            raise InvalidValueError(
                f"expected {source} with everything that {cls.__name__} shows; {field} does not fit "
                f"({first['msg'].lower()}): load the row from the database with all its columns"
            ) from error
