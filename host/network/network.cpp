#include "plasticity/network.hpp"

#include "base/throw_error.hpp"
#include "device/profiler_range.hpp"
#include "io/spec_metadata.hpp"
#include "network/implementation.hpp"

namespace plasticity {

Network::Network(const Spec& spec, const NetworkOptions& options)
    : implementation_(std::make_unique<Implementation>(spec, options)) {}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;

const Spec& Network::spec() const { return implementation_->spec; }
const NetworkOptions& Network::options() const { return implementation_->options; }

std::span<const float> Network::forward(const Sequence& sequence) {
  const ProfilerRange range("plasticity::Network::forward");
  Implementation& self = *implementation_;
  if (self.chained && self.recorded > 0) {
    bad_argument("forward",
                 "backward() for every recorded window, or detach(), before new steps are recorded",
                 str_cat(self.recorded, " windows without backward()"));
  }
  if (self.windows.size() == self.recorded) self.windows.emplace_back();
  Window& window = self.windows[self.recorded];
  self.run(window, sequence, true);
  ++self.recorded;
  self.chained = false;
  return window.y;
}

std::span<const float> Network::infer(const Sequence& sequence) {
  const ProfilerRange range("plasticity::Network::infer");
  implementation_->run(implementation_->inferred, sequence, false);
  return implementation_->inferred.y;
}

std::span<const float> Network::modulation() const { return implementation_->last_modulation; }

void Network::backward(std::span<const float> dy, const SequenceGradients& gradients) {
  const ProfilerRange range("plasticity::Network::backward");
  Implementation& self = *implementation_;
  if (self.recorded == 0) bad_argument("backward", "a window that forward() recorded", "none");
  const Window& window = self.windows[self.recorded - 1];
  if (!dy.empty() && dy.size() != window.y.size()) {
    bad_argument("dy", str_cat(window.y.size(), " elements"), str_cat(dy.size()));
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

void Network::zero_gradients() { implementation_->parameters.zero_gradients(); }

std::vector<ParameterView> Network::parameters() { return implementation_->parameters.views(); }

std::span<float> Network::parameter(std::string_view name) { return implementation_->parameters.value(name); }

void Network::set_trainable(std::string_view name, bool trainable) {
  implementation_->parameters.set_trainable(name, trainable);
}

std::span<float> Network::state(std::string_view name) { return implementation_->state.on_host(name); }

void Network::save(io::TensorFile& file) const {
  implementation_->parameters.check_not_in(file);
  check_no_spec(file, implementation_->prefix());
  implementation_->parameters.save(file);
  write_spec(spec(), file, implementation_->prefix());
}

void Network::load(const io::TensorFile& file) {
  const Spec stored = read_spec(file, implementation_->prefix());
  if (stored != spec()) throw_error(ErrorCode::format, file.source, to_string(spec()), to_string(stored));
  implementation_->parameters.load(file);
}

Spec load_spec(const io::TensorFile& file, const std::string& name) {
  return read_spec(file, name.empty() ? "" : name + ".");
}

}  // namespace plasticity
