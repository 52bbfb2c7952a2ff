"""The methods of authentication and their parts of the body go together."""

from msgspec import structs

from kilonova.identity.authentication import IdentityPart
from kilonova.identity.methods import METHODS


def test_every_method_has_a_part_of_its_name_that_may_be_left_out() -> None:
    parts = {field.name: field.default for field in structs.fields(IdentityPart) if field.name != "methods"}
    assert parts == dict.fromkeys(METHODS)
