"""Plastic layers as PyTorch modules."""
from typing import Any, Optional, Tuple

import torch
from torch import Tensor

from .._errors import bad_argument
from .._files import load_file
from .._plan import State
from .._spec import Activation, Cell, Eligibility, Granularity, ModulatorSource, Precision, Rate, Rule, Spec
from ._base import PlasticModule, Sequence


class _Recurrent(PlasticModule):
    _cell: Cell = "rnn"

    def _inputs(self, x, current):
        if current is not None:
            raise bad_argument("current", "none in a recurrent layer", "a tensor; input_size=0 takes the current as the input")
        return (x, None, None) if self.spec.inputs else (None, x, None)

    def forward(
        self,
        input: Sequence,
        state: Optional[State] = None,
        *,
        lengths: Optional[Any] = None,
        reset: Optional[Tensor] = None,
        rate: Optional[Tensor] = None,
        clamp: Optional[Tensor] = None,
        clamp_value: Optional[Tensor] = None,
        return_modulation: bool = False,
        return_preactivation: bool = False,
    ) -> Tuple[Any, ...]:
        """Runs a sequence [T,B,I], or [B,T,I] with batch_first, or a PackedSequence. Returns (output, state).

        lengths [B]: from there on a sample's output is zero and its state stays; a PackedSequence has its own. reset [T,B]:
        the sample's state is zero before that step. rate [T,B,N] is the external rate; if clamp [T,B,N] is set, the output
        (of an LSTM the candidate) is clamp_value [T,B,N]. return_modulation=True returns (output, state, modulation [T,B]).
        With batch_first all of them are [B,T,…], also beside a PackedSequence. return_preactivation=True appends the
        pre-activation, in the form of the output.
        """
        return self._sequence(input, state, lengths, reset, rate, None, clamp, clamp_value, return_modulation,
                              return_preactivation)


class PlasticRNN(_Recurrent):
    """A recurrent layer whose connections have Hebbian traces [2018, 2019].

    y(t) = f(x(t) W_in + b + y(t-1) (w + alpha H)); then `rule` updates H at `rate`. With input_size=0 the input is the
    current itself, [T,B,N]. Other arguments: those of Spec and PlasticModule.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rule: Rule = "decay",
        rate: Rate = "fixed",
        eligibility: Eligibility = "none",
        alpha: Granularity = "connection",
        activation: Activation = "tanh",
        clip: float = 1.0,
        batch_first: bool = False,
        precision: Optional[Precision] = None,
        checkpoint_interval: int = 0,
        memory_budget: int = 0,
        device: Any = None,
        dtype: Optional[torch.dtype] = None,
    ) -> None:
        super().__init__(
            Spec("rnn", rule, rate, eligibility, alpha, activation, "hidden", input_size, hidden_size, clip),
            batch_first=batch_first, precision=precision, checkpoint_interval=checkpoint_interval,
            memory_budget=memory_budget, device=device, dtype=dtype,
        )


class PlasticLSTM(_Recurrent):
    """An LSTM layer whose candidate gate is plastic [2019]. The state's y is h, its c the cell state.

    Other arguments: those of Spec and PlasticModule.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rule: Rule = "hard_clip",
        rate: Rate = "fan_out",
        eligibility: Eligibility = "none",
        alpha: Granularity = "post",
        modulator_source: ModulatorSource = "hidden",
        clip: float = 2.0,
        batch_first: bool = False,
        precision: Optional[Precision] = None,
        checkpoint_interval: int = 0,
        memory_budget: int = 0,
        device: Any = None,
        dtype: Optional[torch.dtype] = None,
    ) -> None:
        super().__init__(
            Spec("lstm", rule, rate, eligibility, alpha, "tanh", modulator_source, input_size, hidden_size, clip),
            batch_first=batch_first, precision=precision, checkpoint_interval=checkpoint_interval,
            memory_budget=memory_budget, device=device, dtype=dtype,
        )


class PlasticLinear(PlasticModule):
    """A feed-forward layer with Hebbian traces [2016; 2018, one-shot classification].

    y(t) = f(current(t) + x(t) (w + alpha H)); then `rule` updates H at `rate`. The state has the traces alone. Other
    arguments: those of Spec and PlasticModule.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        rule: Rule = "decay",
        rate: Rate = "fixed",
        eligibility: Eligibility = "none",
        alpha: Granularity = "connection",
        activation: Activation = "tanh",
        clip: float = 1.0,
        batch_first: bool = False,
        precision: Optional[Precision] = None,
        checkpoint_interval: int = 0,
        memory_budget: int = 0,
        device: Any = None,
        dtype: Optional[torch.dtype] = None,
    ) -> None:
        super().__init__(
            Spec("feedforward", rule, rate, eligibility, alpha, activation, "hidden", input_size, hidden_size, clip),
            batch_first=batch_first, precision=precision, checkpoint_interval=checkpoint_interval,
            memory_budget=memory_budget, device=device, dtype=dtype,
        )

    def _inputs(self, x, current):
        return None, current, x

    def forward(
        self,
        input: Sequence,
        state: Optional[State] = None,
        *,
        current: Optional[Tensor] = None,
        lengths: Optional[Any] = None,
        reset: Optional[Tensor] = None,
        rate: Optional[Tensor] = None,
        clamp: Optional[Tensor] = None,
        clamp_value: Optional[Tensor] = None,
        return_modulation: bool = False,
        return_preactivation: bool = False,
    ) -> Tuple[Any, ...]:
        """As PlasticRNN.forward(), with an input current [T,B,N] of its own: a bias, or the label of a sample."""
        return self._sequence(input, state, lengths, reset, rate, current, clamp, clamp_value, return_modulation,
                              return_preactivation)


PlasticModule._layers.update(rnn=PlasticRNN, lstm=PlasticLSTM, feedforward=PlasticLinear)


def load(path, **options: Any) -> PlasticModule:
    """The module in a file of save_safetensors(), or of a C++ Network: a PlasticRNN, PlasticLSTM or PlasticLinear.

    The file has the parameters and the spec. `options` are those of PlasticModule: batch_first, precision, device, dtype, …
    Raises IOFailure if the file cannot be read, and FormatError, a ValueError, if it has no network.
    """
    tensors, metadata = load_file(path)
    spec = Spec.from_metadata(metadata)
    module = PlasticModule.from_spec(spec, **options)
    module._load(path, tensors, spec)
    return module
