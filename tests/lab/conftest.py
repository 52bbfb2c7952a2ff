"""A cloud on several hosts, for the stories of this directory. They run by `make labtest` alone: they take minutes."""

import os
from collections.abc import Iterator

import pytest

from tests.lab.moving import Traveller
from tools.lab import Lab, engines, tenant
from tools.lab import cloud as clouds
from tools.lab.cloud import Cloud
from tools.lab.tenant import Ground

collect_ignore_glob = [] if os.environ.get("KILONOVA_TEST_LAB") else ["test_*"]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Bare hosts; everything of them is gone at the end."""
    made = Lab.up(3, tmp_path_factory.mktemp("lab") / "lab")
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def cloud(lab: Lab) -> Iterator[Cloud]:
    engines.start(lab.controller)
    made = clouds.install(lab)
    yield made
    made.close()


@pytest.fixture(scope="session")
def ground(cloud: Cloud) -> Ground:
    return tenant.prepare(cloud)


@pytest.fixture(scope="module")
def the_traveller(cloud: Cloud, ground: Ground) -> Iterator[Traveller]:
    made = Traveller(cloud, ground)
    yield made
    made.remove()


@pytest.fixture
def traveller(the_traveller: Traveller) -> Traveller:
    the_traveller.ensure()
    return the_traveller
