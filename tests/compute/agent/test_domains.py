"""A domain that goes while libvirt is asked about it, as that of a guest does that moves to another host."""

from typing import Any

import libvirt
import pytest

from kilonova.compute.agent.drivers import domains
from kilonova.kit.host_commands import HostError

SERVER = "5b9f4ec6-4fd3-499e-8d41-0d4d5369dc68"


def refusal(code: int) -> libvirt.libvirtError:
    error = libvirt.libvirtError("Domain not found")
    error.err = (code, libvirt.VIR_FROM_QEMU, "Domain not found", libvirt.VIR_ERR_ERROR, None, None, None, 0, 0)
    return error


class Going:
    """A domain that was found a moment ago, and the connection it was found through."""

    def __init__(self, code: int) -> None:
        self._refusal = refusal(code)

    def lookupByUUIDString(self, _uuid: str) -> "Going":
        return self

    def lookupByName(self, _name: str) -> Any:
        raise refusal(libvirt.VIR_ERR_NO_DOMAIN)

    def XMLDesc(self, _flags: int) -> str:
        raise self._refusal


def test_a_domain_that_goes_while_it_is_looked_at_is_none() -> None:
    going = Going(libvirt.VIR_ERR_NO_DOMAIN)
    domains.check_free(going, SERVER, "instance-1")
    assert domains.observe(going, SERVER) is domains.ABSENT


def test_a_domain_that_nothing_is_heard_of_may_still_be_there() -> None:
    broken = Going(libvirt.VIR_ERR_SYSTEM_ERROR)
    with pytest.raises(libvirt.libvirtError):
        domains.check_free(broken, SERVER, "instance-1")
    with pytest.raises(libvirt.libvirtError):
        domains.observe(broken, SERVER)


def test_a_stranger_with_the_servers_id_is_told() -> None:
    class Stranger(Going):
        def XMLDesc(self, _flags: int) -> str:
            return "<domain/>"

        def name(self) -> str:
            return "theirs"

    with pytest.raises(HostError, match="The domain theirs on this host has the UUID"):
        domains.check_free(Stranger(0), SERVER, "instance-1")
