"""Drives environments with a policy, and stores what happened."""
