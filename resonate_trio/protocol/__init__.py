"""The Resonate protocol, version 2026-04-01: its records, requests, replies and messages, without any I/O."""

from . import extensions as extensions, tags as tags
from ._addresses import (
    Address as Address,
    PollAddress as PollAddress,
    PushAddress as PushAddress,
    parse_address as parse_address,
)
from ._convert import (
    converter as converter,
    decode_reply as decode_reply,
    decode_request as decode_request,
    encode_reply as encode_reply,
    encode_request as encode_request,
    request_from_wire as request_from_wire,
)
from ._convert_messages import decode_message as decode_message, message_to_wire as message_to_wire
from ._envelope import (
    PROTOCOL_VERSION as PROTOCOL_VERSION,
    Envelope as Envelope,
    Head as Head,
    Reply as Reply,
    ReplyHead as ReplyHead,
)
from ._errors import ProtocolError as ProtocolError, quoted as quoted
from ._ids import (
    MAX_ID_LENGTH as MAX_ID_LENGTH,
    check_id as check_id,
    extends as extends,
    origin_of as origin_of,
)
from ._messages import Cancel as Cancel, Execute as Execute, Message as Message, Unblock as Unblock
from ._records import (
    EMPTY as EMPTY,
    MAX_MILLIS as MAX_MILLIS,
    Promise as Promise,
    PromiseState as PromiseState,
    Schedule as Schedule,
    Task as Task,
    TaskState as TaskState,
    Value as Value,
)
from ._replies import (
    Acquired as Acquired,
    BatchReply as BatchReply,
    Beaten as Beaten,
    Callback as Callback,
    CancelledTask as CancelledTask,
    Empty as Empty,
    Fenced as Fenced,
    Listener as Listener,
    OutgoingMessage as OutgoingMessage,
    PromisePage as PromisePage,
    PromiseReply as PromiseReply,
    PromiseTimeout as PromiseTimeout,
    SchedulePage as SchedulePage,
    ScheduleReply as ScheduleReply,
    Snapshot as Snapshot,
    Suspended as Suspended,
    TaskPage as TaskPage,
    TaskReply as TaskReply,
    TaskTimeout as TaskTimeout,
)
from ._requests import (
    REQUESTS as REQUESTS,
    Batch as Batch,
    BatchedRequest as BatchedRequest,
    DebugRequest as DebugRequest,
    DebugReset as DebugReset,
    DebugSnap as DebugSnap,
    DebugStart as DebugStart,
    DebugStop as DebugStop,
    DebugTick as DebugTick,
    PromiseCancel as PromiseCancel,
    PromiseCreate as PromiseCreate,
    PromiseGet as PromiseGet,
    PromiseRegisterCallback as PromiseRegisterCallback,
    PromiseRegisterListener as PromiseRegisterListener,
    PromiseRequest as PromiseRequest,
    PromiseSearch as PromiseSearch,
    PromiseSettle as PromiseSettle,
    Request as Request,
    ScheduleCreate as ScheduleCreate,
    ScheduleDelete as ScheduleDelete,
    ScheduleGet as ScheduleGet,
    ScheduleRequest as ScheduleRequest,
    ScheduleSearch as ScheduleSearch,
    TaskAcquire as TaskAcquire,
    TaskContinue as TaskContinue,
    TaskCreate as TaskCreate,
    TaskFence as TaskFence,
    TaskFulfill as TaskFulfill,
    TaskGet as TaskGet,
    TaskHalt as TaskHalt,
    TaskHeartbeat as TaskHeartbeat,
    TaskRef as TaskRef,
    TaskRelease as TaskRelease,
    TaskRequest as TaskRequest,
    TaskSearch as TaskSearch,
    TaskSuspend as TaskSuspend,
)
