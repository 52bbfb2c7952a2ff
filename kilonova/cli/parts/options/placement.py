"""What placement-api reads."""

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import Options

PLACEMENT: Options = {
    "placement_database": [
        cfg.StrOpt("connection", default="", secret=True, help="URL of placement's database; goes before [database]")
    ],
}
