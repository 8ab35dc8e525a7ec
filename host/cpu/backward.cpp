#include "cpu/backward_pass.hpp"

namespace plasticity::cpu {

/// One batch element on its way back. A sweep reverses the read of step t and the update of step t-1
/// together; what is open of step t when it begins stands in `dout`, `dc`, `dy`, `drate` and `dx_update[t %
/// 2]`.
template <class Real, class Trace>
struct CpuPlan<Real, Trace>::BackwardPass::Element {
  const BackwardPass& pass;
  std::int64_t b;
  TapeElement<Real, Trace> record;
  BackwardSpace<Real> space;
  GroupSums<Real> group;
  Team& team;

  const CpuPlan& plan = pass.plan;
  const BackwardArgs<Real>& args = pass.args;
  const Spec& spec = pass.spec;
  const std::int64_t N = pass.N, P = pass.P, B = pass.B, S = pass.S, K = plan.interval_;
  const bool lstm = pass.lstm, eligible = pass.eligible;
  std::int64_t segment = 0;  // the first step of the segment whose traces are in `space`

  /// The traces before step t of the segment: the first is the checkpoint, on the tape if it has the same
  /// type, the others stand in `space`.
  Real* trace_before(std::int64_t t, Real* replayed, Trace* checkpoints) const {
    if constexpr (std::is_same_v<Trace, Real>) {
      if (t == segment) return checkpoints + segment / K * P * S;
    }
    return replayed + (t - segment) * P * S;
  }
  Real* hebb_before(std::int64_t t) const { return trace_before(t, space.hebb, record.hebb); }
  Real* eligibility_before(std::int64_t t) const {
    return eligible ? trace_before(t, space.eligibility, record.eligibility) : nullptr;
  }
  Real* rate_of(std::int64_t t) const { return space.rates + (t - segment) * S; }
  const Real* pre_of(std::int64_t t) const { return pass.pre_of(record, t, b, space.zeros); }

  void run() {
    const State<const Real>& upstream = args.dfinal_state;
    const std::int64_t length = pass.length_of(b), PN = P * N;
    std::fill_n(space.zeros, std::max(P, S), Real(0));
    std::fill_n(space.rates, K * S, Real(0));
    pad_rows(at(upstream.y, b * N), 1, N, space.dout);
    pad_rows(at(upstream.c, b * N), 1, N, space.dc);
    pad_rows(at(upstream.hebb, b * PN), P, N, space.G);
    if (eligible) pad_rows(at(upstream.eligibility, b * PN), P, N, space.GE);
    if (length > 0) {
      replay((length - 1) / K * K, length);
      reverse_update(length - 1);
    }
    for (std::int64_t t = length - 1; t >= 0; --t) {
      add_upstream(t);
      reverse_rate(t);
      reverse_cell(t);
      if (t > 0 && !pass.resets(t, b)) {
        if (t == segment) replay(t - K, t);
        reverse_read_and_update(t);
      } else {
        reverse_read(t);
      }
      reverse_presynaptic(t);
      if (pass.resets(t, b)) {
        forget();
        if (t > 0) {
          if (t == segment) replay(t - K, t);
          reverse_update(t - 1);
        }
      }
    }
    const State<Real>& initial = args.dinitial_state;
    unpad_rows(space.dout, 1, N, at(initial.y, b * N));
    unpad_rows(space.dc, 1, N, at(initial.c, b * N));
    unpad_rows(space.G, P, N, at(initial.hebb, b * PN));
    unpad_rows(space.GE, P, N, at(initial.eligibility, b * PN));
  }

  /// Leaves the rates of the steps t0 .. t1-1 in `space`, and the traces before them: the first from its
  /// checkpoint, the others replayed.
  void replay(std::int64_t t0, std::int64_t t1) {
    segment = t0;
    for (std::int64_t t = t0; t < t1; ++t) {
      fill_rate(spec, args.parameters, spec.has_modulator() ? record.modulation[t] : Real(0),
                at(args.inputs.rate, (t * B + b) * N), rate_of(t));
    }
    if constexpr (!std::is_same_v<Trace, Real>) {
      const std::int64_t checkpoint = t0 / K * P * S;
      convert(record.hebb + checkpoint, space.hebb, P * S);
      if (eligible) convert(record.eligibility + checkpoint, space.eligibility, P * S);
    }
    team.run([&](std::int64_t share) {
      const Columns columns = share_of<Real>(N, share);
      for (std::int64_t t = t0; t + 1 < t1; ++t) {
        if (pass.resets(t + 1, b)) {
          clear(hebb_before(t + 1), columns);
          if (eligible) clear(eligibility_before(t + 1), columns);
          continue;
        }
        plan.sweeps_.update(spec.rule, spec.eligibility, pass.connection, columns,
                            {.hebb_in = hebb_before(t),
                             .hebb_out = hebb_before(t + 1),
                             .eligibility_in = eligibility_before(t),
                             .eligibility_out = eligibility_before(t + 1),
                             .x = pre_of(t),
                             .y = record.post + t * S,
                             .rate = rate_of(t)});
      }
    });
  }

  void clear(Real* trace, Columns columns) const {
    for (std::int64_t i = 0; i < P; ++i) std::fill_n(trace + i * S + columns.first, columns.count, Real(0));
  }

  ReadAdjoint<Real> read_of(std::int64_t t, std::int64_t share) const {
    return {.x = pre_of(t),
            .da = pass.da_of(t, b) + (lstm ? 2 * S : 0),
            .dx = space.dx_read + share * P,
            .dalpha = group.alpha};
  }
  UpdateAdjoint<Real> update_of(std::int64_t t, std::int64_t share) const {
    return {.x = pre_of(t),
            .y = record.post + t * S,
            .rate = rate_of(t),
            .dx = space.dx_update[t % 2] + share * P,
            .dy = space.dy,
            .drate = space.drate,
            .deta = group.eta};
  }
  TraceGradients<Real> gradients() const { return {space.G, space.GE}; }

  void reverse_update(std::int64_t t) {
    team.run([&](std::int64_t share) {
      plan.sweeps_.update_adjoint(spec.rule, spec.eligibility, pass.connection, share_of<Real>(N, share),
                                  hebb_before(t), eligibility_before(t), gradients(), update_of(t, share));
    });
  }

  void reverse_read(std::int64_t t) {
    std::fill_n(space.dx, P, Real(0));
    team.run([&](std::int64_t share) {
      const Columns columns = share_of<Real>(N, share);
      plan.sweeps_.read_adjoint(spec.rule, pass.connection, columns, hebb_before(t), gradients(),
                                read_of(t, share));
      if (lstm) gate_adjoint(pass.da_of(t, b), columns);
    });
  }

  void reverse_read_and_update(std::int64_t t) {
    std::fill_n(space.dx, P, Real(0));
    team.run([&](std::int64_t share) {
      const Columns columns = share_of<Real>(N, share);
      plan.sweeps_.read_and_update_adjoint(spec.rule, spec.eligibility, pass.connection, columns,
                                           hebb_before(t - 1), eligibility_before(t - 1), gradients(),
                                           read_of(t, share), update_of(t - 1, share));
      if (lstm) gate_adjoint(pass.da_of(t, b), columns);
    });
  }

  /// dh(t-1) += W_gates times the gradients of i, f and o, for some of its columns.
  void gate_adjoint(const Real* da_t, Columns columns) const {
    const std::int64_t rows[] = {0, 1, 3}, count = std::min(columns.count, N - columns.first);
    for (std::int64_t gate = 0; gate < 3; ++gate) {
      plan.products_.multiply(1, count, N, da_t + rows[gate] * S, S,
                              pass.gates_transposed + gate * N * N + columns.first, N,
                              space.dx + columns.first, N);
    }
  }

  void add_upstream(std::int64_t t) const {
    if (args.dy == nullptr) return;
    for (std::int64_t j = 0; j < N; ++j) space.dout[j] += args.dy[(t * B + b) * N + j];
  }

  /// The gradient of the rate goes to eta, to the modulator (and through it to what it reads), or to the
  /// caller.
  void reverse_rate(std::int64_t t) const {
    const Real* drate = space.drate;
    if (spec.rate == Rate::fixed) {
      for (std::int64_t j = 0; j < N; ++j) group.eta[j] += drate[j];
    }
    if (spec.rate == Rate::external && args.dinputs.rate != nullptr) {
      std::copy_n(drate, N, args.dinputs.rate + (t * B + b) * N);
    }
    if (!spec.has_modulator()) return;
    const Real M = record.modulation[t];
    Real dM = 0;
    if (spec.rate == Rate::fan_out) {
      for (std::int64_t j = 0; j < N; ++j) {
        group.fan_out_weight[j] += drate[j] * M;
        group.fan_out_bias[j] += drate[j];
        dM += drate[j] * args.parameters.fan_out_weight[j];
      }
    } else {
      for (std::int64_t j = 0; j < N; ++j) dM += drate[j];
    }
    const bool reads_cell = spec.modulator_source == ModulatorSource::cell;
    const Real* read = (reads_cell ? record.c : record.out) + t * S;
    Real* dread = reads_cell ? space.dc : space.dout;
    const Real q = dM * (1 - M * M);
    *group.modulator_bias += q;
    for (std::int64_t j = 0; j < N; ++j) {
      group.modulator_weight[j] += q * read[j];
      dread[j] += q * args.parameters.modulator_weight[j];
    }
  }

  /// From the gradients of what step t shows to those of its currents, da.
  void reverse_cell(std::int64_t t) const {
    Real* const da_t = pass.da_of(t, b);
    Real* const plastic = da_t + (lstm ? 2 * S : 0);
    if (lstm) {
      const Real* c_before = pass.resets(t, b) ? space.zeros : t == 0 ? record.c0 : record.c + (t - 1) * S;
      plan.cells_.lstm_adjoint(S, {.gates = record.gates + t * 3 * S,
                                   .post = record.post + t * S,
                                   .c = record.c + t * S,
                                   .c_before = c_before,
                                   .dh = space.dout,
                                   .dc = space.dc,
                                   .dpost = space.dy,
                                   .da = da_t});
    } else {
      for (std::int64_t j = 0; j < N; ++j) space.dy[j] += space.dout[j];
    }
    activate_adjoint(spec.activation, record.activated + t * S, at(args.masks.clamp, (t * B + b) * N),
                     space.dy, N);
    std::copy_n(space.dy, N, plastic);
    std::fill(plastic + N, plastic + S, Real(0));
  }

  /// The gradient of x(t), complete now, goes to the caller or becomes that of what step t-1 shows.
  void reverse_presynaptic(std::int64_t t) const {
    for (std::int64_t share = 0; share < share_count(N); ++share) {
      const Real *read = space.dx_read + share * P, *update = space.dx_update[t % 2] + share * P;
      for (std::int64_t i = 0; i < P; ++i) space.dx[i] += read[i] + update[i];
    }
    if (spec.is_recurrent()) {
      std::copy_n(space.dx, N, space.dout);
    } else {
      if (args.dinputs.pre != nullptr) std::copy_n(space.dx, P, args.dinputs.pre + (t * B + b) * P);
      std::fill_n(space.dout, N, Real(0));
    }
  }

  /// A reset lets nothing through to the steps before it.
  void forget() const {
    std::fill_n(space.dout, N, Real(0));
    std::fill_n(space.dc, N, Real(0));
    std::fill_n(space.G, P * S, Real(0));
    if (eligible) std::fill_n(space.GE, P * S, Real(0));
  }
};

template <class Real, class Trace>
void CpuPlan<Real, Trace>::BackwardPass::run(std::int64_t b, std::int64_t slot, const GroupSums<Real>& group,
                                             Team& team) const {
  Carver carver(spaces + static_cast<std::size_t>(slot) * space_bytes);
  Element element{*this, b,   plan.tape_element(tape, b), BackwardSpace<Real>(spec, plan.interval_, carver),
                  group, team};
  element.run();
  input_gradients(b);
}

namespace {

template <class Real>
void transpose(const Real* source, Real* destination, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) {
      destination[column * rows + row] = source[row * columns + column];
    }
  }
}

/// The scratch of a backward pass, carved in one place for counting and for use.
template <class Real>
struct BackwardScratch {
  ParameterCopies<Real> copies;
  Real *zeros, *w_in_transposed, *gates_transposed, *da;
  const Real **left, **right;  // [T B] rows of a weight gradient's factors
  std::byte *sums, *spaces;

  BackwardScratch(const Spec& spec, const PlanOptions& options, std::int64_t passes, std::int64_t sums_bytes,
                  std::int64_t spaces_bytes, Carver& carver)
      : copies(spec, passes, carver) {
    const std::int64_t N = spec.neurons, S = padded<Real>(N), rows = options.steps * options.batch;
    zeros = carver.take<Real>(std::max(spec.presynaptic(), S));
    w_in_transposed = carver.take<Real>(spec.is_recurrent() ? spec.inputs * spec.gates() * N : 0);
    gates_transposed = carver.take<Real>(spec.cell == Cell::lstm ? 3 * N * N : 0);
    da = carver.take<Real>(rows * spec.gates() * S);
    left = carver.take<const Real*>(rows);
    right = carver.take<const Real*>(rows);
    sums = carver.take<std::byte>(sums_bytes);
    spaces = carver.take<std::byte>(spaces_bytes);
  }
};

template <class Real>
std::size_t group_sums_bytes(const Spec& spec) {
  Carver counter(nullptr);
  GroupSums<Real>(spec, counter);
  return counter.bytes();
}

}  // namespace

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::backward_space_bytes() const {
  Carver counter(nullptr);
  BackwardSpace<Real>(spec_, interval_, counter);
  return counter.bytes();
}

template <class Real, class Trace>
std::size_t CpuPlan<Real, Trace>::backward_scratch_bytes() const {
  Carver counter(nullptr);
  BackwardScratch<Real>(spec_, options_, passes(),
                        groups() * static_cast<std::int64_t>(group_sums_bytes<Real>(spec_)),
                        workers() * static_cast<std::int64_t>(backward_space_bytes()), counter);
  return counter.bytes();
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::backward(Stream, const BackwardArgs<Real>& args, Tape tape,
                                    Scratch scratch) const {
  const std::size_t sums_bytes = group_sums_bytes<Real>(spec_), space_bytes = backward_space_bytes();
  Carver carver(scratch.data);
  const BackwardScratch<Real> memory(spec_, options_, passes(),
                                     groups() * static_cast<std::int64_t>(sums_bytes),
                                     workers() * static_cast<std::int64_t>(space_bytes), carver);
  std::fill_n(memory.zeros, std::max(spec_.presynaptic(), padded<Real>(spec_.neurons)), Real(0));
  std::memset(memory.sums, 0, sums_bytes * static_cast<std::size_t>(groups()));
  if (args.dinputs.x != nullptr) {
    transpose(args.parameters.w_in, memory.w_in_transposed, spec_.inputs, spec_.gates() * spec_.neurons);
  }
  if (spec_.cell == Cell::lstm) {
    transpose(args.parameters.w_gates, memory.gates_transposed, spec_.neurons, 3 * spec_.neurons);
  }
  Connection<Real> connected = memory.copies.connect(spec_, args.parameters);
  // A gradient that nobody wants is not worth a matrix: its column sums are cheap, and left where they fall.
  if (args.dparameters.alpha == nullptr) connected.alpha_per_connection = false;
  const BackwardPass pass{*this,       args,       tape,      memory.spaces,          space_bytes,
                          memory.sums, sums_bytes, memory.da, memory.w_in_transposed, memory.gates_transposed,
                          connected};
  parallel_for_teams(options_.device.threads(), groups(), share_count(spec_.neurons),
                     [&](std::int64_t group, std::int64_t slot, Team& team) {
                       const std::int64_t first = group * group_size();
                       const std::int64_t last = std::min(first + group_size(), options_.batch);
                       const GroupSums<Real> sums = pass.sums_of(group);
                       for (std::int64_t b = first; b < last; ++b) pass.run(b, slot, sums, team);
                     });
  pass.weight_gradients(memory.zeros, memory.left, memory.right);
  pass.group_gradients();
}

template class CpuPlan<float, float>;
template class CpuPlan<double, double>;
template class CpuPlan<float, Bfloat16>;

}  // namespace plasticity::cpu
