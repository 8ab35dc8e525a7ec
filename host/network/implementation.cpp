#include "network/implementation.hpp"

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "io/spec_metadata.hpp"

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
template <class Element>
Element* input(const Spec& spec, std::int64_t steps, std::int64_t batch, const char* name,
               std::span<Element> view) {
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

}  // namespace

Network::Implementation::Implementation(const Spec& network_spec, const NetworkOptions& network_options)
    : spec(network_spec),
      options(checked_options(network_options)),
      plans{{1, make_plan(1)}},  // throws for bad options before anything is allocated
      parameters(spec, options.name, options.seed, options.device, options.stream),
      state(spec, options.batch, options.device, options.stream) {}

Plan Network::Implementation::make_plan(std::int64_t steps) const {
  return Plan(spec, {.steps = steps,
                     .batch = options.batch,
                     .device = options.device,
                     .precision = options.precision,
                     .checkpoint_interval = options.checkpoint_interval,
                     .memory_budget = options.memory_budget,
                     .execution = options.execution});
}

const Plan& Network::Implementation::plan(std::int64_t steps) {
  if (steps < 0) bad_argument("sequence.steps", "at least 0", str_cat(steps));
  const auto found = plans.find(steps);
  return found != plans.end() ? found->second : plans.emplace(steps, make_plan(steps)).first->second;
}

Inputs<const float> Network::Implementation::inputs_of(const Sequence& sequence) const {
  const std::int64_t T = sequence.steps, B = options.batch;
  return {.x = input(spec, T, B, "x", sequence.x),
          .u = input(spec, T, B, "u", sequence.u),
          .pre = input(spec, T, B, "pre", sequence.pre),
          .rate = input(spec, T, B, "rate", sequence.rate)};
}

Masks<float> Network::Implementation::masks_of(const Sequence& sequence) const {
  const std::int64_t T = sequence.steps, B = options.batch, N = spec.neurons;
  const std::int64_t* length = optional("length", sequence.length, B);
  check_lengths(T, B, length);
  return {.reset = optional("reset", sequence.reset, T * B),
          .length = length,
          .clamp = optional("clamp", sequence.clamp, T * B * N),
          .clamp_value = optional("clamp_value", sequence.clamp_value, T * B * N)};
}

void Network::Implementation::run(Window& window, const Sequence& sequence, bool records) {
  const Plan& p = plan(sequence.steps);
  const std::int64_t T = sequence.steps, B = options.batch, rows = T * B;
  ForwardArgs<float> args;
  args.inputs = inputs_of(sequence);
  args.masks = masks_of(sequence);
  last_modulation = {};
  window.y.resize(static_cast<std::size_t>(rows * spec.neurons));
  window.modulation.resize(spec.has_modulator() ? static_cast<std::size_t>(rows) : 0);
  args.y = window.y.data();
  if (spec.has_modulator()) args.modulation = window.modulation.data();

  Staging staging(options.device, options.stream, window.tensors);
  if (records) staging.own_inputs();  // backward reads them after the caller may have changed them
  stage_inputs(staging, spec, T, B, args.inputs, args.masks);
  staging.write(args.y, rows * spec.neurons);
  staging.write(args.modulation, rows);
  staging.send();
  make_room(scratch, options.device, p.scratch_bytes());
  if (records) make_room(window.tape, options.device, p.tape_bytes());

  args.parameters = parameters.values();
  args.final_state = state.values();
  args.initial_state = as_const(args.final_state);
  p.forward(options.stream, args, records ? window.tape.as<Tape>() : Tape{}, scratch.as<Scratch>());
  state.values_written();
  staging.fetch();
  window.steps = T;
  window.inputs = args.inputs;
  window.masks = args.masks;
  last_modulation = window.modulation;
}

void Network::Implementation::run_backward(const Window& window, std::span<const float> dy,
                                           const SequenceGradients& gradients) {
  const std::int64_t T = window.steps, B = options.batch;
  const Plan& p = plan(T);
  BackwardArgs<float> args;
  args.dy = dy.empty() ? nullptr : dy.data();
  args.dinputs = {.x = input(spec, T, B, "x", gradients.x),
                  .u = input(spec, T, B, "u", gradients.u),
                  .pre = input(spec, T, B, "pre", gradients.pre),
                  .rate = input(spec, T, B, "rate", gradients.rate)};
  args.inputs = window.inputs;
  args.masks = window.masks;
  Staging staging(options.device, options.stream, upstream);
  staging.read(args.dy, static_cast<std::int64_t>(dy.size()));
  staging.write_group(spec, T, B, args.dinputs);
  staging.send();
  make_room(scratch, options.device, p.scratch_bytes());
  if (recorded > 1) args.dinitial_state = state.gradients();  // for the window before this one
  if (chained) args.dfinal_state = as_const(state.gradients());
  args.parameters = parameters.values();
  args.dparameters = parameters.gradients();
  p.backward(options.stream, args, window.tape.as<Tape>(), scratch.as<Scratch>());
  staging.fetch();
  parameters.gradients_written();
}

}  // namespace plasticity
