"""Long-lag tasks: how they are learned, and the recipes of the papers."""
