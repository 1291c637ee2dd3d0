"""What applications test their durable functions with: virtual time, crashes, faults, recorded histories.

```python
from resonate_trio import testing


async def test_reminds_after_a_year(resonate_world: testing.World) -> None:
    await resonate_world.start_worker(remind)
    assert await resonate_world.client.rfc("reminder-1", remind, "the milk") == "do not forget the milk"
```
"""

from ._client import WorldClient as WorldClient
from ._crashes import (
    CrashPoint as CrashPoint,
    CrashReport as CrashReport,
    CrashSafetyError as CrashSafetyError,
    check_crash_safe as check_crash_safe,
)
from ._effects import Effect as Effect, Effects as Effects
from ._faults import Fault as Fault, Faults as Faults
from ._history import History as History, record as record
from ._process import Process as Process
from ._replay import UNFINISHED as UNFINISHED, replay as replay
from ._time import run as run
from ._trace import Trace as Trace
from ._world import Stuck as Stuck, World as World, open_world as open_world

__all__ = [
    "UNFINISHED",
    "CrashPoint",
    "CrashReport",
    "CrashSafetyError",
    "Effect",
    "Effects",
    "Fault",
    "Faults",
    "History",
    "Process",
    "Stuck",
    "Trace",
    "World",
    "WorldClient",
    "check_crash_safe",
    "open_world",
    "record",
    "replay",
    "run",
]
