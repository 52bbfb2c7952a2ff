"""What glance-api reads."""

from oslo_config import cfg

from kilonova.cli.parts.options.spelling import Options, workers

IMAGE: Options = {
    "DEFAULT": [workers("workers")],
    "glance_store": [
        cfg.StrOpt("filesystem_store_datadir", default="/var/lib/glance/images/", help="Directory of the images"),
        cfg.IntOpt("image_size_cap", default=1 << 40, min=1, help="Largest image in bytes that may be uploaded"),
        cfg.IntOpt(
            "filesystem_store_reserve",
            default=-1,
            min=-1,
            help="Bytes of their file system that uploads leave free; -1: 5 % of it, at most 1 GiB",
        ),
    ],
    "quota": [
        cfg.IntOpt("image_count_total", default=1000, min=-1, help="Most images of a project; -1: no limit"),
        cfg.IntOpt("image_size_total", default=256_000, min=-1, help="Most MiB of a project's images; -1: no limit"),
    ],
}
