"""A run and its folder: how it is described, done, gone on with and used."""
