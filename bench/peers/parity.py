"""A parity case as arrays of float64, for any framework."""
import numpy

import tensor_file
from spec import Spec

FORMAT = "plasticity-parity-1"


class Case:
    """`tensors` has the tensors of the file. Parameters, inputs, state and masks are a network's arguments by name."""

    def __init__(self, path):
        self.tensors, metadata = tensor_file.load(path)
        if metadata.get("format") != FORMAT:
            raise ValueError(f"format: expected {FORMAT}, got {metadata.get('format')}")
        words = {name: metadata[name] for name in
                 ("cell", "rule", "rate", "eligibility", "alpha", "activation", "modulator_source")}
        # Without w_in the input current of an rnn is given directly, whatever I says.
        inputs = 0 if words["cell"] == "rnn" and "param.w_in" not in self.tensors else int(metadata["I"])
        self.spec = Spec(**words, inputs=inputs, neurons=int(metadata["N"]), clip=float(metadata["clip"]))
        steps, batch = int(metadata["T"]), int(metadata["B"])

        self.parameters = {name: self.tensor("param." + name, shape)
                           for name, shape in self.spec.parameter_shapes().items()}
        self.inputs = {name: self.tensor("input." + name, shape, missing_is_zero=name == "u")
                       for name, shape in self.spec.input_shapes(steps, batch).items()}
        self.state = {name: self.tensor(f"state.{name}0", shape, missing_is_zero=True)
                      for name, shape in self.spec.state_shapes(batch).items()}
        kinds = {"reset": bool, "length": numpy.int64, "clamp": bool, "clamp_value": numpy.float64}
        self.masks = {name: self.tensors["mask." + name].astype(kind) for name, kind in kinds.items()
                      if "mask." + name in self.tensors}
        self.upstream = {name.removeprefix("upstream."): value.astype(numpy.float64)
                         for name, value in self.tensors.items() if name.startswith("upstream.")}

    def tensor(self, name, shape, missing_is_zero=False):
        if name not in self.tensors and missing_is_zero:
            return numpy.zeros(shape)
        if self.tensors[name].shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {self.tensors[name].shape}")
        return self.tensors[name].astype(numpy.float64)

    @staticmethod
    def outputs(y, modulation, final):
        """The outputs under the names of upstream gradients and expected values."""
        named = {"y": y, **{name + "_final": value for name, value in final.items()}}
        return named if modulation is None else named | {"modulation": modulation}

    def named_gradients(self, parameters, inputs, state):
        return {**{"grad." + name: value for name, value in {**parameters, **inputs}.items()},
                **{f"grad.{name}0": value for name, value in state.items()}}
