#include "cpu/cell.hpp"
#include "cpu/cpu_plan.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
struct CpuPlan<Real, Trace>::ForwardPass {
  const CpuPlan& plan;
  const ForwardArgs<Real>& args;
  Tape tape;
  std::byte* spaces;  // one ForwardSpace for each slot
  std::size_t space_bytes;
  Connection<Real> connection;

  // Sizes under the names of the equations; S is N padded.
  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), B = plan.options_.batch, S = padded<Real>(N);
  const std::int64_t width = spec.gates() * S;
  const bool lstm = spec.cell == Cell::lstm, eligible = spec.has_eligibility();

  /// Where the vectors of a step are kept: on the tape, or in the ring.
  struct Rows {
    Real *out, *post, *activated, *c, *gates;
  };
  Rows rows_of(const ForwardSpace<Real>& space, const TapeElement<Real, Trace>& record,
               std::int64_t t) const {
    if (tape.data == nullptr) {
      const std::int64_t row = t % ForwardSpace<Real>::ring * S;
      return {space.out + row, space.post + row, space.post + row, space.c + (lstm ? row : 0), space.gates};
    }
    const std::int64_t row = t * S;
    return {record.out + row, record.post + row, record.activated + row, record.c + (lstm ? row : 0),
            record.gates + (lstm ? 3 * row : 0)};
  }

  /// Where the traces before step t are to stand: in a checkpoint, if there is one of the same type, or in
  /// `space`.
  struct Traces {
    Real *hebb, *eligibility;
  };
  Traces traces_of(const ForwardSpace<Real>& space, const TapeElement<Real, Trace>& record,
                   std::int64_t t) const {
    if constexpr (std::is_same_v<Trace, Real>) {
      if (tape.data != nullptr && t < plan.options_.steps && t % plan.interval_ == 0) {
        const std::int64_t checkpoint = t / plan.interval_ * P * S;
        return {record.hebb + checkpoint, record.eligibility + (eligible ? checkpoint : 0)};
      }
    }
    return {space.hebb, space.eligibility};
  }

  void run(std::int64_t b, std::int64_t slot, Team& team) const {
    Carver carver(spaces + static_cast<std::size_t>(slot) * space_bytes);
    const ForwardSpace<Real> space(spec, carver);
    const bool records = tape.data != nullptr;
    Carver nothing(nullptr);
    const TapeElement<Real, Trace> record =
        records ? plan.tape_element(tape, b) : TapeElement<Real, Trace>(spec, 0, 1, nothing);
    const std::int64_t T = plan.options_.steps, PN = P * N;
    const std::int64_t length = args.masks.length == nullptr ? T : args.masks.length[b];
    const State<const Real>& initial = args.initial_state;

    std::fill_n(space.zeros, std::max(P, S), Real(0));
    std::fill_n(space.rate, S, Real(0));
    Real* const y0 = records && spec.is_recurrent() ? record.y0 : space.y0;
    Real* const c0 = records ? record.c0 : space.c0;
    pad_rows(spec.is_recurrent() ? at(initial.y, b * N) : nullptr, 1, N, y0);
    if (lstm) pad_rows(at(initial.c, b * N), 1, N, c0);
    Traces traces = traces_of(space, record, 0);
    pad_rows(at(initial.hebb, b * PN), P, N, traces.hebb);
    if (eligible) pad_rows(at(initial.eligibility, b * PN), P, N, traces.eligibility);

    // The update of the step before; none waits where its x is null.
    TraceUpdate<Real> pending{};
    const Real *y_before = y0, *c_before = c0;
    for (std::int64_t t = 0; t < length; ++t) {
      const std::int64_t row = t * B + b;
      if (t % ForwardSpace<Real>::chunk == 0) {
        plan.input_currents(args.parameters, args.inputs, b, t,
                            std::min(ForwardSpace<Real>::chunk, length - t), space.currents);
      }
      Real* const current = space.currents + t % ForwardSpace<Real>::chunk * width;
      const Rows rows = rows_of(space, record, t);

      const Traces before = traces_of(space, record, t);
      if (args.masks.reset != nullptr && args.masks.reset[row] != 0) {
        y_before = c_before = space.zeros;
        pending.x = nullptr;
        std::fill_n(before.hebb, P * S, Real(0));
        if (eligible) std::fill_n(before.eligibility, P * S, Real(0));
      }
      pending.hebb_in = traces.hebb;
      pending.eligibility_in = traces.eligibility;
      pending.hebb_out = before.hebb;
      pending.eligibility_out = before.eligibility;
      traces = before;
      const Real* x = spec.is_recurrent() ? y_before : args.inputs.pre + row * P;
      const PlasticRead<Real> read{x, current + (lstm ? 2 * S : 0)};
      team.run([&](std::int64_t share) {
        const Columns columns = share_of<Real>(N, share);
        if (pending.x == nullptr) {
          plan.sweeps_.read(spec.rule, connection, columns, traces.hebb, read);
        } else {
          plan.sweeps_.update_and_read(spec.rule, spec.eligibility, connection, columns, pending, read);
        }
        if (lstm) plan.add_gate_products(args.parameters, x, columns, current);
      });
      if constexpr (!std::is_same_v<Trace, Real>) {
        if (records && t % plan.interval_ == 0) keep_checkpoint(record, traces, t / plan.interval_);
      }

      run_cell<Real>(spec, plan.cells_,
                     {.current = current,
                      .clamp = at(args.masks.clamp, row * N),
                      .clamp_value = at(args.masks.clamp_value, row * N),
                      .activated = rows.activated,
                      .post = rows.post,
                      .out = rows.out,
                      .gates = rows.gates,
                      .c_before = c_before,
                      .c = rows.c});
      std::copy_n(rows.out, N, args.y + row * N);
      Real modulation = 0;
      if (spec.has_modulator()) {
        modulation =
            modulate(args.parameters, spec.modulator_source == ModulatorSource::cell ? rows.c : rows.out, N);
        if (records) record.modulation[t] = modulation;
        if (args.modulation != nullptr) args.modulation[row] = modulation;
      }
      fill_rate(spec, args.parameters, modulation, at(args.inputs.rate, row * N), space.rate);
      pending.x = x;
      pending.y = rows.post;
      pending.rate = space.rate;
      y_before = rows.out;
      c_before = rows.c;
    }
    for (std::int64_t t = length; t < T; ++t) {
      std::fill_n(args.y + (t * B + b) * N, N, Real(0));
      if (args.modulation != nullptr) args.modulation[t * B + b] = 0;
    }
    if (args.final_state.y != nullptr) std::copy_n(y_before, N, args.final_state.y + b * N);
    if (args.final_state.c != nullptr) std::copy_n(c_before, N, args.final_state.c + b * N);
    finish_traces(b, space, traces, pending, team);
  }

  /// Traces of another type on the tape: copies, not where the sweeps work.
  void keep_checkpoint(const TapeElement<Real, Trace>& record, const Traces& traces,
                       std::int64_t checkpoint) const {
    convert(traces.hebb, record.hebb + checkpoint * P * S, P * S);
    if (eligible) convert(traces.eligibility, record.eligibility + checkpoint * P * S, P * S);
  }

  /// Applies the last update and gives the traces out.
  void finish_traces(std::int64_t b, const ForwardSpace<Real>& space, Traces traces,
                     TraceUpdate<Real> pending, Team& team) const {
    const State<Real>& state = args.final_state;
    if (state.hebb == nullptr && state.eligibility == nullptr) return;
    if (pending.x != nullptr) {
      pending.hebb_in = traces.hebb;
      pending.eligibility_in = traces.eligibility;
      pending.hebb_out = space.hebb;
      pending.eligibility_out = space.eligibility;
      team.run([&](std::int64_t share) {
        plan.sweeps_.update(spec.rule, spec.eligibility, connection, share_of<Real>(N, share), pending);
      });
      traces = {space.hebb, space.eligibility};
    }
    unpad_rows(traces.hebb, P, N, at(state.hebb, b * P * N));
    unpad_rows(traces.eligibility, P, N, at(state.eligibility, b * P * N));
  }
};

template <class Real, class Trace>
void CpuPlan<Real, Trace>::input_currents(const Parameters<const Real>& parameters,
                                          const Inputs<const Real>& inputs, std::int64_t b, std::int64_t t0,
                                          std::int64_t count, Real* currents) const {
  const std::int64_t N = spec_.neurons, S = padded<Real>(N), gates = spec_.gates(), B = options_.batch;
  const std::int64_t I = spec_.inputs;
  const bool projected = spec_.is_recurrent() && I > 0;
  for (std::int64_t t = 0; t < count; ++t) {
    pad_rows(projected ? parameters.b : at(inputs.u, ((t0 + t) * B + b) * gates * N), gates, N,
             currents + t * gates * S);
  }
  for (std::int64_t gate = 0; projected && gate < gates; ++gate) {
    products_.multiply(count, N, I, inputs.x + (t0 * B + b) * I, B * I, parameters.w_in + gate * N, gates * N,
                       currents + gate * S, gates * S);
  }
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::add_gate_products(const Parameters<const Real>& parameters, const Real* h,
                                             Columns columns, Real* current) const {
  const std::int64_t N = spec_.neurons, S = padded<Real>(N),
                     count = std::min(columns.count, N - columns.first);
  const std::int64_t rows[] = {0, 1, 3};  // i, f and o among the currents
  for (std::int64_t gate = 0; gate < 3; ++gate) {
    products_.multiply(1, count, N, h, N, parameters.w_gates + gate * N + columns.first, 3 * N,
                       current + rows[gate] * S + columns.first, S);
  }
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::forward_space_bytes() const {
  Carver counter(nullptr);
  ForwardSpace<Real>(spec_, counter);
  return counter.bytes();
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::forward_scratch_bytes() const {
  Carver counter(nullptr);
  ParameterCopies<Real>(spec_, passes(), counter);
  return counter.bytes() + static_cast<std::size_t>(workers()) * forward_space_bytes();
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::forward(Stream, const ForwardArgs<Real>& args, Tape tape, Scratch scratch) const {
  Carver carver(scratch.data);
  const ParameterCopies<Real> copies(spec_, passes(), carver);
  const std::size_t bytes = forward_space_bytes();
  std::byte* spaces = carver.take<std::byte>(static_cast<std::int64_t>(bytes) * workers());
  const ForwardPass pass{*this, args, tape, spaces, bytes, copies.connect(spec_, args.parameters)};
  parallel_for_teams(options_.device.threads(), options_.batch, share_count(spec_.neurons),
                     [&](std::int64_t b, std::int64_t slot, Team& team) { pass.run(b, slot, team); });
}

template class CpuPlan<float, float>;
template class CpuPlan<double, double>;
template class CpuPlan<float, Bfloat16>;

}  // namespace plasticity::cpu
