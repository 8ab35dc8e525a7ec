#include "network/trainer/implementation.hpp"

#include <cmath>
#include <tuple>

#include "base/throw_error.hpp"
#include "device/profiler_range.hpp"
#include "io/file_keys.hpp"
#include "network/optimizer_record.hpp"

namespace plasticity {
namespace {

bool are_defaults(const AdamOptions& adam) {
  const auto fields = [](const AdamOptions& of) {
    return std::tuple(of.learning_rate, of.beta1, of.beta2, of.epsilon, of.not_finite);
  };
  return fields(adam) == fields({});
}

/// Checks the options and returns those of the optimizer.
OptimizerOptions optimizer_options_of(const TrainerOptions& options) {
  if (!(options.clip_norm >= 0) || !std::isfinite(options.clip_norm)) {
    bad_argument("options.clip_norm", "a finite norm of at least 0", str_cat(options.clip_norm));
  }
  if (options.reduction < Reduction::mean || options.reduction > Reduction::relative) {
    bad_argument("options.reduction", "a value of its enumeration",
                 str_cat(static_cast<int>(options.reduction)));
  }
  if (options.optimizer) {
    if (options.clip_norm != 0) {
      bad_argument("options.clip_norm", "0, since options.optimizer has its own", str_cat(options.clip_norm));
    }
    if (!are_defaults(options.adam)) {
      bad_argument("options.adam", "its defaults, since options.optimizer replaces it", "other values");
    }
    return checked(*options.optimizer);
  }
  OptimizerOptions optimizer = optimizer_options_of(options.adam);
  optimizer.clip_norm = options.clip_norm;
  return checked(optimizer);
}

}  // namespace

Trainer::Trainer(Network& network, const TrainerOptions& options)
    : implementation_(
          std::unique_ptr<Implementation>(new Implementation{.network = &*network.implementation_,
                                                             .life = network.implementation_.hold(),
                                                             .modules = {},
                                                             .device = network.options().device,
                                                             .stream = network.options().stream,
                                                             .options = optimizer_options_of(options),
                                                             .reduction = options.reduction,
                                                             .communicator = options.communicator}),
          "trainer") {
  const Network::Implementation::Call call(*implementation_->network, ParameterAccess::read);
  implementation_->check_groups();
}
Trainer::Trainer(std::vector<Module> modules, const TrainerOptions& options)
    : implementation_(
          std::unique_ptr<Implementation>(new Implementation{.network = nullptr,
                                                             .life = {},
                                                             .modules = std::move(modules),
                                                             .device = Device::cpu(1),
                                                             .stream = {},
                                                             .options = optimizer_options_of(options),
                                                             .reduction = options.reduction,
                                                             .communicator = options.communicator}),
          "trainer") {
  if (implementation_->modules.empty()) bad_argument("modules", "at least one module", "none");
  implementation_->check_groups();  // and the modules
}
Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;
Trainer& Trainer::operator=(Trainer&&) noexcept = default;

double Trainer::step(const Sequence& sequence, std::span<const float> target,
                     std::span<const std::uint8_t> mask) {
  const ProfilerRange range("plasticity::Trainer::step");
  return implementation_.hold()->step(sequence, {.target = target, .mask = mask});
}

double Trainer::step_with(const Sequence& sequence, const LossFunction& loss) {
  const ProfilerRange range("plasticity::Trainer::step_with");
  return implementation_.hold()->step(sequence, {.function = &loss});
}

double Trainer::step_on_preactivation(const Sequence& sequence, const LossFunction& loss) {
  const ProfilerRange range("plasticity::Trainer::step_on_preactivation");
  return implementation_.hold()->step(sequence, {.function = &loss, .of_preactivation = true});
}

double Trainer::step_labels(const Sequence& sequence, std::span<const std::int64_t> labels) {
  const ProfilerRange range("plasticity::Trainer::step_labels");
  return implementation_.hold()->step(sequence, {.labels = labels, .of_preactivation = true});
}

double Trainer::step(const IterationFunction& iteration) {
  const ProfilerRange range("plasticity::Trainer::step");
  return implementation_.hold()->step(iteration);
}

std::span<const float> Trainer::y() {
  Implementation& self = *implementation_;
  const UseGuard::Exclusive call(self.guard, Implementation::in_use);
  return self.y.on_host(self.device, self.stream);
}

std::span<const float> Trainer::modulation() {
  Implementation& self = *implementation_;
  const UseGuard::Exclusive call(self.guard, Implementation::in_use);
  return self.modulation.on_host(self.device, self.stream);
}

double Trainer::learning_rate() const { return implementation_->options.update.learning_rate; }

void Trainer::set_learning_rate(double learning_rate) {
  check_learning_rate(learning_rate);
  implementation_->options.update.learning_rate = learning_rate;
}

std::int64_t Trainer::steps() const { return implementation_->steps; }
std::int64_t Trainer::skipped() const { return implementation_->skipped; }
double Trainer::gradient_norm() const { return implementation_->gradient_norm; }

void Trainer::save(io::TensorFile& file) const {
  const Implementation& self = *implementation_;
  const UseGuard::Exclusive call(self.guard, Implementation::in_use);
  OptimizerRecord record{.steps = self.steps};
  const auto download = [&](const DeviceMemory& memory, std::vector<float>& host) {
    host.resize(memory.bytes() / sizeof(float));
    if (!host.empty()) copy(self.device, self.stream, host.data(), memory.data(), memory.bytes());
  };
  for (const auto& [name, on_device] : self.moments) {
    OptimizerRecord::Moments& on_host = record.moments[name];
    download(on_device.first, on_host.first);
    download(on_device.second, on_host.second);
  }
  write_optimizer_record(self.options.update, record, file);
}

void Trainer::load(const io::TensorFile& file) {
  Implementation& self = *implementation_;
  const std::shared_ptr<Network::Implementation> held = self.hold_network();
  const UseGuard::Exclusive call(self.guard, Implementation::in_use);
  const UpdateOptions& update = self.options.update;
  const OptimizerRecord record = read_optimizer_record(update, file);
  const std::string source = name_of(file);
  MomentsByName moments;
  for (const auto& [name, on_host] : record.moments) {
    const std::optional<Shape> shape = self.shape_of(name);
    const std::string tensor = str_cat(source, ": moments of '", name, "'");
    if (!shape)
      throw_error(ErrorCode::format, tensor, "the name of a trained parameter", str_cat('\'', name, '\''));
    const auto elements = static_cast<std::size_t>(shape->elements());
    DeviceMoments& on_device =
        moments.try_emplace(name, update, self.device, shape->elements()).first->second;
    const auto upload = [&](const std::vector<float>& host, DeviceMemory& memory) {
      if (memory.bytes() == 0) return;
      if (host.size() != elements) {
        throw_error(ErrorCode::format, tensor, str_cat(elements, " elements"), str_cat(host.size()));
      }
      copy(self.device, self.stream, memory.data(), host.data(), memory.bytes());
    };
    upload(on_host.first, on_device.first);
    upload(on_host.second, on_device.second);
  }
  self.moments = std::move(moments);
  self.needs_broadcast = true;
  self.steps = record.steps;
  if (record.learning_rate) self.options.update.learning_rate = *record.learning_rate;
}

}  // namespace plasticity
