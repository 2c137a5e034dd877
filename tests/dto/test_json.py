"""The form of a DTO: its JSON, its schema, reading it back, and as FastAPI's response model."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pydantic
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

import cloudpub_models
from cloudpub_models import Function, FunctionLog, Role, User, dto, errors
from cloudpub_models.dto import (
    FunctionDto,
    FunctionLogDto,
    OrganizationWithMembersDto,
    UserDto,
    UserProfileDto,
)
from cloudpub_models.dto.base import Dto
from tests.dto.world import BUILDERS, DOCUMENT, MEMBER_UUID, OWNER_UUID, World, loaded

PROFILE = {"first_name", "last_name", "phone_number", "country", "city", "address", "zip_code", "avatar", "role"}
CARD = {"first_name", "last_name", "phone_number", "avatar", "role"}
TIMES = {"created_at", "updated_at"}
PROPERTIES = {
    "UserDto": {"uuid", "email", "created_at"},
    "UserInformationDto": {"uuid"} | PROFILE,
    "UserProfileDto": {"uuid", "email", "created_at"} | PROFILE,
    "OrganizationDto": {"uuid", "name", "owner_id"} | TIMES,
    "OrganizationMemberDto": {"uuid", "email", "joined_at"} | CARD,
    "OrganizationWithMembersDto": {"uuid", "name", "owner_id", "members", "member_count"} | TIMES,
    "UserWithOrganizationDto": {"uuid", "email", "organization", "created_at"} | CARD,
    "FunctionDto": {"uuid", "name", "status", "analysis_result", "user_uuid", "active_deployment_uuid"} | TIMES,
    "FunctionDeploymentDto": {
        *("uuid", "function_uuid", "version", "image_tag", "s3_key"),
        *("status", "is_active", "build_logs", "deployed_at"),
    },
    "FunctionLogDto": {"uuid", "function_uuid", "level", "message", "timestamp"},
    "FunctionInvocationDto": {"uuid", "function_uuid", "status", "duration_ms", "error", "timestamp"},
}
REQUIRED = {
    "UserDto": {"uuid", "email"},
    "UserInformationDto": {"uuid", "first_name", "last_name", "role"},
    "UserProfileDto": {"uuid", "email"},
    "OrganizationDto": {"uuid", "name"},
    "OrganizationMemberDto": {"email"},
    "OrganizationWithMembersDto": {"uuid", "name", "members", "member_count"},
    "UserWithOrganizationDto": {"uuid", "email"},
    "FunctionDto": {"uuid", "name", "status"},
    "FunctionDeploymentDto": {"uuid", "version", "image_tag", "s3_key", "status", "is_active"},
    "FunctionLogDto": {"uuid", "level", "message"},
    "FunctionInvocationDto": {"uuid", "status"},
}
every_dto = pytest.mark.parametrize("kind", BUILDERS, ids=lambda kind: kind.__name__)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=offsets | st.just(UTC))


@every_dto
def test_the_schema_names_what_is_documented(kind: type[Dto]):
    for mode in ("validation", "serialization"):
        schema = kind.model_json_schema(mode=mode)
        assert set(schema["properties"]) == PROPERTIES[kind.__name__]
        assert set(schema["required"]) == REQUIRED[kind.__name__]
        assert schema["additionalProperties"] is False
    for name, field in kind.model_json_schema()["properties"].items():
        if name.endswith("_at") or name == "timestamp":
            assert {option.get("format") for option in field["anyOf"]} == {"date-time", None}
    documented = kind.__doc__ or ""
    assert not [name for name in kind.model_fields if f"    {name}: " not in documented]


@every_dto
def test_to_json_is_json_without_absent_values_and_reads_back(world: World, kind: type[Dto]):
    for built in BUILDERS[kind](world):
        shown = built.to_json()
        assert json.loads(json.dumps(shown)) == shown
        assert None not in shown.values()
        assert kind.model_validate(shown) == built
        assert kind.model_validate_json(built.model_dump_json()) == built
        assert json.loads(built.model_dump_json()) == shown


@every_dto
def test_a_dto_is_frozen_and_takes_no_unknown_key(world: World, kind: type[Dto]):
    built = BUILDERS[kind](world)[0]
    for name in kind.model_fields:
        with pytest.raises(pydantic.ValidationError, match="frozen"):
            setattr(built, name, getattr(built, name))
    for unknown in ("id", "password_hash", "anything"):
        with pytest.raises(pydantic.ValidationError, match="xtra"):
            kind.model_validate(built.to_json() | {unknown: 1})
        with pytest.raises(pydantic.ValidationError):
            setattr(built, unknown, 1)


def test_each_value_of_the_entity_arrives(world: World):
    function = loaded(world.function, user=world.owner, active_deployment=world.deployment)
    assert FunctionDto.from_entity(function).to_json() == {
        "uuid": str(function.uuid),
        "name": "resize",
        "status": "active",
        "analysis_result": DOCUMENT,
        "user_uuid": str(OWNER_UUID),
        "active_deployment_uuid": str(world.deployment.uuid),
        "created_at": "2026-05-01T12:00:00.123456+00:00",
        "updated_at": function.updated_at.isoformat(),
    }
    assert UserProfileDto.from_entities(world.owner, world.owner_information).to_json() == {
        "uuid": str(OWNER_UUID),
        "email": "owner@example.com",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "phone_number": "+44 1",
        "country": "UK",
        "city": "London",
        "address": "St James's Square",
        "zip_code": "SW1",
        "avatar": "https://example.com/a.png",
        "role": "team",
        "created_at": "2026-05-01T12:00:00.123456+00:00",
    }
    assert dto.UserInformationDto.from_entity(world.owner_information).role is Role.TEAM
    assert dto.FunctionDeploymentDto.from_entity(world.deployment).to_json() == {
        "uuid": str(world.deployment.uuid),
        "version": 3,
        "image_tag": "resize:3",
        "s3_key": "resize/3.zip",
        "status": "building",
        "is_active": True,
        "build_logs": "ok",
        "deployed_at": "2026-05-01T12:00:00.123456+00:00",
    }
    assert dto.FunctionInvocationDto.from_entity(loaded(world.invocation, function=function)).to_json() == {
        "uuid": str(world.invocation.uuid),
        "function_uuid": str(function.uuid),
        "status": "failed",
        "duration_ms": 12,
        "error": "boom",
        "timestamp": "2026-05-01T12:00:00.123456+00:00",
    }


def test_what_include_loads_is_named(managers, world: World):
    function = managers.functions.find_one(include=("user", "active_deployment", "logs"))
    shown = FunctionDto.from_entity(function)
    assert (shown.user_uuid, shown.active_deployment_uuid) == (OWNER_UUID, world.deployment.uuid)
    assert FunctionLogDto.from_entity(function.logs[0]).function_uuid == function.uuid
    organization = managers.organizations.find_one(include=("members.information", "members.membership"))
    shown = OrganizationWithMembersDto.from_entities(organization, organization.members, None)
    assert sorted(str(member.first_name) for member in shown.members) == ["Ada", "Byron"]
    assert {member.joined_at for member in shown.members} == {world.membership.joined_at}


def test_a_column_that_was_not_loaded_is_an_error(managers, world: World):
    partial = managers.functions.find_one(select=["uuid", "name"])
    with pytest.raises(errors.LazyLoadingError, match="status"):
        FunctionDto.from_entity(partial)
    assert UserDto.from_entity(managers.users.find_one(select=["uuid", "email", "created_at"])).uuid in (
        OWNER_UUID,
        MEMBER_UUID,
    )


def test_an_incomplete_entity_is_an_error_that_names_the_field():
    with pytest.raises(errors.InvalidValueError, match="expected a User with everything that UserDto shows; email"):
        UserDto.from_entity(User())
    with pytest.raises(errors.InvalidValueError, match=r"expected a User for UserDto; got None, as a row"):
        UserDto.from_entity(None)  # type: ignore[arg-type]
    naive = User(email="a@b.c", created_at=datetime(2026, 5, 1))
    with pytest.raises(errors.InvalidValueError, match="created_at"):
        UserDto.from_entity(naive)


@given(json_values)
def test_documents_are_passed_through_as_they_are(document: Any):
    function = Function(name="resize", user=1, analysis_result=document)
    shown = FunctionDto.from_entity(function)
    if document is None:
        assert "analysis_result" not in shown.to_json()
    else:
        # repr also tells 1 from 1.0 and True, and -0.0 from 0.0.
        assert repr(shown.to_json()["analysis_result"]) == repr(document)
    assert FunctionDto.model_validate(shown.to_json()) == shown


def test_a_document_is_not_shared_with_the_entity():
    document = {"a": [1]}
    shown = FunctionDto.from_entity(Function(name="resize", user=1, analysis_result=document))
    document["a"].append(2)
    assert shown.analysis_result == {"a": [1]}


def test_a_document_too_deep_for_pydantic_is_refused_in_our_words():
    document: Any = 1
    for _ in range(400):
        document = [document]
    with pytest.raises(errors.InvalidValueError, match="analysis_result"):
        FunctionDto.from_entity(Function(name="resize", user=1, analysis_result=document))


@given(moments)
def test_times_have_their_offset(moment: datetime):
    shown = UserDto.from_entity(User(email="a@b.c", created_at=moment))
    text = shown.to_json()["created_at"]
    assert datetime.fromisoformat(text) == moment
    assert text[-6] in "+-"
    assert UserDto.model_validate(shown.to_json()) == shown


@given(st.text(), st.text())
def test_text_arrives_unchanged(level: str, message: str):
    shown = FunctionLogDto.from_entity(FunctionLog(level=level, message=message))
    assert (shown.to_json()["level"], shown.to_json()["message"]) == (level, message)


def client_of(app: FastAPI) -> Any:
    with warnings.catch_warnings():
        # Starlette's newer versions ask for another client than httpx, which older ones do not know.
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient
    return TestClient(app)


@every_dto
def test_a_dto_is_a_fastapi_response_model(world: World, kind: type[Dto]):
    variants = BUILDERS[kind](world)
    app = FastAPI()
    app.get("/one", response_model=kind)(lambda: variants[-1])
    app.get("/dict", response_model=kind)(lambda: variants[-1].to_json())
    app.get("/all", response_model=list[kind])(lambda: variants)  # type: ignore[valid-type]
    with client_of(app) as client:
        assert client.get("/one").json() == variants[-1].to_json()
        assert client.get("/dict").json() == variants[-1].to_json()
        assert client.get("/all").json() == [variant.to_json() for variant in variants]
        described = client.get("/openapi.json").json()["components"]["schemas"][kind.__name__]
    assert set(described["properties"]) == PROPERTIES[kind.__name__]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_pydantic_is_imported_with_the_first_dto_only():
    ask = "print('pydantic' in sys.modules)"
    assert run(f"import sys, cloudpub_models; {ask}; cloudpub_models.UserDto; {ask}").split() == ["False", "True"]
    assert run("from cloudpub_models import FunctionDto; print(FunctionDto.__name__)") == "FunctionDto"


def test_the_old_call_style_needs_no_pydantic():
    assert run("import sys, cloudpub_models.legacy; print('pydantic' in sys.modules)") == "False"


def test_the_face_has_every_dto():
    for name in dto.__all__:
        assert getattr(cloudpub_models, name) is getattr(dto, name)
        assert name in dir(cloudpub_models)
        assert name in cloudpub_models.__all__
    assert set(cloudpub_models._NAMES_OF["cloudpub_models.dto"]) == set(dto.__all__)
    assert "UserDto" in run("import cloudpub_models; print(dir(cloudpub_models))")
    with pytest.raises(AttributeError, match="NoSuchDto"):
        _ = cloudpub_models.NoSuchDto  # type: ignore[attr-defined]


def test_a_uuid_may_be_text_in_an_entity_made_by_hand():
    assert UserDto.from_entity(User(uuid=str(OWNER_UUID), email="a@b.c")).uuid == UUID(str(OWNER_UUID))
