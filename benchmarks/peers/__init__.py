"""What benchmarks/cpu.py is made of: the peers, written well, and how they are timed."""
