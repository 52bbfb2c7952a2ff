"""Servers: their rows, lists, specifications and history."""
