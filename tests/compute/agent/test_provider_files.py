"""Files that say what a host's providers have: upstream's example is read, and whatever is wrong stops the start."""

from pathlib import Path

import pytest

from kilonova.compute.agent.provider_files import read_provider_files
from kilonova.compute.agent.spec import AddedInventory, ProviderAddition
from kilonova.kit.config import ConfigError

CARD = "5213b75d-9260-42a6-b236-f39b0fd10561"
GOOD = f"""
meta:
  schema_version: '1.0'
providers:
  - identification:
      uuid: $COMPUTE_NODE
    inventories:
      additional:
        - CUSTOM_LICENCE:
            total: 100
            reserved: 1
            min_unit: 1
            max_unit: 10
            step_size: 1
            allocation_ratio: 1
        - CUSTOM_KEY:
            total: 22
    traits:
      additional:
        - CUSTOM_RACK_7
  - identification:
      uuid: {CARD}
    traits:
      additional: [CUSTOM_FAST]
"""


def read(tmp_path: Path, *files: str) -> tuple[ProviderAddition, ...]:
    for number, text in enumerate(files):
        (tmp_path / f"{number}.yaml").write_text(text)
    return read_provider_files(tmp_path)


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    named = GOOD.replace("uuid: $COMPUTE_NODE", "name: card").replace(CARD, CARD.replace("5", "6"))
    (tmp_path / "notes.txt").write_text("no YAML: [")
    own, card, by_name, _other = read(tmp_path, GOOD, named)
    assert own == ProviderAddition(
        uuid="$COMPUTE_NODE",
        inventories={"CUSTOM_LICENCE": AddedInventory(100, 1, 1, 10), "CUSTOM_KEY": AddedInventory(22)},
        traits=("CUSTOM_RACK_7",),
    )
    assert (card.uuid, card.traits, card.inventories) == (CARD, ("CUSTOM_FAST",), {})
    assert (by_name.uuid, by_name.name) == ("", "card")


def test_there_need_be_no_directory(tmp_path: Path) -> None:
    assert read_provider_files(tmp_path / "nothing") == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("'1.0'", "'2.0'", "Invalid enum value '2.0' - at `$.meta.schema_version`"),
        ("meta:", "mata:", "unknown field `mata`"),
        ("  schema_version: '1.0'", "  {}", "schema_version"),
        ("CUSTOM_KEY", "VCPU", "^CUSTOM_[A-Z0-9_]{1,248}$"),
        ("CUSTOM_RACK_7", "HW_CPU_X86_AVX", "^CUSTOM_[A-Z0-9_]{1,248}$"),
        ("total: 22", "total: -1", "Expected `int` >= 1"),
        ("total: 22", "total: many", "Expected `int`"),
        ("total: 22", "all: 22", "`all`"),
        ("CUSTOM_KEY", "CUSTOM_LICENCE", "the inventory of CUSTOM_LICENCE is given twice"),
        (CARD, "here", "uuid is $COMPUTE_NODE or a UUID, got 'here'"),
        (CARD, "$COMPUTE_NODE", "the provider $COMPUTE_NODE is described a second time"),
        (f"uuid: {CARD}", f"{{uuid: {CARD}, name: card}}", "identified by either uuid or name"),
        (f"uuid: {CARD}", "{}", "identified by either uuid or name"),
        ("providers:", "providers: [", "while parsing"),
    ],
)
def test_what_is_wrong_is_told_with_the_files_name(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, GOOD.replace(old, new))
    assert str(refused.value).startswith(f"{tmp_path}/0.yaml: ")
    assert told in str(refused.value)


def test_a_provider_is_described_once_in_all_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"1\.yaml: the provider \$COMPUTE_NODE is described a second time"):
        read(tmp_path, GOOD, GOOD)
