"""Metrics with intervals, and reports that people look at."""
