"""Submissions: packing runs, replaying them against the table, and running a stranger's searcher confined.

Nothing is imported here, since a confined process imports this package before it is confined.
"""
