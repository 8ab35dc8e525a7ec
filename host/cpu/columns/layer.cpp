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
      S_(padded<Real>(n_)),
      plan_(layer_spec(spec, columns_.count), options, ElementOrder::by_step),
      gather_y_(communicator, options.batch, spec.neurons),
      gather_step_(communicator, (reads_cell() ? 2 : 1) * options.batch, spec.neurons),
      gather_v_(communicator, 1, spec.neurons),
      cell_functions_(cell_functions<Real>(instruction_set())),
      products_(products<Real>(instruction_set())) {}

template <class Real, class Trace>
Spec ColumnLayer<Real, Trace>::layer_spec(const Spec& spec, std::int64_t columns) {
  Spec layer = spec;
  layer.cell = Cell::feedforward;
  layer.inputs = spec.presynaptic();
  layer.neurons = columns;
  layer.modulator_source = ModulatorSource::hidden;
  if (spec.has_modulator()) layer.rate = Rate::external;
  return layer;
}

template <class Real, class Trace>
ColumnLayer<Real, Trace>::Record::Record(const ColumnLayer& layer, Arena& arena)
    : pre(arena.take<Real>(layer.recurrent() ? layer.T_ * layer.B_ * layer.N_ : 0)),
      modulation(arena.take<Real>(layer.spec_.has_modulator() ? layer.T_ * layer.B_ : 0)) {
  const std::int64_t rows = layer.lstm() ? layer.T_ * layer.B_ * layer.S_ : 0;
  c0 = arena.take<Real>(layer.lstm() ? layer.B_ * layer.S_ : 0);
  c = arena.take<Real>(rows);
  gates = arena.take<Real>(3 * rows);
  output = arena.take<Real>(rows);
}

template <class Real, class Trace>
ColumnLayer<Real, Trace>::Recording::Recording(const ColumnLayer& layer, Arena& arena)
    : inner_tape(arena.take<std::byte>(static_cast<std::int64_t>(layer.plan_.tape_bytes()))),
      record(layer, arena) {}

template <class Real, class Trace>
ColumnLayer<Real, Trace>::ForwardScratch::ForwardScratch(const ColumnLayer& layer, Arena& arena)
    : inner_scratch(arena.take<std::byte>(static_cast<std::int64_t>(layer.plan_.scratch_bytes()))),
      record(layer, arena) {
  const std::int64_t N = layer.N_, B = layer.B_, sequence = layer.T_ * B * layer.n_,
                     gathered = layer.exchanges() ? (layer.reads_cell() ? 2 : 1) * B * N : 0,
                     row = layer.lstm() ? layer.S_ : 0;
  const bool modulated = layer.spec_.has_modulator();
  message = arena.take<Real>(gathered);
  whole = arena.take<Real>(gathered);
  v = arena.take<Real>(modulated ? N : 0);
  currents = arena.take<Real>(layer.projected() ? sequence : 0);
  rate = arena.take<Real>(modulated ? sequence : 0);
  gates = arena.take<Real>(layer.T_ * B * 4 * row);
  candidate = arena.take<Real>(layer.lstm() ? sequence : 0);
  post = arena.take<Real>(row);
  zeros = arena.take<Real>(row);
}

template <class Real, class Trace>
ColumnLayer<Real, Trace>::BackwardScratch::BackwardScratch(const ColumnLayer& layer, Arena& arena)
    : inner_scratch(arena.take<std::byte>(static_cast<std::int64_t>(layer.plan_.scratch_bytes()))),
      list(layer.projected() ? layer.T_ : 0, layer.B_, arena) {
  const std::int64_t N = layer.N_, B = layer.B_, n = layer.n_, sequence = layer.T_ * B * n,
                     row = layer.lstm() ? layer.S_ : 0;
  const bool modulated = layer.spec_.has_modulator(), projected = layer.projected();
  message = arena.take<Real>(layer.exchanges() ? B * (N + 1) : 0);
  rate = arena.take<Real>(modulated ? sequence : 0);
  drate = arena.take<Real>(modulated ? sequence : 0);
  dpre = arena.take<Real>(layer.recurrent() ? layer.T_ * B * N : 0);
  dy = arena.take<Real>(layer.exchanges() ? sequence : 0);
  currents = arena.take<Real>(projected ? sequence : 0);
  transposed = arena.take<Real>(projected ? layer.spec_.gates() * layer.I_ * n : 0);
  gates = arena.take<Real>(layer.T_ * B * 4 * row);
  w_gates = arena.take<Real>(layer.lstm() ? 3 * n * N : 0);
  dh = arena.take<Real>(B * row);
  dc = arena.take<Real>(B * row);
  dpost = arena.take<Real>(row);
  zeros = arena.take<Real>(row);
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
void ColumnLayer<Real, Trace>::max_over_ranks(std::span<Real> values) const {
  const std::size_t ranks = static_cast<std::size_t>(communicator_.size()), count = values.size();
  std::vector<Real> all(ranks * count);
  std::vector<std::int64_t> first;
  for (std::size_t rank = 0; rank <= ranks; ++rank) first.push_back(static_cast<std::int64_t>(rank * count));
  std::copy(values.begin(), values.end(),
            all.begin() + first[static_cast<std::size_t>(communicator_.rank())]);
  communicator_.all_gather(std::span(all), std::span<const std::int64_t>(first));
  for (std::size_t k = 0; k < all.size(); ++k) values[k % count] = std::max(values[k % count], all[k]);
}

template class ColumnLayer<float, float>;
template class ColumnLayer<double, double>;
template class ColumnLayer<float, Bfloat16>;

}  // namespace plasticity::cpu
