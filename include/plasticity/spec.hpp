#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "plasticity/config.h"

namespace plasticity {

// The vocabulary of differentiable plastic networks. The papers:
//   [2016] Miconi, "Learning to learn with backpropagation of Hebbian plasticity", arXiv 1609.02228
//   [2018] Miconi, Clune, Stanley, "Differentiable plasticity", ICML 2018, arXiv 1804.02464
//   [2019] Miconi, Rawal, Clune, Stanley, "Backpropamine", ICLR 2019, arXiv 2002.10585
// Sizes: T steps, B batch, I inputs, N neurons, P presynaptic neurons. Matrices are [pre, post], row-major;
// traces [B, pre, post]; sequences are time-major, [T, B, N].

/// What the plastic connection sits in: its presynaptic activity x, its postsynaptic activity y.
enum class Cell {
  feedforward,  ///< x: the layer's input at t, y: its output at t (P = I) [2016; 2018, one-shot
                ///< classification]
  rnn,          ///< x: y(t-1), y: y(t) (P = N) [2018, 2019]
  lstm,         ///< x: h(t-1), y: the candidate tanh(g), the one plastic gate (P = N) [2019]
};

/// How the Hebbian trace H follows the drive X with rate g (X = D = x_i y_j, or the eligibility trace E).
enum class Rule {
  decay,      ///< H <- (1 - g_j) H + g_j X [2016, 2018]
  oja,        ///< H <- H + g_j (X - y_j^2 H) [2018]
  hard_clip,  ///< H <- clamp(H + g_j X, -clip, clip) [2019]
  soft_clip,  ///< p = g_j X; H <- clamp(H + p (1 - H) if p >= 0 else H + p (1 + H), -1, 1) [2019]
  additive,   ///< H <- H + g_j X
  read_clip,  ///< as additive; the plastic read sees clamp(H, -clip, clip) [2019, LSTM]
};

/// Whether the rule reads Spec::clip.
constexpr bool has_clip(Rule rule) { return rule == Rule::hard_clip || rule == Rule::read_clip; }

/// Where the rate g_j of the trace comes from.
enum class Rate {
  fixed,      ///< eta, one trainable scalar [2016, 2018]
  modulated,  ///< M = tanh(v . y + v0), one scalar per batch element and step [2019]
  fan_out,    ///< M F_j + F0_j, one weight and one bias per postsynaptic neuron [2019]
  external,   ///< given by the caller for every step, batch element and neuron
};

/// Whether the trace is driven by this step's product D or by its running mean E, an eligibility trace with
/// constant eta.
enum class Eligibility {
  none,    ///< X = D
  before,  ///< X = E, then E <- (1 - eta) E + eta D [2019, "retroactive"]
  after,   ///< E <- (1 - eta) E + eta D, then X = E
};

/// How many plasticity coefficients alpha there are.
enum class Granularity {
  scalar,      ///< [1]
  post,        ///< [N], one per postsynaptic neuron
  connection,  ///< [P, N]
};

/// The activation f of the postsynaptic neurons (the candidate of an lstm is always tanh).
enum class Activation { tanh, sigmoid, relu, identity, softmax };

/// What the modulator of an lstm reads: its hidden state h or its cell state c. Other cells have only
/// `hidden`.
enum class ModulatorSource { hidden, cell };

/// How numbers are kept. bf16: float arguments and arithmetic, the traces stored as bfloat16 while a plan
/// works on them.
enum class Precision { f64, f32, bf16 };

/// Which kernels run a sequence on a CUDA device. All compute the same, each with bits of its own; step and
/// graph share theirs.
enum class Execution {
  automatic,  ///< the plan chooses by spec and device
  step,       ///< one launch a step
  graph,      ///< the same launches in a CUDA graph, which is captured at the first call and kept
  cta,        ///< one launch a sequence: an element's traces stay in the shared memory of one block
  cluster,    ///< the same over the blocks of a cluster, 2 to 16
  grid,       ///< the same over blocks of a cooperative launch
};

/// The name of an enumerator, as it stands in the enumeration and in files: "hard_clip".
PLASTICITY_API std::string_view to_string(Cell value);
PLASTICITY_API std::string_view to_string(Rule value);
PLASTICITY_API std::string_view to_string(Rate value);
PLASTICITY_API std::string_view to_string(Eligibility value);
PLASTICITY_API std::string_view to_string(Granularity value);
PLASTICITY_API std::string_view to_string(Activation value);
PLASTICITY_API std::string_view to_string(ModulatorSource value);
PLASTICITY_API std::string_view to_string(Precision value);
PLASTICITY_API std::string_view to_string(Execution value);

/// All names of an enumeration, in its order.
template <class Enum>
PLASTICITY_API std::span<const std::string_view> names();

/// The enumerator of that name. Throws Error(invalid_argument) that names `argument` and lists the legal
/// names.
template <class Enum>
PLASTICITY_API Enum parse(std::string_view name, std::string_view argument);

/// What a plastic cell is: a small value, comparable, the first argument of everything.
struct PLASTICITY_API Spec {
  Cell cell = Cell::rnn;                                       ///< what the plastic connection sits in
  Rule rule = Rule::decay;                                     ///< how its trace changes
  Rate rate = Rate::fixed;                                     ///< how fast
  Eligibility eligibility = Eligibility::none;                 ///< what drives it
  Granularity alpha = Granularity::connection;                 ///< how many plasticity coefficients there are
  Activation activation = Activation::tanh;                    ///< f; an lstm has only tanh
  ModulatorSource modulator_source = ModulatorSource::hidden;  ///< what the modulator reads
  /// I. rnn: 0 means that the input current is given directly. feedforward, lstm: >= 1.
  std::int64_t inputs = 0;
  std::int64_t neurons = 1;  ///< N >= 1
  double clip = 1.0;         ///< c > 0 of hard_clip and read_clip; the other rules do not look at it

  bool operator==(const Spec&) const = default;  ///< field by field

  /// P, the number of presynaptic neurons: I in a feedforward cell, N in a recurrent one.
  std::int64_t presynaptic() const { return cell == Cell::feedforward ? inputs : neurons; }
  /// Whether there is a modulator head M (rate modulated or fan_out).
  bool has_modulator() const { return rate == Rate::modulated || rate == Rate::fan_out; }
  /// Whether there is an eligibility trace.
  bool has_eligibility() const { return eligibility != Eligibility::none; }
  /// Whether there is an eta: the fixed rate, or the constant of the eligibility trace.
  bool has_eta() const { return rate == Rate::fixed || has_eligibility(); }
  /// Whether y(t) is carried to the next step (rnn: y, lstm: h).
  bool is_recurrent() const { return cell != Cell::feedforward; }
  /// Gates computed from the input current: 4 (i, f, g, o) in an lstm, 1 elsewhere.
  std::int64_t gates() const { return cell == Cell::lstm ? 4 : 1; }

  /// Throws Error(invalid_spec) that names the first field whose value, or whose mix with others, is
  /// impossible.
  void validate() const;
};

/// One line for logs: "rnn decay fixed alpha=connection tanh I=0 N=200".
PLASTICITY_API std::string to_string(const Spec& spec);

}  // namespace plasticity
