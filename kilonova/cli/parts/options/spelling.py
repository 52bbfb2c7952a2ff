"""How options are written that several services have, and the old spellings of files for the guides."""

from collections.abc import Mapping, Sequence

from oslo_config import cfg

Options = Mapping[str, Sequence[cfg.Opt]]
"""Group → its options."""


def old(*names: str, group: str | None = None) -> list[cfg.DeprecatedOpt]:
    return [cfg.DeprecatedOpt(name, group=group) for name in names]


def credentials(*extra: cfg.Opt) -> list[cfg.Opt]:
    """How a service proves who it is, wherever it has to."""
    return [
        cfg.StrOpt("auth_url", default="http://127.0.0.1:5000", help="Where identity is"),
        cfg.StrOpt("username", default="", help="The service's user", deprecated_opts=old("user_name", "admin_user")),
        cfg.StrOpt("password", default="", secret=True, help="Its password", deprecated_opts=old("admin_password")),
        cfg.StrOpt(
            "project_name",
            default="service",
            help="The project it works in",
            deprecated_opts=old("tenant_name", "admin_tenant_name"),
        ),
        cfg.StrOpt("user_domain_name", default="Default", help="Domain of the user"),
        cfg.StrOpt("user_domain_id", default="", help="The same by its id, which goes before the name"),
        cfg.StrOpt("project_domain_name", default="Default", help="Domain of the project"),
        cfg.StrOpt("project_domain_id", default="", help="The same by its id, which goes before the name"),
        cfg.StrOpt(
            "region_name", default="", help="Region of the catalog to use", deprecated_opts=old("os_region_name")
        ),
        *extra,
    ]


def once(name: str) -> list[cfg.DeprecatedOpt]:
    """An option of consoles that stood in [DEFAULT] once, and was called otherwise in its own group then."""
    return [*old(name), *old(name, group="DEFAULT")]


def workers(name: str) -> cfg.Opt:
    return cfg.IntOpt(name, default=1, min=1, help="Processes of the daemon; `--workers` goes before it")
