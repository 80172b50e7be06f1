"""Maps under a condition: labels, numbers or both, one potential for each value and one network for all of them.

`maps` has what a fit gives, `distance` what it says about distances; `space` says what conditions there are, `sides`
and `balance` which rows take part and how much they count, `between` and `coordinates` where the network starts.
"""
