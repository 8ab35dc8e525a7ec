#include "plasticity/network.hpp"

#include <utility>

#include "base/throw_error.hpp"
#include "device/profiler_range.hpp"
#include "io/file_keys.hpp"
#include "io/spec_metadata.hpp"
#include "network/implementation.hpp"

namespace plasticity {

template <class Real>
BasicNetwork<Real>::BasicNetwork(const Spec& spec, const NetworkOptions& options)
    : implementation_(std::make_unique<Implementation>(spec, options), "network") {}
template <class Real>
BasicNetwork<Real>::BasicNetwork(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation), "network") {}
template <class Real>
BasicNetwork<Real>::~BasicNetwork() = default;
template <class Real>
BasicNetwork<Real>::BasicNetwork(BasicNetwork&&) noexcept = default;
template <class Real>
BasicNetwork<Real>& BasicNetwork<Real>::operator=(BasicNetwork&&) noexcept = default;

template <class Real>
const Spec& BasicNetwork<Real>::spec() const {
  return implementation_->spec;
}
template <class Real>
const NetworkOptions& BasicNetwork<Real>::options() const {
  return implementation_->options;
}

template <class Real>
std::int64_t BasicNetwork<Real>::batch() const {
  return implementation_->state.batch();
}

template <class Real>
std::span<const Real> BasicNetwork<Real>::forward(const BasicSequence<Real>& sequence) {
  const ProfilerRange range("plasticity::Network::forward");
  const typename Implementation::Call call(*implementation_, ParameterAccess::read);
  return implementation_->record(sequence);
}

template <class Real>
std::span<const Real> BasicNetwork<Real>::infer(const BasicSequence<Real>& sequence) {
  const ProfilerRange range("plasticity::Network::infer");
  const typename Implementation::Call call(*implementation_, ParameterAccess::read);
  return implementation_->infer(sequence);
}

template <class Real>
std::span<const Real> BasicNetwork<Real>::modulation() const {
  return implementation_->last_modulation;
}

template <class Real>
std::span<const Real> BasicNetwork<Real>::preactivation() const {
  return implementation_->last_preactivation;
}

template <class Real>
void BasicNetwork<Real>::backward(std::span<const Real> dy, const BasicSequenceGradients<Real>& gradients,
                                  const BasicUpstreamGradients<Real>& upstream) {
  const ProfilerRange range("plasticity::Network::backward");
  const typename Implementation::Call call(*implementation_, ParameterAccess::write);
  implementation_->backward(dy, gradients, upstream);
}

template <class Real>
std::int64_t BasicNetwork<Real>::windows() const {
  return static_cast<std::int64_t>(implementation_->windows.count());
}

template <class Real>
void BasicNetwork<Real>::reset(std::int64_t batch) {
  const typename Implementation::Call call(*implementation_, ParameterAccess::read);
  implementation_->reset(batch);
}

template <class Real>
void BasicNetwork<Real>::detach() {
  const typename Implementation::Call call(*implementation_, ParameterAccess::read);
  implementation_->detach();
}

template <class Real>
void BasicNetwork<Real>::zero_gradients() {
  const typename Implementation::Call call(*implementation_, ParameterAccess::write);
  implementation_->parameters->zero_gradients();
}

template <class Real>
std::vector<BasicParameterView<Real>> BasicNetwork<Real>::parameters() {
  const typename Implementation::Call call(*implementation_, ParameterAccess::write);
  return implementation_->parameters->views();
}

template <class Real>
std::span<Real> BasicNetwork<Real>::parameter(std::string_view name) {
  const typename Implementation::Call call(*implementation_, ParameterAccess::write);
  return implementation_->parameters->value(name);
}

template <class Real>
void BasicNetwork<Real>::set_trainable(std::string_view name, bool trainable) {
  const typename Implementation::Call call(*implementation_, ParameterAccess::write);
  implementation_->parameters->set_trainable(name, trainable);
}

template <class Real>
std::span<Real> BasicNetwork<Real>::state(std::string_view name) {
  Implementation& self = *implementation_;
  const typename Implementation::Call call(self, ParameterAccess::read);
  self.state_values();
  const std::span<Real> view = self.state.on_host(name);
  if (self.windows.count() > 0) self.state.note(name);
  return view;
}

template <class Real>
BasicNetwork<Real> BasicNetwork<Real>::clone() const {
  Implementation& self = *implementation_;
  const typename Implementation::Call call(self, ParameterAccess::read);
  io::TensorFile state;
  self.save_state(state);
  auto copy = std::make_unique<Implementation>(self.spec, self.options, self.parameters->copy_values());
  copy->adopt(copy->zero_state(batch()));  // of a network without state too
  copy->adopt(copy->read_state(state));
  return BasicNetwork(std::move(copy));
}

template <class Real>
BasicNetwork<Real> BasicNetwork<Real>::share(std::int64_t batch) const {
  Implementation& self = *implementation_;
  const typename Implementation::Call call(self, ParameterAccess::read);
  NetworkOptions options = self.options;
  if (batch < 0) bad_argument("batch", "at least 0", str_cat(batch));
  if (batch > 0) options.batch = batch;
  return BasicNetwork(std::make_unique<Implementation>(self.spec, options, self.parameters));
}

template <class Real>
void BasicNetwork<Real>::save(io::TensorFile& file) const {
  Implementation& self = *implementation_;
  const typename Implementation::Call call(self, ParameterAccess::read);
  io::TensorFile part;
  self.parameters->save(part);
  write_spec(spec(), part, self.prefix());
  add_to_file(std::move(part), file);
}

template <class Real>
void BasicNetwork<Real>::load(const io::TensorFile& file) {
  Implementation& self = *implementation_;
  const typename Implementation::Call call(self, ParameterAccess::write);
  self.parameters->adopt(self.read_parameters(file));
}

template <class Real>
void BasicNetwork<Real>::save_state(io::TensorFile& file) const {
  const typename Implementation::Call call(*implementation_, ParameterAccess::read);
  implementation_->save_state(file);
}

template <class Real>
void BasicNetwork<Real>::load_state(const io::TensorFile& file) {
  const typename Implementation::Call call(*implementation_, ParameterAccess::read);
  implementation_->adopt(implementation_->read_state(file));
}

Spec load_spec(const io::TensorFile& file, const std::string& name) {
  return read_spec(file, name.empty() ? "" : name + ".");
}

template class BasicNetwork<float>;
template class BasicNetwork<double>;

}  // namespace plasticity
