from typing import get_type_hints

from cloudpub_models import DatabaseOptions
from cloudpub_models.connection.options import Options


def test_each_option_is_a_keyword_and_the_other_way_round() -> None:
    assert DatabaseOptions.__annotations__.keys() == Options.__annotations__.keys()
    assert DatabaseOptions.__required_keys__ == frozenset()


def test_its_types_are_found_by_whoever_asks() -> None:
    assert get_type_hints(DatabaseOptions)["max_connections"] is int
