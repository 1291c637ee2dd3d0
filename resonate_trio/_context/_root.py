"""From a task to the function that it executes."""

from functools import partial

from resonate_trio._execution import Execution, Work
from resonate_trio._ids import Lineage

from ._context import Context


def root_work(execution: Execution) -> Work:
    """Find the function that the promise of a task names, and fit its arguments to the annotations.

    Raises:
        UnknownFunctionError: this worker does not have it.
        ArgumentsError: the arguments do not bind to its signature.
        DecodingError: the call, or an argument, cannot be read.
    """
    runtime, promise = execution.runtime, execution.promise
    call = runtime.codec.decode_call(promise.param)
    function = runtime.registry.named(call.func, call.version)
    args, kwargs = function.structure_arguments(call.args, call.kwargs, runtime.codec)
    return Work(function, args, kwargs, partial(Context, execution, Lineage.of(promise.id, promise.tags)))
