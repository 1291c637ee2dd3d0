"""A function that can be invoked durably."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import cast, final

from attrs import frozen

from resonate_trio._codec import Codec
from resonate_trio._errors import ArgumentsError, DecodingError
from resonate_trio._retry import RetryPolicy

from . import _inspection as inspection


@final
@frozen(eq=False)
class Function:
    """A function that can be invoked durably, and all that is known about it.

    What is found by inspection is found when it is first asked for, and then kept: annotations may name what is
    defined only later in the module.

    Attributes:
        name: what it is invoked by.
        version: 1 or greater.
        call: the function itself.
        retry: its own policy; None: that of the application.
        timeout: how long an invocation of it may take, in seconds; None: the default.
    """

    name: str
    version: int
    call: Callable[..., object]
    retry: RetryPolicy | None = None
    timeout: float | None = None

    @cached_property
    def is_async(self) -> bool:
        """Whether calling it gives something to await."""
        return inspection.is_async(self.call)

    @cached_property
    def takes_context(self) -> bool:
        """Whether it wants the context as its first argument."""
        return inspection.takes_context(self.call, self._whole_signature)

    @cached_property
    def signature(self) -> inspect.Signature:
        """Its signature as callers see it: without the context."""
        if not self.takes_context:
            return self._whole_signature
        return self._whole_signature.replace(parameters=list(self._whole_signature.parameters.values())[1:])

    @cached_property
    def _whole_signature(self) -> inspect.Signature:
        return inspection.signature_of(self.call)

    @cached_property
    def result_type(self) -> object:
        """The annotation of its result; `object` if it has none. Raises UsageError if it cannot be resolved."""
        return inspection.resolve(self.call, "return", self.signature.return_annotation)

    @cached_property
    def argument_types(self) -> Mapping[str, object]:
        """The annotations of its parameters, without the context. Raises UsageError as `result_type`."""
        return {
            name: inspection.resolve(self.call, name, parameter.annotation)
            for name, parameter in self.signature.parameters.items()
        }

    def check_arguments(self, args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        """Check that the function can be called like this. The context is not counted.

        Raises:
            ArgumentsError: the arguments do not bind to the signature.
        """
        least, most = self._positional
        if kwargs or not least <= len(args) <= most:  # else they bind, which takes longer to find out
            self._bind(args, kwargs)

    @cached_property
    def _positional(self) -> tuple[float, float]:
        """How many positional arguments are enough, and how many it takes. None are, if it needs others too."""
        parameters = self.signature.parameters.values()
        if any(each.kind is each.KEYWORD_ONLY and each.default is each.empty for each in parameters):
            return math.inf, 0
        ordered = [each for each in parameters if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
        takes_any = any(each.kind is each.VAR_POSITIONAL for each in parameters)
        least = sum(each.default is each.empty for each in ordered)
        return least, math.inf if takes_any else len(ordered)

    def structure_arguments(
        self, args: Sequence[object], kwargs: Mapping[str, object], codec: Codec
    ) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return arguments that are JSON data as what the annotations say, to call the function with.

        Raises:
            ArgumentsError: they do not bind to the signature, or one does not fit its annotation.
            UsageError: an annotation cannot be resolved.
        """
        bound = self._bind(args, kwargs)
        for name, data in bound.arguments.items():
            bound.arguments[name] = self._structure(name, data, codec)
        return bound.args, bound.kwargs

    def _bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> inspect.BoundArguments:
        try:
            return self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentsError(
                f"{self.name}: {error}. It is to be called as {self.name}{self.signature}", function=self.name
            ) from None

    def _structure(self, name: str, data: object, codec: Codec) -> object:
        """Return what was bound to the parameter `name` as its annotation says."""
        annotation = self.argument_types[name]
        kind = self.signature.parameters[name].kind
        try:
            if kind is inspect.Parameter.VAR_POSITIONAL:
                items = enumerate(cast("tuple[object, ...]", data))
                return tuple(codec.structure(item, annotation, where=f"{name}[{i}]") for i, item in items)
            if kind is inspect.Parameter.VAR_KEYWORD:
                named = cast("dict[str, object]", data).items()
                return {key: codec.structure(item, annotation, where=key) for key, item in named}
            return codec.structure(data, annotation, where=name)
        except DecodingError as error:
            raise ArgumentsError(
                f"{self.name}: the argument {error}. It is to be called as {self.name}{self.signature}",
                function=self.name,
                path=error.path,
            ) from None
