"""What is shown of users and their profiles."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from cloudpub_models.dto.base import Dto, Moment
from cloudpub_models.dto.reading import checked, columns_of, related, require_same
from cloudpub_models.models import Role, User, UserInformation


class UserDto(Dto):
    """An account.

    Attributes:
        uuid: the user's public id.
        email: the user's address.
        created_at: when the account was created.
    """

    uuid: UUID
    email: str
    created_at: Moment | None = None

    @classmethod
    def from_entity(cls, user: User) -> Self:
        """Return what is shown of a user.

        Raises:
            InvalidValueError: it is no user, or not a complete one.
            LazyLoadingError: the query that loaded it left one of its columns out.

        >>> from cloudpub_models import User
        >>> sorted(UserDto.from_entity(User(email="ada@example.com", password_hash="…")).to_json())
        ['created_at', 'email', 'uuid']
        """
        return cls._from_values(columns_of(checked(user, User, cls), cls), "a User")


class UserInformationDto(Dto):
    """A user's profile alone, without the account.

    Attributes:
        uuid: the profile's own public id, not the user's.
        first_name: given name.
        last_name: family name.
        phone_number: telephone.
        country: country.
        city: city.
        address: street and house.
        zip_code: postal code.
        avatar: the URL of a picture.
        role: what the user is on the platform.
    """

    uuid: UUID
    first_name: str
    last_name: str
    phone_number: str | None = None
    country: str | None = None
    city: str | None = None
    address: str | None = None
    zip_code: str | None = None
    avatar: str | None = None
    role: Role

    @classmethod
    def from_entity(cls, information: UserInformation) -> Self:
        """Return what is shown of a profile.

        Raises:
            InvalidValueError: it is no profile, or not a complete one.
            LazyLoadingError: the query that loaded it left one of its columns out.

        >>> from cloudpub_models import Role, UserInformation
        >>> ada = UserInformation(uuid=UUID(int=1), first_name="Ada", last_name="Lovelace", role=Role.TEAM)
        >>> UserInformationDto.from_entity(ada).to_json()["role"]
        'team'
        """
        return cls._from_values(columns_of(checked(information, UserInformation, cls), cls), "a UserInformation")


class UserProfileDto(Dto):
    """A user with the profile, in one.

    Attributes:
        uuid: the user's public id.
        email: the user's address.
        first_name: given name; this and all below but ``created_at`` are absent for a user without a profile.
        last_name: family name.
        phone_number: telephone.
        country: country.
        city: city.
        address: street and house.
        zip_code: postal code.
        avatar: the URL of a picture.
        role: what the user is on the platform.
        created_at: when the account was created.
    """

    uuid: UUID
    email: str
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    country: str | None = None
    city: str | None = None
    address: str | None = None
    zip_code: str | None = None
    avatar: str | None = None
    role: Role | None = None
    created_at: Moment | None = None

    @classmethod
    def from_entities(cls, user: User, information: UserInformation | None = None) -> Self:
        """Return what is shown of a user and the profile.

        Args:
            user: the user.
            information: the profile; when left out, the one loaded with the user, if there is one.

        Raises:
            InvalidValueError: one of them is of another model or incomplete, or the profile is another user's.
            LazyLoadingError: the query that loaded one of them left a column out.

        >>> from cloudpub_models import Role, User, UserInformation
        >>> ada = User(email="ada@example.com", password_hash="…")
        >>> profile = UserInformation(user=ada, first_name="Ada", last_name="Lovelace", role=Role.TEAM)
        >>> UserProfileDto.from_entities(ada, profile).first_name
        'Ada'
        """
        return cls._from_values(account_and_profile(cls, user, information), "a User and UserInformation")


def account_and_profile(dto: type[Dto], user: User, information: UserInformation | None) -> dict[str, Any]:
    """Return the values for a DTO that shows a user's account and profile; the user's where both have a column."""
    account = columns_of(checked(user, User, dto), dto)
    if information is None:
        information = related(user, "information")
    if information is None:
        return account
    checked(information, UserInformation, dto)
    require_same(
        information.__data__.get("user"),
        user.uuid,
        f"expected the profile of the user that {dto.__name__} is made of; got another user's: load the two together",
    )
    return columns_of(information, dto) | account
