"""The loop that every job shares, and what it takes: examples, update rules, reports, loggers."""
