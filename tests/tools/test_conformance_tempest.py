"""What is told of Tempest's run is what happened: no test is lost between its classes and the table."""

import configparser
import re
import unittest
from pathlib import Path

import pytest

from tests.conformance.tempest import run_tests
from tools import conformance_tempest as tool
from tools.stages import VENV
from tools.tempest.chosen import LEFT_OUT, PARTS, Part, missing
from tools.tempest.config import plan_config, render_config
from tools.tempest.ground import Prepared

LEFT_OUT_OF_REQUIRED = {
    *("test_attach_detach_volume", "test_list_get_volume_attachments"),
    "test_create_list_show_update_delete_subnetpools",
}
PREPARED = Prepared(("image-1", "image-2"), ("flavor-1", "flavor-2"), "network-1", ("router", "quotas"))


class Mixed(unittest.TestCase):
    __test__ = False

    def test_passes(self) -> None:
        pass

    def test_fails(self) -> None:
        self.assertEqual(1, 2)

    def test_is_skipped(self) -> None:
        self.skipTest("needs volumes")


class SkippedWhole(unittest.TestCase):
    __test__ = False

    @classmethod
    def setUpClass(cls) -> None:
        raise unittest.SkipTest("no such extension")

    def test_one(self) -> None:
        pass

    def test_two(self) -> None:
        pass


class BrokenWhole(SkippedWhole):
    @classmethod
    def setUpClass(cls) -> None:
        raise RuntimeError("no credentials")


def outcome_of(case: type[unittest.TestCase], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    tests = list(unittest.TestLoader().loadTestsFromTestCase(case))
    monkeypatch.setattr(run_tests, "CHOSEN", {"class": tests})
    outcome = run_tests.run_class("class")[2]
    return {
        kind: {name.rpartition(".")[2]: outcome[kind][name] for name in outcome[kind]}
        for kind in outcome
        if kind != "passed"
    } | {"passed": [name.rpartition(".")[2] for name in outcome["passed"]]}


def test_each_test_has_its_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = outcome_of(Mixed, monkeypatch)
    assert outcome["passed"] == ["test_passes"]
    assert outcome["skipped"] == {"test_is_skipped": "needs volumes"}
    failed = outcome["failed"]
    assert isinstance(failed, dict)
    assert list(failed) == ["test_fails"]
    assert "1 != 2" in failed["test_fails"]


def test_a_class_that_is_skipped_names_each_of_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "no such extension"
    wanted = {"passed": [], "failed": {}, "skipped": {"test_one": reason, "test_two": reason}}
    assert outcome_of(SkippedWhole, monkeypatch) == wanted


def test_a_class_that_cannot_be_set_up_fails_each_of_its_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = outcome_of(BrokenWhole, monkeypatch)["failed"]
    assert isinstance(failed, dict)
    assert {"test_one", "test_two"} <= failed.keys()
    assert "no credentials" in failed["test_one"]


def test_a_test_that_says_nothing_has_failed() -> None:
    outcome = run_tests.Outcomes().as_result(["module.Class.test_lost"])
    assert outcome["failed"] == {"module.Class.test_lost": "did not report an outcome"}


IDS = {
    "tempest.api.network.test_x.X.test_a[id-1,smoke]": {"smoke"},
    "tempest.api.network.test_x.X.test_smoke[id-2,negative]": {"api"},
    "tempest.api.network.test_x.X.test_c": {"api"},
    "tempest.scenario.test_network_basic_ops.X.test_d[compute,id-3,network,smoke]": {"smoke"},
    "tempest.scenario.test_server_multinode.X.test_e[compute,id-4,multinode,smoke]": {"api", "lab"},
    "tempest.scenario.test_stamp.X.test_f[id-5,slow]": {"guests"},
    "tempest.scenario.test_security_groups.X.test_i[id-9,multinode]": {"guests"},
    "tempest.scenario.test_ops.X.test_server_connectivity_live_migration[id-10,multinode,slow]": {"lab"},
    "tempest.scenario.test_ops.X.test_server_connectivity_cold_migration_revert[id-11,multinode]": {"lab"},
    "tempest.api.compute.servers.X.test_verify_created_server_vcpus[id-7]": {"guests"},
    "tempest.api.compute.admin.test_live_migration.X.test_h[id-8,multinode]": {"api", "lab"},
    "tempest.api.volume.test_x.X.test_g[id-6,smoke]": {"volumes"},
    "tempest.api.compute.volumes.X.test_j[id-12]": {"api", "volumes"},
    "tempest.api.object_storage.test_x.X.test_k[id-13]": set[str](),
}
REQUIRED = [line for line in tool.REQUIRED.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_a_part_takes_its_tests_by_service_and_tag(part: Part) -> None:
    chosen, _ = run_tests.choose(IDS, {"patterns": [part.pattern, ""], "left_out": {}})
    assert chosen == {test_id for test_id, names in IDS.items() if part.name in names}


def test_what_is_left_out_is_not_run_and_keeps_its_reason() -> None:
    choice = {"patterns": ["network"], "left_out": {r"\.test_[ac]$": "needs volumes"}}
    chosen, left_out = run_tests.choose(IDS, choice)
    assert left_out == dict.fromkeys(
        ("tempest.api.network.test_x.X.test_a", "tempest.api.network.test_x.X.test_c"), "needs volumes"
    )
    assert {run_tests.short_name(each)[-6:] for each in chosen} == {"_smoke", "test_d"}


def test_guests_are_logged_in_to_only_where_they_are_real() -> None:
    for part in PARTS:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(render_config(plan_config(part, PREPARED, "http://c:5000/v3", "secret", Path("/run"))))
        assert parser["validation"]["run_validation"] == str(part.place != "simulated")
        assert parser["compute"]["min_compute_nodes"] == ("2" if part.name in ("api", "lab") else "1")
        assert parser["compute"].get("migration_dest_host") == ("compute2" if part.name == "lab" else None)
        assert (parser["auth"]["admin_password"], parser["identity"]["uri_v3"]) == ("secret", "http://c:5000/v3")
        assert parser["service_available"]["cinder"] == str(part.name == "volumes")
        assert parser["network-feature-enabled"]["api_extensions"] == "router,quotas"


def test_what_is_left_out_has_a_reason() -> None:
    for pattern, reason in LEFT_OUT.items():
        re.compile(pattern)
        assert len(reason) > 8


def test_required_tests_are_in_a_part_or_left_out_by_name() -> None:
    assert len(REQUIRED) == len(set(REQUIRED)) == 172
    for test in REQUIRED:
        for tags in ("id-1", "id-1,smoke"):
            assert any(re.search(part.pattern, f"{test}[{tags}]") for part in PARTS), test
    left_out = {test for test in REQUIRED if any(re.search(pattern, test) for pattern in LEFT_OUT)}
    assert {test.rpartition(".")[2] for test in left_out} == LEFT_OUT_OF_REQUIRED


def test_a_required_test_that_did_not_pass_is_told() -> None:
    required = ["a.X.test_passed", "a.X.test_skipped", "a.X.test_failed", "a.X.test_lost", "a.VolumesTest.test_one"]
    outcomes = {"a.X.test_passed": "passed", "a.X.test_skipped": "no reason", "a.X.test_failed": "failed"}
    told = {"a.X.test_skipped": "no reason", "a.X.test_failed": "failed", "a.X.test_lost": "is in no part"}
    assert missing(required, outcomes) == told


def test_an_outcome_is_told_for_each_test() -> None:
    result = {"passed": ["a"], "failed": {"b": "text"}, "skipped": {"c": "why"}, "seconds": {}}
    assert tool.outcomes_of(result) == {"a": "passed", "b": "failed", "c": "why"}


def test_tempest_is_not_in_our_environment() -> None:
    assert VENV not in tool.ENVIRONMENT.parents
    assert "tempest" not in (tool.LOCK.parent / "runtime.lock").read_text()
