"""`kilonova env`: the `export OS_…` lines that the stock clients read. `eval "$(kilonova env)"`."""

import argparse
import shlex

from kilonova.cli.rest import login_from
from kilonova.cli.state import StateDir, default_path, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", choices=["admin", "demo"], default="admin", help="whose credentials (default: admin)")


def run(arguments: argparse.Namespace) -> int:
    config = read_config(StateDir(arguments.state_dir or default_path()))
    print(render_env(config, arguments.user))
    return 0


def render_env(config: object, user: str) -> str:
    """Shell lines for one user; a variable that would contradict them (a token, a cloud's name) is unset."""
    login = login_from(config, user)
    values = {
        "OS_AUTH_TYPE": "password",
        "OS_AUTH_URL": login.auth_url,
        "OS_IDENTITY_API_VERSION": "3",
        "OS_IMAGE_API_VERSION": "2",
        "OS_REGION_NAME": login.region,
        "OS_USERNAME": login.user,
        "OS_PASSWORD": login.password,
        "OS_PROJECT_NAME": login.project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
    }
    lines = ["unset OS_CLOUD OS_TOKEN OS_PROJECT_ID OS_SYSTEM_SCOPE OS_DOMAIN_NAME OS_DOMAIN_ID"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return "\n".join(lines)
