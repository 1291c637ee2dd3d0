"""The protocol as a pure machine: a request, an instant and a view of the store give a reply and changes."""

from ._background import (
    Settings as Settings,
    fire_due as fire_due,
    recover as recover,
    release_all as release_all,
)
from ._draft import Draft as Draft
from ._extensions import OFFERED as OFFERED, Extensions as Extensions
from ._outbox import (
    Outgoing as Outgoing,
    OutgoingKey as OutgoingKey,
    handed_over as handed_over,
    outgoing as outgoing,
    waiting as waiting,
)
from ._outcome import Outcome as Outcome
from ._perform import perform as perform
from ._projection import NEVER as NEVER
from ._view import (
    Cancellation as Cancellation,
    Changes as Changes,
    Dispatch as Dispatch,
    Due as Due,
    Sweep as Sweep,
    TaskRecord as TaskRecord,
    View as View,
    cancellation_due_at as cancellation_due_at,
    matches as matches,
    promise_due_at as promise_due_at,
    schedule_due_at as schedule_due_at,
    task_due_at as task_due_at,
)
