"""The precomputed tables: how they are laid out, found, verified and read."""

from nasbench_imc.tables.benchmark import Benchmark, Measurement, load

__all__ = ["Benchmark", "Measurement", "load"]
