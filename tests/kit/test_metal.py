"""Simulated hosts: what one agent makes there, the other is told of."""

from kilonova.kit.testing import Metal


def test_whoever_watches_is_told_when_taps_come_and_go() -> None:
    metal, told = Metal(), []
    stop = metal["host1"].watch(lambda: told.append(metal["host1"].taps))
    metal["host1"].show_taps(frozenset({"tap1"}))
    metal["host1"].show_taps(frozenset({"tap1"}))
    metal["host2"].show_taps(frozenset({"tap2"}))
    metal["host1"].show_taps(frozenset())
    assert told == [{"tap1"}, frozenset()]
    stop()
    metal["host1"].show_taps(frozenset({"tap3"}))
    assert len(told) == 2
    assert [metal[each].changes for each in ("host1", "host2")] == [3, 1]
