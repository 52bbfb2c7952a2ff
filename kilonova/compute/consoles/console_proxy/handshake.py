"""Who may open a WebSocket to a console: the token a request brings, and the page it comes from.

A browser sends cookies along with any page's request, so a page of somebody else could open a console that its reader
has open (CVE-2015-0259): what names its origin has to come from the proxy's own host, or one that is named for it.
"""

from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers

COOKIE = "token"
_ALSO = {"ws": "http", "wss": "https"}
"""What pages are fetched by where a proxy's URL names its WebSocket."""


class Refused(Exception):
    """Nobody is let in; the sentence is for the log and holds no token."""


def token_of(query: str, headers: Headers) -> str:
    """That of the URL, else that of the cookie; empty where there is neither."""
    named = parse_qs(query).get("token")
    if named:
        return named[-1]
    for part in ";".join(headers.getlist("cookie")).split(";"):
        try:
            found = SimpleCookie(part.strip()).get(COOKIE)
        except CookieError:
            continue
        if found is not None and found.value:
            return found.value
    return ""


def check_origin(headers: Headers, allowed: Collection[str]) -> None:
    """`allowed`: other hosts whose pages may open consoles. Raises Refused.

    Programs that are no browsers name no origin, and bring nobody's cookies.
    """
    origin = headers.get("origin")
    if origin is None:
        return
    try:
        named, own = urlsplit(origin), urlsplit(f"//{headers.get('host', '')}").hostname
        host = named.hostname
    except ValueError as error:
        raise Refused(f"its Origin {origin!r} cannot be read: {error}") from error
    if not host or not named.scheme:
        raise Refused(f"its Origin {origin!r} names no host")
    if host not in {own, *(each.lower() for each in allowed)}:
        raise Refused(
            f"its page comes from {host}, which is neither this host ({own}) nor among [console] allowed_origins"
        )


def check_scheme(headers: Headers, base_url: str) -> None:
    """A page is to come by what the console's own URL names: a page by http can be anybody's. Raises Refused."""
    if "origin" not in headers:
        return
    # A proxy in front of this one that speaks TLS says so.
    scheme = headers.get("x-forwarded-proto") or urlsplit(headers["origin"]).scheme
    expected = urlsplit(base_url).scheme
    if scheme not in (expected, _ALSO.get(expected)):
        raise Refused(f"its page came by {scheme}, and the console's URL names {expected}")
