"""``managers.functions``: details, pages and search."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloudpub_models import Function, Managers, User
from cloudpub_models.errors import InvalidQueryError, InvalidValueError, NotFoundError, UnknownColumnError


@pytest.mark.usefixtures("plain_tables")
def test_function_details_take_a_fixed_number_of_statements(
    managers: Managers, resize: Function, ada: User, statements: Any
) -> None:
    deployments = [managers.function_deployments.deploy(resize, "i", "k") for _ in range(5)]
    managers.function_deployments.activate(deployments[3])
    logs = [managers.function_logs.append(resize, "info", f"line {number}") for number in range(5)]
    statements.clear()
    details = managers.functions.get_function_details(str(resize.uuid), log_limit=3)
    assert details.function == resize
    assert details.user == ada
    assert details.deployments == deployments[::-1]
    assert details.logs == logs[:1:-1]
    assert details.active_deployment == deployments[3]
    assert details.function.user is details.user
    assert details.function.deployments is details.deployments
    assert details.function.active_deployment is details.active_deployment
    assert all(row.function is details.function for row in (*details.deployments, *details.logs))
    assert len(statements) == 3


def test_details_of_a_function_with_nothing_around_it(managers: Managers, resize: Function) -> None:
    details = managers.functions.get_function_details(resize.uuid)
    assert (details.deployments, details.logs, details.active_deployment) == ([], [], None)


def test_details_of_no_function(managers: Managers, resize: Function, statements: Any) -> None:
    assert managers.functions.get_function_details(uuid.uuid4()) is None
    assert len(statements) == 1
    for bad in (resize.id, "no uuid", None):
        with pytest.raises(InvalidValueError):
            managers.functions.get_function_details(bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidQueryError):
        managers.functions.get_function_details(resize.uuid, log_limit=-1)


def test_functions_paginated_newest_first(managers: Managers, ada: User, statements: Any) -> None:
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    functions = [
        managers.functions.insert(
            {
                "user_id": ada.id,
                "name": f"f{number}",
                "created_at": moment + timedelta(days=number // 2),
                "status": "active" if number else "inactive",
            }
        )
        for number in range(5)
    ]
    statements.clear()
    page = managers.functions.get_functions_paginated(1, 2)
    assert page.items == [functions[4], functions[3]]
    assert (page.total, page.page, page.page_size, page.has_more) == (5, 1, 2, True)
    assert len(statements) == 2
    last = managers.functions.get_functions_paginated(3, 2)
    assert (last.items, last.has_more) == ([functions[0]], False)
    full = managers.functions.get_functions_paginated(1, 5)
    assert (len(full.items), full.has_more) == (5, False)
    assert managers.functions.get_functions_paginated(2, 3, {"status": "active"}).items == [functions[1]]
    assert managers.functions.get_functions_paginated(9, 9).items == []
    with pytest.raises(InvalidQueryError):
        managers.functions.get_functions_paginated(0, 10)
    with pytest.raises(UnknownColumnError):
        managers.functions.get_functions_paginated(1, 10, {"stauts": "active"})


def test_a_text_longer_than_any_name_is_not_looked_for(managers: Managers, statements: Any) -> None:
    assert managers.functions.search("a" * Function.name.max_length) == []
    statements.clear()
    for length in (Function.name.max_length + 1, 1_000_000):
        with pytest.raises(InvalidValueError, match="at most 255 characters to look for, as long as a name; got"):
            managers.functions.search("a" * length)
    assert statements == []


def test_search(managers: Managers, ada: User, new_user: Any) -> None:
    bob = new_user("bob")
    names = ["Resize", "resize-2", "a%b", "a_b", "axb", "back\\slash"]
    by_name = {name: managers.functions.insert({"user_id": ada.id, "name": name}) for name in names}
    bobs = managers.functions.insert({"user_id": bob.id, "name": "Resize", "status": "inactive"})
    search = managers.functions.search
    assert set(search("RESIZE")) == {by_name["Resize"], by_name["resize-2"], bobs}
    assert search("a%b") == [by_name["a%b"]]
    assert search("a_b") == [by_name["a_b"]]
    assert search("k\\s") == [by_name["back\\slash"]]
    assert search("resize", user=bob) == search("resize", user=bob.id) == [bobs]
    assert search("resize", status="inactive") == [bobs]
    assert len(search("resize", limit=2)) == 2
    assert [*search("resize", limit=2), *search("resize", limit=2, offset=2)] == search("resize")
    assert search("'; DROP TABLE functions; --") == []


def test_search_has_the_nearest_names_first(managers: Managers, ada: User, statements: Any) -> None:
    names = ["an-ant", "ANT", "antler", "Ant-2", "ant_%", "giant", "ant", "Älter", "ältere", "kalt", "ä%"]
    for name in names:
        managers.functions.insert({"user_id": ada.id, "name": name})

    def ranked(text: str) -> list[str]:
        def rank(name: str) -> tuple[bool, bool, str]:
            return name.lower() != text.lower(), not name.lower().startswith(text.lower()), name

        return sorted([name for name in names if text.lower() in name.lower()], key=rank)

    for text in ("ant", "ANT", "nt", "ant_%", "lt", "a"):
        found = managers.functions.search(text)
        assert [function.name for function in found] == ranked(text)
        pages = [managers.functions.search(text, limit=2, offset=offset) for offset in range(0, len(names), 2)]
        assert [function for page in pages for function in page] == found
    assert ranked("ant")[:5] == ["ANT", "ant", "Ant-2", "ant_%", "antler"]
    statements.clear()
    assert managers.owned_by(ada).functions.search("ANT", limit=1)[0].name == "ANT"
    assert [list(values) for _, values in statements] == [["%ANT%", ada.id, "ANT", "ANT%", 1, 0]]


def test_search_refuses_bad_arguments(managers: Managers, ada: User) -> None:
    for text in ("", None, 5):
        with pytest.raises(InvalidValueError):
            managers.functions.search(text)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError, match="expected an existing user"):
        managers.functions.search("a", user=uuid.uuid4())
    with pytest.raises(InvalidQueryError):
        managers.functions.search("a", limit=-1)
