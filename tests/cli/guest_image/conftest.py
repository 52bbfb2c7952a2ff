import os
from pathlib import Path

import pytest

from kilonova.cli.guest_image.build import ensure_guest_image


@pytest.fixture(scope="session")
def demo_guest_image(request: pytest.FixtureRequest) -> Path:
    """The image that `make` keeps in the checkout; built here when a test is run by hand."""
    kept = os.environ.get("KILONOVA_CACHE_DIR")
    return ensure_guest_image(Path(kept) if kept else request.config.rootpath / ".work/cache").absolute()
