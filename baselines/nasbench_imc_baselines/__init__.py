"""Reference searchers. Each file holds one method, on the public API alone, as any other would.

A searcher is a function ``search(session, rng)``. It queries until the session raises
``BudgetExhausted``, which it lets pass.
"""
