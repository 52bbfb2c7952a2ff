"""What the tests of the real driver share: a driver on a test's host, guests, and converging to the end."""

from kilonova.network.agent.drivers.linux import LinuxDriver
from kilonova.network.agent.options import LinuxOptions
from kilonova.network.wanted import ConvergeReport, WantedPort, WantedState, device_name
from tests.network.agent.hosts import Guest, Host


def make_driver(host: Host, **options: object) -> LinuxDriver:
    """A driver that looks into every namespace in every pass."""
    return LinuxDriver(LinuxOptions(**{"state_dir": host.state_dir, "verify_seconds": 0, **options}))  # type: ignore[arg-type]


def make_guest(host: Host, name: str, port: WantedPort, *, gateway: str | None = None, address: bool = True) -> Guest:
    """The guest of a port, with the port's address unless it is to ask for it by DHCP."""
    guest = Guest(host, name, device_name("tap", port.id), port.mac_address)
    if address:
        guest.set_address(f"{port.fixed_ips[0].ip_address}/24", gateway)
    return guest


async def converge(driver: LinuxDriver, wanted: WantedState) -> ConvergeReport:
    """Converge without problems, and find nothing to do the second time."""
    report = await driver.converge(wanted)
    assert report.problems == (), report
    again = await driver.converge(wanted)
    assert (again.changes, again.problems) == (0, ()), again
    return report
