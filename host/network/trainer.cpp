#include "plasticity/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <map>
#include <tuple>
#include <utility>

#include "base/throw_error.hpp"
#include "device/cuda_api.hpp"
#include "device/launch_graph.hpp"
#include "device/profiler_range.hpp"
#include "network/adam.hpp"
#include "network/implementation.hpp"

namespace plasticity {
namespace {

/// Adam's moments of one parameter, in device memory.
struct DeviceMoments {
  DeviceMemory first, second;
  std::int64_t elements;

  DeviceMoments(Device device, std::int64_t count)
      : first(device, static_cast<std::size_t>(count) * sizeof(float)),
        second(device, static_cast<std::size_t>(count) * sizeof(float)),
        elements(count) {}
};
using MomentsByName = std::map<std::string, DeviceMoments, std::less<>>;

/// Identifies the launches of an iteration: T, B, and one bit per optional tensor. Two iterations with the
/// same key launch the same kernels and differ only in pointers.
using GraphKey = std::tuple<std::int64_t, std::int64_t, std::uint64_t>;

/// The tensors and memory of one iteration.
struct Iteration {
  ForwardArgs<float> forward;
  BackwardArgs<float> backward;
  SquaredErrorArgs error;
  std::vector<TrainedTensor> trained;
  const AdamScales* scales = nullptr;
  Tape tape;
  Scratch scratch;
};

/// Throws if `input` overlaps the outputs, which the iteration writes before it reads `input`.
template <class T>
void check_overlap_with_outputs(const char* name, std::span<const T> input, std::span<const float> y) {
  const std::less<const void*> before;
  if (input.empty() || y.empty()) return;
  if (before(input.data(), y.data() + y.size()) && before(y.data(), input.data() + input.size())) {
    throw Error(ErrorCode::invalid_argument, str_cat(name, ": overlaps the outputs"));
  }
}

const TrainerOptions& checked(const TrainerOptions& options) {
  check_adam_options(options.adam);
  if (!(options.clip_norm >= 0) || !std::isfinite(options.clip_norm)) {
    bad_argument("options.clip_norm", "a finite norm of at least 0", str_cat(options.clip_norm));
  }
  if (options.reduction < Reduction::mean || options.reduction > Reduction::relative) {
    bad_argument("options.reduction", "a value of its enumeration",
                 str_cat(static_cast<int>(options.reduction)));
  }
  return options;
}

}  // namespace

struct Trainer::Implementation {
  Network::Implementation& network;
  TrainerOptions options;
  std::int64_t steps = 0;
  MomentsByName moments{};
  DeviceMemory inputs{}, tape{}, loss{}, y{}, dy{}, modulation{};
  PageLocked upload{};
  std::map<GraphKey, std::unique_ptr<LaunchGraph>> graphs{};

  std::size_t y_elements = 0, modulation_elements = 0;  // of the last step
  std::vector<float> host_y{}, host_modulation{};       // used on a GPU only
  bool y_is_on_host = false, modulation_is_on_host = false;

  Device device() const { return network.options.device; }
  Stream stream() const { return network.options.stream; }
  bool on_cpu() const { return device().kind() == DeviceKind::cpu; }

  double step(const Sequence& sequence, std::span<const float> target, std::span<const std::uint8_t> mask);
  void add_moments(Iteration& it, MomentsByName& fresh) const;
  void enqueue_iteration(const Plan& plan, const Iteration& it, Stream on) const;
  void launch(const Plan& plan, const Iteration& it);
  std::span<const float> host_copy(const DeviceMemory& memory, std::size_t elements, std::vector<float>& host,
                                   bool& is_on_host) const;
};

/// Lists the trainable tensors with their moments. Moments that do not exist yet are created in `fresh`, as
/// zeros.
void Trainer::Implementation::add_moments(Iteration& it, MomentsByName& fresh) const {
  for (const auto& [name, tensor] : network.parameters->trained()) {
    auto found = moments.find(name);
    if (found == moments.end()) {
      found = fresh.try_emplace(std::string(name), device(), tensor.elements).first;
      for (const DeviceMemory* each : {&found->second.first, &found->second.second})
        fill_zero(device(), stream(), each->data(), each->bytes());
    }
    TrainedTensor& trained = it.trained.emplace_back(tensor);
    trained.first = static_cast<float*>(found->second.first.data());
    trained.second = static_cast<float*>(found->second.second.data());
  }
}

/// Enqueues the whole iteration on a stream.
void Trainer::Implementation::enqueue_iteration(const Plan& plan, const Iteration& it, Stream on) const {
  plan.forward(on, it.forward, it.tape, it.scratch);
  squared_error(device(), on, it.error, it.scratch);
  fill_zero(device(), on, network.parameters->gradient_data(), network.parameters->gradient_bytes());
  plan.backward(on, it.backward, it.tape, it.scratch);
  if (options.clip_norm > 0) clip_gradients(device(), on, it.trained, options.clip_norm, nullptr, it.scratch);
  adam_step(device(), on, it.trained, options.adam, it.scales);
}

void Trainer::Implementation::launch(const Plan& plan, const Iteration& it) {
  if (on_cpu()) return enqueue_iteration(plan, it, stream());
  std::uint64_t present = 0;
  LaunchKey key;
  const auto note = [&](const auto* pointer) {
    present = present << 1 | (pointer == nullptr ? 0U : 1U);
    key.add(pointer);
  };
  const auto note_group = [&]<class Group>(const Group& group) {
    for (const auto& member : Group::members()) note(group.*member.pointer);
  };
  note_group(it.forward.inputs);
  note_group(it.backward.dparameters);
  using Pointers = std::initializer_list<const void*>;
  const Masks<float>& masks = it.forward.masks;
  for (const void* each : Pointers{masks.reset, masks.length, masks.clamp, masks.clamp_value, it.error.mask})
    note(each);
  for (const void* each : Pointers{it.forward.y, it.forward.modulation, it.error.dy, it.error.target,
                                   it.error.loss, it.scales, it.tape.data, it.scratch.data})
    key.add(each);
  for (const TrainedTensor& tensor : it.trained) key.add(tensor);
  std::unique_ptr<LaunchGraph>& graph = graphs[{plan.options().steps, plan.options().batch, present}];
  if (graph == nullptr) graph = cuda_api()->make_graph(device().index());
  graph->run(key, stream(), [&](Stream captured) { enqueue_iteration(plan, it, captured); });
}

double Trainer::Implementation::step(const Sequence& sequence, std::span<const float> target,
                                     std::span<const std::uint8_t> mask) {
  const Network::Implementation::Call call(network, true);
  network.check_no_windows("step");
  const Plan& plan = network.plan(sequence.steps);
  const std::int64_t T = sequence.steps, B = network.batch_of(sequence), rows = T * B,
                     elements = rows * network.spec.neurons;
  const auto count = static_cast<std::size_t>(elements);
  Iteration it;
  it.forward.inputs = network.inputs_of(sequence);
  it.forward.masks = network.masks_of(sequence);
  if (target.size() != count) bad_argument("target", str_cat(count, " elements"), str_cat(target.size()));
  if (!mask.empty() && mask.size() != count)
    bad_argument("mask", str_cat(count, " elements"), str_cat(mask.size()));
  if (on_cpu()) {
    const std::span<const float> last{static_cast<const float*>(y.data()), y.bytes() / sizeof(float)};
    check_overlap_with_outputs("target", target, last);
    check_overlap_with_outputs("mask", mask, last);
  }

  // Allocate all memory before anything changes.
  y_elements = modulation_elements = 0;
  y_is_on_host = modulation_is_on_host = false;
  make_room(loss, device(), sizeof(double));
  make_room(y, device(), count * sizeof(float));
  make_room(dy, device(), count * sizeof(float));
  if (network.spec.has_modulator())
    make_room(modulation, device(), static_cast<std::size_t>(rows) * sizeof(float));
  make_room(tape, device(), plan.tape_bytes());
  make_room(network.scratch, device(), std::max(plan.scratch_bytes(), training_scratch_bytes(device())));
  it.backward.dparameters = network.parameters->gradients();
  MomentsByName fresh;
  add_moments(it, fresh);

  const AdamScales scales = adam_scales(options.adam, steps + 1);
  it.scales = &scales;
  it.error = {.elements = elements,
              .y = static_cast<float*>(y.data()),
              .target = target.data(),
              .mask = mask.empty() ? nullptr : mask.data(),
              .reduction = options.reduction,
              .dy = static_cast<float*>(dy.data()),
              .loss = static_cast<double*>(loss.data())};
  Staging staging(device(), stream(), inputs, upload);
  staging.read(it.scales, 1);
  stage_inputs(staging, network.spec, T, B, it.forward.inputs, it.forward.masks);
  staging.read(it.error.target, elements);
  staging.read(it.error.mask, elements);
  staging.send();

  it.tape = tape.as<Tape>();
  it.scratch = network.scratch.as<Scratch>();
  it.forward.parameters = network.parameters->values();
  it.forward.final_state = network.state_values();
  it.forward.initial_state = as_const(it.forward.final_state);
  it.forward.y = static_cast<float*>(y.data());
  if (network.spec.has_modulator()) it.forward.modulation = static_cast<float*>(modulation.data());
  it.backward.parameters = it.forward.parameters;
  it.backward.inputs = it.forward.inputs;
  it.backward.masks = it.forward.masks;
  it.backward.dy = it.error.dy;

  launch(plan, it);
  network.state.values_written();
  network.parameters->step_written();
  network.last_modulation = {};
  moments.merge(fresh);
  ++steps;
  y_elements = count;
  modulation_elements = network.spec.has_modulator() ? static_cast<std::size_t>(rows) : 0;
  double result = 0;
  copy(device(), stream(), &result, loss.data(), sizeof(double));
  return result;
}

/// Returns a device tensor in host memory. On a GPU the first call after a step downloads it to `host`.
std::span<const float> Trainer::Implementation::host_copy(const DeviceMemory& memory, std::size_t elements,
                                                          std::vector<float>& host, bool& is_on_host) const {
  if (on_cpu()) return {static_cast<const float*>(memory.data()), elements};
  if (!is_on_host) {
    host.resize(elements);
    copy(device(), stream(), host.data(), memory.data(), elements * sizeof(float));
    is_on_host = true;
  }
  return host;
}

Trainer::Trainer(Network& network, const TrainerOptions& options)
    : implementation_(new Implementation{.network = *network.implementation_, .options = checked(options)}) {}
Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

double Trainer::step(const Sequence& sequence, std::span<const float> target,
                     std::span<const std::uint8_t> mask) {
  const ProfilerRange range("plasticity::Trainer::step");
  return implementation_->step(sequence, target, mask);
}

std::span<const float> Trainer::y() {
  Implementation& self = *implementation_;
  return self.host_copy(self.y, self.y_elements, self.host_y, self.y_is_on_host);
}

std::span<const float> Trainer::modulation() {
  Implementation& self = *implementation_;
  return self.host_copy(self.modulation, self.modulation_elements, self.host_modulation,
                        self.modulation_is_on_host);
}

double Trainer::learning_rate() const { return implementation_->options.adam.learning_rate; }

void Trainer::set_learning_rate(double learning_rate) {
  check_learning_rate(learning_rate);
  implementation_->options.adam.learning_rate = learning_rate;
}

std::int64_t Trainer::steps() const { return implementation_->steps; }

void Trainer::save(io::TensorFile& file) const {
  const Implementation& self = *implementation_;
  AdamRecord record{.steps = self.steps};
  for (const auto& [name, on_device] : self.moments) {
    HostMoments& on_host = record.moments[name];
    on_host.first.resize(static_cast<std::size_t>(on_device.elements));
    on_host.second.resize(on_host.first.size());
    copy(self.device(), self.stream(), on_host.first.data(), on_device.first.data(), on_device.first.bytes());
    copy(self.device(), self.stream(), on_host.second.data(), on_device.second.data(),
         on_device.second.bytes());
  }
  write_adam(record, file);
}

void Trainer::load(const io::TensorFile& file) {
  Implementation& self = *implementation_;
  const AdamRecord record = read_adam(file);
  MomentsByName moments;
  for (const auto& [name, on_host] : record.moments) {
    const std::optional<Shape> shape = self.network.parameters->shape_of(name);
    const std::string tensor = str_cat(file.source, " tensor 'adam.", name, ".m'");
    if (!shape)
      throw_error(ErrorCode::format, tensor, "the name of a parameter of the network",
                  str_cat('\'', name, '\''));
    const auto elements = static_cast<std::size_t>(shape->elements());
    if (on_host.first.size() != elements) {
      throw_error(ErrorCode::format, tensor, str_cat(elements, " elements"), str_cat(on_host.first.size()));
    }
    DeviceMoments& on_device = moments.try_emplace(name, self.device(), shape->elements()).first->second;
    copy(self.device(), self.stream(), on_device.first.data(), on_host.first.data(), on_device.first.bytes());
    copy(self.device(), self.stream(), on_device.second.data(), on_host.second.data(),
         on_device.second.bytes());
  }
  self.moments = std::move(moments);
  self.steps = record.steps;
}

}  // namespace plasticity
