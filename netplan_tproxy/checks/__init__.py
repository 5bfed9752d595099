"""Checks that must pass after a change if they passed before it."""
