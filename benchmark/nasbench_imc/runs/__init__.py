"""Running methods on tasks: one log a run, many runs in parallel."""

from nasbench_imc.runs.harness import run_all
from nasbench_imc.runs.log import RunLog, read_log, read_logs
from nasbench_imc.runs.methods import Method, find_method, methods

__all__ = ["Method", "RunLog", "find_method", "methods", "read_log", "read_logs", "run_all"]
