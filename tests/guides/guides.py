"""The five guides, in their order."""

from tests.guides import guide_000, guide_001, guide_002, guide_003, guide_004

GUIDES = (guide_000.GUIDE, guide_001.GUIDE, guide_002.GUIDE, guide_003.GUIDE, guide_004.GUIDE)
