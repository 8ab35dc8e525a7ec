#include "check/arguments.hpp"

#include <algorithm>
#include <complex>
#include <cstdint>
#include <initializer_list>

#include "base/throw_error.hpp"
#include "model/for_each_tensor.hpp"

namespace plasticity {
namespace {

[[noreturn, gnu::cold]] void throw_superfluous(const Spec& spec, const char* group, std::string_view name) {
  bad_argument(str_cat(group, '.', name),
               str_cat("null, because the spec has no such tensor (", to_string(spec), ")"), "a tensor");
}

[[noreturn, gnu::cold]] void throw_missing(const char* group, std::string_view name, const Shape& shape) {
  std::string dimensions;
  for (int axis = 0; axis < shape.rank; ++axis) {
    dimensions += str_cat(axis > 0 ? "," : "", shape.size[static_cast<std::size_t>(axis)]);
  }
  bad_argument(str_cat(group, '.', name), str_cat("a tensor of shape [", dimensions, "]"), "null");
}

/// Throws if the tensor is given and the spec does not have it, or if it is null and required.
template <class Real>
void check_tensor(const Spec& spec, const char* group, std::string_view name, const Real* pointer,
                  const std::optional<Shape>& shape, bool required) {
  if (!shape && pointer != nullptr) throw_superfluous(spec, group, name);
  if (shape && required && pointer == nullptr && shape->elements() > 0) throw_missing(group, name, *shape);
}

template <class Real>
void check_parameters(const TensorSizes& sizes, const char* group, const Parameters<Real>& parameters,
                      bool required) {
  for_each_tensor(sizes, 0, 0, parameters,
                  [&](std::string_view name, const Real* pointer, const std::optional<Shape>& shape) {
                    check_tensor(sizes.spec, group, name, pointer, shape, required);
                  });
}

template <class Real>
void check_inputs(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch, const char* group,
                  const Inputs<Real>& inputs, bool required) {
  for_each_tensor(sizes, steps, batch, inputs,
                  [&](std::string_view name, const Real* pointer, const std::optional<Shape>& shape) {
                    const bool optional = name == "u";  // an absent input current means zero
                    check_tensor(sizes.spec, group, name, pointer, shape, required && !optional);
                  });
}

template <class Real>
void check_masks(const Masks<Real>& masks) {
  if (masks.clamp != nullptr && masks.clamp_value == nullptr) {
    bad_argument("masks.clamp_value", "a tensor, because masks.clamp is given", "null");
  }
  if (masks.clamp == nullptr && masks.clamp_value != nullptr) {
    bad_argument("masks.clamp", "a tensor, because masks.clamp_value is given", "null");
  }
}

/// Checks that the clip has normal bfloat16 neighbours: a bfloat16 tape stores on which side of the clip a
/// trace is.
void check_clip_on_tape(const Spec& spec, const PlanOptions& options) {
  if (options.precision != Precision::bf16 || !has_clip(spec.rule)) return;
  if (spec.clip >= 2e-38 && spec.clip <= 3e38) return;
  throw_error(ErrorCode::invalid_spec, "spec.clip",
              str_cat("2e-38 to 3e38 for rule ", to_string(spec.rule), " in precision bf16"),
              str_cat(spec.clip));
}

}  // namespace

void check_product(const char* what, std::initializer_list<std::int64_t> factors) {
  std::int64_t product = 1;
  for (const std::int64_t factor : factors) {
    if (factor == 0) return;
    if (product > max_elements / factor) bad_argument(what, "at most 2^48", "more");
    product *= factor;
  }
}

void check_sizes(const Spec& spec, std::int64_t steps, std::int64_t batch) {
  spec.validate();
  if (steps < 0) bad_argument("steps", "at least 0", str_cat(steps));
  if (batch < 0) bad_argument("batch", "at least 0", str_cat(batch));
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), I = spec.inputs, G = spec.gates();
  // A plan computes sizes for at least one step and one batch element.
  const std::int64_t T = std::max<std::int64_t>(steps, 1), B = std::max<std::int64_t>(batch, 1);
  check_product("size of a trace, batch * presynaptic * neurons", {B, P, N});
  check_product("size of the traces of all steps, steps * batch * presynaptic * neurons", {T, B, P, N});
  check_product("size of a sequence, steps * batch * neurons", {T, B, G, N});
  check_product("size of the input, steps * batch * inputs", {T, B, I});
  check_product("size of w_in, inputs * neurons", {I, G, N});
}

void check_plan(const Spec& spec, const PlanOptions& options) {
  check_sizes(spec, options.steps, options.batch);
  check_clip_on_tape(spec, options);
  if (options.checkpoint_interval < 0) {
    bad_argument("options.checkpoint_interval", "at least 0", str_cat(options.checkpoint_interval));
  }
}

void check_memory(const char* name, const Memory& memory, std::size_t needed) {
  if (memory.data == nullptr && (needed > 0 || memory.bytes > 0)) {
    bad_argument(str_cat(name, ".data"), str_cat(std::max(needed, memory.bytes), " bytes of memory"), "null");
  }
  if (needed == 0) return;
  if (memory.bytes < needed) {
    bad_argument(str_cat(name, ".bytes"), str_cat("at least ", needed), str_cat(memory.bytes));
  }
  if (reinterpret_cast<std::uintptr_t>(memory.data) % 64 != 0) {
    bad_argument(str_cat(name, ".data"), "memory aligned to 64 bytes", str_cat(memory.data));
  }
}

template <class Real>
void check_state(const TensorSizes& sizes, std::int64_t batch, const char* group, const State<Real>& state) {
  for_each_tensor(sizes, 0, batch, state,
                  [&](std::string_view name, const Real* pointer, const std::optional<Shape>& shape) {
                    check_tensor(sizes.spec, group, name, pointer, shape, false);
                  });
}

template <class Real>
void check_forward(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch,
                   const ForwardArgs<Real>& args) {
  check_parameters(sizes, "parameters", args.parameters, true);
  check_inputs(sizes, steps, batch, "inputs", args.inputs, true);
  check_masks(args.masks);
  check_state(sizes, batch, "initial_state", args.initial_state);
  check_state(sizes, batch, "final_state", args.final_state);
  if (args.y == nullptr && steps > 0 && batch > 0 && sizes.N > 0)
    bad_argument("y", "a tensor of shape [T,B,N]", "null");
  if (args.modulation != nullptr && !sizes.spec.has_modulator()) {
    bad_argument("modulation", str_cat("null for rate ", to_string(sizes.spec.rate)), "a tensor");
  }
}

template <class Real>
void check_backward(const TensorSizes& sizes, std::int64_t steps, std::int64_t batch,
                    const BackwardArgs<Real>& args) {
  check_parameters(sizes, "parameters", args.parameters, true);
  check_inputs(sizes, steps, batch, "inputs", args.inputs, true);
  check_masks(args.masks);
  check_state(sizes, batch, "initial_state", args.initial_state);
  check_state(sizes, batch, "dfinal_state", args.dfinal_state);
  check_parameters(sizes, "dparameters", args.dparameters, false);
  check_inputs(sizes, steps, batch, "dinputs", args.dinputs, false);
  check_state(sizes, batch, "dinitial_state", args.dinitial_state);
}

template <class Real>
void check_step(const Spec& spec, std::int64_t batch, const StepArgs<Real>& args) {
  check_parameters(spec, "parameters", args.parameters, true);
  check_inputs(spec, 1, batch, "inputs", args.inputs, true);
  check_masks(args.masks);
  if (args.masks.length != nullptr) bad_argument("masks.length", "null in a single step", "a tensor");
  if (args.y == nullptr && batch > 0) bad_argument("y", "a tensor of shape [B,N]", "null");
  if (args.modulation != nullptr && !spec.has_modulator()) {
    bad_argument("modulation", str_cat("null for rate ", to_string(spec.rate)), "a tensor");
  }
}

void check_labels(const char* name, std::span<const std::int64_t> labels, std::int64_t classes) {
  for (std::size_t row = 0; row < labels.size(); ++row) {
    if (labels[row] < -1 || labels[row] >= classes) {
      bad_argument(str_cat(name, '[', row, ']'), str_cat("-1 to ", classes - 1), str_cat(labels[row]));
    }
  }
}

void check_lengths(std::int64_t steps, std::int64_t batch, const std::int64_t* length) {
  if (length == nullptr) return;
  for (std::int64_t b = 0; b < batch; ++b) {
    if (length[b] < 0 || length[b] > steps) {
      bad_argument(str_cat("masks.length[", b, "]"), str_cat("0 to ", steps), str_cat(length[b]));
    }
  }
}

#define PLASTICITY_INSTANTIATE(Real)                                                                       \
  template void check_state(const TensorSizes&, std::int64_t, const char*, const State<Real>&);            \
  template void check_state(const TensorSizes&, std::int64_t, const char*, const State<const Real>&);      \
  template void check_forward(const TensorSizes&, std::int64_t, std::int64_t, const ForwardArgs<Real>&);   \
  template void check_backward(const TensorSizes&, std::int64_t, std::int64_t, const BackwardArgs<Real>&); \
  template void check_step(const Spec&, std::int64_t, const StepArgs<Real>&);
PLASTICITY_INSTANTIATE(float)
PLASTICITY_INSTANTIATE(double)
PLASTICITY_INSTANTIATE(std::complex<double>)
#undef PLASTICITY_INSTANTIATE

}  // namespace plasticity
