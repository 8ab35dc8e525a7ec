#include "plasticity/network.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "fail.hpp"
#include "network/by_name.hpp"
#include "network/carried_state.hpp"
#include "network/parameters.hpp"
#include "plasticity/plan.hpp"
#include "range.hpp"
#include "spec_metadata.hpp"
#include "staging.hpp"
#include "validate.hpp"

namespace plasticity {
namespace {

template <class Element>
Element* checked(const char* name, std::span<Element> view, std::int64_t expected) {
  if (static_cast<std::int64_t>(view.size()) != expected) {
    bad_argument(text("sequence.", name), text(expected, " elements"), text(view.size()));
  }
  return view.data();
}

/// An absent tensor is null; one that is there must have its size.
template <class Element>
Element* optional(const char* name, std::span<Element> view, std::int64_t expected) {
  return view.empty() ? nullptr : checked(name, view, expected);
}

/// The view's data if the spec has such an input, in its size; what it does not have must be absent.
template <class Element>
Element* input(const Spec& spec, std::int64_t steps, std::int64_t batch, const char* name,
               std::span<Element> view) {
  const std::optional<Shape> shape = input_shape(spec, steps, batch, name);
  if (!shape && !view.empty()) {
    bad_argument(text("sequence.", name), text("nothing for a network without it (", to_string(spec), ")"),
                 text(view.size(), " elements"));
  }
  return shape ? optional(name, view, shape->elements()) : nullptr;
}

/// A recorded forward pass: its tensors and its tape on the device, its answers on the host.
struct Window {
  std::int64_t steps = 0;
  DeviceMemory tensors, tape;
  Inputs<const float> inputs;
  Masks<float> masks;
  std::vector<float> y, modulation;
};

State<const float> as_const(const State<float>& pointers) {
  return {pointers.y, pointers.c, pointers.hebb, pointers.eligibility};
}

}  // namespace

struct Network::Implementation {
  Spec spec;
  NetworkOptions options;
  std::map<std::int64_t, Plan> plans;  // by T
  std::vector<Parameter> parameters;
  CarriedState state;
  DeviceMemory parameter_tensors, gradient_tensors, scratch;
  std::vector<Window>
      windows;  // the first `recorded` are in use; the others keep their memory for the next time
  std::size_t recorded = 0;
  bool chained = false;  // the state's gradient comes from a window that was taken back
  Window inferred;
  std::span<const float> last_modulation;

  Implementation(const Spec& wanted, const NetworkOptions& with)
      : spec(wanted),
        options(checked_options(with)),
        plans{{1, make_plan(1)}},  // refuses what is impossible before anything is allocated
        parameters(initial_parameters(spec, options.seed)),
        state(spec, options.batch, options.device) {}

  static const NetworkOptions& checked_options(const NetworkOptions& options) {
    if (options.precision == Precision::f64) bad_argument("options.precision", "f32 or bf16", "f64");
    return options;
  }

  Plan make_plan(std::int64_t steps) const {
    return Plan(spec, {.steps = steps,
                       .batch = options.batch,
                       .device = options.device,
                       .precision = options.precision,
                       .checkpoint_interval = options.checkpoint_interval,
                       .memory_budget = options.memory_budget,
                       .execution = options.execution});
  }

  const Plan& plan(std::int64_t steps) {
    const auto found = plans.find(steps);
    return found != plans.end() ? found->second : plans.emplace(steps, make_plan(steps)).first->second;
  }

  /// The parameters as they are now, on the device.
  Parameters<const float> current_parameters() {
    Parameters<const float> pointers;
    Staging staging(options.device, parameter_tensors);
    for (const Parameter& parameter : parameters) {
      pointers.*parameter.value_member = parameter.value.data();
      staging.read(pointers.*parameter.value_member, parameter.shape.elements());
    }
    staging.send();
    return pointers;
  }

  Inputs<const float> inputs_of(const Sequence& sequence) const {
    const std::int64_t T = sequence.steps, B = options.batch;
    return {.x = input(spec, T, B, "x", sequence.x),
            .u = input(spec, T, B, "u", sequence.u),
            .pre = input(spec, T, B, "pre", sequence.pre),
            .rate = input(spec, T, B, "rate", sequence.rate)};
  }

  Masks<float> masks_of(const Sequence& sequence) const {
    const std::int64_t T = sequence.steps, B = options.batch, N = spec.neurons;
    const std::int64_t* length = optional("length", sequence.length, B);
    check_lengths(T, B, length);
    return {.reset = optional("reset", sequence.reset, T * B),
            .length = length,
            .clamp = optional("clamp", sequence.clamp, T * B * N),
            .clamp_value = optional("clamp_value", sequence.clamp_value, T * B * N)};
  }

  /// All memory is there before the state changes.
  void run(Window& window, const Sequence& sequence, bool records) {
    if (sequence.steps < 0) bad_argument("sequence.steps", "at least 0", text(sequence.steps));
    const std::int64_t T = sequence.steps, B = options.batch, rows = T * B;
    const Plan& p = plan(T);
    ForwardArgs<float> args;
    args.inputs = inputs_of(sequence);
    args.masks = masks_of(sequence);
    last_modulation = {};
    window.y.resize(static_cast<std::size_t>(rows * spec.neurons));
    window.modulation.resize(spec.has_modulator() ? static_cast<std::size_t>(rows) : 0);
    args.y = window.y.data();
    if (spec.has_modulator()) args.modulation = window.modulation.data();

    args.parameters = current_parameters();
    Staging staging(options.device, window.tensors);
    stage_inputs(staging, spec, T, B, args.inputs, args.masks);
    staging.write(args.y, rows * spec.neurons);
    staging.write(args.modulation, rows);
    staging.send();
    make_room(scratch, options.device, p.scratch_bytes());
    if (records) make_room(window.tape, options.device, p.tape_bytes());

    args.final_state = state.values();
    args.initial_state = as_const(args.final_state);
    p.forward({}, args, records ? window.tape.as<Tape>() : Tape{}, scratch.as<Scratch>());
    state.values_written();
    staging.fetch();
    window.steps = T;
    window.inputs = args.inputs;
    window.masks = args.masks;
    last_modulation = window.modulation;
  }

  /// All memory is there before a gradient changes.
  void run_backward(const Window& window, std::span<const float> dy, const SequenceGradients& gradients) {
    const std::int64_t T = window.steps, B = options.batch;
    const Plan& p = plan(T);
    BackwardArgs<float> args;
    args.dy = dy.empty() ? nullptr : dy.data();
    args.dinputs = {.x = input(spec, T, B, "x", gradients.x),
                    .u = input(spec, T, B, "u", gradients.u),
                    .pre = input(spec, T, B, "pre", gradients.pre),
                    .rate = input(spec, T, B, "rate", gradients.rate)};
    args.parameters = current_parameters();
    args.inputs = window.inputs;
    args.masks = window.masks;
    Staging staging(options.device, gradient_tensors);
    staging.read(args.dy, static_cast<std::int64_t>(dy.size()));
    staging.write_group(args.dinputs, [&](std::string_view name) { return input_shape(spec, T, B, name); });
    for (Parameter& parameter : parameters) {
      if (!parameter.trainable) continue;
      args.dparameters.*parameter.gradient_member = parameter.gradient.data();
      staging.update(args.dparameters.*parameter.gradient_member, parameter.shape.elements());
    }
    staging.send();
    make_room(scratch, options.device, p.scratch_bytes());
    if (recorded > 1) args.dinitial_state = state.gradients();  // for the window before this one
    if (chained) args.dfinal_state = as_const(state.gradients());
    p.backward({}, args, window.tape.as<Tape>(), scratch.as<Scratch>());
    staging.fetch();
  }
};

Network::Network(const Spec& spec, const NetworkOptions& options)
    : implementation_(std::make_unique<Implementation>(spec, options)) {}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;

const Spec& Network::spec() const { return implementation_->spec; }
const NetworkOptions& Network::options() const { return implementation_->options; }

std::span<const float> Network::forward(const Sequence& sequence) {
  const Range range("plasticity::Network::forward");
  Implementation& self = *implementation_;
  if (self.chained && self.recorded > 0) {
    bad_argument("forward", "backward for every window, or detach(), before new steps are recorded",
                 text(self.recorded, " windows left"));
  }
  if (self.windows.size() == self.recorded) self.windows.emplace_back();
  Window& window = self.windows[self.recorded];
  self.run(window, sequence, true);
  ++self.recorded;
  self.chained = false;
  return window.y;
}

std::span<const float> Network::infer(const Sequence& sequence) {
  const Range range("plasticity::Network::infer");
  implementation_->run(implementation_->inferred, sequence, false);
  return implementation_->inferred.y;
}

std::span<const float> Network::modulation() const { return implementation_->last_modulation; }

void Network::backward(std::span<const float> dy, const SequenceGradients& gradients) {
  const Range range("plasticity::Network::backward");
  Implementation& self = *implementation_;
  if (self.recorded == 0) bad_argument("backward", "a window recorded by forward", "none");
  const Window& window = self.windows[self.recorded - 1];
  if (!dy.empty() && dy.size() != window.y.size()) {
    bad_argument("dy", text(window.y.size(), " elements"), text(dy.size()));
  }
  self.run_backward(window, dy, gradients);
  --self.recorded;
  self.chained = self.recorded > 0;
}

std::int64_t Network::windows() const { return static_cast<std::int64_t>(implementation_->recorded); }

void Network::reset() {
  detach();
  implementation_->state.set_zero();
}

void Network::detach() {
  implementation_->recorded = 0;
  implementation_->chained = false;
}

void Network::zero_gradients() {
  for (auto& tensor : implementation_->parameters)
    std::fill(tensor.gradient.begin(), tensor.gradient.end(), 0.0f);
}

std::vector<ParameterView> Network::parameters() {
  std::vector<ParameterView> views;
  for (auto& tensor : implementation_->parameters) {
    if (tensor.trainable)
      views.push_back({std::string(tensor.name), tensor.shape, tensor.value, tensor.gradient});
  }
  return views;
}

std::span<float> Network::parameter(std::string_view name) {
  return by_name(implementation_->parameters, name).value;
}

void Network::set_trainable(std::string_view name, bool trainable) {
  by_name(implementation_->parameters, name).trainable = trainable;
}

std::span<float> Network::state(std::string_view name) { return implementation_->state.on_host(name); }

void Network::save(io::TensorFile& file) const {
  save_parameters(implementation_->parameters, file);
  write_spec(spec(), file);
}

void Network::load(const io::TensorFile& file) {
  const Spec theirs = read_spec(file);
  if (theirs != spec()) fail(ErrorCode::format, file.source, to_string(spec()), to_string(theirs));
  load_parameters(implementation_->parameters, file);
}

Spec load_spec(const io::TensorFile& file) { return read_spec(file); }

}  // namespace plasticity
