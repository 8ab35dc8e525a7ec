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

/// The moments of one parameter, in device memory. A moment that the method does not use is empty.
struct DeviceMoments {
  DeviceMemory first{}, second{};
  std::int64_t elements;

  DeviceMoments(const UpdateOptions& update, Device device, std::int64_t count) : elements(count) {
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(float);
    if (uses_first_moment(update)) first = DeviceMemory(device, bytes);
    if (uses_second_moment(update)) second = DeviceMemory(device, bytes);
  }
};
using MomentsByName = std::map<std::string, DeviceMoments, std::less<>>;

/// Identifies the launches of an iteration: T, B, and one bit per optional tensor. Two iterations with the
/// same key launch the same kernels and differ only in pointers.
using GraphKey = std::tuple<std::int64_t, std::int64_t, std::uint64_t>;

/// The results of one iteration that the host reads.
struct Results {
  double loss;
  std::int32_t not_finite;  // index of a trained tensor, or -1
};

/// The tensors and memory of one iteration.
struct Iteration {
  ForwardArgs<float> forward;
  BackwardArgs<float> backward;
  SquaredErrorArgs error;
  std::vector<std::string_view> names;  // of the trained tensors
  std::vector<TrainedTensor> trained;
  std::vector<ClippedGroup> clipped;
  const UpdateScales* scales = nullptr;
  std::int32_t* not_finite = nullptr;
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

/// Checks the options and returns those of the optimizer.
OptimizerOptions optimizer_of(const TrainerOptions& options) {
  if (!(options.clip_norm >= 0) || !std::isfinite(options.clip_norm)) {
    bad_argument("options.clip_norm", "a finite norm of at least 0", str_cat(options.clip_norm));
  }
  if (options.reduction < Reduction::mean || options.reduction > Reduction::relative) {
    bad_argument("options.reduction", "a value of its enumeration",
                 str_cat(static_cast<int>(options.reduction)));
  }
  OptimizerOptions optimizer = options.optimizer.value_or(optimizer_of(options.adam));
  if (!options.optimizer) optimizer.clip_norm = options.clip_norm;
  return checked(optimizer);
}

}  // namespace

struct Trainer::Implementation {
  Network::Implementation& network;
  OptimizerOptions options;
  Reduction reduction;
  std::int64_t steps = 0, skipped = 0;
  MomentsByName moments{};
  DeviceMemory inputs{}, tape{}, results{}, y{}, dy{}, modulation{};
  PageLocked upload{};
  std::map<GraphKey, std::unique_ptr<LaunchGraph>> graphs{};

  std::size_t y_elements = 0, modulation_elements = 0;  // of the last step
  std::vector<float> host_y{}, host_modulation{};       // used on a GPU only
  bool y_is_on_host = false, modulation_is_on_host = false;

  Device device() const { return network.options.device; }
  Stream stream() const { return network.options.stream; }
  bool on_cpu() const { return device().kind() == DeviceKind::cpu; }

  double step(const Sequence& sequence, std::span<const float> target, std::span<const std::uint8_t> mask,
              const LossFunction* loss);
  double run_with(const LossFunction& loss, const Plan& plan, const Iteration& it);
  void add_moments(Iteration& it, MomentsByName& fresh) const;
  void enqueue_iteration(const Plan& plan, const Iteration& it, Stream on) const;
  void enqueue_training(const Plan& plan, const Iteration& it, Stream on) const;
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
      found = fresh.try_emplace(std::string(name), options.update, device(), tensor.elements).first;
      for (const DeviceMemory* each : {&found->second.first, &found->second.second}) {
        if (each->bytes() > 0) fill_zero(device(), stream(), each->data(), each->bytes());
      }
    }
    it.names.push_back(name);
    TrainedTensor& trained = it.trained.emplace_back(tensor);
    trained.first = static_cast<float*>(found->second.first.data());
    trained.second = static_cast<float*>(found->second.second.data());
  }
  apply_groups(options, it.names, it.trained);
  it.clipped = clipped_groups(options, it.names, it.trained);
}

/// Enqueues the whole iteration on a stream.
void Trainer::Implementation::enqueue_iteration(const Plan& plan, const Iteration& it, Stream on) const {
  plan.forward(on, it.forward, it.tape, it.scratch);
  squared_error(device(), on, it.error, it.scratch);
  enqueue_training(plan, it, on);
}

/// Enqueues the part of the iteration after the loss.
void Trainer::Implementation::enqueue_training(const Plan& plan, const Iteration& it, Stream on) const {
  fill_zero(device(), on, network.parameters->gradient_data(), network.parameters->gradient_bytes());
  plan.backward(on, it.backward, it.tape, it.scratch);
  find_not_finite(device(), on, it.trained, it.not_finite);
  for (const ClippedGroup& group : it.clipped)
    clip_gradients(device(), on, group.tensors, group.max_norm, nullptr, it.scratch);
  update_step(device(), on, it.trained, options.update, it.scales, it.not_finite);
}

/// Runs the iteration with the caller's loss, which needs y on the host and returns dy there.
double Trainer::Implementation::run_with(const LossFunction& loss, const Plan& plan, const Iteration& it) {
  plan.forward(stream(), it.forward, it.tape, it.scratch);
  network.state.values_written();
  const auto count = static_cast<std::size_t>(it.error.elements);
  if (on_cpu()) {
    std::fill_n(it.error.dy, count, 0.0f);
    const double value = loss({it.error.y, count}, {it.error.dy, count});
    enqueue_training(plan, it, stream());
    return value;
  }
  std::vector<float> output(count), gradient(count);
  copy(device(), stream(), output.data(), it.error.y, count * sizeof(float));
  const double value = loss(output, gradient);
  copy(device(), stream(), it.error.dy, gradient.data(), count * sizeof(float));
  enqueue_training(plan, it, stream());
  return value;
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
                                   it.error.loss, it.scales, it.not_finite, it.tape.data, it.scratch.data})
    key.add(each);
  for (const TrainedTensor& tensor : it.trained) key.add(tensor);
  std::unique_ptr<LaunchGraph>& graph = graphs[{plan.options().steps, plan.options().batch, present}];
  if (graph == nullptr) graph = cuda_api()->make_graph(device().index());
  graph->run(key, stream(), [&](Stream captured) { enqueue_iteration(plan, it, captured); });
}

double Trainer::Implementation::step(const Sequence& sequence, std::span<const float> target,
                                     std::span<const std::uint8_t> mask, const LossFunction* loss) {
  const Network::Implementation::Call call(network, true);
  network.check_no_windows("step");
  const Plan& plan = network.plan(sequence.steps);
  const std::int64_t T = sequence.steps, B = network.batch_of(sequence), rows = T * B,
                     elements = rows * network.spec.neurons;
  const auto count = static_cast<std::size_t>(elements);
  Iteration it;
  it.forward.inputs = network.inputs_of(sequence);
  it.forward.masks = network.masks_of(sequence);
  if (loss == nullptr && target.size() != count)
    bad_argument("target", str_cat(count, " elements"), str_cat(target.size()));
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
  make_room(results, device(), sizeof(Results));
  make_room(y, device(), count * sizeof(float));
  make_room(dy, device(), count * sizeof(float));
  if (network.spec.has_modulator())
    make_room(modulation, device(), static_cast<std::size_t>(rows) * sizeof(float));
  make_room(tape, device(), plan.tape_bytes());
  make_room(network.scratch, device(), std::max(plan.scratch_bytes(), training_scratch_bytes(device())));
  it.backward.dparameters = network.parameters->gradients();
  MomentsByName fresh;
  add_moments(it, fresh);
  if (steps == 0) check_group_names(options, it.names);

  auto* const there = static_cast<Results*>(results.data());
  it.not_finite = &there->not_finite;
  const UpdateScales scales = update_scales(options.update, steps + 1);
  it.scales = &scales;
  it.error = {.elements = elements,
              .y = static_cast<float*>(y.data()),
              .target = target.data(),
              .mask = mask.empty() ? nullptr : mask.data(),
              .reduction = reduction,
              .dy = static_cast<float*>(dy.data()),
              .loss = &there->loss};
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

  network.last_modulation = {};
  y_elements = count;
  modulation_elements = network.spec.has_modulator() ? static_cast<std::size_t>(rows) : 0;
  Results here{};
  if (loss != nullptr) here.loss = run_with(*loss, plan, it);
  if (loss == nullptr) launch(plan, it);
  network.state.values_written();
  network.parameters->step_written();
  moments.merge(fresh);
  if (loss == nullptr) {
    copy(device(), stream(), &here, there, sizeof(Results));
  } else {
    copy(device(), stream(), &here.not_finite, &there->not_finite, sizeof(here.not_finite));
  }
  if (here.not_finite >= 0 && options.not_finite == NotFinite::fail) {
    throw_not_finite(it.names[static_cast<std::size_t>(here.not_finite)]);
  }
  ++(here.not_finite >= 0 ? skipped : steps);
  return here.loss;
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
    : implementation_(std::unique_ptr<Implementation>(new Implementation{.network = *network.implementation_,
                                                                         .options = optimizer_of(options),
                                                                         .reduction = options.reduction}),
                      "trainer") {}
Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

double Trainer::step(const Sequence& sequence, std::span<const float> target,
                     std::span<const std::uint8_t> mask) {
  const ProfilerRange range("plasticity::Trainer::step");
  return implementation_->step(sequence, target, mask, nullptr);
}

double Trainer::step_with(const Sequence& sequence, const LossFunction& loss) {
  const ProfilerRange range("plasticity::Trainer::step_with");
  if (!loss) bad_argument("loss", "a function", "none");
  return implementation_->step(sequence, {}, {}, &loss);
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

double Trainer::learning_rate() const { return implementation_->options.update.learning_rate; }

void Trainer::set_learning_rate(double learning_rate) {
  check_learning_rate(learning_rate);
  implementation_->options.update.learning_rate = learning_rate;
}

std::int64_t Trainer::steps() const { return implementation_->steps; }
std::int64_t Trainer::skipped() const { return implementation_->skipped; }

void Trainer::save(io::TensorFile& file) const {
  const Implementation& self = *implementation_;
  OptimizerRecord record{.steps = self.steps};
  const auto download = [&](const DeviceMemory& memory, std::vector<float>& host) {
    host.resize(memory.bytes() / sizeof(float));
    if (!host.empty()) copy(self.device(), self.stream(), host.data(), memory.data(), memory.bytes());
  };
  for (const auto& [name, on_device] : self.moments) {
    HostMoments& on_host = record.moments[name];
    download(on_device.first, on_host.first);
    download(on_device.second, on_host.second);
  }
  write_record(self.options.update, record, file);
}

void Trainer::load(const io::TensorFile& file) {
  Implementation& self = *implementation_;
  const UpdateOptions& update = self.options.update;
  const OptimizerRecord record = read_record(update, file);
  const std::string source = file.source.empty() ? "file" : file.source;
  MomentsByName moments;
  for (const auto& [name, on_host] : record.moments) {
    const std::optional<Shape> shape = self.network.parameters->shape_of(name);
    const std::string tensor = str_cat(source, ": moments of '", name, "'");
    if (!shape)
      throw_error(ErrorCode::format, tensor, "the name of a parameter of the network",
                  str_cat('\'', name, '\''));
    const auto elements = static_cast<std::size_t>(shape->elements());
    DeviceMoments& on_device =
        moments.try_emplace(name, update, self.device(), shape->elements()).first->second;
    const auto upload = [&](const std::vector<float>& host, DeviceMemory& memory) {
      if (memory.bytes() == 0) return;
      if (host.size() != elements) {
        throw_error(ErrorCode::format, tensor, str_cat(elements, " elements"), str_cat(host.size()));
      }
      copy(self.device(), self.stream(), memory.data(), host.data(), memory.bytes());
    };
    upload(on_host.first, on_device.first);
    upload(on_host.second, on_device.second);
  }
  self.moments = std::move(moments);
  self.steps = record.steps;
  if (record.learning_rate) self.options.update.learning_rate = *record.learning_rate;
}

}  // namespace plasticity
