"""Reads extra specs and image properties by name, and says which of the two counts; pure.

The rule: a value that cannot be used is refused in a sentence that names it, never replaced by another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kilonova.compute.scheduling.requirements import UnusableSpec

FALSE = frozenset("0 f false off n no".split())
TRUE = frozenset("1 t true on y yes".split())
LONGEST_NUMBER = 18


@dataclass(frozen=True)
class Said:
    """One extra spec or image property."""

    by: str
    """`flavor` or `image`."""
    name: str
    value: str

    def boolean(self) -> bool:
        lower = self.value.lower()
        if lower not in TRUE | FALSE:
            raise self.unusable("which is neither true nor false")
        return lower in TRUE

    def whole(self, least: int, most: int) -> int:
        text = self.value
        number = int(text) if text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER else -1
        if not least <= number <= most:
            raise self.unusable(f"and a whole number from {least} to {most} is possible")
        return number

    def one_of(self, choices: tuple[str, ...]) -> str:
        lower = self.value.lower()
        if lower not in choices:
            raise self.unusable(f"and possible are {', '.join(choices)}")
        return lower

    def unusable(self, reason: str) -> UnusableSpec:
        return UnusableSpec(f"The {self.by} asks for {self.name}={self.value}, {reason}.")


@dataclass(frozen=True)
class Asked:
    specs: Mapping[str, str]
    """Extra specs of the flavor."""
    properties: Mapping[str, str]
    """Properties of the image."""

    def by_flavor(self, name: str) -> Said | None:
        """None when the flavor says nothing, or an empty text."""
        value = self.specs.get(name, "").strip()
        return Said("flavor", name, value) if value else None

    def by_image(self, name: str) -> Said | None:
        """None when the image says nothing, or an empty text."""
        value = str(self.properties.get(name, "")).strip()
        return Said("image", name, value) if value else None

    def by_both(self, name: str) -> Said | None:
        """Returns what `hw:NAME` and `hw_NAME` say; raises UnusableSpec when they contradict each other."""
        flavor, image = self.by_flavor(f"hw:{name}"), self.by_image(f"hw_{name}")
        if flavor and image and not _agree(flavor.value, image.value):
            raise image.unusable(f"and the flavor for {flavor.name}={flavor.value}: they contradict each other")
        return flavor or image

    def by_image_first(self, name: str) -> Said | None:
        """Returns what `hw_NAME` says, else what `hw:NAME` says."""
        return self.by_image(f"hw_{name}") or self.by_flavor(f"hw:{name}")

    def is_on(self, said: Said | None, *, usual: bool = False) -> bool:
        return usual if said is None else said.boolean()


def _agree(one: str, other: str) -> bool:
    one, other = one.lower(), other.lower()
    return one == other or any(one in words and other in words for words in (TRUE, FALSE))
