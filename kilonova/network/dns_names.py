"""DNS names of ports, floating IPs and networks: what is a name, and which name an address has.

Pure functions. Source: RFC 1034 and 1123; Networking API, "DNS integration".
"""

import re

from kilonova.network.errors import InvalidInput

MOST_CHARACTERS = 255
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


def check_host_name(text: str, domain: str) -> str:
    """A port's `dns_name` in lower case: one or more labels, or a full name (with a dot at its end) under `domain`."""
    name = text.lower()
    if not name:
        return name
    _check_labels(text, name)
    suffix = f".{domain}."
    if name.endswith(".") and (not name.endswith(suffix) or name == suffix):
        raise InvalidInput(f"The dns_name passed is a FQDN: it must end with the cloud's own domain, {suffix[1:]!r}.")
    if len(name) + len(suffix) > MOST_CHARACTERS and not name.endswith("."):
        raise InvalidInput(f"dns_name {text!r} exceeds {MOST_CHARACTERS} characters with the domain {suffix[1:]!r}.")
    return name


def check_relative_name(text: str) -> str:
    """A floating IP's `dns_name` in lower case. Raises InvalidInput for a full name."""
    name = text.lower()
    if name.endswith("."):
        raise InvalidInput(f"'{text}' is a FQDN. It should be a relative domain name")
    if name:
        _check_labels(text, name)
    return name


def check_domain(text: str) -> str:
    """A `dns_domain` in lower case: empty, or a full name with a dot at its end."""
    name = text.lower()
    if not name:
        return name
    if not name.endswith("."):
        raise InvalidInput(f"'{text}' is not a FQDN")
    _check_labels(text, name)
    return name


def _check_labels(text: str, name: str) -> None:
    labels = name.removesuffix(".").split(".")
    if len(name) > MOST_CHARACTERS:
        raise InvalidInput(f"'{text}' exceeds the {MOST_CHARACTERS} character FQDN limit")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise InvalidInput(
                f"'{text}' not a valid PQDN or FQDN. Reason: each part must be 1-63 characters long, alphanumeric or "
                "a hyphen, with no hyphen at either end"
            )
    if len(labels) > 1 and labels[-1].isdecimal():
        raise InvalidInput(f"'{text}' not a valid PQDN or FQDN. Reason: TLD '{labels[-1]}' must not be all numeric")


def host_name(address: str, name: str, domain: str) -> str:
    """What a port is called inside the cloud's domain: by its name, or after its address."""
    own = name.removesuffix(f".{domain}.") if name.endswith(".") else name
    return own or "host-" + address.replace(".", "-").replace(":", "-")


def assignment(address: str, name: str, domain: str) -> dict[str, str]:
    """One entry of a port's `dns_assignment`."""
    own = host_name(address, name, domain)
    return {"ip_address": address, "hostname": own, "fqdn": f"{own}.{domain}."}
