"""Tasks, the designs they range over, and the sessions in which a method is charged for what it asks."""

from nasbench_imc.suites.definition import Frozen, Task, task, tasks
from nasbench_imc.suites.domain import Domain
from nasbench_imc.suites.session import Observation, Session

__all__ = ["Domain", "Frozen", "Observation", "Session", "Task", "task", "tasks"]
