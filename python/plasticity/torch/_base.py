"""The base of the plastic layers: parameters, files, single steps, and sequences in the layout of the caller."""
import copy
import dataclasses
import re
from typing import Any, ClassVar, Dict, Mapping, Optional, Tuple, Type, Union

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from .._arguments import check_options, check_spec, integer, state_items
from .._errors import FormatError, InvalidArgument, bad_argument
from .._files import load_file, save_file
from .._initial import distribution_of
from .._plan import State
from .._spec import STATE, Precision, Spec
from ._functional import HALVES, plastic
from ._program import check_dense

Sequence = Union[Tensor, PackedSequence]


class _Head(nn.Module):
    """A weight and a bias that plastic() reads: the modulator, or its fan-out."""

    weight: nn.Parameter
    bias: nn.Parameter


class PlasticModule(nn.Module):
    """The base of the plastic layers. Parameters have the names that the library's files have. Spec names the papers.

    With batch_first=True sequences are [B,T,…] instead of [T,B,…]. precision, checkpoint_interval and memory_budget are those
    of plastic(); device and dtype are those of the parameters.
    """

    _layers: ClassVar[Dict[str, Type["PlasticModule"]]] = {}  # by cell

    def __init__(
        self,
        spec: Spec,
        *,
        batch_first: bool = False,
        precision: Optional[Precision] = None,
        checkpoint_interval: int = 0,
        memory_budget: int = 0,
        device: Any = None,
        dtype: Optional[torch.dtype] = None,
    ) -> None:
        super().__init__()
        check_options(spec, precision, "automatic")
        self.spec, self.batch_first, self.precision = spec, batch_first, precision
        self.checkpoint_interval = integer("checkpoint_interval", checkpoint_interval)
        self.memory_budget = integer("memory_budget", memory_budget)
        # The shapes without the batch: torch.compile cannot trace the calls that return them.
        self._state_shapes = {name: shape[1:] for name, shape in spec.state_of(1).items()}
        self._places = []  # (name, name of the head or "", name in its module)
        for name, shape in spec.parameters.items():
            head, _, leaf = name.rpartition(".")
            if head and not hasattr(self, head):
                self.add_module(head, _Head())
            owner = getattr(self, head) if head else self
            owner.register_parameter(leaf, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
            self._places.append((name, head, leaf))
        self.reset_parameters()

    @classmethod
    def from_spec(cls, spec: Spec, **options: Any) -> "PlasticModule":
        """The module of a Spec. `options` are those of PlasticModule: batch_first, precision, device, …

        PlasticModule.from_spec() returns a PlasticRNN, PlasticLSTM or PlasticLinear. Raises ValueError if a class of these
        has another cell.
        """
        check_spec(spec)
        layer = PlasticModule._layers[spec.cell]
        kind = layer if cls is PlasticModule else cls
        if not issubclass(kind, layer):
            raise bad_argument("spec", f"one of a {kind.__name__}", f"one of a {layer.__name__}")
        names = ("rule", "rate", "eligibility", "alpha", "clip", "modulator_source" if spec.cell == "lstm" else "activation")
        return kind(spec.inputs, spec.neurons, **{name: getattr(spec, name) for name in names}, **options)

    @property
    def input_size(self) -> int:
        """I."""
        return self.spec.inputs

    @property
    def hidden_size(self) -> int:
        """N."""
        return self.spec.neurons

    def extra_repr(self) -> str:
        spec = self.spec
        text = (
            f"{spec.inputs}, {spec.neurons}, rule={spec.rule}, rate={spec.rate}, eligibility={spec.eligibility}, "
            f"alpha={spec.alpha}, activation={spec.activation}, clip={spec.clip:g}, batch_first={self.batch_first}"
        )
        for name, value, default in (
            ("modulator_source", spec.modulator_source, "hidden"), ("precision", self.precision, None),
            ("checkpoint_interval", self.checkpoint_interval, 0), ("memory_budget", self.memory_budget, 0),
        ):
            if value != default:
                text += f", {name}={value}"
        return text

    def library_parameters(self) -> Mapping[str, Tensor]:
        """The parameters by their names in files, as plastic() takes them."""
        named = {}
        for name, head, leaf in self._places:
            owner = self._modules[head] if head else self
            value = owner._parameters.get(leaf)  # takes less time than getattr()
            named[name] = getattr(owner, leaf) if value is None else value  # for example a parametrization
        return named

    def reset_parameters(self) -> None:
        """Draws the parameters anew, from the distributions of the C++ Network.

        One that a buffer has replaced is drawn too. A parametrized one is set by its right_inverse(). Raises ValueError, and
        changes nothing, if one cannot be set.
        """
        def draw(name, value):
            kind, size = distribution_of(self.spec, name)
            if kind == "uniform":
                value.uniform_(-size, size)
            elif kind == "normal":
                value.normal_(0, size)
            else:
                value.fill_(size)

        self._set_parameters(draw)

    def _set_parameters(self, fill):
        """Calls fill(name, tensor), which writes the tensor, for every parameter."""
        plain, parametrized = [], []
        with torch.no_grad():
            for name, head, leaf in self._places:
                owner = self._modules[head] if head else self
                value = owner._parameters.get(leaf)
                if value is None:
                    value = owner._buffers.get(leaf)
                if value is not None:
                    plain.append((name, value))
                    continue
                expected = "a parameter, or one with torch.nn.utils.parametrize and a right_inverse()"
                if not parametrize.is_parametrized(owner, leaf):
                    raise bad_argument(f"parameters.{name}", expected, "a tensor that a hook computes; remove the hook first")
                value = torch.empty_like(getattr(owner, leaf))
                fill(name, value)
                try:
                    copy.deepcopy(owner.parametrizations[leaf]).right_inverse(value)
                except Exception as error:
                    raise bad_argument(f"parameters.{name}", expected, f"{type(error).__name__}: {error}") from error
                parametrized.append((owner, leaf, value))
            for owner, leaf, value in parametrized:
                setattr(owner, leaf, value)
            for name, value in plain:
                fill(name, value)

    def initial_state(self, batch: int) -> State:
        """The zero state of a batch."""
        if not torch.compiler.is_compiling():
            batch = integer("batch", batch)
        like = next(iter(self.library_parameters().values()))
        return State(**{name: like.new_zeros((batch, *shape)) for name, shape in self._state_shapes.items()})

    def step(
        self,
        x: Tensor,
        state: Optional[State] = None,
        *,
        rate: Optional[Tensor] = None,
        current: Optional[Tensor] = None,
        reset: Optional[Tensor] = None,
        clamp: Optional[Tensor] = None,
        clamp_value: Optional[Tensor] = None,
    ) -> Tuple[Tensor, State]:
        """One step of a network that acts, without a tape. Takes x [B,I] and returns (y [B,N], the new state).

        rate, current, clamp and clamp_value are [B,N], reset is [B]. The results have no gradients. For a step that
        trains, call the module with a sequence of one step: x.unsqueeze(0), or x.unsqueeze(1) with batch_first.
        """
        one = [
            None if each is None else _tensor(name, each).unsqueeze(0).contiguous() for name, each in (
                ("x", x), ("rate", rate), ("current", current), ("reset", reset), ("clamp", clamp),
                ("clamp_value", clamp_value),
            )
        ]
        if x.dim() != 2:
            raise bad_argument("x.shape", "two axes, [B,I]", list(x.shape))
        with torch.no_grad():
            y, _, state = self._run("[B]", *one[:1], state, *one[1:4], None, *one[4:])
        return y[0], state

    def save_safetensors(self, path, metadata: Optional[Mapping[str, str]] = None) -> None:
        """Writes the parameters and the spec as the C++ Network does, so that either can load them.

        Parameters of half precision are written as float32. `metadata` adds entries of your own. Raises ValueError for
        parameters on the device meta, which have no values.
        """
        tensors = {}
        for name, value in self.library_parameters().items():
            _check_has_values(name, value)
            value = value.detach().cpu().contiguous()
            tensors["param." + name] = (value.float() if value.dtype in HALVES else value).numpy()
        save_file(path, tensors, {**(metadata or {}), **self.spec.to_metadata()})

    def load_safetensors(self, path) -> Mapping[str, str]:
        """Takes the parameters from a file of this module, or of a C++ Network, and returns the file's metadata.

        A parametrized parameter is set by its right_inverse(). Raises ValueError, and changes nothing, if the file is of
        another cell or lacks a parameter, or if a parameter cannot be set, for example on the device meta.
        """
        tensors, metadata = load_file(path)
        self._load(path, tensors, Spec.from_metadata(metadata))
        return metadata

    def _load(self, path, tensors, spec):
        """Takes the parameters from the tensors of a file, whose cell is `spec`."""
        if not spec.has_clip:
            spec = dataclasses.replace(spec, clip=self.spec.clip)
        if spec != self.spec:
            raise FormatError(f"{path}: expected a network of {self.spec}, got one of {spec}")
        named = self.library_parameters()
        for name, value in named.items():
            _check_has_values(name, value)
            stored = tensors.get("param." + name)
            if stored is None or stored.shape != tuple(value.shape):
                got = "none" if stored is None else f"shape {list(stored.shape)}"
                raise FormatError(f"{path} tensor 'param.{name}': expected shape {list(value.shape)}, got {got}")
        self._set_parameters(lambda name, value: value.copy_(torch.from_numpy(tensors["param." + name])))

    def _inputs(self, x, current):
        """(x, u, pre) of plastic()."""
        raise NotImplementedError

    def _run(self, layout, x, state, rate, current, reset, length, clamp, clamp_value, return_preactivation=False):
        """plastic() on time-major tensors; copies parameters and states that are not contiguous.

        Errors name the arguments of the module and their shapes in the caller's layout: "[T,B]", "[B,T]", or "[B]" in step().
        """
        parameters = self.library_parameters()
        if torch.compiler.is_compiling():
            parameters, state = _contiguous(parameters), _contiguous(_items_of(state))
        try:
            return self._plastic(parameters, x, state, rate, current, reset, length, clamp, clamp_value, return_preactivation)
        except InvalidArgument:  # the checks below take longer than a small network
            pass
        items = _items_of(state)
        self._check_shapes(layout, x, items, rate, current, reset, length, clamp, clamp_value)
        if isinstance(clamp_value, Tensor):
            clamp_value = clamp_value.detach()  # the first attempt has warned about its gradient
        try:
            return self._plastic(
                _contiguous(parameters), x, _contiguous(items), rate, current, reset, length, clamp, clamp_value,
                return_preactivation,
            )
        except InvalidArgument as error:
            input_name = "x" if layout == "[B]" else "input"
            text = _PLASTIC_NAME.sub(lambda name: _module_name(name[0], input_name, current), str(error))
            raise InvalidArgument(text) from None

    def _plastic(self, parameters, x, state, rate, current, reset, length, clamp, clamp_value, return_preactivation):
        x, u, pre = self._inputs(x, current)
        return plastic(
            self.spec, parameters, x=x, u=u, pre=pre, rate=rate, state=state, reset=reset, length=length, clamp=clamp,
            clamp_value=clamp_value, precision=self.precision, checkpoint_interval=self.checkpoint_interval,
            memory_budget=self.memory_budget, return_preactivation=return_preactivation,
        )

    def _check_shapes(self, layout, x, state, rate, current, reset, length, clamp, clamp_value):
        """Raises InvalidArgument for the first argument of _run() with a wrong shape, in the caller's layout."""
        def in_layout(shape):
            return [*shape[1:]] if layout == "[B]" else [shape[1], shape[0], *shape[2:]] if layout == "[B,T]" else [*shape]

        spec = self.spec
        x_name = "inputs.pre" if spec.cell == "feedforward" else "inputs.x" if spec.inputs else "inputs.u"
        sequences = (
            ("x" if layout == "[B]" else "input", x_name, x), ("rate", "inputs.rate", rate), ("current", "inputs.u", current),
            ("reset", "masks.reset", reset), ("clamp", "masks.clamp", clamp), ("clamp_value", "masks.clamp_value", clamp_value),
        )
        others = [(f"state.{name}", f"initial_state.{name}", value) for name, value in (state or {}).items()]
        for turn, group in ((in_layout, sequences), (list, [*others, ("lengths", "masks.length", length)])):
            for name, full_name, value in group:
                shape = spec.shape(full_name, *x.shape[:2])
                if name == "rate" and value is None and shape is not None:
                    raise bad_argument(name, f"a tensor of shape {turn(shape)}", "none")
                if isinstance(value, Tensor) and shape is not None and tuple(value.shape) != shape:
                    raise bad_argument(f"{name}.shape", turn(shape), turn(value.shape))

    def _sequence(self, x, state, lengths, reset, rate, current, clamp, clamp_value, return_modulation, return_preactivation):
        if isinstance(x, PackedSequence):
            if lengths is not None:
                raise bad_argument("lengths", "none beside a PackedSequence, which has its own", type(lengths).__name__)
            packed, (x, lengths) = x, pad_packed_sequence(x)
        elif isinstance(x, Tensor) and x.dim() == 3:
            packed = None
            check_dense("input", x)
        else:
            raise bad_argument("input", "a PackedSequence, or a tensor of three axes, " + (
                "[B,T,I]" if self.batch_first else "[T,B,I]"), list(x.shape) if isinstance(x, Tensor) else type(x).__name__)
        turn = self.batch_first and packed is None
        if lengths is not None:  # an array is copied, because backward reads the lengths again
            lengths = lengths.to(x.device) if isinstance(lengths, Tensor) else torch.tensor(lengths, device=x.device)
        x = (x.transpose(0, 1) if turn else x).contiguous()
        if rate is not None or current is not None or reset is not None or clamp is not None or clamp_value is not None:
            rate, current, reset, clamp, clamp_value = [
                each if each is None else self._time_major(name, each) for name, each in (
                    ("rate", rate), ("current", current), ("reset", reset), ("clamp", clamp), ("clamp_value", clamp_value),
                )
            ]
        y, modulation, final, *a = self._run(
            "[B,T]" if self.batch_first else "[T,B]", x, state, rate, current, reset, lengths, clamp, clamp_value,
            return_preactivation,
        )
        if packed is not None:
            y, *a = [_pack_like(packed, each, lengths) for each in (y, *a)]
        elif turn:
            y, *a = [each.transpose(0, 1) for each in (y, *a)]
        if self.batch_first and modulation is not None:
            modulation = modulation.transpose(0, 1)
        return (y, final, modulation, *a) if return_modulation else (y, final, *a)

    def _time_major(self, name, value):
        if _tensor(name, value).dim() < 2:
            raise bad_argument(f"{name}.shape", "[B,T,…]" if self.batch_first else "[T,B,…]", list(value.shape))
        return (value.transpose(0, 1) if self.batch_first else value).contiguous()


# The tensors of plastic() that have another name as arguments of a module, in the text of an error.
_PLASTIC_NAME = re.compile(r"\b(?:inputs|initial_state|masks)\.(?=[a-z])\w+")


def _module_name(name, input_name, current):
    """The argument of a module that plastic() calls `name`; `input_name`: that of the input."""
    group, _, last = name.partition(".")
    if last in ("x", "pre") or (last == "u" and current is None):
        return input_name
    return "state." + last if group == "initial_state" else {"u": "current", "length": "lengths"}.get(last, last)


def _items_of(state):
    """The tensors of a state by name, or None. Raises InvalidArgument if it is no state."""
    return state if state is None else dict(zip(STATE, state_items(state)))


def _contiguous(tensors):
    """A mapping of tensors, or None, with a copy of each tensor that is not contiguous."""
    return tensors if tensors is None else {
        name: each.contiguous() if isinstance(each, Tensor) and each.layout is torch.strided else each
        for name, each in tensors.items()
    }


def _tensor(name, value):
    if not isinstance(value, Tensor):
        raise bad_argument(name, "a tensor", type(value).__name__)
    return check_dense(name, value)


def _check_has_values(name, parameter):
    if parameter.is_meta:
        raise bad_argument(f"parameters.{name}", "a tensor with values", "one on the device meta; to_empty() makes one")


def _pack_like(packed, y, lengths):
    """y [T,B,N] in the order and with the batch sizes of `packed`."""
    lengths = lengths.cpu()
    if packed.sorted_indices is not None:
        y = y.index_select(1, packed.sorted_indices)
        lengths = lengths[packed.sorted_indices.cpu()]
    data = pack_padded_sequence(y, lengths, enforce_sorted=True).data
    return PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
