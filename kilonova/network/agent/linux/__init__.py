"""The parts that a Linux host's network is made of, each with what it takes away and what it makes."""
