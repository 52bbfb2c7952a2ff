"""Refuses flavors and images that ask a host or its hypervisor for what no host here does. Pure.

Taken in silence it would be missed in the guest only. Names that nobody here knows the meaning of are let in: they are
their owners' notes. Which names are known is said in `hardware.names`.
"""

from collections.abc import Mapping

from kilonova.compute.hardware.guest import hardware_of
from kilonova.compute.hardware.names import FLAVOR, IMAGE, SCOPES, Treatment, treatment_of
from kilonova.compute.scheduling.requirements import UnusableSpec


def refuse_unserved(extra_specs: Mapping[str, str], image_properties: Mapping[str, str], vcpus: int) -> None:
    """Raises UnusableSpec naming the first that asks for what is not done, or for what cannot be."""
    for key, value in extra_specs.items():
        treatment = treatment_of(key, FLAVOR)
        if treatment is None and key.partition(":")[0] in SCOPES and ":" in key:
            raise UnusableSpec(f"The flavor asks for {key}={value}, a name that is not known here.")
        _refuse("flavor", key, value, treatment)
    for key, value in image_properties.items():
        _refuse("image", key, value, treatment_of(key, IMAGE))
    hardware_of(extra_specs, image_properties, vcpus)


def _refuse(by: str, key: str, value: str, treatment: Treatment | None) -> None:
    if treatment is None or treatment.way != "refused" or not value or value.strip().lower() in treatment.neutral:
        return
    raise UnusableSpec(f"The {by} asks for {key}={value}, which cannot be done: {treatment.note}.")
