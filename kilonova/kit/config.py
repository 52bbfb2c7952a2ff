"""Configuration errors."""


class ConfigError(Exception):
    """A file that cannot be used: the message names the file, the option and what is allowed."""
