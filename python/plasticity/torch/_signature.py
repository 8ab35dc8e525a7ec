"""The signature of a call: all that its operators need besides the tensors, and its text."""
import functools
from typing import NamedTuple, Tuple

from .._errors import FormatError
from .._library import build_of, folder
from .._spec import Spec, output_names

# PyTorch keeps compiled programs on disk under a hash of their text, and they contain the size of a tape. Another build
# of the library may lay out its tape differently.
_BUILD = build_of(folder() / "libplasticity.so")


class Signature(NamedTuple):
    """A spec, the options of its plans, and the names of the tensors of a call. Hashable; written as text by to_text()."""

    spec: Spec
    bf16: bool
    checkpoint_interval: int
    memory_budget: int
    execution: str
    return_preactivation: bool
    names: Tuple[str, ...]  # "parameters.w", "inputs.x", "initial_state.hebb", "masks.reset", in the order of the tensors

    @property
    def output_names(self):
        return output_names(self.spec, self.return_preactivation)

    @property
    def initial_state(self):
        """The indices of the tensors of the initial state."""
        return [k for k, name in enumerate(self.names) if name.startswith("initial_state.")]


def to_text(spec, bf16, checkpoint_interval, memory_budget, execution, return_preactivation, names):
    """The text of a Signature, which the operators take. torch.compile traces this, so it is plain string work."""
    return (
        f"{spec._text} {'bf16' if bf16 else 'real'} {checkpoint_interval} {memory_budget} "
        f"{execution} {'preactivation' if return_preactivation else 'none'} {_BUILD}: {' '.join(names)}"
    )


@functools.lru_cache(maxsize=4096)
def from_text(text):
    """The Signature of a text that to_text() wrote. Raises FormatError, a ValueError, for any other text."""
    head, colon, names = text.partition(":")
    words = head.split()
    spec_words, option_words = words[:10], words[10:]
    if not colon or len(option_words) != 6:
        raise FormatError(f"signature: expected a spec, five options, a build, a colon and names, got {text!r}")
    *choices, inputs, neurons, clip = spec_words
    precision, checkpoint_interval, memory_budget, execution, returned, _ = option_words
    return Signature(
        Spec(*choices, int(inputs), int(neurons), float(clip)), precision == "bf16", int(checkpoint_interval),
        int(memory_budget), execution, returned == "preactivation", tuple(names.split()),
    )
