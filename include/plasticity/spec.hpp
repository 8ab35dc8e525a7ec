#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "plasticity/config.h"

namespace plasticity {

// Spec describes a plastic cell; the enumerations are its choices. The papers:
//   [2016] Miconi, "Learning to learn with backpropagation of Hebbian plasticity", arXiv 1609.02228
//   [2018] Miconi, Clune, Stanley, "Differentiable plasticity", ICML 2018, arXiv 1804.02464
//   [2019] Miconi, Rawal, Clune, Stanley, "Backpropamine", ICLR 2019, arXiv 2002.10585
// Sizes: T steps, B batch, I inputs, N neurons, P presynaptic neurons. Tensors are row-major: matrices are
// [pre, post], traces are [B, pre, post], and sequences are [T, B, N]. Index i is presynaptic, j
// postsynaptic.
//
// A step, for every batch element, with presynaptic activity x and input current u:
//   s_j  = sum_i x_i (w_ij + alpha_ij H_ij)      the plastic part reads the trace before its update
//   y_j  = f(u_j + s_j)                          or clamp_value if clamp is set
//   M    = tanh(sum_j v_j y_j + v0)              the modulator, if the rate needs it (lstm: of h or c)
//   D_ij = x_i y_j                               then E and H are updated (Eligibility, Rate, Rule)
// The lstm has four gates; u has 4 N values per batch element, in the order i, f, candidate, o:
//   i, f, o = sigmoid(u + h(t-1) W_gates)        W_gates [N,3N], in the order i, f, o
//   y_j  as above, f = tanh, x = h(t-1)          the candidate, the only plastic gate
//   c    = f c(t-1) + i y;  h = o tanh(c)
// The input current of rnn and lstm: u = Inputs::x W_in + b + Inputs::u, with W_in [I,N] (lstm: [I,4N]).

/// The cell that contains the plastic connection. It defines the presynaptic activity x and the postsynaptic
/// activity y of the connection.
enum class Cell {
  feedforward,  ///< P = I; x is the input at t, y the output at t [2016; 2018, one-shot classification]
  rnn,          ///< P = N; x is y(t-1), y is y(t) [2018, 2019]
  lstm,         ///< P = N; x is h(t-1), y is the candidate, the only plastic gate [2019]
};

/// The update rule of the Hebbian trace H with rate g and drive X. X is the product D = x_i y_j or the
/// eligibility trace E.
enum class Rule {
  decay,      ///< H <- (1 - g_j) H + g_j X [2016, 2018]
  oja,        ///< H <- H + g_j (X - y_j^2 H) [2018]
  hard_clip,  ///< H <- clamp(H + g_j X, -clip, clip) [2019]
  soft_clip,  ///< p = g_j X; H <- clamp(H + p (1 - H) if p >= 0 else H + p (1 + H), -1, 1) [2019]
  additive,   ///< H <- H + g_j X
  read_clip,  ///< as additive; the activation reads clamp(H, -clip, clip) [2019, LSTM]
};

/// The properties of a rule outside its update.
struct RuleProperties {
  bool uses_clip;  ///< Spec::clip
  bool bounded;    ///< gradients stop at a bound of the trace, which is clipped when it is updated or read
};
constexpr RuleProperties properties_of(Rule rule) {
  switch (rule) {
    case Rule::decay:
    case Rule::oja:
    case Rule::additive: return {.uses_clip = false, .bounded = false};
    case Rule::soft_clip: return {.uses_clip = false, .bounded = true};
    case Rule::hard_clip:
    case Rule::read_clip: return {.uses_clip = true, .bounded = true};
  }
  return {};
}

/// Returns whether the rule uses Spec::clip.
constexpr bool has_clip(Rule rule) { return properties_of(rule).uses_clip; }

/// The source of the rate g_j of the trace.
enum class Rate {
  fixed,      ///< g_j = eta, one trainable scalar [2016, 2018]
  modulated,  ///< g_j = M = tanh(v . y + v0), one scalar per batch element and step [2019]
  fan_out,    ///< g_j = M F_j + F0_j, one weight and one bias per postsynaptic neuron [2019]
  external,   ///< an input, Inputs::rate
};

/// The drive X of the trace: this step's product D, or the eligibility trace E, a running mean of D with
/// constant eta. An eligibility trace needs a rate other than fixed.
enum class Eligibility {
  none,    ///< X = D
  before,  ///< X = E, then E <- (1 - eta) E + eta D [2019, "retroactive"]
  after,   ///< E <- (1 - eta) E + eta D, then X = E
};

/// The shape of the plasticity coefficients alpha.
enum class Granularity {
  scalar,      ///< [1], one for all connections
  post,        ///< [N], one per postsynaptic neuron
  connection,  ///< [P, N], one per connection
  /// No plastic part: no alpha, no eta and no traces, at the cost of an ordinary cell. For control networks.
  /// The rate must be fixed and the eligibility none. The rule is not used.
  none,
};

/// The activation f of the postsynaptic neurons. An lstm accepts only tanh.
enum class Activation { tanh, sigmoid, relu, identity, softmax };

/// The vector that the modulator reads: the output y (lstm: h), or the cell state c of an lstm. Other cells
/// accept only `hidden`.
enum class ModulatorSource { hidden, cell };

/// The precision of arithmetic and storage. f64 uses double, f32 uses float. bf16 is f32, except that the
/// tape stores the traces as bfloat16.
enum class Precision { f64, f32, bf16 };

/// The kernels that run a sequence on a CUDA device. All compute the same equations. `step` and `graph` run
/// the same launches and have equal bits; PlanOptions::execution states the bits of the others.
enum class Execution {
  automatic,  ///< the plan chooses from the spec, T, B and the device
  step,       ///< one launch per step
  graph,      ///< the launches of `step` in one CUDA graph, captured at the second call
  cta,        ///< one launch per sequence; the traces stay in the registers of one block per batch element
  cluster,    ///< one launch per sequence; a cluster of 2 to 16 blocks shares the traces of a batch element
  grid,       ///< one cooperative launch per sequence; its blocks share the traces of a batch element
};

/// @{
/// Returns the name of an enumerator as in the source and in files, for example "hard_clip". Returns "(no
/// such value)" for any other value.
PLASTICITY_API std::string_view to_string(Cell value);
PLASTICITY_API std::string_view to_string(Rule value);
PLASTICITY_API std::string_view to_string(Rate value);
PLASTICITY_API std::string_view to_string(Eligibility value);
PLASTICITY_API std::string_view to_string(Granularity value);
PLASTICITY_API std::string_view to_string(Activation value);
PLASTICITY_API std::string_view to_string(ModulatorSource value);
PLASTICITY_API std::string_view to_string(Precision value);
PLASTICITY_API std::string_view to_string(Execution value);
/// @}

/// Returns all names of an enumeration, in the order of its enumerators. `Enum` is one of the types above.
template <class Enum>
PLASTICITY_API std::span<const std::string_view> names();

/// Returns the enumerator `name`. Throws Error(invalid_argument) if there is none; the message starts with
/// `argument` and lists the valid names.
template <class Enum>
PLASTICITY_API Enum parse(std::string_view name, std::string_view argument);

/// Describes a plastic cell. A small comparable value.
struct PLASTICITY_API Spec {
  Cell cell = Cell::rnn;                                       ///< cell that contains the plastic connection
  Rule rule = Rule::decay;                                     ///< update rule of the Hebbian trace
  Rate rate = Rate::fixed;                                     ///< source of the rate g
  Eligibility eligibility = Eligibility::none;                 ///< drive of the trace
  Granularity alpha = Granularity::connection;                 ///< shape of the plasticity coefficients
  Activation activation = Activation::tanh;                    ///< f; tanh in an lstm
  ModulatorSource modulator_source = ModulatorSource::hidden;  ///< vector that the modulator reads
  /// I. At least 1 for feedforward and lstm. In an rnn 0 means that the caller passes the input current
  /// (Inputs::u).
  std::int64_t inputs = 0;
  std::int64_t neurons = 1;  ///< N >= 1
  double clip = 1.0;         ///< c > 0, finite; only rules with has_clip() use it

  bool operator==(const Spec&) const = default;  ///< compares all fields

  /// Returns P, the number of presynaptic neurons: I in a feedforward cell, N in a recurrent one.
  std::int64_t presynaptic() const { return cell == Cell::feedforward ? inputs : neurons; }
  /// Returns whether the cell has a plastic part, with alpha and a Hebbian trace.
  bool is_plastic() const { return alpha != Granularity::none; }
  /// Returns whether the cell has a modulator M (rate modulated or fan_out).
  bool has_modulator() const { return rate == Rate::modulated || rate == Rate::fan_out; }
  /// Returns whether the cell has an eligibility trace.
  bool has_eligibility() const { return eligibility != Eligibility::none; }
  /// Returns whether the cell has the parameter eta: the fixed rate, or the constant of the eligibility
  /// trace.
  bool has_eta() const { return is_plastic() && (rate == Rate::fixed || has_eligibility()); }
  /// Returns whether the output is an input of the next step (rnn: y, lstm: h).
  bool is_recurrent() const { return cell != Cell::feedforward; }
  /// Returns the number of gates that the input current feeds: 4 (i, f, g, o) in an lstm, 1 in other cells.
  std::int64_t gates() const { return cell == Cell::lstm ? 4 : 1; }

  /// Throws Error(invalid_spec) if a field is out of range or fields do not combine. The message names the
  /// field.
  void validate() const;
};

/// Returns a one-line description, for example "rnn decay fixed alpha=connection tanh I=0 N=200".
PLASTICITY_API std::string to_string(const Spec& spec);

}  // namespace plasticity
