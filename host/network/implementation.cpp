#include "network/implementation.hpp"

#include <algorithm>
#include <utility>

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "device/host_memory.hpp"
#include "io/file_keys.hpp"
#include "io/safetensors_header.hpp"
#include "io/spec_metadata.hpp"
#include "network/checks_requested.hpp"

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

/// Returns the data of an input of `rows` rows after checking its size. Throws if the spec has no such input
/// and the view is not empty.
template <class Real>
const Real* input(const Spec& spec, std::int64_t rows, const std::optional<std::int64_t>& width,
                  const char* name, std::span<const Real> view) {
  if (width) return optional(name, view, rows * *width);
  if (!view.empty()) {
    bad_argument(str_cat("sequence.", name),
                 str_cat("an empty view, because the spec has no such tensor (", to_string(spec), ")",
                         spec.cell == Cell::feedforward ? "; the input of a feedforward cell is pre" : ""),
                 str_cat(view.size(), " elements"));
  }
  return nullptr;
}

std::optional<std::int64_t> width_of(const Spec& spec, const char* name) {
  const std::optional<Shape> shape = input_shape(spec, 1, 1, name);
  return shape ? std::optional(shape->elements()) : std::nullopt;
}

template <class Real>
NetworkOptions checked_options(NetworkOptions options) {
  if constexpr (std::is_same_v<Real, double>) {
    if (options.precision == Precision::bf16)
      bad_argument("options.precision", "f64 (or f32, the default) for a NetworkF64", "bf16");
    options.precision = Precision::f64;
  } else if (options.precision == Precision::f64) {
    bad_argument("options.precision", "f32 or bf16 (a NetworkF64 runs in f64)", "f64");
  }
  return options;
}

constexpr const char* busy =
    "network: another thread is running a call on it. One thread at a time may use a network; use "
    "Network::share() for a second state on the same parameters";
constexpr const char* in_loss_function =
    "network: its Trainer is running a loss function, which must not call the network; take views of "
    "parameters before the step, or use Trainer::step(iteration)";
constexpr const char* busy_parameters =
    "network: another call is changing the parameters or gradients that this network shares, or reading them "
    "during this change";

}  // namespace

template <class Real>
NetworkImplementation<Real>::NetworkImplementation(const Spec& network_spec,
                                                   const NetworkOptions& network_options,
                                                   std::shared_ptr<NetworkParameters<Real>> shared)
    : spec(network_spec),
      options(checked_options<Real>(network_options)),
      // Throws for bad options before anything is allocated.
      plans{{{1, options.batch, true}, make_plan(1, options.batch, true)}},
      parameters(shared != nullptr ? std::move(shared)
                                   : std::make_shared<NetworkParameters<Real>>(
                                         spec, options.name, options.seed, options.device, options.stream)),
      state(spec, options.batch, options.device, options.stream),
      widths{width_of(spec, "x"), width_of(spec, "u"), width_of(spec, "pre"), width_of(spec, "rate")},
      checks_parameters(checks_requested()) {}

template <class Real>
NetworkImplementation<Real>::Call::Call(NetworkImplementation& network, ParameterAccess access)
    : network_(network.guard, network.in_loss ? in_loss_function : busy) {
  UseGuard& shared = network.parameters->guard;
  if (access == ParameterAccess::write || network.options.device.kind() == DeviceKind::cuda) {
    writes_.emplace(shared, busy_parameters);
  } else {
    reads_.emplace(shared, busy_parameters);
  }
}

template <class Real>
Plan NetworkImplementation<Real>::make_plan(std::int64_t steps, std::int64_t batch, bool with_tape) const {
  return Plan(spec, {.steps = steps,
                     .batch = batch,
                     .device = options.device,
                     .precision = options.precision,
                     .checkpoint_interval = options.checkpoint_interval,
                     .memory_budget = with_tape ? options.memory_budget : 0,
                     .execution = options.execution});
}

template <class Real>
std::int64_t NetworkImplementation<Real>::batch_of(const BasicSequence<Real>& sequence) const {
  const std::int64_t B = state.batch();
  if (sequence.batch != 0 && sequence.batch != B) {
    bad_argument("sequence.batch", str_cat(B, ", the batch of the state (reset(B) starts another)"),
                 str_cat(sequence.batch));
  }
  return B;
}

template <class Real>
const Plan& NetworkImplementation<Real>::plan(std::int64_t steps, bool with_tape) {
  if (steps < 0) bad_argument("sequence.steps", "at least 0", str_cat(steps));
  with_tape = with_tape || options.memory_budget == 0;
  const std::tuple key(steps, state.batch(), with_tape);
  const auto found = plans.find(key);
  return found != plans.end() ? found->second
                              : plans.emplace(key, make_plan(steps, state.batch(), with_tape)).first->second;
}

template <class Real>
Inputs<const Real> NetworkImplementation<Real>::inputs_of(const BasicSequence<Real>& sequence) const {
  const std::int64_t rows = sequence.steps * state.batch();
  return {.x = input(spec, rows, widths.x, "x", sequence.x),
          .u = input(spec, rows, widths.u, "u", sequence.u),
          .pre = input(spec, rows, widths.pre, "pre", sequence.pre),
          .rate = input(spec, rows, widths.rate, "rate", sequence.rate)};
}

template <class Real>
Masks<Real> NetworkImplementation<Real>::masks_of(const BasicSequence<Real>& sequence) const {
  const std::int64_t T = sequence.steps, B = state.batch(), N = spec.neurons;
  const std::int64_t* length = optional("length", sequence.length, B);
  check_lengths(T, B, length);
  return {.reset = optional("reset", sequence.reset, T * B),
          .length = length,
          .clamp = optional("clamp", sequence.clamp, T * B * N),
          .clamp_value = optional("clamp_value", sequence.clamp_value, T * B * N)};
}

template <class Real>
State<Real> NetworkImplementation<Real>::state_values() {
  if (!is_stepping) return state.values();
  const State<Real> values = state.values();
  plan(1).store(options.stream, values, step_state.as<StepState>());
  is_stepping = false;
  return values;
}

template <class Real>
bool NetworkImplementation<Real>::can_step(const BasicSequence<Real>& sequence, const Plan& p) const {
  if (sequence.steps != 1 || !sequence.length.empty() || state.batch() == 0) return false;
  // Kernels of other executions have other bits than those of a single step.
  const Execution execution = p.execution();
  return options.device.kind() == DeviceKind::cpu || execution == Execution::step ||
         execution == Execution::graph;
}

template <class Real>
void NetworkImplementation<Real>::allocate_outputs(Outputs<Real>& outputs, std::int64_t rows) const {
  const auto allocate = [](std::vector<Real>& output, bool exists, std::int64_t elements) {
    resize_host(output, exists ? elements : 0);
  };
  allocate(outputs.y, true, rows * spec.neurons);
  allocate(outputs.modulation, spec.has_modulator(), rows);
  allocate(outputs.preactivation, options.preactivation, rows * spec.neurons);
}

namespace {

template <class Real>
Real* data_of(std::vector<Real>& output) {
  return output.empty() ? nullptr : output.data();
}

/// Points the arguments to the outputs, and registers these.
template <class Real, class Args>
void stage_outputs(Staging& staging, Outputs<Real>& outputs, Args& args) {
  args.y = outputs.y.data();
  args.modulation = data_of(outputs.modulation);
  args.a = data_of(outputs.preactivation);
  staging.write(args.y, static_cast<std::int64_t>(outputs.y.size()));
  staging.write(args.modulation, static_cast<std::int64_t>(outputs.modulation.size()));
  staging.write(args.a, static_cast<std::int64_t>(outputs.preactivation.size()));
}

}  // namespace

template <class Real>
void NetworkImplementation<Real>::run(Window<Real>& window, const BasicSequence<Real>& sequence,
                                      const Plan& p, bool owns_inputs, bool writes_tape) {
  const std::int64_t T = sequence.steps, B = batch_of(sequence);
  ForwardArgs<Real> args;
  args.inputs = inputs_of(sequence);
  args.masks = masks_of(sequence);
  last_modulation = last_preactivation = {};
  allocate_outputs(window.outputs, T * B);

  Staging staging(options.device, options.stream, window.tensors);
  if (owns_inputs) staging.own_inputs();  // backward reads them after the caller may have changed them
  stage_inputs(staging, spec, T, B, args.inputs, args.masks);
  stage_outputs(staging, window.outputs, args);
  staging.send();
  make_room(scratch, options.device, p.scratch_bytes());
  DeviceMemory tape;
  if (writes_tape) tape = windows.take_tape(options.device, p.tape_bytes());

  args.parameters = parameters->values();
  args.final_state = state_values();
  args.initial_state = as_const(args.final_state);
  p.forward(options.stream, args, tape.as<Tape>(), scratch.as<Scratch>());
  state.invalidate_host_copies();
  staging.fetch();
  window.steps = T;
  window.inputs = args.inputs;
  window.masks = args.masks;
  window.tape = std::move(tape);
  window.has_tape = writes_tape;
  last_modulation = window.outputs.modulation;
  last_preactivation = window.outputs.preactivation;
}

template <class Real>
void NetworkImplementation<Real>::run_step(Window<Real>& window, const BasicSequence<Real>& sequence,
                                           const Plan& p) {
  const std::int64_t B = batch_of(sequence);
  StepArgs<Real> args;
  args.inputs = inputs_of(sequence);
  args.masks = masks_of(sequence);
  last_modulation = last_preactivation = {};
  allocate_outputs(window.outputs, B);

  Staging staging(options.device, options.stream, window.tensors);
  // On the CPU the step reads the inputs in place.
  if (options.device.kind() == DeviceKind::cuda) stage_inputs(staging, spec, 1, B, args.inputs, args.masks);
  stage_outputs(staging, window.outputs, args);
  staging.send();
  make_room(scratch, options.device, p.scratch_bytes());
  if (!is_stepping) make_room(step_state, options.device, p.step_state_bytes());

  args.parameters = parameters->values();
  if (!is_stepping) p.load(options.stream, as_const(state.values()), step_state.as<StepState>());
  is_stepping = true;
  p.step(options.stream, args, step_state.as<StepState>(), scratch.as<Scratch>());
  state.invalidate_host_copies();
  staging.fetch();
  last_modulation = window.outputs.modulation;
  last_preactivation = window.outputs.preactivation;
}

template <class Real>
std::span<const Real> NetworkImplementation<Real>::infer(const BasicSequence<Real>& sequence) {
  const auto last = std::pair(last_modulation, last_preactivation);
  std::swap(inferred.outputs, previous);
  try {
    const Plan& p = plan(sequence.steps, /*with_tape=*/false);
    if (can_step(sequence, p)) {
      run_step(inferred, sequence, p);
    } else {
      run(inferred, sequence, p, /*owns_inputs=*/false, /*writes_tape=*/false);
    }
  } catch (...) {
    std::swap(inferred.outputs, previous);
    std::tie(last_modulation, last_preactivation) = last;
    throw;
  }
  windows.set_state_moved();
  return inferred.outputs.y;
}

template <class Real>
void NetworkImplementation<Real>::reset(std::int64_t batch) {
  adopt(zero_state(batch_after_reset(batch)));
}

template <class Real>
std::int64_t NetworkImplementation<Real>::batch_after_reset(std::int64_t batch) const {
  if (batch < 0) bad_argument("batch", "at least 0", str_cat(batch));
  return batch == 0 ? options.batch : batch;
}

template <class Real>
auto NetworkImplementation<Real>::zero_state(std::int64_t batch) -> NextState {
  if (batch == state.batch()) return {.batch = batch};
  const std::tuple key(std::int64_t{1}, batch, true);
  if (!plans.contains(key)) plans.emplace(key, make_plan(1, batch, true));
  return {.batch = batch, .zero = CarriedState<Real>(spec, batch, options.device, options.stream)};
}

template <class Real>
void NetworkImplementation<Real>::adopt(NextState next) {
  if (next.zero) {
    state = std::move(*next.zero);
    step_state = {};
  } else {
    state.set_zero();
  }
  for (auto& [name, tensor] : next.values) state.set(name, std::move(tensor));
  is_stepping = false;
  detach();
}

template <class Real>
void NetworkImplementation<Real>::check_no_windows(const char* call) const {
  if (windows.count() > 0) {
    bad_argument(call, "a network without recorded windows (call backward() for each window, or detach())",
                 str_cat(windows.count(), windows.count() == 1 ? " window" : " windows"));
  }
}

template <class Real>
void NetworkImplementation<Real>::save_state(io::TensorFile& file) {
  state_values();
  io::TensorFile part;
  for (const auto& member : State<Real>::members()) {
    if (const auto shape = state_shape(spec, state.batch(), member.name)) {
      part.tensors[str_cat("state.", prefix(), member.name)] = io::make_tensor(
          {shape->size.begin(), shape->size.begin() + shape->rank}, state.host_copy(member.name));
    }
  }
  add_to_file(std::move(part), file);
}

template <class Real>
auto NetworkImplementation<Real>::read_state(const io::TensorFile& file) -> NextState {
  check_no_windows("load_state");
  std::vector<std::pair<std::string_view, std::vector<Real>>> values;
  std::int64_t batch = -1;
  for (const auto& member : State<Real>::members()) {
    if (!state_shape(spec, 1, member.name)) continue;
    const std::string key = str_cat("state.", prefix(), member.name);
    const io::Tensor& stored = file.at(key);
    if (batch < 0 && !stored.shape.empty()) batch = stored.shape[0];
    const Shape shape = *state_shape(spec, std::max<std::int64_t>(batch, 0), member.name);
    const std::vector<std::int64_t> expected(shape.size.begin(), shape.size.begin() + shape.rank);
    if (stored.shape != expected) {
      throw_error(ErrorCode::format, place_in(file, str_cat("tensor '", key, "'")),
                  str_cat("shape ", io::shape_text(expected)),
                  str_cat("shape ", io::shape_text(stored.shape)));
    }
    values.emplace_back(member.name, to_reals<Real>(stored));
  }
  NextState next = zero_state(batch < 0 ? state.batch() : batch);  // a cell without state has no batch
  next.values = std::move(values);
  return next;
}

template <class Real>
auto NetworkImplementation<Real>::read_parameters(const io::TensorFile& file) const ->
    typename NetworkParameters<Real>::Values {
  check_no_windows("load");
  Spec stored = read_spec(file, prefix());
  if (!has_clip(stored.rule)) stored.clip = spec.clip;  // such a rule does not use it
  if (stored != spec) throw_error(ErrorCode::format, name_of(file), to_string(spec), to_string(stored));
  return parameters->read(file);
}

template struct NetworkImplementation<float>;
template struct NetworkImplementation<double>;

}  // namespace plasticity
