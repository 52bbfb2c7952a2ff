"""NUMA: what a guest asks of nodes, processors and pages, what a host has of them, and how the one fits the other."""
