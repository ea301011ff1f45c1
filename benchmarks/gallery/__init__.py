"""The gallery: every job on real data, each with the number that is asked of it."""
