#include "plasticity/network.hpp"

#include "base/throw_error.hpp"
#include "device/profiler_range.hpp"
#include "io/spec_metadata.hpp"
#include "network/implementation.hpp"

namespace plasticity {

Network::Network(const Spec& spec, const NetworkOptions& options)
    : implementation_(std::make_unique<Implementation>(spec, options), "network") {}
Network::Network(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation), "network") {}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;

const Spec& Network::spec() const { return implementation_->spec; }
const NetworkOptions& Network::options() const { return implementation_->options; }

std::int64_t Network::batch() const { return implementation_->state.batch(); }

std::span<const float> Network::forward(const Sequence& sequence) {
  const ProfilerRange range("plasticity::Network::forward");
  const Implementation::Call call(*implementation_, false);
  return implementation_->record(sequence);
}

std::span<const float> Network::infer(const Sequence& sequence) {
  const ProfilerRange range("plasticity::Network::infer");
  const Implementation::Call call(*implementation_, false);
  return implementation_->infer(sequence);
}

std::span<const float> Network::modulation() const { return implementation_->last_modulation; }

std::span<const float> Network::current() const { return implementation_->last_current; }

void Network::backward(std::span<const float> dy, const SequenceGradients& gradients,
                       const UpstreamGradients& upstream) {
  const ProfilerRange range("plasticity::Network::backward");
  const Implementation::Call call(*implementation_, true);
  implementation_->backward(dy, gradients, upstream);
}

std::int64_t Network::windows() const { return static_cast<std::int64_t>(implementation_->recorded); }

void Network::reset(std::int64_t batch) {
  const Implementation::Call call(*implementation_, false);
  implementation_->reset(batch);
}

void Network::detach() {
  const Implementation::Call call(*implementation_, false);
  implementation_->detach();
}

void Network::zero_gradients() {
  const Implementation::Call call(*implementation_, true);
  implementation_->parameters->zero_gradients();
}

std::vector<ParameterView> Network::parameters() {
  const Implementation::Call call(*implementation_, true);
  return implementation_->parameters->views();
}

std::span<float> Network::parameter(std::string_view name) {
  const Implementation::Call call(*implementation_, true);
  return implementation_->parameters->value(name);
}

void Network::set_trainable(std::string_view name, bool trainable) {
  const Implementation::Call call(*implementation_, true);
  implementation_->parameters->set_trainable(name, trainable);
}

std::span<float> Network::state(std::string_view name) {
  Implementation& self = *implementation_;
  const Implementation::Call call(self, false);
  self.state_values();
  const std::span<float> view = self.state.on_host(name);
  if (self.recorded > 0) self.state.note(name);
  return view;
}

Network Network::clone() const {
  Implementation& self = *implementation_;
  const Implementation::Call call(self, false);
  io::TensorFile state;
  self.save_state(state);
  auto copy = std::make_unique<Implementation>(self.spec, self.options, self.parameters->copy_values());
  copy->load_state(state);
  return Network(std::move(copy));
}

Network Network::share(std::int64_t batch) const {
  Implementation& self = *implementation_;
  const Implementation::Call call(self, false);
  NetworkOptions options = self.options;
  if (batch < 0) bad_argument("batch", "at least 0", str_cat(batch));
  if (batch > 0) options.batch = batch;
  return Network(std::make_unique<Implementation>(self.spec, options, self.parameters));
}

void Network::save(io::TensorFile& file) const {
  Implementation& self = *implementation_;
  const Implementation::Call call(self, false);
  self.parameters->check_not_in(file);
  check_no_spec(file, self.prefix());
  self.parameters->save(file);
  write_spec(spec(), file, self.prefix());
}

void Network::load(const io::TensorFile& file) {
  Implementation& self = *implementation_;
  const Implementation::Call call(self, true);
  self.check_no_windows("load");
  const Spec stored = read_spec(file, self.prefix());
  if (stored != spec()) throw_error(ErrorCode::format, file.source, to_string(spec()), to_string(stored));
  self.parameters->load(file);
}

void Network::save_state(io::TensorFile& file) const {
  const Implementation::Call call(*implementation_, false);
  implementation_->save_state(file);
}

void Network::load_state(const io::TensorFile& file) {
  const Implementation::Call call(*implementation_, false);
  implementation_->load_state(file);
}

Spec load_spec(const io::TensorFile& file, const std::string& name) {
  return read_spec(file, name.empty() ? "" : name + ".");
}

}  // namespace plasticity
