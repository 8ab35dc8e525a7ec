#include "network/implementation.hpp"

#include <cstdlib>

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "io/file_keys.hpp"
#include "io/safetensors_header.hpp"

namespace plasticity {
namespace {

template <class Element>
Element* checked(const char* name, std::span<Element> view, std::int64_t expected) {
  if (static_cast<std::int64_t>(view.size()) != expected) {
    bad_argument(str_cat("sequence.", name), str_cat(expected, " elements"), str_cat(view.size()));
  }
  return view.data();
}

/// Returns null for an empty view, otherwise the data after checking the size.
template <class Element>
Element* optional(const char* name, std::span<Element> view, std::int64_t expected) {
  return view.empty() ? nullptr : checked(name, view, expected);
}

/// Returns the data of an input after checking its size. Throws if the spec has no such input and the view is
/// not empty.
const float* input(const Spec& spec, std::int64_t steps, std::int64_t batch, const char* name,
                   std::span<const float> view) {
  const std::optional<Shape> shape = input_shape(spec, steps, batch, name);
  if (!shape && !view.empty()) {
    bad_argument(str_cat("sequence.", name),
                 str_cat("an empty view, because the spec has no such tensor (", to_string(spec), ")"),
                 str_cat(view.size(), " elements"));
  }
  return shape ? optional(name, view, shape->elements()) : nullptr;
}

const NetworkOptions& checked_options(const NetworkOptions& options) {
  if (options.precision == Precision::f64) bad_argument("options.precision", "f32 or bf16", "f64");
  return options;
}

bool checks_requested() {
  const char* variable = std::getenv("PLASTICITY_CHECKS");
  const std::string_view value = variable == nullptr ? "" : variable;
  if (value == "on") return true;
  if (!value.empty() && value != "off")
    bad_argument("PLASTICITY_CHECKS", "on or off", str_cat('\'', value, '\''));
  return false;
}

constexpr const char* busy =
    "network: another thread is running a call on it. One thread at a time may use a network; use "
    "Network::share() for a second state on the same parameters";
constexpr const char* busy_parameters =
    "network: another thread is changing the parameters or gradients that this network shares, or reading "
    "them during this change";

}  // namespace

Network::Implementation::Implementation(const Spec& network_spec, const NetworkOptions& network_options,
                                        std::shared_ptr<NetworkParameters> shared)
    : spec(network_spec),
      options(checked_options(network_options)),
      // Throws for bad options before anything is allocated.
      plans{{{1, options.batch}, make_plan(1, options.batch)}},
      parameters(shared != nullptr ? std::move(shared)
                                   : std::make_shared<NetworkParameters>(spec, options.name, options.seed,
                                                                         options.device, options.stream)),
      state(spec, options.batch, options.device, options.stream),
      checks_parameters(checks_requested()) {}

Network::Implementation::Call::Call(Implementation& network, bool writes) : network_(network.gate, busy) {
  Gate& shared = network.parameters->gate;
  if (writes || network.options.device.kind() == DeviceKind::cuda) {
    writes_.emplace(shared, busy_parameters);
  } else {
    reads_.emplace(shared, busy_parameters);
  }
}

Plan Network::Implementation::make_plan(std::int64_t steps, std::int64_t batch) const {
  return Plan(spec, {.steps = steps,
                     .batch = batch,
                     .device = options.device,
                     .precision = options.precision,
                     .checkpoint_interval = options.checkpoint_interval,
                     .memory_budget = options.memory_budget,
                     .execution = options.execution});
}

std::int64_t Network::Implementation::batch_of(const Sequence& sequence) const {
  const std::int64_t B = state.batch();
  if (sequence.batch != 0 && sequence.batch != B) {
    bad_argument("sequence.batch", str_cat(B, ", the batch of the state (reset(B) starts another)"),
                 str_cat(sequence.batch));
  }
  return B;
}

const Plan& Network::Implementation::plan(std::int64_t steps) {
  if (steps < 0) bad_argument("sequence.steps", "at least 0", str_cat(steps));
  const std::pair key(steps, state.batch());
  const auto found = plans.find(key);
  return found != plans.end() ? found->second
                              : plans.emplace(key, make_plan(steps, state.batch())).first->second;
}

Inputs<const float> Network::Implementation::inputs_of(const Sequence& sequence) const {
  const std::int64_t T = sequence.steps, B = state.batch();
  return {.x = input(spec, T, B, "x", sequence.x),
          .u = input(spec, T, B, "u", sequence.u),
          .pre = input(spec, T, B, "pre", sequence.pre),
          .rate = input(spec, T, B, "rate", sequence.rate)};
}

Masks<float> Network::Implementation::masks_of(const Sequence& sequence) const {
  const std::int64_t T = sequence.steps, B = state.batch(), N = spec.neurons;
  const std::int64_t* length = optional("length", sequence.length, B);
  check_lengths(T, B, length);
  return {.reset = optional("reset", sequence.reset, T * B),
          .length = length,
          .clamp = optional("clamp", sequence.clamp, T * B * N),
          .clamp_value = optional("clamp_value", sequence.clamp_value, T * B * N)};
}

State<float> Network::Implementation::state_values() {
  if (!is_stepping) return state.values();
  const State<float> values = state.values();
  plan(1).store(options.stream, values, step_state.as<StepState>());
  is_stepping = false;
  return values;
}

bool Network::Implementation::can_step(const Sequence& sequence) const {
  if (sequence.steps != 1 || !sequence.length.empty() || state.batch() == 0) return false;
  // Kernels of other executions have other bits than those of a single step.
  const Execution execution = plans.at({1, state.batch()}).execution();
  return options.device.kind() == DeviceKind::cpu || execution == Execution::step ||
         execution == Execution::graph;
}

void Network::Implementation::run(Window& window, const Sequence& sequence, bool owns_inputs,
                                  bool writes_tape) {
  const std::int64_t T = sequence.steps, B = batch_of(sequence), rows = T * B;
  const Plan& p = plan(T);
  ForwardArgs<float> args;
  args.inputs = inputs_of(sequence);
  args.masks = masks_of(sequence);
  last_modulation = last_current = {};
  const auto allocate = [](bool exists, std::vector<float>& output, std::int64_t elements) {
    output.resize(exists ? static_cast<std::size_t>(elements) : 0);
    return exists ? output.data() : nullptr;
  };
  Outputs& outputs = window.outputs;
  args.y = allocate(true, outputs.y, rows * spec.neurons);
  args.modulation = allocate(spec.has_modulator(), outputs.modulation, rows);
  args.a = allocate(options.current, outputs.current, rows * spec.neurons);

  Staging staging(options.device, options.stream, window.tensors);
  if (owns_inputs) staging.own_inputs();  // backward reads them after the caller may have changed them
  stage_inputs(staging, spec, T, B, args.inputs, args.masks);
  staging.write(args.y, rows * spec.neurons);
  staging.write(args.modulation, rows);
  staging.write(args.a, rows * spec.neurons);
  staging.send();
  make_room(scratch, options.device, p.scratch_bytes());
  const bool steps = !writes_tape && can_step(sequence);
  if (steps && !is_stepping) make_room(step_state, options.device, p.step_state_bytes());
  DeviceMemory tape;
  if (writes_tape) tape = tapes.take(options.device, p.tape_bytes());

  args.parameters = parameters->values();
  if (steps) {
    if (!is_stepping) p.load(options.stream, as_const(state.values()), step_state.as<StepState>());
    is_stepping = true;
    p.step(options.stream,
           {.parameters = args.parameters,
            .inputs = args.inputs,
            .masks = args.masks,
            .y = args.y,
            .modulation = args.modulation,
            .a = args.a},
           step_state.as<StepState>(), scratch.as<Scratch>());
  } else {
    args.final_state = state_values();
    args.initial_state = as_const(args.final_state);
    p.forward(options.stream, args, tape.as<Tape>(), scratch.as<Scratch>());
  }
  state.values_written();
  staging.fetch();
  window.steps = T;
  window.inputs = args.inputs;
  window.masks = args.masks;
  window.tape = std::move(tape);
  window.has_tape = writes_tape;
  last_modulation = outputs.modulation;
  last_current = outputs.current;
}

std::span<const float> Network::Implementation::infer(const Sequence& sequence) {
  std::swap(inferred.outputs, previous);
  try {
    run(inferred, sequence, /*owns_inputs=*/false, /*writes_tape=*/false);
  } catch (...) {
    std::swap(inferred.outputs, previous);
    throw;
  }
  has_moved = recorded > 0;
  return inferred.outputs.y;
}

void Network::Implementation::reset(std::int64_t batch) {
  if (batch < 0) bad_argument("batch", "at least 0", str_cat(batch));
  if (batch == 0) batch = options.batch;
  if (batch != state.batch()) {
    if (!plans.contains({1, batch})) plans.emplace(std::pair(1, batch), make_plan(1, batch));
    state = CarriedState(spec, batch, options.device, options.stream);
    step_state = {};
  } else {
    state.set_zero();
  }
  is_stepping = false;
  detach();
}

void Network::Implementation::check_no_windows(const char* call) const {
  if (recorded > 0) {
    bad_argument(call, "a network without recorded windows (call backward() for each window, or detach())",
                 str_cat(recorded, " windows"));
  }
}

void Network::Implementation::save_state(io::TensorFile& file) {
  state_values();
  const auto key = [&](std::string_view name) { return str_cat("state.", prefix(), name); };
  for (const auto& member : State<float>::members()) {
    if (state_shape(spec, state.batch(), member.name)) check_new_tensor(file, key(member.name));
  }
  for (const auto& member : State<float>::members()) {
    if (const auto shape = state_shape(spec, state.batch(), member.name)) {
      file.tensors[key(member.name)] = io::make_tensor(
          {shape->size.begin(), shape->size.begin() + shape->rank}, state.host_copy(member.name));
    }
  }
}

void Network::Implementation::load_state(const io::TensorFile& file) {
  check_no_windows("load_state");
  std::vector<std::pair<std::string_view, std::vector<float>>> values;
  std::int64_t batch = -1;
  for (const auto& member : State<float>::members()) {
    if (!state_shape(spec, 1, member.name)) continue;
    const std::string key = str_cat("state.", prefix(), member.name);
    const io::Tensor& stored = file.at(key);
    if (batch < 0 && !stored.shape.empty()) batch = stored.shape[0];
    const Shape shape = *state_shape(spec, std::max<std::int64_t>(batch, 0), member.name);
    const std::vector<std::int64_t> expected(shape.size.begin(), shape.size.begin() + shape.rank);
    if (stored.shape != expected) {
      throw_error(ErrorCode::format, str_cat(file.source, " tensor '", key, "'"),
                  str_cat("shape ", io::shape_text(expected)),
                  str_cat("shape ", io::shape_text(stored.shape)));
    }
    values.emplace_back(member.name, io::to_floats(stored));
  }
  if (batch >= 0) reset(batch);  // a feedforward cell without traces has no state
  for (const auto& [name, tensor] : values) {
    const std::span<float> to = state.on_host(name);
    std::copy(tensor.begin(), tensor.end(), to.begin());
  }
}

}  // namespace plasticity
