"""Comparing cells fairly: same data, same budget, several seeds, and what is noise.

=================  ==============================================================
`contenders`       which cells, and what they are called
`matching`         layer sizes that give each cell as many parameters
`trials`           the jobs that can be compared: how one run of each is done
`folder`           the folder of a comparison: what was asked for, every run
`pool`, `worker`   runs side by side in processes of their own
`statistics`       intervals of means and differences
`comparison`       the result: a table, sentences, files
`compare`          all of it, from what is asked to the result
=================  ==============================================================
"""
