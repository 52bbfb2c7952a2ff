"""The memory that passwords are hashed in is kept from one to the next, and not for good."""

import subprocess
import sys

HASHES = """
import asyncio, os, sys
from kilonova.identity import passwords

def resident_mib():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

async def hash_and_wait():
    before = resident_mib()
    for _ in range(2):
        await asyncio.gather(*(passwords.hash_password(str(n)) for n in range(4)))
    kept = resident_mib() - before
    async with asyncio.timeout(20):
        while resident_mib() - before > kept / 2:
            await asyncio.sleep(0.05)
    assert await passwords.verify_password("same", await passwords.hash_password("same"))
    return kept

print(asyncio.run(hash_and_wait()))
"""


def test_memory_is_given_back_when_no_password_has_come_for_a_while() -> None:
    done = subprocess.run([sys.executable, "-c", HASHES], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 19
