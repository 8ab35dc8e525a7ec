#include <algorithm>
#include <atomic>
#include <cstddef>
#include <initializer_list>
#include <utility>

#include "base/throw_error.hpp"
#include "check/arguments.hpp"
#include "check/overlap.hpp"
#include "device/cuda_api.hpp"
#include "network/trainer/implementation.hpp"

// One iteration of a trainer.
namespace plasticity {
namespace {

/// Throws if a tensor of the iteration is in y() or modulation() of the last step, which the iteration
/// overwrites or frees. `outputs` are their memories.
void check_outputs_not_read(const Sequence& sequence, const Objective& objective,
                            std::initializer_list<const DeviceMemory*> outputs) {
  const std::span<const std::int64_t> labels =
      objective.labels ? *objective.labels : std::span<const std::int64_t>();
  const NamedMemory inputs[] = {{"sequence.x", sequence.x},
                                {"sequence.u", sequence.u},
                                {"sequence.pre", sequence.pre},
                                {"sequence.rate", sequence.rate},
                                {"sequence.reset", sequence.reset},
                                {"sequence.length", sequence.length},
                                {"sequence.clamp", sequence.clamp},
                                {"sequence.clamp_value", sequence.clamp_value},
                                {"target", objective.target},
                                {"mask", objective.mask},
                                {"labels", labels}};
  for (const NamedMemory& input : inputs) {
    for (const DeviceMemory* each : outputs) {
      check_no_overlap(input, {{"the outputs of the last step", static_cast<const std::byte*>(each->data()),
                                static_cast<std::int64_t>(each->bytes())}});
    }
  }
}

/// Sets a flag for as long as it lives.
class FlagScope {
 public:
  explicit FlagScope(std::atomic<bool>& flag) : flag_(flag) { flag_ = true; }
  ~FlagScope() { flag_ = false; }
  FlagScope(const FlagScope&) = delete;
  FlagScope& operator=(const FlagScope&) = delete;

 private:
  std::atomic<bool>& flag_;
};

/// Checks the target, the mask and the labels of an iteration of `rows` rows of N outputs.
void check_objective(const Objective& objective, std::int64_t rows, std::int64_t N) {
  const auto check_size = [](const char* name, std::size_t size, std::int64_t expected) {
    if (static_cast<std::int64_t>(size) != expected) {
      bad_argument(name, str_cat(expected, " elements"), str_cat(size));
    }
  };
  if (objective.labels) {
    check_size("labels", objective.labels->size(), rows);
    check_labels("labels", *objective.labels, N);
  }
  if (!objective.on_host() && !objective.labels) check_size("target", objective.target.size(), rows * N);
  if (!objective.mask.empty()) check_size("mask", objective.mask.size(), rows * N);
  if (objective.function != nullptr && !*objective.function) bad_argument("loss", "a function", "none");
}

}  // namespace

/// Enqueues the whole iteration on a stream.
void Trainer::Implementation::enqueue_iteration(const Plan& plan, const Iteration& it, Stream on) const {
  plan.forward(on, it.forward, it.tape, it.scratch);
  if (it.entropy) {
    softmax_cross_entropy(device, on, *it.entropy, it.scratch);
  } else {
    squared_error(device, on, it.error, it.scratch);
  }
  enqueue_backward(plan, it, on);
  enqueue_optimizer_step(it, on);
}

/// Enqueues the backward pass, from gradients of zero.
void Trainer::Implementation::enqueue_backward(const Plan& plan, const Iteration& it, Stream on) const {
  fill_zero(device, on, network->parameters->gradient_data(), network->parameters->gradient_bytes());
  plan.backward(on, it.backward, it.tape, it.scratch);
}

/// Runs the caller's loss, which needs its argument on the host and writes the gradient there.
double Trainer::Implementation::host_loss(const Objective& objective, const Iteration& it) {
  const auto count = static_cast<std::size_t>(it.error.elements);
  const float* const output = objective.of_preactivation ? it.forward.a : it.forward.y;
  const auto loss = [&](std::span<const float> output_or_preactivation, std::span<float> upstream) {
    const FlagScope in_loss(network->in_loss);
    const double value = (*objective.function)(output_or_preactivation, upstream);
    check_network_kept();
    return value;
  };
  if (on_cpu()) {
    std::fill_n(it.error.dy, count, 0.0f);
    return loss({output, count}, {it.error.dy, count});
  }
  std::vector<float> on_host(count), gradient_on_host(count);
  copy(device, stream, on_host.data(), output, count * sizeof(float));
  const double value = loss(on_host, gradient_on_host);
  copy(device, stream, it.error.dy, gradient_on_host.data(), count * sizeof(float));
  return value;
}

/// Runs the iteration with the caller's loss.
double Trainer::Implementation::run_with_host_loss(const Objective& objective, const Plan& plan,
                                                   const Iteration& it) {
  plan.forward(stream, it.forward, it.tape, it.scratch);
  network->state.invalidate_host_copies();
  const double value = host_loss(objective, it);
  enqueue_backward(plan, it, stream);
  enqueue_optimizer_step(it, stream);
  return value;
}

/// Enqueues the whole iteration on the trainer's stream, on a GPU as a graph. The graph is captured again if
/// a pointer changes.
void Trainer::Implementation::enqueue_as_graph(const Plan& plan, const Iteration& it) {
  if (on_cpu()) return enqueue_iteration(plan, it, stream);
  std::uint64_t present = 0;
  LaunchKey key;
  const auto note = [&](const auto* pointer) {
    present = present << 1 | (pointer == nullptr ? 0U : 1U);
    key.add(pointer);
  };
  const auto note_group = [&]<class Group>(const Group& group) {
    for (const auto& member : Group::members()) note(group.*member.pointer);
  };
  note_group(it.forward.parameters);
  note_group(it.forward.inputs);
  note_group(it.forward.initial_state);  // Network::reset() with another batch replaces the state's memory
  note_group(it.forward.final_state);
  note_group(it.backward.dparameters);
  using Pointers = std::initializer_list<const void*>;
  const Masks<float>& masks = it.forward.masks;
  const std::int64_t* const labels = it.entropy ? it.entropy->labels : nullptr;
  for (const void* each : Pointers{masks.reset, masks.length, masks.clamp, masks.clamp_value, it.error.mask,
                                   labels, it.forward.a})
    note(each);
  for (const void* each : Pointers{it.forward.y, it.forward.modulation, it.error.dy, it.error.target,
                                   it.error.loss, it.scales, it.results, it.tape.data, it.scratch.data})
    key.add(each);
  for (const TrainedTensor& tensor : it.trained) key.add(tensor);
  std::unique_ptr<LaunchGraph>& graph = graphs[{plan.options().steps, plan.options().batch, present}];
  if (graph == nullptr) graph = cuda_api()->make_graph(device.index());
  graph->run(key, stream, [&](Stream captured) { enqueue_iteration(plan, it, captured); });
}

/// Returns the iteration's sizes and inputs, after checking all tensors of the caller.
Iteration Trainer::Implementation::checked_iteration(const Sequence& sequence,
                                                     const Objective& objective) const {
  Iteration it;
  it.T = sequence.steps;
  it.B = network->batch_of(sequence);
  it.forward.inputs = network->inputs_of(sequence);
  it.forward.masks = network->masks_of(sequence);
  check_objective(objective, it.T * it.B, network->spec.neurons);
  if (on_cpu()) check_outputs_not_read(sequence, objective, {&y.memory(), &modulation.memory()});
  return it;
}

/// Allocates all memory of the iteration.
void Trainer::Implementation::allocate(const Plan& plan, Iteration& it, bool of_preactivation) {
  const auto rows = static_cast<std::size_t>(it.T * it.B),
             elements = rows * static_cast<std::size_t>(network->spec.neurons);
  make_results();
  y.allocate(device, elements);
  modulation.allocate(device, network->spec.has_modulator() ? rows : 0);
  make_room(gradient, device, elements * sizeof(float));
  if (of_preactivation) make_room(preactivation, device, elements * sizeof(float));
  make_room(tape, device, plan.tape_bytes());
  make_room(network->scratch, device, std::max(plan.scratch_bytes(), training_scratch_bytes(device)));
  it.backward.dparameters = network->parameters->gradients();
}

/// Sets the arguments of the loss. Those of the caller are still in host memory.
void Trainer::Implementation::set_loss(Iteration& it, const Objective& objective) const {
  const std::int64_t rows = it.T * it.B, N = network->spec.neurons;
  it.error = {.elements = rows * N,
              .y = y.data(),
              .target = objective.target.data(),
              .mask = objective.mask.empty() ? nullptr : objective.mask.data(),
              .reduction = reduction,
              .dy = static_cast<float*>(gradient.data()),
              .loss = &device_results()->loss,
              .batch = it.B,
              .steps = it.T};
  if (!objective.labels) return;
  it.entropy = {.rows = rows,
                .classes = N,
                .logits = static_cast<float*>(preactivation.data()),
                .labels = objective.labels->data(),
                .dlogits = it.error.dy,
                .loss = it.error.loss,
                .batch = it.B};
}

/// Uploads the inputs of the iteration, and points to them on the device.
void Trainer::Implementation::stage(Iteration& it) {
  Staging staging(device, stream, inputs, upload);
  staging.read(it.scales, 1);
  stage_inputs(staging, network->spec, it.T, it.B, it.forward.inputs, it.forward.masks);
  staging.read(it.error.target, it.error.elements);
  staging.read(it.error.mask, it.error.elements);
  if (it.entropy) staging.read(it.entropy->labels, it.entropy->rows);
  staging.send();
}

/// Points to the other tensors on the device, after uploading the caller's changes of parameters and state.
void Trainer::Implementation::set_pointers(Iteration& it, bool of_preactivation) {
  it.results = device_results();
  it.tape = tape.as<Tape>();
  it.scratch = network->scratch.as<Scratch>();
  it.forward.parameters = network->parameters->values();
  it.forward.final_state = network->state_values();
  it.forward.initial_state = as_const(it.forward.final_state);
  it.forward.y = y.data();
  if (network->spec.has_modulator()) it.forward.modulation = modulation.data();
  if (of_preactivation) it.forward.a = static_cast<float*>(preactivation.data());
  it.backward.parameters = it.forward.parameters;
  it.backward.inputs = it.forward.inputs;
  it.backward.masks = it.forward.masks;
  (of_preactivation ? it.backward.da : it.backward.dy) = it.error.dy;
}

/// Runs the iteration. Returns the loss if the host has it, otherwise it is in the results on the device.
std::optional<double> Trainer::Implementation::run(const Objective& objective, const Plan& plan,
                                                   const Iteration& it) {
  network->last_modulation = network->last_preactivation = {};
  y.set_written();
  modulation.set_written();
  if (has_ranks()) return run_on_ranks(objective, plan, it);
  if (objective.on_host()) return run_with_host_loss(objective, plan, it);
  enqueue_as_graph(plan, it);
  return std::nullopt;
}

double Trainer::Implementation::step(const Sequence& sequence, const Objective& objective) {
  if (network == nullptr)
    bad_argument("step", "a trainer of one network, or step(iteration)",
                 str_cat("a list of ", modules.size(), modules.size() == 1 ? " module" : " modules"));
  const std::shared_ptr<Network::Implementation> held = hold_network();
  const Network::Implementation::Call call(*network, ParameterAccess::write);
  const UseGuard::Exclusive step(guard, in_use);
  network->check_no_windows("step");
  const Plan& plan = network->plan(sequence.steps);
  Iteration it = checked_iteration(sequence, objective);

  // Allocate all memory before anything changes.
  allocate(plan, it, objective.of_preactivation);
  MomentsByName new_moments;
  collect_trained(it, new_moments);

  set_loss(it, objective);
  if (has_ranks()) {
    const double divisor =
        synchronize_ranks(&objective, local_divisor(objective, it.error, network->spec.neurons), it);
    const bool divides = objective.labels || (!objective.on_host() && reduction != Reduction::sum);
    it.divisor = divides ? divisor : 1;
    moments.merge(new_moments);  // which now have the values of rank 0
  }
  const UpdateScales scales = update_scales(options.update, steps + 1);
  it.scales = &scales;
  stage(it);
  set_pointers(it, objective.of_preactivation);

  const std::optional<double> loss = run(objective, plan, it);
  network->state.invalidate_host_copies();
  invalidate_host_copies(it);
  moments.merge(new_moments);
  return finish_step(it, loss);
}

}  // namespace plasticity
