#include "cpu/columns/layer.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
ColumnLayer<Real, Trace>::ColumnLayer(const Spec& spec, const PlanOptions& options,
                                      Communicator& communicator)
    : spec_(spec),
      options_(options),
      communicator_(communicator),
      columns_(columns_of(communicator, spec.neurons)),
      T_(options.steps),
      B_(options.batch),
      I_(spec.inputs),
      N_(spec.neurons),
      n_(columns_.count),
      plan_(layer_spec(spec, columns_.count), options, Schedule::by_step),
      gather_y_(communicator, options.batch, spec.neurons),
      gather_v_(communicator, 1, spec.neurons),
      products_(products<Real>(instruction_set())) {}

template <class Real, class Trace>
Spec ColumnLayer<Real, Trace>::layer_spec(const Spec& spec, std::int64_t columns) {
  Spec layer = spec;
  layer.cell = Cell::feedforward;
  layer.inputs = spec.presynaptic();
  layer.neurons = columns;
  if (spec.has_modulator()) layer.rate = Rate::external;
  return layer;
}

template <class Real, class Trace>
ColumnLayer<Real, Trace>::Record::Record(const ColumnLayer& layer, Arena& arena)
    : pre(arena.take<Real>(layer.recurrent() ? layer.T_ * layer.B_ * layer.N_ : 0)),
      modulation(arena.take<Real>(layer.spec_.has_modulator() ? layer.T_ * layer.B_ : 0)) {}

template <class Real, class Trace>
ColumnLayer<Real, Trace>::Recording::Recording(const ColumnLayer& layer, Arena& arena)
    : plan(arena.take<std::byte>(static_cast<std::int64_t>(layer.plan_.tape_bytes()))),
      record(layer, arena) {}

template <class Real, class Trace>
ColumnLayer<Real, Trace>::ForwardScratch::ForwardScratch(const ColumnLayer& layer, Arena& arena)
    : plan(arena.take<std::byte>(static_cast<std::int64_t>(layer.plan_.scratch_bytes()))),
      record(layer, arena) {
  const std::int64_t N = layer.N_, B = layer.B_, sequence = layer.T_ * B * layer.n_;
  const bool modulated = layer.spec_.has_modulator();
  message = arena.take<Real>(layer.exchanges() ? B * N : 0);
  whole = arena.take<Real>(layer.exchanges() ? B * N : 0);
  v = arena.take<Real>(modulated ? N : 0);
  currents = arena.take<Real>(layer.projected() ? sequence : 0);
  rate = arena.take<Real>(modulated ? sequence : 0);
}

template <class Real, class Trace>
ColumnLayer<Real, Trace>::BackwardScratch::BackwardScratch(const ColumnLayer& layer, Arena& arena)
    : plan(arena.take<std::byte>(static_cast<std::int64_t>(layer.plan_.scratch_bytes()))),
      list(layer.projected() ? layer.T_ : 0, layer.B_, arena) {
  const std::int64_t N = layer.N_, B = layer.B_, n = layer.n_, sequence = layer.T_ * B * n;
  const bool modulated = layer.spec_.has_modulator(), projected = layer.projected();
  message = arena.take<Real>(layer.exchanges() ? B * (N + 1) : 0);
  rate = arena.take<Real>(modulated ? sequence : 0);
  drate = arena.take<Real>(modulated ? sequence : 0);
  dpre = arena.take<Real>(layer.recurrent() ? layer.T_ * B * N : 0);
  dy = arena.take<Real>(layer.exchanges() ? sequence : 0);
  currents = arena.take<Real>(projected ? sequence : 0);
  transposed = arena.take<Real>(projected ? layer.I_ * n : 0);
  modulator_sums = arena.take<Real>(modulated ? B * (3 * n + 1) : 0);
}

template <class Real, class Trace>
std::size_t ColumnLayer<Real, Trace>::tape_bytes() const {
  Arena counter(nullptr);
  Recording(*this, counter);
  return counter.bytes();
}

template <class Real, class Trace>
std::size_t ColumnLayer<Real, Trace>::scratch_bytes() const {
  Arena forward(nullptr), backward(nullptr);
  ForwardScratch(*this, forward);
  BackwardScratch(*this, backward);
  return std::max(forward.bytes(), backward.bytes());
}

template <class Real, class Trace>
void ColumnLayer<Real, Trace>::fill_rates(const Parameters<const Real>& parameters, Real modulation,
                                          Real* rate) const {
  for (std::int64_t j = 0; j < n_; ++j) {
    rate[j] = spec_.rate == Rate::modulated
                  ? modulation
                  : modulation * parameters.fan_out_weight[j] + parameters.fan_out_bias[j];
  }
}

template class ColumnLayer<float, float>;
template class ColumnLayer<double, double>;
template class ColumnLayer<float, Bfloat16>;

}  // namespace plasticity::cpu
