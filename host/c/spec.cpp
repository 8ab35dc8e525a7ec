#include "c/spec.hpp"

#include <algorithm>
#include <string>

#include "c/status.hpp"
#include "plasticity/device_memory.hpp"

namespace plasticity::c {
namespace {

// The enumerators have the same values in both interfaces.
template <class Enum>
constexpr bool same(int number, Enum value) {
  return number == static_cast<int>(value);
}
static_assert(same(PLASTICITY_CELL_FEEDFORWARD, Cell::feedforward) && same(PLASTICITY_CELL_RNN, Cell::rnn) &&
              same(PLASTICITY_CELL_LSTM, Cell::lstm));
static_assert(same(PLASTICITY_RULE_DECAY, Rule::decay) && same(PLASTICITY_RULE_OJA, Rule::oja) &&
              same(PLASTICITY_RULE_HARD_CLIP, Rule::hard_clip) &&
              same(PLASTICITY_RULE_SOFT_CLIP, Rule::soft_clip) &&
              same(PLASTICITY_RULE_ADDITIVE, Rule::additive) &&
              same(PLASTICITY_RULE_READ_CLIP, Rule::read_clip));
static_assert(same(PLASTICITY_RATE_FIXED, Rate::fixed) && same(PLASTICITY_RATE_MODULATED, Rate::modulated) &&
              same(PLASTICITY_RATE_FAN_OUT, Rate::fan_out) && same(PLASTICITY_RATE_EXTERNAL, Rate::external));
static_assert(same(PLASTICITY_ELIGIBILITY_NONE, Eligibility::none) &&
              same(PLASTICITY_ELIGIBILITY_BEFORE, Eligibility::before) &&
              same(PLASTICITY_ELIGIBILITY_AFTER, Eligibility::after));
static_assert(same(PLASTICITY_ALPHA_SCALAR, Granularity::scalar) &&
              same(PLASTICITY_ALPHA_POST, Granularity::post) &&
              same(PLASTICITY_ALPHA_CONNECTION, Granularity::connection) &&
              same(PLASTICITY_ALPHA_NONE, Granularity::none));
static_assert(same(PLASTICITY_ACTIVATION_TANH, Activation::tanh) &&
              same(PLASTICITY_ACTIVATION_SIGMOID, Activation::sigmoid) &&
              same(PLASTICITY_ACTIVATION_RELU, Activation::relu) &&
              same(PLASTICITY_ACTIVATION_IDENTITY, Activation::identity) &&
              same(PLASTICITY_ACTIVATION_SOFTMAX, Activation::softmax));
static_assert(same(PLASTICITY_MODULATOR_HIDDEN, ModulatorSource::hidden) &&
              same(PLASTICITY_MODULATOR_CELL, ModulatorSource::cell));
static_assert(same(PLASTICITY_F64, Precision::f64) && same(PLASTICITY_F32, Precision::f32) &&
              same(PLASTICITY_BF16, Precision::bf16));
static_assert(same(PLASTICITY_EXECUTION_AUTOMATIC, Execution::automatic) &&
              same(PLASTICITY_EXECUTION_STEP, Execution::step) &&
              same(PLASTICITY_EXECUTION_GRAPH, Execution::graph) &&
              same(PLASTICITY_EXECUTION_CTA, Execution::cta) &&
              same(PLASTICITY_EXECUTION_CLUSTER, Execution::cluster) &&
              same(PLASTICITY_EXECUTION_GRID, Execution::grid));

/// Converts an enumerator of the C interface. Throws Error(invalid_argument) if the number is not an
/// enumerator.
template <class Enum>
Enum checked(int number, const char* argument) {
  const int last = static_cast<int>(names<Enum>().size()) - 1;
  if (number < 0 || number > last) {
    bad_argument(argument, str_cat("a value of its enumeration (0 to ", last, ")"), str_cat(number));
  }
  return static_cast<Enum>(number);
}

/// The groups of tensors by their names in the argument structs.
enum class Group { parameters, inputs, state };

std::optional<Group> group_of(std::string_view group) {
  if (group == "parameters" || group == "dparameters") return Group::parameters;
  if (group == "inputs" || group == "dinputs") return Group::inputs;
  for (const std::string_view each :
       {"state", "initial_state", "final_state", "dinitial_state", "dfinal_state"}) {
    if (group == each) return Group::state;
  }
  return std::nullopt;
}

template <class Members>
bool has_member(const Members& members, std::string_view name) {
  return std::any_of(members.begin(), members.end(), [&](const auto& each) { return each.name == name; });
}

}  // namespace

std::optional<Shape> shape_of(const Spec& spec, std::int64_t steps, std::int64_t batch,
                              std::string_view full_name) {
  const Shape sequence{{steps, batch, spec.neurons}, 3};
  for (const std::string_view each : {"y", "dy", "a", "da", "masks.clamp", "masks.clamp_value"}) {
    if (full_name == each) return sequence;
  }
  if (full_name == "masks.reset") return Shape{{steps, batch}, 2};
  if (full_name == "masks.length") return Shape{{batch}, 1};
  if (full_name == "modulation") {
    return spec.has_modulator() ? std::optional(Shape{{steps, batch}, 2}) : std::nullopt;
  }
  const std::size_t dot = full_name.find('.');
  const std::string_view name = full_name.substr(std::min(dot, full_name.size() - 1) + 1);
  const std::optional<Group> group = group_of(full_name.substr(0, dot));
  if (group == Group::parameters && has_member(Parameters<float>::members(), name)) {
    return parameter_shape(spec, name);
  }
  if (group == Group::inputs && has_member(Inputs<float>::members(), name)) {
    return input_shape(spec, steps, batch, name);
  }
  if (group == Group::state && has_member(State<float>::members(), name)) {
    return state_shape(spec, batch, name);
  }
  bad_argument("name", "the name of a tensor, such as parameters.w", str_cat('\'', full_name, '\''));
}

Spec to_spec(const plasticity_spec& spec) {
  return {.cell = static_cast<Cell>(spec.cell),
          .rule = static_cast<Rule>(spec.rule),
          .rate = static_cast<Rate>(spec.rate),
          .eligibility = static_cast<Eligibility>(spec.eligibility),
          .alpha = static_cast<Granularity>(spec.alpha),
          .activation = static_cast<Activation>(spec.activation),
          .modulator_source = static_cast<ModulatorSource>(spec.modulator_source),
          .inputs = spec.inputs,
          .neurons = spec.neurons,
          .clip = spec.clip};
}

plasticity_spec from_spec(const Spec& spec) {
  return {.cell = static_cast<plasticity_cell>(spec.cell),
          .rule = static_cast<plasticity_rule>(spec.rule),
          .rate = static_cast<plasticity_rate>(spec.rate),
          .eligibility = static_cast<plasticity_eligibility>(spec.eligibility),
          .alpha = static_cast<plasticity_granularity>(spec.alpha),
          .activation = static_cast<plasticity_activation>(spec.activation),
          .modulator_source = static_cast<plasticity_modulator_source>(spec.modulator_source),
          .inputs = spec.inputs,
          .neurons = spec.neurons,
          .clip = spec.clip};
}

Precision to_precision(plasticity_precision precision) {
  return checked<Precision>(static_cast<int>(precision), "options.precision");
}

Execution to_execution(plasticity_execution execution) {
  return checked<Execution>(static_cast<int>(execution), "options.execution");
}

Device to_device(plasticity_device device, std::int32_t threads, const char* name) {
  if (device.kind == PLASTICITY_CPU) {
    if (device.index != 0) bad_argument(str_cat(name, ".index"), "0 on the CPU", str_cat(device.index));
    return Device::cpu(threads);
  }
  if (device.kind == PLASTICITY_CUDA) return Device::cuda(device.index);
  bad_argument(str_cat(name, ".kind"),
               str_cat(+PLASTICITY_CPU, " (the CPU) or ", +PLASTICITY_CUDA, " (CUDA)"), str_cat(device.kind));
}

plasticity_device from_device(Device device) {
  if (device.kind() == DeviceKind::cpu) return {PLASTICITY_CPU, 0};
  return {PLASTICITY_CUDA, device.index()};
}

}  // namespace plasticity::c

using namespace plasticity;
using c::guarded, c::not_null;

void plasticity_spec_init(plasticity_spec* spec) {
  if (spec != nullptr) *spec = c::from_spec(Spec{});
}

plasticity_status plasticity_spec_validate(const plasticity_spec* spec) {
  return guarded([&] { c::to_spec(not_null(spec, "spec")).validate(); });
}

plasticity_status plasticity_device_best(plasticity_device* device) {
  return guarded([&] { not_null(device, "device") = c::from_device(Device::best()); });
}

plasticity_status plasticity_device_check(plasticity_device device) {
  return guarded([&] { (void)c::to_device(device, 1, "device"); });
}

const char* plasticity_cuda_unavailable_reason(void) {
  thread_local std::string reason;
  try {
    reason = cuda_unavailable_reason();
  } catch (...) {
    return "the reason is not known: out of memory";
  }
  return reason.c_str();  // NOLINT(clang-analyzer-cplusplus.InnerPointer): it lives as long as the thread
}

plasticity_status plasticity_fill_zero(plasticity_device device, void* stream, void* data, size_t bytes) {
  return guarded([&] {
    const Device on = c::to_device(device, 1, "device");
    if (bytes > 0) (void)not_null(static_cast<std::byte*>(data), "data");
    fill_zero(on, Stream{static_cast<CUstream_st*>(stream)}, data, bytes);
  });
}

plasticity_status plasticity_spec_shape(const plasticity_spec* spec, int64_t steps, int64_t batch,
                                        const char* name, int64_t shape[PLASTICITY_MAX_AXES], int32_t* ndim) {
  return guarded([&] {
    const Spec converted = c::to_spec(not_null(spec, "spec"));
    converted.validate();
    if (steps < 0) bad_argument("steps", "at least 0", str_cat(steps));
    if (batch < 0) bad_argument("batch", "at least 0", str_cat(batch));
    const std::optional<Shape> found = c::shape_of(converted, steps, batch, &not_null(name, "name"));
    std::int64_t* const sizes = &not_null(shape, "shape");
    not_null(ndim, "ndim") = found ? found->rank : 0;
    if (found) std::copy_n(found->size.begin(), found->rank, sizes);
  });
}
