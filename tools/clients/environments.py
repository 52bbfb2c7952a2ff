"""The clients people have, of 2014 to today: what each environment holds, and what is typed in it.

Versions are pinned where an old one is meant; what they need of old libraries is named, because their own pins are
open. They are installed by `make clients` alone, and never reach Kilonova's own environment.
"""

from dataclasses import dataclass

OLD = ("setuptools<70",)
OLD_COMMANDS = ("osc-lib<2", "cliff<3", "pyparsing<3", *OLD)


@dataclass(frozen=True, slots=True)
class Client:
    """`script`: a file of `scripts/`, run with the environment's programs on PATH and OS_… set."""

    name: str
    packages: tuple[str, ...]
    script: str
    debian: tuple[str, ...] = ()
    """Debian packages that are installed; a Python script runs with Debian's Python then."""
    unpacked: tuple[str, ...] = ()
    """Debian packages of which only the files are wanted: they are unpacked into the environment."""


CLIENTS = (
    Client(
        "openstackclient-3.19",
        (
            "python-openstackclient==3.19.0",
            "openstacksdk<0.40",
            "importlib-metadata<5",
            "python-cinderclient<7",
            *OLD_COMMANDS,
        ),
        "openstack.sh",
    ),
    Client("openstackclient-6.0", ("python-openstackclient==6.0.0", *OLD), "openstack.sh"),
    Client("openstackclient", ("python-openstackclient",), "openstack.sh"),
    Client("novaclient-3.4", ("python-novaclient==3.4.0", "keystoneauth1<3", "prettytable<1", *OLD), "nova_old.sh"),
    Client("novaclient-10.3", ("python-novaclient==10.3.0", "prettytable<1", *OLD), "nova.sh"),
    Client("neutronclient-4.1", ("python-neutronclient==4.1.1", "keystoneauth1<3", *OLD_COMMANDS), "neutron.sh"),
    Client("neutronclient-6.14", ("python-neutronclient==6.14.0", *OLD_COMMANDS), "neutron.sh"),
    Client("openstacksdk-0.36", ("openstacksdk==0.36.0", *OLD), "sdk.py"),
    Client("openstacksdk", ("openstacksdk",), "sdk.py"),
    Client(
        "shade",
        ("shade", "requestsexceptions", "munch", "six", "netifaces", "jmespath", "dogpile.cache", *OLD),
        "shade_cloud.py",
    ),
    Client("libcloud", ("apache-libcloud",), "libcloud_driver.py"),
    # Its collection reads the SDK's version from where newer ones do not have it.
    Client("ansible", ("ansible", "openstacksdk<4.10"), "ansible.sh"),
    Client("rally", ("rally", "rally-openstack", *OLD), "rally.sh"),
    Client("horizon", ("horizon",), "horizon_pages.py"),
    Client(
        "horizon-23",
        (),
        "horizon_pages.py",
        debian=("python3-django-horizon",),
        unpacked=("openstack-dashboard",),
    ),
    Client("fog", (), "fog.rb", debian=("ruby-fog-openstack",)),
)
