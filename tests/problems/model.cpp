#include "problems/model.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace plasticity::testing {
namespace {

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }
double sigma(double a) { return 1 / (1 + std::exp(-a)); }
double clamped(double value, double c) { return std::min(std::max(value, -c), c); }

}  // namespace

Model::Model(const TestCase& problem, std::int64_t b)
    : problem_(problem),
      spec_(problem.spec),
      b_(b),
      length_(problem.length.empty() ? problem.steps : problem.length[at(b)]),
      N(spec_.neurons),
      P(spec_.cell == Cell::feedforward ? spec_.inputs : spec_.neurons),
      I(spec_.inputs),
      W_in(find("param.w_in")),
      bias(find("param.b")),
      w(find("param.w")),
      W_gates(find("param.w_gates")),
      alpha(find("param.alpha")),
      eta(find("param.eta")),
      v(find("param.modulator.weight")),
      v0(find("param.modulator.bias")),
      F(find("param.fan_out.weight")),
      F0(find("param.fan_out.bias")),
      x_in(find("input.x")),
      u(find("input.u")),
      pre(find("input.pre")),
      rate(find("input.rate")) {
  y = initial("state.y", N);
  c = initial("state.c", N);
  hebb = initial("state.hebb", P * N);
  eligibility = initial("state.eligibility", P * N);
}

const double* Model::find(const char* name) const {
  const auto found = problem_.inputs.find(name);
  return found == problem_.inputs.end() ? nullptr : found->second.data();
}

std::vector<double> Model::initial(const char* name, std::int64_t size) const {
  const double* all = find(name);
  if (all == nullptr) return std::vector<double>(at(size), 0.0);
  return {all + b_ * size, all + (b_ + 1) * size};
}

/// Returns the input current of a gate, x(t) W_in + b + u, or u. Cells with one gate have only gate 0.
double Model::current(std::int64_t gate, std::int64_t j) const {
  const std::int64_t row = t_ * problem_.batch + b_, gates = spec_.cell == Cell::lstm ? 4 : 1;
  double sum = u == nullptr ? 0 : u[(row * gates + gate) * N + j];
  if (W_in == nullptr) return sum;
  sum += bias[gate * N + j];
  for (std::int64_t i = 0; i < I; ++i) sum += x_in[row * I + i] * W_in[i * gates * N + gate * N + j];
  return sum;
}

/// Records the distance to a corner. A value that equals the corner in bits is ignored.
void Model::near(double value, double corner, Step& step) const {
  if (value != corner) step.corner = std::min(step.corner, std::abs(value - corner));
}

/// Returns the trace after the trace rule.
double Model::updated(double H, double X, double g, double y_j, Step& step) const {
  const auto limit = [&](double value, double bound) {
    near(std::abs(value), bound, step);
    (std::abs(value) > bound ? step.limited : step.free) += 1;
    return clamped(value, bound);
  };
  switch (spec_.rule) {
    case Rule::decay: return (1 - g) * H + g * X;
    case Rule::oja: return H + g * (X - y_j * y_j * H);
    case Rule::hard_clip: return limit(H + g * X, spec_.clip);
    case Rule::soft_clip: {
      const double p = g * X;
      near(p, 0, step);
      return limit(p >= 0 ? H + p * (1 - H) : H + p * (1 + H), 1);
    }
    case Rule::additive:
    case Rule::read_clip: return H + g * X;
  }
  return H;
}

Model::Step Model::step() {
  Step step{.t = t_, .y = {}, .corner = std::numeric_limits<double>::infinity()};
  const std::int64_t row = t_ * problem_.batch + b_;
  if (!problem_.reset.empty() && problem_.reset[at(row)] != 0) {
    for (std::vector<double>* values : {&y, &c, &hebb, &eligibility}) {
      std::fill(values->begin(), values->end(), 0.0);
    }
  }
  std::vector<double> x = y;
  if (spec_.cell == Cell::feedforward) {
    x.resize(at(P));
    for (std::int64_t i = 0; i < P; ++i) x[at(i)] = pre[row * P + i];
  }

  // the plastic read and the activation
  std::vector<double> post(at(N)), a(at(N));
  for (std::int64_t j = 0; j < N; ++j) {
    a[at(j)] = current(spec_.cell == Cell::lstm ? 2 : 0, j);
    for (std::int64_t i = 0; i < P; ++i) {
      double phi = hebb[at(i * N + j)];
      if (spec_.rule == Rule::read_clip) {
        near(std::abs(phi), spec_.clip, step);
        (std::abs(phi) > spec_.clip ? step.limited : step.free) += 1;
        phi = clamped(phi, spec_.clip);
      }
      const double coefficient = alpha[spec_.alpha == Granularity::scalar ? 0
                                       : spec_.alpha == Granularity::post ? j
                                                                          : i * N + j];
      a[at(j)] += x[at(i)] * (w[i * N + j] + coefficient * phi);
    }
  }
  double sum = 0;
  for (const double value : a) sum += std::exp(value);
  for (std::int64_t j = 0; j < N; ++j) {
    const double value = a[at(j)];
    switch (spec_.activation) {
      case Activation::tanh: post[at(j)] = std::tanh(value); break;
      case Activation::sigmoid: post[at(j)] = sigma(value); break;
      case Activation::identity: post[at(j)] = value; break;
      case Activation::softmax: post[at(j)] = std::exp(value) / sum; break;
      case Activation::relu:
        post[at(j)] = std::max(value, 0.0);
        step.corner =
            std::min(step.corner, std::abs(value));  // also if value is 0: the slope is undefined there
        (value < 0 ? step.limited : step.free) += 1;
        break;
    }
    const std::size_t place = at(row * N + j);
    if (!problem_.clamp.empty() && problem_.clamp[place] != 0)
      post[at(j)] = problem_.inputs.at("clamp_value")[place];
  }
  std::vector<double> output = post;
  if (spec_.cell == Cell::lstm) {
    for (std::int64_t j = 0; j < N; ++j) {
      double gate[3] = {current(0, j), current(1, j), current(3, j)};  // i f o
      for (std::int64_t k = 0; k < N; ++k) {
        for (std::int64_t which = 0; which < 3; ++which)
          gate[which] += x[at(k)] * W_gates[k * 3 * N + which * N + j];
      }
      c[at(j)] = sigma(gate[1]) * c[at(j)] + sigma(gate[0]) * post[at(j)];
      output[at(j)] = sigma(gate[2]) * std::tanh(c[at(j)]);
    }
  }

  // the rate
  if (spec_.rate == Rate::modulated || spec_.rate == Rate::fan_out) {
    const std::vector<double>& read = spec_.modulator_source == ModulatorSource::cell ? c : output;
    double total = v0[0];
    for (std::int64_t j = 0; j < N; ++j) total += v[j] * read[at(j)];
    step.modulation = std::tanh(total);
  }
  for (std::int64_t j = 0; j < N; ++j) {
    const double M = step.modulation;
    const double g = spec_.rate == Rate::fixed       ? eta[0]
                     : spec_.rate == Rate::modulated ? M
                     : spec_.rate == Rate::fan_out   ? M * F[j] + F0[j]
                                                     : rate[row * N + j];
    for (std::int64_t i = 0; i < P; ++i) {
      const double D = x[at(i)] * post[at(j)];
      double X = D;
      if (spec_.eligibility != Eligibility::none) {
        double& E = eligibility[at(i * N + j)];
        const double before = E;
        E = (1 - eta[0]) * E + eta[0] * D;
        X = spec_.eligibility == Eligibility::before ? before : E;
      }
      double& H = hebb[at(i * N + j)];
      H = updated(H, X, g, post[at(j)], step);
    }
  }
  y = step.y = output;
  ++t_;
  return step;
}

double distance_to_corner(const TestCase& problem) {
  double nearest = std::numeric_limits<double>::infinity();
  for (std::int64_t b = 0; b < problem.batch; ++b) {
    for (Model model(problem, b); !model.finished();) nearest = std::min(nearest, model.step().corner);
  }
  return nearest;
}

}  // namespace plasticity::testing
