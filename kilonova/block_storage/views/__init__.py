"""Answers of block storage's API, as pure functions of rows."""
