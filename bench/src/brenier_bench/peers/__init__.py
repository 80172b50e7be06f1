"""Other solvers behind one interface, `(problem, clock) -> Fitted`: one a file, imported only in its own process."""
