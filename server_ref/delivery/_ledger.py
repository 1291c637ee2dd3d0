"""Who holds which task, and who suspended which."""

from typing import final

from attrs import define, field

from ._choice import Loads, count


@final
@define
class Ledger:
    """What the router knows of tasks. All of it changes only after a turn, but the loads.

    Attributes:
        holders: who holds a task.
        suspended_by: who suspended a task.
        loads: how busy the workers are.
        freed: processes that have less than before.
    """

    holders: dict[str, str] = field(factory=dict)
    suspended_by: dict[str, str] = field(factory=dict)
    loads: Loads = field(factory=Loads)
    freed: set[str] = field(factory=set)

    def hold(self, task_id: str, pid: str | None) -> None:
        """Note who holds a task, None for nobody."""
        before = self.holders.pop(task_id, None)
        if before is not None:
            count(self.loads.held, before, -1)
            if before != pid:
                self.freed.add(before)
        if pid is not None:
            self.holders[task_id] = pid
            count(self.loads.held, pid, 1)

    def suspend(self, task_id: str, pid: str | None) -> None:
        """Note who suspended a task, None for nobody that counts: it was taken since."""
        if pid is None:
            self.suspended_by.pop(task_id, None)
        else:
            self.suspended_by[task_id] = pid

    def send(self, pid: str) -> None:
        """Note that a worker was asked to execute one more task."""
        count(self.loads.under_way, pid, 1)

    def withdraw(self, pid: str) -> None:
        """Note that it is not asked to execute one any longer."""
        count(self.loads.under_way, pid, -1)
        self.freed.add(pid)

    def clear(self) -> None:
        """Forget all tasks but those under way."""
        self.holders.clear()
        self.suspended_by.clear()
        self.loads.held.clear()
        self.freed.clear()
