#include "cpu/cell.hpp"
#include "cpu/cpu_plan.hpp"
#include "cpu/parallel.hpp"

namespace plasticity::cpu {

template <class Real, class Trace>
struct CpuPlan<Real, Trace>::BackwardPass {
  const CpuPlan& plan;
  const BackwardArgs<Real>& args;
  Tape tape;
  std::byte* spaces;  // one BackwardSpace for each thread
  std::size_t space_bytes;
  std::byte* sums;  // one GroupSums for each group
  std::size_t sums_bytes;
  Real* da;                      // [B,T,gates N] gradients of the currents
  const Real* w_in_transposed;   // [gates N, I], where there is a projection
  const Real* gates_transposed;  // [3N, N], in an lstm
  Connection<Real> connection;

  const Spec& spec = plan.spec_;
  const std::int64_t N = spec.neurons, P = spec.presynaptic(), B = plan.options_.batch,
                     T = plan.options_.steps;
  const std::int64_t width = spec.gates() * N, PN = P * N;
  const bool lstm = spec.cell == Cell::lstm, eligible = spec.has_eligibility();

  GroupSums<Real> sums_of(std::int64_t group) const {
    Carver carver(sums + static_cast<std::size_t>(group) * sums_bytes);
    return GroupSums<Real>(spec, carver);
  }
  std::int64_t length_of(std::int64_t b) const {
    return args.masks.length == nullptr ? T : args.masks.length[b];
  }
  bool resets(std::int64_t t, std::int64_t b) const {
    return args.masks.reset != nullptr && args.masks.reset[t * B + b] != 0;
  }
  Real* da_of(std::int64_t t, std::int64_t b) const { return da + (b * T + t) * width; }

  /// The presynaptic activity of step t; `zeros` is what a reset leaves of it.
  const Real* pre_of(const TapeElement<Real, Trace>& record, std::int64_t t, std::int64_t b,
                     const Real* zeros) const {
    if (!spec.is_recurrent()) return args.inputs.pre + (t * B + b) * P;
    if (resets(t, b)) return zeros;
    return t == 0 ? record.y0 : record.out + (t - 1) * N;
  }

  void rate_of(const TapeElement<Real, Trace>& record, std::int64_t t, std::int64_t b, Real* rate) const {
    const Real* external = args.inputs.rate == nullptr ? nullptr : args.inputs.rate + (t * B + b) * N;
    fill_rate(spec, args.parameters, spec.has_modulator() ? record.modulation[t] : Real(0), external, rate);
  }

  /// Leaves the traces before the steps t0 .. t1-1 in `space`: the first from its checkpoint, the others
  /// replayed.
  void replay(const TapeElement<Real, Trace>& record, const BackwardSpace<Real>& space, std::int64_t b,
              std::int64_t t0, std::int64_t t1) const {
    const std::int64_t checkpoint = t0 / plan.interval_;
    convert(record.hebb + checkpoint * PN, space.hebb, PN);
    if (eligible) convert(record.eligibility + checkpoint * PN, space.eligibility, PN);
    for (std::int64_t t = t0; t + 1 < t1; ++t) {
      Real* hebb = space.hebb + (t - t0) * PN;
      Real* eligibility = eligible ? space.eligibility + (t - t0) * PN : nullptr;
      if (resets(t + 1, b)) {
        std::fill_n(hebb + PN, PN, Real(0));
        if (eligible) std::fill_n(eligibility + PN, PN, Real(0));
        continue;
      }
      rate_of(record, t, b, space.rates);
      plan.sweeps_.update(spec.rule, spec.eligibility, connection,
                          {.hebb_in = hebb,
                           .hebb_out = hebb + PN,
                           .eligibility_in = eligibility,
                           .eligibility_out = eligible ? eligibility + PN : nullptr,
                           .x = pre_of(record, t, b, space.zeros),
                           .y = record.post + t * N,
                           .rate = space.rates});
    }
  }

  void run(std::int64_t b, int worker) const {
    Carver carver(spaces + static_cast<std::size_t>(worker) * space_bytes);
    const BackwardSpace<Real> space(spec, plan.interval_, carver);
    std::fill_n(space.zeros, std::max(P, N), Real(0));
    const TapeElement<Real, Trace> record = plan.tape_element(tape, b);
    const GroupSums<Real> group = sums_of(b / plan.group_size());
    const State<const Real>& upstream = args.dfinal_state;
    convert_or_zero(upstream.y, b * N, space.dout, N);
    convert_or_zero(upstream.c, b * N, space.dc, N);
    convert_or_zero(upstream.hebb, b * PN, space.G, PN);
    if (eligible) convert_or_zero(upstream.eligibility, b * PN, space.GE, PN);

    const std::int64_t length = length_of(b), K = plan.interval_;
    for (std::int64_t t0 = (length - 1) / K * K; length > 0 && t0 >= 0; t0 -= K) {
      const std::int64_t t1 = std::min(t0 + K, length);
      replay(record, space, b, t0, t1);
      for (std::int64_t t = t1 - 1; t >= t0; --t) {
        reverse_step(record, space, group, b, t, space.hebb + (t - t0) * PN,
                     eligible ? space.eligibility + (t - t0) * PN : nullptr);
      }
    }
    const State<Real>& initial = args.dinitial_state;
    if (initial.y != nullptr) std::copy_n(space.dout, N, initial.y + b * N);
    if (initial.c != nullptr) std::copy_n(space.dc, N, initial.c + b * N);
    if (initial.hebb != nullptr) std::copy_n(space.G, PN, initial.hebb + b * PN);
    if (initial.eligibility != nullptr) std::copy_n(space.GE, PN, initial.eligibility + b * PN);
    input_gradients(b, length);
  }

  void reverse_step(const TapeElement<Real, Trace>& record, const BackwardSpace<Real>& space,
                    const GroupSums<Real>& group, std::int64_t b, std::int64_t t, const Real* hebb,
                    const Real* eligibility) const {
    const std::int64_t row = t * B + b;
    const Real* x = pre_of(record, t, b, space.zeros);
    const Real* post = record.post + t * N;
    if (args.dy != nullptr) {
      for (std::int64_t j = 0; j < N; ++j) space.dout[j] += args.dy[row * N + j];
    }
    std::fill_n(space.dx_lanes, P * row_lanes<Real>, Real(0));
    std::fill_n(space.dy, N, Real(0));
    rate_of(record, t, b, space.rates);
    plan.sweeps_.update_adjoint(spec.rule, spec.eligibility, connection,
                                {.hebb = hebb,
                                 .eligibility = eligibility,
                                 .G = space.G,
                                 .GE = space.GE,
                                 .x = x,
                                 .y = post,
                                 .rate = space.rates,
                                 .dx_lanes = space.dx_lanes,
                                 .dy = space.dy,
                                 .drate = space.drate,
                                 .deta = group.eta});
    reverse_rate(record, space, group, t, row);

    Real* da_t = da_of(t, b);
    Real* plastic = da_t + (lstm ? 2 * N : 0);
    if (lstm) {
      const Real* c_before = resets(t, b) ? space.zeros : t == 0 ? record.c0 : record.c + (t - 1) * N;
      reverse_lstm(record, space, t, c_before, da_t);
    } else {
      for (std::int64_t j = 0; j < N; ++j) space.dy[j] += space.dout[j];
    }
    activate_adjoint(spec.activation, record.activated + t * N,
                     args.masks.clamp == nullptr ? nullptr : args.masks.clamp + row * N, space.dy, N);
    std::copy_n(space.dy, N, plastic);
    plan.sweeps_.read_adjoint(spec.rule, connection,
                              {.hebb = hebb,
                               .G = space.G,
                               .x = x,
                               .da = plastic,
                               .dx_lanes = space.dx_lanes,
                               .dalpha = group.alpha});
    for (std::int64_t i = 0; i < P; ++i) {
      Real sum = 0;
      for (std::int64_t lane = 0; lane < row_lanes<Real>; ++lane)
        sum += space.dx_lanes[i * row_lanes<Real> + lane];
      space.dx[i] = sum;
    }
    if (!spec.is_recurrent()) {
      if (args.dinputs.pre != nullptr) std::copy_n(space.dx, P, args.dinputs.pre + row * P);
      std::fill_n(space.dout, N, Real(0));
    } else {
      if (lstm) gate_adjoint(da_t, space.dx);
      std::copy_n(space.dx, N, space.dout);
    }
    if (resets(t, b)) {
      std::fill_n(space.dout, N, Real(0));
      std::fill_n(space.dc, N, Real(0));
      std::fill_n(space.G, PN, Real(0));
      if (eligible) std::fill_n(space.GE, PN, Real(0));
    }
  }

  /// The gradient of the rate goes to eta, to the modulator (and through it to what it reads), or to the
  /// caller.
  void reverse_rate(const TapeElement<Real, Trace>& record, const BackwardSpace<Real>& space,
                    const GroupSums<Real>& group, std::int64_t t, std::int64_t row) const {
    const Real* drate = space.drate;
    if (spec.rate == Rate::fixed) {
      for (std::int64_t j = 0; j < N; ++j) group.eta[j] += drate[j];
    }
    if (spec.rate == Rate::external && args.dinputs.rate != nullptr) {
      std::copy_n(drate, N, args.dinputs.rate + row * N);
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
    const Real* read = (reads_cell ? record.c : record.out) + t * N;
    Real* dread = reads_cell ? space.dc : space.dout;
    const Real q = dM * (1 - M * M);
    *group.modulator_bias += q;
    for (std::int64_t j = 0; j < N; ++j) {
      group.modulator_weight[j] += q * read[j];
      dread[j] += q * args.parameters.modulator_weight[j];
    }
  }

  /// From dh and dc to the gradients of the gates' currents and of the candidate.
  void reverse_lstm(const TapeElement<Real, Trace>& record, const BackwardSpace<Real>& space, std::int64_t t,
                    const Real* c_before, Real* da_t) const {
    const Real *i = record.gates + t * 3 * N, *f = i + N, *o = f + N;
    const Real *c = record.c + t * N, *post = record.post + t * N;
    for (std::int64_t j = 0; j < N; ++j) {
      const Real squashed = std::tanh(c[j]);
      const Real dc = space.dc[j] + space.dout[j] * o[j] * (1 - squashed * squashed);
      da_t[j] = dc * post[j] * i[j] * (1 - i[j]);
      da_t[N + j] = dc * c_before[j] * f[j] * (1 - f[j]);
      da_t[3 * N + j] = space.dout[j] * squashed * o[j] * (1 - o[j]);
      space.dy[j] += dc * i[j];
      space.dc[j] = dc * f[j];
    }
  }

  /// dh(t-1) += W_gates times the gradients of i, f and o.
  void gate_adjoint(const Real* da_t, Real* dh) const {
    plan.products_.multiply(1, N, 2 * N, da_t, width, gates_transposed, N, dh, N);
    plan.products_.multiply(1, N, N, da_t + 3 * N, width, gates_transposed + 2 * N * N, N, dh, N);
  }

  /// dx = da W_in^T, or du = da; zero beyond the length.
  void input_gradients(std::int64_t b, std::int64_t length) const {
    const Inputs<Real>& gradients = args.dinputs;
    const std::int64_t I = spec.inputs;
    for (const auto& member : Inputs<Real>::members()) {
      Real* gradient = gradients.*member.pointer;
      if (gradient == nullptr) continue;
      const std::int64_t columns = input_shape(spec, T, B, member.name)->size[2];
      const std::int64_t first = member.name == "x" ? 0 : length;  // x is added up below
      for (std::int64_t t = first; t < T; ++t)
        std::fill_n(gradient + (t * B + b) * columns, columns, Real(0));
    }
    if (gradients.x != nullptr) {
      plan.products_.multiply(length, I, width, da_of(0, b), width, w_in_transposed, I, gradients.x + b * I,
                              B * I);
    }
    if (gradients.u != nullptr) {
      for (std::int64_t t = 0; t < length; ++t) std::copy_n(da_of(t, b), N, gradients.u + (t * B + b) * N);
    }
  }

  /// C += the sum over all steps of outer products of `left` and the columns `first_column`.. of da.
  void weight_gradient(Real* c, std::int64_t rows, std::int64_t columns, std::int64_t ldc,
                       std::int64_t first_column, const Real** left, const Real** right,
                       std::int64_t count) const {
    for (std::int64_t k = 0; k < count; ++k) right[k] += first_column;
    constexpr std::int64_t rows_at_once = 16;
    parallel_for(plan.options_.device.threads(), (rows + rows_at_once - 1) / rows_at_once,
                 [&](std::int64_t block, int) {
                   const std::int64_t m = block * rows_at_once;
                   plan.products_.outer(m, std::min(rows, m + rows_at_once), columns, count, left, right, c,
                                        ldc);
                 });
    for (std::int64_t k = 0; k < count; ++k) right[k] -= first_column;
  }

  /// What is summed over all steps at once: the dense weights and the bias.
  void weight_gradients(const Real* zeros, const Real** left, const Real** right) const {
    const Parameters<Real>& gradients = args.dparameters;
    const std::int64_t I = spec.inputs;
    std::int64_t count = 0;
    const auto list_steps = [&](auto left_of) {
      count = 0;
      for (std::int64_t b = 0; b < B; ++b) {
        const TapeElement<Real, Trace> record = plan.tape_element(tape, b);
        for (std::int64_t t = 0; t < length_of(b); ++t, ++count) {
          left[count] = left_of(record, t, b);
          right[count] = da_of(t, b);
        }
      }
    };
    list_steps(
        [&](const auto& record, std::int64_t t, std::int64_t b) { return pre_of(record, t, b, zeros); });
    if (gradients.w != nullptr) weight_gradient(gradients.w, P, N, N, lstm ? 2 * N : 0, left, right, count);
    if (gradients.w_gates != nullptr) {
      weight_gradient(gradients.w_gates, N, 2 * N, 3 * N, 0, left, right, count);
      weight_gradient(gradients.w_gates + 2 * N, N, N, 3 * N, 3 * N, left, right, count);
    }
    if (gradients.w_in != nullptr) {
      list_steps(
          [&](const auto&, std::int64_t t, std::int64_t b) { return args.inputs.x + (t * B + b) * I; });
      weight_gradient(gradients.w_in, I, width, width, 0, left, right, count);
    }
    if (gradients.b != nullptr) {
      for (std::int64_t k = 0; k < count; ++k) {
        for (std::int64_t j = 0; j < width; ++j) gradients.b[j] += right[k][j];
      }
    }
  }

  /// Adds up the groups' sums in their order.
  void group_gradients() const {
    const Parameters<Real>& gradients = args.dparameters;
    const bool matrix = spec.alpha == Granularity::connection;
    const auto add = [](Real* to, const Real* from, std::int64_t count) {
      for (std::int64_t k = 0; to != nullptr && k < count; ++k) to[k] += from[k];
    };
    const auto add_total = [](Real* to, const Real* from, std::int64_t count) {
      if (to == nullptr) return;
      Real total = 0;
      for (std::int64_t k = 0; k < count; ++k) total += from[k];
      *to += total;
    };
    for (std::int64_t g = 0; g < plan.groups(); ++g) {
      const GroupSums<Real> group = sums_of(g);
      if (spec.alpha == Granularity::scalar) {
        add_total(gradients.alpha, group.alpha, N);
      } else {
        add(gradients.alpha, group.alpha, matrix ? PN : N);
      }
      add_total(gradients.eta, group.eta, N);
      add(gradients.modulator_weight, group.modulator_weight, N);
      add(gradients.modulator_bias, group.modulator_bias, 1);
      add(gradients.fan_out_weight, group.fan_out_weight, N);
      add(gradients.fan_out_bias, group.fan_out_bias, N);
    }
  }
};

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
  Real *alpha_row, *zeros, *w_in_transposed, *gates_transposed, *da;
  const Real **left, **right;  // [T B] rows of a weight gradient's factors
  std::byte *sums, *spaces;

  BackwardScratch(const Spec& spec, const PlanOptions& options, std::int64_t sums_bytes,
                  std::int64_t spaces_bytes, Carver& carver) {
    const std::int64_t N = spec.neurons, width = spec.gates() * N, rows = options.steps * options.batch;
    alpha_row = carver.take<Real>(N);
    zeros = carver.take<Real>(std::max(spec.presynaptic(), N));
    w_in_transposed = carver.take<Real>(spec.is_recurrent() ? spec.inputs * width : 0);
    gates_transposed = carver.take<Real>(spec.cell == Cell::lstm ? 3 * N * N : 0);
    da = carver.take<Real>(rows * width);
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
  BackwardScratch<Real>(spec_, options_, groups() * static_cast<std::int64_t>(group_sums_bytes<Real>(spec_)),
                        workers() * static_cast<std::int64_t>(backward_space_bytes()), counter);
  return counter.bytes();
}

template <class Real, class Trace>
void CpuPlan<Real, Trace>::backward(Stream, const BackwardArgs<Real>& args, Tape tape,
                                    Scratch scratch) const {
  const std::size_t sums_bytes = group_sums_bytes<Real>(spec_), space_bytes = backward_space_bytes();
  Carver carver(scratch.data);
  const BackwardScratch<Real> memory(spec_, options_, groups() * static_cast<std::int64_t>(sums_bytes),
                                     workers() * static_cast<std::int64_t>(space_bytes), carver);
  std::fill_n(memory.zeros, std::max(spec_.presynaptic(), spec_.neurons), Real(0));
  std::memset(memory.sums, 0, sums_bytes * static_cast<std::size_t>(groups()));
  if (args.dinputs.x != nullptr) {
    transpose(args.parameters.w_in, memory.w_in_transposed, spec_.inputs, spec_.gates() * spec_.neurons);
  }
  if (spec_.cell == Cell::lstm) {
    transpose(args.parameters.w_gates, memory.gates_transposed, spec_.neurons, 3 * spec_.neurons);
  }
  Connection<Real> connected = connection(args.parameters, memory.alpha_row);
  // A gradient that nobody wants is not worth a matrix: its column sums are cheap, and left where they fall.
  if (args.dparameters.alpha == nullptr) connected.alpha_per_connection = false;
  const BackwardPass pass{*this,       args,       tape,      memory.spaces,          space_bytes,
                          memory.sums, sums_bytes, memory.da, memory.w_in_transposed, memory.gates_transposed,
                          connected};
  parallel_for(workers(), groups(), [&](std::int64_t group, int worker) {
    const std::int64_t first = group * group_size(), last = std::min(first + group_size(), options_.batch);
    for (std::int64_t b = first; b < last; ++b) pass.run(b, worker);
  });
  pass.weight_gradients(memory.zeros, memory.left, memory.right);
  pass.group_gradients();
}

template class CpuPlan<float, float>;
template class CpuPlan<double, double>;
template class CpuPlan<float, Bfloat16>;

}  // namespace plasticity::cpu
