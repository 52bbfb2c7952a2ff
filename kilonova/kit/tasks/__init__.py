"""Durable operations: the one mechanism under every multi-step operation of every service (design §4)."""

from kilonova.kit.tasks.chores import ChoreTable, SharedChoreKeeper
from kilonova.kit.tasks.programs import Done, Fail, HandedOver, Next, Outcome, Program, Run, Sleep, step_name
from kilonova.kit.tasks.runner import Runner
from kilonova.kit.tasks.table import (
    TASKS_BEGUN,
    TASKS_DUE,
    TASKS_GONE_ON,
    TASKS_OVER,
    NewTask,
    SubjectBusy,
    Task,
    TaskStep,
    TaskTables,
)
from kilonova.kit.tasks.wakes import WakesRunner

__all__ = [
    "TASKS_BEGUN",
    "TASKS_DUE",
    "TASKS_GONE_ON",
    "TASKS_OVER",
    "ChoreTable",
    "Done",
    "Fail",
    "HandedOver",
    "NewTask",
    "Next",
    "Outcome",
    "Program",
    "Run",
    "Runner",
    "SharedChoreKeeper",
    "Sleep",
    "SubjectBusy",
    "Task",
    "TaskStep",
    "TaskTables",
    "WakesRunner",
    "step_name",
]
