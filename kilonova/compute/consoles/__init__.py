"""What is seen of a guest from outside: console output, remote consoles and their proxies, diagnostics."""
