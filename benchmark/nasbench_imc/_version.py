"""The version of the package; a table's version is its own and stands in the table."""

__version__ = "0.1.0"
