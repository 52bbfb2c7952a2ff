"""Views of a guest from outside: console output, remote consoles and their proxies, diagnostics."""
